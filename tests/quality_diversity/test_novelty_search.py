import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quality_diversity.planes import brute_force_novelties, plane

from jaxrl_sparse.quality_diversity.novelty_search import (
    NoveltySearchConfig,
    discoveries,
    evaluations_per_update,
    initial_evaluations,
    novelty_search,
)

TOY = NoveltySearchConfig(
    population_size=6, offspring_per_parent=2, archive_additions=3, num_neighbors=3, archive_capacity=7
)


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
