"""Distributions of returns: planning and learning for risk, targets and constraints, with a stock beside the state."""

from jaxrl_sparse.distributional.grids import Grids, return_grids
from jaxrl_sparse.distributional.initial_stocks import InitialStock, optimize_initial_stock
from jaxrl_sparse.distributional.objectives import (
    Objective,
    Utility,
    cvar,
    exponential,
    from_utility,
    homeostasis,
    mean,
    mean_cvar,
    optimistic_cvar,
    parse_objective,
    probability,
    reward_constraint,
    signed_power,
    target,
)
from jaxrl_sparse.distributional.planning import (
    Plan,
    distributional_bellman,
    finite_horizon,
    policy_evaluation,
    policy_iteration,
    value_iteration,
)
from jaxrl_sparse.distributional.projections import categorical_project, quantile_project
from jaxrl_sparse.distributional.return_distributions import (
    cramer,
    expected_utility,
    integrated_cdf_to_probs,
    probs_to_integrated_cdf,
    wasserstein,
)
from jaxrl_sparse.distributional.sharded_planning import sharded_value_iteration
from jaxrl_sparse.distributional.solve import Solution, solve
from jaxrl_sparse.distributional.stock_agents import StockAgentConfig, d_eta_n, evaluate_stocks, greedy_outcomes
from jaxrl_sparse.distributional.stock_learning import stock_reward
from jaxrl_sparse.distributional.stock_rollouts import StockEpisodes, rollout_stock_policy
from jaxrl_sparse.distributional.stock_value_iteration import StockPlan, stock_value_iteration

__all__ = [
    "Grids",
    "InitialStock",
    "Objective",
    "Plan",
    "Solution",
    "StockAgentConfig",
    "StockEpisodes",
    "StockPlan",
    "Utility",
    "categorical_project",
    "cramer",
    "cvar",
    "d_eta_n",
    "distributional_bellman",
    "evaluate_stocks",
    "expected_utility",
    "exponential",
    "finite_horizon",
    "from_utility",
    "greedy_outcomes",
    "homeostasis",
    "integrated_cdf_to_probs",
    "mean",
    "mean_cvar",
    "optimistic_cvar",
    "optimize_initial_stock",
    "parse_objective",
    "policy_evaluation",
    "policy_iteration",
    "probability",
    "probs_to_integrated_cdf",
    "quantile_project",
    "return_grids",
    "reward_constraint",
    "rollout_stock_policy",
    "sharded_value_iteration",
    "signed_power",
    "solve",
    "stock_reward",
    "stock_value_iteration",
    "target",
    "value_iteration",
    "wasserstein",
]
