import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from quality_diversity.planes import individuals_of, plane

from jaxrl_sparse import train
from jaxrl_sparse.evolution.selection import nsga_ii_select
from jaxrl_sparse.quality_diversity.archives import archive_mask
from jaxrl_sparse.quality_diversity.exploration import Candidates, NoveltySearchConfig
from jaxrl_sparse.quality_diversity.learned_space import AutoencoderConfig, learned_space
from jaxrl_sparse.quality_diversity.taxons import (
    CRITERIA,
    TaxonsConfig,
    check_budget,
    evaluations_per_update,
    initial_evaluations,
    survival,
    taxons,
)

TOY = TaxonsConfig(
    exploration=NoveltySearchConfig(
        population_size=8, offspring_per_parent=2, archive_additions=3, num_neighbors=3, archive_capacity=64
    ),
    autoencoder=AutoencoderConfig(image_size=8, channels=(4,), code_size=2, batch_size=16, max_epochs=3),
    chunk_evaluations=32,
)
NUM_UPDATES = 7


@pytest.fixture(scope="module")
def run():
    problem = plane()
    algorithm = taxons(TOY, problem)

    @partial(jax.jit, compiler_options=QUICK_TO_COMPILE)
    def searched(key):
        start = algorithm.init(key)
        return start, *train(algorithm, start, NUM_UPDATES)

    return learned_space(TOY.autoencoder, problem), *searched(jax.random.key(0))


@pytest.mark.slow
def test_training_comes_after_chunks_1_3_6(run):
    _, start, state, metrics = run
    trained = np.flatnonzero(np.asarray(metrics["autoencoder_epochs"])) + 1
    np.testing.assert_array_equal(trained, [1, 3, 6])
    np.testing.assert_array_equal(np.asarray(metrics["autoencoder_epochs"])[trained - 1], [3, 3, 3])
    # Population, offspring and archive: 3 additions in each of 2 generations a chunk.
    np.testing.assert_array_equal(np.asarray(metrics["autoencoder_images"])[trained - 1], 8 + 16 + 6 * trained)
    parameters = [jax.tree.leaves(s.space.variables.parameters) for s in (start, state)]
    assert all((before != after).any() for before, after in zip(*parameters, strict=True))
    np.testing.assert_array_equal(np.asarray(metrics["evaluations"]), [40, *[32] * (NUM_UPDATES - 1)])
    assert initial_evaluations(TOY) + evaluations_per_update(TOY) == 40


@pytest.mark.slow
def test_all_that_is_stored_has_the_codes_of_the_last_training(run):
    space, _, state, _ = run
    search = state.search
    stored = [
        (search.population, np.ones(8, bool)),
        (state.offspring, np.ones(16, bool)),
        (search.archive.entries, np.asarray(archive_mask(search.archive))),
    ]
    describe = jax.jit(space.describe)
    for individuals, mask in stored:
        again = describe(state.space, individuals.evaluation, jnp.ones(mask.shape, bool))
        for word in ("descriptors", "surprises"):
            found, expected = getattr(individuals.evaluation, word), getattr(again, word)
            np.testing.assert_allclose(np.asarray(found)[mask], np.asarray(expected)[mask], atol=1e-5)
        np.testing.assert_array_equal(individuals.evaluation.render_states[:, 0], individuals.genomes)
        assert np.ptp(np.asarray(again.descriptors)[mask], axis=0).min() > 0


def candidates_of(rng):
    individuals = individuals_of(rng.normal(size=(9, 2)))
    surprises = rng.integers(0, 3, 9).astype(np.float32)
    surprises[4] = np.inf
    evaluation = individuals.evaluation._replace(surprises=jnp.asarray(surprises))
    valid = jnp.arange(9) != 4
    novelties = jnp.where(valid, jnp.asarray(rng.integers(0, 4, 9), jnp.float32), -jnp.inf)
    return Candidates(individuals._replace(evaluation=evaluation), valid, novelties, individuals, valid)


def test_who_survives_by_each_criterion():
    candidates = candidates_of(np.random.default_rng(1))
    novelties, valid = np.asarray(candidates.novelties), np.asarray(candidates.valid)
    surprises = np.where(valid, candidates.individuals.evaluation.surprises, -np.inf)
    by_novelty, by_surprise = (np.argsort(-scores, kind="stable")[:5] for scores in (novelties, surprises))
    assert set(by_novelty) != set(by_surprise)
    keys = jax.random.split(jax.random.key(0), 200)

    @jax.jit
    def select(keys):
        chosen = {c: jax.vmap(lambda key, c=c: survival(c, 5)(key, candidates))(keys) for c in CRITERIA}
        both = jnp.stack([candidates.novelties, jnp.where(valid, surprises, 0.0)], axis=-1)
        return chosen, nsga_ii_select(both, 5, candidates.valid)

    chosen, fronts = jax.tree.map(np.asarray, select(keys))
    for criterion, expected in (
        ("novelty", by_novelty),
        ("surprise", by_surprise),
        ("pareto", fronts),
        ("frozen", np.arange(5)),
    ):
        np.testing.assert_array_equal(chosen[criterion], np.tile(expected, (200, 1)))
    tossed = (chosen["alternate"] == by_novelty).all(axis=1)
    np.testing.assert_array_equal(tossed | (chosen["alternate"] == by_surprise).all(axis=1), True)
    assert 70 < tossed.sum() < 130


@pytest.mark.parametrize(
    ("fields", "problem", "message"),
    [
        ({"criterion": "both"}, plane(), "criterion: got 'both', takes alternate or pareto or"),
        ({"chunk_evaluations": 0}, plane(), "chunk_evaluations: got 0"),
        ({"exploration": NoveltySearchConfig(num_neighbors=0)}, plane(), "num_neighbors: got 0"),
        ({}, plane()._replace(render=None), "problem.render: got None, takes a problem whose outcomes have images"),
    ],
)
def test_refuses_bad_configurations(fields, problem, message):
    with pytest.raises(ValueError, match=message):
        taxons(dataclasses.replace(TOY, **fields), problem)


def test_refuses_a_budget_that_overflows_the_archive():
    # Three rows a generation, in chunks of two generations: 20 of them, and not 21, fit.
    check_budget(TOY, 8 + 20 * 16)
    with pytest.raises(ValueError, match="archive_capacity: got 64, takes at least 66, which 329 evaluations can fill"):
        check_budget(TOY, 8 + 20 * 16 + 1)
