"""Runs learners of episodic MDPs on many true processes and seeds in one program, and draws their curves."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import record
from jaxrl_sparse import train
from jaxrl_sparse.base import Algorithm
from jaxrl_sparse.runner import plots


class Ran(NamedTuple):
    """What a learner did: metrics `[processes, seeds, rounds]`, evaluations `[processes, seeds]`, CPU s of a round."""

    metrics: Mapping[str, np.ndarray]
    evaluation: Mapping[str, np.ndarray]
    cpu_seconds: float

    def regret(self, num_rounds: int | None = None) -> np.ndarray:
        """The sum of the first rounds' regrets, `[processes, seeds]`; of all by default."""
        return self.metrics["regret"][..., :num_rounds].sum(-1)


def run(make: Callable[[Any], Algorithm], processes: Any, seeds: list[int], num_rounds: int) -> Ran:
    """Every seed on every process, vmapped over both.

    Args:
      make: from one element of `processes` to the learner.
      processes: arrays with a leading axis, such as stacked true MDPs.
      seeds: of the learner's own keys, one for each process.
      num_rounds: updates.
    """

    def one(process, key):
        learn_key, evaluate_key = jax.random.split(key)
        algorithm = make(process)
        state, metrics = train(algorithm, algorithm.init(learn_key), num_rounds)
        return metrics, algorithm.evaluate(state, evaluate_key)

    num_processes = jax.tree.leaves(processes)[0].shape[0]
    # Not the same key for every process: locks of different codes would meet the same luck.
    fold = jax.vmap(jax.vmap(jax.random.fold_in, in_axes=(0, None)), in_axes=(None, 0))
    keys = fold(jax.vmap(jax.random.key)(np.array(seeds)), np.arange(num_processes))
    every = jax.vmap(jax.vmap(one, in_axes=(None, 0)))
    compiled = jax.jit(every).lower(processes, keys).compile()
    seconds, (metrics, evaluation) = record.cpu_seconds(compiled, processes, keys)
    num_runs = len(seeds) * num_processes
    return Ran(jax.device_get(metrics), jax.device_get(evaluation), seconds / num_rounds / num_runs)


def panels(count: int, title: str) -> tuple[Figure, list[Axes]]:
    """A figure of panels side by side, in the library's colours."""
    figure = Figure(figsize=(1.0 + 4.2 * count, 4.0), layout="constrained")
    figure.suptitle(title, color=plots.INK, fontsize=12)
    every = [figure.add_subplot(1, count, index + 1) for index in range(count)]
    for axes in every:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(plots.FAINT)
        axes.tick_params(colors=plots.FAINT, labelsize=8)
        axes.grid(color=plots.GRID, linewidth=0.6)
    return figure, every


def name_axes(axes: Axes, x: str, y: str, title: str = ""):
    axes.set_xlabel(x, color=plots.FAINT, fontsize=9)
    axes.set_ylabel(y, color=plots.FAINT, fontsize=9)
    axes.set_title(title, color=plots.INK, fontsize=9, loc="left")
