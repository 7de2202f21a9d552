"""Novelty: how sparse the neighbourhood of a behaviour descriptor is."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.numerics.neighbors import nearest_neighbors


def novelty_scores(
    queries: Float[Array, "Q D"],
    references: Float[Array, "N D"],
    mask: Bool[Array, "N"],
    k: int,
    exclude_nearest: bool,
) -> Float[Array, "Q"]:
    """Mean Euclidean distance to the k nearest references: `nov(q) = 1/k sum_{i=1..k} d_(i)(q)`.

    With `exclude_nearest` the smallest distance is left out: `1/k sum_{i=2..k+1} d_(i)`. This is for queries that are
    among the references themselves; a copy of one is at distance 0, so that it does not matter which of the two goes.
    Where fewer than k distances are left, the mean is over those that are left; where none is, the novelty is 0.

    Args:
      queries: Q descriptors.
      references: N descriptors; those with a non-finite coordinate count as masked out.
      mask: which references are valid.
      k: static, at least 1.
      exclude_nearest: static.

    Returns:
      Novelty of each query, in the descriptors' unit.

    Raises:
      ValueError: if `k` is below 1.

    Source: Lehman and Stanley, "Abandoning Objectives: Evolution Through the Search for Novelty Alone" (2011).
    """
    require("k", k, is_count, "an integer of at least 1")
    first = 1 if exclude_nearest else 0
    distances = nearest_neighbors(queries, references, mask, k + first).distances[:, first:]
    present = jnp.isfinite(distances)
    return jnp.sum(distances, axis=-1, where=present) / jnp.maximum(jnp.sum(present, axis=-1), 1)
