"""Learners that every family builds on: deep Q-learning with a replay, PPO and policy gradients, for any rewards."""

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
from jaxrl_sparse.learners.experience import Batch, Experience, batch_of, collect
from jaxrl_sparse.learners.on_policy import OnPolicyConfig, on_policy_learner
from jaxrl_sparse.learners.policy_gradient import (
    PolicyGradientConfig,
    actor_critic_loss,
    policy_gradient,
    policy_gradient_loss,
)
from jaxrl_sparse.learners.policy_networks import PolicyNetworkConfig, policy_network
from jaxrl_sparse.learners.ppo import PPOConfig, clipped_loss, ppo, ppo_loss
from jaxrl_sparse.learners.q_learning import QLearningConfig, q_learning
from jaxrl_sparse.learners.quantile_regression import quantile_levels, quantile_regression_loss
from jaxrl_sparse.learners.replay import Replay, Transitions, replay
from jaxrl_sparse.learners.returns import discounted_returns, generalized_advantages
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
    "Batch",
    "C51Config",
    "DQNConfig",
    "Experience",
    "IQNConfig",
    "OnPolicyConfig",
    "PPOConfig",
    "PolicyGradientConfig",
    "PolicyNetworkConfig",
    "QLearningConfig",
    "QRDQNConfig",
    "Replay",
    "Transitions",
    "ValueHead",
    "actor_critic_loss",
    "batch_of",
    "c51",
    "categorical",
    "categorical_loss",
    "clipped_loss",
    "collect",
    "discount_of",
    "discounted_returns",
    "dqn",
    "expected_value",
    "generalized_advantages",
    "implicit_quantile",
    "iqn",
    "on_policy_learner",
    "policy_gradient",
    "policy_gradient_loss",
    "policy_network",
    "ppo",
    "ppo_loss",
    "q_learning",
    "qr_dqn",
    "quantile",
    "quantile_levels",
    "quantile_regression_loss",
    "replay",
    "temporal_difference_loss",
]
