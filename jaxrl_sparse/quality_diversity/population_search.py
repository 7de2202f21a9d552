"""The state of searches that hold a population and an append-only archive, and what they show of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Int, PRNGKeyArray

from jaxrl_sparse.quality_diversity.archives import Archive, archive_init, archive_mask, finite_rows
from jaxrl_sparse.quality_diversity.metrics import History, champions_and, history_init, history_update
from jaxrl_sparse.quality_diversity.problems import Discoveries, Individuals, Problem


class PopulationSearchState(NamedTuple):
    """What changes in a search.

    Attributes:
      key: for the generations to come.
      population: M individuals.
      archive: of `Individuals`.
      history: of all evaluated individuals.
      initial_environment_steps: what evaluating the first population cost, int32.
    """

    key: PRNGKeyArray
    population: Individuals
    archive: Archive
    history: History
    initial_environment_steps: Int[jax.Array, ""]


def start_search(
    key: PRNGKeyArray, population: Individuals, problem: Problem, archive_capacity: int
) -> PopulationSearchState:
    """The state of a search that has evaluated its first population, with an empty archive.

    Args:
      key: for the generations to come.
      population: M individuals, evaluated just now.
      problem: what is searched.
      archive_capacity: static, at least 1.
    """
    history = history_init(population, problem.num_areas)
    return PopulationSearchState(
        key=key,
        population=population,
        archive=archive_init(population, archive_capacity),
        history=history_update(history, population, problem.ground_truth_bounds),
        initial_environment_steps=jnp.sum(population.evaluation.environment_steps, dtype=jnp.int32),
    )


def discoveries(state: PopulationSearchState) -> Discoveries:
    """The champions of the reward areas, the population and the archive."""
    shown = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), state.population, state.archive.entries)
    mask = jnp.concatenate([finite_rows(state.population), archive_mask(state.archive)])
    return champions_and(state.history, shown, mask)
