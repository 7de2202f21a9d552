import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quality_diversity.planes import nobody, plane
from scipy.spatial.distance import cdist

from jaxrl_sparse.quality_diversity.archives import archive_append, archive_init
from jaxrl_sparse.quality_diversity.novelty_search import (
    NoveltySearchConfig,
    candidate_novelties,
    discoveries,
    evaluations_per_update,
    initial_evaluations,
    novelty_search,
)
from jaxrl_sparse.quality_diversity.problems import Individuals

TOY = NoveltySearchConfig(
    population_size=6, offspring_per_parent=2, archive_additions=3, num_neighbors=3, archive_capacity=7
)


def individuals_of(genomes, broken=nobody):
    genomes = jnp.asarray(genomes, jnp.float32)
    return Individuals(genomes, plane(broken).evaluate_genomes(jax.random.key(0), genomes))


def brute_force_novelties(candidates, archived, k):
    distances = np.sort(cdist(candidates, np.concatenate([candidates, archived])), axis=1)
    return distances[:, 1 : k + 1].mean(axis=1)


def test_novelties_are_those_among_candidates_and_archive():
    rng = np.random.default_rng(0)
    genomes, archived = rng.normal(size=(9, 2)), rng.normal(size=(4, 2))
    genomes[4] = np.inf
    rows = individuals_of(archived)
    archive = jax.jit(archive_append)(archive_init(rows, 20), rows, jnp.ones(4, bool))
    novelties = jax.jit(candidate_novelties, static_argnums=2)(individuals_of(genomes), archive, 3)
    valid = np.arange(9) != 4
    np.testing.assert_allclose(
        np.asarray(novelties)[valid], brute_force_novelties(genomes[valid], archived, 3), rtol=1e-5
    )
    assert float(novelties[4]) == -np.inf


@pytest.mark.slow
def test_generations_by_brute_force():
    # Genomes with y below -.9 have no reward: they must leave no trace but in the counts.
    seen = []
    algorithm = novelty_search(TOY, plane(lambda genomes: genomes[:, 1] < -0.9, seen.append))
    state = jax.block_until_ready(jax.jit(algorithm.init)(jax.random.key(1)))
    update = jax.jit(algorithm.update)
    rejected = int((seen[0][:, 1] < -0.9).sum())
    assert rejected > 0
    for generation in range(3):
        before = state
        state, metrics = jax.block_until_ready(update(before, jnp.int32(generation)))
        jax.effects_barrier()
        parents, offspring = np.asarray(before.population.genomes), seen[-1]
        noise = offspring - np.repeat(parents, 2, axis=0)
        assert (noise != 0).all() and np.abs(noise).max() < 6 * TOY.mutation_sigma

        size = int(before.archive.size)
        archived = np.asarray(before.archive.entries.genomes)[:size]
        candidates = np.concatenate([parents, offspring])
        valid = candidates[:, 1] >= -0.9
        novelties = np.full(len(candidates), -np.inf)
        novelties[valid] = brute_force_novelties(candidates[valid], archived, TOY.num_neighbors)
        survivors = np.argsort(-novelties, kind="stable")[: TOY.population_size]
        np.testing.assert_array_equal(state.population.genomes, candidates[survivors])
        np.testing.assert_allclose(metrics["mean_novelty"], novelties[survivors].mean(), rtol=1e-5)

        additions = np.asarray(state.archive.entries.genomes)[size : int(state.archive.size)]
        places = [np.flatnonzero((offspring == addition).all(axis=1)).item() for addition in additions]
        assert len(set(places)) == len(places) and (additions[:, 1] >= -0.9).all()
        np.testing.assert_array_equal(np.asarray(state.archive.entries.genomes)[:size], archived)
        assert int(metrics["archive_size"]) == min(7, 3 * (generation + 1))
        assert int(metrics["archive_overflow"]) == max(0, 3 * (generation + 1) - 7)

        rejected += int((offspring[:, 1] < -0.9).sum())
        assert int(metrics["rejected"]) == rejected
        assert int(metrics["evaluations"]) == evaluations_per_update(TOY) + (
            initial_evaluations(TOY) if generation == 0 else 0
        )
        assert int(metrics["environment_steps"]) == 3 * int(metrics["evaluations"])
    everybody = np.concatenate(seen)
    rewards = np.where(everybody[:, 1] >= -0.9, everybody[:, 0], -np.inf)
    np.testing.assert_allclose(metrics["max_reward"], rewards.max())
    np.testing.assert_allclose(metrics["max_reward_area_0"], rewards.max())
    found = discoveries(state)
    np.testing.assert_array_equal(found.ground_truth[0], everybody[rewards.argmax()])
    shown = np.asarray(found.ground_truth)[np.asarray(found.mask)]
    expected = np.concatenate(
        [np.tile(everybody[rewards.argmax()], (2, 1)), state.population.genomes, state.archive.entries.genomes]
    )
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"population_size": 0}, "population_size: got 0"),
        ({"offspring_per_parent": 0}, "offspring_per_parent: got 0"),
        ({"archive_additions": 0}, "archive_additions: got 0"),
        ({"num_neighbors": 0}, "num_neighbors: got 0"),
        ({"archive_capacity": -1}, "archive_capacity: got -1"),
        ({"num_neighbors": 101}, "num_neighbors: got 101, takes at most the population size, 100"),
        ({"archive_additions": 201}, "archive_additions: got 201, takes at most 200"),
        ({"archive_capacity": 4}, "archive_additions: got 5, takes at most 4"),
        ({"mutation_sigma": -0.1}, "mutation_sigma: got -0.1"),
        ({"mutation_sigma": float("nan")}, "mutation_sigma: got nan"),
        ({"genome_bound": 0.0}, "genome_bound: got 0.0"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        novelty_search(NoveltySearchConfig(**fields), plane())
