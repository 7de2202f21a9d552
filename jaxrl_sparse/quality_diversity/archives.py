"""The append-only archive: everything that was ever put into it, in order, at a fixed capacity."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require


class Archive(NamedTuple):
    """Rows `0 .. size - 1` are filled, the others zero.

    Attributes:
      entries: a pytree, leaves `[capacity, ...]`.
      size: number of rows that are filled, int32.
      overflow: number of rows that found no place, int32.
      rejected: number of rows that were refused for a non-finite number, int32.
    """

    entries: PyTree
    size: Int[Array, ""]
    overflow: Int[Array, ""]
    rejected: Int[Array, ""]


def archive_init(example: PyTree, capacity: int) -> Archive:
    """An empty archive.

    Args:
      example: a batch of rows, or its `jax.ShapeDtypeStruct`s, leaves `[B, ...]`: their first axis is replaced.
      capacity: static, at least 1.

    Raises:
      ValueError: if `capacity` is below 1.
    """
    require("capacity", capacity, is_count, "an integer of at least 1")
    return Archive(empty_rows(example, capacity), *(jnp.zeros((), jnp.int32) for _ in range(3)))


def archive_append(archive: Archive, rows: PyTree, mask: Bool[Array, "B"]) -> Archive:
    """Appends the masked rows in their order.

    Row i goes to place `size + (number of accepted rows before i)`. Rows with a non-finite number are refused, rows
    beyond the capacity are dropped, and both are counted.

    Args:
      archive: where to.
      rows: a pytree like the entries, leaves `[B, ...]`.
      mask: which of the rows.
    """
    finite = finite_rows(rows)
    accepted = jnp.logical_and(mask, finite)
    capacity = jax.tree.leaves(archive.entries)[0].shape[0]
    places = archive.size + jnp.cumsum(accepted, dtype=jnp.int32) - 1
    targets = jnp.where(accepted, places, capacity)
    entries = jax.tree.map(lambda leaf, new: leaf.at[targets].set(new, mode="drop"), archive.entries, rows)
    wanted = archive.size + jnp.sum(accepted, dtype=jnp.int32)
    size = jnp.minimum(wanted, capacity)
    return Archive(
        entries=entries,
        size=size,
        overflow=archive.overflow + wanted - size,
        rejected=archive.rejected + jnp.sum(jnp.logical_and(mask, ~finite), dtype=jnp.int32),
    )


def append_random(key: PRNGKeyArray, archive: Archive, rows: PyTree, num_additions: int) -> Archive:
    """Appends rows chosen uniformly at random, without replacement, among those with finite numbers only.

    Args:
      key: for one draw.
      archive: where to.
      rows: a pytree like the entries, leaves `[B, ...]`.
      num_additions: static, at most B; where fewer rows are finite, these.
    """
    finite = finite_rows(rows)
    lots = jnp.where(finite, jax.random.uniform(key, finite.shape), -1.0)
    _, chosen = jax.lax.top_k(lots, num_additions)
    return archive_append(archive, jax.tree.map(lambda leaf: leaf[chosen], rows), finite[chosen])


def require_capacity(archive_capacity: int, most: int, evaluations: int) -> None:
    """Refuses a capacity below the most rows that a search of so many evaluations appends.

    Raises:
      ValueError: naming `archive_capacity` and what suffices.
    """
    require(
        "archive_capacity",
        archive_capacity,
        lambda capacity: capacity >= most,
        f"at least {most}, which {evaluations} evaluations can fill: raise it or lower the budget",
    )


def archive_mask(archive: Archive) -> Bool[Array, "capacity"]:
    """Which rows are filled."""
    return jnp.arange(jax.tree.leaves(archive.entries)[0].shape[0]) < archive.size


def empty_rows(example: PyTree, num_rows: int) -> PyTree:
    """Rows of zeros, leaves `[num_rows, ...]`, like those of a batch, or of its `jax.ShapeDtypeStruct`s."""
    return jax.tree.map(lambda leaf: jnp.zeros((num_rows, *leaf.shape[1:]), leaf.dtype), example)


def finite_rows(rows: PyTree) -> Bool[Array, "B"]:
    """Where all floating-point numbers of a row are finite, over all leaves `[B, ...]`."""
    leaves = jax.tree.leaves(rows)
    floats = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    finite = jnp.ones(leaves[0].shape[0], bool)
    for leaf in floats:
        finite = jnp.logical_and(finite, jnp.all(jnp.isfinite(leaf.reshape(leaf.shape[0], -1)), axis=-1))
    return finite
