"""Certainty equivalence with dithering: the control that does not explore on purpose."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxrl_sparse.base import Algorithm, Metrics, config, require
from jaxrl_sparse.finite.episodes import TransitionCounts, empirical_mdp
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.episodic_solvers import backward_induction
from jaxrl_sparse.learners.episodic_planning import Planner, episodic_planning


@config
class EpsilonGreedyConfig:
    """Configuration of `epsilon_greedy`.

    Attributes:
      epsilon: probability of a uniform action, in every step.
      episodes_per_round: run with one policy.
    """

    epsilon: float = 0.1
    episodes_per_round: int = 1


def epsilon_greedy(config: EpsilonGreedyConfig, mdp: EpisodicMDP) -> Algorithm:
    """Certainty equivalence with dithering: the optimum of the empirical model, and a uniform action with epsilon.

    What was never tried is worth what `empirical_mdp` says, which is little: nothing but epsilon explores. Ties go to
    the action of the lowest number.

    Args:
      config: see `EpsilonGreedyConfig`.
      mdp: that the episodes are of.

    Raises:
      ValueError: naming the field that is out of range.
    """
    require("epsilon", config.epsilon, lambda p: 0 <= p <= 1, "a number in [0, 1]")

    def plan(counts: TransitionCounts, memory: Array, step: Int[Array, ""]) -> tuple[Array, Array, Metrics]:
        del step
        solution = backward_induction(empirical_mdp(counts, mdp.initial))
        greedy = jax.nn.one_hot(solution.actions, mdp.num_actions, dtype=mdp.rewards.dtype)
        policy = (1 - config.epsilon) * greedy + config.epsilon / mdp.num_actions
        return policy, memory, {}

    return episodic_planning(Planner(lambda _: jnp.zeros(()), plan), mdp, config.episodes_per_round)
