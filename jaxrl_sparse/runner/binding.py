"""How families of algorithms are bound to an environment by its name: what the shell has to know, and nothing more.

Each loader returns a function that imports the algorithm and makes its `System`.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrl_sparse.base import ENVIRONMENT_STEPS, EVALUATIONS, PyTree, is_count, require, require_known
from jaxrl_sparse.runner.loop import Make

DEFAULT_HIDDEN_SIZES = {
    "curling": (5, 5, 5),
    "hard-maze": (5, 5),
    "redundant-arm": (5, 5),
    "collect-ball": (5, 5),
    "point-maze": (5, 5),
    "point-2d": (5, 5),
    "ant-maze": (10, 10, 10),
}
OTHER_HIDDEN_SIZES = (64, 64)
# What a quality-diversity search sees of an episode: the descriptor's name, see `path_descriptors.path_descriptor`, and
# the number of images.
PROBLEM_OPTIONS = {"descriptor": "final", "num_frames": 1}


class Task(NamedTuple):
    """An algorithm bound to an environment.

    Attributes:
      make: `make(config, inputs) -> Algorithm`.
      inputs: arrays that are no hyper-parameters, such as the environment's parameters.
      environment: what it is bound to, for the plots.
      smallest_budget: `smallest_budget(config)`, what init and the first update spend.
      check_budget: `check_budget(config, budget)` refuses a budget that the configuration has no room for.
      discoveries: `discoveries(state)`, the behaviours found, with fields `ground_truth[N, 2]`, `rewards[N]`,
        `areas[N]`, `mask[N]` and `visits[n * n]`; None where an algorithm keeps none.
    """

    make: Make
    inputs: PyTree
    environment: Any
    smallest_budget: Callable[[Any], int]
    check_budget: Callable[[Any, int], None]
    discoveries: Callable[[PyTree], Any] | None


class System(NamedTuple):
    """What the shell has to know of an algorithm.

    Attributes:
      config: its configuration, a class made by `jaxrl_sparse.base.config`.
      headline: the metric to show while it runs.
      budget_word: what its budget counts, `"evaluations"` or `"environment_steps"`.
      budget: the default.
      bind: `bind(environment, options, hidden_sizes, problem_options) -> Task`, for the name of an environment, the
        options of its constructor, and those of what the algorithm sees of it; refuses what the algorithm cannot run
        on.
      hidden_sizes_for: from the name of an environment to the widths of the policy's hidden layers that it is published
        with; None where widths are a field of the configuration, and `bind` is given none.
      evaluates: whether a run ends with the algorithm's `evaluate`; a search keeps what it found and does without.
    """

    config: type
    headline: str
    budget_word: str
    budget: int
    bind: Callable[[str, dict[str, Any], tuple[int, ...], dict[str, Any]], Task]
    hidden_sizes_for: Callable[[str], tuple[int, ...]] | None = None
    evaluates: bool = False


def quality_diversity(module_name: str, factory_name: str, config_name: str, budget: int) -> Callable[[], System]:
    """The loader of an algorithm of `jaxrl_sparse.quality_diversity` on controllers in planar environments."""

    def load():
        module = importlib.import_module(f"jaxrl_sparse.quality_diversity.{module_name}")
        environments = importlib.import_module("jaxrl_sparse.environments")
        problems = importlib.import_module("jaxrl_sparse.quality_diversity.problems")
        path_descriptors = importlib.import_module("jaxrl_sparse.quality_diversity.path_descriptors")
        planar = importlib.import_module("jaxrl_sparse.environments.planar.base")
        factory = getattr(module, factory_name)

        def bind(environment_name, options, hidden_sizes, problem_options):
            environment = environments.make(environment_name, **options)
            takes = f"one whose behaviours are described and drawn: {', '.join(DEFAULT_HIDDEN_SIZES)}"
            require("environment", environment_name, lambda _: isinstance(environment, planar.PlanarEnvironment), takes)
            chosen = {**PROBLEM_OPTIONS, **problem_options}
            for option in chosen:
                require_known("problem option", option, PROBLEM_OPTIONS, PROBLEM_OPTIONS)
            path_descriptor = path_descriptors.path_descriptor(chosen["descriptor"])
            params = environment.default_params
            num_steps = int(params.max_steps_in_episode)
            require(
                "num_frames",
                chosen["num_frames"],
                lambda number: not is_count(number) or number <= num_steps,
                f"at most the {num_steps} steps of an episode",
            )

            def make(config, params):
                return factory(
                    config,
                    problems.controller_problem(
                        environment, params, hidden_sizes, path_descriptor, chosen["num_frames"]
                    ),
                )

            def smallest_budget(config):
                return module.initial_evaluations(config) + module.evaluations_per_update(config)

            check_budget = getattr(module, "check_budget", lambda config, evaluations: None)
            return Task(make, params, environment, smallest_budget, check_budget, module.discoveries)

        return System(getattr(module, config_name), "coverage", EVALUATIONS, budget, bind, hidden_sizes_for)

    return load


def learner(
    factory_name: str, config_name: str, module_name: str = "learners.deep_q_networks"
) -> Callable[[], tuple[Callable[..., Any], type]]:
    """What imports a learner from a module of `jaxrl_sparse`: its factory and the class of its configuration."""

    def load():
        module = importlib.import_module(f"jaxrl_sparse.{module_name}")
        return getattr(module, factory_name), getattr(module, config_name)

    return load


def stock_agent() -> tuple[Callable[..., Any], type]:
    """Imports D-eta-N: its factory, which takes an objective's text, and the class of its configuration."""
    agents = importlib.import_module("jaxrl_sparse.distributional.stock_agents")
    objectives = importlib.import_module("jaxrl_sparse.distributional.objectives")

    def factory(config, environment, params, objective):
        # The shell reads the word 5 as a number; that it is no objective, the parser says.
        return agents.d_eta_n(config, environment, objectives.parse_objective(str(objective)), params)

    return factory, agents.StockAgentConfig


