"""Runs quality-diversity searches side by side: all seeds of one in one batch, figures at equal numbers of evaluations.

What the claims of several papers share: their options, `run` and `search_controllers`, `at`, intervals over seeds, and
`conclude`, which draws, prints the table of claims, and writes `experiments/results/NAME.json`.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record
from jaxrl_sparse import train
from jaxrl_sparse.base import ENVIRONMENT_STEPS, EVALUATIONS, strong_types
from jaxrl_sparse.environments import make as make_environment
from jaxrl_sparse.quality_diversity import AutoencoderConfig, controller_problem
from jaxrl_sparse.runner import plots
from jaxrl_sparse.runner.binding import hidden_sizes_for

# Two-sided 95 % points of Student's t for 1, 2, ... degrees of freedom.
STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
NORMAL = 1.96


def options_parser(docstring: str, evaluations: int, seeds: int) -> argparse.ArgumentParser:
    """Takes a budget and seeds; the experiment adds its environment, `env`: as an option, or as a default that stays.

    Args:
      docstring: of the experiment's module.
      evaluations: the default budget.
      seeds: how many there are by default, from 0 on.
    """
    parser = argparse.ArgumentParser(description=docstring.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=evaluations, help="budget of each search and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(seeds)))
    return parser


def add_image_options(parser: argparse.ArgumentParser):
    """Adds what a behaviour space learned from images may vary in: by default the published network, smaller images."""
    parser.add_argument("--image-size", type=int, default=16)
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 64, 32, 16])


def autoencoder_config(options: argparse.Namespace, training: str) -> AutoencoderConfig:
    """The auto-encoder that the options describe."""
    return AutoencoderConfig(image_size=options.image_size, channels=tuple(options.channels), training=training)


def title(options: argparse.Namespace) -> str:
    """What was run, for the plots and the table."""
    images = f"{options.image_size} pixels, " if "image_size" in options else ""
    return f"{options.env}, {options.evaluations:,} evaluations, {images}seeds {options.seeds}"


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
    exploring: bool = False,
    updates_at_a_time: int = 2,
) -> Searched:
    """Runs `make(config, inputs)` with every seed until each has spent at least so many evaluations.

    With `exploring`, only those count that explore.
    """
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
    spent = np.zeros(len(seeds), np.int64)
    while spent.min() < evaluations:
        state, metrics = compiled(config, inputs, state, jnp.int32(step))
        rows.append(jax.tree.map(np.asarray, metrics))
        spent = spent + rows[-1][EVALUATIONS].sum(axis=1, dtype=np.int64)
        if exploring and "exploration_evaluations" in rows[-1]:
            spent = rows[-1]["exploration_evaluations"][:, -1]
        step += updates_at_a_time
    metrics = {word: np.concatenate([row[word] for row in rows], axis=1) for word in rows[0]}
    cumulated = np.cumsum(metrics[EVALUATIONS], axis=1, dtype=np.int64)
    explored = metrics.get("exploration_evaluations", cumulated)
    return Searched(metrics, cumulated, explored, state, time.process_time() - began)


def search_controllers(
    label: str,
    factory: Callable[[Any, Any], Any],
    config: Any,
    env: str,
    evaluations: int,
    seeds: Sequence[int],
    exploring: bool = False,
    **problem_options: Any,
) -> Searched:
    """Runs a search for controllers, of the widths that the environment is published with, and says how it went.

    Args:
      label: of what is printed.
      factory: `factory(config, problem) -> Algorithm`.
      config: of the factory.
      env: name of the environment.
      evaluations: budget of each seed.
      seeds: all run in one batch.
      exploring: whether the budget is that of exploration alone.
      **problem_options: `path_descriptor` or `num_frames` of `controller_problem`.
    """
    environment = make_environment(env)

    def algorithm(config, params):
        return factory(config, controller_problem(environment, params, hidden_sizes_for(env), **problem_options))

    searched = run(algorithm, config, environment.default_params, evaluations, seeds, exploring)
    announce(label, searched, len(environment.reward_areas), evaluations)
    return searched


def announce(label: str, searched: Searched, num_areas: int, evaluations: int):
    """Prints how a search went."""
    print(
        f"{label}: coverage {shown(at(searched, 'coverage', evaluations))}, {searched.cpu_seconds:.0f} CPU s, "
        f"{steps_per_cpu_second(searched) / 1e6:.2f} M environment steps a CPU second"
    )
    if (searched.explored != searched.evaluations).any():
        of_exploration = shown(explored_at(searched, "coverage", evaluations))
        print(f"    coverage {of_exploration} of as many evaluations that explore")
    rewards = best_rewards(searched, num_areas, evaluations).astype(np.float64).round(3).tolist()
    print(f"    best rewards by area {rewards}", flush=True)


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


def steps_per_cpu_second(searched: Searched) -> float:
    """Environment steps of all seeds, by the CPU seconds of the whole search."""
    return float(searched.metrics[ENVIRONMENT_STEPS].sum(dtype=np.int64) / searched.cpu_seconds)


def last_row(searched: Searched) -> dict[str, Any]:
    """The last metrics of the first seed, with all evaluations that it has spent."""
    row = {word: values[0, -1].item() for word, values in searched.metrics.items()}
    return {**row, "evaluations": int(searched.evaluations[0, -1])}


def summary(searched: Searched, num_areas: int, evaluations: int) -> dict[str, Any]:
    """What the results file says of a search."""
    curve = np.linspace(0, searched.evaluations.shape[1] - 1, 30).astype(int)
    return {
        "evaluations": _after(searched.evaluations, searched.evaluations, evaluations).tolist(),
        "coverage": at(searched, "coverage", evaluations).tolist(),
        "coverage_interval": interval(at(searched, "coverage", evaluations)),
        "coverage_of_exploration": explored_at(searched, "coverage", evaluations).tolist(),
        "max_reward_by_area": best_rewards(searched, num_areas, evaluations).tolist(),
        "rejected": at(searched, "rejected", evaluations).tolist(),
        "cpu_seconds": searched.cpu_seconds,
        "environment_steps_per_cpu_second": steps_per_cpu_second(searched),
        "coverage_curve": {
            "evaluations": searched.evaluations[:, curve].mean(axis=0).tolist(),
            "mean": searched.metrics["coverage"][:, curve].mean(axis=0).tolist(),
        },
    }


def conclude(
    name: str,
    options: argparse.Namespace,
    found: Mapping[str, Searched],
    drawn: tuple[str, Callable[[Any], Any]],
    claims: Sequence[Mapping[str, Any]],
    more: Mapping[str, Any],
):
    """Draws the searches, prints the table of claims, and writes it with all figures.

    Leaves `NAME.png` (metrics against evaluations, mean and range over seeds), `NAME_archive.png` (what the first seed
    of one search has found, over the scene) and `NAME.json` in `experiments/results/`.

    Args:
      name: of `experiments/NAME/claims.py`.
      options: of its command line.
      found: the searches by label.
      drawn: label of the search whose discoveries are drawn, and `discoveries(state)` of its algorithm.
      claims: each with `claim`, `measured` and `holds`.
      more: figures that are written beside the summaries of the searches.
    """
    environment, command = make_environment(options.env), f"python -m experiments.{name}.claims"
    num_areas = len(environment.reward_areas)
    words = ["coverage", *(f"max_reward_area_{i}" for i in range(num_areas))]
    curves = {label: (s.evaluations, {word: s.metrics[word] for word in words}) for label, s in found.items()}
    record.save_drawing(plots.comparison(curves, title(options)), name)
    label, discoveries = drawn
    first = jax.tree.map(lambda leaf: leaf[0], found[label].state)
    discovered = jax.device_get(discoveries(first))
    record.save_drawing(plots.discovery_map(environment, discovered, label, last_row(found[label])), f"{name}_archive")

    summaries = {label: summary(searched, num_areas, options.evaluations) for label, searched in found.items()}
    figures = {"options": vars(options), "searches": summaries, **more}
    record.conclude(name, command, title(options), claims, figures)
