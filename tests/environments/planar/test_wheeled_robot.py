"""The two-wheeled robot in the HardMaze against closed forms and brute force over pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.planar.hard_maze_map import walls
from jaxrl_sparse.environments.planar.occupancy import occupancy_tables
from jaxrl_sparse.environments.planar.wheeled_robot import RobotState, bearings_at_rest, drive, sense


@pytest.fixture(scope="module")
def step_from():
    """One step from any poses `[250, 3]` with displacements `[250, 2]`: observations and states."""
    tables = occupancy_tables(walls())

    @jax.jit
    @jax.vmap
    def step_all(poses, displacements):
        x, y, heading = poses
        zero = jnp.zeros_like(x)
        start = RobotState(jnp.int32(0), x, y, heading, zero, zero)
        state, bearings = drive(tables, start, displacements)
        return sense(tables, state, bearings), state, sense(tables, start, bearings_at_rest(start))

    def step(poses, displacements):
        return step_all(jnp.asarray(poses, jnp.float32), jnp.asarray(displacements, jnp.float32))

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


def test_motion_is_the_published_arc(step_from):
    rng = np.random.default_rng(3)
    poses = free_poses(250, seed=3, nearest_wall=5)
    actions = rng.uniform(-6, 6, (250, 2))
    actions[:20, 1] = actions[:20, 0]
    _, states, _ = step_from(poses, actions)

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


def test_a_robot_that_has_not_moved_senses_as_after_a_step_on_the_spot(step_from):
    poses = free_poses(250, seed=7)
    moved, _, at_rest = step_from(poses, np.zeros((250, 2)))
    np.testing.assert_array_equal(at_rest, moved)


def test_an_action_that_is_not_a_number_shows_in_the_position(step_from):
    actions = np.zeros((250, 2))
    actions[0] = np.nan
    _, states, _ = step_from(np.tile([60.0, 450.0, 0.0], (250, 1)), actions)
    assert np.isnan(states.x[0]) and not np.isnan(states.x[1])
