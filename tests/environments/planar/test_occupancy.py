"""The tables of a bitmap against brute force over pixels."""

import numpy as np
import pytest

from jaxrl_sparse.environments.planar.hard_maze_map import PIXELS, walls
from jaxrl_sparse.environments.planar.occupancy import occupancy_tables, supercover_line, wall_coverage


def touched_pixels(row, column):
    """Pixels whose closed squares meet the segment, by separating axes in exact integers."""
    rows, columns = np.mgrid[min(0, row) : max(0, row) + 1, min(0, column) : max(0, column) + 1]
    touches = 2 * np.abs(rows * column - columns * row) <= abs(row) + abs(column)
    return set(zip(rows[touches].tolist(), columns[touches].tolist(), strict=True))


ENDS = [(0, 34), (-34, 0), (24, 24), (-23, 23), (-24, -24), (33, 5), (-9, 32), (-17, -28), (12, 31), (2, -34), (1, -33)]


@pytest.mark.parametrize(("row", "column"), ENDS)
def test_supercover_line_is_every_pixel_that_the_segment_touches_in_order_of_its_longer_axis(row, column):
    steps = supercover_line(row, column)

    pixels = [pixel for step in steps for pixel in step]
    assert set(pixels) == touched_pixels(row, column)
    assert len(set(pixels)) == len(pixels)

    longer = max(abs(row), abs(column))
    arrivals = np.array([step[-1] for step in steps])
    exact = np.outer(np.arange(longer + 1) / longer, (row, column))
    assert np.abs(arrivals - exact).max() <= 0.5
    np.testing.assert_array_equal(np.abs(arrivals).max(axis=1), np.arange(longer + 1))


def test_supercover_line_takes_both_pixels_beside_a_corner():
    assert supercover_line(2, 2) == [[(0, 0)], [(0, 1), (1, 0), (1, 1)], [(1, 2), (2, 1), (2, 2)]]
    assert supercover_line(-1, 3) == [[(0, 0)], [(0, 1)], [(0, 2), (-1, 1), (-1, 2)], [(-1, 3)]]


def within_three_pixels_of_a_wall():
    near = np.zeros((PIXELS, PIXELS), bool)
    rows, columns = np.mgrid[:PIXELS, :PIXELS]
    for row, column in np.argwhere(walls()):
        top, left = max(row - 3, 0), max(column - 3, 0)
        window = (slice(top, row + 4), slice(left, column + 4))
        near[window] |= (rows[window] - row) ** 2 + (columns[window] - column) ** 2 <= 9
    return near


def test_the_robot_fits_wherever_no_wall_is_within_its_radius():
    contacts = np.asarray(occupancy_tables(walls()).contacts)
    # Inside of a wall the robot's own pixel may be the only wall pixel near, but for these walls it never is.
    np.testing.assert_array_equal(contacts != 0, within_three_pixels_of_a_wall())


def test_tables_are_those_of_their_bitmap():
    first, second = np.zeros((2, 200, 200), bool)
    first[50], second[:, 50] = True, True
    contacts = [np.asarray(occupancy_tables(bitmap).contacts) != 0 for bitmap in (first, second, first)]
    # Beyond the borders there is wall.
    rows, columns = np.mgrid[:200, :200]
    border = np.minimum(np.minimum(rows, columns), 199 - np.maximum(rows, columns)) < 3
    np.testing.assert_array_equal(contacts[0], border | (np.abs(rows - 50) <= 3))
    np.testing.assert_array_equal(contacts[1], border | (np.abs(columns - 50) <= 3))
    np.testing.assert_array_equal(contacts[2], contacts[0])


def test_wall_coverage_is_the_mean_over_each_pixel():
    size = 50
    samples = np.arange(size * 24) * 0.5 + 0.25  # world units; the bitmap's pixels begin at 3 k - 1.5
    pixels = np.minimum(np.floor(samples / 3 + 0.5).astype(int), PIXELS - 1)
    sampled = walls()[np.ix_(pixels, pixels)].reshape(size, 24, size, 24).mean(axis=(1, 3))
    np.testing.assert_allclose(wall_coverage(walls(), size), sampled, atol=1e-12)
