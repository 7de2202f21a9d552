"""Learners that every family builds on: deep Q-learning with a replay, for heads of values and of laws of returns."""

from jaxrl_sparse.learners.deep_q_networks import (
    C51Config,
    DQNConfig,
    IQNConfig,
    QRDQNConfig,
    c51,
    dqn,
    iqn,
    qr_dqn,
)
from jaxrl_sparse.learners.discounting import discount_of
from jaxrl_sparse.learners.q_learning import QLearningConfig, q_learning
from jaxrl_sparse.learners.quantile_regression import quantile_levels, quantile_regression_loss
from jaxrl_sparse.learners.replay import Replay, Transitions, replay
from jaxrl_sparse.learners.temporal_difference import temporal_difference_loss
from jaxrl_sparse.learners.value_heads import (
    ValueHead,
    categorical,
    categorical_loss,
    expected_value,
    implicit_quantile,
    quantile,
)

__all__ = [
    "C51Config",
    "DQNConfig",
    "IQNConfig",
    "QLearningConfig",
    "QRDQNConfig",
    "Replay",
    "Transitions",
    "ValueHead",
    "c51",
    "categorical",
    "categorical_loss",
    "discount_of",
    "dqn",
    "expected_value",
    "implicit_quantile",
    "iqn",
    "q_learning",
    "qr_dqn",
    "quantile",
    "quantile_levels",
    "quantile_regression_loss",
    "replay",
    "temporal_difference_loss",
]
