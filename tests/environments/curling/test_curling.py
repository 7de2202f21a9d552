"""Curling as an environment: observation, reward, areas and pictures."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.curling.curling import Curling, CurlingState

ENVIRONMENT = Curling()
PARAMS = ENVIRONMENT.default_params
GREY, DARK, RED, BLUE = (np.array(color) / 255 for color in ([150] * 3, [100] * 3, [255, 0, 0], [0, 0, 255]))


def state_at(ball, time=0):
    zero = jnp.zeros((), jnp.float32)
    x, y = (jnp.float32(coordinate) for coordinate in ball)
    return CurlingState(jnp.int32(time), zero, zero, zero, zero, x, y, zero, zero, zero, jnp.zeros((2, 8)))


@pytest.fixture(scope="module")
def step():
    # Half the time of compilation, which is most of what these tests take.
    compiled = jax.jit(ENVIRONMENT.step, compiler_options=QUICK_TO_COMPILE)
    return lambda state, action: compiled(jax.random.key(0), state, jnp.asarray(action, jnp.float32), PARAMS)


def expected_reward(x, y):
    """The published rule, one goal after the other."""
    for area, (goal_x, goal_y, radius) in enumerate([(0.8, 0.8, 0.4), (0.8, -0.8, 0.2)]):
        distance = np.hypot(x - goal_x, y - goal_y)
        if distance <= radius:
            return (radius - distance) / radius, area
    return 0.0, -1


def test_last_step_pays_for_the_first_goal_that_the_ball_lies_in(step):
    rng = np.random.default_rng(0)
    balls = rng.uniform(0.45, 1.15, (16, 2)) * np.where(np.arange(16)[:, None] % 2, [1, -1], [1, 1])
    balls[:4] = (0.8, 0.8), (0.8, -0.8), (0.8, -0.7), (-0.8, 0.8)
    areas = set()
    outcome = jax.jit(lambda state: (ENVIRONMENT.area(state, PARAMS), ENVIRONMENT.descriptor(state, PARAMS)))
    for ball in balls:
        expected, expected_area = expected_reward(*ball)
        _, _, reward, terminated, truncated, _ = step(state_at(ball, 499), (0, 0))
        np.testing.assert_allclose(reward, expected, atol=1e-5)
        assert (bool(terminated), bool(truncated)) == (False, True)
        area, descriptor = outcome(state_at(ball, 500))
        assert int(area) == expected_area
        np.testing.assert_array_equal(descriptor, np.float32(ball))
        _, _, reward, _, truncated, _ = step(state_at(ball, 498), (0, 0))
        assert (float(reward), bool(truncated)) == (0.0, False)
        areas.add(expected_area)
    assert areas == {-1, 0, 1}


def test_actions_are_clipped_speeds_and_the_observation_is_ball_angles_speeds(step):
    for action in [(7.0, 0.0), (1.0, 0.0), (0.3, -0.6), (-9.0, 9.0)]:
        observation, state, *_ = step(state_at((0.4, 1.2)), action)
        speeds = np.clip(action, -1, 1)
        np.testing.assert_allclose(observation[4:], speeds, atol=1e-5)
        np.testing.assert_allclose(observation[2:4], speeds / 60, atol=1e-6)
        np.testing.assert_array_equal(observation[:2], np.float32([0.4, 1.2]))
        assert int(state.time) == 1


def test_time_limit_starts_anew(step):
    observation, fresh, *_, info = step(state_at((0.8, 0.7), 499), (0, 0))
    assert int(fresh.time) == 0
    np.testing.assert_allclose(observation, [-0.5, 0.2, 0, 0, 0, 0], atol=1e-7)
    np.testing.assert_allclose(info["final_observation"], [0.8, 0.7, 0, 0, 0, 0], atol=1e-6)


def test_double_precision_keeps_the_state_single():
    state = state_at((-0.21, 0.2))
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), PARAMS)
        action, key = jnp.ones(2, jnp.float64), jax.random.key(0)
        for swept in (PARAMS, params):
            observation, stepped, reward, *_ = jax.eval_shape(ENVIRONMENT.step_env, key, state, action, swept)
            assert jax.tree.map(lambda leaf: leaf.dtype, stepped) == jax.tree.map(lambda leaf: leaf.dtype, state)
            assert observation.dtype == reward.dtype == jnp.float32


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
