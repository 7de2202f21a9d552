"""gymnax's own wrappers on these environments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.planar.collect_ball import CollectBall
from jaxrl_sparse.environments.planar.hard_maze import HardMaze
from jaxrl_sparse.environments.planar.point_2d import Point2D
from jaxrl_sparse.environments.planar.point_maze import PointMaze
from jaxrl_sparse.environments.planar.redundant_arm import RedundantArm

purerl = pytest.importorskip("gymnax.wrappers.purerl")
ENVIRONMENTS = {
    "point-2d": (Point2D(), 2),
    "redundant-arm": (RedundantArm(), 20),
    "hard-maze": (HardMaze(), 5),
    "collect-ball": (CollectBall(), 10),
    "point-maze": (PointMaze(), 2),
}


def test_log_wrapper_counts_the_return_and_the_length_of_an_episode():
    environment = purerl.LogWrapper(Point2D())
    params = environment.default_params
    _, state = environment.reset(jax.random.key(0), params)
    # The 15th step enters the box x [0, 0.05], y [-0.75, -0.7], and 35 more are made in there: 36 are paid.
    actions = [(0, -1)] * 13 + [(0.5, -0.5), (0, -1)] + [(0, 0)] * 35
    for n, action in enumerate(actions):
        *_, reward, terminated, truncated, info = (
            out := environment.step(jax.random.key(n), state, jnp.array(action, jnp.float32), params)
        )
        state = out[1]
        assert float(reward) == (n >= 14)
        assert (bool(terminated), bool(truncated)) == (False, n == 49)
    assert float(info["returned_episode_returns"]) == 36
    assert int(info["returned_episode_lengths"]) == 50
    assert bool(info["returned_episode"])


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_flatten_observation_wrapper_leaves_flat_observations_as_they_are(name):
    environment, size = ENVIRONMENTS[name]
    wrapped = purerl.FlattenObservationWrapper(environment)
    params = environment.default_params
    space = wrapped.observation_space(params)
    assert space.shape == (size,)
    observation, state = wrapped.reset(jax.random.key(0), params)
    expected, _ = jax.jit(environment.reset_env)(jax.random.key(0), params)
    np.testing.assert_allclose(observation, expected, atol=1e-6)
    assert bool(space.contains(observation))
    action = 0.5 * jnp.ones(wrapped.action_space(params).shape)
    observation, _, reward, terminated, truncated, info = wrapped.step(jax.random.key(1), state, action, params)
    expected, *_ = jax.jit(environment.step_env)(jax.random.key(1), state, action, params)
    np.testing.assert_allclose(observation, expected, atol=1e-5)
    np.testing.assert_allclose(info["final_observation"], expected, atol=1e-5)
    assert (float(reward), bool(terminated), bool(truncated)) == (0.0, False, False)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_steps_have_strong_types(name):
    environment, _ = ENVIRONMENTS[name]
    params = environment.default_params
    key = jax.random.key(0)
    action = jax.ShapeDtypeStruct(environment.action_space(params).shape, jnp.float32)
    start = jax.eval_shape(environment.reset_env, key, params)
    observation, state, reward, terminated, info = jax.eval_shape(environment.step_env, key, start[1], action, params)
    for leaf in jax.tree.leaves((start, observation, state, reward, terminated, info)):
        assert not leaf.weak_type
    assert (reward.dtype, terminated.dtype, reward.shape, terminated.shape) == (jnp.float32, bool, (), ())
    # A scan carries the state: a step must not change its types.
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), start[1]
    )
