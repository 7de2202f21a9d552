"""Searches whose survivors are a compromise: novelty against local competition (NSLC), or against reward (NSGA-II).

Both are novelty search with NSGA-II's selection on two objectives in place of the most novel.

Source: Lehman and Stanley, "Evolving a Diversity of Virtual Creatures through Novelty Search and Local Competition"
(2011); Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II" (2002); the NSGA-II on novelty and
reward is a baseline of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (2021).
"""

import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm
from jaxrl_sparse.evolution.selection import nsga_ii_select
from jaxrl_sparse.numerics.neighbors import nearest_neighbors
from jaxrl_sparse.quality_diversity.exploration import Candidates, NoveltySearchConfig
from jaxrl_sparse.quality_diversity.novelty_search import check_budget as check_budget
from jaxrl_sparse.quality_diversity.novelty_search import discoveries as discoveries
from jaxrl_sparse.quality_diversity.novelty_search import evaluations_per_update as evaluations_per_update
from jaxrl_sparse.quality_diversity.novelty_search import evolution
from jaxrl_sparse.quality_diversity.novelty_search import initial_evaluations as initial_evaluations
from jaxrl_sparse.quality_diversity.problems import Problem


def nslc(config: NoveltySearchConfig, problem: Problem) -> Algorithm:
    """Novelty search with local competition: survivors by NSGA-II on (novelty, local competition).

    For metrics, `evaluate` and errors see `novelty_search`.

    Args:
      config: see `NoveltySearchConfig`.
      problem: what is searched.
    """

    def select(key: PRNGKeyArray, candidates: Candidates) -> Int[Array, "M"]:
        del key
        competition = local_competition(candidates, config.num_neighbors).astype(jnp.float32)
        scores = jnp.stack([candidates.novelties, competition], axis=-1)
        return nsga_ii_select(scores, config.population_size, candidates.valid)

    return evolution(config, problem, select)


def nsga_ii(config: NoveltySearchConfig, problem: Problem) -> Algorithm:
    """Evolution by NSGA-II on (novelty, reward).

    For metrics, `evaluate` and errors see `novelty_search`.

    Args:
      config: see `NoveltySearchConfig`.
      problem: what is searched.
    """

    def select(key: PRNGKeyArray, candidates: Candidates) -> Int[Array, "M"]:
        del key
        scores = jnp.stack([candidates.novelties, candidates.individuals.evaluation.rewards], axis=-1)
        return nsga_ii_select(scores, config.population_size, candidates.valid)

    return evolution(config, problem, select)


def local_competition(candidates: Candidates, num_neighbors: int) -> Int[Array, "B"]:
    """How many of the k nearest neighbours in behaviour have strictly less reward: `|{y in kNN(x): r_y < r_x}|`.

    Neighbours are candidates and archive, x itself left out.

    Args:
      candidates: of a generation.
      num_neighbors: k, static.
    """
    references, evaluation = candidates.references.evaluation, candidates.individuals.evaluation
    found = nearest_neighbors(
        evaluation.descriptors, references.descriptors, candidates.reference_mask, num_neighbors + 1
    )
    # The candidates are the first references, so that each is known by its number among its copies at distance 0.
    others = (found.indices != jnp.arange(len(found.indices))[:, None]) & jnp.isfinite(found.distances)
    nearest = others & (jnp.cumsum(others, axis=-1) <= num_neighbors)
    rewards = references.rewards[jnp.minimum(found.indices, len(references.rewards) - 1)]
    return jnp.sum(nearest & (rewards < evaluation.rewards[:, None]), axis=-1, dtype=jnp.int32)
