"""Maps, footprints and counts by hand; bounds against brute force on small maps."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.grids.grid_walk import next_cells
from jaxrl_sparse.environments.grids.instances import (
    ITEM_CELLS,
    bimodal_instance,
    biodiversity_instance,
    block_footprint,
    coverage_instance,
    density_instance,
    entropy_instance,
    item_collection_instance,
    two_rooms_instance,
)


def jitted(make):
    return jax.jit(make, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))


def cells_of(footprint, cell):
    row = np.asarray(footprint)[cell]
    return sorted(row[row >= 0].tolist())


def covered(instance, walk):
    """The weight of the union of the footprints, by Python sets."""
    items = set().union(*(cells_of(instance.footprint, cell) for cell in walk))
    return sum(float(instance.weights[item]) for item in items)


def test_footprints_of_the_published_size():
    """2 x 2 down and right, cut at the border; the large one is the union of the small ones of the small block."""
    open_map = np.ones((30, 30), bool)
    small, large = block_footprint(open_map), block_footprint(open_map, 3)
    assert small.shape == (900, 4)
    assert cells_of(small, 34) == [34, 35, 64, 65]
    assert cells_of(small, 899) == [899]
    assert cells_of(small, 29) == [29, 59]
    assert cells_of(small, 870) == [870, 871]
    for cell in (0, 34, 29, 898, 899):
        union = set().union(*(cells_of(small, part) for part in cells_of(small, cell)))
        assert cells_of(large, cell) == sorted(union)


def test_walls_are_in_no_footprint():
    walkable = np.array([[1, 0, 1], [1, 1, 0]], bool)
    footprint = block_footprint(walkable)
    assert [cells_of(footprint, cell) for cell in (0, 2, 3, 4)] == [[0, 3, 4], [2], [3, 4], [4]]


def test_constant_coverage():
    instance = coverage_instance()
    assert (instance.horizon, int(instance.start), float(instance.upper_bound)) == (80, 34, 162.0)
    # A staircase covers four cells and two more with every move; so does a way there and back, which attains the bound.
    right, down, left = 1, 2, 3
    snake = [right] * 24 + [down] * 2 + [left] * 28 + [down] * 2 + [right] * 23
    table = np.asarray(next_cells(instance.walkable))
    for actions, expected in (([right, down] * 12, 4 + 2 * 24), (snake, 162)):
        walk = [34]
        for action in actions:
            walk.append(table[walk[-1], action])
        assert covered(instance, walk) == expected
    assert covered(instance, [34] * 80) == 4


def test_the_two_rooms():
    instance = two_rooms_instance()
    walkable = np.asarray(instance.walkable)
    assert walkable.shape == (7, 14) and walkable.sum() == 68
    assert (instance.horizon, int(instance.start), float(instance.upper_bound)) == (40, 2 * 14 + 6, 68.0)
    # The wall is six columns wide and leaves rows 2 and 3 open.
    np.testing.assert_array_equal(np.flatnonzero(~walkable.all(axis=0)), np.arange(4, 10))
    np.testing.assert_array_equal(np.flatnonzero(walkable.all(axis=1)), [2, 3])
    np.testing.assert_array_equal(np.flatnonzero(np.asarray(instance.weights) == 0), np.flatnonzero(~walkable))


def test_two_hills():
    instance = bimodal_instance()
    weights = np.asarray(instance.weights).reshape(30, 30)
    x = np.linspace(-1, 1, 30)
    np.testing.assert_allclose(weights, 1 / (1 + np.exp(-np.outer(x, x))), rtol=1e-5)
    np.testing.assert_allclose(weights[0, 0], weights[29, 29], rtol=1e-6)
    assert weights.max() == weights[0, 0] and instance.horizon == 40
    assert 51.449 < instance.upper_bound < 82 * weights.max()


def test_items():
    instance = item_collection_instance(jax.random.key(0))
    groups = np.asarray(instance.group_of_cell)
    assert groups.shape == (105,) and instance.walkable.shape == (7, 15)
    np.testing.assert_array_equal(np.bincount(groups[groups >= 0]), ITEM_CELLS)
    assert (groups == -1).sum() == 12
    np.testing.assert_array_equal(instance.caps, [3, 2, 3, 4, 6, 3])
    assert (float(instance.upper_bound), instance.horizon, int(instance.start)) == (21.0, 40, 34)
    other = np.asarray(item_collection_instance(jax.random.key(1)).group_of_cell)
    assert (other != groups).any()


def test_a_density_is_a_draw_plus_three():
    """Mean 3 and the prior's deviation over draws, never negative."""
    keys = jax.random.split(jax.random.key(0), 40)
    draws = jax.jit(jax.vmap(lambda key: density_instance(key, 8, 8)), compiler_options=QUICK_TO_COMPILE)
    instances = draws(keys)
    weights = np.asarray(instances.weights)
    assert weights.shape == (40, 64) and instances.footprint.shape == (40, 64, 4)
    assert (weights >= 0).all()
    deviation = np.sqrt(np.log(2))
    assert abs(weights.mean() - 3) < 4 * deviation / np.sqrt(40)
    np.testing.assert_allclose(weights.std(axis=0).mean(), deviation, rtol=0.25)
    # Neighbours are alike, as a lengthscale of ten cells says.
    assert np.abs(weights[:, 1] - weights[:, 0]).mean() < 0.25


