"""Rewards as composable pure functions: the algebra of transformations, and rules with a memory of the episode."""

from jaxrl_sparse.rewards.algebra import add, chain, clip, identity, scale, stateless
from jaxrl_sparse.rewards.stepwise import observe_memory, stepwise

__all__ = ["add", "chain", "clip", "identity", "observe_memory", "scale", "stateless", "stepwise"]
