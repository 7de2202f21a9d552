"""DQN, QR-DQN, C51 and IQN: Q-learning with a torso that fits the observations and the head of each paper.

The defaults are those of tasks of CartPole's size: 500,000 environment steps of ten environments, one gradient step for
ten environment steps, hidden layers of 120 and 84.
"""

from typing import Any

from jaxrl_sparse.base import Algorithm, PyTree, RewardTransformation, config
from jaxrl_sparse.learners.q_learning import QLearningConfig, q_learning
from jaxrl_sparse.learners.torsos import render_of, torso_for
from jaxrl_sparse.learners.value_heads import ValueHead, categorical, expected_value, implicit_quantile, quantile


@config
class DQNConfig:
    """Configuration of `dqn`.

    Attributes:
      learner: of Q-learning.
      hidden_sizes: of the torso where observations are flat.
      image_features: of the torso where observations are images.
      huber_delta: where the loss turns from the square to the absolute value; None for the square everywhere.
    """

    learner: QLearningConfig = QLearningConfig()
    hidden_sizes: tuple[int, ...] = (120, 84)
    image_features: int = 512
    huber_delta: float | None = None


@config
class QRDQNConfig:
    """Configuration of `qr_dqn`.

    Attributes:
      learner: of Q-learning.
      hidden_sizes: of the torso where observations are flat.
      image_features: of the torso where observations are images.
      num_quantiles: N.
      kappa: width of Huber's rounding in the return's unit; 0 for none.
    """

    learner: QLearningConfig = QLearningConfig()
    hidden_sizes: tuple[int, ...] = (120, 84)
    image_features: int = 512
    num_quantiles: int = 50
    kappa: float = 1.0


@config
class C51Config:
    """Configuration of `c51`.

    Attributes:
      learner: of Q-learning.
      hidden_sizes: of the torso where observations are flat.
      image_features: of the torso where observations are images.
      low: the least atom, in the return's unit.
      high: the largest one.
      num_atoms: N.
    """

    learner: QLearningConfig = QLearningConfig()
    hidden_sizes: tuple[int, ...] = (120, 84)
    image_features: int = 512
    low: float = 0.0
    high: float = 100.0
    num_atoms: int = 101


@config
class IQNConfig:
    """Configuration of `iqn`.

    Attributes:
      learner: of Q-learning.
      hidden_sizes: of the torso where observations are flat.
      image_features: of the torso where observations are images.
      output_sizes: of the layers between the product with the levels' features and the quantiles.
      num_samples: levels of the online law in the loss.
      num_target_samples: levels of the target law.
      num_policy_samples: levels by which actions are compared.
      embedding_size: cosines of a level.
      kappa: width of Huber's rounding in the return's unit; 0 for none.
    """

    learner: QLearningConfig = QLearningConfig()
    hidden_sizes: tuple[int, ...] = (120,)
    image_features: int = 512
    output_sizes: tuple[int, ...] = (84,)
    num_samples: int = 16
    num_target_samples: int = 16
    num_policy_samples: int = 32
    embedding_size: int = 64
    kappa: float = 1.0


def dqn(config: DQNConfig, environment: Any, params: PyTree, reward: RewardTransformation | None = None) -> Algorithm:
    """DQN: the expected return of each action.

    Args:
      config: see `DQNConfig`; `learner.double_q` makes it Double DQN.
      environment: with discrete actions, and flat observations or images [H, W, C].
      params: of the environment.
      reward: as in `q_learning`.

    Raises:
      ValueError: naming the field that is out of range.

    Source: Mnih et al., "Human-level control through deep reinforcement learning" (Nature 2015); van Hasselt et al.
    (AAAI 2016).
    """
    return _with_head(config, environment, params, expected_value(config.huber_delta), reward)


def qr_dqn(
    config: QRDQNConfig, environment: Any, params: PyTree, reward: RewardTransformation | None = None
) -> Algorithm:
    """QR-DQN: N quantiles of the return of each action.

    Args:
      config: see `QRDQNConfig`.
      environment: with discrete actions, and flat observations or images [H, W, C].
      params: of the environment.
      reward: as in `q_learning`.

    Raises:
      ValueError: naming the field that is out of range.

    Source: Dabney et al., "Distributional Reinforcement Learning with Quantile Regression" (AAAI 2018).
    """
    return _with_head(config, environment, params, quantile(config.num_quantiles, config.kappa), reward)


def c51(config: C51Config, environment: Any, params: PyTree, reward: RewardTransformation | None = None) -> Algorithm:
    """C51: the probabilities of N returns, for each action.

    Args:
      config: see `C51Config`; the atoms must span the discounted returns.
      environment: with discrete actions, and flat observations or images [H, W, C].
      params: of the environment.
      reward: as in `q_learning`.

    Raises:
      ValueError: naming the field that is out of range.

    Source: Bellemare et al., "A Distributional Perspective on Reinforcement Learning" (ICML 2017).
    """
    return _with_head(config, environment, params, categorical(config.low, config.high, config.num_atoms), reward)


def iqn(config: IQNConfig, environment: Any, params: PyTree, reward: RewardTransformation | None = None) -> Algorithm:
    """IQN: the quantile of the return of each action at any level.

    Args:
      config: see `IQNConfig`.
      environment: with discrete actions, and flat observations or images [H, W, C].
      params: of the environment.
      reward: as in `q_learning`.

    Raises:
      ValueError: naming the field that is out of range.

    Source: Dabney et al., "Implicit Quantile Networks for Distributional Reinforcement Learning" (ICML 2018).
    """
    head = implicit_quantile(
        config.num_samples,
        config.num_target_samples,
        config.num_policy_samples,
        config.embedding_size,
        config.kappa,
        config.output_sizes,
    )
    return _with_head(config, environment, params, head, reward)


def _with_head(
    config: DQNConfig | QRDQNConfig | C51Config | IQNConfig,
    environment: Any,
    params: PyTree,
    head: ValueHead,
    reward: RewardTransformation | None,
) -> Algorithm:
    space = environment.observation_space(params)
    torso = torso_for(space, config.hidden_sizes, config.image_features, render_of(environment))
    return q_learning(config.learner, environment, params, torso, head, reward=reward)
