"""Pareto dominance: which rows of scores are beaten by no other in all objectives at a time.

All objectives are maximised. Equal rows do not dominate each other. Rows that are masked out, and rows with a score
that is not finite, dominate nothing and stand on no front.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl_sparse.base import require
from jaxrl_sparse.numerics.predicates import anywhere


def dominates(scores: Float[Array, "*#B K"], others: Float[Array, "*#B K"]) -> Bool[Array, "*B"]:
    """Whether each row is at least as good as the other in all objectives, and better in one.

    Args:
      scores: K objectives.
      others: of a shape that broadcasts with that of the scores.
    """
    return jnp.logical_and(jnp.all(scores >= others, axis=-1), jnp.any(scores > others, axis=-1))


def pareto_front(scores: Float[Array, "N K"], mask: Bool[Array, "N"]) -> Bool[Array, "N"]:
    """Which rows no other row dominates: the first front. Costs O(N^2 K).

    Args:
      scores: of N points in K objectives.
      mask: which of them exist.
    """
    valid = _valid(scores, mask)
    return jnp.logical_and(valid, ~jnp.any(_domination(scores, valid), axis=0))


def front_ranks(scores: Float[Array, "N K"], mask: Bool[Array, "N"]) -> Int[Array, "N"]:
    """Non-dominated sorting: 0 for the first front, 1 for the front of what is left without it, and so on.

    Two objectives are sorted in O(N) steps of a scan over the points, each of which compares with the fronts so far:
    with the sparse rewards of this library most points share a score, and the fronts are nearly as many as the points.
    More objectives are sorted by taking front after front away, in O(N^2) for each.

    Args:
      scores: of N points in K objectives, K at least 1.
      mask: which of them exist.

    Returns:
      int32; N for points that do not exist or have a score that is not finite.

    Raises:
      ValueError: if there is no objective.

    Source: the fronts of Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (2002).
    """
    require("scores", scores.shape, lambda shape: shape[1] >= 1, "an objective at least")
    valid = _valid(scores, mask)
    return _ranks_of_pairs(scores, valid) if scores.shape[1] == 2 else _ranks_by_peeling(scores, valid)


def _ranks_of_pairs(scores: Float[Array, "N 2"], valid: Bool[Array, "N"]) -> Int[Array, "N"]:
    num_points = scores.shape[0]
    # Those that do not exist come last, and are dominated by everything.
    first, second = jnp.where(valid[:, None], scores, -jnp.inf).T
    order = jnp.lexsort((-second, -first))
    first, second = first[order], second[order]
    repeats = jnp.logical_and(first[1:] == first[:-1], second[1:] == second[:-1])
    repeats = jnp.concatenate([jnp.zeros(1, bool), repeats])

    # All points before this one are at least as good in the first objective. So a front holds a point that dominates it
    # if the front's best in the second objective, that of its last point, is as good; these are the first fronts.
    def place(carry, point):
        best_of_fronts, previous = carry
        value, repeat = point
        rank = jnp.where(repeat, previous, jnp.sum(best_of_fronts >= value, dtype=jnp.int32))
        return (best_of_fronts.at[rank].set(value, mode="drop"), rank), rank

    nobody = (jnp.full(num_points, -jnp.inf, scores.dtype), jnp.int32(0))
    _, ranks = jax.lax.scan(place, nobody, (second, repeats))
    return jnp.zeros(num_points, jnp.int32).at[order].set(ranks, unique_indices=True)


def _ranks_by_peeling(scores: Float[Array, "N K"], valid: Bool[Array, "N"]) -> Int[Array, "N"]:
    num_points = scores.shape[0]
    domination = _domination(scores, valid)

    def peel(carry):
        ranks, left, rank = carry
        front = jnp.logical_and(left, ~jnp.any(jnp.logical_and(domination, left[:, None]), axis=0))
        return jnp.where(front, rank, ranks), jnp.logical_and(left, ~front), rank + 1

    nobody = (jnp.full(num_points, num_points, jnp.int32), valid, jnp.int32(0))
    ranks, _, _ = jax.lax.while_loop(lambda carry: anywhere(carry[1]), peel, nobody)
    return ranks


def _domination(scores: Float[Array, "N K"], valid: Bool[Array, "N"]) -> Bool[Array, "N N"]:
    """Whether row i dominates row j."""
    both = jnp.logical_and(valid[:, None], valid)
    return jnp.logical_and(both, dominates(scores[:, None, :], scores[None, :, :]))


def _valid(scores: Float[Array, "N K"], mask: Bool[Array, "N"]) -> Bool[Array, "N"]:
    return jnp.logical_and(mask, jnp.all(jnp.isfinite(scores), axis=-1))
