"""Rewards and ends by hand, a scripted lap, a mirrored lap, a batch against its rows."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.racing.car_racing import CarRacing, CarRacingState, progress
from jaxrl_sparse.environments.racing.track import interpolate, mirrored, random_track
from jaxrl_sparse.environments.rollouts import run_episodes

ENVIRONMENT = CarRacing()
PARAMS = ENVIRONMENT.default_params
STEP = jax.jit(ENVIRONMENT.step_env, compiler_options=QUICK_TO_COMPILE)
SPEED = 1.0


def driver(track, observation):
    """Follows the centre line at 1 m/s: the wheels' angle of the bend ahead, less what is off the line."""
    s, d, mu, v_x, _ = observation
    steering = jnp.arctan(0.062 * interpolate(track.curvature, track, s + 0.08)) - 1.5 * d - 0.6 * mu
    return jnp.stack([0.25 + (SPEED - v_x), steering])


def lap(track, num_environments):
    """Episodes, and the sum of progress by steps."""
    params = PARAMS.replace(track=track)

    def accumulate(total, transition):
        moved = progress(transition.next_observations) - progress(transition.observations)
        return total + jnp.where(transition.active, moved, 0.0)

    def run(key):
        act = lambda _, observations: jax.vmap(lambda o: driver(track, o))(observations)  # noqa: E731
        start = jnp.zeros(num_environments)
        return run_episodes(ENVIRONMENT, act, None, key, params, 700, num_environments, accumulate, start)

    return jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))


