"""Bonuses by counting visits, of cells that are given or of hashes where there are too many."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import PyTree, RewardTransformation, Trajectory, is_count, require


def count_bonus(cell_of: Callable[[PyTree], Array], num_cells: int) -> RewardTransformation:
    """`r_t = 1 / sqrt(n(c_{t+1}))`, the bonus of the n-th visit of a cell, and nothing else.

    Visits are counted in the order of time over all environments: n counts those of earlier steps, and all of the same
    step, whose environments stand side by side. So cutting experience into trajectories changes nothing. The cell is
    that of what followed the step *before* any reset; counts are kept through the ends of episodes. `relabel` tells the
    bonus by the counts so far, at least 1, and counts nothing.

    Args:
      cell_of: from observations `[..., *observation]` to numbers of cells `[...]` in [0, num_cells), such as
        `box_cells` or `hash_cells`.
      num_cells: N; the state is `[N]` int32.

    Raises:
      ValueError: if N is less than 1.

    Source: Strehl and Littman, "An Analysis of Model-Based Interval Estimation" (2008); Bellemare et al., "Unifying
    Count-Based Exploration and Intrinsic Motivation" (2016).
    """
    require("num_cells", num_cells, is_count, "an integer of at least 1")

    def init(key: PRNGKeyArray, spec: Trajectory) -> Int[Array, "N"]:
        del key, spec
        return jnp.zeros(num_cells, jnp.int32)

    def bonus(counts: Int[Array, "N"], cells: Int[Array, "..."]) -> Float[Array, "..."]:
        return jax.lax.rsqrt(jnp.maximum(counts[cells], 1).astype(jnp.float32))

    def update(trajectory: Trajectory, state: Int[Array, "N"]) -> tuple[Float[Array, "T B"], Int[Array, "N"]]:
        def step(counts, cells):
            counts = counts.at[cells].add(1)
            return counts, bonus(counts, cells)

        state, rewards = jax.lax.scan(step, state, cell_of(trajectory.next_observations))
        return rewards, state

    def relabel(trajectory: Trajectory, state: Int[Array, "N"]) -> Float[Array, "T B"]:
        return bonus(state, cell_of(trajectory.next_observations))

    return RewardTransformation(init, update, relabel)


def box_cells(low: tuple[float, ...], high: tuple[float, ...], shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Cells of a regular grid over a box: coordinate i is cut into `shape[i]` equal intervals.

    Args:
      low: of each of the D coordinates.
      high: likewise; what lies outside belongs to the cell at the border.
      shape: intervals of each coordinate; there are `prod(shape)` cells, the last coordinate running fastest.

    Returns:
      `cell_of(points [..., D]) -> [...]` int32.

    Raises:
      ValueError: if there are not as many bounds as coordinates, bounds are not in ascending order, or a number of
        intervals is below 1.
    """
    least, most = np.asarray(low, np.float32), np.asarray(high, np.float32)
    require("shape", shape, lambda sizes: len(sizes) >= 1 and all(map(is_count, sizes)), "numbers of at least 1")
    require("low, high", (low, high), lambda _: least.shape == most.shape == (len(shape),), f"{len(shape)} bounds each")
    require("low, high", (low, high), lambda _: bool((least < most).all()), "bounds in ascending order")
    strides = np.append(np.cumprod(shape[:0:-1], dtype=np.int32)[::-1], 1).astype(np.int32)

    def cell_of(points: Float[Array, "*batch D"]) -> Int[Array, "*batch"]:
        scaled = (points - least) / (most - least) * np.asarray(shape, np.float32)
        intervals = jnp.clip(jnp.floor(scaled).astype(jnp.int32), 0, np.asarray(shape, np.int32) - 1)
        return jnp.sum(intervals * strides, axis=-1, dtype=jnp.int32)

    return cell_of


def hash_cells(key: PRNGKeyArray, num_inputs: int, num_bits: int) -> Callable[[Array], Array]:
    """Cells of `2^K` by SimHash: bit k is whether `a_k . x > 0`, with `a_k` standard normal.

    Observations in nearly the same direction from the origin share a cell: standardise them, or add a constant input.

    Args:
      key: draws the directions.
      num_inputs: D.
      num_bits: K, from 1 to 24.

    Returns:
      `cell_of(inputs [..., D]) -> [...]` int32 in [0, 2^K).

    Raises:
      ValueError: if a number is out of range.

    Source: Tang et al., "#Exploration: A Study of Count-Based Exploration for Deep Reinforcement Learning" (NeurIPS
    2017), section 2.2.
    """
    require("num_inputs", num_inputs, is_count, "an integer of at least 1")
    require("num_bits", num_bits, lambda bits: is_count(bits) and bits <= 24, "an integer from 1 to 24")
    directions = jax.random.normal(key, (num_inputs, num_bits))

    def cell_of(inputs: Float[Array, "*batch D"]) -> Int[Array, "*batch"]:
        bits = (inputs @ directions > 0).astype(jnp.int32)
        return jnp.sum(bits << jnp.arange(num_bits, dtype=jnp.int32), axis=-1, dtype=jnp.int32)

    return cell_of
