"""The algorithms that the shell knows by name; each is imported when it is asked for.

An algorithm enters by one line of `ALGORITHMS`: a summary, and a function that imports it and returns a `System`, which
says how to bind it to an environment. Nothing else in the shell knows any algorithm.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrl_sparse.base import EVALUATIONS, PyTree, require, require_known
from jaxrl_sparse.runner.loop import Make

DEFAULT_HIDDEN_SIZES = {"hard-maze": (5, 5), "redundant-arm": (5, 5), "point-2d": (5, 5)}
OTHER_HIDDEN_SIZES = (64, 64)


class Task(NamedTuple):
    """An algorithm bound to an environment.

    Attributes:
      make: `make(config, inputs) -> Algorithm`.
      inputs: arrays that are no hyper-parameters, such as the environment's parameters.
      environment: what it is bound to, for the plots.
      smallest_budget: `smallest_budget(config)`, what init and the first update spend.
      discoveries: `discoveries(state)`, the behaviours found, with fields `ground_truth[N, 2]`, `rewards[N]`,
        `areas[N]`, `mask[N]` and `visits[n * n]`; None where an algorithm keeps none.
    """

    make: Make
    inputs: PyTree
    environment: Any
    smallest_budget: Callable[[Any], int]
    discoveries: Callable[[PyTree], Any] | None


class System(NamedTuple):
    """What the shell has to know of an algorithm.

    Attributes:
      config: its configuration, a class made by `jaxrl_sparse.base.config`.
      headline: the metric to show while it runs.
      budget_word: what its budget counts, `"evaluations"` or `"environment_steps"`.
      budget: the default.
      bind: `bind(environment, options, hidden_sizes) -> Task`, for the name of an environment and the options of its
        constructor; refuses what the algorithm cannot run on.
    """

    config: type
    headline: str
    budget_word: str
    budget: int
    bind: Callable[[str, dict[str, Any], tuple[int, ...]], Task]


class Entry(NamedTuple):
    """A line of the catalogue: what `list` prints, and what imports the rest."""

    summary: str
    load: Callable[[], System]


def quality_diversity(module_name: str, config_name: str, budget: int) -> Callable[[], System]:
    """The loader of an algorithm of `jaxrl_sparse.quality_diversity` on controllers in planar environments."""

    def load():
        module = importlib.import_module(f"jaxrl_sparse.quality_diversity.{module_name}")
        environments = importlib.import_module("jaxrl_sparse.environments")
        problems = importlib.import_module("jaxrl_sparse.quality_diversity.problems")
        planar = importlib.import_module("jaxrl_sparse.environments.planar.base")
        factory = getattr(module, module_name)

        def bind(environment_name, options, hidden_sizes):
            environment = environments.make(environment_name, **options)
            takes = f"a planar environment: {', '.join(DEFAULT_HIDDEN_SIZES)}"
            require("environment", environment_name, lambda _: isinstance(environment, planar.PlanarEnvironment), takes)

            def make(config, params):
                return factory(config, problems.controller_problem(environment, params, hidden_sizes))

            def smallest_budget(config):
                return module.initial_evaluations(config) + module.evaluations_per_update(config)

            return Task(make, environment.default_params, environment, smallest_budget, module.discoveries)

        return System(getattr(module, config_name), "coverage", EVALUATIONS, budget, bind)

    return load


ALGORITHMS = {
    "novelty-search": Entry(
        "evolves controllers towards behaviours never seen before; no reward needed (Lehman and Stanley, 2011)",
        quality_diversity("novelty_search", "NoveltySearchConfig", 30_000),
    ),
    "map-elites": Entry(
        "fills a grid of behaviours with the best controller for each cell (Mouret and Clune, 2015)",
        quality_diversity("map_elites", "MapElitesConfig", 30_000),
    ),
    "random-search": Entry(
        "draws controllers at random: the baseline that exploration has to beat",
        quality_diversity("random_search", "RandomSearchConfig", 30_000),
    ),
}


def entry(name: str) -> Entry:
    """The line of an algorithm.

    Raises:
      ValueError: if there is none of that name; lists those there are, the closest first.
    """
    require_known("algorithm", name, ALGORITHMS, ALGORITHMS)
    return ALGORITHMS[name]


def hidden_sizes_for(environment: str) -> tuple[int, ...]:
    """The widths of the policy's hidden layers that an environment is published with."""
    return DEFAULT_HIDDEN_SIZES.get(environment, OTHER_HIDDEN_SIZES)


@functools.cache
def bind(
    algorithm: str, environment: str, environment_options: tuple[tuple[str, Any], ...], hidden_sizes: tuple[int, ...]
) -> tuple[System, Task]:
    """The system of a name and its task on an environment; the same objects for the same names, so that nothing
    compiles twice.

    Raises:
      ValueError: if the algorithm, the environment or one of its options is unknown, or they do not fit together.
    """
    system = entry(algorithm).load()
    require("hidden_sizes", hidden_sizes, lambda sizes: all(size >= 1 for size in sizes), "integers of at least 1")
    return system, system.bind(environment, dict(environment_options), hidden_sizes)
