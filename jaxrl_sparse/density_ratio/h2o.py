"""H2O: an offline method becomes a hybrid one by being called again and again, on as much old data as new."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrl_sparse.base import Algorithm, Metrics, PyTree, require
from jaxrl_sparse.density_ratio.offline_data import OfflineData, all_counts
from jaxrl_sparse.finite.episodes import Episodes, TransitionCounts, count_transitions, no_transitions
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.learners.episodic_planning import Planner, episodic_planning


class HybridMemory(NamedTuple):
    """Memory of `h2o`.

    Attributes:
      offline: counts of the offline transitions that have been used so far.
      inner: memory of the offline method.
    """

    offline: TransitionCounts
    inner: PyTree


def h2o(offline_algorithm: Planner, data: OfflineData) -> Planner:
    """The Hybrid-to-Offline reduction: in round t (from 1) the method sees

        D_hybrid_h = the first t - 1 offline transitions of layer h, and those of the t - 1 episodes run so far,

    and the policy that it returns is run once. `hybrid_learning` makes the whole algorithm of it, and its control that
    has no offline data; `offline_policy` is the control that has nothing else.
    A method whose sub-optimality is bounded by clipped concentrability makes a hybrid one whose regret is bounded by
    coverability and by how well the data cover the optimal policy.

    When the offline data run out, `t - 1 > N`, all N transitions of each layer stay in use and only online ones join:
    n of the method is then `N + t - 1`, and the share of offline data falls. Nothing is drawn twice.

    Args:
      offline_algorithm: plans from counts as if they all were offline data; it is shown the sum of both.
      data: N transitions of each layer; the order is theirs.

    Returns:
      A planner. To the metrics of the method it adds `offline_samples`, those of each layer that it was shown.

    Raises:
      ValueError: where `init` is called with an MDP of other layers, states or actions than the data's.

    Source: Amortila et al., "Harnessing Density Ratios for Online Reinforcement Learning" (ICLR 2024), section 4
    (H2O); with fitted Q iteration it is Hy-Q, Song et al., "Hybrid RL: Using Both Offline and Online Data Can
    Make RL Efficient" (ICLR 2023).
    """

    def init(mdp: EpisodicMDP) -> HybridMemory:
        _require_same_shape(mdp, data)
        return HybridMemory(no_transitions(mdp), offline_algorithm.init(mdp))

    def plan(
        counts: TransitionCounts, memory: HybridMemory, step: Int[Array, ""]
    ) -> tuple[Array, HybridMemory, Metrics]:
        offline = _with_transition(memory.offline, data.transitions, step - 1)
        hybrid = jax.tree.map(jnp.add, counts, offline)
        policy, inner, metrics = offline_algorithm.plan(hybrid, memory.inner, step)
        used = jnp.minimum(step, data.num_samples).astype(jnp.int32)
        return policy, HybridMemory(offline, inner), {"offline_samples": used, **metrics}

    return Planner(init, plan)


def hybrid_learning(offline_algorithm: Planner, mdp: EpisodicMDP, data: OfflineData | None) -> Algorithm:
    """H2O as an algorithm; one update is one round, an episode.

    Metrics and `evaluate` are those of `episodic_planning` (the return of `evaluate` is exactly that of the uniform
    mixture of the policies so far, which the reduction outputs) and of the method, with `offline_samples`.

    Args:
      offline_algorithm: plans from counts.
      mdp: the true one, that the episodes are of.
      data: N transitions of each layer; None for the control that learns online alone.

    Raises:
      ValueError: if the MDP is of other layers, states or actions than the data.
    """
    if data is not None:
        _require_same_shape(mdp, data)
    return episodic_planning(offline_algorithm if data is None else h2o(offline_algorithm, data), mdp)


def offline_policy(offline_algorithm: Planner, mdp: EpisodicMDP, data: OfflineData) -> Array:
    """The policy that the method makes of all offline data and of nothing else: the control of hybrid learning.

    Args:
      offline_algorithm: plans from counts.
      mdp: of the data's shape; the method may look at its shape alone.
      data: N transitions of each layer.

    Returns:
      `[H, S]` integers, or `[H, S, A]` probabilities, as the method makes them.

    Raises:
      ValueError: if the MDP is of other layers, states or actions than the data.
    """
    _require_same_shape(mdp, data)
    policy, _, _ = offline_algorithm.plan(all_counts(mdp, data), offline_algorithm.init(mdp), jnp.int32(0))
    return policy


def _with_transition(counts: TransitionCounts, transitions: Episodes, index: Int[Array, ""]) -> TransitionCounts:
    """The counts with one transition of each layer added; as they were where the index is out of range."""
    num_samples = transitions.states.shape[-1]
    one = jax.tree.map(lambda leaf: leaf[:, jnp.clip(index, 0, num_samples - 1)][:, None], transitions)
    exists = (index >= 0) & (index < num_samples)
    return jax.tree.map(lambda new, old: jnp.where(exists, new, old), count_transitions(counts, one), counts)


def _require_same_shape(mdp: EpisodicMDP, data: OfflineData) -> None:
    shape = mdp.rewards.shape
    require("data.distribution", data.distribution.shape, lambda got: got == shape, f"the shape {shape} of the MDP")
