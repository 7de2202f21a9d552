"""The algebra of reward transformations: composed as optax composes updates.

`chain` hands each member the trajectory with its rewards replaced by the member before; `add` sums members that all
see the original. So `chain(bonus, scale(c))` is a scaled bonus alone and `add(identity(), chain(bonus, scale(c)))` is
reward plus bonus.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from jaxrl_sparse.base import PyTree, RewardTransformation, Trajectory, require


def stateless(reward_fn: Callable[[Trajectory], Array]) -> RewardTransformation:
    """A transformation that neither learns nor remembers: `rewards = reward_fn(trajectory)`.

    Args:
      reward_fn: from a trajectory to rewards `[T, B]`.
    """

    def init(key: PRNGKeyArray, spec: Trajectory) -> PyTree:
        del key, spec
        return ()

    def update(trajectory: Trajectory, state: PyTree) -> tuple[Array, PyTree]:
        return reward_fn(trajectory), state

    def relabel(trajectory: Trajectory, state: PyTree) -> Array:
        del state
        return reward_fn(trajectory)

    return RewardTransformation(init, update, relabel)


def identity() -> RewardTransformation:
    """The environment's own rewards; the neutral member of `chain`."""
    return stateless(lambda trajectory: trajectory.rewards)


def scale(factor: float | Array) -> RewardTransformation:
    """`factor * r`.

    Args:
      factor: a scalar; may be a tracer, so that a sweep varies it.
    """
    return stateless(lambda trajectory: factor * trajectory.rewards)


def clip(low: float | Array, high: float | Array) -> RewardTransformation:
    """`min(max(r, low), high)`, in the reward's unit.

    Args:
      low: lower bound, a scalar; may be a tracer.
      high: upper bound, a scalar; may be a tracer.

    Raises:
      ValueError: if `low` is above `high`.
    """
    require("low, high", (low, high), lambda bounds: bounds[0] <= bounds[1], "two bounds in ascending order")
    return stateless(lambda trajectory: jnp.clip(trajectory.rewards, low, high))


def chain(*transformations: RewardTransformation) -> RewardTransformation:
    """Applies transformations one after another, each to the rewards of the one before it.

    `chain()` is the identity. The state is the tuple of the members' states. It can relabel if every member can.

    Args:
      *transformations: the first one sees the trajectory as it came.
    """

    def init(key: PRNGKeyArray, spec: Trajectory) -> PyTree:
        keys = jax.random.split(key, max(len(transformations), 1))
        return tuple(member.init(member_key, spec) for member, member_key in zip(transformations, keys, strict=False))

    def update(trajectory: Trajectory, state: PyTree) -> tuple[Array, PyTree]:
        states = []
        for member, member_state in zip(transformations, state, strict=True):
            rewards, member_state = member.update(trajectory, member_state)
            trajectory = trajectory._replace(rewards=rewards)
            states.append(member_state)
        return trajectory.rewards, tuple(states)

    def relabel(trajectory: Trajectory, state: PyTree) -> Array:
        for relabel_member, member_state in zip(relabels, state, strict=True):
            trajectory = trajectory._replace(rewards=relabel_member(trajectory, member_state))
        return trajectory.rewards

    relabels = [member.relabel for member in transformations if member.relabel is not None]
    return RewardTransformation(init, update, relabel if len(relabels) == len(transformations) else None)


def add(*transformations: RewardTransformation) -> RewardTransformation:
    """Sums the rewards of transformations that all see the original trajectory.

    The state is the tuple of the members' states. It can relabel if every member can.

    Args:
      *transformations: at least one.

    Raises:
      ValueError: if there is none.
    """
    require("transformations", len(transformations), lambda count: count >= 1, "at least one transformation")

    def init(key: PRNGKeyArray, spec: Trajectory) -> PyTree:
        keys = jax.random.split(key, len(transformations))
        return tuple(member.init(member_key, spec) for member, member_key in zip(transformations, keys, strict=True))

    def update(trajectory: Trajectory, state: PyTree) -> tuple[Array, PyTree]:
        labelled = [member.update(trajectory, part) for member, part in zip(transformations, state, strict=True)]
        return _sum([rewards for rewards, _ in labelled]), tuple(part for _, part in labelled)

    def relabel(trajectory: Trajectory, state: PyTree) -> Array:
        return _sum([relabel_member(trajectory, part) for relabel_member, part in zip(relabels, state, strict=True)])

    relabels = [member.relabel for member in transformations if member.relabel is not None]
    return RewardTransformation(init, update, relabel if len(relabels) == len(transformations) else None)


def _sum(rewards: list[Array]) -> Array:
    return functools.reduce(jnp.add, rewards)
