"""Exploration where rewards are sparse, or not there yet: bonuses, entropy, optimism, plans for any reward."""

from jaxrl_sparse.exploration.counts import box_cells, count_bonus, hash_cells
from jaxrl_sparse.exploration.densities import DensityModel, box_density, cell_density, gaussian_mixture, histogram
from jaxrl_sparse.exploration.epsilon_greedy import EpsilonGreedyConfig, epsilon_greedy
from jaxrl_sparse.exploration.max_entropy import (
    MaxEntropyConfig,
    entropy,
    entropy_bonus,
    entropy_gradient,
    guarantee,
    max_entropy,
    smoothed_entropy,
)
from jaxrl_sparse.exploration.policy_mixtures import (
    PolicyMixture,
    conditional_gradient,
    frank_wolfe_step,
    mixture_distribution,
    state_distribution,
)
from jaxrl_sparse.exploration.reward_free import (
    HFUCRLRFEConfig,
    UCRLRFEConfig,
    hf_ucrl_rfe,
    plan,
    random_rewards,
    reward_free_evaluate,
    ucrl_rfe,
    ucrl_rfe_plus,
)
from jaxrl_sparse.exploration.rnd import (
    DistillationState,
    RNDConfig,
    distillation_bonus,
    distillation_loss,
    rnd,
    rnd_streams,
)
from jaxrl_sparse.exploration.rnd_ppo import RNDPPOConfig, rnd_ppo
from jaxrl_sparse.exploration.skills import SkillEnvironment, split_skill
from jaxrl_sparse.exploration.smm_ppo import SMMPPOConfig, smm_ppo
from jaxrl_sparse.exploration.state_marginal_matching import SMMConfig, divergence, skill_rewards, smm, smm_reward
from jaxrl_sparse.exploration.ucb_vi import UCBVIConfig, ucb_vi

__all__ = [
    "DensityModel",
    "DistillationState",
    "EpsilonGreedyConfig",
    "HFUCRLRFEConfig",
    "MaxEntropyConfig",
    "PolicyMixture",
    "RNDConfig",
    "RNDPPOConfig",
    "SMMConfig",
    "SMMPPOConfig",
    "SkillEnvironment",
    "UCBVIConfig",
    "UCRLRFEConfig",
    "box_cells",
    "box_density",
    "cell_density",
    "conditional_gradient",
    "count_bonus",
    "distillation_bonus",
    "distillation_loss",
    "divergence",
    "entropy",
    "entropy_bonus",
    "entropy_gradient",
    "epsilon_greedy",
    "frank_wolfe_step",
    "gaussian_mixture",
    "guarantee",
    "hash_cells",
    "hf_ucrl_rfe",
    "histogram",
    "max_entropy",
    "mixture_distribution",
    "plan",
    "random_rewards",
    "reward_free_evaluate",
    "rnd",
    "rnd_ppo",
    "rnd_streams",
    "skill_rewards",
    "smm",
    "smm_ppo",
    "smm_reward",
    "smoothed_entropy",
    "split_skill",
    "state_distribution",
    "ucb_vi",
    "ucrl_rfe",
    "ucrl_rfe_plus",
]
