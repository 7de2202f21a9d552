"""The HardMaze against reference trajectories, closed forms and brute force over pixels."""

import copy
import json
import pickle
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.planar.hard_maze import HardMaze, HardMazeState
from jaxrl_sparse.environments.planar.hard_maze_map import walls
from jaxrl_sparse.networks.genomes import feedforward

REFERENCE = json.loads((Path(__file__).parents[2] / "data" / "hard_maze.json").read_text())
ENVIRONMENT = HardMaze()
KEY = jax.random.key(0)
STEPS = 2000
# The wheel displacements (left, right) of the reference trajectories.
SCRIPTS = {
    "straight": np.tile([1.0, 1.0], (STEPS, 1)),
    "spin": np.tile([0.5, -0.5], (STEPS, 1)),
    "arc": np.tile([1.0, 0.9], (STEPS, 1)),
    "back": np.tile([-1.0, -0.8], (STEPS, 1)),
    "osc": np.stack([np.ones(STEPS), np.sin(0.01 * np.arange(STEPS))], axis=1),
}


@pytest.fixture(scope="module")
def params():
    return ENVIRONMENT.default_params


@pytest.fixture(scope="module")
def play(params):
    """Poses and observations `[B, T + 1, 8]` of action sequences `[B, T, 2]`."""

    def row(observation, state):
        return jnp.concatenate([jnp.stack([state.x, state.y, state.heading]), observation])

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    def play_all(actions, params):
        def step(state, action):
            observation, state, *_ = ENVIRONMENT.step_env(KEY, state, action, params)
            return state, row(observation, state)

        observation, state = ENVIRONMENT.reset_env(KEY, params)
        _, rows = jax.lax.scan(step, state, actions)
        return jnp.concatenate([row(observation, state)[None], rows])

    return lambda actions: np.asarray(play_all(jnp.asarray(actions, jnp.float32), params))


@pytest.fixture(scope="module")
def scripted(play):
    return dict(zip(SCRIPTS, play(np.stack(list(SCRIPTS.values()))), strict=True))


@pytest.fixture(scope="module")
def step_from(params):
    """One step from any poses `[B, 3]` with actions `[B, 2]`."""

    @jax.jit
    def step_all(poses, actions, times, params):
        x, y, heading = poses.T
        zeros = jnp.zeros_like(x)
        states = HardMazeState(times, x, y, heading, zeros, zeros, previous_x=x, previous_y=y)
        return jax.vmap(ENVIRONMENT.step_env, in_axes=(None, 0, 0, None))(KEY, states, actions, params)

    def step(poses, actions, times=None):
        poses = jnp.asarray(poses, jnp.float32)
        times = jnp.zeros(len(poses), jnp.int32) if times is None else jnp.asarray(times, jnp.int32)
        return step_all(poses, jnp.asarray(actions, jnp.float32), times, params)

    return step


