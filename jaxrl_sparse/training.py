"""Running an `Algorithm`: a scan of its updates, pure, resumable by calling it again."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxrl_sparse.base import Algorithm, Metrics, PyTree, require


def train(
    algorithm: Algorithm, state: PyTree, num_updates: int, step: int | Array = 0
) -> tuple[PyTree, Metrics]:
    """Applies `num_updates` updates in one scan: `state, metrics[i] = update(state, step + i)`.

    Going on is the same call with `step` raised by `num_updates`. To sweep, make the algorithm inside the traced function
    and batch everything but `step`:

        def chunk(config, inputs, state, step):
            return train(make(config, inputs), state, 10, step)

        jax.jit(jax.vmap(chunk, in_axes=(0, None, 0, None)))

    Args:
      algorithm: what to run.
      state: from `algorithm.init`, or from an earlier call.
      num_updates: static, at least 1.
      step: number of the first update, an int32 scalar that is never batched.

    Returns:
      The state after the last update, and the metrics of every update with a leading axis `[num_updates]`.

    Raises:
      ValueError: if `num_updates` is less than 1.
    """
    require("num_updates", num_updates, lambda n: n >= 1, "an integer of at least 1")
    steps = jnp.asarray(step, jnp.int32) + jnp.arange(num_updates, dtype=jnp.int32)
    state, metrics = jax.lax.scan(algorithm.update, strong_types(state), steps)
    return strong_types(state), metrics


def strong_types(tree: PyTree) -> PyTree:
    """Turns every leaf into an array of a strong dtype: Python floats into float32, weakly typed arrays into their dtype.

    A weakly typed leaf has another abstract value than the strong one that comes out of a compiled chunk, so that the
    second call would compile again. Typed keys pass unchanged.
    """

    def strong(leaf):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        return jnp.asarray(leaf, dtype=jnp.result_type(leaf))

    return jax.tree.map(strong, tree)
