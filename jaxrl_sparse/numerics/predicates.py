"""Conditions of loops and branches that stay one scalar however often the loop is vmapped."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool


def anywhere(flags: Bool[Array, "..."]) -> Bool[Array, ""]:
    """Whether any flag is true, over all batches that the caller's caller vmaps.

    A `while_loop` or `cond` whose condition is batched runs every row as long as the longest, selects its whole carry
    at every step, and takes both branches. With this condition it stays one loop and one branch for all rows; it asks
    that the body leaves alone the rows that are done, and that the branch not taken would have changed nothing.

    Args:
      flags: of any shape.

    Returns:
      A scalar that no `vmap` makes batched.
    """
    return _any(jnp.reshape(flags, -1))


@jax.custom_batching.custom_vmap
def _any(flags: Bool[Array, "N"]) -> Bool[Array, ""]:
    return jnp.any(flags)


@_any.def_vmap
def _any_of_all_rows(axis_size: int, in_batched: list[bool], flags: Array) -> tuple[Array, bool]:
    del axis_size, in_batched
    return anywhere(flags), False
