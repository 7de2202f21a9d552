"""Novelty search: evolution towards behaviours that were not seen before; the reward is ignored.

The M most novel of parents and offspring are the next parents; all else is `exploration.explore`.

Source: Lehman and Stanley, "Abandoning Objectives: Evolution Through the Search for Novelty Alone" (2011), with the
hyper-parameters of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (2021).
"""

from functools import partial

from jaxtyping import Array, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics
from jaxrl_sparse.quality_diversity.exploration import (
    NoveltySearchConfig,
    Selection,
    archive_metrics,
    check_exploration,
    explore,
    mean_novelty,
    most_novel,
    offspring_per_generation,
    require_archive_holds,
    start_exploration,
)
from jaxrl_sparse.quality_diversity.metrics import cost_metrics, evaluation_metrics, history_metrics
from jaxrl_sparse.quality_diversity.population_search import PopulationSearchState
from jaxrl_sparse.quality_diversity.population_search import discoveries as discoveries
from jaxrl_sparse.quality_diversity.problems import Problem, evaluated


def novelty_search(config: NoveltySearchConfig, problem: Problem) -> Algorithm:
    """Novelty search as an algorithm; one update is one generation.

    The metrics of an update: `evaluations` and `environment_steps` of this update (that of step 0 includes the initial
    population), what `metrics.history_metrics` says of the search so far, and `mean_novelty` (of the new population),
    `archive_size` and `archive_overflow`. `evaluate` evaluates the population again and measures it alone.

    Individuals with a non-finite number are counted, enter neither the archive nor anybody's novelty, and survive only
    where there are fewer than M others.

    Args:
      config: see `NoveltySearchConfig`.
      problem: what is searched; its rewards are recorded and not used.

    Raises:
      ValueError: naming the field, see `exploration.check_exploration`.
    """
    return evolution(config, problem, most_novel(config.population_size))


def evolution(config: NoveltySearchConfig, problem: Problem, select: Selection) -> Algorithm:
    """Novelty search with another rule of survival; for all else see `novelty_search`.

    Args:
      config: see `NoveltySearchConfig`.
      problem: what is searched.
      select: `select(key, candidates) -> survivors[M]`.

    Raises:
      ValueError: naming the field, see `exploration.check_exploration`.
    """
    check_exploration(config)

    def update(state: PopulationSearchState, step: Int[Array, ""]) -> tuple[PopulationSearchState, Metrics]:
        state, candidates, survivors = explore(config, problem, select, state)
        environment_steps = candidates.individuals.evaluation.environment_steps[config.population_size :]
        metrics = {
            **cost_metrics(environment_steps, step, initial_evaluations(config), state.initial_environment_steps),
            **history_metrics(state.history),
            "mean_novelty": mean_novelty(candidates, survivors),
            **archive_metrics(state),
        }
        return state, metrics

    def evaluate(state: PopulationSearchState, key: PRNGKeyArray) -> Metrics:
        return evaluation_metrics(problem, evaluated(problem, key, state.population.genomes))

    return Algorithm(partial(start_exploration, config, problem), update, evaluate)


def initial_evaluations(config: NoveltySearchConfig) -> int:
    """Evaluations of `init`: the population."""
    return config.population_size


def evaluations_per_update(config: NoveltySearchConfig) -> int:
    """Evaluations of one generation: all offspring."""
    return offspring_per_generation(config)


def check_budget(config: NoveltySearchConfig, evaluations: int) -> None:
    """Refuses a budget that could overflow the archive.

    Raises:
      ValueError: naming `archive_capacity` and the smallest one that suffices.
    """
    require_archive_holds(config, evaluations)
