import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.base import Trajectory
from jaxrl_sparse.learners.episode_accounts import episode_returns


def test_returns_are_carried_from_one_trajectory_to_the_next():
    rewards = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    ends = jnp.array([[False, True], [True, False], [False, False]])
    nowhere = jnp.zeros((3, 2))
    trajectory = Trajectory(nowhere, nowhere, rewards, ends, jnp.zeros_like(ends), nowhere)
    returns, episode_return, episodes = episode_returns(jnp.array([10.0, 20.0]), jnp.float32(0), trajectory)
    np.testing.assert_array_equal(returns, [5.0, 10.0])
    assert int(episodes) == 2 and float(episode_return) == (14 + 22) / 2
    # Nothing ends in the last step: the mean stays that of the last that did.
    rest = jax.tree.map(lambda leaf: leaf[2:], trajectory)
    returns, episode_return, episodes = episode_returns(jnp.array([1.0, 2.0]), jnp.float32(7), rest)
    np.testing.assert_array_equal(returns, [6.0, 8.0])
    assert int(episodes) == 0 and float(episode_return) == 7
