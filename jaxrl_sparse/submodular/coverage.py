"""Set functions that count what was covered: weighted footprints, groups with a cap, the cells of a map.

All are monotone and submodular, and blind to order and repetition. Their memory is a set of bits.
"""

import contextlib
from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, UInt32
from numpy.typing import ArrayLike

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.submodular.packed_masks import cardinality, contains, num_words, pack
from jaxrl_sparse.submodular.set_functions import SetFunction
from jaxrl_sparse.submodular.tables import as_floats, as_integers


def coverage(weights: ArrayLike, footprint: ArrayLike) -> SetFunction:
    """The weight of all items that lie in the footprint of a visited element.

        F(A) = sum over m in the union of D(s), s in A, of w_m

    With weights of one this is the number of covered items; with the identity as footprint, the number of distinct
    visited elements.

    Args:
      weights: `[M]`, w of each item, non-negative, in the reward's unit.
      footprint: `[N, K]` int, row s holds the items of D(s), each once, and -1 in the places that are left.

    Returns:
      A set function of N elements; its memory is `[ceil(M / 32)]` uint32.

    Raises:
      ValueError: if a weight is negative, an item of the footprint does not exist or is in a row twice, or a shape is
        wrong.

    Source: Prajapat et al., "Submodular Reinforcement Learning" (2024), the coverage and path planning tasks.
    """
    weights = as_floats("weights", weights, "M", least=0)
    footprint = as_integers("footprint", footprint, "N K", least=-1, most=weights.shape[0] - 1)
    _require_distinct(footprint)
    num_elements, num_items = footprint.shape[0], weights.shape[0]
    # Tables that are known are packed once, also inside jit: there XLA would fold them, which takes it seconds.
    unknown = isinstance(weights, Tracer) or isinstance(footprint, Tracer)
    with contextlib.nullcontext() if unknown else jax.ensure_compile_time_eval():
        masks, item_weights = _by_element(weights, footprint)

    def init() -> UInt32[Array, "W"]:
        return jnp.zeros(num_words(num_items), jnp.uint32)

    def gain(memory: UInt32[Array, "W"], element: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.sum(item_weights[element], where=~contains(memory, footprint[element]))

    def add(memory: UInt32[Array, "W"], element: Int[Array, ""]) -> UInt32[Array, "W"]:
        return memory | masks[element]

    def value(elements: Int[Array, "H"], mask: Bool[Array, "H"] | None = None) -> Float[Array, ""]:
        counted = footprint[elements] >= 0
        counted = counted if mask is None else counted & mask[:, None]
        items = jnp.where(counted, footprint[elements], num_items)
        return jnp.sum(weights, where=jnp.zeros(num_items, bool).at[items].set(True, mode="drop"))

    return SetFunction(num_elements, init, gain, add, value)


class GroupedVisits(NamedTuple):
    """Memory of `capped_groups`.

    Attributes:
      visited: `[ceil(N / 32)]` uint32, the bits of the visited elements.
      counts: `[G]` int32, distinct visited elements of each group.
    """

    visited: UInt32[Array, "W"]
    counts: Int[Array, "G"]


def capped_groups(group_of_element: ArrayLike, caps: ArrayLike) -> SetFunction:
    """Items of several kinds, of each of which only so many are wanted.

        F(A) = sum over groups k of min(|{distinct s in A of group k}|, D_k)

    Args:
      group_of_element: `[N]` int, the group k of each element, -1 for those of none.
      caps: `[G]` int, D_k, at least 0.

    Returns:
      A set function of N elements whose gains are 0 or 1.

    Raises:
      ValueError: if a group does not exist, a cap is negative, or a shape is wrong.

    Source: Prajapat et al., "Submodular Reinforcement Learning" (2024), the item collection task.
    """
    caps = as_integers("caps", caps, "G", least=0)
    group_of_element = as_integers("group_of_element", group_of_element, "N", least=-1, most=caps.shape[0] - 1)
    num_elements, num_groups = group_of_element.shape[0], caps.shape[0]

    def init() -> GroupedVisits:
        return GroupedVisits(jnp.zeros(num_words(num_elements), jnp.uint32), jnp.zeros(num_groups, jnp.int32))

    def is_new(memory: GroupedVisits, element: Int[Array, ""]) -> Bool[Array, ""]:
        return (group_of_element[element] >= 0) & ~contains(memory.visited, element)

    def gain(memory: GroupedVisits, element: Int[Array, ""]) -> Float[Array, ""]:
        group = group_of_element[element]
        wanted = memory.counts[group] < caps[group]
        return (is_new(memory, element) & wanted).astype(jnp.float32)

    def add(memory: GroupedVisits, element: Int[Array, ""]) -> GroupedVisits:
        here = jnp.arange(num_groups) == group_of_element[element]
        return GroupedVisits(
            memory.visited | pack(jnp.arange(num_elements) == element),
            memory.counts + (here & is_new(memory, element)).astype(jnp.int32),
        )

    def value(elements: Int[Array, "H"], mask: Bool[Array, "H"] | None = None) -> Float[Array, ""]:
        places = elements if mask is None else jnp.where(mask, elements, num_elements)
        visited = jnp.zeros(num_elements, bool).at[places].set(True, mode="drop")
        of_group = group_of_element == jnp.arange(num_groups)[:, None]
        return jnp.sum(jnp.minimum(jnp.sum(of_group & visited, axis=1), caps)).astype(jnp.float32)

    return SetFunction(num_elements, init, gain, add, value)


def grid_mask(
    num_cells: tuple[int, int],
    low: tuple[float, float],
    high: tuple[float, float],
    block: tuple[int, int] = (1, 1),
    unit: float | Array = 1.0,
) -> SetFunction:
    """The area of a map that a body has passed over, each position marking a block of cells.

        F(A) = unit * |union over positions p in A of the block whose first cell is floor((p - low) / cell size)|

    Elements are positions `[2]`, floats in the unit of `low` and `high`. Cells of a block beyond the map are not
    counted. The arena of the ant is `grid_mask((100, 100), (-20.0, -20.0), (20.0, 20.0), block=(5, 5), unit=0.1)`.

    Args:
      num_cells: (R, C), static, along the first and the second coordinate.
      low: the map's lower corner.
      high: the map's upper corner.
      block: cells marked along each coordinate, static.
      unit: what a cell is worth, in the reward's unit; non-negative.

    Returns:
      A set function of no finite ground set; its memory is `[R, ceil(C / 32)]` uint32.

    Raises:
      ValueError: if a number of cells is less than 1, `high` is not above `low`, or `unit` is negative or not finite.

    Source: Prajapat et al., "Submodular Reinforcement Learning" (2024), the Ant task.
    """
    for argument, pair in (("num_cells", num_cells), ("block", block)):
        require(
            argument, pair, lambda sizes: len(sizes) == 2 and all(map(is_count, sizes)), "two integers of at least 1"
        )
    require(
        "low, high",
        (low, high),
        lambda ends: len(ends[0]) == len(ends[1]) == 2 and all(a < b for a, b in zip(*ends, strict=True)),
        "two corners, the second above the first in both coordinates",
    )
    require("unit", unit, lambda worth: 0 <= worth < inf, "a finite number of at least 0")
    sizes = jnp.asarray(num_cells)
    corner = jnp.asarray(low, jnp.float32)
    scale = sizes / (jnp.asarray(high, jnp.float32) - corner)

    def hits(position: Float[Array, "2"]) -> tuple[Bool[Array, "R"], Bool[Array, "C"]]:
        first = jnp.floor((position - corner) * scale)
        rows, columns = (jnp.arange(size) - start for size, start in zip(num_cells, first, strict=True))
        return (rows >= 0) & (rows < block[0]), (columns >= 0) & (columns < block[1])

    def marked(position: Float[Array, "2"]) -> UInt32[Array, "R W"]:
        rows, columns = hits(position)
        return jnp.where(rows[:, None], pack(columns), jnp.uint32(0))

    def init() -> UInt32[Array, "R W"]:
        return jnp.zeros((num_cells[0], num_words(num_cells[1])), jnp.uint32)

    def gain(memory: UInt32[Array, "R W"], element: Float[Array, "2"]) -> Float[Array, ""]:
        return unit * cardinality(marked(element) & ~memory).astype(jnp.float32)

    def add(memory: UInt32[Array, "R W"], element: Float[Array, "2"]) -> UInt32[Array, "R W"]:
        return memory | marked(element)

    def value(elements: Float[Array, "H 2"], mask: Bool[Array, "H"] | None = None) -> Float[Array, ""]:
        first = jnp.floor((elements - corner) * scale)
        row, column = jnp.meshgrid(*(jnp.arange(size) for size in num_cells), indexing="ij")
        inside = [
            (cell >= start) & (cell < start + extent)
            for cell, start, extent in zip((row, column), first.T[..., None, None], block, strict=True)
        ]
        covered = inside[0] & inside[1]
        covered = covered if mask is None else covered & mask[:, None, None]
        return unit * jnp.sum(jnp.any(covered, axis=0)).astype(jnp.float32)

    return SetFunction(None, init, gain, add, value)


@jax.jit
def _by_element(weights: Float[Array, "M"], footprint: Int[Array, "N K"]) -> tuple[Array, Array]:
    """The footprints as bits, `[N, W]`, and the weights of their items, `[N, K]`, 0 in the places that are left."""
    num_items = weights.shape[0]
    items = jnp.where(footprint < 0, num_items, footprint)
    rows = jnp.zeros((footprint.shape[0], num_items), bool)
    rows = rows.at[jnp.arange(footprint.shape[0])[:, None], items].set(True, mode="drop")
    return pack(rows), jnp.where(footprint < 0, 0, weights[footprint])


def _require_distinct(footprint: Array) -> None:
    if isinstance(footprint, Tracer):
        return
    ordered = np.sort(np.asarray(footprint), axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    require(
        "footprint",
        np.flatnonzero(twice.any(axis=1))[:1].tolist(),
        lambda rows: not rows,
        "rows without an item that is there twice, unlike the row whose number is shown",
    )
