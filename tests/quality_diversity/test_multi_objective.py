import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quality_diversity.planes import individuals_of, plane
from scipy.spatial.distance import cdist

from jaxrl_sparse.evolution.selection import nsga_ii_select
from jaxrl_sparse.quality_diversity.exploration import Candidates, NoveltySearchConfig
from jaxrl_sparse.quality_diversity.multi_objective import local_competition, nsga_ii, nslc

TOY = NoveltySearchConfig(
    population_size=8, offspring_per_parent=2, archive_additions=3, num_neighbors=3, archive_capacity=16
)


def brute_force_competition(points, rewards, mask, num_candidates, k):
    distances = cdist(points, points)
    counts = []
    for i in range(num_candidates):
        others = [j for j in np.argsort(distances[i], kind="stable") if j != i and mask[j]][:k]
        counts.append(sum(rewards[j] < rewards[i] for j in others))
    return counts


@pytest.mark.parametrize("num_copies", [0, 6])
def test_local_competition_counts_worse_neighbours_and_leaves_oneself_out(num_copies):
    """Also where more copies of a point than neighbours hide which of them is oneself."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(14, 2)).astype(np.float32)
    points[:num_copies] = points[0]
    references = individuals_of(points)
    rewards = rng.integers(0, 4, 14).astype(np.float32)
    references = references._replace(evaluation=references.evaluation._replace(rewards=jnp.asarray(rewards)))
    mask = np.arange(14) != 11
    individuals = jax.tree.map(lambda leaf: leaf[:9], references)
    candidates = Candidates(individuals, jnp.ones(9, bool), jnp.zeros(9), references, jnp.asarray(mask))
    found = jax.jit(local_competition, static_argnums=1)(candidates, 3)
    np.testing.assert_array_equal(found, brute_force_competition(points, rewards, mask, 9, 3))
    assert len(set(np.asarray(found).tolist())) > 2


def objectives_of(genomes, archived, name):
    """Novelty, and local competition or reward, of the candidates of a plane: its reward is x."""
    known = np.concatenate([genomes, archived])
    distances = np.sort(cdist(genomes, known), axis=1)
    novelties = distances[:, 1 : TOY.num_neighbors + 1].mean(axis=1)
    second = genomes[:, 0]
    if name == "nslc":
        everybody = np.ones(len(known), bool)
        second = brute_force_competition(known, known[:, 0], everybody, len(genomes), TOY.num_neighbors)
    return np.stack([novelties, second], axis=1).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("search", [nslc, nsga_ii])
def test_survivors_are_nsga_iis_choice_by_the_two_objectives(search):
    seen = []
    algorithm = search(TOY, plane(see=seen.append))

    @jax.jit
    def run(key):
        start = algorithm.init(key)
        before, _ = algorithm.update(start, jnp.int32(0))
        after, metrics = algorithm.update(before, jnp.int32(1))
        return before, after, metrics

    before, after, metrics = jax.block_until_ready(run(jax.random.key(0)))
    jax.effects_barrier()
    offspring = seen[-1]
    genomes = np.concatenate([before.population.genomes, offspring])
    archived = np.asarray(before.archive.entries.genomes)[: int(before.archive.size)]
    scores = objectives_of(genomes, archived, search.__name__)
    survivors = jax.jit(nsga_ii_select, static_argnums=1)(scores, TOY.population_size)
    np.testing.assert_array_equal(after.population.genomes, genomes[np.asarray(survivors)])
    assert int(metrics["evaluations"]) == 16
    # Reward counts: the best of the candidates survives where it is an objective.
    if search is nsga_ii:
        assert float(after.population.genomes[:, 0].max()) == genomes[:, 0].max()
