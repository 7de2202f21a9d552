"""Choosing between whole rows of trees."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from jaxrl_sparse.base import PyTree


def where_rows(mask: Bool[Array, "B"], on_true: PyTree, on_false: PyTree) -> PyTree:
    """`jnp.where` over whole rows of trees whose leaves are `[B, ...]`."""
    return jax.tree.map(
        lambda new, old: jnp.where(mask.reshape(mask.shape + (1,) * (old.ndim - 1)), new, old), on_true, on_false
    )
