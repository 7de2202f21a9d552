"""The arena's walls and goals against each other and against the image."""

import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.environments.planar.ant_arena import (
    GOAL_POSITIONS,
    INNER_WALLS,
    OUTER_WALLS,
    START_POSITION,
    inner_wall_edges,
    scaled_position,
)
from jaxrl_sparse.environments.planar.point_maze import PointMaze

ENVIRONMENT = PointMaze()


def in_a_wall(x, y, walls=INNER_WALLS + OUTER_WALLS):
    return any(abs(x - cx) < hx and abs(y - cy) < hy for (cx, cy), (hx, hy) in walls)


def test_scaling_takes_the_arena_to_the_unit_square_and_back():
    corners = jnp.array([(-30.0, -30.0), (40.0, 40.0), (5.0, 5.0), (40.0, -30.0)], jnp.float32)
    descriptors = scaled_position(corners)
    np.testing.assert_allclose(descriptors, [(-0.5, -0.5), (0.5, 0.5), (0, 0), (0.5, -0.5)], atol=1e-7)
    np.testing.assert_allclose(ENVIRONMENT.world_position(descriptors), corners, atol=1e-5)


def test_walls_by_hand():
    low, high = inner_wall_edges()
    np.testing.assert_allclose(low, [(-15.3, 3), (-16, -15.3), (9.7, -30)], rtol=1e-6)
    np.testing.assert_allclose(high, [(-14.7, 37), (10, -14.7), (10.3, 0)], rtol=1e-6)
    # The corners are closed, starts and goals are free, and the two lower walls join.
    for corner in ((-30.2, -30.2), (40.2, -30.2), (-30.2, 40.2), (40.2, 40.2)):
        assert in_a_wall(*corner)
    for place in (START_POSITION, *GOAL_POSITIONS, (-15.0, 38.0), (-15.0, 2.0), (-17.0, -15.0), (10.0, 1.0)):
        assert not in_a_wall(*place)
    assert in_a_wall(9.9, -15.0, INNER_WALLS[1:2]) and in_a_wall(9.9, -15.0, INNER_WALLS[2:])


def test_scene_is_black_on_walls_and_red_on_goals():
    size = 700
    scene = np.asarray(ENVIRONMENT.scene(size))
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, size, (2, 4000))
    for row, column in zip(rows, columns, strict=True):
        # Pixels are 0.1 wide, and y points up.
        x, y = -30 + (column + 0.5) * 0.1, 40 - (row + 0.5) * 0.1
        distances = [np.hypot(x - a, y - b) for a, b in GOAL_POSITIONS]
        # The edges of walls and goals lie between pixels or within half of one.
        if min(abs(distance - 3) for distance in distances) < 0.1:
            continue
        expected = [1, 0, 0] if min(distances) < 3 else [0, 0, 0] if in_a_wall(x, y) else [1, 1, 1]
        np.testing.assert_allclose(scene[row, column], expected, atol=0.02)
    assert (scene[50, 50], scene[650, 650])[0].tolist() == [1, 0, 0] == scene[650, 650].tolist()
