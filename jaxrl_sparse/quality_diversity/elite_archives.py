"""Archives that keep the best individual of each cell of descriptor space: grids, and Voronoi cells of centroids."""

from collections.abc import Callable
from math import prod
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require
from jaxrl_sparse.numerics.neighbors import nearest_neighbors
from jaxrl_sparse.quality_diversity.archives import empty_rows, finite_rows

# Samples from which the centroids of a tessellation are found: so many, and more where there are many cells.
CVT_SAMPLES, CVT_SAMPLES_PER_CELL = 25_000, 10


class EliteArchive(NamedTuple):
    """One elite a cell.

    Attributes:
      entries: a pytree, leaves `[C, ...]`; zero in empty cells.
      fitnesses: `[C]`; -inf in empty cells.
      rejected: number of individuals that were refused for a non-finite number, int32.
    """

    entries: PyTree
    fitnesses: Float[Array, "C"]
    rejected: Int[Array, ""]


class Tessellation(NamedTuple):
    """How descriptor space is cut into cells.

    Attributes:
      num_cells: C.
      init: `init(key) -> centroids[C, D]`; None with a grid.
      cells: `cells(descriptors[B, D], centroids) -> cells[B]`.
    """

    num_cells: int
    init: Callable[[PRNGKeyArray], Any]
    cells: Callable[[Float[Array, "B D"], Any], Int[Array, "B"]]


def elite_archive_init(example: PyTree, num_cells: int) -> EliteArchive:
    """An empty archive.

    Args:
      example: a batch of individuals, or its `jax.ShapeDtypeStruct`s, leaves `[B, ...]`: their first axis is replaced.
      num_cells: C, static, at least 1.

    Raises:
      ValueError: if `num_cells` is below 1.
    """
    require("num_cells", num_cells, is_count, "an integer of at least 1")
    return EliteArchive(empty_rows(example, num_cells), jnp.full(num_cells, -jnp.inf), jnp.zeros((), jnp.int32))


def elite_archive_insert(
    archive: EliteArchive,
    cells: Int[Array, "B"],
    fitnesses: Float[Array, "B"],
    individuals: PyTree,
    replace_on_tie: bool = False,
) -> EliteArchive:
    """Offers a batch; each cell keeps the fittest of its elite and of the individuals that fall into it.

    Of individuals of one cell with equal fitness the one with the lowest index in the batch goes in, whole: the choice
    is made once, so that all leaves are those of one individual. An individual with a non-finite fitness, or a
    non-finite number anywhere, is refused and counted, and does not touch the others. Costs O(B + C).

    Args:
      archive: where to.
      cells: cell of each individual, in [0, C); those out of range are left out.
      fitnesses: higher is better.
      individuals: a pytree like the entries, leaves `[B, ...]`.
      replace_on_tie: static; whether an individual as fit as the elite replaces it. Where rewards are sparse nearly all
        are equally fit, and the archive drifts if it is true and stands still if it is false.
    """
    num_cells = archive.fitnesses.shape[0]
    batch_size = cells.shape[0]
    order = jnp.arange(batch_size, dtype=jnp.int32)
    finite = jnp.logical_and(jnp.isfinite(fitnesses), finite_rows(individuals))
    offered = jnp.logical_and(finite, jnp.logical_and(cells >= 0, cells < num_cells))
    cells = jnp.where(offered, cells, num_cells)
    best = jax.ops.segment_max(fitnesses, cells, num_cells)
    is_best = jnp.logical_and(offered, fitnesses == best[cells])
    winner = jax.ops.segment_min(jnp.where(is_best, order, batch_size), cells, num_cells)
    elites = archive.fitnesses[cells]
    improves = fitnesses >= elites if replace_on_tie else fitnesses > elites
    accepted = jnp.logical_and(jnp.logical_and(is_best, improves), winner[cells] == order)
    # Indices out of range are dropped; all are different, so that the scatter need not care for an order.
    targets = jnp.where(accepted, cells, num_cells + order)

    def put(leaf: Array, new: Array) -> Array:
        return leaf.at[targets].set(new, mode="drop", unique_indices=True)

    return EliteArchive(
        entries=jax.tree.map(put, archive.entries, individuals),
        fitnesses=put(archive.fitnesses, fitnesses),
        rejected=archive.rejected + jnp.sum(~finite, dtype=jnp.int32),
    )


def elite_archive_mask(archive: EliteArchive) -> Bool[Array, "C"]:
    """Which cells hold an elite."""
    return archive.fitnesses > -jnp.inf


def elite_archive_sample(key: PRNGKeyArray, archive: EliteArchive, num_samples: int) -> Int[Array, "num_samples"]:
    """Draws filled cells uniformly, with replacement, by the inverse of the cumulated occupancy.

    Args:
      key: for one draw.
      archive: should hold an elite at least; from an empty archive all draws are the last cell, whose entries are zero.
      num_samples: static.
    """
    filled_before = jnp.cumsum(elite_archive_mask(archive), dtype=jnp.int32)
    count = filled_before[-1]
    ranks = jax.random.randint(key, (num_samples,), 0, jnp.maximum(count, 1))
    cells = jnp.searchsorted(filled_before, ranks, side="right")
    return jnp.minimum(cells, archive.fitnesses.shape[0] - 1)


