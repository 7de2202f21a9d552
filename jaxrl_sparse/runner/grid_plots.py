"""Pictures of walks on grids of cells: where they went, over what there was to be had."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from jaxrl_sparse.runner.plots import CURVE, INK

# Walks that stand on the same cells are drawn beside one another, within this part of a cell.
_SPREAD = 0.5


def walks(worth: np.ndarray, cells: np.ndarray, title: str, walkable: np.ndarray | None = None) -> Figure:
    """Walks over a map of what its cells are worth.

    Args:
      worth: `[rows, columns]`, drawn in shades.
      cells: `[H, N]`, N walks of H cells, each `row * columns + column`.
      title: of the figure.
      walkable: `[rows, columns]` bool; walls are black. None for no walls.

    Returns:
      The figure; a dot is where walks start.
    """
    rows, columns = worth.shape
    figure = Figure(figsize=(6.4, 6.4 * rows / columns + 0.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, color=INK, fontsize=11, loc="left")
    axes.imshow(worth, cmap="Greens", aspect="equal")
    if walkable is not None:
        axes.imshow(np.ma.masked_where(walkable, np.ones(worth.shape)), cmap=ListedColormap([INK]), aspect="equal")
    number = cells.shape[1]
    for i, walk in enumerate(cells.T):
        aside = _SPREAD * ((i + 0.5) / number - 0.5)
        axes.plot(walk % columns + aside, walk // columns + aside, color=CURVE, linewidth=1.2, alpha=0.7)
    axes.plot(cells[0, 0] % columns, cells[0, 0] // columns, "o", color=INK, markersize=6)
    axes.set_xticks([])
    axes.set_yticks([])
    return figure
