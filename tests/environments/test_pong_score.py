"""Rules by hand, and whole matches against the rules written in plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from environments.probes import assert_trees_close

from jaxrl_sparse.environments.pong_score import PongScore
from jaxrl_sparse.environments.rollouts import rollout, start_rollout
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.environments.wrappers import TimeLimit

ENVIRONMENT, COMPACT = PongScore(), PongScore(observes_compact=True)
PARAMS = ENVIRONMENT.default_params
STEP = jax.jit(ENVIRONMENT.step_env, compiler_options=QUICK_TO_COMPILE)
RENDER = jax.jit(ENVIRONMENT.render, compiler_options=QUICK_TO_COMPILE)
STAY, UP, DOWN = range(3)


def state_of(paddles=(15, 15), ball=(15, 20), velocity=(0, 1), score=(0, 0), time=0):
    _, state = ENVIRONMENT.reset_env(jax.random.key(0), PARAMS)
    values = {"paddles": paddles, "ball": ball, "velocity": velocity, "score": score, "time": time}
    return state.replace(**{name: jnp.asarray(value, jnp.int32) for name, value in values.items()})


def step(action=STAY, key=1, **values):
    """`(ball, velocity, paddles, score)` as tuples after one step, the reward and the flag."""
    _, state, reward, terminated, _ = STEP(jax.random.key(key), state_of(**values), jnp.int32(action), PARAMS)
    shown = tuple(tuple(int(x) for x in part) for part in (state.ball, state.velocity, state.paddles, state.score))
    return *shown, float(reward), bool(terminated)


@pytest.mark.parametrize(
    ("ball", "velocity", "after", "velocity_after"),
    [
        ((10, 20), (2, -1), (12, 19), (2, -1)),
        ((1, 20), (-3, -1), (2, 19), (3, -1)),
        ((1, 20), (-1, 1), (0, 21), (-1, 1)),
        ((28, 20), (3, 1), (27, 21), (-3, 1)),
        ((29, 20), (1, 1), (28, 21), (-1, 1)),
    ],
)
def test_flight_and_walls(ball, velocity, after, velocity_after):
    assert step(ball=ball, velocity=velocity)[:2] == (after, velocity_after)


@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 2])
def test_a_paddle_sends_the_ball_back_and_its_offset_steers(offset):
    """The agent's paddle is at row 10, the opponent's follows the ball by one row."""
    ball, velocity, _, score, reward, _ = step(paddles=(10, 15), ball=(10 + offset, 1), velocity=(0, -1))
    assert (ball, velocity, score, reward) == ((10 + offset, 1), (offset, 1), (0, 0), 0.0)
    ball, velocity, paddles, _, reward, _ = step(paddles=(10, 10), ball=(10 + offset, 38), velocity=(0, 1))
    moved = offset - np.sign(offset)
    assert (ball, velocity, reward) == ((10 + offset, 38), (moved, -1), 0.0)
    assert paddles[1] == 10 + np.sign(offset)


def test_balls_are_never_steeper_than_three():
    assert step(paddles=(10, 15), ball=(9, 1), velocity=(3, -1))[1] == (3, 1)
    assert step(paddles=(10, 15), ball=(11, 1), velocity=(-3, -1))[1] == (-3, 1)


def test_the_agent_moves_before_the_ball():
    """Row 13 is three below the paddle's centre at 10: met only by who moves down."""
    hit = {"paddles": (10, 15), "ball": (13, 1), "velocity": (0, -1)}
    assert step(DOWN, **hit)[1] == (2, 1)
    assert step(STAY, **hit)[3:] == ((0, 1), -1.0, False)


