"""One generation of a search that explores: what novelty search, TAXONS, SERENE and STAX have in common.

Each of M parents makes m offspring by Gaussian mutation. The novelty of all M + m M candidates is their mean distance
to the k nearest descriptors of candidates, archive, and whatever else the search remembers. A few offspring, chosen at
random, enter the archive, and a rule of selection says which M candidates are the next parents.

Source: Lehman and Stanley, "Abandoning Objectives: Evolution Through the Search for Novelty Alone" (2011), with the
hyper-parameters of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (2021).
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import Metrics, config, is_count, require
from jaxrl_sparse.evolution.variation import gaussian_mutation
from jaxrl_sparse.quality_diversity.archives import append_random, archive_mask, finite_rows, require_capacity
from jaxrl_sparse.quality_diversity.metrics import history_update
from jaxrl_sparse.quality_diversity.novelty import novelty_scores
from jaxrl_sparse.quality_diversity.population_search import PopulationSearchState, start_search
from jaxrl_sparse.quality_diversity.problems import (
    Evaluation,
    Individuals,
    Problem,
    evaluated,
    genome_box,
    random_genomes,
)


@config
class NoveltySearchConfig:
    """Configuration of `novelty_search`, and of the exploration of all that builds on it.

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


class Candidates(NamedTuple):
    """Those of whom the next parents are chosen, and what novelty was measured against.

    Attributes:
      individuals: `[B]`, the population, then its offspring.
      valid: `[B]` bool, those whose numbers are all finite.
      novelties: `[B]`; -inf of the invalid ones.
      references: individuals `[N]`: the candidates, then the archive.
      reference_mask: `[N]` bool, which of them there are.
    """

    individuals: Individuals
    valid: Bool[Array, "B"]
    novelties: Float[Array, "B"]
    references: Individuals
    reference_mask: Bool[Array, "N"]


class Descriptors(NamedTuple):
    """Behaviours to compare with.

    Attributes:
      values: `[N, D]`.
      mask: `[N]` bool, which rows hold one.
    """

    values: Float[Array, "N D"]
    mask: Bool[Array, "N"]


Selection = Callable[[PRNGKeyArray, Candidates], Int[Array, "M"]]


def explore(
    config: NoveltySearchConfig,
    problem: Problem,
    select: Selection,
    state: PopulationSearchState,
    describe: Callable[[Evaluation], Evaluation] | None = None,
    others: Descriptors | None = None,
) -> tuple[PopulationSearchState, Candidates, Int[Array, "M"]]:
    """One generation.

    Args:
      config: see `NoveltySearchConfig`.
      problem: what is searched.
      select: `select(key, candidates) -> survivors[M]`, rows of the candidates.
      state: so far.
      describe: puts descriptors and surprises into a fresh evaluation; None where the problem's descriptors stay.
      others: more behaviours that novelty is measured against.

    Returns:
      The new state, all candidates of this generation (the offspring are the rows from M on), and the rows of those
      that survived.
    """
    key, mutation_key, evaluate_key, archive_key, selection_key = jax.random.split(state.key, 5)
    parents = jnp.repeat(state.population.genomes, config.offspring_per_parent, axis=0)
    genomes = gaussian_mutation(mutation_key, parents, config.mutation_sigma, *genome_box(problem, config.genome_bound))
    offspring = evaluated(problem, evaluate_key, genomes, describe)
    candidates = compared(state, offspring, config.num_neighbors, others)
    survivors = select(selection_key, candidates)
    following = state._replace(
        key=key,
        population=jax.tree.map(lambda leaf: leaf[survivors], candidates.individuals),
        archive=append_random(archive_key, state.archive, offspring, config.archive_additions),
        history=history_update(state.history, offspring, problem.ground_truth_bounds),
    )
    return following, candidates, survivors


def start_exploration(
    config: NoveltySearchConfig,
    problem: Problem,
    key: PRNGKeyArray,
    describe: Callable[[Evaluation], Evaluation] | None = None,
) -> PopulationSearchState:
    """Random genomes, evaluated: where the first generation begins; for the arguments see `explore`."""
    key, genomes_key, evaluate_key = jax.random.split(key, 3)
    genomes = random_genomes(genomes_key, problem, config.population_size, config.genome_bound)
    population = evaluated(problem, evaluate_key, genomes, describe)
    return start_search(key, population, problem, config.archive_capacity)


