import numpy as np

from jaxrl_sparse.environments.risk.grid_moves import MOVES, cell_names, grid_successors


def test_moves_are_those_of_a_loop():
    names = cell_names(3, 4)
    cells = {name: number for number, name in enumerate(names)}
    following = grid_successors(3, 4, tuple(MOVES))
    assert following.shape == (12, 5, 1)
    for row, column in np.ndindex(3, 4):
        here = cells[f"({row},{column})"]
        expected = [
            here,
            cells.get(f"({row - 1},{column})", here),
            cells.get(f"({row},{column + 1})", here),
            cells.get(f"({row + 1},{column})", here),
            cells.get(f"({row},{column - 1})", here),
        ]
        np.testing.assert_array_equal(following[here, :, 0], expected)
