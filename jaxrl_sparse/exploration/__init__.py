"""Exploration where rewards are sparse: bonuses for what is new, as transformations that any learner takes."""

from jaxrl_sparse.exploration.counts import box_cells, count_bonus, hash_cells
from jaxrl_sparse.exploration.rnd import (
    DistillationState,
    RNDConfig,
    distillation_bonus,
    distillation_loss,
    rnd,
    rnd_streams,
)
from jaxrl_sparse.exploration.rnd_ppo import RNDPPOConfig, rnd_ppo

__all__ = [
    "DistillationState",
    "RNDConfig",
    "RNDPPOConfig",
    "box_cells",
    "count_bonus",
    "distillation_bonus",
    "distillation_loss",
    "hash_cells",
    "rnd",
    "rnd_ppo",
    "rnd_streams",
]
