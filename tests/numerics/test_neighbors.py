from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from jaxrl_sparse.numerics.neighbors import nearest_neighbors

# 150 references make ten blocks, more than k: both selections are at work. 300 queries make two chunks.
NUM_QUERIES, NUM_REFERENCES, K = 300, 150, 4
EVERYWHERE = np.ones(NUM_REFERENCES, bool)


@pytest.fixture(scope="module", params=[2, 6], ids=["differences", "products"])
def case(request):
    rng = np.random.default_rng(request.param)
    queries = rng.normal(size=(NUM_QUERIES, request.param)).astype(np.float32)
    references = rng.normal(size=(NUM_REFERENCES, request.param)).astype(np.float32)
    return jax.jit(partial(nearest_neighbors, k=K)), queries, references


def brute_force(queries, references, mask, k):
    """Distances and indices in the order of (distance, index), in float64."""
    distances = cdist(queries.astype(np.float64), references.astype(np.float64))
    distances = np.where(mask, distances, np.inf)
    indices = np.argsort(distances, axis=1, kind="stable")[:, :k]
    nearest = np.take_along_axis(distances, indices, axis=1)
    return nearest, np.where(np.isfinite(nearest), indices, len(references))


@given(share=st.floats(0.0, 1.0), seed=st.integers(0, 2**31))
@settings(max_examples=12, deadline=None)
def test_equals_brute_force_under_any_mask(case, share, seed):
    neighbors, queries, references = case
    mask = np.random.default_rng(seed).random(NUM_REFERENCES) < share
    distances, indices = brute_force(queries, references, mask, K)
    found = neighbors(queries, references, mask)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-5)
    np.testing.assert_array_equal(found.indices, indices)


def test_fewer_valid_references_than_neighbors(case):
    neighbors, queries, references = case
    mask = np.isin(np.arange(NUM_REFERENCES), [17, 140])
    found = neighbors(queries, references, mask)
    assert np.isinf(found.distances[:, 2:]).all() and (np.asarray(found.indices[:, 2:]) == NUM_REFERENCES).all()
    np.testing.assert_array_equal(np.sort(found.indices[:, :2]), np.tile([17, 140], (NUM_QUERIES, 1)))


def test_equally_near_references_come_in_the_order_of_their_indices(case):
    neighbors, _, references = case
    # Integer coordinates: many distances are equal, within blocks and across them.
    points = np.round(references)
    queries = np.tile(points, (2, 1))
    distances, indices = brute_force(queries, points, EVERYWHERE, K)
    found = neighbors(queries, points, EVERYWHERE)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-6)
    if points.shape[1] <= 4:  # Above, equally near references are chosen from by rounded products.
        np.testing.assert_array_equal(found.indices, indices)


def test_a_copy_far_from_the_origin_is_at_distance_zero(case):
    neighbors, _, references = case
    queries = np.tile(references, (2, 1)) + np.float32(1000.0)
    found = neighbors(queries, references + np.float32(1000.0), EVERYWHERE)
    assert (np.asarray(found.distances[:, 0]) == 0.0).all()


def test_references_that_are_not_finite_do_not_exist(case):
    neighbors, queries, references = case
    broken = references.copy()
    broken[3, 0], broken[77, 1], broken[149, 0] = np.nan, np.inf, -np.inf
    mask = np.isfinite(broken).all(axis=1)
    everywhere = neighbors(queries, broken, EVERYWHERE)
    jax.tree.map(np.testing.assert_array_equal, everywhere, neighbors(queries, references, mask))


def test_more_neighbors_than_references():
    references = jnp.array([[0.0], [3.0], [1.0]])
    found = nearest_neighbors(jnp.zeros((1, 1)), references, jnp.ones(3, bool), 5)
    np.testing.assert_array_equal(found.distances, [[0.0, 1.0, 3.0, np.inf, np.inf]])
    np.testing.assert_array_equal(found.indices, [[0, 2, 1, 3, 3]])


def test_refuses_no_neighbors():
    with pytest.raises(ValueError, match="k: got 0, takes"):
        nearest_neighbors(jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.ones(1, bool), 0)
