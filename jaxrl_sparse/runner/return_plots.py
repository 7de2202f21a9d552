"""Pictures of distributions of returns: laws, policies over states and stocks, what was asked for and what was got."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jaxrl_sparse.runner.plots import AREA_COLORS, CURVE, FAINT, GRID, INK

# States, or stocks, that an axis has names for; of more it shows some.
MOST_NAMES = 24


def return_law(
    atoms: np.ndarray, probs: np.ndarray, title: str, marks: Mapping[str, float] | None = None, sampled: bool = False
) -> Figure:
    """The distribution of a return: a stem for each atom that has any mass.

    Args:
      atoms: `[N]`, or the returns of N episodes.
      probs: `[N]`.
      title: of the figure.
      marks: values to mark on the axis, by their label, such as the mean.
      sampled: whether the atoms are those of episodes, which are drawn as a histogram.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, color=INK, fontsize=11, loc="left")
    if sampled:
        axes.hist(atoms, bins=min(60, max(1, len(np.unique(atoms)))), weights=probs, color=CURVE, alpha=0.8)
    else:
        held = probs > 1e-4
        axes.vlines(atoms[held], 0, probs[held], color=CURVE, linewidth=2.4)
        axes.plot(atoms[held], probs[held], "o", color=CURVE, markersize=4)
    for number, (label, value) in enumerate((marks or {}).items()):
        color = AREA_COLORS[number % len(AREA_COLORS)]
        axes.axvline(value, color=color, linewidth=1.2, linestyle="--", label=f"{label} {value:.4g}")
    if marks:
        axes.legend(fontsize=8, frameon=False, labelcolor=INK)
    _finish(axes, "return", "probability")
    axes.set_ylim(bottom=0)
    return figure


def stock_policy(
    actions: np.ndarray, stocks: np.ndarray, state_names: Sequence[str], action_names: Sequence[str], title: str
) -> Figure:
    """What a policy does in every state at every stock: a cell for each, in the colour of its action.

    Stocks beyond the last change of any action are left out, but for a margin.

    Args:
      actions: `[S, C]`.
      stocks: `[C]`, ascending.
      state_names: S words.
      action_names: A words.
      title: of the figure.
    """
    num_states = actions.shape[0]
    changes = np.flatnonzero((actions[:, 1:] != actions[:, :-1]).any(axis=0))
    if changes.size:
        margin = 2 + (changes[-1] - changes[0]) // 10
        kept = slice(max(changes[0] - margin, 0), changes[-1] + 2 + margin)
        actions, stocks = actions[:, kept], stocks[kept]
    figure = Figure(figsize=(7.6, 1.8 + 0.22 * min(num_states, MOST_NAMES)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, color=INK, fontsize=11, loc="left")
    colors = [AREA_COLORS[i % len(AREA_COLORS)] for i in range(len(action_names))]
    half = (stocks[1] - stocks[0]) / 2
    axes.imshow(
        actions,
        aspect="auto",
        interpolation="nearest",
        cmap=ListedColormap(colors),
        norm=BoundaryNorm(np.arange(len(colors) + 1) - 0.5, max(len(colors), 2)) if len(colors) > 1 else None,
        extent=(stocks[0] - half, stocks[-1] + half, num_states - 0.5, -0.5),
    )
    shown = np.unique(np.linspace(0, num_states - 1, min(num_states, MOST_NAMES)).astype(int))
    axes.set_yticks(shown, labels=[str(state_names[i]) for i in shown])
    _finish(axes, "stock", "state")
    axes.grid(visible=False)
    handles = [Patch(color=color, label=name) for color, name in zip(colors, action_names, strict=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6), fontsize=8, frameon=False)
    return figure


def requested_returns(requested: np.ndarray, achieved: np.ndarray, title: str) -> Figure:
    """Achieved against requested returns: every episode a dot, their means a line, and the diagonal that was asked for.

    Args:
      requested: `[K]`, minus the initial stocks.
      achieved: `[K, episodes]`.
      title: of the figure.
    """
    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, color=INK, fontsize=11, loc="left")
    axes.plot(requested, requested, color=FAINT, linestyle="--", linewidth=1, label="asked for")
    axes.plot(np.repeat(requested, achieved.shape[1]), achieved.ravel(), ".", color=CURVE, alpha=0.25, markersize=4)
    axes.plot(requested, achieved.mean(axis=1), color=AREA_COLORS[0], linewidth=1.6, label="mean achieved")
    axes.legend(fontsize=8, frameon=False, labelcolor=INK)
    _finish(axes, "requested return", "achieved return")
    return figure


def _finish(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=FAINT, fontsize=9)
    axes.set_ylabel(y, color=FAINT, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelsize=8)
    axes.grid(color=GRID, linewidth=0.6)
