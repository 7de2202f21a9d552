"""What a learner is rewarded by: one transformation, or several streams with a value head each."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import PyTree, RewardStream, RewardTransformation, Trajectory, require
from jaxrl_sparse.rewards.algebra import identity

Streams = Mapping[str, RewardStream]
# The name of the only stream of a learner that was given a transformation.
ONLY = "reward"


def as_streams(reward: RewardTransformation | Streams | None, discount: float | Array) -> dict[str, RewardStream]:
    """The streams of a learner, by name in alphabetical order.

    Args:
      reward: streams; or a transformation, the only stream, episodic and with coefficient 1; or None for the
        environment's own rewards.
      discount: of the only stream.

    Raises:
      ValueError: if there is no stream, or a discount is outside [0, 1].
    """
    if reward is None or isinstance(reward, RewardTransformation):
        reward = {ONLY: RewardStream(identity() if reward is None else reward, discount)}
    require("reward", sorted(reward), lambda names: len(names) >= 1, "at least one stream")
    for name, stream in reward.items():
        require(f"discount of {name!r}", stream.discount, lambda gamma: 0 <= gamma <= 1, "a number in [0, 1]")
    return dict(sorted(reward.items()))


def init_streams(streams: Streams, key: PRNGKeyArray, spec: Trajectory) -> dict[str, PyTree]:
    """The states of all transformations, by name."""
    keys = jax.random.split(key, len(streams))
    return {
        name: stream.transformation.init(stream_key, spec)
        for (name, stream), stream_key in zip(streams.items(), keys, strict=True)
    }


def update_streams(
    streams: Streams, trajectory: Trajectory, states: dict[str, PyTree]
) -> tuple[Float[Array, "T B K"], dict[str, PyTree]]:
    """Labels fresh experience for every stream: rewards side by side in the order of the streams."""
    rewards, new = [], {}
    for name, stream in streams.items():
        labels, new[name] = stream.transformation.update(trajectory, states[name])
        rewards.append(labels)
    return jnp.stack(rewards, axis=-1), new