@pytest.mark.slow
def test_a_density_of_the_published_size():
    weights = np.asarray(jitted(density_instance).weights)
    assert weights.shape == (900,) and 0 <= weights.min() < 3 < weights.max() < 7


def test_nests():
    instance = jitted(lambda key: biodiversity_instance(key, 12, 10, start=5))
    weights = np.asarray(instance.weights)
    assert (weights >= 0).all() and np.isfinite(weights).all()
    np.testing.assert_allclose(weights.mean(), 1.0, rtol=1e-5)
    assert weights.max() > 1.5


def test_entropy():
    """A covariance: symmetric, positive definite, below the prior's variance, with 1e-6 on its diagonal."""
    with jax.enable_x64(True):
        instance = jitted(lambda key: entropy_instance(key, 8, 9))
        covariance = np.asarray(instance.covariance, np.float64)
    np.testing.assert_array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert covariance.shape == (72, 72) and np.diagonal(covariance).max() <= np.log(2) + 2e-6
    variance = float(instance.noise_variance)
    np.testing.assert_allclose(variance, 1e-3)
    walk = np.array([34, 34, 35, 44, 53, 71])
    information = 0.5 * np.linalg.slogdet(np.eye(6) + covariance[np.ix_(walk, walk)] / variance)[1]
    assert 0 < information < 6 / 40 * float(instance.upper_bound)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_no_walk_is_above_the_bound(block):
    """All walks of four moves on a map of 4 x 5 with a wall; constant coverage attains it with one cell a visit."""
    walkable = np.ones((4, 5), bool)
    walkable[1, 2] = False
    weights = np.asarray(jax.random.uniform(jax.random.key(0), (4, 5)))
    table = np.asarray(next_cells(walkable))
    for values, is_attained in ((None, block == 1), (weights, False)):
        instance = coverage_instance(values, walkable, start=6, horizon=5, block=block)
        assert instance.weights[7] == 0
        parts = [frozenset(cells_of(instance.footprint, cell)) for cell in range(20)]
        best = 0.0
        for actions in itertools.product(range(1, 5), repeat=4):
            walk = [6]
            for action in actions:
                walk.append(table[walk[-1], action])
            items = frozenset().union(*(parts[cell] for cell in walk))
            best = max(best, float(np.asarray(instance.weights)[list(items)].sum()))
        assert best <= float(instance.upper_bound) + 1e-5
        assert (best == float(instance.upper_bound)) == is_attained


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: coverage_instance(horizon=1), "horizon: got 1, takes an integer of at least 2"),
        (lambda: item_collection_instance(jax.random.key(0), 1), "horizon: got 1, takes an integer of at least 2"),
        (lambda: entropy_instance(jax.random.key(0), 3, 3), "start: got 34, takes a walkable cell, below 9"),
        (lambda: coverage_instance(-np.ones(900)), "weights: got -1.0, takes no negative number"),
        (lambda: coverage_instance(np.ones(3)), r"weights: got \(3,\), takes one for each of 900 cells"),
        (lambda: coverage_instance(start=900), "start: got 900, takes a walkable cell, below 900"),
        (lambda: block_footprint(jnp.ones((2, 2)), 0), "block: got 0, takes an integer of at least 1"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
