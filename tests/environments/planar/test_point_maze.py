"""PointMaze against exact geometry."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from jaxrl_sparse.environments.planar.ant_arena import INNER_WALLS
from jaxrl_sparse.environments.planar.point_maze import PointMaze, PointMazeState, slide

ENVIRONMENT = PointMaze()
PARAMS = ENVIRONMENT.default_params
KEY = jax.random.key(0)
STEPS = 200
slide_all = jax.jit(jax.vmap(slide))


@jax.jit
def play(actions, start):
    """Observations, rewards and positions of 200 actions from a position."""

    def step(state, action):
        observation, state, reward, terminated, _ = ENVIRONMENT.step_env(KEY, state, action, PARAMS)
        return state, (observation, reward, state.position, terminated)

    return jax.lax.scan(step, PointMazeState(jnp.int32(0), start), actions)[1]


def walk(*pieces, start=(-25.0, -25.0)):
    """Pieces `(number, action)`, then standing still."""
    actions = np.concatenate([np.tile(np.float32(action), (number, 1)) for number, action in pieces])
    actions = np.concatenate([actions, np.zeros((STEPS - len(actions), 2), np.float32)])
    observations, rewards, positions, terminated = play(actions, jnp.float32(start))
    assert not terminated.any()
    np.testing.assert_allclose(observations, (np.asarray(positions) - 5) / 70, atol=1e-6)
    return np.asarray(positions), np.asarray(rewards)


def slides(cases):
    """Ends of motions `{(x, y, dx, dy): ...}`."""
    cases = np.array(list(cases), np.float32)
    return np.asarray(slide_all(cases[:, :2], cases[:, 2:]))


def test_free_motion_is_six_tenths_of_the_clipped_action():
    positions, rewards = walk((10, (1, 0.5)), (10, (-0.25, 3)), (1, (np.inf, -np.inf)))
    np.testing.assert_allclose(positions[9], [-25 + 6, -25 + 3], atol=1e-5)
    np.testing.assert_allclose(positions[19], [-19 - 1.5, -22 + 6], atol=1e-5)
    np.testing.assert_allclose(positions[20], [-20.5 + 0.6, -16 - 0.6], atol=1e-5)
    np.testing.assert_allclose(positions[-1], positions[20])
    assert rewards.sum() == 0


def test_faces_stop_from_every_side_and_let_slide():
    faces = {
        # The free-standing wall, x in [-15.3, -14.7], y in [3, 37]: from the left, right, below and above.
        (-15.5, 20, 0.6, 0.3): (-15.3, 20.3),
        (-14.5, 20, -0.6, -0.3): (-14.7, 19.7),
        (-15.1, 2.9, 0.1, 0.6): (-15.0, 3.0),
        (-15.1, 37.2, 0.1, -0.6): (-15.0, 37.0),
        # The lower walls, x in [-16, 10], y in [-15.3, -14.7], and x in [9.7, 10.3], y in [-30, 0].
        (0, -15.5, 0.2, 0.6): (0.2, -15.3),
        (0, -14.5, 0.2, -0.6): (0.2, -14.7),
        (-16.1, -15, 0.6, 0.1): (-16.0, -14.9),
        (9.5, -20, 0.6, 0.1): (9.7, -19.9),
        (10.5, -10, -0.6, 0.1): (10.3, -9.9),
        (10, 0.2, 0.1, -0.6): (10.1, 0.0),
        # The outer faces.
        (-29.5, 0, -0.6, 0.6): (-29.7, 0.6),
        (39.5, 0, 0.6, 0.6): (39.7, 0.6),
        (0, -29.5, 0.6, -0.6): (0.6, -29.7),
        (0, 39.5, 0.6, 0.6): (0.6, 39.7),
    }
    np.testing.assert_allclose(slides(faces), list(faces.values()), atol=1e-5)


def test_corners():
    corners = {
        # Past the corner (-15.3, 3) by a hair, and into it by a hair: x goes first, then y.
        (-15.4, 2.99, 0.6, 0.6): (-14.8, 3.0),
        (-15.4, 3.01, 0.6, 0.6): (-15.3, 3.61),
        # On the height of a face the wall is not in the way.
        (-15.4, 3.0, 0.6, 0.0): (-14.8, 3.0),
        (-15.3, 2.0, 0.0, 3.0): (-15.3, 5.0),
        # The inner corner of the two lower walls holds both ways, and so does that of the arena.
        (9.6, -15.4, 0.6, 0.6): (9.7, -15.3),
        (-29.6, -29.6, -9.0, -9.0): (-29.7, -29.7),
        (39.6, 39.6, 9.0, 9.0): (39.7, 39.7),
    }
    np.testing.assert_allclose(slides(corners), list(corners.values()), atol=1e-5)


def test_no_wall_is_crossed_at_any_speed():
    leaps = {
        (-20, 20, 500, 0): (-15.3, 20),
        (0, 20, -500, 0): (-14.7, 20),
        (0, -25, 0, 500): (0, -15.3),
        (0, 20, 0, -500): (0, -14.7),
        (20, -10, -500, 0): (10.3, -10),
        (-25, -25, 500, 0): (9.7, -25),
        # Nothing between: from wall to wall.
        (-25, 0, 500, 0): (39.7, 0),
        (20, 0, 0, 500): (20, 39.7),
    }
    np.testing.assert_allclose(slides(leaps), list(leaps.values()), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    numpy_strategies.arrays(np.float32, (STEPS, 2), elements=st.floats(-1.5, 1.5, width=32)),
    st.sampled_from([(-25, -25), (-15.3, 3), (-14.7, 37), (9.7, -15.3), (10.3, 0), (-16, -15.3), (9, -16)]),
)
def test_walks_are_never_inside_of_a_wall_nor_on_its_other_side(actions, start):
    _, _, positions, _ = (np.asarray(leaf) for leaf in play(actions, jnp.float32(start)))
    assert positions.min() >= np.float32(-29.7) and positions.max() <= np.float32(39.7)
    before = np.concatenate([np.float32([start]), positions[:-1]])
    for (cx, cy), (hx, hy) in INNER_WALLS:
        low, high = np.float32([cx - hx, cy - hy]), np.float32([cx + hx, cy + hy])
        assert not ((positions > low) & (positions < high)).all(axis=1).any()
        # A motion along x, then along y: neither half of it may lead across the wall.
        elbow = np.stack([positions[:, 0], before[:, 1]], axis=1)
        for from_, to, axis in ((before, elbow, 0), (elbow, positions, 1)):
            other = 1 - axis
            level = (from_[:, other] > low[other]) & (from_[:, other] < high[other])
            nearer, farther = np.minimum(from_, to)[:, axis], np.maximum(from_, to)[:, axis]
            assert not (level & (nearer <= low[axis]) & (farther >= high[axis])).any()
    # No step is longer than the action, and where it is shorter the point is on a face.
    steps, wanted = positions - before, np.float32(0.6) * np.clip(actions, -1, 1)
    assert (np.abs(steps) <= np.abs(wanted) + 4e-6).all()
    faces = np.float32([(-29.7, -15.3, -14.7, -16, 10, 9.7, 10.3, 39.7), (-29.7, 3, 37, -15.3, -14.7, 0, 39.7, 39.7)])
    on_a_face = (positions[:, :, None] == faces).any(axis=2)
    assert (on_a_face | (np.abs(steps - wanted) < 4e-6)).all()


# To the far goal: out of the pocket, along the horizontal wall, over the vertical one, down.
TO_GOALS = {
    0: [(18, (0.85, 1)), (44, (1, 0.6)), (42, (1, -1))],
    1: [(100, (0, 1))],
}


@pytest.mark.parametrize("goal", TO_GOALS)
def test_both_goals_are_reached_in_about_half_of_the_episode(goal):
    way = TO_GOALS[goal]
    positions, rewards = walk(*way)
    center = np.array(ENVIRONMENT.reward_areas[goal].center)
    inside = np.linalg.norm(positions - center, axis=1) < 3
    assert 90 <= np.argmax(inside) <= 115
    distance = np.linalg.norm(positions[-1] - center)
    np.testing.assert_allclose(rewards[:-1], 0)
    assert rewards[-1] == pytest.approx((3 - distance) / 3, abs=1e-5) and rewards[-1] > 0.1
    state = PointMazeState(jnp.int32(STEPS), jnp.asarray(positions[-1]))
    assert int(ENVIRONMENT.area(state, PARAMS)) == goal
    np.testing.assert_allclose(ENVIRONMENT.world_position(ENVIRONMENT.descriptor(state, PARAMS)), positions[-1], 1e-5)


def test_the_straight_way_to_the_far_goal_ends_in_the_pocket():
    positions, rewards = walk((STEPS, (1, 0)))
    np.testing.assert_allclose(positions[-1], [9.7, -25], atol=1e-5)
    assert rewards.sum() == 0
    assert int(ENVIRONMENT.area(PointMazeState(jnp.int32(0), jnp.float32([0, 0])), PARAMS)) == -1


def test_an_action_that_is_not_a_number_shows_in_the_position():
    positions, _ = walk((1, (np.nan, 0)), (3, (1, 1)))
    assert np.isnan(positions[:, 0]).all()


def test_time_limit_truncates_and_starts_anew():
    step = jax.jit(ENVIRONMENT.step)
    state = PointMazeState(jnp.int32(STEPS - 1), jnp.float32([-25, 33.9]))
    observation, fresh, reward, terminated, truncated, info = step(
        jax.random.key(1), state, jnp.float32([0, 1]), PARAMS
    )
    assert (bool(terminated), bool(truncated), int(fresh.time)) == (False, True, 0)
    assert float(reward) == pytest.approx(2.5 / 3, abs=1e-5)
    np.testing.assert_allclose(observation, [-30 / 70, -30 / 70], rtol=1e-6)
    np.testing.assert_allclose(info["final_observation"], [-30 / 70, 29.5 / 70], rtol=1e-5)


def test_image_has_the_point_as_a_blue_disc():
    image = np.asarray(ENVIRONMENT.render(jnp.float32([20.25, 20.25]), 140))
    scene = np.asarray(ENVIRONMENT.scene(140))
    # Pixels are 0.5 wide: the point is in the middle of the column 100 and of the row 39.
    np.testing.assert_allclose(image[39, 100], [0, 0, 1], atol=1e-6)
    changed = np.abs(image - scene).max(axis=-1)
    rows, columns = np.mgrid[:140, :140]
    np.testing.assert_allclose((changed * rows).sum() / changed.sum(), 39, atol=1e-3)
    np.testing.assert_allclose((changed * columns).sum() / changed.sum(), 100, atol=1e-3)
    assert changed.sum() * 0.25 == pytest.approx(np.pi * 1.5**2, rel=0.02)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_are_the_same_environment(duplicate):
    other = duplicate(ENVIRONMENT)
    assert other.default_params == PARAMS
    np.testing.assert_allclose(other.reset_env(KEY, PARAMS)[0], [-3 / 7, -3 / 7], rtol=1e-6)
