"""MAP-Elites: an archive of the fittest individual of each cell of descriptor space, and parents drawn from it.

Source: Mouret and Clune, "Illuminating Search Spaces by Mapping Elites" (2015); the defaults are those of the baseline
in Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (2021).
"""

from math import inf, prod
from typing import Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, config, is_count, require
from jaxrl_sparse.evolution.variation import gaussian_mutation, iso_line_variation
from jaxrl_sparse.quality_diversity.elite_archives import (
    EliteArchive,
    Tessellation,
    elite_archive_init,
    elite_archive_insert,
    elite_archive_mask,
    elite_archive_sample,
    qd_score,
    tessellation,
)
from jaxrl_sparse.quality_diversity.metrics import (
    History,
    champions_and,
    cost_metrics,
    history_init,
    history_metrics,
    history_update,
)
from jaxrl_sparse.quality_diversity.problems import (
    Bounds,
    Discoveries,
    Individuals,
    Problem,
    evaluated,
    genome_box,
    random_genomes,
)

# Cells are numbered in int32.
MAX_CELLS = 2**31


@config
class MapElitesConfig:
    """Configuration of `map_elites`.

    Attributes:
      population_size: random individuals that the archive starts from.
      batch_size: offspring of a generation.
      tessellation: how descriptor space is cut into cells: a regular grid, or Voronoi cells of equal volume (CVT).
      grid_shape: cells along each dimension of the descriptor; not used by a CVT.
      num_centroids: cells of the CVT; not used by a grid.
      variation: Gaussian mutation of one parent, or isotropic noise and noise along the line to a second parent.
      replace_on_tie: whether an offspring as fit as the elite of its cell replaces it.
      mutation_sigma: standard deviation of the (isotropic) noise on every gene.
      line_sigma: standard deviation of the noise along the line, as a share of the parents' distance; for iso_line.
      genome_bound: genes are clipped to +- this value, where the problem sets no bounds of its own.
      qd_score_offset: is added to the fitness of every elite in the QD score.
    """

    population_size: int = 100
    batch_size: int = 100
    tessellation: Literal["grid", "cvt"] = "grid"
    grid_shape: tuple[int, ...] = (50, 50)
    num_centroids: int = 2500
    variation: Literal["gaussian", "iso_line"] = "gaussian"
    replace_on_tie: bool = True
    mutation_sigma: float = 0.05
    line_sigma: float = 0.2
    genome_bound: float = 5.0
    qd_score_offset: float = 0.0


class MapElitesState(NamedTuple):
    """What changes in a search.

    Attributes:
      key: for the generations to come.
      archive: of `Individuals`.
      centroids: `[C, D]`, drawn once; None with a grid.
      history: of all evaluated individuals.
      initial_environment_steps: what evaluating the first individuals cost, int32.
    """

    key: PRNGKeyArray
    archive: EliteArchive
    centroids: Float[Array, "C D"] | None
    history: History
    initial_environment_steps: Int[Array, ""]


def map_elites(config: MapElitesConfig, problem: Problem) -> Algorithm:
    """MAP-Elites as an algorithm; one update is one generation.

    The metrics of an update: `evaluations` and `environment_steps` of this update (that of step 0 includes the initial
    individuals), what `metrics.history_metrics` says of the search so far, and `archive_size` (cells filled),
    `archive_coverage` (their share) and `qd_score`. `evaluate` evaluates all elites again, puts them into an empty
    archive and measures that one: elites that were lucky once, or do not return to their cell, are lost there. An
    empty cell is evaluated as a genome of zeros and does not count.

    Args:
      config: see `MapElitesConfig`.
      problem: what is searched; it must know the bounds of its descriptors.

    Raises:
      ValueError: naming the field, if a number is below 1, `grid_shape` does not have `descriptor_size` numbers, an
        option is unknown, a sigma is negative, `genome_bound` is not positive, or the problem has no
        `descriptor_bounds`.
    """
    _check(config, problem)
    tessellated = cells_of_archive(config, problem)
    box = genome_box(problem, config.genome_bound)

    def vary(key: PRNGKeyArray, archive: EliteArchive) -> Float[Array, "B P"]:
        parents_key, others_key, variation_key = jax.random.split(key, 3)
        elites = archive.entries.genomes
        parents = elites[elite_archive_sample(parents_key, archive, config.batch_size)]
        if config.variation == "gaussian":
            return gaussian_mutation(variation_key, parents, config.mutation_sigma, *box)
        others = elites[elite_archive_sample(others_key, archive, config.batch_size)]
        return iso_line_variation(variation_key, parents, others, config.mutation_sigma, config.line_sigma, *box)

    def init(key: PRNGKeyArray) -> MapElitesState:
        return start_elites(config, problem, key)[0]

    def update(state: MapElitesState, step: Int[Array, ""]) -> tuple[MapElitesState, Metrics]:
        key, variation_key, evaluate_key = jax.random.split(state.key, 3)
        offspring = evaluated(problem, evaluate_key, vary(variation_key, state.archive))
        cells = tessellated.cells(offspring.evaluation.descriptors, state.centroids)
        return add_to_elites(config, problem, state._replace(key=key), cells, offspring, step)

    def evaluate(state: MapElitesState, key: PRNGKeyArray) -> Metrics:
        elites = evaluated(problem, key, state.archive.entries.genomes)
        occupied = elite_archive_mask(state.archive)
        cells = tessellated.cells(elites.evaluation.descriptors, state.centroids)
        cells = jnp.where(occupied, cells, tessellated.num_cells)
        empty = elite_archive_init(elites, tessellated.num_cells)
        fitnesses = elites.evaluation.rewards
        archive = elite_archive_insert(empty, cells, fitnesses, elites, config.replace_on_tie)
        return _archive_metrics(config, archive)

    return Algorithm(init, update, evaluate)


