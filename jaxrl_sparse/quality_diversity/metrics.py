"""What a search has seen: cells visited on the ground-truth grid, and the best individual of each reward area."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxrl_sparse.base import ENVIRONMENT_STEPS, EVALUATIONS, Metrics
from jaxrl_sparse.quality_diversity.archives import empty_rows, finite_rows
from jaxrl_sparse.quality_diversity.problems import Bounds, Discoveries, Individuals, Problem

# Cells a side of the grid on which coverage is published.
GRID_SIZE = 50


class History(NamedTuple):
    """Of all individuals that a search has evaluated.

    Attributes:
      visits: `[50 * 50]` int32, individuals in each cell of the ground-truth grid, row-major.
      champions: the best individual of each reward area, and in the last row of all; leaves `[num_areas + 1, ...]`.
      champion_rewards: `[num_areas + 1]`; -inf where there is none.
      rejected: number of individuals with a non-finite number, int32.
      out_of_bounds: number of individuals whose ground truth is not on the grid, int32.
    """

    visits: Int[Array, "cells"]
    champions: Individuals
    champion_rewards: Float[Array, "rows"]
    rejected: Int[Array, ""]
    out_of_bounds: Int[Array, ""]


def history_init(example: Individuals, num_areas: int) -> History:
    """The history of a search that has seen nothing.

    Args:
      example: a batch of individuals, or its `jax.ShapeDtypeStruct`s.
      num_areas: number of reward areas, static; may be 0.
    """
    return History(
        visits=jnp.zeros(GRID_SIZE**2, jnp.int32),
        champions=empty_rows(example, num_areas + 1),
        champion_rewards=jnp.full(num_areas + 1, -jnp.inf),
        rejected=jnp.zeros((), jnp.int32),
        out_of_bounds=jnp.zeros((), jnp.int32),
    )


def history_update(history: History, individuals: Individuals, bounds: Bounds) -> History:
    """Adds evaluated individuals; among equally good ones the first that was seen stays champion.

    Args:
      history: so far.
      individuals: B of them, every one evaluated just now.
      bounds: `(lows, highs)` of the ground-truth grid.
    """
    valid = finite_rows(individuals)
    cells = ground_truth_cells(individuals.evaluation.ground_truth, bounds)
    on_grid = jnp.logical_and(valid, cells < GRID_SIZE**2)
    history = history_crown(history, individuals, jnp.ones_like(valid))
    return history._replace(
        visits=history.visits.at[jnp.where(on_grid, cells, GRID_SIZE**2)].add(1, mode="drop"),
        out_of_bounds=history.out_of_bounds + jnp.sum(jnp.logical_and(valid, ~on_grid), dtype=jnp.int32),
    )


def history_crown(history: History, individuals: Individuals, mask: Bool[Array, "B"]) -> History:
    """Adds individuals that may become champions and visit no cell: coverage is that of exploration alone.

    Args:
      history: so far.
      individuals: B of them.
      mask: which of them count.
    """
    evaluation = individuals.evaluation
    finite = finite_rows(individuals)
    num_areas = history.champion_rewards.shape[0] - 1
    of_row = jnp.concatenate([evaluation.areas == jnp.arange(num_areas)[:, None], jnp.ones((1, len(finite)), bool)])
    rewards = jnp.where(of_row & finite & mask, evaluation.rewards, -jnp.inf)
    best = jnp.argmax(rewards, axis=-1)
    best_rewards = jnp.max(rewards, axis=-1)
    improved = best_rewards > history.champion_rewards

    def crown(old: Array, new: Array) -> Array:
        return jnp.where(improved.reshape(-1, *[1] * (old.ndim - 1)), new[best], old)

    return history._replace(
        champions=jax.tree.map(crown, history.champions, individuals),
        champion_rewards=jnp.where(improved, best_rewards, history.champion_rewards),
        rejected=history.rejected + jnp.sum(mask & ~finite, dtype=jnp.int32),
    )


def history_metrics(history: History) -> Metrics:
    """The history in numbers, all of the whole search so far.

    Returns:
      coverage: see `coverage`.
      uniformity: see `uniformity`.
      max_reward: the best reward of any individual; NaN while there is no valid one.
      max_reward_area_i: the best reward in area i; 0 while nothing was rewarded there.
      rejected: number of individuals with a non-finite number.
      out_of_bounds: number of individuals that the ground-truth grid does not hold.
    """
    rewards = history.champion_rewards
    found = jnp.isfinite(rewards)
    of_areas = {
        f"max_reward_area_{i}": jnp.where(found[i], rewards[i], 0.0)
        for i in range(history.champion_rewards.shape[0] - 1)
    }
    return {
        "coverage": coverage(history.visits),
        "uniformity": uniformity(history.visits),
        "max_reward": jnp.where(found[-1], rewards[-1], jnp.nan),
        "rejected": history.rejected,
        "out_of_bounds": history.out_of_bounds,
        **of_areas,
    }


def cost_metrics(
    environment_steps: Int[Array, "B"],
    step: Int[Array, ""],
    initial_evaluations: int,
    initial_environment_steps: Int[Array, ""],
) -> Metrics:
    """What one update cost: evaluations and environment steps, at step 0 together with those of `init`.

    Args:
      environment_steps: of all individuals that the update evaluated.
      step: number of the update.
      initial_evaluations: number of individuals that `init` evaluated, static.
      initial_environment_steps: sum of their environment steps.
    """
    first = step == 0
    evaluations = environment_steps.shape[0] + jnp.where(first, initial_evaluations, 0)
    all_steps = jnp.sum(environment_steps) + jnp.where(first, initial_environment_steps, 0)
    return {EVALUATIONS: evaluations.astype(jnp.int32), ENVIRONMENT_STEPS: all_steps.astype(jnp.int32)}


def ground_truth_cells(ground_truth: Float[Array, "B 2"], bounds: Bounds) -> Int[Array, "B"]:
    """Cell of each point on the 50 x 50 grid of the coverage metric, row-major; 2500 where it is not on the grid.

    With the 51 edges `linspace(low, high, 51)` of a dimension, the cell of g is `max(i, 1) - 1`, where i is the index
    of the first edge that is at least g: a value on an edge belongs to the *lower* cell.

    Source: the evaluation scripts of Paolo et al., "Discovering and Exploiting Sparse Rewards in a Learned Behavior
    Space" (STAX), as published.
    """
    lows, highs = np.asarray(bounds, np.float64)
    edges = np.linspace(lows, highs, GRID_SIZE + 1).astype(np.float32)
    first_edge_not_below = jnp.sum(ground_truth[:, None, :] > edges, axis=1, dtype=jnp.int32)
    places = jnp.maximum(first_edge_not_below, 1) - 1
    inside = jnp.all(jnp.logical_and(ground_truth >= edges[0], ground_truth <= edges[-1]), axis=-1)
    return jnp.where(inside, places[:, 0] * GRID_SIZE + places[:, 1], GRID_SIZE**2)


def coverage(visits: Int[Array, "cells"]) -> Float[Array, ""]:
    """Share of the cells with at least one visit, in [0, 1]."""
    return jnp.mean(visits > 0)


def coverage_of(ground_truth: Float[Array, "B 2"], mask: Bool[Array, "B"], bounds: Bounds) -> Float[Array, ""]:
    """Share of the cells of the ground-truth grid that the masked points are in."""
    cells = jnp.where(mask, ground_truth_cells(ground_truth, bounds), GRID_SIZE**2)
    return coverage(jnp.zeros(GRID_SIZE**2, jnp.int32).at[cells].add(1, mode="drop"))


def uniformity(visits: Int[Array, "cells"]) -> Float[Array, ""]:
    """How even the visits are: 1 minus the Jensen-Shannon distance of their distribution from the uniform one.

    With p the shares of the visits, u = 1/n and m = (p + u)/2, the distance is
    `sqrt((KL(p || m) + KL(u || m)) / 2)`, in natural logarithms. 1 if all cells were visited equally often; 0 where
    there is no visit at all.

    Source: Gomes, Mariano and Christensen, "Devising Effective Novelty Search Algorithms: A Comprehensive Empirical
    Study" (2015).
    """
    # In float32: the sum of a long search's visits overflows int32.
    total = jnp.sum(visits, dtype=jnp.float32)
    shares = visits / jnp.maximum(total, 1.0)
    uniform = 1.0 / visits.shape[0]
    mean = (shares + uniform) / 2.0
    divergence = (jnp.sum(jax.scipy.special.rel_entr(shares, mean)) + jnp.sum(uniform * jnp.log(uniform / mean))) / 2.0
    return jnp.where(total > 0, 1.0 - jnp.sqrt(jnp.maximum(divergence, 0.0)), 0.0)


def evaluation_metrics(problem: Problem, individuals: Individuals) -> Metrics:
    """Of one evaluation of a set of individuals: coverage, uniformity and best rewards of these alone.

    Args:
      problem: what they were evaluated on.
      individuals: B of them.
    """
    history = history_init(individuals, problem.num_areas)
    return history_metrics(history_update(history, individuals, problem.ground_truth_bounds))


def champions_and(history: History, individuals: Individuals, mask: Array) -> Discoveries:
    """The champions of all reward areas, other individuals, and the cells that were visited, for plots.

    Args:
      history: holds the champions and the visits.
      individuals: N others.
      mask: which of them count.
    """
    both = jax.tree.map(
        lambda champions, others: jnp.concatenate([champions, others]),
        history.champions.evaluation,
        individuals.evaluation,
    )
    return Discoveries(
        ground_truth=both.ground_truth,
        rewards=both.rewards,
        areas=both.areas,
        mask=jnp.concatenate([jnp.isfinite(history.champion_rewards), mask]),
        visits=history.visits,
    )
