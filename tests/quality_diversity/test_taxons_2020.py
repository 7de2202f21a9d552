import dataclasses
import importlib
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from quality_diversity.planes import brute_force_novelties, plane

from jaxrl_sparse.networks.autoencoder_training import FitInfo
from jaxrl_sparse.networks.autoencoders import Autoencoder, AutoencoderVariables
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
    update = jax.jit(algorithm.update, compiler_options=QUICK_TO_COMPILE)
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


# Enough individuals and genes that the shares of those that mutate lie near their probabilities.
WIDE = dataclasses.replace(
    TOY, population_size=50, num_best=5, archive_capacity=64, mutation_sigma=0.1, genome_bound=1.0
)
NUM_GENES, NUM_GENERATIONS = 60, 8


def wide_plane():
    """The plane with more genes, which change nothing."""
    narrow = plane()
    return narrow._replace(
        evaluate_genomes=lambda key, genomes: narrow.evaluate_genomes(key, genomes[:, :2]), genome_size=NUM_GENES
    )


def no_autoencoder(image_size, code_size):
    def never(*arguments):
        raise AssertionError

    return Autoencoder(lambda key: AutoencoderVariables((), ()), never, never, never, image_size, code_size)


def places_and_their_squares(autoencoder, draw, variables, render_states, mask):
    """In place of codes and surprises."""
    return render_states[:, 0], jnp.sum(render_states[:, 0] ** 2, axis=-1)


def no_training(autoencoder, draw, key, state, render_states, mask, **options):
    return state, FitInfo(*[jnp.int32(0)] * 3, *[jnp.zeros(())] * 2)


@pytest.fixture(scope="module")
def search_wide():
    """States of a search for a probability of mutation; without an auto-encoder, so that it compiles fast."""
    with pytest.MonkeyPatch.context() as patch:
        # The package's name for the module is the function's.
        module = importlib.import_module("jaxrl_sparse.quality_diversity.taxons_2020")
        patch.setattr(module, "taxons_2020_autoencoder", no_autoencoder)
        patch.setattr(module, "describe_rows", places_and_their_squares)
        patch.setattr(module, "fit", no_training)

        @partial(jax.jit, compiler_options=QUICK_TO_COMPILE)
        def search(config):
            algorithm = taxons_2020(config, wide_plane())

            def generation(state, step):
                following, _ = algorithm.update(state, step)
                return following, following._replace(key=())

            start = algorithm.init(jax.random.key(0))
            _, following = jax.lax.scan(generation, start, jnp.arange(NUM_GENERATIONS, dtype=jnp.int32))
            return start._replace(key=()), following

        def states_of(mutation_probability):
            config = dataclasses.replace(WIDE, mutation_probability=mutation_probability)
            start, following = jax.device_get(search(config))
            rows = range(NUM_GENERATIONS)
            return [start, *(jax.tree.map(lambda leaf, row=row: leaf[row], following) for row in rows)]

        yield states_of


def by_hand(before, after, generation):
    """Genomes before mutation, whether they are archived, and who is added; for each criterion that may have ruled."""
    places, size = before.genomes[:, :2], int(before.archive.size)
    novelties = brute_force_novelties(places, before.archive.entries.genomes[:size, :2], WIDE.num_neighbors)
    surprises = after.population.evaluation.surprises
    np.testing.assert_allclose(surprises, (places**2).sum(axis=1), rtol=1e-5)
    for scores in (novelties, surprises) if generation >= WIDE.training_interval else (novelties,):
        order = np.argsort(-scores, kind="stable")
        best, worst = order[: WIDE.num_best], order[-WIDE.num_best :]
        copied = np.arange(WIDE.population_size)
        copied[worst] = best
        is_archived = before.is_archived.copy()
        is_archived[best] = True
        yield before.genomes[copied], is_archived[copied], before.genomes[best[~before.is_archived[best]]]


def mutations(states):
    """Of each generation: genomes before and after mutation, whether they are archived then, and the criterion."""
    for generation, (before, after) in enumerate(itertools.pairwise(states)):
        explained = []
        for criterion, (parents, is_archived, added) in enumerate(by_hand(before, after, generation)):
            new = after.archive.entries.genomes[int(before.archive.size) : int(after.archive.size)]
            # Genes that mutation leaves alone tell the parent; between strangers none is equal but for the bounds.
            related = ((after.genomes == parents).mean(axis=1) > 0.5).all()
            if related and np.array_equal(new, added):
                explained.append((parents, after.genomes, is_archived, after.is_archived, [criterion]))
        # The two criteria may choose the same individuals.
        assert explained
        yield explained[0]


def test_generations_by_hand_and_the_shares_of_mutants_and_of_their_genes(search_wide):
    generations = zip(*mutations(search_wide(WIDE.mutation_probability)), strict=True)
    parents, children, were_archived, are_archived, criteria = map(np.concatenate, generations)
    # Novelty, and surprise now and then once there was time for a training.
    assert not criteria[: WIDE.training_interval].any() and set(criteria[WIDE.training_interval :]) == {0, 1}
    changed = parents != children
    mutants = changed.any(axis=1)
    # Who mutates is somebody else, that the archive does not hold; who does not is whom it was.
    np.testing.assert_array_equal(are_archived, were_archived & ~mutants)
    assert were_archived.sum() > are_archived.sum() > 0
    # A gene at the bound that is pushed outwards stays there, so that shares are of the genes amid the box.
    inner = np.abs(parents) < 0.5
    for happened, probability in ((mutants, 0.9), (changed[mutants][inner[mutants]], 0.2)):
        deviation = np.sqrt(probability * (1.0 - probability) / happened.size)
        assert abs(happened.mean() - probability) < 4.0 * deviation < 0.07
    noise = (children - parents)[changed & inner]
    assert abs(noise.mean()) < 4.0 * 0.1 / np.sqrt(noise.size)
    np.testing.assert_allclose(noise.std(), 0.1, rtol=4.0 / np.sqrt(2 * noise.size))
    # What would leave the box ends on its edge.
    assert np.abs(children).max() == 1.0
    assert (np.abs(children[changed & (np.abs(parents) < 1.0)]) == 1.0).sum() > 50


def test_nobody_enters_the_archive_twice(search_wide):
    """Without mutation the same individuals stay among the best, as they are and as their own copies."""
    states = search_wide(0.0)
    for parents, children, were_archived, are_archived, _ in mutations(states):
        np.testing.assert_array_equal(children, parents)
        np.testing.assert_array_equal(are_archived, were_archived)
    size = int(states[-1].archive.size)
    archived = states[-1].archive.entries.genomes[:size]
    assert len(np.unique(archived, axis=0)) == size
    sizes = np.array([int(state.archive.size) for state in states])
    assert sizes[1] == WIDE.num_best and np.diff(sizes).min() < WIDE.num_best


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
