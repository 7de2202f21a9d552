"""Finite Markov decision processes as arrays: making them, drawing them, solving them."""

from jaxrl_sparse.finite.generators import garnet, random_dense_mdp, random_tree
from jaxrl_sparse.finite.mdp import (
    FiniteMDP,
    expected_rewards,
    finite_mdp,
    return_bounds,
    successor_table,
    transition_matrix,
)
from jaxrl_sparse.finite.solvers import (
    FiniteHorizonSolution,
    Solution,
    finite_horizon,
    policy_evaluation,
    policy_iteration,
    value_iteration,
)

__all__ = [
    "FiniteHorizonSolution",
    "FiniteMDP",
    "Solution",
    "expected_rewards",
    "finite_horizon",
    "finite_mdp",
    "garnet",
    "policy_evaluation",
    "policy_iteration",
    "random_dense_mdp",
    "random_tree",
    "return_bounds",
    "successor_table",
    "transition_matrix",
    "value_iteration",
]
