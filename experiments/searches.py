"""Runs quality-diversity searches side by side: all seeds of one in one batch, figures at equal numbers of evaluations.

What the claims of several papers share: `run`, `at`, intervals over seeds, the table that is printed, and the plots.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record
from jaxrl_sparse import train
from jaxrl_sparse.base import ENVIRONMENT_STEPS, EVALUATIONS, strong_types
from jaxrl_sparse.runner import plots

# Two-sided 95 % points of Student's t for 1, 2, ... degrees of freedom.
STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
NORMAL = 1.96


class Searched(NamedTuple):
    """What a search with several seeds left behind.

    Attributes:
      metrics: of every update, numpy arrays `[seeds, updates]`.
      evaluations: spent after each update, `[seeds, updates]`.
      explored: those of them that explored, all where a search has no emitters: coverage is published against these.
      state: the last one, leaves `[seeds, ...]`.
      cpu_seconds: without compilation.
    """

    metrics: Mapping[str, np.ndarray]
    evaluations: np.ndarray
    explored: np.ndarray
    state: Any
    cpu_seconds: float


def run(
    make: Callable[[Any, Any], Any],
    config: Any,
    inputs: Any,
    evaluations: int,
    seeds: Sequence[int],
    updates_at_a_time: int = 10,
) -> Searched:
    """Runs `make(config, inputs)` with every seed until each has explored with at least so many evaluations."""
    config, inputs = strong_types(config), strong_types(inputs)

    def start(config, inputs, seed):
        return strong_types(make(config, inputs).init(jax.random.key(seed)))

    def go_on(config, inputs, state, step):
        return train(make(config, inputs), state, updates_at_a_time, step)

    starts = jax.jit(jax.vmap(start, in_axes=(None, None, 0)))
    continues = jax.jit(jax.vmap(go_on, in_axes=(None, None, 0, None)), donate_argnums=2)
    state = starts(config, inputs, np.array(seeds, np.int32))
    compiled = continues.lower(config, inputs, state, jnp.int32(0)).compile()
    began, rows, step = time.process_time(), [], 0
    explored = np.zeros(len(seeds), np.int64)
    while explored.min() < evaluations:
        state, metrics = compiled(config, inputs, state, jnp.int32(step))
        rows.append(jax.tree.map(np.asarray, metrics))
        explored = explored + rows[-1][EVALUATIONS].sum(axis=1, dtype=np.int64)
        if "exploration_evaluations" in rows[-1]:
            explored = rows[-1]["exploration_evaluations"][:, -1]
        step += updates_at_a_time
    metrics = {word: np.concatenate([row[word] for row in rows], axis=1) for word in rows[0]}
    cumulated = np.cumsum(metrics[EVALUATIONS], axis=1, dtype=np.int64)
    explored = metrics.get("exploration_evaluations", cumulated)
    return Searched(metrics, cumulated, explored, state, time.process_time() - began)


def at(searched: Searched, word: str, evaluations: int) -> np.ndarray:
    """A metric of each seed after the last update that had not spent more than so many evaluations."""
    return _after(searched.metrics[word], searched.evaluations, evaluations)


def explored_at(searched: Searched, word: str, evaluations: int) -> np.ndarray:
    """A metric of each seed after the last update that had not explored with more than so many evaluations."""
    return _after(searched.metrics[word], searched.explored, evaluations)


def _after(values: np.ndarray, spent: np.ndarray, evaluations: int) -> np.ndarray:
    places = np.maximum((spent <= evaluations).sum(axis=1) - 1, 0)
    return values[np.arange(len(places)), places]


def best_rewards(searched: Searched, num_areas: int, evaluations: int) -> np.ndarray:
    """The best reward in each area, `[seeds, areas]`."""
    return np.stack([at(searched, f"max_reward_area_{i}", evaluations) for i in range(num_areas)], axis=1)


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % interval of the mean over seeds, by Student's t; one seed has no interval."""
    values = np.asarray(values, np.float64)
    if len(values) == 1:
        return float(values[0]), float("nan"), float("nan")
    freedom = len(values) - 1
    factor = STUDENT_T[freedom - 1] if freedom <= len(STUDENT_T) else NORMAL
    half = factor * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def shown(values: np.ndarray) -> str:
    """`.703 [.689, .717] (.701 .712 ...)`: mean, interval, and each seed."""
    mean, low, high = interval(values)
    return f"{mean:.3f} [{low:.3f}, {high:.3f}] ({' '.join(f'{value:.3f}' for value in values)})"


def is_above(values: np.ndarray, others: np.ndarray) -> bool:
    """Whether the 95 % intervals do not overlap and the first is the higher one."""
    return interval(values)[1] > interval(others)[2]


def last_row(searched: Searched) -> dict[str, Any]:
    """The last metrics of the first seed, with all evaluations that it has spent."""
    row = {word: values[0, -1].item() for word, values in searched.metrics.items()}
    return {**row, "evaluations": int(searched.evaluations[0, -1])}


def summary(searched: Searched, num_areas: int, evaluations: int) -> dict[str, Any]:
    """What the results file says of a search."""
    curve = np.linspace(0, searched.evaluations.shape[1] - 1, 30).astype(int)
    environment_steps = searched.metrics[ENVIRONMENT_STEPS].sum(dtype=np.int64)
    return {
        "coverage": at(searched, "coverage", evaluations).tolist(),
        "coverage_interval": interval(at(searched, "coverage", evaluations)),
        "coverage_of_exploration": explored_at(searched, "coverage", evaluations).tolist(),
        "max_reward_by_area": best_rewards(searched, num_areas, evaluations).tolist(),
        "cpu_seconds": searched.cpu_seconds,
        "environment_steps_per_cpu_second": float(environment_steps / searched.cpu_seconds),
        "coverage_curve": {
            "evaluations": searched.evaluations[:, curve].mean(axis=0).tolist(),
            "mean": searched.metrics["coverage"][:, curve].mean(axis=0).tolist(),
        },
    }


def conclude(name: str, command: str, title: str, claims: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]):
    """Prints the table of claims and writes it with all figures to `experiments/results/NAME.json`."""
    print(f"\n{title}: {command}\n\n| claim | measured | holds |\n|---|---|---|")
    # numpy's booleans are none of JSON's.
    claims = [{**claim, "holds": bool(claim["holds"])} for claim in claims]
    for claim in claims:
        print(f"| {claim['claim']} | {claim['measured']} | {'yes' if claim['holds'] else 'NO'} |")
    record.write(name, command, {"claims": claims, **figures})


def draw_curves(name: str, searches: Mapping[str, Searched], words: Sequence[str], title: str):
    """Draws metrics against evaluations, mean and range over seeds, to `experiments/results/NAME.png`."""
    figure = plots.comparison(
        {label: (s.evaluations, {word: s.metrics[word] for word in words}) for label, s in searches.items()}, title
    )
    path = plots.save(figure, record.RESULTS / f"{name}.png")
    print(f"drawn: {path.relative_to(record.RESULTS.parents[1])}")


def draw_archive(name: str, environment: Any, discoveries: Any, title: str, row: Mapping[str, Any]):
    """Draws what one seed has found over the scene, to `experiments/results/NAME.png`."""
    path = plots.save(plots.discovery_map(environment, discoveries, title, row), record.RESULTS / f"{name}.png")
    print(f"drawn: {path.relative_to(record.RESULTS.parents[1])}")
