"""What a quality-diversity algorithm searches: genomes, and what came of them.

An algorithm takes a `Problem`, never an environment: a maze, a kinematic arm and a test function are one case.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import require
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.planar.base import PlanarEnvironment
from jaxrl_sparse.environments.rollouts import run_episodes
from jaxrl_sparse.networks.genomes import feedforward

Bounds = tuple[tuple[float, ...], tuple[float, ...]]


class Evaluation(NamedTuple):
    """What became of B genomes.

    Attributes:
      rewards: `[B]`, the fitness, higher is better.
      descriptors: `[B, D]`, the behaviour that the search sees.
      ground_truth: `[B, 2]`, the behaviour that only the metrics see.
      areas: `[B]` int32, the reward area that the reward came from; -1 where none.
      render_states: `[B, S]`, the few numbers from which an image of the outcome is drawn.
      environment_steps: `[B]` int32, what the evaluation cost; 0 where there is no environment.
    """

    rewards: Float[Array, "B"]
    descriptors: Float[Array, "B D"]
    ground_truth: Float[Array, "B 2"]
    areas: Int[Array, "B"]
    render_states: Float[Array, "B S"]
    environment_steps: Int[Array, "B"]


class Individuals(NamedTuple):
    """Genomes with their evaluation.

    Attributes:
      genomes: `[B, P]`.
      evaluation: of these genomes.
    """

    genomes: Float[Array, "B P"]
    evaluation: Evaluation


class Discoveries(NamedTuple):
    """What a search has found, for plots.

    Attributes:
      ground_truth: `[N, 2]`.
      rewards: `[N]`.
      areas: `[N]` int32; -1 where none.
      mask: `[N]` bool, which rows hold an individual.
      visits: `[50 * 50]` int32, how many of all evaluated individuals ended in each cell of the ground-truth grid.
    """

    ground_truth: Float[Array, "N 2"]
    rewards: Float[Array, "N"]
    areas: Int[Array, "N"]
    mask: Bool[Array, "N"]
    visits: Int[Array, "cells"]


class Problem(NamedTuple):
    """A search space and how its points are evaluated.

    Attributes:
      evaluate_genomes: `evaluate_genomes(key, genomes[B, P]) -> Evaluation`.
      genome_size: P.
      descriptor_size: D.
      ground_truth_bounds: `((low, low), (high, high))`, the box that the coverage metric's grid spans.
      num_areas: number of reward areas; may be 0.
      render_size: S, at least 1.
      descriptor_bounds: `(lows, highs)` of the descriptors; None where they are not known beforehand.
      genome_bounds: `(low, high)` of every gene where the problem itself sets them; genomes then start uniformly in
        this box. None: they start from a standard normal, and the algorithm's configuration bounds them.
    """

    evaluate_genomes: Callable[[PRNGKeyArray, Float[Array, "B P"]], Evaluation]
    genome_size: int
    descriptor_size: int
    ground_truth_bounds: Bounds
    num_areas: int
    render_size: int
    descriptor_bounds: Bounds | None = None
    genome_bounds: tuple[float, float] | None = None


def controller_problem(environment: PlanarEnvironment, params: Any, hidden_sizes: tuple[int, ...] = (5, 5)) -> Problem:
    """The search for controllers of an environment: one whole episode for each genome, nothing of it stored.

    The genome is that of `networks.genomes.feedforward`, from the observation over `hidden_sizes` to the action in
    (-1, 1). The reward is the episode's return, and descriptor and ground truth are the environment's own descriptor
    of the last state.

    Args:
      environment: with a flat observation and a continuous action.
      params: of the environment, which end the episode by their `max_steps_in_episode`; they may be tracers, and large
        tables should be arguments of the jitted function that calls this one.
      hidden_sizes: static; widths of the hidden layers, each at least 1.

    Returns:
      The problem, whose ground truth bounds and descriptor bounds are the environment's.

    Raises:
      ValueError: if a width is below 1.

    Source: the controllers of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (2021).
    """
    require("hidden_sizes", hidden_sizes, lambda sizes: all(size >= 1 for size in sizes), "widths of at least 1")
    observation_size = spaces.size_of(environment.observation_space(params))
    action_size = spaces.size_of(environment.action_space(params))
    network = feedforward((observation_size, *hidden_sizes, action_size))
    act = jax.vmap(network.apply)
    # The time limit is one of the parameters, which may be tracers: they end the episodes, not this bound.
    unlimited = int(np.iinfo(np.int32).max)

    def of_states(function: Callable[..., Array], states: Any) -> Array:
        return jax.vmap(function, in_axes=(0, None))(states, params)

    def evaluate_genomes(key: PRNGKeyArray, genomes: Float[Array, "B P"]) -> Evaluation:
        episodes = run_episodes(environment, act, genomes, key, params, unlimited)
        descriptors = of_states(environment.descriptor, episodes.states)
        return Evaluation(
            rewards=episodes.returns,
            descriptors=descriptors,
            ground_truth=descriptors,
            areas=of_states(environment.area, episodes.states),
            render_states=of_states(environment.render_state, episodes.states),
            environment_steps=episodes.lengths,
        )

    _, state = jax.eval_shape(environment.reset_env, jax.random.key(0), params)
    render_size = jax.eval_shape(environment.render_state, state, params).shape[0]
    return Problem(
        evaluate_genomes=evaluate_genomes,
        genome_size=network.size,
        descriptor_size=2,
        ground_truth_bounds=environment.descriptor_bounds,
        num_areas=len(environment.reward_areas),
        render_size=render_size,
        descriptor_bounds=environment.descriptor_bounds,
    )


def genome_box(
    problem: Problem, genome_bound: float | Array
) -> tuple[float | Float[Array, ""], float | Float[Array, ""]]:
    """Smallest and largest value of a gene: the problem's own bounds, else `-genome_bound` and `genome_bound`."""
    return problem.genome_bounds or (-genome_bound, genome_bound)


def random_genomes(
    key: PRNGKeyArray, problem: Problem, num_genomes: int, genome_bound: float | Array
) -> Float[Array, "B P"]:
    """Genomes to start from: uniform in the problem's own bounds, else `clip(N(0, I), -genome_bound, genome_bound)`.

    Args:
      key: for one draw.
      problem: what is searched.
      num_genomes: B, static.
      genome_bound: used where the problem sets no bounds.
    """
    low, high = genome_box(problem, genome_bound)
    shape = (num_genomes, problem.genome_size)
    if problem.genome_bounds is not None:
        return jax.random.uniform(key, shape, jnp.float32, low, high)
    return jnp.clip(jax.random.normal(key, shape, jnp.float32), low, high)
