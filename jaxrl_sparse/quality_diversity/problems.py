"""What a quality-diversity algorithm searches: genomes, and what came of them.

An algorithm takes a `Problem`, never an environment: a maze, a kinematic arm and a test function are one case.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.planar.base import PlanarEnvironment
from jaxrl_sparse.environments.rollouts import Transition, run_episodes
from jaxrl_sparse.networks.genomes import feedforward

Bounds = tuple[tuple[float, ...], tuple[float, ...]]


class Evaluation(NamedTuple):
    """What became of B genomes.

    Attributes:
      rewards: `[B]`, the fitness, higher is better.
      descriptors: `[B, D]`, the behaviour that the search sees.
      ground_truth: `[B, 2]`, the behaviour that only the metrics see.
      areas: `[B]` int32, the reward area that the reward came from; -1 where none.
      render_states: `[B, F, S]`, the few numbers from which each of F images of the outcome is drawn.
      environment_steps: `[B]` int32, what the evaluation cost; 0 where there is no environment.
      surprises: `[B]`, how badly a learned model draws the images again; None where nothing is learned.
    """

    rewards: Float[Array, "B"]
    descriptors: Float[Array, "B D"]
    ground_truth: Float[Array, "B 2"]
    areas: Int[Array, "B"]
    render_states: Float[Array, "B F S"]
    environment_steps: Int[Array, "B"]
    surprises: Float[Array, "B"] | None = None


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
      num_frames: F, images of an outcome, at least 1.
      render: `render(render_state[S], size) -> image[size, size, 3]` in [0, 1]; None where outcomes have no image.
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
    num_frames: int = 1
    render: Callable[[Float[Array, "S"], int], Float[Array, "size size 3"]] | None = None
    descriptor_bounds: Bounds | None = None
    genome_bounds: tuple[float, float] | None = None


class PathDescriptor(NamedTuple):
    """A behaviour descriptor of the whole path of an episode, accumulated while it runs: no path is stored.

    The path is that of the environment's own descriptor: x_0 after the reset, x_t after step t.

    Attributes:
      size: D.
      init: `init(positions[B, 2], time_limit) -> carry`, from the x_0 of B episodes and their most steps T, an int32
        scalar.
      update: `update(carry, positions[B, 2], transition) -> carry`, called for every step of the batch with the x_t; it
        leaves alone the rows that `transition.active` excludes.
      describe: `describe(carry) -> descriptors[B, D]`.
      bounds: `(lows, highs)` of the descriptors, None where they are not known.
    """

    size: int
    init: Callable[[Float[Array, "B 2"], Array], Any]
    update: Callable[[Any, Float[Array, "B 2"], Transition], Any]
    describe: Callable[[Any], Float[Array, "B D"]]
    bounds: Bounds | None = None


def controller_problem(
    environment: PlanarEnvironment,
    params: Any,
    hidden_sizes: tuple[int, ...] = (5, 5),
    path_descriptor: PathDescriptor | None = None,
    num_frames: int = 1,
) -> Problem:
    """The search for controllers of an environment: one whole episode for each genome, nothing of it stored.

    The genome is that of `networks.genomes.feedforward`, from the observation over `hidden_sizes` to the action in
    (-1, 1). The reward is the episode's return, and the ground truth is the environment's own descriptor of the last
    state; so is the descriptor, unless `path_descriptor` makes one from the whole path.

    The F frames of an outcome are the states after the steps `ceil(i (T - 1) / F)`, i = 1 .. F, of an episode of at
    most T steps, counted from 0; an episode that ends earlier repeats its last state. With F = 1 it is the last state.

    Args:
      environment: with a flat observation and a continuous action.
      params: of the environment, which end the episode by their `max_steps_in_episode`; they may be tracers, and large
        tables should be arguments of the jitted function that calls this one.
      hidden_sizes: static; widths of the hidden layers, each at least 1.
      path_descriptor: what the search sees of an episode, where that is not the last state.
      num_frames: F, static, at least 1.

    Returns:
      The problem, whose ground truth bounds are the environment's; so are its descriptor bounds, unless it has a
      `path_descriptor`.

    Raises:
      ValueError: if a width or `num_frames` is below 1.

    Source: the controllers and sampled frames of Paolo et al., "Sparse Reward Exploration via Novelty Search and
    Emitters" (2021) and "Discovering and Exploiting Sparse Rewards in a Learned Behavior Space" (2024), as published.
    """
    require("hidden_sizes", hidden_sizes, lambda sizes: all(size >= 1 for size in sizes), "widths of at least 1")
    require("num_frames", num_frames, is_count, "an integer of at least 1")
    observation_size = spaces.size_of(environment.observation_space(params))
    action_size = spaces.size_of(environment.action_space(params))
    network = feedforward((observation_size, *hidden_sizes, action_size))
    act = jax.vmap(network.apply)
    # The time limit is one of the parameters, which may be tracers: they end the episodes, not this bound.
    unlimited = int(np.iinfo(np.int32).max)
    time_limit = jnp.asarray(params.max_steps_in_episode, jnp.int32)
    last_steps = -(-jnp.arange(1, num_frames + 1, dtype=jnp.int32) * (time_limit - 1) // num_frames)
    _, state_spec = jax.eval_shape(environment.reset_env, jax.random.key(0), params)
    render_size = jax.eval_shape(environment.render_state, state_spec, params).shape[0]

    def of_states(function: Callable[..., Array], states: Any) -> Array:
        return jax.vmap(function, in_axes=(0, None))(states, params)

    def start(observations: Any, states: Any) -> tuple[Any, Any]:
        num_genomes = states.time.shape[0]
        frames = jnp.zeros((num_genomes, num_frames, render_size), jnp.float32) if num_frames > 1 else ()
        if path_descriptor is None:
            return frames, ()
        return frames, path_descriptor.init(of_states(environment.descriptor, states), time_limit)

    def accumulate(carry: Any, transition: Transition) -> Any:
        frames, path = carry
        if num_frames > 1:
            # A frame follows its episode until its step: where the episode ends earlier it stays at the last state.
            following = transition.active[:, None] & (transition.time <= last_steps)
            drawn = of_states(environment.render_state, transition.states)
            frames = jnp.where(following[..., None], drawn[:, None, :], frames)
        if path_descriptor is not None:
            path = path_descriptor.update(path, of_states(environment.descriptor, transition.states), transition)
        return frames, path

    def evaluate_genomes(key: PRNGKeyArray, genomes: Float[Array, "B P"]) -> Evaluation:
        if num_frames > 1 or path_descriptor is not None:
            episodes = run_episodes(
                environment, act, genomes, key, params, unlimited, accumulate=accumulate, initial=start
            )
        else:
            episodes = run_episodes(environment, act, genomes, key, params, unlimited)
        frames, path = cast(Any, episodes.accumulated or ((), ()))
        ground_truth = of_states(environment.descriptor, episodes.states)
        return Evaluation(
            rewards=episodes.returns,
            descriptors=ground_truth if path_descriptor is None else path_descriptor.describe(path),
            ground_truth=ground_truth,
            areas=of_states(environment.area, episodes.states),
            render_states=frames if num_frames > 1 else of_states(environment.render_state, episodes.states)[:, None],
            environment_steps=episodes.lengths,
        )

    return Problem(
        evaluate_genomes=evaluate_genomes,
        genome_size=network.size,
        descriptor_size=2 if path_descriptor is None else path_descriptor.size,
        ground_truth_bounds=environment.descriptor_bounds,
        num_areas=len(environment.reward_areas),
        render_size=render_size,
        num_frames=num_frames,
        render=environment.render,
        descriptor_bounds=environment.descriptor_bounds if path_descriptor is None else path_descriptor.bounds,
    )


def evaluated(
    problem: Problem,
    key: PRNGKeyArray,
    genomes: Float[Array, "B P"],
    describe: Callable[[Evaluation], Evaluation] | None = None,
) -> Individuals:
    """Genomes with what came of them.

    Args:
      problem: what is searched.
      key: of the evaluation.
      genomes: B of them.
      describe: puts descriptors and surprises into the evaluation; None where the problem's descriptors stay.
    """
    evaluation = problem.evaluate_genomes(key, genomes)
    return Individuals(genomes, evaluation if describe is None else describe(evaluation))


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
