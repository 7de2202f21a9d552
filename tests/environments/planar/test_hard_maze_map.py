"""The HardMaze's bitmap against published counts."""

import numpy as np

from jaxrl_sparse.environments.planar.hard_maze_map import walls
from jaxrl_sparse.environments.planar.occupancy import occupancy_tables


def test_reachable_part_of_the_maze_bounds_the_coverage():
    free = np.asarray(occupancy_tables(walls()).contacts) == 0
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
