"""Environments with gymnax's interface, and the layer that steps thousands of them."""

from jaxrl_sparse.environments.base import Environment, EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.make import make, names, summaries
from jaxrl_sparse.environments.rollouts import Episodes, RolloutState, Transition, rollout, run_episodes, start_rollout
from jaxrl_sparse.environments.vectorized import VectorizedEnvironment, vectorize
from jaxrl_sparse.environments.wrappers import DiscreteActions, TimeLimit, Wrapper

__all__ = [
    "DiscreteActions",
    "Environment",
    "EnvironmentParams",
    "EnvironmentState",
    "Episodes",
    "RolloutState",
    "TimeLimit",
    "Transition",
    "VectorizedEnvironment",
    "Wrapper",
    "make",
    "names",
    "rollout",
    "run_episodes",
    "start_rollout",
    "summaries",
    "vectorize",
]
