"""RND-PPO: PPO with two streams of rewards, the task's and the bonus of random network distillation."""

from collections.abc import Callable
from typing import Any

from jaxrl_sparse.base import Algorithm, PyTree, config
from jaxrl_sparse.exploration.rnd import RNDConfig, rnd, rnd_streams
from jaxrl_sparse.learners.discounting import discount_of
from jaxrl_sparse.learners.on_policy import OnPolicyConfig
from jaxrl_sparse.learners.ppo import PPOConfig, ppo


@config
class RNDPPOConfig(PPOConfig):
    """Configuration of `rnd_ppo`: that of `PPOConfig`, whose discount is the task's, and of the bonus.

    Attributes:
      bonus: see `RNDConfig`; its discount is that of the bonus's stream.
      task_coefficient: of the task's advantages.
      bonus_coefficient: of the bonus's; 0 is PPO.
    """

    learner: OnPolicyConfig = OnPolicyConfig(discount=0.999)
    bonus: RNDConfig = RNDConfig()
    task_coefficient: float = 2.0
    bonus_coefficient: float = 1.0


def rnd_ppo(
    config: RNDPPOConfig, environment: Any, params: PyTree, view: Callable[[PyTree], PyTree] | None = None
) -> Algorithm:
    """PPO on the task and the bonus, a value head each; see `ppo` for its metrics, and `rnd` for the bonus.

    `reward(bonus)` and `reward(task)` are among the metrics of an update. Episodes end the task's returns and not the
    bonus's.

    Args:
      config: see `RNDPPOConfig`.
      environment: with flat observations, unless `view` makes them flat for the bonus.
      params: of the environment.
      view: from observations to the part that novelty is of; the environment's own `novelty_view` where it has one, or
        its `features`, or all.

    Raises:
      ValueError: naming the field that is out of range.

    Source: Burda et al., "Exploration by Random Network Distillation" (ICLR 2019).
    """
    if view is None:
        view = getattr(environment, "novelty_view", getattr(environment, "features", None))
    discount = discount_of(config.learner.discount, environment, params)
    streams = rnd_streams(
        rnd(config.bonus, view), discount, config.bonus.discount, config.task_coefficient, config.bonus_coefficient
    )
    return ppo(config, environment, params, streams)
