"""Finite Markov decision processes as arrays: making them, drawing them, solving them."""

from jaxrl_sparse.finite.episodes import (
    Episodes,
    TransitionCounts,
    count_transitions,
    empirical_mdp,
    expected_counts,
    no_transitions,
    sample_episodes,
)
from jaxrl_sparse.finite.episodic import EpisodicMDP, episodic, episodic_mdp, layered
from jaxrl_sparse.finite.episodic_solvers import (
    EpisodicSolution,
    backward_induction,
    bellman_errors,
    expected_return,
    greedy_actions,
    max_reachability,
    occupancy,
    policy_values,
)
from jaxrl_sparse.finite.generators import garnet, random_dense_mdp, random_tree
from jaxrl_sparse.finite.mdp import (
    FiniteMDP,
    expected_rewards,
    finite_mdp,
    return_bounds,
    successor_table,
    transition_matrix,
)
from jaxrl_sparse.finite.occupancy import discounted_occupancy, stationary_distribution
from jaxrl_sparse.finite.solvers import (
    FiniteHorizonSolution,
    Solution,
    finite_horizon,
    policy_evaluation,
    policy_iteration,
    value_iteration,
)

__all__ = [
    "Episodes",
    "EpisodicMDP",
    "EpisodicSolution",
    "FiniteHorizonSolution",
    "FiniteMDP",
    "Solution",
    "TransitionCounts",
    "backward_induction",
    "bellman_errors",
    "count_transitions",
    "discounted_occupancy",
    "empirical_mdp",
    "episodic",
    "episodic_mdp",
    "expected_counts",
    "expected_return",
    "expected_rewards",
    "finite_horizon",
    "finite_mdp",
    "garnet",
    "greedy_actions",
    "layered",
    "max_reachability",
    "no_transitions",
    "occupancy",
    "policy_evaluation",
    "policy_iteration",
    "policy_values",
    "random_dense_mdp",
    "random_tree",
    "return_bounds",
    "sample_episodes",
    "stationary_distribution",
    "successor_table",
    "transition_matrix",
    "value_iteration",
]