@pytest.mark.parametrize(
    ("values", "score", "reward"),
    [
        ({"paddles": (10, 15), "ball": (20, 1), "velocity": (0, -1)}, (0, 1), -1.0),
        ({"paddles": (15, 10), "ball": (20, 38), "velocity": (0, 1)}, (1, 0), 1.0),
    ],
)
def test_a_missed_ball_is_a_point_and_a_serve(values, score, reward):
    sides = set()
    for key in range(12):
        ball, velocity, paddles, after, paid, terminated = step(key=key, **values)
        assert (after, paid, terminated, paddles) == (score, reward, False, (15, 15))
        assert 5 <= ball[0] < 25 and (ball[1], velocity[1]) in ((19, -1), (20, 1)) and velocity[0] in (-1, 0, 1)
        sides.add(velocity[1])
    assert sides == {-1, 1}


@pytest.mark.parametrize("score", [(4, 2), (2, 4), (3, 3)])
def test_five_points_end_the_match(score):
    lost = step(score=score, paddles=(10, 15), ball=(20, 1), velocity=(0, -1))
    assert lost[3:] == ((score[0], score[1] + 1), -1.0, score[1] == 4)
    won = step(score=score, paddles=(15, 10), ball=(20, 38), velocity=(0, 1))
    assert won[3:] == ((score[0] + 1, score[1]), 1.0, score[0] == 4)


@pytest.mark.parametrize(
    ("action", "row", "after"), [(STAY, 15, 15), (UP, 15, 14), (DOWN, 15, 16), (UP, 2, 2), (DOWN, 27, 27)]
)
def test_the_agents_moves(action, row, after):
    assert step(action, paddles=(row, 15))[2][0] == after


@pytest.mark.parametrize(
    ("ball", "velocity", "after"),
    [((20, 20), (0, 1), 16), ((10, 20), (0, 1), 14), ((15, 20), (2, 1), 15), ((20, 20), (0, -1), 15)],
)
def test_the_opponent_follows_a_ball_that_comes(ball, velocity, after):
    assert step(ball=ball, velocity=velocity)[2][1] == after


def test_the_image_by_hand():
    compact = jnp.array([10, 27, 3, 1, 5, 2, 2, 1], jnp.uint8)
    expected = np.zeros((30, 40, 3))
    expected[8:13, 0, 0] = expected[25:30, 39, 0] = expected[3, 1, 1] = expected[5, 2, 2] = 1
    expected[:2, 0, 2] = expected[:1, 39, 2] = 1
    np.testing.assert_array_equal(RENDER(compact), expected)


def play(environment, actions, num_matches, seed=0):
    """A trajectory of matches of given actions `[T, B]`."""
    vectorized, params = vectorize(environment, num_matches), environment.default_params

    def run(key):
        def one(state, chosen):
            trajectory, state = rollout(vectorized, lambda key, o: (chosen, {}), 1, state, params)
            return state, (jax.tree.map(lambda leaf: leaf[0], trajectory), state.states)

        return jax.lax.scan(one, start_rollout(vectorized, key, params), actions)[1]

    return jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(seed))


def random_actions(num_steps, num_matches):
    return jnp.asarray(np.random.default_rng(0).integers(0, 3, (num_steps, num_matches)), jnp.int32)


def test_images_are_the_rendered_compact_vectors():
    trajectory, states = play(TimeLimit(ENVIRONMENT, 25), random_actions(60, 4), 4)
    render = jax.jit(
        jax.vmap(jax.vmap(lambda state: ENVIRONMENT.render(ENVIRONMENT.compact(state)))),
        compiler_options=QUICK_TO_COMPILE,
    )
    np.testing.assert_array_equal(render(states)[:-1], trajectory.observations[1:])
    np.testing.assert_array_equal(trajectory.truncated[:, 0], (np.arange(60) + 1) % 25 == 0)


def test_compact_observations_are_those_of_the_same_match():
    state = state_of(paddles=(10, 16), ball=(12, 1), velocity=(-1, -1), score=(3, 1))
    image, after, *outcome = STEP(jax.random.key(1), state, jnp.int32(UP), PARAMS)
    compact, compact_after, *compact_outcome = COMPACT.step_env(jax.random.key(1), state, jnp.int32(UP), PARAMS)
    assert_trees_close((after, outcome), (compact_after, compact_outcome))
    assert compact.dtype == jnp.uint8 and compact.shape == (ENVIRONMENT.compact_size,)
    np.testing.assert_array_equal(compact, [9, 16, 11, 1, 12, 1, 3, 1])
    np.testing.assert_array_equal(RENDER(compact), image)


