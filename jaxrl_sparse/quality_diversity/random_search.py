"""Random search: fresh random genomes in every generation; what every other search must beat.

The baseline of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (2021): its archive takes a
few individuals a generation at random, as novelty search's does, and has no influence on the search.
"""

from math import inf

import jax
from jaxtyping import Array, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, config, is_count, require
from jaxrl_sparse.quality_diversity.archives import append_random, require_capacity
from jaxrl_sparse.quality_diversity.metrics import cost_metrics, evaluation_metrics, history_metrics, history_update
from jaxrl_sparse.quality_diversity.population_search import PopulationSearchState, start_search
from jaxrl_sparse.quality_diversity.population_search import discoveries as discoveries
from jaxrl_sparse.quality_diversity.problems import Individuals, Problem, evaluated, random_genomes


@config
class RandomSearchConfig:
    """Configuration of `random_search`.

    Attributes:
      population_size: individuals that are drawn and evaluated in a generation.
      archive_additions: individuals that enter the archive in a generation, chosen uniformly at random.
      archive_capacity: most individuals that the archive holds; what finds no place is counted and lost.
      genome_bound: genes are clipped to +- this value, where the problem sets no bounds of its own.
    """

    population_size: int = 100
    archive_additions: int = 5
    archive_capacity: int = 16_384
    genome_bound: float = 5.0


def random_search(config: RandomSearchConfig, problem: Problem) -> Algorithm:
    """Random search as an algorithm; one update is one generation.

    The metrics of an update: `evaluations` and `environment_steps` of this update (that of step 0 includes the initial
    population), what `metrics.history_metrics` says of the search so far, `archive_size` and `archive_overflow`.
    `evaluate` evaluates the last generation again and measures it alone.

    Args:
      config: see `RandomSearchConfig`.
      problem: what is searched.

    Raises:
      ValueError: naming the field, if a number is below 1, `archive_additions` is above `population_size` or above
        `archive_capacity`, or `genome_bound` is not positive.
    """
    _check(config)
    bounds = problem.ground_truth_bounds

    def generation(key: PRNGKeyArray) -> Individuals:
        genomes_key, evaluate_key = jax.random.split(key)
        genomes = random_genomes(genomes_key, problem, config.population_size, config.genome_bound)
        return evaluated(problem, evaluate_key, genomes)

    def init(key: PRNGKeyArray) -> PopulationSearchState:
        key, generation_key = jax.random.split(key)
        return start_search(key, generation(generation_key), problem, config.archive_capacity)

    def update(state: PopulationSearchState, step: Int[Array, ""]) -> tuple[PopulationSearchState, Metrics]:
        key, generation_key, archive_key = jax.random.split(state.key, 3)
        population = generation(generation_key)
        archive = append_random(archive_key, state.archive, population, config.archive_additions)
        history = history_update(state.history, population, bounds)
        metrics = {
            **cost_metrics(
                population.evaluation.environment_steps,
                step,
                initial_evaluations(config),
                state.initial_environment_steps,
            ),
            **history_metrics(history),
            "archive_size": archive.size,
            "archive_overflow": archive.overflow,
        }
        return state._replace(key=key, population=population, archive=archive, history=history), metrics

    def evaluate(state: PopulationSearchState, key: PRNGKeyArray) -> Metrics:
        return evaluation_metrics(problem, evaluated(problem, key, state.population.genomes))

    return Algorithm(init, update, evaluate)


def initial_evaluations(config: RandomSearchConfig) -> int:
    """Evaluations of `init`: one generation."""
    return config.population_size


def evaluations_per_update(config: RandomSearchConfig) -> int:
    """Evaluations of one generation."""
    return config.population_size


def check_budget(config: RandomSearchConfig, evaluations: int) -> None:
    """Refuses a budget that could overflow the archive.

    Raises:
      ValueError: naming `archive_capacity` and the smallest one that suffices.
    """
    generations = -(-evaluations // config.population_size) - 1
    require_capacity(config.archive_capacity, generations * config.archive_additions, evaluations)


def _check(config: RandomSearchConfig) -> None:
    for field in ("population_size", "archive_additions", "archive_capacity"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    most_additions = min(config.population_size, config.archive_capacity)
    require(
        "archive_additions",
        config.archive_additions,
        lambda number: number <= most_additions,
        f"at most {most_additions}, the smaller of population and archive capacity",
    )
    require("genome_bound", config.genome_bound, lambda bound: 0 < bound < inf, "a finite number above 0")