def start_elites(config: MapElitesConfig, problem: Problem, key: PRNGKeyArray) -> tuple[MapElitesState, Individuals]:
    """Random individuals, and the state of a search that has put them into its empty archive."""
    tessellated = cells_of_archive(config, problem)
    key, genomes_key, evaluate_key, centroids_key = jax.random.split(key, 4)
    genomes = random_genomes(genomes_key, problem, config.population_size, config.genome_bound)
    individuals = evaluated(problem, evaluate_key, genomes)
    centroids = tessellated.init(centroids_key)
    history = history_init(individuals, problem.num_areas)
    state = MapElitesState(
        key=key,
        archive=elite_archive_insert(
            elite_archive_init(individuals, tessellated.num_cells),
            tessellated.cells(individuals.evaluation.descriptors, centroids),
            individuals.evaluation.rewards,
            individuals,
            config.replace_on_tie,
        ),
        centroids=centroids,
        history=history_update(history, individuals, problem.ground_truth_bounds),
        initial_environment_steps=jnp.sum(individuals.evaluation.environment_steps, dtype=jnp.int32),
    )
    return state, individuals


def add_to_elites(
    config: MapElitesConfig,
    problem: Problem,
    state: MapElitesState,
    cells: Int[Array, "B"],
    offspring: Individuals,
    step: Int[Array, ""],
) -> tuple[MapElitesState, Metrics]:
    """Offers the offspring of update `step`, with their cells, to the archive; with the metrics of `map_elites`."""
    fitnesses = offspring.evaluation.rewards
    archive = elite_archive_insert(state.archive, cells, fitnesses, offspring, config.replace_on_tie)
    history = history_update(state.history, offspring, problem.ground_truth_bounds)
    environment_steps = offspring.evaluation.environment_steps
    metrics = {
        **cost_metrics(environment_steps, step, initial_evaluations(config), state.initial_environment_steps),
        **history_metrics(history),
        **_archive_metrics(config, archive),
    }
    return state._replace(archive=archive, history=history), metrics


def cells_of_archive(config: MapElitesConfig, problem: Problem) -> Tessellation:
    """The cells of descriptor space that each hold an elite."""
    bounds = cast(Bounds, problem.descriptor_bounds)
    return tessellation(config.tessellation, bounds, config.grid_shape, config.num_centroids)


def discoveries(state: MapElitesState) -> Discoveries:
    """The champions of the reward areas and the elites."""
    return champions_and(state.history, state.archive.entries, elite_archive_mask(state.archive))


def initial_evaluations(config: MapElitesConfig) -> int:
    """Evaluations of `init`: the initial individuals."""
    return config.population_size


def evaluations_per_update(config: MapElitesConfig) -> int:
    """Evaluations of one generation: the batch."""
    return config.batch_size


def _archive_metrics(config: MapElitesConfig, archive: EliteArchive) -> Metrics:
    filled = elite_archive_mask(archive)
    return {
        "archive_size": jnp.sum(filled, dtype=jnp.int32),
        "archive_coverage": jnp.mean(filled),
        "qd_score": qd_score(archive, config.qd_score_offset),
    }


def _check(config: MapElitesConfig, problem: Problem) -> None:
    for field in ("population_size", "batch_size", "num_centroids"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    for field, options in (("tessellation", ("grid", "cvt")), ("variation", ("gaussian", "iso_line"))):
        require(field, getattr(config, field), options.__contains__, " or ".join(options))
    size = problem.descriptor_size
    require(
        "problem.descriptor_bounds",
        problem.descriptor_bounds,
        lambda bounds: bounds is not None and _are_bounds(bounds, size),
        f"(lows, highs) of the descriptors, {size} numbers each, lows below highs; those of paths have none: searches "
        "without an archive of cells, such as novelty search, take them",
    )
    if config.tessellation == "grid":
        require(
            "grid_shape",
            config.grid_shape,
            lambda shape: len(shape) == size and all(number >= 1 for number in shape),
            f"{size} integers of at least 1, one for each dimension of the descriptor",
        )
        few = f"fewer than {MAX_CELLS:,} cells; the cells of a CVT do not multiply with the dimensions"
        require("grid_shape", config.grid_shape, lambda shape: prod(shape) < MAX_CELLS, few)
    for field in ("mutation_sigma", "line_sigma"):
        require(field, getattr(config, field), lambda sigma: 0 <= sigma < inf, "a finite number of at least 0")
    require("qd_score_offset", config.qd_score_offset, lambda offset: abs(offset) < inf, "a finite number")
    require("genome_bound", config.genome_bound, lambda bound: 0 < bound < inf, "a finite number above 0")


def _are_bounds(bounds: Bounds, size: int) -> bool:
    lows, highs = bounds
    return len(lows) == len(highs) == size and all(low < high for low, high in zip(lows, highs, strict=True))