@pytest.mark.slow
def test_matches_follow_the_rules_written_down_once_more():
    """Random play; where a serve is drawn it is read off, everything else is predicted."""
    actions = random_actions(600, 3)
    trajectory, _ = play(COMPACT, actions, 3)
    points = 0
    for match in range(3):
        before = np.asarray(trajectory.observations[0, match], int)
        velocity = None
        for t in range(600):
            paddles, ball, score = list(before[:2]), list(before[2:4]), list(before[6:])
            velocity = velocity or [int(v) for v in before[2:4] - before[4:6]]
            paddles[0] += {STAY: 0, UP: -1, DOWN: 1}[int(actions[t, match])]
            if velocity[1] == 1:
                paddles[1] += int(np.sign(ball[0] - paddles[1]))
            paddles = [min(max(row, 2), 27) for row in paddles]
            ball[0] += velocity[0]
            if not 0 <= ball[0] <= 29:
                ball[0] = -ball[0] if ball[0] < 0 else 58 - ball[0]
                velocity[0] *= -1
            reward = 0.0
            player = {1: 0, 38: 1}.get(ball[1]) if ball[1] + velocity[1] in (0, 39) else None
            if player is None:
                ball[1] += velocity[1]
            elif abs(ball[0] - paddles[player]) <= 2:
                velocity = [min(max(velocity[0] + ball[0] - paddles[player], -3), 3), -velocity[1]]
            else:
                score[1 - player] += 1
                reward = (-1.0, 1.0)[player]
                points += 1
            after = np.asarray(trajectory.next_observations[t, match], int)
            assert float(trajectory.rewards[t, match]) == reward
            assert list(after[6:]) == score
            assert bool(trajectory.terminated[t, match]) == (max(score) == 5)
            if reward:
                velocity = None
            else:
                assert [*paddles, *ball, *before[2:4]] == list(after[:6])
            if trajectory.dones[t, match]:
                velocity = None
            if t < 599:
                before = np.asarray(trajectory.observations[t + 1, match], int)
    assert points >= 6 and bool(trajectory.terminated.any())


def test_a_match_is_cut_after_a_thousand_steps():
    """Both paddles stand where a level ball comes back for ever."""
    assert PARAMS.max_steps_in_episode == 1000
    state = state_of(ball=(15, 20), velocity=(0, 1))
    loop = jax.jit(
        lambda state: jax.lax.scan(
            lambda s, key: (
                ENVIRONMENT.step_env(key, s, jnp.int32(STAY), PARAMS)[1],
                ENVIRONMENT.is_truncated(s, PARAMS),
            ),
            state,
            jax.random.split(jax.random.key(0), 1001),
        ),
        compiler_options=QUICK_TO_COMPILE,
    )
    state, truncated = loop(state)
    np.testing.assert_array_equal(truncated, np.arange(1001) >= 1000)
    np.testing.assert_array_equal(state.score, [0, 0])


def test_first_states_show_the_serves_velocity():
    observations, states = jax.jit(jax.vmap(COMPACT.reset_env, in_axes=(0, None)))(
        jax.random.split(jax.random.key(0), 300), PARAMS
    )
    np.testing.assert_array_equal(states.ball - states.last_ball, states.velocity)
    assert set(np.unique(states.velocity[:, 0])) == {-1, 0, 1} and set(np.unique(states.velocity[:, 1])) == {-1, 1}
    assert set(np.unique(observations[:, 2])) == set(range(5, 25))


def test_spaces():
    assert ENVIRONMENT.observation_space(PARAMS).shape == (30, 40, 3) and ENVIRONMENT.num_actions == 3
    assert COMPACT.observation_space(PARAMS).shape == (8,)
