"""CMA-ME: MAP-Elites whose offspring come from evolution strategies, the emitters, each of which climbs on its own.

Optimizing emitters climb the reward. Improvement emitters climb what they did for the archive: they rank offspring that
filled an empty cell before those that improved on an elite, and these before the rest.

Source: Fontaine et al., "Covariance Matrix Adaptation for the Rapid Illumination of Behavior Space" (2020). The
defaults are those of the baseline in Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (2021).
"""

from math import inf
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, PyTree, config, is_count, require
from jaxrl_sparse.evolution.cma_es import (
    CmaEsState,
    cma_es_ask,
    cma_es_init,
    cma_es_stop,
    cma_es_tell,
    cma_es_tell_parents,
)
from jaxrl_sparse.quality_diversity.archives import finite_rows
from jaxrl_sparse.quality_diversity.elite_archives import EliteArchive, elite_archive_sample
from jaxrl_sparse.quality_diversity.map_elites import (
    MapElitesConfig,
    MapElitesState,
    add_to_elites,
    cells_of_archive,
    map_elites,
    start_elites,
)
from jaxrl_sparse.quality_diversity.map_elites import discoveries as elites_discoveries
from jaxrl_sparse.quality_diversity.problems import Discoveries, Individuals, Problem, evaluated, genome_box

# What an offspring was for the archive.
REJECTED, IMPROVED, NEW = 0, 1, 2
# Offspring whose best and worst ranking values differ by less give an improvement emitter no direction.
_FLAT = 1e-12


@config
class CmaMeConfig:
    """Configuration of `cma_me`.

    The improvement emitters of the paper that introduced them: `emitter="improvement", num_emitters=15,
    emitters_per_update=15, batch_size=36, replace_on_tie=False`.

    Attributes:
      emitter: what the emitters climb: the reward, or the improvement of the archive.
      population_size: random individuals that the archive starts from.
      num_emitters: evolution strategies; they start from the first of these individuals, one from each.
      emitters_per_update: how many emitters work in an update, those that have stored the fewest individuals.
      batch_size: offspring of an emitter in an update, at least 4.
      separable: whether the emitters' covariances stay diagonal, which is cheaper for large genomes.
      tessellation: how descriptor space is cut into cells: a regular grid, or Voronoi cells of equal volume (CVT).
      grid_shape: cells along each dimension of the descriptor; not used by a CVT.
      num_centroids: cells of the CVT; not used by a grid.
      replace_on_tie: whether an offspring as fit as the elite of its cell replaces it, and counts as stored.
      initial_sigma: step size of an emitter that starts.
      genome_bound: genes stay within +- this value, where the problem sets no bounds of its own.
      qd_score_offset: is added to the fitness of every elite in the QD score.
    """

    emitter: Literal["optimizing", "improvement"] = "optimizing"
    population_size: int = 100
    num_emitters: int = 100
    emitters_per_update: int = 1
    batch_size: int = 6
    separable: bool = False
    tessellation: Literal["grid", "cvt"] = "grid"
    grid_shape: tuple[int, ...] = (50, 50)
    num_centroids: int = 2500
    replace_on_tie: bool = True
    initial_sigma: float = 0.5
    genome_bound: float = 5.0
    qd_score_offset: float = 0.0


class CmaMeState(NamedTuple):
    """What changes in a search.

    Attributes:
      search: archive, history and key, as in MAP-Elites.
      emitters: E evolution strategies, leaves `[E, ...]`.
      stored: `[E]` int32, how many individuals each emitter has stored, over all its restarts.
    """

    search: MapElitesState
    emitters: CmaEsState
    stored: Int[Array, "E"]


