"""Submodular reinforcement learning: returns that are set functions of what an episode visits."""

from jaxrl_sparse.submodular.bandit_ascent import (
    continuous_greedy,
    expected_bandit_value,
    projected_ascent,
    sequence_values,
)
from jaxrl_sparse.submodular.beam_search import Path, beam_search, greedy
from jaxrl_sparse.submodular.coverage import capped_groups, coverage, grid_mask
from jaxrl_sparse.submodular.curvature import total_curvature
from jaxrl_sparse.submodular.gaussian_information import information_gain, log_determinant, reference_entropy
from jaxrl_sparse.submodular.grid_subpo import (
    ModPOConfig,
    SubPONMConfig,
    grid_set_function,
    grid_subpo,
    grid_walks,
)
from jaxrl_sparse.submodular.marginal_gains import gain_rule, marginal_gains, num_negative_gains
from jaxrl_sparse.submodular.maxima import facility_location, max_progress
from jaxrl_sparse.submodular.natural_policy_gradient import fisher_product, natural_gradient, trust_region_step
from jaxrl_sparse.submodular.policies import EpisodePolicy, history_policy, markov_policy
from jaxrl_sparse.submodular.set_functions import (
    SetFunction,
    modular,
    modular_surrogate,
    require_ground_set,
    singleton_values,
)
from jaxrl_sparse.submodular.subpo import SubPOConfig, credit, episode_gains, less_baseline, subpo
from jaxrl_sparse.submodular.trajectory_enumeration import (
    Trajectories,
    enumerate_trajectories,
    expected_value,
    trajectory_values,
)

__all__ = [
    "EpisodePolicy",
    "ModPOConfig",
    "Path",
    "SetFunction",
    "SubPOConfig",
    "SubPONMConfig",
    "Trajectories",
    "beam_search",
    "capped_groups",
    "continuous_greedy",
    "coverage",
    "credit",
    "enumerate_trajectories",
    "episode_gains",
    "expected_bandit_value",
    "expected_value",
    "facility_location",
    "fisher_product",
    "gain_rule",
    "greedy",
    "grid_mask",
    "grid_set_function",
    "grid_subpo",
    "grid_walks",
    "history_policy",
    "information_gain",
    "less_baseline",
    "log_determinant",
    "marginal_gains",
    "markov_policy",
    "max_progress",
    "modular",
    "modular_surrogate",
    "natural_gradient",
    "num_negative_gains",
    "projected_ascent",
    "reference_entropy",
    "require_ground_set",
    "sequence_values",
    "singleton_values",
    "subpo",
    "total_curvature",
    "trajectory_values",
    "trust_region_step",
]
