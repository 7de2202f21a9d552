"""Random search: fresh random genomes in every generation; what every other search must beat.

The baseline of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (2021): its archive takes a
few individuals a generation at random, as novelty search's does, and has no influence on the search.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, config, require
from jaxrl_sparse.quality_diversity.archives import Archive, append_random, archive_init, archive_mask, finite_rows
from jaxrl_sparse.quality_diversity.metrics import (
    History,
    champions_and,
    cost_metrics,
    evaluation_metrics,
    history_init,
    history_metrics,
    history_update,
)
from jaxrl_sparse.quality_diversity.problems import Discoveries, Individuals, Problem, random_genomes


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


class RandomSearchState(NamedTuple):
    """What changes in a search.

    Attributes:
      key: for the generations to come.
      population: the last generation.
      archive: of `Individuals`.
      history: of all evaluated individuals.
      initial_environment_steps: what evaluating the first population cost, int32.
    """

    key: PRNGKeyArray
    population: Individuals
    archive: Archive
    history: History
    initial_environment_steps: Int[Array, ""]


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
        return Individuals(genomes, problem.evaluate_genomes(evaluate_key, genomes))

    def init(key: PRNGKeyArray) -> RandomSearchState:
        key, generation_key = jax.random.split(key)
        population = generation(generation_key)
        return RandomSearchState(
            key=key,
            population=population,
            archive=archive_init(population, config.archive_capacity),
            history=history_update(history_init(population, problem.num_areas), population, bounds),
            initial_environment_steps=jnp.sum(population.evaluation.environment_steps, dtype=jnp.int32),
        )

    def update(state: RandomSearchState, step: Int[Array, ""]) -> tuple[RandomSearchState, Metrics]:
        key, generation_key, archive_key = jax.random.split(state.key, 3)
        population = generation(generation_key)
        archive = append_random(archive_key, state.archive, population, config.archive_additions)
        history = history_update(state.history, population, bounds)
        metrics = {
            **cost_metrics(population.evaluation, step, initial_evaluations(config), state.initial_environment_steps),
            **history_metrics(history),
            "archive_size": archive.size,
            "archive_overflow": archive.overflow,
        }
        return RandomSearchState(key, population, archive, history, state.initial_environment_steps), metrics

    def evaluate(state: RandomSearchState, key: PRNGKeyArray) -> Metrics:
        genomes = state.population.genomes
        return evaluation_metrics(problem, Individuals(genomes, problem.evaluate_genomes(key, genomes)))

    return Algorithm(init, update, evaluate)


def discoveries(state: RandomSearchState) -> Discoveries:
    """The champions of the reward areas, the last generation and the archive."""
    shown = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), state.population, state.archive.entries)
    mask = jnp.concatenate([finite_rows(state.population), archive_mask(state.archive)])
    return champions_and(state.history, shown, mask)


def initial_evaluations(config: RandomSearchConfig) -> int:
    """Evaluations of `init`: one generation."""
    return config.population_size


def evaluations_per_update(config: RandomSearchConfig) -> int:
    """Evaluations of one generation."""
    return config.population_size


def _check(config: RandomSearchConfig) -> None:
    for field in ("population_size", "archive_additions", "archive_capacity"):
        require(field, getattr(config, field), lambda number: number >= 1, "an integer of at least 1")
    most_additions = min(config.population_size, config.archive_capacity)
    require(
        "archive_additions",
        config.archive_additions,
        lambda number: number <= most_additions,
        f"at most {most_additions}, the smaller of population and archive capacity",
    )
    require("genome_bound", config.genome_bound, lambda bound: bound > 0, "a number above 0")
