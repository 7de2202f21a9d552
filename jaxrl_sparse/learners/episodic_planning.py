"""Learning an episodic MDP by planning on what was counted: one loop for every rule that turns counts into a policy."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import ENVIRONMENT_STEPS, Algorithm, Metrics, PyTree, is_count, require
from jaxrl_sparse.finite.episodes import TransitionCounts, count_transitions, no_transitions, sample_episodes
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.episodic_solvers import backward_induction, expected_return

# Exact returns that differ by no more than this are the same: float32 of returns of order one.
SAME_RETURN = 1e-5


class Planner(NamedTuple):
    """What chooses the policy of a round.

    Attributes:
      init: `init(mdp) -> memory`, arrays; the shapes of the MDP may be looked at, its numbers may not.
      plan: `plan(counts, memory, step) -> (policy, memory, metrics)` from the counts of all earlier rounds; `policy` is
        `[H, S]` integers or `[H, S, A]` probabilities, `metrics` are the planner's own.
    """

    init: Callable[[EpisodicMDP], PyTree]
    plan: Callable[[TransitionCounts, PyTree, Int[Array, ""]], tuple[Array, PyTree, Metrics]]


class EpisodicPlanningState(NamedTuple):
    """State of `episodic_planning`.

    Attributes:
      key: for the episodes.
      counts: of everything that was seen.
      memory: the planner's.
      mean_return: of the exact expected returns of the policies so far.
      last_return: the exact expected return of the last policy.
      num_policies: how many there were.
    """

    key: PRNGKeyArray
    counts: TransitionCounts
    memory: PyTree
    mean_return: Float[Array, ""]
    last_return: Float[Array, ""]
    num_policies: Int[Array, ""]


def episodic_planning(planner: Planner, mdp: EpisodicMDP, episodes_per_round: int = 1) -> Algorithm:
    """Plans, runs the policy for K episodes, counts them, and plans again; one update is one round.

    The metrics of an update are `environment_steps` (K H), `episode_return` (mean of the K episodes), the planner's
    own, and, computed from the MDP and never shown to the planner: `policy_return`, the exact expected return of the
    round's policy, `regret`, `K (J* - J(policy))`, and `is_optimal`, whether there is none. Where the planner has an
    `upper_bound` of the return, `optimism_gap` is what it promises too much. `evaluate` is exact and uses no key:
    `return` is that of the uniform mixture of all policies so far, which is what theory asks to be returned,
    `last_return` that of the last.

    Args:
      planner: see `Planner`.
      mdp: that the episodes are of.
      episodes_per_round: K, static.

    Raises:
      ValueError: if K is less than 1.
    """
    require("episodes_per_round", episodes_per_round, is_count, "an integer of at least 1")
    optimum = jnp.dot(mdp.initial, backward_induction(mdp).values[0], precision=jax.lax.Precision.HIGHEST)

    def init(key: PRNGKeyArray) -> EpisodicPlanningState:
        zero = jnp.zeros((), mdp.rewards.dtype)
        return EpisodicPlanningState(key, no_transitions(mdp), planner.init(mdp), zero, zero, jnp.int32(0))

    def update(state: EpisodicPlanningState, step: Int[Array, ""]) -> tuple[EpisodicPlanningState, Metrics]:
        key, episode_key = jax.random.split(state.key)
        policy, memory, metrics = planner.plan(state.counts, state.memory, step)
        episodes = sample_episodes(episode_key, mdp, policy, episodes_per_round)
        policy_return = expected_return(mdp, policy)
        regret = episodes_per_round * (optimum - policy_return)
        metrics = {
            ENVIRONMENT_STEPS: jnp.int32(episodes_per_round * mdp.horizon),
            "episode_return": jnp.mean(jnp.sum(episodes.rewards, axis=0)),
            "policy_return": policy_return,
            "regret": regret,
            "is_optimal": (regret <= SAME_RETURN * episodes_per_round).astype(jnp.int32),
            **metrics,
        }
        if "upper_bound" in metrics:
            metrics["optimism_gap"] = metrics["upper_bound"] - policy_return
        state = EpisodicPlanningState(
            key,
            count_transitions(state.counts, episodes),
            memory,
            # A sum would lose what is added to it after a million rounds.
            state.mean_return + (policy_return - state.mean_return) / (state.num_policies + 1),
            policy_return,
            state.num_policies + 1,
        )
        return state, metrics

    def evaluate(state: EpisodicPlanningState, key: PRNGKeyArray) -> Metrics:
        del key
        return {"return": state.mean_return, "last_return": state.last_return}

    return Algorithm(init, update, evaluate)
