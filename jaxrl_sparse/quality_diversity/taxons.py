"""TAXONS: novelty search in a behaviour space that an auto-encoder learns from images of the outcomes.

Each generation survives by novelty of the codes or by surprise, the auto-encoder's error, whichever a coin says; every
now and then the auto-encoder is trained on what was found, and all that is stored is described anew.

Source: Paolo et al., "Unsupervised Learning and Exploration of Reachable Outcome Space" (ICRA 2020), in the form that
the authors published with STAX: "Discovering and Exploiting Sparse Rewards in a Learned Behavior Space" (2024).
"""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, config, is_count, require
from jaxrl_sparse.evolution.selection import nsga_ii_select
from jaxrl_sparse.quality_diversity import exploration
from jaxrl_sparse.quality_diversity.archives import archive_mask, empty_rows, finite_rows
from jaxrl_sparse.quality_diversity.behavior_spaces import BehaviorSpace, Stored, learn_from, learn_where_due
from jaxrl_sparse.quality_diversity.exploration import Candidates, NoveltySearchConfig, Selection
from jaxrl_sparse.quality_diversity.learned_space import AutoencoderConfig, learned_space
from jaxrl_sparse.quality_diversity.metrics import cost_metrics, evaluation_metrics, history_metrics
from jaxrl_sparse.quality_diversity.population_search import PopulationSearchState
from jaxrl_sparse.quality_diversity.population_search import discoveries as search_discoveries
from jaxrl_sparse.quality_diversity.problems import Discoveries, Evaluation, Problem, evaluated

Criterion = Literal["alternate", "pareto", "novelty", "surprise", "frozen"]
CRITERIA = ("alternate", "pareto", "novelty", "surprise", "frozen")


@config
class TaxonsConfig:
    """Configuration of `taxons`; the names of the published variants are combinations of its fields.

    | variant | criterion | autoencoder.training |
    |---|---|---|
    | TAXONS | alternate | continue |
    | TAXONS-P | pareto | continue |
    | TAXO-N | novelty | continue |
    | TAXO-S | surprise | continue |
    | NT | novelty | never |
    | NT, drawn anew at every training point | novelty | redraw |

    Attributes:
      exploration: of the novelty search.
      autoencoder: what is learned, and when.
      criterion: who survives a generation: the most novel or the most surprising, by the toss of a coin; NSGA-II on
        both; the most novel; the most surprising; or always the parents ("frozen", a fault of the published code's NT
        that its published figures contain).
      chunk_evaluations: the auto-encoder is trained after 1, 3, 6, 10, ... chunks of so many evaluations, in whole
        generations.
    """

    exploration: NoveltySearchConfig = NoveltySearchConfig()
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    criterion: Criterion = "alternate"
    chunk_evaluations: int = 1000


class TaxonsState(NamedTuple):
    """What changes in a search.

    Attributes:
      search: population, archive and history.
      offspring: of the last generation.
      key: of the auto-encoder's training.
      space: the state of the learned behaviour space.
    """

    search: PopulationSearchState
    offspring: Any
    key: PRNGKeyArray
    space: Any


def taxons(config: TaxonsConfig, problem: Problem) -> Algorithm:
    """TAXONS as an algorithm; one update is one chunk of generations, with the training that is due after it.

    The metrics of an update: `evaluations` and `environment_steps` of this update (that of step 0 includes the initial
    population), what `metrics.history_metrics` says of the search so far, `mean_novelty` and `mean_surprise` (of the
    new population, by the codes before a training), `archive_size`, `archive_overflow`, and what
    `learned_space` says of the training, 0 where there was none. `evaluate` evaluates the population again and measures
    it alone.

    Args:
      config: see `TaxonsConfig`.
      problem: what is searched; it must have images. Its descriptors are not used.

    Raises:
      ValueError: naming the field, see `exploration.check_exploration` and `learned_space.learned_space`; or if
        `chunk_evaluations` is below 1 or the criterion is unknown.
    """
    exploration.check_exploration(config.exploration)
    require("chunk_evaluations", config.chunk_evaluations, is_count, "an integer of at least 1")
    space = learned_space(config.autoencoder, problem)
    select = survival(config.criterion, config.exploration.population_size)
    num_generations = evaluations_per_update(config) // exploration.offspring_per_generation(config.exploration)

    def init(key: PRNGKeyArray) -> TaxonsState:
        search_key, key, space_key = jax.random.split(key, 3)
        learned = space.init(space_key)
        search = exploration.start_exploration(
            config.exploration, problem, search_key, partial(_describe, space, learned)
        )
        offspring = empty_rows(search.population, exploration.offspring_per_generation(config.exploration))
        return TaxonsState(search, offspring, key, learned)

    def update(state: TaxonsState, step: Int[Array, ""]) -> tuple[TaxonsState, Metrics]:
        def generation(carry: tuple[PopulationSearchState, Any], _: None) -> tuple[Any, Any]:
            search, _ = carry
            describe = partial(_describe, space, state.space)
            search, candidates, survivors = exploration.explore(config.exploration, problem, select, search, describe)
            offspring = jax.tree.map(lambda leaf: leaf[config.exploration.population_size :], candidates.individuals)
            surprises = candidates.individuals.evaluation.surprises
            assert surprises is not None
            row = (
                offspring.evaluation.environment_steps,
                exploration.mean_novelty(candidates, survivors),
                jnp.nanmean(surprises[survivors]),
            )
            return (search, offspring), row

        carry = (state.search, state.offspring)
        (search, offspring), (environment_steps, novelties, surprises) = jax.lax.scan(
            generation, carry, length=num_generations
        )
        state = state._replace(search=search, offspring=offspring)
        state, learned = learn_where_due(space.is_due(step + 1), partial(_learn, space), state)
        metrics = {
            **cost_metrics(
                environment_steps.reshape(-1), step, initial_evaluations(config), search.initial_environment_steps
            ),
            **history_metrics(search.history),
            "mean_novelty": novelties[-1],
            "mean_surprise": surprises[-1],
            **exploration.archive_metrics(search),
            **learned,
        }
        return state, metrics

    def evaluate(state: TaxonsState, key: PRNGKeyArray) -> Metrics:
        return evaluation_metrics(problem, evaluated(problem, key, state.search.population.genomes))

    return Algorithm(init, update, evaluate)


