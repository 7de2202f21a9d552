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
        states = HardMazeState(times, x, y, heading, x, y, rounding_x=zeros, rounding_y=zeros)
        return jax.vmap(ENVIRONMENT.step_env, in_axes=(None, 0, 0, None))(KEY, states, actions, params)

    def step(poses, actions, times=None):
        poses = jnp.asarray(poses, jnp.float32)
        times = jnp.zeros(len(poses), jnp.int32) if times is None else jnp.asarray(times, jnp.int32)
        return step_all(poses, jnp.asarray(actions, jnp.float32), times, params)

    return step


def pixel(coordinate):
    return np.floor(np.asarray(coordinate) / 3 + 0.5).astype(int)


def free_poses(count, seed, nearest_wall=200):
    """Random poses that touch nothing, with a wall within some pixels, away from where pixels meet."""
    rng = np.random.default_rng(seed)
    poses = np.empty((0, 3))
    wall_rows, wall_columns = np.nonzero(walls())
    while len(poses) < count:
        pixels = rng.integers(6, 194, 2)
        squared = ((wall_rows - pixels[1]) ** 2 + (wall_columns - pixels[0]) ** 2).min()
        if 9 < squared <= nearest_wall**2:
            position = 3 * pixels + rng.uniform(-1.25, 1.25, 2)
            poses = np.concatenate([poses, [[*position, rng.uniform(-np.pi, np.pi)]]])
    return poses.astype(np.float32).astype(np.float64)


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


def test_motion_is_the_published_arc(step_from):
    rng = np.random.default_rng(3)
    poses = free_poses(250, seed=3, nearest_wall=5)
    actions = rng.uniform(-6, 6, (250, 2))
    actions[:20, 1] = actions[:20, 0]
    _, states, *_ = step_from(poses, actions)

    left, right = np.clip(actions.astype(np.float32).astype(float), -4, 4).T
    x, y, heading = poses.T
    turn = (right - left) / 20
    curved = np.abs(turn) > 1e-10
    radius = np.divide(left, turn, out=np.zeros_like(left), where=curved) + 10
    side, ahead = (np.cos(turn) - 1) * radius, np.sin(turn) * radius
    rotation = heading - np.pi / 2
    dx = np.where(curved, side * np.cos(rotation) - ahead * np.sin(rotation), left * np.cos(heading))
    dy = np.where(curved, side * np.sin(rotation) + ahead * np.cos(rotation), left * np.sin(heading))
    wrapped = np.arctan2(np.sin(heading + turn), np.cos(heading + turn))
    np.testing.assert_allclose(states.heading, wrapped, atol=1e-5)

    # Where the arc would end at a wall, the robot stays.
    wall_rows, wall_columns = np.nonzero(walls())
    rows, columns = pixel(y + dy), pixel(x + dx)
    moves = ((wall_rows - rows[:, None]) ** 2 + (wall_columns - columns[:, None]) ** 2).min(axis=1) > 9
    assert 50 < moves.sum() < 240
    np.testing.assert_allclose(states.x, np.where(moves, x + dx, x), atol=1e-4)
    np.testing.assert_allclose(states.y, np.where(moves, y + dy, y), atol=1e-4)


