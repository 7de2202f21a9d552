"""Rewards as composable pure functions: the algebra of transformations, and rules with a memory of the episode."""

from jaxrl_sparse.rewards.algebra import add, chain, clip, identity, scale, stateless
from jaxrl_sparse.rewards.delayed import delayed, episodic
from jaxrl_sparse.rewards.normalization import normalize
from jaxrl_sparse.rewards.shaping import potential_shaping
from jaxrl_sparse.rewards.stepwise import observe_memory, stepwise

__all__ = [
    "add",
    "chain",
    "clip",
    "delayed",
    "episodic",
    "identity",
    "normalize",
    "observe_memory",
    "potential_shaping",
    "scale",
    "stateless",
    "stepwise",
]