def survival(criterion: str, population_size: int) -> Selection:
    """The rule by which a generation survives: see `TaxonsConfig.criterion`.

    A problem without surprises has surprises of 0.

    Raises:
      ValueError: if the criterion is unknown.
    """
    require("criterion", criterion, CRITERIA.__contains__, " or ".join(CRITERIA))

    def select(key: PRNGKeyArray, candidates: Candidates) -> Int[Array, "M"]:
        novelties = candidates.novelties
        surprises = candidates.individuals.evaluation.surprises
        surprises = jnp.zeros_like(novelties) if surprises is None else surprises
        surprises = jnp.where(candidates.valid, surprises, -jnp.inf)
        if criterion == "frozen":
            return jnp.arange(population_size, dtype=jnp.int32)
        if criterion == "pareto":
            return nsga_ii_select(jnp.stack([novelties, surprises], axis=-1), population_size, candidates.valid)
        if criterion == "alternate":
            scores = jnp.where(jax.random.bernoulli(key), novelties, surprises)
        else:
            scores = novelties if criterion == "novelty" else surprises
        return jax.lax.top_k(scores, population_size)[1]

    return select


def discoveries(state: TaxonsState) -> Discoveries:
    """The champions of the reward areas, the population and the archive."""
    return search_discoveries(state.search)


def initial_evaluations(config: TaxonsConfig) -> int:
    """Evaluations of `init`: the population."""
    return config.exploration.population_size


def evaluations_per_update(config: TaxonsConfig) -> int:
    """Evaluations of one chunk: of as many whole generations as reach `chunk_evaluations`."""
    per_generation = exploration.offspring_per_generation(config.exploration)
    return -(-config.chunk_evaluations // per_generation) * per_generation


def check_budget(config: TaxonsConfig, evaluations: int) -> None:
    """Refuses a budget that could overflow the archive.

    Raises:
      ValueError: naming `archive_capacity` and the smallest one that suffices.
    """
    generations = evaluations_per_update(config) // exploration.offspring_per_generation(config.exploration)
    exploration.require_archive_holds(config.exploration, evaluations, generations)


def _describe(space: BehaviorSpace, learned: Any, evaluation: Evaluation) -> Evaluation:
    return space.describe(learned, evaluation, jnp.ones(evaluation.rewards.shape, bool))


def _learn(space: BehaviorSpace, state: TaxonsState) -> tuple[TaxonsState, Metrics]:
    key, learn_key = jax.random.split(state.key)
    search = state.search
    stored = [
        Stored(search.population.evaluation, finite_rows(search.population)),
        Stored(state.offspring.evaluation, finite_rows(state.offspring)),
        Stored(search.archive.entries.evaluation, archive_mask(search.archive)),
    ]
    learned, evaluations, metrics = learn_from(space, learn_key, state.space, stored, num_seen=len(stored))
    population, offspring, archived = evaluations
    entries = search.archive.entries._replace(evaluation=archived)
    search = search._replace(
        population=search.population._replace(evaluation=population),
        archive=search.archive._replace(entries=entries),
    )
    return TaxonsState(search, state.offspring._replace(evaluation=offspring), key, learned), metrics
