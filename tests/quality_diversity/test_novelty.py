from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from jaxrl_sparse.quality_diversity.novelty import novelty_scores

NUM_QUERIES, NUM_REFERENCES, K = 20, 60, 5
EVERYWHERE = np.ones(NUM_REFERENCES, bool)
RNG = np.random.default_rng(0)
REFERENCES = RNG.normal(size=(NUM_REFERENCES, 2)).astype(np.float32)
QUERIES = REFERENCES[:NUM_QUERIES]


@pytest.fixture(scope="module")
def scores():
    return jax.jit(partial(novelty_scores, k=K, exclude_nearest=True))


@pytest.fixture(scope="module")
def scores_with_nearest():
    return jax.jit(partial(novelty_scores, k=K, exclude_nearest=False))


def brute_force(queries, references, mask, exclude_nearest):
    distances = np.sort(cdist(queries, references[mask]), axis=1)[:, int(exclude_nearest) :][:, :K]
    return distances.mean(axis=1) if distances.shape[1] else np.zeros(len(queries))


@given(valid=st.integers(0, NUM_REFERENCES), seed=st.integers(0, 2**31))
@settings(max_examples=12, deadline=None)
def test_equals_brute_force_with_any_number_of_references(scores, scores_with_nearest, valid, seed):
    mask = np.random.default_rng(seed).permutation(NUM_REFERENCES) < valid
    for function, exclude in ((scores, True), (scores_with_nearest, False)):
        expected = brute_force(QUERIES, REFERENCES, mask, exclude)
        np.testing.assert_allclose(function(QUERIES, REFERENCES, mask), expected, atol=1e-5)


@pytest.mark.parametrize("valid", [0, 1])
def test_without_a_neighbor_novelty_is_zero(scores, valid):
    mask = np.arange(NUM_REFERENCES) < valid
    np.testing.assert_array_equal(scores(QUERIES, REFERENCES, mask), np.zeros(NUM_QUERIES))


def test_the_order_of_the_references_does_not_matter(scores):
    shuffled = np.random.default_rng(1).permutation(REFERENCES)
    expected = scores(QUERIES, REFERENCES, EVERYWHERE)
    np.testing.assert_allclose(scores(QUERIES, shuffled, EVERYWHERE), expected, rtol=1e-6)


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_novelty_scales_with_the_descriptors(scores, factor):
    scaled = scores(factor * QUERIES, factor * REFERENCES, EVERYWHERE)
    np.testing.assert_allclose(scaled, factor * scores(QUERIES, REFERENCES, EVERYWHERE), rtol=1e-5)


def test_novelty_does_not_change_under_translation(scores):
    offset = np.array([30.0, -20.0], np.float32)
    moved = scores(QUERIES + offset, REFERENCES + offset, EVERYWHERE)
    np.testing.assert_allclose(moved, scores(QUERIES, REFERENCES, EVERYWHERE), atol=1e-5)


def test_identical_points_have_no_novelty(scores):
    same = np.full((NUM_REFERENCES, 2), 0.3, np.float32)
    np.testing.assert_array_equal(scores(same[:NUM_QUERIES], same, EVERYWHERE), np.zeros(NUM_QUERIES))


def test_a_small_cluster_far_away(scores):
    # Three copies at distance 10 from all the others: of the five neighbours two are copies, three the others.
    points = np.zeros((NUM_REFERENCES, 2), np.float32)
    points[:3, 0] = 10.0
    novelties = scores(points[:NUM_QUERIES], points, EVERYWHERE)
    np.testing.assert_allclose(novelties[:3], 3 * 10.0 / K, rtol=1e-6)
    np.testing.assert_array_equal(novelties[3:], 0.0)


@given(valid=st.integers(2, NUM_REFERENCES - 1), copied=st.integers(0, NUM_QUERIES - 1))
@settings(max_examples=8, deadline=None)
def test_a_copy_never_makes_novel(scores, valid, copied):
    mask = np.arange(NUM_REFERENCES) < valid
    before = scores(QUERIES, REFERENCES, mask)[copied]
    references, with_copy = REFERENCES.copy(), mask.copy()
    references[-1], with_copy[-1] = QUERIES[copied], True
    assert scores(QUERIES, references, with_copy)[copied] <= before + 1e-6


@given(valid=st.integers(K + 1, NUM_REFERENCES - 1))
@settings(max_examples=8, deadline=None)
def test_another_reference_never_makes_novel(scores, valid):
    fewer = scores(QUERIES, REFERENCES, np.arange(NUM_REFERENCES) < valid)
    more = scores(QUERIES, REFERENCES, np.arange(NUM_REFERENCES) < valid + 1)
    assert (np.asarray(more) <= np.asarray(fewer) + 1e-6).all()


def test_a_batch_of_searches_equals_a_loop(scores):
    queries = jnp.stack([QUERIES, 2 * QUERIES])
    references = jnp.stack([REFERENCES, REFERENCES[::-1] - 1.0])
    batched = jax.jit(jax.vmap(partial(novelty_scores, k=K, exclude_nearest=True), in_axes=(0, 0, None)))
    expected = [scores(q, r, EVERYWHERE) for q, r in zip(queries, references, strict=True)]
    np.testing.assert_allclose(batched(queries, references, EVERYWHERE), expected, rtol=1e-6)


@pytest.mark.parametrize("exclude_nearest", [True, False])
def test_refuses_to_look_at_no_neighbor(exclude_nearest):
    with pytest.raises(ValueError, match="k: got 0, takes an integer of at least 1"):
        novelty_scores(*map(jnp.asarray, (QUERIES, REFERENCES, EVERYWHERE)), 0, exclude_nearest)
