"""Environments with gymnax's interface, and the layer that steps thousands of them."""

from jaxrl_sparse.environments.base import Environment, EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.make import make, names, summaries
from jaxrl_sparse.environments.rollouts import Episodes, RolloutState, Transition, rollout, run_episodes, start_rollout
from jaxrl_sparse.environments.stock import StockAugmented, StockObservation, StockParams, StockState, stock_update
from jaxrl_sparse.environments.tabular import TabularEnvironment, TabularParams, TabularState
from jaxrl_sparse.environments.vectorized import VectorizedEnvironment, vectorize
from jaxrl_sparse.environments.wrappers import DiscreteActions, TimeLimit, Wrapper

__all__ = [
    "DiscreteActions",
    "Environment",
    "EnvironmentParams",
    "EnvironmentState",
    "Episodes",
    "RolloutState",
    "StockAugmented",
    "StockObservation",
    "StockParams",
    "StockState",
    "TabularEnvironment",
    "TabularParams",
    "TabularState",
    "TimeLimit",
    "Transition",
    "VectorizedEnvironment",
    "Wrapper",
    "make",
    "names",
    "rollout",
    "run_episodes",
    "start_rollout",
    "stock_update",
    "summaries",
    "vectorize",
]
