"""Pictures of a run, as matplotlib figures that need neither a display nor pyplot's global state."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch, Rectangle

INK = "#1f2933"
FAINT = "#9aa5b1"
GRID = "#e4e7eb"
CURVE = "#2563eb"
UNREWARDED = "#64748b"
# Okabe and Ito's colours, told apart by colour-blind readers too.
AREA_COLORS = ("#d55e00", "#009e73", "#0072b2", "#cc79a7", "#e69f00", "#56b4e9")
# Cells that were visited: the curve's blue, most of it transparent.
TINT = ListedColormap([(0.15, 0.39, 0.92, 0.16)])
NUM_COLUMNS = 3
# Characters of a line below the curves.
FOOTER_WIDTH = 150


def save(figure: Figure, path: Path) -> Path:
    """Writes a figure as PNG, 160 dots to the inch; returns the path."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=160)
    return path


def metric_curves(rows: Sequence[Mapping[str, Any]], against: str, title: str, headline: str = "") -> Figure:
    """A small curve for every metric that is one number and changes; below, those that stayed the same.

    Args:
      rows: the metrics of every update; None stands for a value that is not finite, and leaves a gap.
      against: the word on the horizontal axis, `"evaluations"` or `"environment_steps"`.
      title: of the figure.
      headline: the metric to draw first; the others follow in alphabetical order.
    """
    words, constants = curve_words(rows, against)
    words = sorted(words, key=lambda word: (word != headline, word))
    num_rows = max(1, -(-len(words) // NUM_COLUMNS))
    figure = Figure(figsize=(10, 1.0 + 2.1 * num_rows), layout="constrained")
    figure.suptitle(title, color=INK, fontsize=12)
    x = [row[against] for row in rows]
    for index, word in enumerate(words):
        axes = figure.add_subplot(num_rows, NUM_COLUMNS, index + 1)
        axes.plot(x, [np.nan if row.get(word) is None else row[word] for row in rows], color=CURVE, linewidth=1.4)
        axes.set_title(word.replace("_", " "), color=INK, fontsize=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(colors=FAINT, labelsize=7)
        axes.grid(color=GRID, linewidth=0.6)
        axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
        axes.locator_params(axis="x", nbins=5)
        if index + NUM_COLUMNS >= len(words):
            axes.set_xlabel(against.replace("_", " "), color=FAINT, fontsize=8)
    if constants:
        unchanged = ", ".join(f"{word.replace('_', ' ')} = {value:g}" for word, value in constants.items())
        figure.supxlabel(textwrap.fill(f"unchanged: {unchanged}", FOOTER_WIDTH), color=FAINT, fontsize=8)
    return figure


def curve_words(rows: Sequence[Mapping[str, Any]], against: str) -> tuple[list[str], dict[str, int | float]]:
    """The metrics that are single numbers, counters apart: those that change, sorted, and the values of the others."""
    values: dict[str, set[Any]] = {}
    for row in rows:
        for word, value in row.items():
            if word not in ("step", "evaluations", "environment_steps", against) and not isinstance(value, list):
                values.setdefault(word, set()).add(value)
    changing = sorted(word for word, seen in values.items() if len(seen) > 1)
    return changing, {
        word: value for word in sorted(values) for value in values[word] if values[word] == {value} - {None}
    }


def discovery_map(environment: Any, discoveries: Any, title: str, row: Mapping[str, Any]) -> Figure:
    """The behaviours that a run has found, drawn over the world of a planar environment.

    Cells of the coverage grid in which any episode ended are tinted. Every discovery that was kept is a dot where its
    episode ended; those that were rewarded have the colour of their reward area, which is outlined and labelled with
    the best reward found in it.

    Args:
      environment: a `PlanarEnvironment`.
      discoveries: numpy arrays `ground_truth[N, 2]` (descriptors), `rewards[N]`, `areas[N]` (-1: none), `mask[N]`
        and `visits[n * n]`, episodes that ended in each cell of a square grid over the descriptor's bounds, row-major.
      title: what was run.
      row: the last metrics, of which `coverage` and `evaluations` are shown.
    """
    found = np.asarray(discoveries.mask, dtype=bool)
    positions = np.asarray(environment.world_position(np.asarray(discoveries.ground_truth)))[found]
    areas, rewards = np.asarray(discoveries.areas)[found], np.asarray(discoveries.rewards)[found]
    visits = visited_cells(np.asarray(discoveries.visits))
    (low_x, low_y), (high_x, high_y) = environment.world_bounds
    figure = Figure(figsize=(7.2, 7.9), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(f"{title}\n{_summary(row, areas)}", color=INK, fontsize=11, loc="left")
    axes.imshow(
        np.asarray(environment.scene(512)), extent=image_extent(environment), origin="upper", interpolation="nearest"
    )
    axes.pcolormesh(*cell_corners(environment, visits.shape[0]), visits, cmap=TINT, vmin=0, vmax=1, zorder=1)
    axes.scatter(*positions[areas < 0].T, s=13, color=UNREWARDED, alpha=0.6, linewidths=0, zorder=3)
    for index, area in enumerate(environment.reward_areas):
        color = AREA_COLORS[index % len(AREA_COLORS)]
        inside = areas == index
        axes.scatter(*positions[inside].T, s=26, color=color, edgecolors="white", linewidths=0.5, zorder=4)
        axes.add_patch(_outline(area, color))
        best = f"best {rewards[inside].max():.3g}" if inside.any() else "not found"
        axes.annotate(
            f"area {index}: {best}",
            label_position(area, environment),
            bbox={"boxstyle": "round,pad=0.25", "facecolor": color, "edgecolor": "none"},
            color="white",
            fontsize=8,
            ha="center",
            va="center",
            zorder=5,
        )
    axes.set_xlim(low_x, high_x)
    axes.set_ylim((high_y, low_y) if environment.image_y_axis_down else (low_y, high_y))
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    return figure


def comparison(searches: Mapping[str, tuple[np.ndarray, Mapping[str, np.ndarray]]], title: str) -> Figure:
    """Metrics of several searches against evaluations: the mean over seeds, and a band from the worst to the best.

    Args:
      searches: by label, evaluations `[seeds, updates]` and metrics `[seeds, updates]` by their word; every search has
        the same words.
      title: of the figure.
    """
    words = list(next(iter(searches.values()))[1])
    num_columns = min(NUM_COLUMNS, len(words))
    num_rows = -(-len(words) // num_columns)
    figure = Figure(figsize=(1.0 + 3.4 * num_columns, 1.2 + 2.7 * num_rows), layout="constrained")
    figure.suptitle(title, color=INK, fontsize=12)
    for index, word in enumerate(words):
        axes = figure.add_subplot(num_rows, num_columns, index + 1)
        for number, (label, (evaluations, metrics)) in enumerate(searches.items()):
            # Seeds may have spent differently at the same update: all are read at the same numbers of evaluations.
            x = np.linspace(evaluations[:, 0].max(), evaluations[:, -1].min(), 200)
            curves = np.stack([np.interp(x, e, m) for e, m in zip(evaluations, metrics[word], strict=True)])
            color = AREA_COLORS[number % len(AREA_COLORS)]
            axes.fill_between(x, curves.min(axis=0), curves.max(axis=0), color=color, alpha=0.15, linewidth=0)
            axes.plot(x, curves.mean(axis=0), color=color, linewidth=1.4, label=label)
        axes.set_title(word.replace("_", " "), color=INK, fontsize=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(colors=FAINT, labelsize=7)
        axes.grid(color=GRID, linewidth=0.6)
        axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
        axes.set_xlabel("evaluations", color=FAINT, fontsize=8)
        if index == 0:
            axes.legend(fontsize=7, frameon=False, labelcolor=INK)
    return figure


def visited_cells(visits: np.ndarray) -> np.ndarray:
    """`[n, n]`, 1 where a cell was visited and masked elsewhere, with the first descriptor along the columns."""
    side = int(np.sqrt(visits.size))
    visited = (visits.reshape(side, side) > 0).T
    return np.ma.masked_where(~visited, visited.astype(float))


def cell_corners(environment: Any, side: int) -> tuple[np.ndarray, np.ndarray]:
    """World coordinates `x[side + 1, side + 1]`, `y[...]` of the corners of a grid over the descriptor's bounds."""
    first, second = (np.linspace(low, high, side + 1) for low, high in zip(*environment.descriptor_bounds, strict=True))
    corners = np.stack(np.meshgrid(first, second), axis=-1).astype(np.float32)
    world = np.asarray(environment.world_position(corners))
    return world[..., 0], world[..., 1]


def image_extent(environment: Any) -> tuple[float, float, float, float]:
    """`(left, right, bottom, top)`, in world units, of the image of `environment.scene`, whose row 0 is on top."""
    (low_x, low_y), (high_x, high_y) = environment.world_bounds
    return (low_x, high_x, high_y, low_y) if environment.image_y_axis_down else (low_x, high_x, low_y, high_y)


def _summary(row: Mapping[str, Any], areas: np.ndarray) -> str:
    parts = [f"{areas.size:,} kept behaviours", f"{np.count_nonzero(areas >= 0):,} rewarded"]
    if row.get("coverage") is not None:
        parts.insert(0, f"coverage {row['coverage']:.1%}")
    if row.get("evaluations") is not None:
        parts.append(f"{row['evaluations']:,} evaluations")
    return ", ".join(parts)


def _outline(area: Any, color: str) -> Patch:
    style: dict[str, Any] = {"facecolor": "#ffffffc0", "edgecolor": color, "linewidth": 1.8, "zorder": 2}
    if area.radius is not None:
        return Circle(area.center, area.radius, **style)
    width, height = area.size
    return Rectangle((area.center[0] - width / 2, area.center[1] - height / 2), width, height, **style)


def label_position(area: Any, environment: Any) -> tuple[float, float]:
    """Where the label of a reward area stands: beside it, towards the middle of the world, and inside its bounds."""
    (low_x, low_y), (high_x, high_y) = environment.world_bounds
    margin = 0.08 * (high_x - low_x)
    x = min(max(area.center[0], low_x + margin), high_x - margin)
    half_height = area.radius if area.radius is not None else area.size[1] / 2
    towards_middle = 1.0 if area.center[1] < (low_y + high_y) / 2 else -1.0
    return x, area.center[1] + towards_middle * (half_height + 0.03 * (high_y - low_y))


def short_number(value: float) -> str:
    """`short_number(7500) == "7.5k"`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
