"""Who survives when there are several objectives: NSGA-II's fronts and crowding distances.

All objectives are maximised.

Source: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (2002), section III.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.numerics.pareto import front_ranks


def nsga_ii_select(
    scores: Float[Array, "N K"], num_survivors: int, mask: Bool[Array, "N"] | None = None
) -> Int[Array, "num_survivors"]:
    """Fills the places front by front, and those of the last front by crowding distance, the largest first.

    Among equals the lowest index comes first. Rows that are masked out, or have a score that is not finite, are taken
    only when nobody else is left.

    Args:
      scores: of N individuals in K objectives, higher is better.
      num_survivors: static, from 1 to N.
      mask: which of the rows are individuals; None for all.

    Returns:
      Indices of different rows, int32: by front, and within a front by crowding distance.

    Raises:
      ValueError: if `num_survivors` is below 1 or above N.
    """
    num_rows = scores.shape[0]
    require(
        "num_survivors",
        num_survivors,
        lambda number: is_count(number) and number <= num_rows,
        f"an integer from 1 to {num_rows}, the number of rows",
    )
    ranks = front_ranks(scores, jnp.ones(num_rows, bool) if mask is None else mask)
    order = jnp.lexsort((-crowding_distances(scores, ranks), ranks))
    return order[:num_survivors].astype(jnp.int32)


def crowding_distances(scores: Float[Array, "N K"], ranks: Int[Array, "N"]) -> Float[Array, "N"]:
    """How far apart the neighbours of each individual on its front are.

    The sum over the objectives of `(f[i + 1] - f[i - 1]) / (max f - min f)`, over the front sorted by the objective;
    infinite for the two at the front's ends, whichever the objective. An objective in which the whole front is equal
    contributes nothing, and sets no ends unless the front has one member only. Where scores are equal, the lower index
    comes first in the sorted front.

    Args:
      scores: of N individuals in K objectives.
      ranks: the front of each, see `numerics.pareto.front_ranks`; N for rows that stand on none, whose distance is 0.

    Returns:
      Without a unit, at least 0.
    """
    num_rows = scores.shape[0]
    placed = ranks < num_rows

    def of_objective(values: Float[Array, "N"]) -> Float[Array, "N"]:
        values = jnp.where(placed, values, 0.0)
        order = jnp.lexsort((values, ranks))
        values, fronts = values[order], ranks[order]
        new_front = fronts[1:] != fronts[:-1]
        starts = jnp.concatenate([jnp.ones(1, bool), new_front])
        ends = jnp.concatenate([new_front, jnp.ones(1, bool)])
        lowest = jax.ops.segment_min(values, fronts, num_rows + 1)[fronts]
        highest = jax.ops.segment_max(values, fronts, num_rows + 1)[fronts]
        spread = highest - lowest
        gaps = jnp.roll(values, -1) - jnp.roll(values, 1)
        shares = jnp.where(spread > 0, gaps / jnp.where(spread > 0, spread, 1.0), 0.0)
        at_end = jnp.logical_or(starts, ends)
        at_end = jnp.logical_and(at_end, jnp.logical_or(spread > 0, jnp.logical_and(starts, ends)))
        return jnp.zeros_like(values).at[order].set(jnp.where(at_end, jnp.inf, shares), unique_indices=True)

    distances = jnp.sum(jax.vmap(of_objective, in_axes=1)(scores), axis=0)
    return jnp.where(placed, distances, 0.0)
