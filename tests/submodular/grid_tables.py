"""Grids of the paper as tables, made independently of the package's environments."""

import jax.numpy as jnp
import numpy as np

# Stay, right, down, left, up.
MOVES = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))

TWO_ROOMS = (
    "....######....",
    "....######....",
    "......S.......",
    "..............",
    "....######....",
    "....######....",
    "....######....",
)


def walkable_of(rows):
    return np.array([[cell != "#" for cell in row] for row in rows])


def successors(walkable):
    """`[S, 5]`; a move against a wall or the border stays."""
    rows, columns = walkable.shape
    table = np.empty((rows * columns, len(MOVES)), np.int32)
    for cell in range(rows * columns):
        for action, (down, right) in enumerate(MOVES):
            row, column = cell // columns + down, cell % columns + right
            free = 0 <= row < rows and 0 <= column < columns and walkable[row, column]
            table[cell, action] = row * columns + column if free else cell
    return jnp.asarray(table)


def block_footprint(walkable, size=2):
    """`[S, size^2]`: the block down and to the right of each cell, without walls, cut at the border."""
    rows, columns = walkable.shape
    table = np.full((rows * columns, size * size), -1)
    for cell in range(rows * columns):
        for place in range(size * size):
            row, column = cell // columns + place // size, cell % columns + place % size
            if row < rows and column < columns and walkable[row, column]:
                table[cell, place] = row * columns + column
    return table
