"""Images against the analytic shapes that they show."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.hard_maze import HardMaze
from jaxrl_sparse.environments.planar.hard_maze_map import walls
from jaxrl_sparse.environments.planar.occupancy import wall_coverage
from jaxrl_sparse.environments.planar.point_2d import Point2D
from jaxrl_sparse.environments.planar.redundant_arm import RedundantArm

POINT, ARM, MAZE = Point2D(), RedundantArm(), HardMaze()


def centers(environment, size):
    """World coordinates of the pixels, by a loop."""
    (low_x, low_y), (high_x, high_y) = environment.world_bounds
    pixel = (high_x - low_x) / size
    points = np.empty((size, size, 2))
    for row in range(size):
        for column in range(size):
            y = low_y + (row + 0.5) * pixel if environment.image_y_axis_down else high_y - (row + 0.5) * pixel
            points[row, column] = low_x + (column + 0.5) * pixel, y
    return points, pixel


@pytest.mark.parametrize("environment", [POINT, ARM, MAZE], ids=lambda environment: environment.name)
def test_pixel_centers(environment):
    expected, pixel = centers(environment, 16)
    np.testing.assert_allclose(drawing.pixel_centers(environment, 16), expected, atol=1e-5 * pixel)


def test_disc_covers_its_area_around_its_center():
    points, pixel = centers(ARM, 64)
    center, radius = np.array([0.3127, 0.6543]), 0.1
    covered = np.asarray(
        drawing.coverage(jnp.asarray(points), drawing.disc(jnp.asarray(points), tuple(center), radius))
    )
    distance = np.linalg.norm(points - center, axis=-1)
    assert (covered[distance < radius - 0.51 * pixel] == 1).all()
    assert (covered[distance > radius + 0.51 * pixel] == 0).all()
    np.testing.assert_allclose(covered.sum() * pixel**2, np.pi * radius**2, rtol=0.005)
    centroid = (covered[..., None] * points).sum(axis=(0, 1)) / covered.sum()
    np.testing.assert_allclose(centroid, center, atol=0.01 * pixel)


def test_signed_distance_of_a_rectangle_is_that_of_its_nearest_edge():
    points = np.array([[(0.5, 0.5), (0.9, 0.5)], [(0.5, 0.9), (1.0, 1.0)]])
    distance = drawing.rectangle(jnp.asarray(points), (0.5, 0.5), (0.4, 0.6))
    np.testing.assert_allclose(distance, [[-0.2, 0.2], [0.1, np.hypot(0.3, 0.2)]], atol=1e-6)


def test_signed_distance_of_a_polyline_against_samples_on_it():
    points, _ = centers(ARM, 16)
    vertices = np.array([(0.1, 0.1), (0.6, 0.2), (0.6, 0.2), (0.3, 0.9)])
    fractions = np.linspace(0, 1, 20_001)[:, None]
    samples = np.concatenate([a + fractions * (b - a) for a, b in pairwise(vertices)])
    expected = np.array([[np.linalg.norm(samples - point, axis=1).min() for point in row] for row in points]) - 0.01
    distance = drawing.polyline(jnp.asarray(points), jnp.asarray(vertices), 0.01)
    np.testing.assert_allclose(distance, expected, atol=1e-5)


@pytest.mark.parametrize(("size", "half_width"), [(64, 1.5 / 400), (16, 1 / 16), (32, 0.02)])
def test_a_line_covers_its_area_wherever_it_lies(size, half_width):
    points, pixel = centers(ARM, size)
    for height in np.linspace(0.45, 0.45 + pixel, 7):
        vertices = jnp.array([(0.2, height), (0.5, height), (0.7, height)])
        covered = np.asarray(drawing.line(jnp.asarray(points), vertices, half_width), float)
        assert covered.max() <= min(1, 2 * half_width / pixel) + 1e-6
        # Every column that the line crosses, whether centres of pixels lie on it or not.
        crossed = (points[0, :, 0] > 0.2 + pixel) & (points[0, :, 0] < 0.7 - pixel)
        np.testing.assert_allclose(covered[:, crossed].sum(axis=0) * pixel, 2 * half_width, rtol=1e-3)


def test_what_moves_is_two_pixels_wide_on_small_images_and_as_published_on_others():
    assert drawing.visible(MAZE, 64, 6.0) == drawing.visible(MAZE, 200, 6.0) == 6.0
    assert drawing.visible(MAZE, 16, 6.0) == 600 / 16 and drawing.visible(MAZE, 16, 50.0) == 50.0


def test_paint_blends_by_coverage():
    image = drawing.paint(drawing.blank(2), jnp.array([[0.0, 1.0], [0.25, 0.5]]), (1.0, 0.0, 0.5))
    np.testing.assert_allclose(image[0], [[1, 1, 1], [1, 0, 0.5]])
    np.testing.assert_allclose(image[1], [[1, 0.75, 0.875], [1, 0.5, 0.75]])


def test_robot_of_the_maze_is_a_blue_dot_where_it_is():
    positions = np.array([(300.0, 550.0), (60.0, 450.0), (451.7, 298.3)], np.float32)
    images = np.asarray(jax.jit(jax.vmap(lambda position: MAZE.render(position, 64)))(positions))
    scene = np.asarray(MAZE.scene(64))
    points, pixel = centers(MAZE, 64)
    assert images.min() >= 0 and images.max() <= 1
    for image, position in zip(images, positions, strict=True):
        # On white ground the dot takes the red away.
        dot = scene[..., 0] - image[..., 0]
        assert np.abs(dot[np.linalg.norm(points - position, axis=-1) > 6 + pixel / 2]).max() < 1e-6
        assert dot.max() > 0.5
        np.testing.assert_allclose((dot[..., None] * points).sum(axis=(0, 1)) / dot.sum(), position, atol=pixel / 4)
        np.testing.assert_allclose(image[..., 2], scene[..., 2], atol=1e-6)


def test_scene_of_the_maze_shows_walls_and_goals():
    scene = np.asarray(MAZE.scene(64))
    points, pixel = centers(MAZE, 64)
    from_goals = np.stack([np.linalg.norm(points - area.center, axis=-1) for area in MAZE.reward_areas]).min(axis=0)
    np.testing.assert_allclose(scene[from_goals < 50 - pixel] - [1, 0, 0], 0, atol=1e-6)
    elsewhere = from_goals > 50 + pixel
    np.testing.assert_allclose(
        scene[elsewhere], 1 - np.tile(wall_coverage(walls(), 64)[elsewhere][:, None], 3), atol=1e-6
    )
    # The border is 7.5 units wide in the image, of which a pixel is 9.375.
    np.testing.assert_allclose(scene[0, 20:60], 1 - 7.5 / 9.375, atol=1e-6)


def test_scene_of_the_arm_has_its_goals_above():
    scene = np.asarray(ARM.scene(100))
    # y points up: the goal (0.85, 0.85) is in the upper right, the wall x in [0.8, 1), y in [0.49, 0.51) on the right.
    np.testing.assert_array_equal(scene[14, 85], [1, 0, 0])
    np.testing.assert_array_equal(scene[85, 85], [1, 1, 1])
    np.testing.assert_array_equal(scene[9, 25], [1, 0, 0])
    np.testing.assert_array_equal(scene[49:51, 90], np.zeros((2, 3)))
    np.testing.assert_array_equal(scene[10, 49:51], np.zeros((2, 3)))


def test_arm_is_a_black_line_through_its_joints():
    straight = np.zeros(20, np.float32)
    straight[0] = -np.pi / 4  # to the upper right, out of the image: drawing does not ask whether a pose is legal
    straight[10] = np.pi / 2
    image = np.asarray(jax.jit(lambda angles: ARM.render(angles, 64))(straight))
    scene = np.asarray(ARM.scene(64))
    points, pixel = centers(ARM, 64)
    elbow = 0.5 + 0.5 * np.sqrt(0.5)
    on_the_lower_arm = np.abs(points[..., 0] - points[..., 1]) < 1e-9
    on_the_lower_arm &= (points[..., 0] > 0.52) & (points[..., 0] < 0.8)
    assert on_the_lower_arm.sum() > 10
    # Of a pixel in its course the line, 3 of 400 wide, covers no more than its width.
    covered = 3 / 400 / pixel
    np.testing.assert_allclose(image[on_the_lower_arm], 1 - covered, atol=1e-5)
    changed = np.abs(image - scene).max(axis=-1) > 1e-5
    assert not changed[(points[..., 0] > elbow + pixel) | (points[..., 1] < 0.5 - pixel)].any()
    assert changed[(points[..., 1] > 0.9)].any()


def test_point_is_a_blue_disc_among_red_boxes():
    image = np.asarray(jax.jit(lambda position: POINT.render(position, 80))(jnp.array([-0.5, 0.5])))
    # Pixels are 0.025 wide: the point is in row 20, column 20, the box [0.75, 0.8]^2 covers rows 8 and 9.
    np.testing.assert_allclose(image[19:21, 19:21], np.tile([0.0, 0.0, 1.0], (2, 2, 1)), atol=1e-6)
    np.testing.assert_allclose(image[8:10, 70:72], np.tile([1.0, 0.0, 0.0], (2, 2, 1)), atol=1e-5)
    np.testing.assert_allclose(image[40, 40], [1, 1, 1])
