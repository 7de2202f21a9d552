"""CollectBall: the book-keeping of balls, what the lights are, and a robot that is driven by hand."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.collect_ball import BALL_POSITIONS, GREEN, START_HEADING, CollectBall

ENVIRONMENT = CollectBall()
KEY = jax.random.key(0)
NEST = np.array([100.0, 500.0])
BALLS = np.array(BALL_POSITIONS)
HOLD, RELEASE = 1.0, -1.0
STAY = (0.0, 0.0)


@pytest.fixture(scope="module")
def params():
    return ENVIRONMENT.default_params


@pytest.fixture(scope="module")
def start(params):
    observation, state = jax.jit(ENVIRONMENT.reset_env)(KEY, params)
    return np.asarray(observation), state


@pytest.fixture(scope="module")
def step(params):
    jitted = jax.jit(ENVIRONMENT.step_env)

    def play(state, wheels, hold):
        action = jnp.array([*wheels, hold], jnp.float32)
        observation, state, reward, terminated, info = jitted(KEY, state, action, params)
        assert not terminated and info == {}
        return np.asarray(observation), state, float(reward)

    return play


@pytest.fixture(scope="module")
def play(params):
    """Poses and observations `[T, 12]`, rewards and held balls of actions `[64, 3]` from a pose."""

    @jax.jit
    def play_all(pose, actions, params):
        _, state = ENVIRONMENT.reset_env(KEY, params)
        state = state.replace(x=pose[0], y=pose[1], heading=pose[2])

        def step(state, action):
            observation, state, reward, *_ = ENVIRONMENT.step_env(KEY, state, action, params)
            row = jnp.concatenate([jnp.stack([state.x, state.y]), observation])
            return state, (row, reward, state.held, state.balls, state.collected)

        return jax.lax.scan(step, state, actions)[1]

    return lambda pose, actions: [
        np.asarray(leaf) for leaf in play_all(jnp.float32(pose), jnp.float32(actions), params)
    ]


def at(state, x, y, heading=0.0, **changes):
    """The state with another pose."""
    changes = {name: jnp.asarray(value, getattr(state, name).dtype) for name, value in changes.items()}
    return state.replace(x=jnp.float32(x), y=jnp.float32(y), heading=jnp.float32(heading), **changes)


def test_start(start):
    observation, state = start
    assert (float(state.x), float(state.y)) == (100, 500)
    # 45 radians.
    np.testing.assert_allclose([np.cos(state.heading), np.sin(state.heading)], [np.cos(45), np.sin(45)], atol=1e-6)
    assert np.rad2deg(START_HEADING) == pytest.approx(58.3, abs=0.05)
    np.testing.assert_array_equal(state.balls, BALLS)
    # To the lower border it is 91 down: its first row is at 591, and cos(58.3 - 90) of the way is down.
    np.testing.assert_allclose(observation[:3], [1, 1, 1], atol=0.1)
    # The ball at (75, 540) is at 122 degrees, 64 to the right of the heading, that at (225, 540) at 18, 40 to the left.
    np.testing.assert_array_equal(observation[3:], [0, 0, 1, 0, 1, 1, 0])


def test_wheels_turn_twice_as_far_as_the_action_says_and_at_most_four(step, start):
    _, state = start
    for wheels, distance in (((0.5, 0.5), 1.0), ((2.0, 2.0), 4.0), ((3.0, 3.0), 4.0), ((-1.0, -1.0), -2.0)):
        _, moved, _ = step(at(state, 300, 300), wheels, RELEASE)
        np.testing.assert_allclose([moved.x, moved.y], [300 + distance, 300], atol=1e-5)
    _, moved, _ = step(at(state, 300, 300), (0.5, -0.5), RELEASE)
    assert float(moved.heading) == pytest.approx(-2 / 20, abs=1e-6)


def test_a_ball_is_picked_up_carried_home_and_paid_once(step, start, params):
    _, state = start
    # 9.9 units from the ball 3, then home.
    observation, state, reward = step(at(state, 450, 459.9), STAY, HOLD)
    assert (int(state.held), reward, observation[9]) == (3, 0.0, 1.0)
    assert int(ENVIRONMENT.area(state, params)) == -1
    for x, y in ((300, 480), (105, 500)):
        state = at(state, x, y)
        observation, state, reward = step(state, STAY, HOLD)
        assert (int(state.held), reward) == (3, 0.0)
        np.testing.assert_array_equal(ENVIRONMENT.render_state(state, params)[8:10], [x, y])
    observation, state, reward = step(state, STAY, RELEASE)
    assert (int(state.held), reward, observation[9]) == (-1, 1.0, 0.0)
    np.testing.assert_array_equal(state.collected, np.arange(6) == 3)
    np.testing.assert_array_equal(state.balls[3], NEST)
    assert int(ENVIRONMENT.area(state, params)) == 0
    # It is gone: nothing is picked up on the nest, and nothing is paid any more.
    for hold in (HOLD, RELEASE, HOLD, RELEASE):
        _, state, reward = step(state, STAY, hold)
        assert (int(state.held), reward) == (-1, 0.0)


def test_a_ball_that_is_released_elsewhere_lies_there_and_pays_nothing(step, start, params):
    _, state = start
    _, state, _ = step(at(state, 75, 75), STAY, HOLD)
    _, state, reward = step(at(state, 100, 489.9), STAY, RELEASE)
    assert (int(state.held), reward, bool(state.collected.any())) == (-1, 0.0, False)
    np.testing.assert_allclose(state.balls[0], [100, 489.9], atol=1e-4)
    assert int(ENVIRONMENT.area(state, params)) == -1
    # It can be picked up where it lies now, and no more where it lay before.
    _, elsewhere, _ = step(at(state, 75, 75), STAY, HOLD)
    assert int(elsewhere.held) == -1
    _, state, _ = step(at(state, 100, 495), STAY, HOLD)
    assert int(state.held) == 0
    _, state, reward = step(at(state, 100, 495), STAY, RELEASE)
    assert reward == 1.0


def test_catching_and_releasing_look_at_the_position_before_the_step(step, start):
    _, state = start
    _, away, _ = step(at(state, 450, 450), (2.0, 2.0), HOLD)
    assert int(away.held) == 3
    # From 13 units away the robot arrives 9 away: one step too late.
    _, towards, _ = step(at(state, 437, 450), (2.0, 2.0), HOLD)
    assert int(towards.held) == -1 and float(towards.x) == 441
    _, dropped, _ = step(at(away, 300, 300), (2.0, 2.0), RELEASE)
    np.testing.assert_array_equal(dropped.balls[3], [300, 300])
    _, _, reward = step(at(away, 100, 490.5, -np.pi / 2), (2.0, 2.0), RELEASE)
    assert reward == 1.0


def test_reach_is_ten_units_exclusive_and_the_first_ball_wins(step, start):
    _, state = start
    assert int(step(at(state, 440, 450), STAY, HOLD)[1].held) == -1
    assert int(step(at(state, 440.1, 450), STAY, HOLD)[1].held) == 3
    both = BALLS.copy()
    both[1], both[4] = (300, 300), (302, 300)
    assert int(step(at(state, 303, 300, balls=both), STAY, HOLD)[1].held) == 1
    # A robot that holds a ball picks up no second one.
    assert int(step(at(state, 303, 300, balls=both, held=4), STAY, HOLD)[1].held) == 4
    # One that was collected is not there, although it lies on the nest.
    gone = at(state, 303, 300, balls=both, collected=np.arange(6) == 1)
    assert int(step(gone, STAY, HOLD)[1].held) == 4
    assert int(step(at(state, 303, 300, balls=both), STAY, 0.0)[1].held) == -1


def lights(x, y, heading, visible):
    """What the light sensors see, by arc tangents."""
    seen = []
    for sources in (visible, [NEST]):
        angles = [np.rad2deg(np.arctan2(b - y, a - x) - heading) for a, b in sources]
        angles = [(angle + 180) % 360 - 180 for angle in angles]
        seen += [any(-50 < angle < 0 for angle in angles), any(0 < angle < 50 for angle in angles)]
    return seen


def test_lights_against_angles(play):
    wheels = np.random.default_rng(0).uniform(0, 2, (64, 2)) * (1, -1)
    rows, _, held, _, collected = play((300, 300, 0.0), np.c_[wheels, -np.ones(64)])
    assert (held == -1).all() and not collected.any()
    headings = np.cumsum(2 * (wheels[:, 1] - wheels[:, 0]) / 20)
    expected = [lights(*row[:2], heading, BALLS) for row, heading in zip(rows, headings, strict=True)]
    np.testing.assert_array_equal(rows[:, 7:11], expected)
    assert np.sum(expected, axis=0).min() > 3 and np.sum(expected, axis=0).max() < 60


@pytest.mark.parametrize(
    ("degrees", "seen"),
    [(0, [1, 1]), (20, [0, 1]), (49.9, [0, 1]), (50.1, [0, 0]), (-20, [1, 0]), (-50.1, [0, 0]), (180, [0, 0])],
)
def test_sector_of_a_light(step, start, degrees, seen):
    # y points down: a light at a positive angle is to the right. Only the ball 2 is left in the arena.
    _, state = start
    angle = np.deg2rad(degrees)
    balls = BALLS.copy()
    balls[2] = 300 + 40 * np.cos(angle), 300 + 40 * np.sin(angle)
    state = at(state, 300, 300, balls=balls, collected=np.arange(6) != 2)
    observation, _, _ = step(state, STAY, RELEASE)
    np.testing.assert_array_equal(observation[5:7], seen)
    # A ball that is held is no light.
    observation, _, _ = step(state.replace(held=jnp.int32(2)), STAY, HOLD)
    np.testing.assert_array_equal(observation[5:7], [0, 0])
    # The nest is at 135 degrees.
    np.testing.assert_array_equal(observation[7:9], [0, 0])


def test_lasers_and_bumpers_at_the_border(step, start):
    _, state = start
    # The first pixels of the border are at 6 and 591, and the robot keeps three pixels off.
    for x, y, heading, distance in ((50, 300, np.pi, 44), (560, 300, 0, 31), (300, 40, -np.pi / 2, 34)):
        observation, _, _ = step(at(state, x, y, heading), STAY, RELEASE)
        assert observation[1] == pytest.approx(distance / 100, abs=1e-5)
    # At column 194 the border touches the robot in its own row alone, which is to neither side of a robot that heads
    # there straight; at column 195 it touches in the rows to both sides too.
    for x, heading, bumpers in ((579, 0.3, (1, 0)), (579, -0.3, (0, 1)), (580.4, 0.0, (1, 1)), (577, 0.0, (0, 0))):
        observation, stopped, _ = step(at(state, x, 300, heading), (2.0, 2.0), RELEASE)
        np.testing.assert_array_equal(observation[3:5], bumpers)
        assert (float(stopped.x), float(stopped.heading)) == (np.float32(x), np.float32(heading))
    _, moved, _ = step(at(state, 576, 300), (2.0, 2.0), RELEASE)
    assert float(moved.x) == 580


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(
        [(21, 21, 4.0), (579, 579, 0.7), (579, 21, -0.7), (21, 300, 3.0), (100, 500, 1.0), (446, 450, 0.0)]
    ),
    numpy_strategies.arrays(np.float32, (64, 3), elements=st.floats(-3, 3, width=32)),
)
def test_walks_stay_in_the_arena_and_balls_are_conserved(play, pose, actions):
    rows, rewards, held, balls, collected = play(pose, actions)
    pixels = np.floor(rows[:, :2] / 3 + 0.5)
    assert pixels.min() >= 6 and pixels.max() <= 193
    assert rows[:, 2:].min() >= 0 and rows[:, 2:].max() <= 1
    # The book-keeping, by hand.
    positions, mine, gone, before = BALLS.copy(), -1, np.zeros(6, bool), np.array(pose[:2])
    for action, row, reward, number, lying, taken in zip(actions, rows, rewards, held, balls, collected, strict=True):
        paid = 0.0
        if action[2] > 0 and mine < 0:
            near = [n for n in range(6) if not gone[n] and np.linalg.norm(positions[n] - before) < 10]
            mine = near[0] if near else -1
        elif action[2] <= 0 and mine >= 0:
            at_home = np.linalg.norm(before - NEST) < 10
            paid, gone[mine], positions[mine] = float(at_home), at_home, NEST if at_home else before
            mine = -1
        assert (reward, number, row[11]) == (paid, mine, mine >= 0)
        np.testing.assert_array_equal(taken, gone)
        np.testing.assert_allclose(lying, positions, atol=1e-4)
        before = row[:2]


def test_image_shows_robot_nest_and_balls(params, start):
    _, state = start
    state = at(state, 300, 390, held=5)
    render_state = ENVIRONMENT.render_state(state, params)
    np.testing.assert_array_equal(render_state[:2], [300, 390])
    np.testing.assert_array_equal(render_state[12:], [300, 390])
    image = np.asarray(ENVIRONMENT.render(render_state, 100))
    # Pixels are 6 wide; the y axis points down.
    np.testing.assert_allclose(image[65, 50 - 4], drawing.BLUE, atol=1e-6)
    np.testing.assert_allclose(image[65, 50], GREEN, atol=1e-6)
    np.testing.assert_allclose(image[75, 75], GREEN, atol=1e-6)
    np.testing.assert_allclose(image[37, 37], drawing.WHITE, atol=1e-6)  # the ball that is held was there
    np.testing.assert_allclose(image[83, 16], drawing.RED, atol=1e-6)
    np.testing.assert_allclose(image[0, 50], drawing.BLACK, atol=1e-6)
    np.testing.assert_allclose(image[2, 50], drawing.WHITE, atol=1e-6)
    # On white and on blue the balls take the blue away.
    taken = np.asarray(ENVIRONMENT.scene(100))[..., 2] - image[..., 2]
    assert taken.sum() * 36 == pytest.approx(6 * np.pi * 15**2, rel=0.02)


def test_spaces_and_time_limit(params, start):
    observation, state = start
    assert bool(ENVIRONMENT.observation_space(params).contains(observation))
    np.testing.assert_array_equal(ENVIRONMENT.action_space(params).high, [2, 2, 1])
    assert not ENVIRONMENT.is_truncated(state.replace(time=jnp.int32(1999)), params)
    assert ENVIRONMENT.is_truncated(state.replace(time=jnp.int32(2000)), params)
    np.testing.assert_allclose(ENVIRONMENT.descriptor(state, params), [1 / 6, 5 / 6], rtol=1e-6)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_are_the_same_environment(params, duplicate):
    other = duplicate(ENVIRONMENT)
    assert len(pickle.dumps(other)) < 1000  # the tables are no part of it
    for ours, theirs in zip(jax.tree.leaves(params), jax.tree.leaves(other.default_params), strict=True):
        np.testing.assert_array_equal(ours, theirs)
