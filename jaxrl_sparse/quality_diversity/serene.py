"""SERENE: exploration by novelty search, and exploitation by emitters of every reward that it finds.

Chunks of evaluations explore or exploit in turn. Exploration is novelty search, which no reward ever biases; each
rewarded individual that it comes across is stored and becomes a candidate for an emitter. Exploitation tries the
candidates, most novel first, and goes on with those emitters that improve: see `exploitation`.

Source: Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021), with what the published
code says where the paper does not.
"""

from functools import partial
from math import inf
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import ENVIRONMENT_STEPS, EVALUATIONS, Algorithm, Metrics, config, is_count, require
from jaxrl_sparse.numerics.neighbors import nearest_neighbors
from jaxrl_sparse.numerics.predicates import anywhere
from jaxrl_sparse.quality_diversity import exploration
from jaxrl_sparse.quality_diversity.archives import (
    Archive,
    archive_append,
    archive_init,
    archive_mask,
    empty_rows,
    finite_rows,
    require_capacity,
)
from jaxrl_sparse.quality_diversity.behavior_spaces import BehaviorSpace, learn_from, learn_where_due
from jaxrl_sparse.quality_diversity.emitters import EmitterConfig, check_emitters, emitter_rules, least_evaluations
from jaxrl_sparse.quality_diversity.exploitation import Exploitation, candidates_init, enqueue, exploit, pool_init
from jaxrl_sparse.quality_diversity.exploration import Descriptors, NoveltySearchConfig, Selection
from jaxrl_sparse.quality_diversity.metrics import evaluation_metrics, history_metrics
from jaxrl_sparse.quality_diversity.problems import Evaluation, Individuals, Problem, evaluated, genome_box
from jaxrl_sparse.quality_diversity.schedulers import SCHEDULERS, Scheduler, bandit_init, bandit_update, explores
from jaxrl_sparse.quality_diversity.serene_state import (
    SereneState,
    search_metrics,
    stored_evaluations,
    total_evaluations,
    with_evaluations,
    workload,
)
from jaxrl_sparse.quality_diversity.serene_state import discoveries as discoveries


@config
class SereneConfig:
    """Configuration of `serene`.

    Attributes:
      exploration: of the novelty search.
      emitters: of the emitters.
      chunk_evaluations: of a chunk; an exploring one is of whole generations, an exploiting one may be exceeded by one.
      scheduler: which chunks explore; see `schedulers.explores`.
      planned_evaluations: the budget that "time_sampling" plans for; the other schedulers need none.
      parallel_emitters: emitters that run at a time: 1 as published, more where a device is wide.
      reward_archive_capacity: most rewarded individuals that are stored; what finds no place is counted and lost.
      max_candidates: most rewarded individuals that wait for an emitter; the oldest make room, and are counted.
      max_emitters: most emitters alive; where the pool is full, one that improves less than others makes room.
    """

    exploration: NoveltySearchConfig = NoveltySearchConfig()
    emitters: EmitterConfig = EmitterConfig()
    chunk_evaluations: int = 1000
    scheduler: Scheduler = "alternate"
    planned_evaluations: int | None = None
    parallel_emitters: int = 1
    reward_archive_capacity: int = 16_384
    max_candidates: int = 512
    max_emitters: int = 256


def serene(config: SereneConfig, problem: Problem) -> Algorithm:
    """SERENE as an algorithm; one update is one chunk, of exploration or of exploitation.

    The metrics of an update: `evaluations` and `environment_steps` of this update (that of step 0 includes the initial
    population); what `metrics.history_metrics` says of the search so far, where coverage and uniformity are those of
    exploration alone; `explored` (1 where this update explored), `exploration_evaluations` and
    `exploitation_evaluations_area_i` so far (by the area of the emitter's ancestor, `..._elsewhere` where it has none);
    the sizes and overflows of the two archives and of the candidates' queue; `candidates`, `emitters` alive, and all
    that were `emitters_started`, `emitters_kept` after their bootstrap, `emitters_stopped` and `emitters_replaced`;
    `novel_overflow` of all of them.
    `evaluate` evaluates the population again and measures it alone.

    A problem without any reward makes it novelty search, bit for bit.

    Args:
      config: see `SereneConfig`.
      problem: what is searched.

    Raises:
      ValueError: naming the field, see `exploration.check_exploration` and `emitters.check_emitters`; or if a number is
        below 1, the scheduler is unknown, or "time_sampling" has no `planned_evaluations`.
    """
    return emitter_search(config, problem, exploration.most_novel(config.exploration.population_size))