def cma_me(config: CmaMeConfig, problem: Problem) -> Algorithm:
    """CMA-ME as an algorithm; one update is one batch of each of the emitters whose turn it is.

    Those emitters work that have stored the fewest individuals, of equals the one with the lowest index. Stored is an
    offspring that was better than what the archive had in its cell before the update, even if another offspring of the
    update was better still. An emitter that has stored nothing in its turn starts anew, around a random elite; so does
    one whose evolution strategy says stop (`cma_es_stop`), and an improvement emitter whose offspring all rank alike.

    The metrics of an update: those of `map_elites`, `stored` (individuals) and `restarts` (of emitters). `evaluate` is
    that of `map_elites`.

    Args:
      config: see `CmaMeConfig`.
      problem: what is searched; it must know the bounds of its descriptors.

    Raises:
      ValueError: naming the field, if a number is below 1, `batch_size` is below 4, there are more emitters than
        individuals to start from or more emitters in an update than there are, `initial_sigma` is not positive, or
        `map_elites` refuses it.
    """
    elites_config = MapElitesConfig(
        population_size=config.population_size,
        tessellation=config.tessellation,
        grid_shape=config.grid_shape,
        num_centroids=config.num_centroids,
        replace_on_tie=config.replace_on_tie,
        genome_bound=config.genome_bound,
        qd_score_offset=config.qd_score_offset,
    )
    # Refuses what is wrong with the archive, and brings the evaluation of its elites.
    elites_algorithm = map_elites(elites_config, problem)
    _check(config)
    low, high = genome_box(problem, config.genome_bound)
    tessellated = cells_of_archive(elites_config, problem)

    def start_emitter(mean: Float[Array, "P"]) -> CmaEsState:
        return cma_es_init(mean, config.initial_sigma, config.batch_size, config.separable)

    def ask(key: PRNGKeyArray, emitter: CmaEsState) -> Float[Array, "B P"]:
        return cma_es_ask(key, emitter, config.batch_size, low, high)

    def tell_optimizing(
        emitter: CmaEsState, offspring: Individuals, statuses: Int[Array, "B"], gains: Float[Array, "B"]
    ) -> tuple[CmaEsState, Bool[Array, ""]]:
        del statuses, gains
        return cma_es_tell(emitter, offspring.genomes, offspring.evaluation.rewards), jnp.zeros((), bool)

    def tell_improvement(
        emitter: CmaEsState, offspring: Individuals, statuses: Int[Array, "B"], gains: Float[Array, "B"]
    ) -> tuple[CmaEsState, Bool[Array, ""]]:
        order = improvement_ranking(statuses, gains)
        # An emitter without parents is about to restart.
        num_parents = jnp.maximum(jnp.sum(statuses != REJECTED, dtype=jnp.int32), 1)
        first, last = order[0], order[-1]
        flat = jnp.logical_and(statuses[first] == statuses[last], gains[first] - gains[last] < _FLAT)
        return cma_es_tell_parents(emitter, offspring.genomes[order], num_parents), flat

    tell = tell_optimizing if config.emitter == "optimizing" else tell_improvement

    def init(key: PRNGKeyArray) -> CmaMeState:
        search, individuals = start_elites(elites_config, problem, key)
        emitters = jax.vmap(start_emitter)(individuals.genomes[: config.num_emitters])
        return CmaMeState(search, emitters, jnp.zeros(config.num_emitters, jnp.int32))

    def update(state: CmaMeState, step: Int[Array, ""]) -> tuple[CmaMeState, Metrics]:
        search = state.search
        key, ask_key, evaluate_key, elites_key = jax.random.split(search.key, 4)
        working = emitters_in_turn(state.stored, config.emitters_per_update)
        emitters = jax.tree.map(lambda leaf: leaf[working], state.emitters)
        genomes = jax.vmap(ask)(jax.random.split(ask_key, config.emitters_per_update), emitters)
        offspring = evaluated(problem, evaluate_key, genomes.reshape(-1, problem.genome_size))
        cells = tessellated.cells(offspring.evaluation.descriptors, search.centroids)
        statuses, gains = insertion_outcomes(search.archive, cells, offspring, config.replace_on_tie)
        search, metrics = add_to_elites(elites_config, problem, search._replace(key=key), cells, offspring, step)

        def by_emitter(leaf: Array) -> Array:
            return leaf.reshape(config.emitters_per_update, config.batch_size, *leaf.shape[1:])

        told, flat = jax.vmap(tell)(emitters, *jax.tree.map(by_emitter, (offspring, statuses, gains)))
        stored = jnp.sum(by_emitter(statuses) != REJECTED, axis=-1, dtype=jnp.int32)
        restarts = (stored == 0) | flat | jax.vmap(cma_es_stop)(told)
        starts = elite_archive_sample(elites_key, search.archive, config.emitters_per_update)
        elites = search.archive.entries.genomes[starts]
        emitters = _where(restarts, jax.vmap(start_emitter)(elites), told)
        metrics |= {"stored": jnp.sum(stored), "restarts": jnp.sum(restarts, dtype=jnp.int32)}
        state = CmaMeState(
            search=search,
            emitters=jax.tree.map(lambda leaf, new: leaf.at[working].set(new), state.emitters, emitters),
            stored=state.stored.at[working].add(stored),
        )
        return state, metrics

    def evaluate(state: CmaMeState, key: PRNGKeyArray) -> Metrics:
        return elites_algorithm.evaluate(state.search, key)

    return Algorithm(init, update, evaluate)


