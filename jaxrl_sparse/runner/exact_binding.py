"""How methods for finite processes are bound: they take an environment's arrays, and not the environment.

Each loader returns a function that imports the algorithm and makes its `System`, as those of `binding`.
"""

import importlib
from collections.abc import Callable
from typing import Any

import jax

from jaxrl_sparse.base import ENVIRONMENT_STEPS, PyTree, require
from jaxrl_sparse.runner.binding import System, Task, chosen_options

# What offline data are like, by name and default: see `offline_data` and `evaluation_problem`.
OFFLINE_OPTIONS = {"quality": 0.5, "num_samples": 400, "data_seed": 0}
EVALUATION_OPTIONS = {"num_transitions": 10_000, "uniform_share": 0.5, "data_seed": 0}


def exact(
    load_factory: Callable[[], tuple[Callable[..., Any], type]],
    budget: int,
    arrays: Callable[..., tuple[PyTree, ...]],
    steps: Callable[..., int],
    headline: str = "episode_return",
    **known: Any,
) -> Callable[[], System]:
    """The loader of a method `factory(config, *arrays)` on what an environment is as arrays.

    Args:
      load_factory: imports the factory and the class of its configuration.
      budget: environment steps by default.
      arrays: `arrays(environment, **options)`, the factory's further arguments; refuses an environment that has none.
      steps: `steps(config, *arrays)`, environment steps of an update.
      headline: the metric to show while it runs.
      **known: the problem options that `arrays` takes, with their defaults.
    """

    def load():
        environments = importlib.import_module("jaxrl_sparse.environments")
        factory, config_class = load_factory()

        def bind(environment_name, environment_options, hidden_sizes, problem_options):
            del hidden_sizes
            environment = environments.make(environment_name, **environment_options)
            inputs = arrays(environment, **chosen_options(known, problem_options))

            def make(config, inputs):
                takes = f"that of the environment, {environment.horizon}; or give it another: env_options horizon=N"
                require("horizon", getattr(config, "horizon", None), lambda h: h in (None, environment.horizon), takes)
                return factory(config, *inputs)

            return Task(
                make,
                inputs,
                environment,
                lambda config: steps(config, *inputs),
                lambda config, steps: None,
                None,
            )

        return System(config_class, headline, ENVIRONMENT_STEPS, budget, bind, evaluates=True)

    return load


def round_steps(config: Any, *arrays: Any) -> int:
    """Of a round of an episodic learner: K H, with K = 1 where its configuration has no number of episodes."""
    true = next(array for array in arrays if hasattr(array, "horizon"))
    return getattr(config, "episodes_per_round", 1) * true.horizon


def horizon_steps(config: Any, _: Any) -> int:
    """Of an episode of reward-free exploration, H."""
    return config.horizon


def transition_steps(config: Any, data: Any, *_: Any) -> int:
    """Of gradient steps on transitions: how many are drawn for them."""
    saddle_points = importlib.import_module("jaxrl_sparse.density_ratio.saddle_points")
    return saddle_points.transitions_per_update(config.solver, data)


def mixture_steps(config: Any, known: Any) -> int:
    """Of one policy more in a mixture: those of its episodes, or a sweep where distributions are exact."""
    return importlib.import_module("jaxrl_sparse.exploration.policy_mixtures").steps_per_update(config, known)


def process(environment: Any) -> tuple[PyTree, ...]:
    """The episodic MDP of an environment, or of a finite one its first steps, as many as its time limit."""
    episodic_module = importlib.import_module("jaxrl_sparse.finite.episodic")
    known = getattr(environment, "process", None)
    return (known,) if known is not None else (episodic_module.episodic(_mdp(environment), environment.horizon),)


def mdp(environment: Any) -> tuple[PyTree, ...]:
    """The finite MDP of an environment, or its episodic one where that is what it is made of."""
    known = getattr(environment, "process", None)
    return (_mdp(environment) if known is None else known,)


def models_and_process(environment: Any) -> tuple[PyTree, ...]:
    """The class of an environment's candidate models, and the episodic MDP that is the true one."""
    classes = importlib.import_module("jaxrl_sparse.density_ratio.classes")
    models = getattr(environment, "models", None)
    require(
        "environment", type(environment).__name__, lambda _: models is not None, "one with models: combination-lock"
    )
    return classes.model_class(models), environment.process


def offline_data(environment: Any, quality: int | float, num_samples: int, data_seed: int) -> tuple[PyTree, ...]:
    """The episodic MDP, and transitions of its optimal policy with probability `quality`, else of a uniform one."""
    module = importlib.import_module("jaxrl_sparse.density_ratio.offline_data")
    require("quality", quality, lambda share: 0 <= share <= 1, "a number in [0, 1]")
    (true,) = process(environment)
    uniform = jax.numpy.full(true.rewards.shape, 1 / true.num_actions, true.rewards.dtype)
    distribution = module.covering_distribution(true, quality, uniform)
    return true, module.sample_offline_data(jax.random.key(data_seed), true, distribution, num_samples)


def models_and_offline_data(environment: Any, **options: Any) -> tuple[PyTree, ...]:
    """`models_and_process` and `offline_data` together."""
    classes, true = models_and_process(environment)
    return classes, true, offline_data(environment, **options)[1]


def mixture(environment: Any) -> tuple[PyTree, ...]:
    """The linear mixture of an environment, without its rewards."""
    known = getattr(environment, "mixture", None)
    require(
        "environment", type(environment).__name__, lambda _: known is not None, "one with a mixture: linear-mixture"
    )
    return (known,)


def evaluation_problem(environment: Any, num_transitions: int, uniform_share: int | float, data_seed: int) -> tuple:
    """Transitions of a policy that often acts at random, the MDP, and the nearly optimal policy to be evaluated."""
    module = importlib.import_module("jaxrl_sparse.density_ratio.transition_data")
    known = _mdp(environment)
    takes = "an environment with a discount below 1, such as garnet"
    require("discount", float(known.discount), lambda gamma: gamma < 1, takes)
    problem = module.evaluation_problem(jax.random.key(data_seed), known, num_transitions, uniform_share=uniform_share)
    return problem.data, known, problem.policy


def offline_problem(environment: Any, **options: Any) -> tuple:
    """The same transitions and the MDP, for a policy to be found."""
    return evaluation_problem(environment, **options)[:2]


def _mdp(environment: Any) -> Any:
    tabular = importlib.import_module("jaxrl_sparse.environments.tabular")
    is_scalar = isinstance(environment, tabular.TabularEnvironment) and environment.num_rewards is None
    takes = "one with finitely many states and scalar rewards, such as garnet"
    require("environment", type(environment).__name__, lambda _: is_scalar, takes)
    return environment.mdp