def emitter_search(
    config: SereneConfig, problem: Problem, select: Selection, space: BehaviorSpace | None = None
) -> Algorithm:
    """SERENE with another rule of survival, and in a behaviour space that is learned: what STAX is made of.

    Args:
      config: see `SereneConfig`.
      problem: what is searched.
      select: `select(key, candidates) -> survivors[M]`.
      space: makes descriptors and surprises from images; None where the problem's own descriptors stay.

    Raises:
      ValueError: see `serene`.
    """
    _check(config)
    rules = emitter_rules(config.emitters, problem.genome_size, *genome_box(problem, config.exploration.genome_bound))
    population_size = config.exploration.population_size
    num_generations = generations_per_chunk(config)

    def describe(state: Any, evaluation: Evaluation) -> Evaluation:
        if space is None:
            return evaluation
        return space.describe(state, evaluation, jnp.ones(evaluation.rewards.shape, bool))

    def init(key: PRNGKeyArray) -> SereneState:
        search_key, key, space_key = jax.random.split(key, 3)
        learned = () if space is None else space.init(space_key)
        search = exploration.start_exploration(config.exploration, problem, search_key, partial(describe, learned))
        return SereneState(
            search=search,
            offspring=empty_rows(search.population, exploration.offspring_per_generation(config.exploration)),
            reward_archive=archive_init(search.population, config.reward_archive_capacity),
            candidates=candidates_init(search.population, config.max_candidates),
            pool=pool_init(rules, search.population, config.max_emitters),
            bandit=bandit_init(),
            key=key,
            explored_chunks=jnp.zeros((), jnp.int32),
            exploration_evaluations=jnp.int32(population_size),
            exploitation_evaluations=jnp.zeros(problem.num_areas + 1, jnp.int32),
            space=learned,
        )

    def explore_chunk(step: Int[Array, ""], state: SereneState) -> tuple[SereneState, Int[Array, ""]]:
        def generation(state: SereneState, index: Int[Array, ""]) -> tuple[SereneState, Int[Array, ""]]:
            search, candidates, _ = exploration.explore(
                config.exploration,
                problem,
                select,
                state.search,
                partial(describe, state.space),
                _archived(state.reward_archive),
            )
            everybody = candidates.individuals
            # Parents were looked at when they were offspring; the first ones never were.
            fresh = (jnp.arange(len(everybody.genomes)) >= population_size) | ((step == 0) & (index == 0))
            rewarded = fresh & candidates.valid & (everybody.evaluation.rewards > 0)
            sigmas = jax.lax.cond(
                anywhere(rewarded),
                lambda: _emitter_sigmas(everybody.genomes, candidates.valid, config.exploration.mutation_sigma),
                lambda: jnp.zeros(rewarded.shape, everybody.genomes.dtype),
            )
            offspring = jax.tree.map(lambda leaf: leaf[population_size:], everybody)
            state = state._replace(
                search=search,
                offspring=offspring,
                reward_archive=archive_append(state.reward_archive, everybody, rewarded),
                candidates=enqueue(state.candidates, everybody, sigmas, rewarded),
            )
            return state, jnp.sum(offspring.evaluation.environment_steps, dtype=jnp.int32)

        state, environment_steps = jax.lax.scan(generation, state, jnp.arange(num_generations))
        state = state._replace(
            explored_chunks=state.explored_chunks + 1,
            exploration_evaluations=state.exploration_evaluations + evaluations_per_chunk(config),
        )
        return state, jnp.sum(environment_steps, dtype=jnp.int32)

    def exploit_chunk(budget: Int[Array, ""], state: SereneState) -> tuple[SereneState, Int[Array, ""]]:
        key, exploit_key = jax.random.split(state.key)
        search = state.search
        known = [_present(search.population), _present(state.offspring), _archived(search.archive)]
        # Before the first generation there is no offspring; then there is nothing to exploit either.
        known = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *known, _archived(state.reward_archive))
        made = exploit(
            config.emitters,
            rules,
            partial(evaluated, problem, describe=partial(describe, state.space)),
            exploit_key,
            Exploitation(
                candidates=state.candidates,
                pool=state.pool,
                reward_archive=state.reward_archive,
                novelty_archive=search.archive,
                history=search.history,
                evaluations=state.exploitation_evaluations,
                environment_steps=jnp.zeros((), jnp.int32),
            ),
            known,
            budget,
            config.parallel_emitters,
            config.exploration.num_neighbors,
        )
        state = state._replace(
            search=search._replace(archive=made.novelty_archive, history=made.history),
            reward_archive=made.reward_archive,
            candidates=made.candidates,
            pool=made.pool,
            key=key,
            exploitation_evaluations=made.evaluations,
        )
        return state, made.environment_steps

    def one_chunk(
        explored: Bool[Array, ""], step: Int[Array, ""], state: SereneState
    ) -> tuple[SereneState, Int[Array, ""]]:
        chunk = jnp.int32(config.chunk_evaluations)
        if config.scheduler != "bandit":
            return jax.lax.cond(explored, partial(explore_chunk, step), partial(exploit_chunk, chunk), state)
        # The bandits of several seeds disagree: whoever does not explore is put back to where he was.
        done, environment_steps = jax.lax.cond(
            anywhere(explored), partial(explore_chunk, step), lambda state: (state, jnp.int32(0)), state
        )
        state, environment_steps = jax.tree.map(
            partial(jnp.where, explored), (done, environment_steps), (state, jnp.int32(0))
        )
        state, more_steps = exploit_chunk(jnp.where(explored, 0, chunk), state)
        return state, environment_steps + more_steps

    def learn(state: SereneState) -> tuple[SereneState, Metrics]:
        assert space is not None
        key, learn_key = jax.random.split(state.key)
        learned, evaluations, metrics = learn_from(space, learn_key, state.space, stored_evaluations(state), num_seen=4)
        return with_evaluations(state, evaluations)._replace(key=key, space=learned), metrics

    def update(state: SereneState, step: Int[Array, ""]) -> tuple[SereneState, Metrics]:
        spent = step * (config.chunk_evaluations / (config.planned_evaluations or inf))
        explored = explores(config.scheduler, state.bandit, step, jnp.minimum(spent, 1.0))
        evaluations, emitters = total_evaluations(state), workload(state)
        state, environment_steps = one_chunk(explored, step, state)
        state = state._replace(bandit=bandit_update(state.bandit, explored, emitters, workload(state)))
        first = step == 0
        metrics = {
            EVALUATIONS: total_evaluations(state) - evaluations + jnp.where(first, population_size, 0),
            ENVIRONMENT_STEPS: environment_steps + jnp.where(first, state.search.initial_environment_steps, 0),
            "explored": explored.astype(jnp.int32),
        }
        if space is not None:
            is_due = explored & space.is_due(state.explored_chunks)
            state, learned = learn_where_due(is_due, learn, state)
            metrics |= learned
        return state, {**metrics, **history_metrics(state.search.history), **search_metrics(state)}

    def evaluate(state: SereneState, key: PRNGKeyArray) -> Metrics:
        return evaluation_metrics(problem, evaluated(problem, key, state.search.population.genomes))

    return Algorithm(init, update, evaluate)


