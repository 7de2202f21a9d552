"""Novelty search: evolution towards behaviours that were not seen before; the reward is ignored.

Each of M parents makes m offspring by Gaussian mutation. The novelty of all M + m M candidates is their mean distance
to the k nearest descriptors of candidates and archive. A few offspring, chosen at random, enter the archive, and the M
most novel candidates are the next parents.

Source: Lehman and Stanley, "Abandoning Objectives: Evolution Through the Search for Novelty Alone" (2011), with the
hyper-parameters of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (2021).
"""

from math import inf

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, config, is_count, require
from jaxrl_sparse.evolution.variation import gaussian_mutation
from jaxrl_sparse.quality_diversity.archives import Archive, append_random, archive_mask, finite_rows
from jaxrl_sparse.quality_diversity.metrics import cost_metrics, evaluation_metrics, history_metrics, history_update
from jaxrl_sparse.quality_diversity.novelty import novelty_scores
from jaxrl_sparse.quality_diversity.population_search import PopulationSearchState, start_search
from jaxrl_sparse.quality_diversity.population_search import discoveries as discoveries
from jaxrl_sparse.quality_diversity.problems import Individuals, Problem, genome_box, random_genomes


@config
class NoveltySearchConfig:
    """Configuration of `novelty_search`.

    Attributes:
      population_size: M, individuals that survive a generation.
      offspring_per_parent: m, copies of each parent that are mutated and evaluated in a generation.
      archive_additions: offspring that enter the archive in a generation, chosen uniformly at random.
      num_neighbors: k of the novelty, at most the population size.
      archive_capacity: most individuals that the archive holds; what finds no place is counted and lost.
      mutation_sigma: standard deviation of the mutation of every gene.
      genome_bound: genes are clipped to +- this value, where the problem sets no bounds of its own.
    """

    population_size: int = 100
    offspring_per_parent: int = 2
    archive_additions: int = 5
    num_neighbors: int = 15
    archive_capacity: int = 16_384
    mutation_sigma: float = 0.05
    genome_bound: float = 5.0


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
      ValueError: naming the field, if a number is below 1, `num_neighbors` is above `population_size`,
        `archive_additions` above the number of offspring or above `archive_capacity`, `mutation_sigma` is negative or
        `genome_bound` not positive.
    """
    _check(config)
    bounds = problem.ground_truth_bounds

    def evaluated(key: PRNGKeyArray, genomes: Float[Array, "B P"]) -> Individuals:
        return Individuals(genomes, problem.evaluate_genomes(key, genomes))

    def init(key: PRNGKeyArray) -> PopulationSearchState:
        key, genomes_key, evaluate_key = jax.random.split(key, 3)
        genomes = random_genomes(genomes_key, problem, config.population_size, config.genome_bound)
        population = evaluated(evaluate_key, genomes)
        return start_search(key, population, problem, config.archive_capacity)

    def update(state: PopulationSearchState, step: Int[Array, ""]) -> tuple[PopulationSearchState, Metrics]:
        key, mutation_key, evaluate_key, archive_key = jax.random.split(state.key, 4)
        parents = jnp.repeat(state.population.genomes, config.offspring_per_parent, axis=0)
        genomes = gaussian_mutation(
            mutation_key, parents, config.mutation_sigma, *genome_box(problem, config.genome_bound)
        )
        offspring = evaluated(evaluate_key, genomes)
        candidates = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), state.population, offspring)
        novelties = candidate_novelties(candidates, state.archive, config.num_neighbors)
        survivors_novelty, survivors = jax.lax.top_k(novelties, config.population_size)
        archive = append_random(archive_key, state.archive, offspring, config.archive_additions)
        history = history_update(state.history, offspring, bounds)
        population = jax.tree.map(lambda leaf: leaf[survivors], candidates)
        scored = jnp.isfinite(survivors_novelty)
        metrics = {
            **cost_metrics(offspring.evaluation, step, initial_evaluations(config), state.initial_environment_steps),
            **history_metrics(history),
            "mean_novelty": jnp.sum(survivors_novelty, where=scored) / jnp.maximum(jnp.sum(scored), 1),
            "archive_size": archive.size,
            "archive_overflow": archive.overflow,
        }
        return state._replace(key=key, population=population, archive=archive, history=history), metrics

    def evaluate(state: PopulationSearchState, key: PRNGKeyArray) -> Metrics:
        return evaluation_metrics(problem, evaluated(key, state.population.genomes))

    return Algorithm(init, update, evaluate)


def candidate_novelties(candidates: Individuals, archive: Archive, num_neighbors: int) -> Float[Array, "B"]:
    """Novelty of the candidates among themselves and the archive, themselves left out; -inf of the invalid ones.

    Args:
      candidates: population and offspring.
      archive: of `Individuals`.
      num_neighbors: k, static.
    """
    descriptors = candidates.evaluation.descriptors
    references = jnp.concatenate([descriptors, archive.entries.evaluation.descriptors])
    valid = finite_rows(candidates)
    mask = jnp.concatenate([valid, archive_mask(archive)])
    novelties = novelty_scores(descriptors, references, mask, num_neighbors, exclude_nearest=True)
    return jnp.where(valid, novelties, -jnp.inf)


def initial_evaluations(config: NoveltySearchConfig) -> int:
    """Evaluations of `init`: the population."""
    return config.population_size


def evaluations_per_update(config: NoveltySearchConfig) -> int:
    """Evaluations of one generation: all offspring."""
    return config.population_size * config.offspring_per_parent


def _check(config: NoveltySearchConfig) -> None:
    for field in ("population_size", "offspring_per_parent", "archive_additions", "num_neighbors", "archive_capacity"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    require(
        "num_neighbors",
        config.num_neighbors,
        lambda number: number <= config.population_size,
        f"at most the population size, {config.population_size}",
    )
    most_additions = min(evaluations_per_update(config), config.archive_capacity)
    require(
        "archive_additions",
        config.archive_additions,
        lambda number: number <= most_additions,
        f"at most {most_additions}, the smaller of offspring and archive capacity",
    )
    require("mutation_sigma", config.mutation_sigma, lambda sigma: 0 <= sigma < inf, "a finite number of at least 0")
    require("genome_bound", config.genome_bound, lambda bound: 0 < bound < inf, "a finite number above 0")
