"""Curling as an environment: observation, reward, areas, pictures, and how it is batched."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.curling.curling import Curling, CurlingState

ENVIRONMENT = Curling()
PARAMS = ENVIRONMENT.default_params
BATCH_SIZE = 16
GREY, DARK, RED, BLUE = (np.array(color) / 255 for color in ([150] * 3, [100] * 3, [255, 0, 0], [0, 0, 255]))


def states_at(balls, times=0):
    count = len(balls)
    zeros = jnp.zeros(count, jnp.float32)
    x, y = jnp.asarray(balls, jnp.float32).T
    times = jnp.broadcast_to(jnp.asarray(times, jnp.int32), (count,))
    return CurlingState(times, zeros, zeros, zeros, zeros, x, y, zeros, zeros, zeros, jnp.zeros((count, 2, 8)))


@pytest.fixture(scope="module")
def step():
    return jax.jit(ENVIRONMENT.step)


@pytest.fixture(scope="module")
def step_all():
    """`step_env` of 16 states."""
    stepped = jax.jit(jax.vmap(ENVIRONMENT.step_env, in_axes=(None, 0, 0, None)))
    return lambda states, actions, params=PARAMS: stepped(jax.random.key(0), states, actions, params)


def expected_reward(x, y):
    """The published rule, one goal after the other."""
    for area, (goal_x, goal_y, radius) in enumerate([(0.8, 0.8, 0.4), (0.8, -0.8, 0.2)]):
        distance = np.hypot(x - goal_x, y - goal_y)
        if distance <= radius:
            return (radius - distance) / radius, area
    return 0.0, -1


def test_last_step_pays_for_the_first_goal_that_the_ball_lies_in(step_all):
    rng = np.random.default_rng(0)
    balls = rng.uniform(0.45, 1.15, (BATCH_SIZE, 2)) * np.where(np.arange(BATCH_SIZE)[:, None] % 2, [1, -1], [1, 1])
    balls[:4] = (0.8, 0.8), (0.8, -0.8), (0.8, -0.7), (-0.8, 0.8)
    expected = [expected_reward(*ball) for ball in balls]
    assert {area for _, area in expected} == {-1, 0, 1}
    _, states, rewards, terminated, _ = step_all(states_at(balls, 499), jnp.zeros((BATCH_SIZE, 2)))
    np.testing.assert_allclose(rewards, [reward for reward, _ in expected], atol=1e-5)
    assert not terminated.any()
    areas, descriptors = jax.jit(
        jax.vmap(lambda state: (ENVIRONMENT.area(state, PARAMS), ENVIRONMENT.descriptor(state, PARAMS)))
    )(states)
    np.testing.assert_array_equal(areas, [area for _, area in expected])
    np.testing.assert_array_equal(descriptors, np.float32(balls))

    *_, rewards, _, _ = step_all(states_at(balls, 498), jnp.zeros((BATCH_SIZE, 2)))
    np.testing.assert_array_equal(rewards, 0)


def test_actions_are_clipped_speeds_and_the_observation_is_ball_angles_speeds(step_all):
    actions = jnp.array([(7.0, 0.0), (1.0, 0.0), (0.3, -0.6), (-9.0, 9.0)] * 4)
    observations, states, *_ = step_all(states_at([(0.4, 1.2)] * BATCH_SIZE), actions)
    speeds = np.clip(actions, -1, 1)
    np.testing.assert_allclose(observations[:, 4:], speeds, atol=1e-5)
    np.testing.assert_allclose(observations[:, 2:4], speeds / 60, atol=1e-6)
    np.testing.assert_array_equal(observations[:, :2], np.float32([(0.4, 1.2)] * BATCH_SIZE))
    np.testing.assert_array_equal(states.time, 1)


def test_time_limit_truncates_and_starts_anew(step):
    state = jax.tree.map(lambda leaf: leaf[0], states_at([(0.8, 0.7)], 499))
    observation, fresh, reward, terminated, truncated, info = step(jax.random.key(1), state, jnp.zeros(2), PARAMS)
    np.testing.assert_allclose(reward, 0.75, atol=1e-6)
    assert (bool(terminated), bool(truncated), int(fresh.time)) == (False, True, 0)
    np.testing.assert_allclose(observation, [-0.5, 0.2, 0, 0, 0, 0], atol=1e-7)
    np.testing.assert_allclose(info["final_observation"], [0.8, 0.7, 0, 0, 0, 0], atol=1e-6)


def test_batch_is_its_rows(step, step_all):
    # Balls that coast, touch, bounce in the course of a step, and are wedged in between arm and wall.
    rng = np.random.default_rng(1)
    states = states_at(rng.uniform(-1.29, 1.29, (BATCH_SIZE, 2)))
    states = states.replace(
        angle_0=jnp.asarray(rng.uniform(-0.7, 0.7, BATCH_SIZE), jnp.float32),
        angle_1=jnp.asarray(rng.uniform(-1.5, 1.5, BATCH_SIZE), jnp.float32),
        velocity_x=jnp.asarray(rng.uniform(-3, 3, BATCH_SIZE), jnp.float32),
        velocity_y=jnp.asarray(rng.uniform(-3, 3, BATCH_SIZE), jnp.float32),
    )
    wedged = states.replace(
        x=states.x.at[:4].set(-0.2), y=states.y.at[:4].set(0.1), angle_0=states.angle_0.at[:4].set(0)
    )
    actions = jnp.asarray(rng.uniform(-1, 1, (BATCH_SIZE, 2)), jnp.float32)
    states = wedged
    for _ in range(3):
        before = states
        observations, states, *_ = step_all(before, actions)
        for n in range(BATCH_SIZE):
            row = jax.tree.map(lambda leaf, n=n: leaf[n], before)
            *_, info = step(jax.random.key(0), row, actions[n], PARAMS)
            np.testing.assert_allclose(info["final_observation"], observations[n], atol=2e-4)
    assert jnp.any(states.impulses[:, 0, 2:] > 0)


def test_double_precision_keeps_the_state_single():
    states = states_at([(-0.21, 0.2)] * BATCH_SIZE)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), PARAMS)
        actions = jnp.ones((BATCH_SIZE, 2), jnp.float64)
        step_all = jax.vmap(ENVIRONMENT.step_env, in_axes=(None, 0, 0, None))
        for swept in (PARAMS, params):
            observations, stepped, rewards, *_ = jax.eval_shape(step_all, jax.random.key(0), states, actions, swept)
            assert jax.tree.map(lambda leaf: leaf.dtype, stepped) == jax.tree.map(lambda leaf: leaf.dtype, states)
            assert observations.dtype == rewards.dtype == jnp.float32


def test_picture_shows_ball_links_goals_and_walls():
    size = 150
    render = jax.jit(ENVIRONMENT.render, static_argnums=1)

    def color(image, x, y):
        return np.asarray(image)[int((1.5 - y) / 3 * size), int((x + 1.5) / 3 * size)]

    angle_0, angle_1 = 0.4, -1.2
    image = render(jnp.array([-0.3, 0.9, angle_0, angle_1]), size)
    elbow = np.array([-np.sin(angle_0), -1.5 + np.cos(angle_0)])
    second = np.array([-np.sin(angle_0 + angle_1), np.cos(angle_0 + angle_1)])
    expected = {
        (-0.3, 0.9): BLUE,
        (-0.3, 1.01): BLUE,
        (-0.3, 1.09): np.ones(3),
        tuple(0.5 * (elbow + np.array([0, -1.5]))): DARK,
        tuple(elbow + 0.85 * second): DARK,
        tuple(elbow + 0.97 * second): np.ones(3),
        (0.8, 0.8): RED,
        (0.8, 0.45): RED,
        (0.8, -0.65): RED,
        (0.8, -0.5): np.ones(3),
        (-0.8, 0.8): np.ones(3),
        (1.48, 0.3): GREY,
        (0.2, 1.48): GREY,
        (-1.2, -1.48): GREY,
    }
    for position, shown in expected.items():
        np.testing.assert_allclose(color(image, *position), shown, atol=1e-5, err_msg=str(position))

    # The scene is the picture without arm and ball.
    scene = np.asarray(jax.jit(ENVIRONMENT.scene, static_argnums=0)(size))
    away = np.ones((size, size), bool)
    away[int(0.35 / 3 * size) :, int(0.5 / 3 * size) : int(1.95 / 3 * size)] = False
    np.testing.assert_allclose(np.asarray(image)[away], scene[away], atol=1e-6)
    np.testing.assert_allclose(color(scene, -0.3, 0.9), 1)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_are_the_same_environment(duplicate):
    other = duplicate(ENVIRONMENT)
    assert other.default_params == PARAMS
    observation, _ = other.reset_env(jax.random.key(0), PARAMS)
    np.testing.assert_allclose(observation, [-0.5, 0.2, 0, 0, 0, 0], atol=1e-7)
