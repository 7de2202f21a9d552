import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from quality_diversity.planes import plane

from jaxrl_sparse import train
from jaxrl_sparse.quality_diversity.behavior_spaces import BehaviorSpace, described
from jaxrl_sparse.quality_diversity.emitters import EmitterConfig
from jaxrl_sparse.quality_diversity.exploration import NoveltySearchConfig
from jaxrl_sparse.quality_diversity.learned_space import AutoencoderConfig, learned_space
from jaxrl_sparse.quality_diversity.serene import SereneConfig, emitter_search
from jaxrl_sparse.quality_diversity.serene_state import stored_evaluations, with_evaluations
from jaxrl_sparse.quality_diversity.stax import StaxConfig, check_budget, stax
from jaxrl_sparse.quality_diversity.taxons import survival

SEARCH = SereneConfig(
    exploration=NoveltySearchConfig(
        population_size=8,
        offspring_per_parent=2,
        archive_additions=3,
        num_neighbors=3,
        archive_capacity=64,
        mutation_sigma=0.5,
    ),
    emitters=EmitterConfig(population_size=4, bootstrap_generations=4, num_novel=8),
    chunk_evaluations=64,
    reward_archive_capacity=64,
    max_candidates=16,
    max_emitters=4,
)
TOY = StaxConfig(
    search=SEARCH,
    autoencoder=AutoencoderConfig(image_size=8, channels=(4,), code_size=2, batch_size=16, max_epochs=3),
)


def identical(first, second):
    def plain(leaf):
        return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf

    jax.tree.map(lambda a, b: np.testing.assert_array_equal(plain(a), plain(b)), first, second)


@pytest.fixture(scope="module")
def run():
    """Seven updates, of which 0, 2, 4 and 6 explore: training is due after updates 0 and 4."""
    problem = plane()
    algorithm = stax(TOY, problem)
    trained = jax.jit(lambda key: train(algorithm, algorithm.init(key), 7), compiler_options=QUICK_TO_COMPILE)
    return learned_space(TOY.autoencoder, problem), *trained(jax.random.key(3))


@pytest.mark.slow
def test_training_comes_after_exploring_chunks_1_and_3_and_everything_has_its_codes(run):
    space, state, metrics = run
    np.testing.assert_array_equal(np.flatnonzero(np.asarray(metrics["autoencoder_epochs"])), [0, 4])
    assert int(metrics["emitters"][-1]) > 0 and int(metrics["reward_archive_size"][-1]) > 0

    @jax.jit
    def again(state):
        stored = stored_evaluations(state)
        return stored, described(space, state.space, stored)

    stored, fresh = again(state)
    shown = [int(part.mask.sum()) for part in stored]
    # Population, offspring, archive, rewarded, emitters' ancestors and novel members: there are some of each.
    assert all(shown[i] > 0 for i in (0, 1, 2, 3, 5, 6)), shown
    for part, evaluation in zip(stored, fresh, strict=True):
        mask = np.asarray(part.mask)
        for word in ("descriptors", "surprises"):
            found, expected = getattr(part.evaluation, word), getattr(evaluation, word)
            np.testing.assert_allclose(np.asarray(found)[mask], np.asarray(expected)[mask], atol=1e-5)


@pytest.mark.slow
def test_what_is_stored_goes_back_to_where_it_was(run):
    _, state, _ = run

    @jax.jit
    def numbered(state):
        stored = stored_evaluations(state)
        marked = [
            part.evaluation._replace(rewards=100.0 * i + jnp.arange(len(part.mask))) for i, part in enumerate(stored)
        ]
        after = with_evaluations(state, marked)
        same = with_evaluations(state, [part.evaluation for part in stored])
        return marked, [part.evaluation for part in stored_evaluations(after)], same

    marked, found, same = numbered(state)
    identical(marked, found)
    identical(same, state)


@pytest.mark.slow
def test_in_the_true_behaviour_space_it_is_serene_by_pareto_fronts():
    problem = plane()
    truth = BehaviorSpace(
        init=lambda key: jnp.zeros(()),
        describe=lambda state, evaluation, mask: evaluation._replace(surprises=jnp.zeros_like(evaluation.rewards)),
        learn=lambda key, state, render_states, mask: (state, {}),
        is_due=lambda chunks: jnp.zeros((), bool),
    )
    select = survival("pareto", SEARCH.exploration.population_size)

    @partial(jax.jit, compiler_options=QUICK_TO_COMPILE)
    def both(keys):
        searches = [emitter_search(SEARCH, problem, select, space) for space in (truth, None)]
        return [train(search, search.init(key), 4) for search, key in zip(searches, keys, strict=True)]

    data = jax.random.key_data(jax.random.key(0))
    keys = [jax.random.wrap_key_data(data) for _ in range(2)]
    (learned, learned_metrics), (given, given_metrics) = both(keys)
    assert int(given.reward_archive.size) > 0
    assert (np.asarray(learned.search.population.evaluation.surprises) == 0).all()
    for word in ("search", "reward_archive"):
        first, second = getattr(learned, word), getattr(given, word)
        # One has surprises, the other none.
        assert jax.tree.structure(first) != jax.tree.structure(second)
    identical(learned.search.population.genomes, given.search.population.genomes)
    identical(learned.search.archive.entries.genomes, given.search.archive.entries.genomes)
    identical(learned.reward_archive.entries.genomes, given.reward_archive.entries.genomes)
    identical(learned.pool.emitters.novel.genomes, given.pool.emitters.novel.genomes)
    identical(learned_metrics, given_metrics)


def test_refuses_outcomes_without_images_and_budgets_without_room():
    with pytest.raises(ValueError, match=r"problem\.render: got None, takes a problem whose outcomes have images"):
        stax(TOY, plane()._replace(render=None))
    with pytest.raises(ValueError, match="training: got 'sometimes', takes continue or reset"):
        stax(dataclasses.replace(TOY, autoencoder=AutoencoderConfig(training="sometimes")), plane())
    with pytest.raises(ValueError, match="archive_capacity: got 64, takes at least 72"):
        check_budget(TOY, 360)