def generations_per_chunk(config: SereneConfig) -> int:
    """Whole generations of an exploring chunk: as many as reach `chunk_evaluations`."""
    return -(-config.chunk_evaluations // exploration.offspring_per_generation(config.exploration))


def evaluations_per_chunk(config: SereneConfig) -> int:
    """Evaluations of an exploring chunk."""
    return generations_per_chunk(config) * exploration.offspring_per_generation(config.exploration)


def initial_evaluations(config: SereneConfig) -> int:
    """Evaluations of `init`: the population."""
    return config.exploration.population_size


def evaluations_per_update(config: SereneConfig) -> int:
    """Evaluations of the first update, which explores."""
    return evaluations_per_chunk(config)


def check_budget(config: SereneConfig, evaluations: int) -> None:
    """Refuses a budget that could overflow the novelty archive, by exploration or by emitters that stop.

    Raises:
      ValueError: naming `archive_capacity` and the smallest one that suffices.
    """
    generations = exploration.generations_within(config.exploration, evaluations, generations_per_chunk(config))
    by_exploration = generations * config.exploration.archive_additions
    # No emitter stops, and leaves novel members behind, for less than this. Whichever fills the archive faster might
    # have all of the budget.
    num_stopped = evaluations // least_evaluations(config.emitters)
    most = max(by_exploration, num_stopped * config.emitters.archive_additions)
    require_capacity(config.exploration.archive_capacity, most, evaluations)


def _emitter_sigmas(
    genomes: Float[Array, "B P"], valid: Bool[Array, "B"], fallback: float | Array
) -> Float[Array, "B"]:
    """A third of the distance to the nearest other genome; the fallback where that is 0 or there is no other."""
    nearest = nearest_neighbors(genomes, genomes, valid, 2).distances[:, 1]
    return jnp.where((nearest > 0) & jnp.isfinite(nearest), nearest / 3, fallback)


def _archived(archive: Archive) -> Descriptors:
    return Descriptors(archive.entries.evaluation.descriptors, archive_mask(archive))


def _present(individuals: Individuals) -> Descriptors:
    return Descriptors(individuals.evaluation.descriptors, finite_rows(individuals))


def _check(config: SereneConfig) -> None:
    exploration.check_exploration(config.exploration)
    check_emitters(config.emitters)
    counts = ("chunk_evaluations", "parallel_emitters", "reward_archive_capacity", "max_candidates", "max_emitters")
    for field in counts:
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    require("scheduler", config.scheduler, SCHEDULERS.__contains__, " or ".join(SCHEDULERS))
    require(
        "planned_evaluations",
        config.planned_evaluations,
        lambda number: is_count(number) if config.scheduler == "time_sampling" else number is None or is_count(number),
        "the budget, an integer of at least 1, which time_sampling needs",
    )
    require(
        "parallel_emitters",
        config.parallel_emitters,
        lambda number: number <= config.max_emitters,
        f"at most max_emitters, {config.max_emitters}",
    )
