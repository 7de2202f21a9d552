import numpy as np

from jaxrl_sparse.runner.grid_plots import walks


def test_every_walk_is_drawn_within_its_cells_and_the_start_is_marked():
    cells = np.array([[1, 1], [2, 5], [6, 9]])
    figure = walks(np.arange(12.0).reshape(3, 4), cells, "two walks", np.arange(12).reshape(3, 4) != 0)
    (axes,) = figure.axes
    *lines, start = axes.lines
    assert len(lines) == 2
    for line, walk in zip(lines, cells.T, strict=True):
        np.testing.assert_array_equal(np.round(line.get_xdata()), walk % 4)
        np.testing.assert_array_equal(np.round(line.get_ydata()), walk // 4)
    assert (start.get_xdata()[0], start.get_ydata()[0]) == (1, 0)
    worth, walls = axes.images
    np.testing.assert_array_equal(worth.get_array(), np.arange(12.0).reshape(3, 4))
    np.testing.assert_array_equal(np.ma.getmaskarray(walls.get_array()), np.arange(12).reshape(3, 4) != 0)
