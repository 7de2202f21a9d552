import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.base import RewardStream, Trajectory, trajectory_spec
from jaxrl_sparse.learners.reward_streams import as_streams, init_streams, update_streams
from jaxrl_sparse.rewards import identity, scale, stepwise

FLAGS = jnp.zeros((3, 2), bool)
REWARDS = jnp.arange(6.0).reshape(3, 2)
TRAJECTORY = Trajectory(REWARDS, REWARDS, REWARDS, FLAGS, FLAGS, REWARDS)
SUM_SO_FAR = stepwise(jnp.zeros(()), lambda memory, row: (memory + row.rewards, memory + row.rewards))


def test_rewards_stand_side_by_side_by_name_and_every_stream_has_its_state():
    streams = as_streams({"tripled": RewardStream(scale(3.0), 0.9), "summed": RewardStream(SUM_SO_FAR, 0.5)}, 0.0)
    assert list(streams) == ["summed", "tripled"]
    states = init_streams(streams, jax.random.key(0), trajectory_spec(TRAJECTORY))
    rewards, states = update_streams(streams, TRAJECTORY, states)
    np.testing.assert_array_equal(rewards, np.stack([np.cumsum(REWARDS, axis=0), 3 * REWARDS], axis=-1))
    again, _ = update_streams(streams, TRAJECTORY, states)
    np.testing.assert_array_equal(again[0, :, 0], REWARDS.sum(0) + REWARDS[0])


@pytest.mark.parametrize("reward", [None, identity()])
def test_one_transformation_is_the_only_stream(reward):
    (stream,) = as_streams(reward, 0.7).values()
    assert (stream.discount, stream.coefficient, stream.episodic) == (0.7, 1.0, True)
    np.testing.assert_array_equal(stream.transformation.relabel(TRAJECTORY, ()), REWARDS)


def test_refusals():
    with pytest.raises(ValueError, match=r"reward: got .*, takes at least one stream"):
        as_streams({}, 0.9)
    with pytest.raises(ValueError, match=r"discount of 'bonus': got 1.5"):
        as_streams({"bonus": RewardStream(identity(), 1.5)}, 0.9)
