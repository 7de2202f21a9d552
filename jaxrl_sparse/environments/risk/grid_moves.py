"""Moves on a grid of cells with walls around it, by row and column from the top left."""

import numpy as np

# (rows, columns) by the name of the move.
MOVES = {"stay": (0, 0), "up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}


def grid_successors(height: int, width: int, moves: tuple[str, ...]) -> np.ndarray:
    """The cell that each move leads to; who moves against a wall stays.

    Args:
      height: rows of cells.
      width: columns of cells.
      moves: words of `MOVES`.

    Returns:
      `[S, A, 1]` int: one outcome of each of A moves in each of S = height * width cells, `row * width + column`.
    """
    rows, columns = np.divmod(np.arange(height * width), width)
    steps = np.array([MOVES[move] for move in moves])
    following_rows = np.clip(rows[:, None] + steps[:, 0], 0, height - 1)
    following_columns = np.clip(columns[:, None] + steps[:, 1], 0, width - 1)
    return (following_rows * width + following_columns)[:, :, None]


def cell_names(height: int, width: int) -> tuple[str, ...]:
    """`(row,column)` of each cell, in the order of their numbers."""
    return tuple(f"({row},{column})" for row in range(height) for column in range(width))