def learning(
    load_factory: Callable[[], tuple[Callable[..., Any], type]], budget: int, **known: Any
) -> Callable[[], System]:
    """The loader of a learner `factory(config, environment, params, **problem_options)` on a single environment.

    Args:
      load_factory: imports the factory and the class of its configuration, whose `learner` says what an update spends.
      budget: environment steps by default.
      **known: the problem options that the factory takes, with their defaults.
    """

    def load():
        environments = importlib.import_module("jaxrl_sparse.environments")
        factory, config_class = load_factory()

        def bind(environment_name, environment_options, hidden_sizes, problem_options):
            del hidden_sizes
            environment = environments.make(environment_name, **environment_options)
            chosen = chosen_options(known, problem_options)

            def make(config, params):
                return factory(config, environment, params, **chosen)

            def smallest_budget(config):
                return config.learner.num_environments * config.learner.num_steps

            def check_budget(config, steps):
                # A learner without a replay learns from its first update on.
                starts = getattr(config.learner, "learning_starts", 0)
                takes = f"more environment steps than learner.learning_starts, {starts}, before which nothing is learnt"
                require("budget", steps, lambda given: given > starts, takes)

            return Task(make, environment.default_params, environment, smallest_budget, check_budget, None)

        return System(config_class, "episode_return", ENVIRONMENT_STEPS, budget, bind, evaluates=True)

    return load


def submodular(config_name: str, budget: int) -> Callable[[], System]:
    """The loader of SubPO in one of its forms, on a grid world that says what its visited cells are worth."""

    def load():
        environments = importlib.import_module("jaxrl_sparse.environments")
        module = importlib.import_module("jaxrl_sparse.submodular.grid_subpo")
        config_class = getattr(module, config_name)

        def bind(environment_name, environment_options, hidden_sizes, problem_options):
            del hidden_sizes
            environment = environments.make(environment_name, **environment_options)
            chosen_options({}, problem_options)

            def make(config, params):
                return module.grid_subpo(config, environment, params)

            # Refuses an environment without a set function now, and not when it is traced.
            make(config_class(), environment.default_params)

            def smallest_budget(config):
                return config.num_trajectories * (environment.horizon - 1)

            return Task(
                make, environment.default_params, environment, smallest_budget, lambda config, steps: None, None
            )

        return System(config_class, "episode_return", ENVIRONMENT_STEPS, budget, bind, evaluates=True)

    return load


def chosen_options(known: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The options of a problem: those that are known with their defaults, and those given in their place.

    Raises:
      ValueError: if one is given that is not known.
    """
    takes = f"one of {', '.join(known)}" if known else "none for this algorithm"
    for option in given:
        require("problem option", option, lambda name: name in known, takes)
    return {**known, **given}


def hidden_sizes_for(environment: str) -> tuple[int, ...]:
    """The widths of the policy's hidden layers that an environment is published with."""
    return DEFAULT_HIDDEN_SIZES.get(environment, OTHER_HIDDEN_SIZES)