def emitters_in_turn(stored: Int[Array, "E"], num_emitters: int) -> Int[Array, "num_emitters"]:
    """The emitters that have stored the fewest individuals, the fewest first, and of equals the lowest index.

    Args:
      stored: by each emitter.
      num_emitters: static, at most E.
    """
    return jax.lax.top_k(-stored, num_emitters)[1]


def insertion_outcomes(
    archive: EliteArchive, cells: Int[Array, "B"], individuals: Individuals, replace_on_tie: bool
) -> tuple[Int[Array, "B"], Float[Array, "B"]]:
    """What each individual is for an archive that it is about to be offered to, whatever the others of its batch are.

    Args:
      archive: as it is before.
      cells: cell of each individual, in [0, C).
      individuals: B of them.
      replace_on_tie: static, see `elite_archive_insert`.

    Returns:
      statuses: `[B]` int32; 2, new, in an empty cell; 1, improved, where fitter than the elite of its cell (or as fit,
        with `replace_on_tie`); else 0, rejected, as those with a non-finite number are.
      gains: `[B]`; the fitness in an empty cell, else the fitness minus that of the elite; -inf of individuals with a
        non-finite number.
    """
    fitnesses = individuals.evaluation.rewards
    elites = archive.fitnesses[cells]
    empty = jnp.isneginf(elites)
    improves = fitnesses >= elites if replace_on_tie else fitnesses > elites
    valid = finite_rows(individuals)
    statuses = jnp.where(valid & empty, NEW, jnp.where(valid & improves, IMPROVED, REJECTED)).astype(jnp.int32)
    return statuses, jnp.where(valid, fitnesses - jnp.where(empty, 0.0, elites), -jnp.inf)


def improvement_ranking(statuses: Int[Array, "B"], gains: Float[Array, "B"]) -> Int[Array, "B"]:
    """Order of the offspring of an improvement emitter: by status, then by gain, then by index; the best first.

    Args:
      statuses: see `insertion_outcomes`.
      gains: see `insertion_outcomes`.
    """
    return jnp.lexsort((-gains, -statuses))


def discoveries(state: CmaMeState) -> Discoveries:
    """The champions of the reward areas and the elites."""
    return elites_discoveries(state.search)


def initial_evaluations(config: CmaMeConfig) -> int:
    """Evaluations of `init`: the initial individuals."""
    return config.population_size


def evaluations_per_update(config: CmaMeConfig) -> int:
    """Evaluations of one update: the batches of all emitters whose turn it is."""
    return config.emitters_per_update * config.batch_size


def _where(flags: Bool[Array, "E"], these: PyTree, those: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(flags.reshape(-1, *[1] * (a.ndim - 1)), a, b), these, those)


def _check(config: CmaMeConfig) -> None:
    require("emitter", config.emitter, ("optimizing", "improvement").__contains__, "optimizing or improvement")
    for field in ("num_emitters", "emitters_per_update"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    require("batch_size", config.batch_size, lambda size: is_count(size) and size >= 4, "an integer of at least 4")
    require(
        "num_emitters",
        config.num_emitters,
        lambda number: number <= config.population_size,
        f"at most the population size, {config.population_size}",
    )
    require(
        "emitters_per_update",
        config.emitters_per_update,
        lambda number: number <= config.num_emitters,
        f"at most the number of emitters, {config.num_emitters}",
    )
    require("initial_sigma", config.initial_sigma, lambda sigma: 0 < sigma < inf, "a finite number above 0")
