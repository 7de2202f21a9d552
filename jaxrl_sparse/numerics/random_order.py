"""A random order by one sort of single numbers: what a pass over minibatches starts with."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from jaxrl_sparse.base import is_count, require

# Above it the random bits that are left beside an index are too few.
_MOST_PACKED = 2**16


def random_order(key: PRNGKeyArray, size: int) -> Int[Array, "N"]:
    """A permutation of `0..N-1`, int32.

    Of N random numbers of 32 bits the last `ceil(log2 N)` are replaced by the index, and the numbers are sorted: a
    fifth of the time that sorting pairs of a number and an index takes on a CPU, and a tenth of that of
    `jax.random.permutation`, which sorts them twice. Where the random bits of two indices are equal, the smaller comes
    first: of two indices it does so with a probability of 1/2 + 2^(ceil(log2 N) - 33), at most .5 + 2^-17. Of more than
    2^16, pairs are sorted.

    Args:
      key: of the order.
      size: N, at least 1.

    Raises:
      ValueError: if N is below 1.
    """
    require("size", size, is_count, "an integer of at least 1")
    drawn = jax.random.bits(key, (size,), jnp.uint32)
    if size > _MOST_PACKED:
        return jnp.argsort(drawn).astype(jnp.int32)
    mask = jnp.uint32((1 << (size - 1).bit_length()) - 1)
    return (jnp.sort(drawn & ~mask | jnp.arange(size, dtype=jnp.uint32)) & mask).astype(jnp.int32)
