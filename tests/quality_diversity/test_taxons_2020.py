import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quality_diversity.planes import brute_force_novelties, plane

from jaxrl_sparse.quality_diversity.taxons_2020 import Taxons2020Config, check_budget, taxons_2020

TOY = Taxons2020Config(
    population_size=12,
    num_best=3,
    num_neighbors=3,
    archive_capacity=32,
    training_interval=3,
    num_epochs=2,
    batch_size=16,
    image_size=16,
    code_size=2,
    mutation_sigma=0.5,
)


@pytest.fixture(scope="module")
def generations():
    algorithm = taxons_2020(TOY, plane())
    update = jax.jit(algorithm.update)
    states, rows = [jax.jit(algorithm.init)(jax.random.key(0))], []
    for step in range(5):
        # The state before is looked at again, its key must not be.
        state, row = update(states[-1], jnp.int32(step))
        states.append(state)
        rows.append(row)
    return states, rows


@pytest.mark.slow
def test_the_best_enter_the_archive_and_take_the_places_of_the_worst(generations):
    states, rows = generations
    for step, (before, after, row) in enumerate(zip(states, states[1:], rows, strict=False)):
        np.testing.assert_array_equal(after.population.genomes, before.genomes)
        codes = np.asarray(after.population.evaluation.descriptors)
        size = int(before.archive.size)
        archived = np.asarray(before.archive.entries.evaluation.descriptors)[:size]
        novelties = brute_force_novelties(codes, archived, TOY.num_neighbors)
        surprises = np.asarray(after.population.evaluation.surprises)
        np.testing.assert_allclose(row["mean_novelty"], novelties.mean(), rtol=1e-4)
        np.testing.assert_allclose(row["mean_surprise"], surprises.mean(), rtol=1e-4)
        fits = []
        for scores in (novelties, surprises) if step >= TOY.training_interval else (novelties,):
            order = np.argsort(-scores, kind="stable")
            new = [i for i in order[:3] if not before.is_archived[i]]
            copied = np.arange(12)
            copied[order[-3:]] = order[:3]
            added = np.asarray(after.archive.entries.genomes)[size : int(after.archive.size)]
            parents = np.asarray(before.genomes)[copied]
            unchanged = (np.asarray(after.genomes) == parents).all(axis=1)
            same = np.array_equal(added, np.asarray(before.genomes)[new])
            # Whoever did not mutate is as archived as its parent; whoever did is not.
            flags = np.isin(copied, order[:3]) | np.asarray(before.is_archived)[copied]
            stays = np.asarray(after.is_archived)
            fits.append(same and not (stays & ~flags).any() and unchanged[stays].all())
        assert any(fits)


@pytest.mark.slow
def test_it_trains_after_every_third_generation_on_these_and_the_archive(generations):
    states, rows = generations
    images = [int(row["autoencoder_images"]) for row in rows]
    assert images == [0, 0, 3 * 12 + int(states[3].archive.size), 0, 0]
    first, trained, last = (jax.tree.leaves(states[i].autoencoder.variables) for i in (0, 3, 5))
    assert any((a != b).any() for a, b in zip(first, trained, strict=True))
    assert all((a == b).all() for a, b in zip(trained, last, strict=True))
    assert [int(row["evaluations"]) for row in rows] == [12] * 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_best": 7}, "num_best: got 7, takes at most half of the population, 6"),
        ({"num_neighbors": 12}, "num_neighbors: got 12, takes at most the others, 11"),
        ({"mutation_probability": 1.5}, "mutation_probability: got 1.5"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"training_interval": 0}, "training_interval: got 0"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        taxons_2020(dataclasses.replace(TOY, **fields), plane())


def test_refuses_outcomes_without_images_and_budgets_without_room():
    with pytest.raises(ValueError, match=r"problem\.render: got None"):
        taxons_2020(TOY, plane()._replace(render=None))
    check_budget(TOY, 120)
    with pytest.raises(ValueError, match="archive_capacity: got 32, takes at least 33"):
        check_budget(TOY, 121)