def test_a_driver_finishes_the_lap():
    """In about 16.4 s, from either side of the line; the return is the finish less a hundredth for each step."""
    episodes = lap(ENVIRONMENT.track, 8)
    assert episodes.terminated.all()
    assert (progress(episodes.observations) >= 16.4).all() and (progress(episodes.observations) < 16.5).all()
    assert (episodes.lengths > 450).all() and (episodes.lengths < 650).all()
    np.testing.assert_allclose(episodes.returns, 1 - 0.01 * episodes.lengths, rtol=1e-4)
    np.testing.assert_allclose(episodes.accumulated, progress(episodes.observations), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_every_track_can_be_driven(seed):
    assert (progress(lap(random_track(jax.random.key(seed)), 4).observations) >= 16.4).all()


def test_the_mirrored_track_is_driven_alike():
    one, other = lap(ENVIRONMENT.track, 2), lap(mirrored(ENVIRONMENT.track), 2)
    # Both start on both sides, so that each row has its mirror image among the rows of the other.
    np.testing.assert_allclose(np.sort(one.lengths), np.sort(other.lengths), atol=8)
    assert other.terminated.all()


def at(**parts):
    names = ("s", "d", "mu", "v_x", "v_y", "r")
    car = jnp.array([parts.get(name, 0.0) for name in names])
    return CarRacingState(time=jnp.int32(3), car=car)


@pytest.mark.parametrize(
    ("parts", "reward", "terminated", "off_track", "finished"),
    [
        ({"s": 5.0, "v_x": 0.2}, -0.01, False, False, False),
        ({"s": 5.0, "d": 0.31, "v_x": 0.2}, -1.01, True, True, False),
        ({"s": 5.0, "d": -0.31, "v_x": 0.2}, -1.01, True, True, False),
        ({"s": 16.398, "v_x": 1.0}, 0.99, True, False, True),
        ({"s": 16.398, "d": 0.5, "v_x": 1.0}, -1.01, True, True, False),
    ],
)
def test_rewards_by_hand(parts, reward, terminated, off_track, finished):
    observation, state, paid, ended, info = STEP(jax.random.key(0), at(**parts), jnp.zeros(2), PARAMS)
    np.testing.assert_allclose(paid, reward, rtol=1e-6)
    assert (bool(ended), bool(info["off_track"]), bool(info["finished"])) == (terminated, off_track, finished)
    np.testing.assert_array_equal(observation, state.car[:5])
    assert int(state.time) == 4 and float(progress(observation)) == float(state.car[0])


def test_the_edge_is_that_of_the_track():
    """Just within and just beyond the half width at the place that was reached."""
    for s in (1.0, 7.3, 12.9):
        width = float(interpolate(PARAMS.track.half_width, PARAMS.track, jnp.float32(s)))
        for share, is_off in ((0.99, False), (1.01, True)):
            *_, info = STEP(jax.random.key(0), at(s=s, d=share * width), jnp.zeros(2), PARAMS)
            assert bool(info["off_track"]) == is_off


def test_who_stands_still_is_truncated():
    def run(key):
        act = lambda _, observations: jnp.zeros((3, 2))  # noqa: E731
        return run_episodes(ENVIRONMENT, act, None, key, PARAMS, 800, 3)

    episodes = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    assert (episodes.lengths == 700).all() and episodes.truncated.all() and not episodes.terminated.any()
    np.testing.assert_allclose(episodes.returns, -7, rtol=1e-4)


def test_starts_are_on_both_sides():
    observations, _ = jax.vmap(ENVIRONMENT.reset_env, in_axes=(0, None))(
        jax.random.split(jax.random.key(0), 200), PARAMS
    )
    np.testing.assert_allclose(np.abs(observations[:, 1]), 0.1)
    assert 70 < (np.asarray(observations[:, 1]) > 0).sum() < 130
    np.testing.assert_array_equal(np.delete(observations, 1, axis=1), 0)


def test_a_batch_is_its_rows():
    rng = np.random.default_rng(0)
    cars = rng.uniform([0, -0.2, -0.5, 0, -0.3, -3], [16, 0.2, 0.5, 2, 0.3, 3], (16, 6))
    states = CarRacingState(time=jnp.arange(16, dtype=jnp.int32), car=jnp.asarray(cars, jnp.float32))
    actions = jnp.asarray(rng.uniform(-1.5, 1.5, (16, 2)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 16)
    step_all = jax.vmap(ENVIRONMENT.step_env, in_axes=(0, 0, 0, None))
    batched = jax.jit(step_all, compiler_options=QUICK_TO_COMPILE)(keys, states, actions, PARAMS)
    for i in range(0, 16, 5):
        row = STEP(keys[i], jax.tree.map(lambda leaf, i=i: leaf[i], states), actions[i], PARAMS)
        for many, one in zip(jax.tree.leaves(batched), jax.tree.leaves(row), strict=True):
            np.testing.assert_allclose(many[i], one, rtol=1e-4, atol=1e-5)


def test_physics_is_swept_in_the_parameters():
    """A lighter car is faster after one step."""
    car = PARAMS.car.replace(mass=jnp.array([0.02, 0.041, 0.08]))
    state, action = at(s=1.0), jnp.array([1.0, 0.0])

    def step(car):
        return ENVIRONMENT.step_env(jax.random.key(0), state, action, PARAMS.replace(car=car))[0]

    axes = jax.tree.map(lambda _: None, car).replace(mass=0)
    speeds = jax.jit(jax.vmap(step, in_axes=(axes,)), compiler_options=QUICK_TO_COMPILE)(car)[:, 3]
    assert speeds[0] > speeds[1] > speeds[2] > 0
    np.testing.assert_allclose(speeds[1], step(PARAMS.car)[3], rtol=1e-5)


def test_types_are_strong_and_do_not_change_in_a_step():
    start = jax.eval_shape(ENVIRONMENT.reset_env, jax.random.key(0), PARAMS)
    action = jax.ShapeDtypeStruct((2,), jnp.float32)
    observation, state, reward, terminated, _ = jax.eval_shape(
        ENVIRONMENT.step_env, jax.random.key(0), start[1], action, PARAMS
    )
    kind = lambda leaf: (leaf.shape, leaf.dtype)  # noqa: E731
    assert jax.tree.map(kind, (observation, state)) == jax.tree.map(kind, start)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves((observation, state, reward)))
    assert (reward.dtype, terminated.dtype, ENVIRONMENT.num_actions) == (jnp.float32, jnp.bool_, 2)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_are_the_same_track(duplicate):
    np.testing.assert_array_equal(duplicate(ENVIRONMENT).track.curvature, ENVIRONMENT.track.curvature)
    assert (CarRacing(seed=1).track.curvature != ENVIRONMENT.track.curvature).any()
