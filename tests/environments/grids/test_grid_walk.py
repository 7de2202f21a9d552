"""Walks against an independent walk on a list of lines, the law of slipping moves, and the finite MDP."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_sparse.environments.grids.grid_walk import (
    ACTIONS,
    GridObservation,
    GridWalk,
    grid_mdp,
    next_cells,
)
from jaxrl_sparse.environments.rollouts import rollout, start_rollout
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.finite.mdp import transition_matrix
from jaxrl_sparse.finite.solvers import finite_horizon

MAP = (
    "..#..",
    ".....",
    "#.#.#",
)
WALKABLE = np.array([list(line) for line in MAP]) == "."
STAY, RIGHT, DOWN, LEFT, UP = range(5)
START = 6
ENVIRONMENT = GridWalk(WALKABLE, START, horizon=10)


def moved(cell, action):
    """By hand: rows go down, columns go right."""
    row, column = divmod(cell, len(MAP[0]))
    to_row = row + {DOWN: 1, UP: -1}.get(action, 0)
    to_column = column + {RIGHT: 1, LEFT: -1}.get(action, 0)
    if not (0 <= to_row < len(MAP) and 0 <= to_column < len(MAP[0])) or MAP[to_row][to_column] == "#":
        return cell
    return to_row * len(MAP[0]) + to_column


def walk(environment, actions, seed=0):
    """Cells `[T + 1, B]` and executed actions `[T, B]` of B episodes of given actions `[T, B]`."""
    batch, params = vectorize(environment, actions.shape[1], reset_mode="none"), environment.default_params

    def run(key, actions):
        state = start_rollout(batch, key, params)
        start = state.observations.cell

        def step(state, now):
            trajectory, state = rollout(batch, lambda key, _: (now, {}), 1, state, params, ("executed_action",))
            return state, jax.tree.map(lambda leaf: leaf[0], trajectory)

        return start, jax.lax.scan(step, state, actions)[1]

    start, trajectory = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(seed), jnp.asarray(actions))
    cells = np.concatenate([start[None], trajectory.next_observations.cell])
    return cells, np.asarray(trajectory.extras["executed_action"]), trajectory


def test_the_table_is_the_walk_by_hand():
    table = next_cells(WALKABLE)
    for cell in np.flatnonzero(WALKABLE):
        np.testing.assert_array_equal(table[cell], [moved(cell, action) for action in range(5)])
    for cell in np.flatnonzero(~WALKABLE):
        np.testing.assert_array_equal(table[cell], cell)
    assert ACTIONS == ("stay", "right", "down", "left", "up")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=9, max_size=9))
def test_walks_are_those_by_hand(actions):
    cells, executed, trajectory = walk(ENVIRONMENT, np.array(actions, np.int32)[:, None])
    expected = [START]
    for action in actions:
        expected.append(moved(expected[-1], action))
    np.testing.assert_array_equal(cells[:, 0], expected)
    np.testing.assert_array_equal(executed[:, 0], actions)
    np.testing.assert_array_equal(trajectory.rewards, 0)
    np.testing.assert_array_equal(trajectory.next_observations.time[:, 0], np.arange(1, 10))


def test_ten_states_are_nine_moves():
    """The ninth move is cut off, and nothing terminates."""
    params = ENVIRONMENT.default_params
    observation, state = ENVIRONMENT.reset(jax.random.key(0))
    assert (int(observation.cell), int(observation.time)) == (START, 0)
    flags = []
    for _ in range(9):
        observation, state, _, terminated, truncated, info = ENVIRONMENT.step(
            jax.random.key(0), state, jnp.int32(RIGHT)
        )
        assert not terminated
        flags.append(bool(truncated))
    assert flags == [False] * 8 + [True]
    assert (int(info["final_observation"].cell), int(info["final_observation"].time)) == (9, 9)
    assert (int(observation.cell), int(observation.time), int(state.time)) == (START, 0, 0)
    assert params.max_steps_in_episode == 9 and ENVIRONMENT.num_cells == 15


def test_slips_are_uniform_and_leave_the_action_to_the_policy():
    """P(executed = a) = 1 - p + p / 5 for the intended action and p / 5 for each other one."""
    slip, num_walks = 0.3, 1000
    environment = GridWalk(WALKABLE, START, horizon=10, slip=slip)
    actions = np.full((9, num_walks), DOWN, np.int32)
    cells, executed, trajectory = walk(environment, actions)
    np.testing.assert_array_equal(trajectory.actions, DOWN)
    table = np.asarray(next_cells(WALKABLE))
    np.testing.assert_array_equal(cells[1:], table[cells[:-1], executed])
    shares = np.bincount(executed.reshape(-1), minlength=5) / executed.size
    expected = np.full(5, slip / 5)
    expected[DOWN] += 1 - slip
    np.testing.assert_array_less(np.abs(shares - expected), 4 * np.sqrt(expected * (1 - expected) / executed.size))


def test_the_chance_is_swept_in_the_parameters():
    environment = GridWalk(WALKABLE, START, horizon=10, slip=0.5)
    params = environment.default_params
    _, state = environment.reset_env(jax.random.key(0), params)

    def executed(slip, key):
        info = environment.step_env(key, state, jnp.int32(RIGHT), params.replace(slip=slip))[-1]
        return info["executed_action"]

    keys = jax.random.split(jax.random.key(0), 500)
    never, always = jax.vmap(jax.vmap(executed, in_axes=(None, 0)), in_axes=(0, None))(jnp.array([0.0, 1.0]), keys)
    np.testing.assert_array_equal(never, RIGHT)
    np.testing.assert_array_equal(np.bincount(always) > 60, True)


def test_who_does_not_slip_draws_nothing():
    def step(key):
        params = ENVIRONMENT.default_params
        return ENVIRONMENT.step_env(key, ENVIRONMENT.reset_env(key, params)[1], jnp.int32(1), params)[0]

    assert "random" not in str(jax.make_jaxpr(step)(jax.random.key(0)))


@pytest.mark.parametrize("slip", [0.0, 0.25])
def test_the_finite_mdp_has_the_law_of_the_walk(slip):
    """Dense rows by hand, and the value of arrivals in one cell."""
    paid = np.zeros(15)
    paid[9] = 1.0
    mdp = grid_mdp(WALKABLE, START, slip, paid)
    rows = np.zeros((15, 5, 15))
    for cell in np.flatnonzero(WALKABLE):
        for intended in range(5):
            for executed in range(5):
                chance = (1 - slip) * (executed == intended) + slip / 5
                rows[cell, intended, moved(cell, executed)] += chance
    free = np.flatnonzero(WALKABLE)
    np.testing.assert_allclose(transition_matrix(mdp)[free], rows[free], atol=1e-6)
    np.testing.assert_array_equal(mdp.initial, np.arange(15) == START)
    values = np.zeros(15)
    for _ in range(6):
        q_values = rows @ (paid + values)
        values = np.where(WALKABLE.reshape(-1), q_values.max(axis=1), 0.0)
    np.testing.assert_allclose(finite_horizon(mdp, 6).values[0, free], values[free], rtol=1e-5)


def test_features():
    observation = GridObservation(jnp.array([[0, 14], [6, 9]]), jnp.array([[0, 9], [3, 9]]))
    row, column = np.divmod(np.asarray(observation.cell), 5)
    position = GridWalk(WALKABLE, START, 10)
    np.testing.assert_allclose(
        position.features(observation), np.stack([2 * row / 3 - 1, 2 * column / 5 - 1], -1), rtol=1e-6
    )
    timed = GridWalk(WALKABLE, START, 10, shown="position_and_time")
    np.testing.assert_allclose(timed.features(observation)[0], [[0, 0, 0], [1, 1, 1]], rtol=1e-6)
    np.testing.assert_allclose(timed.features(observation)[1], [[1 / 2, 1 / 4, 1 / 3], [1 / 2, 1, 1]], rtol=1e-6)
    raw = GridWalk(WALKABLE, START, 10, shown="raw")
    np.testing.assert_array_equal(raw.features(observation)[1], [[6, 3], [9, 9]])
    assert (position.num_features, timed.num_features, raw.num_features) == (2, 3, 2)


def test_features_of_the_published_size():
    """On 30 x 30 cells: row / 15 - 1 and column / 15 - 1."""
    observation = GridObservation(jnp.array(34), jnp.array(0))
    features = GridWalk(np.ones((30, 30)), 34, 80).features(observation)
    np.testing.assert_allclose(features, [1 / 15 - 1, 4 / 15 - 1], rtol=1e-6)


def test_spaces_and_types():
    params = ENVIRONMENT.default_params
    space = ENVIRONMENT.observation_space(params)
    assert (space.cell.n, space.time.n, ENVIRONMENT.num_actions) == (15, 10, 5)
    start = jax.eval_shape(ENVIRONMENT.reset_env, jax.random.key(0), params)
    observation, state, reward, terminated, _ = jax.eval_shape(
        ENVIRONMENT.step_env, jax.random.key(0), start[1], jax.ShapeDtypeStruct((), jnp.int32), params
    )
    kind = lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type)  # noqa: E731
    assert jax.tree.map(kind, (observation, state)) == jax.tree.map(kind, start)
    assert (reward.dtype, terminated.dtype) == (jnp.float32, jnp.bool_)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_are_the_same_walk(duplicate):
    twin = duplicate(ENVIRONMENT)
    np.testing.assert_array_equal(twin.default_params.next_cells, ENVIRONMENT.default_params.next_cells)
    assert (twin.horizon, twin.start, twin.shown) == (10, START, "position")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 1}, "horizon: got 1, takes an integer of at least 2"),
        ({"start": 2}, "start: got 2, takes a walkable cell, below 15"),
        ({"start": 15}, "start: got 15, takes a walkable cell, below 15"),
        ({"slip": 1.5}, r"slip: got 1.5, takes a probability in \[0, 1\]"),
        ({"shown": "pixels"}, "shown: got 'pixels', takes one of position, position_and_time, raw"),
        ({"walkable": np.ones(4)}, r"walkable: got \(4,\), takes the shape \[rows, columns\]"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ValueError, match=message):
        GridWalk(**{"walkable": WALKABLE, "start": START, "horizon": 10, **changes})