def compared(
    state: PopulationSearchState, offspring: Individuals, num_neighbors: int, others: Descriptors | None = None
) -> Candidates:
    """Population and offspring with their novelty among themselves, the archive and others, themselves left out.

    Args:
      state: holds population and archive.
      offspring: of this generation.
      num_neighbors: k, static.
      others: more behaviours that novelty is measured against.
    """
    individuals = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), state.population, offspring)
    valid = finite_rows(individuals)
    references = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), individuals, state.archive.entries)
    mask = jnp.concatenate([valid, archive_mask(state.archive)])
    compared_with = Descriptors(references.evaluation.descriptors, mask)
    if others is not None:
        compared_with = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), compared_with, others)
    descriptors = individuals.evaluation.descriptors
    novelties = novelty_scores(
        descriptors, compared_with.values, compared_with.mask, num_neighbors, exclude_nearest=True
    )
    return Candidates(individuals, valid, jnp.where(valid, novelties, -jnp.inf), references, mask)


def most_novel(population_size: int) -> Selection:
    """The rule of novelty search: the M most novel candidates, the most novel first; of equals the first."""

    def select(key: PRNGKeyArray, candidates: Candidates) -> Int[Array, "M"]:
        del key
        return jax.lax.top_k(candidates.novelties, population_size)[1]

    return select


def mean_novelty(candidates: Candidates, survivors: Int[Array, "M"]) -> Float[Array, ""]:
    """Mean novelty of those survivors that are valid; 0 where none is."""
    novelties = candidates.novelties[survivors]
    scored = jnp.isfinite(novelties)
    return jnp.sum(novelties, where=scored) / jnp.maximum(jnp.sum(scored), 1)


def archive_metrics(state: PopulationSearchState) -> Metrics:
    """How many individuals the archive holds, and how many found no place."""
    return {"archive_size": state.archive.size, "archive_overflow": state.archive.overflow}


def offspring_per_generation(config: NoveltySearchConfig) -> int:
    """Evaluations of one generation: all offspring."""
    return config.population_size * config.offspring_per_parent


def generations_within(config: NoveltySearchConfig, evaluations: int, generations_per_update: int = 1) -> int:
    """Generations of a search that goes on until it has spent so many evaluations, in whole updates."""
    after_the_first = max(evaluations - config.population_size, 0)
    num_updates = -(-after_the_first // (generations_per_update * offspring_per_generation(config)))
    return num_updates * generations_per_update


def require_archive_holds(config: NoveltySearchConfig, evaluations: int, generations_per_update: int = 1) -> None:
    """Refuses an archive that a search of so many evaluations could overflow.

    Raises:
      ValueError: naming `archive_capacity` and the smallest one that suffices.
    """
    generations = generations_within(config, evaluations, generations_per_update)
    require_capacity(config.archive_capacity, generations * config.archive_additions, evaluations)


def check_exploration(config: NoveltySearchConfig) -> None:
    """Refuses a bad configuration.

    Raises:
      ValueError: naming the field, if a number is below 1, `num_neighbors` is above `population_size`,
        `archive_additions` above the number of offspring or above `archive_capacity`, `mutation_sigma` is negative or
        `genome_bound` not positive.
    """
    for field in ("population_size", "offspring_per_parent", "archive_additions", "num_neighbors", "archive_capacity"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    require(
        "num_neighbors",
        config.num_neighbors,
        lambda number: number <= config.population_size,
        f"at most the population size, {config.population_size}",
    )
    most_additions = min(offspring_per_generation(config), config.archive_capacity)
    require(
        "archive_additions",
        config.archive_additions,
        lambda number: number <= most_additions,
        f"at most {most_additions}, the smaller of offspring and archive capacity",
    )
    require("mutation_sigma", config.mutation_sigma, lambda sigma: 0 <= sigma < inf, "a finite number of at least 0")
    require("genome_bound", config.genome_bound, lambda bound: 0 < bound < inf, "a finite number above 0")
