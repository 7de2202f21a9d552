"""The maze's tables against brute force over pixels."""

import numpy as np
import pytest

from jaxrl_sparse.environments.planar import hard_maze_map
from jaxrl_sparse.environments.planar.hard_maze_map import PIXELS, supercover_line, wall_coverage, walls


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
    contacts, *_ = hard_maze_map._tables()
    # Inside of a wall the robot's own pixel may be the only wall pixel near, but for these walls it never is.
    np.testing.assert_array_equal(contacts != 0, within_three_pixels_of_a_wall())


def test_reachable_part_of_the_maze_bounds_the_coverage():
    free = ~within_three_pixels_of_a_wall()
    reached, frontier = np.zeros_like(free), [(150, 20)]
    reached[150, 20] = True
    while frontier:
        row, column = frontier.pop()
        for neighbour in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if free[neighbour] and not reached[neighbour]:
                reached[neighbour] = True
                frontier.append(neighbour)

    # Published with the reference trajectories; the original bitmap has 29,353 free pixels.
    assert reached.sum() == 29_364
    rows, columns = np.nonzero(reached)

    def cells(row_shift, column_shift):
        return set(
            zip(
                *(np.floor((c + s) * 3 / 600 * 50) for c, s in ((rows, row_shift), (columns, column_shift))),
                strict=True,
            )
        )

    # Published, of the 2,500 cells of the coverage grid: those with the centre of a reached pixel.
    assert len(cells(0.0, 0.0)) == 2060
    # The borders of the cells run through the middle of pixels, so that a position may be in a few more: 0.848.
    assert len(set.union(*(cells(i, j) for i in (-0.25, 0.25) for j in (-0.25, 0.25)))) == 2120


def test_bitmap_is_close_to_the_published_one():
    # The original has 5,216 wall pixels of which 61 differ: the counts cannot be further apart.
    assert abs(int(walls().sum()) - 5216) <= 61
    assert walls()[:3].all() and walls()[-3:].all() and walls()[:, :3].all() and walls()[:, -3:].all()


def test_wall_coverage_is_the_mean_over_each_pixel():
    size = 50
    samples = np.arange(size * 24) * 0.5 + 0.25  # world units; the bitmap's pixels begin at 3 k - 1.5
    pixels = np.minimum(np.floor(samples / 3 + 0.5).astype(int), PIXELS - 1)
    sampled = walls()[np.ix_(pixels, pixels)].reshape(size, 24, size, 24).mean(axis=(1, 3))
    np.testing.assert_allclose(wall_coverage(size), sampled, atol=1e-12)