def qd_score(archive: EliteArchive, offset: float | Array = 0.0) -> Float[Array, ""]:
    """Sum over the filled cells of `fitness + offset`; the offset should make every term positive.

    Source: Pugh et al., "Confronting the Challenge of Quality Diversity" (2015).
    """
    return jnp.sum(archive.fitnesses + offset, where=elite_archive_mask(archive))


def tessellation(
    kind: Literal["grid", "cvt"],
    bounds: tuple[tuple[float, ...], tuple[float, ...]],
    grid_shape: tuple[int, ...],
    num_centroids: int,
) -> Tessellation:
    """A regular grid, see `grid_cells`, or Voronoi cells of about equal volume (CVT), see `cvt_centroids`.

    Args:
      kind: static.
      bounds: `(lows, highs)` of the descriptors.
      grid_shape: cells along each dimension; not used by a CVT.
      num_centroids: cells of the CVT; not used by a grid.
    """
    if kind == "grid":

        def cells_in_grid(descriptors: Float[Array, "B D"], centroids: None) -> Int[Array, "B"]:
            del centroids
            return grid_cells(descriptors, bounds, grid_shape)

        return Tessellation(prod(grid_shape), lambda key: None, cells_in_grid)
    num_samples = max(CVT_SAMPLES, CVT_SAMPLES_PER_CELL * num_centroids)
    return Tessellation(
        num_centroids, lambda key: cvt_centroids(key, num_centroids, bounds, num_samples), centroid_cells
    )


def grid_cells(
    descriptors: Float[Array, "B D"], bounds: tuple[tuple[float, ...], tuple[float, ...]], shape: tuple[int, ...]
) -> Int[Array, "B"]:
    """Cell of each descriptor in a regular grid: `clip(floor((d - low) / (high - low) n), 0, n - 1)`, row-major.

    Descriptors out of the bounds belong to the cell at the border.

    Args:
      descriptors: B points.
      bounds: `(lows, highs)`, each of length D.
      shape: static; the numbers of cells n, of length D.
    """
    lows, highs = (np.asarray(bound, np.float32) for bound in bounds)
    sizes = np.asarray(shape, np.int32)
    scaled = (descriptors - lows) / (highs - lows) * sizes
    # Clipped before the conversion: that of a float out of the integers' range is undefined.
    places = jnp.clip(jnp.floor(scaled), 0, sizes - 1).astype(jnp.int32)
    strides = np.append(np.cumprod(sizes[:0:-1])[::-1], 1).astype(np.int32)
    return jnp.sum(places * strides, axis=-1, dtype=jnp.int32)


def centroid_cells(descriptors: Float[Array, "B D"], centroids: Float[Array, "C D"]) -> Int[Array, "B"]:
    """Cell of each descriptor in a Voronoi tessellation: the nearest centroid, the lowest index among equals."""
    everywhere = jnp.ones(centroids.shape[0], bool)
    return nearest_neighbors(descriptors, centroids, everywhere, 1).indices[:, 0]


def cvt_centroids(
    key: PRNGKeyArray,
    num_centroids: int,
    bounds: tuple[tuple[float, ...], tuple[float, ...]],
    num_samples: int = CVT_SAMPLES,
    num_iterations: int = 30,
) -> Float[Array, "C D"]:
    """Centroids of a tessellation into cells of about equal volume: k-means on uniform samples of the box.

    Lloyd's iterations from the first samples; a centroid without samples stays where it is.

    Args:
      key: for one draw.
      num_centroids: C, static, at least 1.
      bounds: `(lows, highs)` of the box, each of length D.
      num_samples: static, at least C.
      num_iterations: static.

    Raises:
      ValueError: if `num_centroids` is below 1 or `num_samples` below `num_centroids`.

    Source: Vassiliades et al., "Using Centroidal Voronoi Tessellations to Scale Up the Multidimensional Archive of
    Phenotypic Elites Algorithm" (2018), algorithm 1.
    """
    require("num_centroids", num_centroids, is_count, "an integer of at least 1")
    require("num_samples", num_samples, lambda number: number >= num_centroids, f"at least {num_centroids} samples")
    lows, highs = (np.asarray(bound, np.float32) for bound in bounds)
    samples = jax.random.uniform(key, (num_samples, len(lows)))

    def iterate(_, centroids: Float[Array, "C D"]) -> Float[Array, "C D"]:
        cells = centroid_cells(samples, centroids)
        sums = jax.ops.segment_sum(samples, cells, num_centroids)
        counts = jax.ops.segment_sum(jnp.ones(num_samples), cells, num_centroids)[:, None]
        return jnp.where(counts > 0, sums / jnp.maximum(counts, 1), centroids)

    centroids = jax.lax.fori_loop(0, num_iterations, iterate, samples[:num_centroids])
    return lows + centroids * (highs - lows)
