"""Rewards that are paid late: any task made sparse, its returns left as they are."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import RewardTransformation, Trajectory, is_count, require
from jaxrl_sparse.rewards.stepwise import stepwise


class Owed(NamedTuple):
    """What an episode has earned and not been paid.

    Attributes:
      amount: in the reward's unit.
      time: steps of the episode so far.
    """

    amount: Float[Array, ""]
    time: Int[Array, ""]


def delayed(period: int) -> RewardTransformation:
    """Pays what was earned since the last payment, after every `period` steps of an episode and at its end.

    The sum of an episode's rewards stays what it was, without discount. Both ends pay: after a time limit nobody would.
    An episode that a trajectory's border cuts goes on in the next one.

    Args:
      period: in steps, at least 1; 1 leaves rewards as they are.

    Raises:
      ValueError: if the period is less than 1.
    """
    require("period", period, is_count, "an integer of at least 1")
    return _paying_where(lambda time: time % period == 0)


def episodic() -> RewardTransformation:
    """Pays the sum of an episode's rewards in its last step, whether the task ended or a time limit cut; else nothing.

    It is `delayed` with a period longer than any episode.
    """
    return _paying_where(lambda time: False)


def _paying_where(is_due: Callable[[Int[Array, ""]], Array | bool]) -> RewardTransformation:
    def step(owed: Owed, transition: Trajectory) -> tuple[Float[Array, ""], Owed]:
        amount, time = owed.amount + transition.rewards, owed.time + 1
        pays = jnp.logical_or(is_due(time), transition.dones)
        return jnp.where(pays, amount, 0.0), Owed(jnp.where(pays, 0.0, amount), time)

    return stepwise(Owed(jnp.zeros(()), jnp.zeros((), jnp.int32)), step)
