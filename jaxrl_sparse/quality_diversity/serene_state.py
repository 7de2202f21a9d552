"""The state of a search with emitters, and what others see of it: metrics, discoveries, all evaluations it keeps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from jaxrl_sparse.base import Metrics
from jaxrl_sparse.quality_diversity.archives import Archive, archive_mask, finite_rows
from jaxrl_sparse.quality_diversity.behavior_spaces import Stored
from jaxrl_sparse.quality_diversity.exploitation import FREE, Candidates, Pool
from jaxrl_sparse.quality_diversity.exploration import archive_metrics
from jaxrl_sparse.quality_diversity.metrics import champions_and
from jaxrl_sparse.quality_diversity.population_search import PopulationSearchState
from jaxrl_sparse.quality_diversity.problems import Discoveries, Evaluation, Individuals
from jaxrl_sparse.quality_diversity.schedulers import BanditState


class SereneState(NamedTuple):
    """What changes in a search.

    Attributes:
      search: what explores, with the novelty archive and the history.
      offspring: of the last generation.
      reward_archive: an archive of `Individuals`, all of them rewarded.
      candidates: for emitters.
      pool: of emitters.
      bandit: of the scheduler.
      key: of all that exploration does not draw.
      explored_chunks: int32.
      exploration_evaluations: int32; the initial population included.
      exploitation_evaluations: by the reward area of the emitters' ancestors, `[num_areas + 1]` int32.
      space: the state of a learned behaviour space; () without one.
    """

    search: PopulationSearchState
    offspring: Individuals
    reward_archive: Archive
    candidates: Candidates
    pool: Pool
    bandit: BanditState
    key: PRNGKeyArray
    explored_chunks: Int[Array, ""]
    exploration_evaluations: Int[Array, ""]
    exploitation_evaluations: Int[Array, "areas+1"]
    space: Any


def discoveries(state: SereneState) -> Discoveries:
    """The champions of the reward areas, the population, the novelty archive and the reward archive."""
    search = state.search
    parts = (search.population, search.archive.entries, state.reward_archive.entries)
    shown = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    masks = (finite_rows(search.population), archive_mask(search.archive), archive_mask(state.reward_archive))
    return champions_and(search.history, shown, jnp.concatenate(masks))


def total_evaluations(state: SereneState) -> Int[Array, ""]:
    """Of the search so far, exploration and exploitation."""
    return state.exploration_evaluations + jnp.sum(state.exploitation_evaluations, dtype=jnp.int32)


def workload(state: SereneState) -> Int[Array, ""]:
    """Candidates that wait and emitters that live."""
    return jnp.sum(state.candidates.waiting, dtype=jnp.int32) + jnp.sum(state.pool.stages != FREE, dtype=jnp.int32)


def stored_evaluations(state: SereneState) -> list[Stored]:
    """All evaluations that a search keeps; the first four are those that it learns from."""
    emitters, alive = state.pool.emitters, state.pool.stages != FREE
    rows = jnp.arange(emitters.novel.genomes.shape[1])
    remembered = (rows < emitters.num_novel[:, None]) & alive[:, None]
    novel = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), emitters.novel.evaluation)
    return [
        Stored(state.search.population.evaluation, finite_rows(state.search.population)),
        Stored(state.offspring.evaluation, finite_rows(state.offspring)),
        Stored(state.search.archive.entries.evaluation, archive_mask(state.search.archive)),
        Stored(state.reward_archive.entries.evaluation, archive_mask(state.reward_archive)),
        Stored(state.candidates.ancestors.evaluation, state.candidates.waiting),
        Stored(emitters.ancestor.evaluation, alive),
        Stored(novel, remembered.reshape(-1)),
    ]


def with_evaluations(state: SereneState, evaluations: list[Evaluation]) -> SereneState:
    """Puts evaluations back to where `stored_evaluations` found them."""
    population, offspring, novel_archive, rewarded, candidates, ancestors, novel = evaluations
    search, pool = state.search, state.pool
    emitters = pool.emitters
    novel = jax.tree.map(lambda leaf, old: leaf.reshape(old.shape), novel, emitters.novel.evaluation)

    def put(individuals: Individuals, evaluation: Evaluation) -> Individuals:
        return individuals._replace(evaluation=evaluation)

    return state._replace(
        search=search._replace(
            population=put(search.population, population),
            archive=search.archive._replace(entries=put(search.archive.entries, novel_archive)),
        ),
        offspring=put(state.offspring, offspring),
        reward_archive=state.reward_archive._replace(entries=put(state.reward_archive.entries, rewarded)),
        candidates=state.candidates._replace(ancestors=put(state.candidates.ancestors, candidates)),
        pool=pool._replace(
            emitters=emitters._replace(
                ancestor=put(emitters.ancestor, ancestors),
                novel=put(emitters.novel, novel),
            )
        ),
    )


def search_metrics(state: SereneState) -> Metrics:
    """What `serene` says of its archives and emitters."""
    by_area = state.exploitation_evaluations
    alive = state.pool.stages != FREE
    return {
        "exploration_evaluations": state.exploration_evaluations,
        **{f"exploitation_evaluations_area_{i}": by_area[i] for i in range(by_area.shape[0] - 1)},
        "exploitation_evaluations_elsewhere": by_area[-1],
        **archive_metrics(state.search),
        "reward_archive_size": state.reward_archive.size,
        "reward_archive_overflow": state.reward_archive.overflow,
        "candidates": jnp.sum(state.candidates.waiting, dtype=jnp.int32),
        "candidates_overflow": state.candidates.overflow,
        "emitters": jnp.sum(alive, dtype=jnp.int32),
        "emitters_started": state.pool.started,
        "emitters_kept": state.pool.kept,
        "emitters_stopped": state.pool.stopped,
        "emitters_replaced": state.pool.replaced,
        "novel_overflow": state.pool.novel_overflow,
    }
