"""Point2D against closed forms."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from jaxrl_sparse.environments.planar.point_2d import Point2D

ENVIRONMENT = Point2D()
PARAMS = ENVIRONMENT.default_params
KEY = jax.random.key(0)


@jax.jit
def play(actions):
    def step(state, action):
        observation, state, reward, terminated, _ = ENVIRONMENT.step_env(KEY, state, action, PARAMS)
        return state, (observation, reward, terminated, state.area)

    return jax.lax.scan(step, ENVIRONMENT.reset_env(KEY, PARAMS)[1], actions)[1]


def walk(actions):
    """Plays 50 steps, standing still after the given ones; returns positions, rewards and areas."""
    actions = np.concatenate([np.reshape(actions, (-1, 2)), np.zeros((50 - len(actions), 2))])
    positions, rewards, terminated, areas = play(jnp.asarray(actions, jnp.float32))
    assert not terminated.any()
    return np.asarray(positions), np.asarray(rewards), np.asarray(areas)


@settings(max_examples=20, deadline=None)
@given(numpy_strategies.arrays(np.float32, (50, 2), elements=st.floats(-3, 3, width=32)))
def test_position_is_the_clipped_walk(actions):
    positions, rewards, areas = walk(actions)
    expected, position, first = [], np.zeros(2), -1
    for action, reward, area, ours in zip(actions, rewards, areas, positions, strict=True):
        position = np.clip(position + 0.05 * np.clip(action, -1, 1), -1, 1)
        expected.append(position)
        x, y = ours
        inside = [
            0.75 <= x <= 0.8 and 0.75 <= y <= 0.8,
            -0.98 <= x <= -0.93 and 0.9 <= y <= 0.95,
            0 <= x <= 0.05 and -0.75 <= y <= -0.7,
            -0.75 <= x <= -0.7 and -0.05 <= y <= 0,
        ]
        if first < 0 and any(inside):
            first = inside.index(True)
        assert area == first
        assert reward == (1.0 if first >= 0 and inside[first] else 0.0)
    np.testing.assert_allclose(positions, expected, atol=1e-5)


# Ways to the middle of each box; the last step enters it.
TO_BOXES = {
    0: [(1, 1)] * 14 + [(0.5, 0.5), (1, 1)],
    1: [(-1, 1)] * 18 + [(-0.1, 0.5), (-1, 0)],
    2: [(0, -1)] * 13 + [(0.5, -0.5), (0, -1)],
    3: [(-1, 0)] * 13 + [(-0.5, -0.5), (-1, 0)],
}


@pytest.mark.parametrize("box", TO_BOXES)
def test_every_step_inside_of_a_box_pays_one(box):
    way = TO_BOXES[box]
    positions, rewards, areas = walk(way)
    area = ENVIRONMENT.reward_areas[box]
    np.testing.assert_allclose(positions[-1], area.center, atol=1e-5)
    np.testing.assert_allclose(area.size, (0.05, 0.05), atol=1e-9)
    # It stands in the box from the last step of its way to the end of the episode.
    np.testing.assert_array_equal(rewards, np.arange(50) >= len(way) - 1)
    assert areas[-1] == box


def test_only_the_first_box_pays():
    to_box_2 = TO_BOXES[2]
    to_box_3 = [(-1, 1)] * 14 + [(-1, 0)]
    positions, rewards, areas = walk([*to_box_2, *to_box_3])
    x, y = positions[-1]
    assert -0.75 <= x <= -0.7 and -0.05 <= y <= 0
    assert rewards.sum() == 1 and (areas[14:] == 2).all()
    # Back in the first box it is paid again.
    back = [(-a, -b) for a, b in reversed(to_box_3)]
    _, rewards, _ = walk([*to_box_2, *to_box_3, *back])
    assert rewards.sum() == 2 + (50 - len([*to_box_2, *to_box_3, *back]))


def test_time_limit_truncates_and_starts_anew():
    step = jax.jit(ENVIRONMENT.step)
    _, state = ENVIRONMENT.reset_env(KEY, PARAMS)
    for n in range(50):
        observation, state, reward, terminated, truncated, info = step(
            jax.random.key(n), state, jnp.array([1.0, -1.0]), PARAMS
        )
        assert (bool(terminated), bool(truncated), float(reward)) == (False, n == 49, 0.0)
    np.testing.assert_array_equal(observation, [0, 0])
    np.testing.assert_array_equal(info["final_observation"], [1, -1])
    assert int(state.time) == 0 and int(state.area) == -1


def test_descriptor_and_area_are_those_of_the_state():
    _, state = ENVIRONMENT.reset_env(KEY, PARAMS)
    state = state.replace(position=jnp.array([0.25, -0.5]), area=jnp.int32(2))
    np.testing.assert_array_equal(ENVIRONMENT.descriptor(state, PARAMS), [0.25, -0.5])
    np.testing.assert_array_equal(ENVIRONMENT.world_position(ENVIRONMENT.descriptor(state, PARAMS)), [0.25, -0.5])
    assert int(ENVIRONMENT.area(state, PARAMS)) == 2


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_are_the_same_environment(duplicate):
    other = duplicate(ENVIRONMENT)
    assert other.default_params == PARAMS
    np.testing.assert_array_equal(other.reset_env(KEY, PARAMS)[0], [0, 0])