@pytest.mark.parametrize("name", SCRIPTS)
def test_reference_trajectory_of_scripted_actions(scripted, name):
    reference = np.array(REFERENCE[name]["x_y_th_l0_l1_l2_bl_br"])
    every = REFERENCE[name]["every"]
    ours = scripted[name][::every]

    assert ours.shape == reference.shape
    early = slice(0, 200 // every + 1)
    np.testing.assert_allclose(ours[early], reference[early], atol=1e-3)
    # Collisions amplify rounding: the single-precision simulator and ours part by a step's length at most.
    np.testing.assert_allclose(ours[:, :2], reference[:, :2], atol=3)
    np.testing.assert_allclose(ours[:, 2], reference[:, 2], atol=1e-3)
    if name in ("straight", "spin"):
        np.testing.assert_allclose(ours, reference, atol=5e-3)


def test_reference_final_poses_of_genomes(params):
    network = feedforward((5, 5, 5, 2))

    @jax.jit
    def final_poses(genomes, params):
        def run(genome):
            def step(carry, _):
                observation, state = carry
                observation, state, *_ = ENVIRONMENT.step_env(KEY, state, network.apply(genome, observation), params)
                return (observation, state), None

            (_, state), _ = jax.lax.scan(step, ENVIRONMENT.reset_env(KEY, params), None, STEPS)
            return jnp.stack([state.x, state.y, state.heading])

        return jax.vmap(run)(genomes)

    rollouts = REFERENCE["genome_rollouts"]
    poses = final_poses(jnp.array([rollout["genome"] for rollout in rollouts], jnp.float32), params)
    reference = np.array([rollout["final"] for rollout in rollouts])
    np.testing.assert_allclose(poses[:, :2], reference[:, :2], atol=3)
    np.testing.assert_allclose(poses[:, 2], reference[:, 2], atol=0.02)


def test_straight_line_in_free_space(scripted):
    steps = np.arange(101)
    x, y, heading = scripted["straight"][:101, :3].T
    np.testing.assert_allclose(x, 60 + steps * np.cos(np.pi / 4), atol=2e-5)
    np.testing.assert_allclose(y, 450 + steps * np.sin(np.pi / 4), atol=5e-5)
    np.testing.assert_allclose(heading, np.pi / 4, atol=1e-6)


def test_spinning_stays_in_place_and_wraps_the_heading(scripted):
    rows = scripted["spin"]
    np.testing.assert_array_equal(rows[:, :2], np.tile([60, 450], (STEPS + 1, 1)))
    turned = np.pi / 4 - 0.05 * np.arange(STEPS + 1)
    difference = rows[:, 2] - turned
    np.testing.assert_allclose(difference, 2 * np.pi * np.round(difference / (2 * np.pi)), atol=2e-3)
    assert np.abs(rows[:, 2]).max() <= np.pi + 1e-6


def test_constant_arc_closes_a_circle(play):
    left = 1.0
    right = left - 20 * 2 * np.pi / 250  # a full turn in 250 steps
    actions = np.zeros((len(SCRIPTS), STEPS, 2))
    actions[0, :250] = left, right
    path = play(actions)[0, :251, :2]
    radius = 10 * (left + right) / (left - right)
    np.testing.assert_allclose(path[-1], path[0], atol=2e-3)
    center = path.mean(axis=0, where=np.arange(251)[:, None] < 250)
    np.testing.assert_allclose(np.linalg.norm(path - center, axis=1), radius, atol=2e-3)


def test_robot_is_never_within_its_radius_of_a_wall(play):
    rng = np.random.default_rng(0)
    actions = rng.uniform(-4, 4, (len(SCRIPTS), STEPS, 2)) + rng.uniform(-2, 2, (len(SCRIPTS), 1, 2))
    rows = play(actions)
    visited = np.unique(np.floor(rows[..., :2] / 3 + 0.5).astype(int).reshape(-1, 2), axis=0)
    wall_pixels = np.argwhere(walls())[:, ::-1]
    squared = ((visited[:, None] - wall_pixels) ** 2).sum(axis=-1).min(axis=1)
    assert squared.min() == 10  # it came as close as it may: the next pixel beyond a radius of 3
    assert (rows[..., 6:] == 1).any(axis=(0, 1)).all()


def test_last_step_pays_the_position_before_it(step_from, params):
    poses = np.tile([60.0, 450.0, 0.0], (250, 1))
    poses[:4] = [(60, 50, 0), (100, 220, 0), (60, 60, 0), (160, 200, 0)]
    times = np.full(250, 1999)
    times[2] = 1998
    _, states, rewards, terminated, _ = step_from(poses, np.tile([4.0, 4.0], (250, 1)), times)
    expected = np.zeros(250)
    expected[:2] = 1 - 10 / 50, 1 - 20 / 50
    np.testing.assert_allclose(rewards, expected, atol=1e-6)
    assert float(states.x[0]) == 64.0
    assert not terminated.any()

    areas = jax.jit(jax.vmap(ENVIRONMENT.area, in_axes=(0, None)))(states, params)
    np.testing.assert_array_equal(areas[:5], [0, 1, 0, -1, -1])
    descriptor = ENVIRONMENT.descriptor(jax.tree.map(lambda leaf: leaf[0], states), params)
    np.testing.assert_allclose(descriptor, [64 / 600, 50 / 600], rtol=1e-6)
    np.testing.assert_allclose(ENVIRONMENT.world_position(descriptor), [64, 50], rtol=1e-6)


def test_time_limit_truncates_and_starts_anew(params):
    step = jax.jit(ENVIRONMENT.step)
    _, state = ENVIRONMENT.reset_env(KEY, params)
    state = state.replace(x=jnp.float32(60), y=jnp.float32(60), time=jnp.int32(1999))
    observation, fresh, reward, terminated, truncated, info = step(
        jax.random.key(1), state, jnp.array([0.0, 0.0]), params
    )
    assert (float(reward), bool(terminated), bool(truncated)) == (1.0, False, True)
    assert int(fresh.time) == 0 and float(fresh.x) == 60 and float(fresh.y) == 450
    np.testing.assert_array_equal(observation, [100, 100, 100, 0, 0])
    # Below (60, 60) the first wall is at row 45: the segment that begins at (-0.35, 44.22) is as thick as three pixels.
    final = np.asarray(info["final_observation"])
    np.testing.assert_allclose(final[0], 3 * np.flatnonzero(walls()[20:, 20])[0], atol=1e-4)
    assert final[0] < 100 and final[3] == final[4] == 0

    _, state, reward, terminated, truncated, _ = step(jax.random.key(2), fresh, jnp.array([1.0, 1.0]), params)
    assert (float(reward), bool(terminated), bool(truncated), int(state.time)) == (0.0, False, False, 1)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_are_the_same_environment(params, duplicate):
    other = duplicate(ENVIRONMENT)
    for ours, theirs in zip(jax.tree.leaves(params), jax.tree.leaves(other.default_params), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    observation, _ = other.reset_env(KEY, params)
    np.testing.assert_array_equal(observation, [100, 100, 100, 0, 0])
    assert len(pickle.dumps(ENVIRONMENT)) < 1000  # the tables are no part of it
