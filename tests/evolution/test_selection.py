from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_sparse.evolution.selection import crowding_distances, nsga_ii_select
from jaxrl_sparse.numerics.pareto import front_ranks

NUM, SURVIVORS = 16, 7
select = jax.jit(partial(nsga_ii_select, num_survivors=SURVIVORS))
crowd = jax.jit(crowding_distances)
rank = jax.jit(front_ranks)


def sequential_crowding(scores):
    """Deb's loop over objectives and places, for one front."""
    distances = np.zeros(len(scores))
    for values in scores.T:
        order = np.argsort(values, kind="stable")
        spread = values.max() - values.min()
        if spread > 0 or len(scores) == 1:
            distances[order[[0, -1]]] = np.inf
        for place in range(1, len(scores) - 1):
            if spread > 0:
                distances[order[place]] += (values[order[place + 1]] - values[order[place - 1]]) / spread
    return distances


def sequential_nsga_ii(scores, mask):
    """Fills front by front; the last one is sorted by crowding distance."""
    left = [i for i in range(len(scores)) if mask[i] and np.isfinite(scores[i]).all()]
    nobody = [i for i in range(len(scores)) if i not in left]
    survivors, distances = [], np.zeros(len(scores))
    while left:
        front = [
            i for i in left if not any((scores[j] >= scores[i]).all() and (scores[j] > scores[i]).any() for j in left)
        ]
        distances[front] = sequential_crowding(scores[front].astype(np.float64))
        survivors += sorted(front, key=lambda i: -distances[i])
        left = [i for i in left if i not in front]
    return (survivors + nobody)[:SURVIVORS], distances


@pytest.mark.parametrize("num_objectives", [2, 3])
@given(seed=st.integers(0, 2**31), num_values=st.sampled_from([2, 4, 9, 1000]))
@settings(max_examples=40, deadline=None)
def test_equals_the_sequential_algorithm(num_objectives, seed, num_values):
    rng = np.random.default_rng(seed)
    # Squares, so that distances differ; one row in ten is broken, and one in ten masked out.
    scores = (rng.integers(0, num_values, (NUM, num_objectives)) ** 2).astype(np.float32)
    scores[rng.random(NUM) < 0.1, -1] = rng.choice([np.nan, np.inf, -np.inf])
    mask = rng.random(NUM) < 0.9
    survivors, distances = sequential_nsga_ii(scores, mask)
    np.testing.assert_allclose(crowd(scores, rank(scores, mask)), distances, rtol=1e-5)
    np.testing.assert_array_equal(select(scores, mask=mask), survivors)


def test_crowding_by_hand():
    scores = jnp.array([[0.0, 10.0], [10.0, 0.0], [2.0, 5.0], [4.0, 4.0], [-1.0, -1.0], [5.0, 5.0]])
    distances = crowd(scores, jnp.array([0, 0, 0, 0, 1, 6]))
    np.testing.assert_allclose(distances, [np.inf, np.inf, 0.4 + 0.6, 0.8 + 0.5, np.inf, 0.0], rtol=1e-6)


def test_equal_individuals_survive_by_their_index():
    np.testing.assert_array_equal(select(jnp.ones((NUM, 2))), np.arange(SURVIVORS))


def test_crowding_does_not_depend_on_units():
    rng = np.random.default_rng(3)
    angles = np.sort(rng.uniform(0, np.pi / 2, NUM))
    scores = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    everybody = jnp.zeros(NUM, jnp.int32)
    scaled = crowd(scores * np.array([1000.0, 0.01], np.float32) + 1.0, everybody)
    np.testing.assert_allclose(scaled, crowd(scores, everybody), rtol=1e-2)


@pytest.mark.parametrize("number", [0, NUM + 1])
def test_refuses_bad_numbers(number):
    with pytest.raises(ValueError, match=f"num_survivors: got {number}, takes an integer from 1 to {NUM}"):
        nsga_ii_select(jnp.zeros((NUM, 2)), number)
