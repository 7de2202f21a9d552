"""Transitions of a discounted task that somebody else collected, in any order, and problems of evaluating a policy."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require
from jaxrl_sparse.finite import (
    FiniteMDP,
    density_ratio,
    discounted_occupancy,
    stationary_distribution,
    successor_table,
    value_iteration,
)
from jaxrl_sparse.numerics.inverse_cdf import cumulative_weights


class TransitionData(NamedTuple):
    """N transitions and M first states, each with a weight. Make it with one of the functions below.

    Attributes:
      observations: `[N, ...]`; of a finite MDP the numbers of states, `[N]` int32.
      actions: `[N]` int32.
      rewards: `[N]`.
      next_observations: `[N, ...]`, what followed, before any reset.
      terminated: `[N]` bool, the task ended by itself; false where a time limit cut the episode.
      weights: `[N]`, of transitions, summing to one: `1 / N`, or of a population its probabilities.
      initial_observations: `[M, ...]`, where episodes start.
      initial_weights: `[M]`, summing to one.
    """

    observations: PyTree
    actions: Int[Array, "N"]
    rewards: Float[Array, "N"]
    next_observations: PyTree
    terminated: Bool[Array, "N"]
    weights: Float[Array, "N"]
    initial_observations: PyTree
    initial_weights: Float[Array, "M"]


class EvaluationProblem(NamedTuple):
    """What a policy is worth, to be found from the data of another one.

    Attributes:
      data: of the behaviour.
      policy: `[S, A]`, the target: what is asked about.
      behaviour: `[S, A]`, what collected the data; nobody but the tests is told.
      distribution: `[S, A]`, d^D, what the data was drawn from; 0 in terminal states.
    """

    data: TransitionData
    policy: Float[Array, "S A"]
    behaviour: Float[Array, "S A"]
    distribution: Float[Array, "S A"]


def transition_data(
    observations: PyTree,
    actions: Int[Array, "N"],
    rewards: Float[Array, "N"],
    next_observations: PyTree,
    terminated: Bool[Array, "N"],
    initial_observations: PyTree,
) -> TransitionData:
    """Transitions of equal weight, as they were collected.

    Args:
      observations: `[N, ...]`.
      actions: `[N]`.
      rewards: `[N]`.
      next_observations: `[N, ...]`.
      terminated: `[N]`.
      initial_observations: `[M, ...]`.

    Raises:
      ValueError: if there is no transition or no first state, if lengths differ, or if actions are no integers.
    """
    sizes = [leaf.shape[0] for leaf in jax.tree.leaves((observations, actions, rewards, next_observations, terminated))]
    require("observations", sizes, lambda ns: min(ns) >= 1 and len(set(ns)) == 1, "arrays [N, ...] of the same N >= 1")
    starts = [leaf.shape[0] for leaf in jax.tree.leaves(initial_observations)]
    takes = "arrays [M, ...] of the same M >= 1"
    require("initial_observations", starts, lambda ms: min(ms) >= 1 and len(set(ms)) == 1, takes)
    require("actions", actions.dtype.name, lambda _: jnp.issubdtype(actions.dtype, jnp.integer), "integers")
    return TransitionData(
        observations,
        actions,
        rewards,
        next_observations,
        terminated,
        jnp.full(sizes[0], 1 / sizes[0], rewards.dtype),
        initial_observations,
        jnp.full(starts[0], 1 / starts[0], rewards.dtype),
    )


def sampled_data(
    key: PRNGKeyArray, mdp: FiniteMDP, distribution: Float[Array, "S A"], num_transitions: int
) -> TransitionData:
    """N independent transitions: `(s, a) ~ d^D`, an outcome of the action. First states are given by their law.

    Args:
      key: for everything.
      mdp: with scalar rewards.
      distribution: `[S, A]`, d^D, summing to one, 0 in terminal states; see `behaviour_distribution`.
      num_transitions: N, static.

    Returns:
      Data whose observations are numbers of states, with equal weights; `initial_observations` are all S states.

    Raises:
      ValueError: if N is less than 1, the distribution is none on the states that are not terminal, or an episode may
        start in a terminal state.
    """
    require("num_transitions", num_transitions, is_count, "an integer of at least 1")
    population = population_data(mdp, distribution)
    rows = draw(key, population.weights, (num_transitions,))
    drawn = jax.tree.map(lambda leaf: leaf[rows], population)
    return drawn._replace(
        weights=jnp.full_like(drawn.rewards, 1 / num_transitions),
        initial_observations=population.initial_observations,
        initial_weights=population.initial_weights,
    )


def population_data(mdp: FiniteMDP, distribution: Float[Array, "S A"]) -> TransitionData:
    """All S A B transitions that there are, each with its probability: data of infinite size.

    Args:
      mdp: with scalar rewards.
      distribution: `[S, A]`, d^D, summing to one, 0 in terminal states.

    Returns:
      Data of `N = S A B` in the order of the MDP's outcomes; `initial_observations` are all S states.

    Raises:
      ValueError: as `sampled_data`.
    """
    _require_distribution(mdp, distribution)
    require("mdp.rewards", mdp.num_rewards, lambda m: m is None, "scalar rewards")
    takes = "0 in terminal states: an episode that starts in one holds no transition"
    ends = jnp.where(mdp.terminal, mdp.initial, 0)
    require("mdp.initial", ends, lambda p: bool((np.asarray(p) == 0).all()), takes)
    shape = mdp.probabilities.shape
    states, actions, _ = jnp.indices(shape, jnp.int32)
    following = successor_table(mdp)
    return TransitionData(
        states.reshape(-1),
        actions.reshape(-1),
        jnp.broadcast_to(mdp.rewards, shape).reshape(-1),
        following.reshape(-1),
        mdp.terminal[following].reshape(-1),
        (distribution[..., None] * mdp.probabilities).reshape(-1),
        jnp.arange(mdp.num_states, dtype=jnp.int32),
        mdp.initial,
    )


def behaviour_distribution(mdp: FiniteMDP, policy: Array, discount: float | Array) -> Float[Array, "S A"]:
    """The occupancy of a policy on the states that are not terminal, summing to one: what its transitions follow.

    Args:
      mdp: its own discount plays no part.
      policy: `[S]` integers, or `[S, A]`, probabilities of actions.
      discount: gamma in [0, 1]; see `policy_occupancy`.
    """
    alive = policy_occupancy(mdp, policy, discount)
    return alive / jnp.sum(alive)


def policy_occupancy(mdp: FiniteMDP, policy: Array, discount: float | Array) -> Float[Array, "S A"]:
    """The exact `d^pi`, 0 in terminal states: it sums to one less what is in these.

    With rewards `E_d[r]` is `(1 - gamma) V^pi(initial)`, and with gamma 1 the mean reward per step.

    Args:
      mdp: its own discount plays no part.
      policy: `[S]` integers, or `[S, A]`, probabilities of actions.
      discount: gamma in [0, 1]: the discounted occupancy, or with 1 the stationary distribution. May be a tracer.
    """
    discount = jnp.asarray(discount, mdp.probabilities.dtype)
    is_discounted = discount < 1
    # Solved for a discount that has a solution where the other one is taken.
    discounted = discounted_occupancy(mdp._replace(discount=jnp.where(is_discounted, discount, 0)), policy)
    occupancy = jnp.where(is_discounted, discounted, stationary_distribution(mdp, policy))
    return jnp.where(mdp.terminal[:, None], 0, occupancy)


def exact_ratio(
    mdp: FiniteMDP, policy: Array, distribution: Float[Array, "S A"], discount: float | Array
) -> Float[Array, "S A"]:
    """`w = d^pi / d^D`, which all of DICE estimate; 0 where both are, infinite where the data alone is 0.

    Args:
      mdp: its own discount plays no part.
      policy: `[S]` integers, or `[S, A]`, probabilities of actions.
      distribution: `[S, A]`, d^D.
      discount: gamma in [0, 1], see `policy_occupancy`.
    """
    return density_ratio(policy_occupancy(mdp, policy, discount), distribution)


def empirical_distribution(data: TransitionData, num_states: int, num_actions: int) -> Float[Array, "S A"]:
    """The share of the data's weight that is at each state and action.

    Args:
      data: of a finite MDP.
      num_states: S.
      num_actions: A.
    """
    zeros = jnp.zeros((num_states, num_actions), data.weights.dtype)
    return zeros.at[data.observations, data.actions].add(data.weights)


def draw(key: PRNGKeyArray, weights: Float[Array, "N"], shape: tuple[int, ...]) -> Int[Array, "*shape"]:
    """Indices of rows in proportion to their weights, with replacement; never one of weight zero.

    Args:
      key: for all of them.
      weights: `[N]`, not negative.
      shape: of the result.
    """
    # Of many rows a search is cheaper than a comparison with each; it needs sums that never fall.
    cumulative = jax.lax.cummax(cumulative_weights(weights))
    thresholds = jax.random.uniform(key, shape, weights.dtype) * cumulative[-1]
    return jnp.searchsorted(cumulative, thresholds, side="right").astype(jnp.int32)


def evaluation_problem(
    key: PRNGKeyArray,
    mdp: FiniteMDP,
    num_transitions: int,
    *,
    temperature: float | Array = 0.1,
    uniform_share: float | Array = 0.5,
    discount: float | Array | None = None,
    num_sweeps: int = 1000,
) -> EvaluationProblem:
    """A policy that is nearly the optimum, to be evaluated from the data of one that often acts at random.

        target(a | s) ~ exp((Q*(s, a) - V*(s)) / (temperature G)),   G = max over s, a of V*(s) - Q*(s, a)
        behaviour = (1 - uniform_share) target + uniform_share / A

    so that the target, and how hard the problem is, do not depend on the unit of the rewards.

    Args:
      key: of the transitions.
      mdp: with scalar rewards.
      num_transitions: N, static.
      temperature: above 0: how soft the target is; the worst action of all is `exp(-1 / temperature)` times as likely
        as the best one.
      uniform_share: in (0, 1]: 0 would make the data that of the target.
      discount: of the occupancies, in [0, 1]; None for the MDP's.
      num_sweeps: static; of value iteration, from which the target is made.

    Raises:
      ValueError: if an argument is out of range; as `sampled_data`.
    """
    require("temperature", temperature, lambda t: t > 0, "a number above 0")
    require("uniform_share", uniform_share, lambda share: 0 < share <= 1, "a number in (0, 1]")
    policy = softened_optimum(mdp, temperature, num_sweeps)
    behaviour = (1 - uniform_share) * policy + uniform_share / mdp.num_actions
    distribution = behaviour_distribution(mdp, behaviour, mdp.discount if discount is None else discount)
    data = sampled_data(key, mdp, distribution, num_transitions)
    return EvaluationProblem(data, policy, behaviour, distribution)


def softened_optimum(mdp: FiniteMDP, temperature: float | Array, num_sweeps: int = 1000) -> Float[Array, "S A"]:
    """The target of `evaluation_problem`, `[S, A]`."""
    q_values = value_iteration(mdp, num_sweeps).q_values
    advantages = q_values - jnp.max(q_values, axis=1, keepdims=True)
    largest = jnp.max(-advantages)
    return jax.nn.softmax(advantages / (temperature * jnp.where(largest > 0, largest, 1)), axis=1)


def _require_distribution(mdp: FiniteMDP, distribution: Array) -> None:
    takes = f"[S, A] = {(mdp.num_states, mdp.num_actions)}"
    require("distribution", distribution.shape, lambda shape: shape == (mdp.num_states, mdp.num_actions), takes)
    require("distribution", jnp.min(distribution), lambda least: least >= 0, "no negative number")
    alive = jnp.sum(jnp.where(mdp.terminal[:, None], 0, distribution))
    takes = "a sum of one over the states that are not terminal"
    require("distribution", alive, lambda total: abs(total - 1) <= 1e-4, takes)
