"""Reward-free exploration of linear mixture MDPs: explore without rewards, then plan for any."""

from jaxrl_sparse.exploration.reward_free.hf_ucrl_rfe import HFUCRLRFEConfig, hf_ucrl_rfe
from jaxrl_sparse.exploration.reward_free.planning import plan, random_rewards, reward_free_evaluate
from jaxrl_sparse.exploration.reward_free.ucrl_rfe import UCRLRFEConfig, ucrl_rfe, ucrl_rfe_plus

__all__ = [
    "HFUCRLRFEConfig",
    "UCRLRFEConfig",
    "hf_ucrl_rfe",
    "plan",
    "random_rewards",
    "reward_free_evaluate",
    "ucrl_rfe",
    "ucrl_rfe_plus",
]