def laser_by_pixel_march(x, y, angle):
    """The published laser from its geometry: which pixels the segment between two pixel centres touches."""
    row, column = pixel(y), pixel(x)
    end = np.array([pixel(y + 100 * np.sin(angle)) - row, pixel(x + 100 * np.cos(angle)) - column])
    order = [0, 1] if abs(end[0]) > abs(end[1]) else [1, 0]
    signs = np.where(end < 0, -1, 1)
    longer, shorter = np.abs(end)[order]
    for step in range(longer + 1):
        arrival = -((longer - 2 * shorter * step) // (2 * longer))  # step shorter / longer, halves rounded down
        i, j = np.mgrid[: step + 1, : arrival + 1]
        touched = 2 * np.abs(i * shorter - j * longer) <= longer + shorter
        offsets = np.stack([i[touched], j[touched]], axis=1)[:, order] * signs
        if walls()[row + offsets[:, 0], column + offsets[:, 1]].any():
            hit_row, hit_column = np.array([step, arrival])[order] * signs
            return min(np.hypot(x - 3 * (column + hit_column), y - 3 * (row + hit_row)), 100.0)
    return 100.0


def test_lasers_against_a_march_over_pixels(step_from):
    poses = free_poses(250, seed=1)
    observations, *_ = step_from(poses, np.zeros((250, 2)))
    angles = np.array([np.pi / 4, 0.0, -np.pi / 4])
    expected = np.array([[laser_by_pixel_march(x, y, heading + a) for a in angles] for x, y, heading in poses])
    assert 100 < (expected < 100).sum() < 700
    # The end of a ray may fall on the border of a pixel to within rounding.
    agrees = np.abs(np.asarray(observations)[:, :3] - expected) < 1e-3
    assert agrees.mean() > 0.998


def test_laser_of_a_known_wall(step_from):
    # The border's first rows of pixels are 2 and 197: their centres are at 6 and 591.
    facing = {
        (300.0, 550.0, np.pi / 2): 591 - 550,
        (30.0, 501.0, np.pi): 30 - 6,
        (450.0, 40.0, -np.pi / 2): 40 - 6,
        (560.0, 300.0, 0.0): 591 - 560,
        (60.0, 450.0, 0.0): 100.0,
    }
    poses = np.tile(np.array(list(facing)), (50, 1))
    observations, *_ = step_from(poses, np.zeros((250, 2)))
    np.testing.assert_allclose(observations[:5, 1], list(facing.values()), atol=1e-4)


def test_bumpers_are_the_sides_of_the_wall_pixels_that_were_run_into(step_from):
    poses = free_poses(250, seed=5, nearest_wall=4)
    actions = np.tile([4.0, 4.0], (250, 1))
    observations, *_ = step_from(poses, actions)
    next_x = poses[:, 0] + 4 * np.cos(poses[:, 2])
    next_y = poses[:, 1] + 4 * np.sin(poses[:, 2])
    wall_rows, wall_columns = np.nonzero(walls())
    left, right = np.zeros(250), np.zeros(250)
    for n in range(250):
        rows, columns = wall_rows - pixel(next_y[n]), wall_columns - pixel(next_x[n])
        touching = rows**2 + columns**2 <= 9
        angles = np.arctan2(rows[touching], columns[touching]) - poses[n, 2]
        angles = np.arctan2(np.sin(angles), np.cos(angles))
        right[n] = ((angles > 0) & (angles < np.pi / 2)).any()
        left[n] = ((angles < 0) & (angles > -np.pi / 2)).any()
    assert left.sum() > 5 and right.sum() > 5 and (left != right).any()
    np.testing.assert_array_equal(observations[:, 3], left)
    np.testing.assert_array_equal(observations[:, 4], right)


def test_robot_is_never_within_its_radius_of_a_wall(play):
    rng = np.random.default_rng(0)
    actions = rng.uniform(-4, 4, (len(SCRIPTS), STEPS, 2)) + rng.uniform(-2, 2, (len(SCRIPTS), 1, 2))
    rows = play(actions)
    visited = np.unique(pixel(rows[..., :2]).reshape(-1, 2), axis=0)
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


def test_an_action_that_is_not_a_number_shows_in_the_descriptor(step_from):
    actions = np.zeros((250, 2))
    actions[0] = np.nan
    _, states, *_ = step_from(np.tile([60.0, 450.0, 0.0], (250, 1)), actions)
    assert np.isnan(states.x[0]) and not np.isnan(states.x[1])


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
    lasers = [laser_by_pixel_march(60, 60, np.pi / 4 + angle) for angle in (np.pi / 4, 0.0, -np.pi / 4)]
    np.testing.assert_allclose(info["final_observation"], [*lasers, 0, 0], atol=1e-4)
    assert min(lasers) < 100

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
