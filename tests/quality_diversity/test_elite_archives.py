from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_sparse.quality_diversity.elite_archives import (
    centroid_cells,
    cvt_centroids,
    elite_archive_init,
    elite_archive_insert,
    elite_archive_mask,
    elite_archive_sample,
    grid_cells,
    qd_score,
)

BATCH, NUM_CELLS = 8, 5
insert = jax.jit(elite_archive_insert, static_argnames="replace_on_tie")
# Few values, so that ties are the rule, as they are where rewards are sparse.
FITNESSES = st.lists(st.sampled_from([0.0, 0.0, 1.0, -3.0, np.nan, np.inf]), min_size=BATCH, max_size=BATCH)
CELLS = st.lists(st.integers(0, NUM_CELLS - 1), min_size=BATCH, max_size=BATCH)


def individuals_of(names):
    """Two leaves that tell who somebody is: both must come from the same individual."""
    names = jnp.asarray(names, jnp.float32)
    return {"genome": jnp.stack([names, -names], axis=1), "name": names}


def empty():
    return elite_archive_init(individuals_of([0.0]), NUM_CELLS)


def sequential_insertion(batches, replace_on_tie):
    elites, rejected = {}, 0
    for number, (cells, fitnesses, broken) in enumerate(batches):
        offered = {}
        for i in range(BATCH):
            if not np.isfinite(fitnesses[i]) or i == broken:
                rejected += 1
            elif cells[i] not in offered or fitnesses[i] > offered[cells[i]][0]:
                offered[cells[i]] = (fitnesses[i], 1.0 + BATCH * number + i)
        for cell, (fitness, name) in offered.items():
            stored = elites.get(cell, (-np.inf, 0.0))[0]
            if fitness > stored or (replace_on_tie and fitness == stored):
                elites[cell] = (fitness, name)
    return elites, rejected


@pytest.mark.parametrize("replace_on_tie", [False, True])
@given(st.lists(st.tuples(CELLS, FITNESSES, st.integers(0, BATCH)), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_equals_sequential_insertion(replace_on_tie, batches):
    archive = empty()
    for number, (cells, fitnesses, broken) in enumerate(batches):
        individuals = individuals_of(1.0 + BATCH * number + np.arange(BATCH))
        if broken < BATCH:
            individuals["genome"] = individuals["genome"].at[broken, 1].set(jnp.nan)
        archive = insert(archive, jnp.array(cells), jnp.array(fitnesses), individuals, replace_on_tie=replace_on_tie)
    elites, rejected = sequential_insertion(batches, replace_on_tie)
    fitness_map = [elites.get(cell, (-np.inf, 0.0))[0] for cell in range(NUM_CELLS)]
    names = [elites.get(cell, (-np.inf, 0.0))[1] for cell in range(NUM_CELLS)]
    np.testing.assert_array_equal(archive.fitnesses, fitness_map)
    np.testing.assert_array_equal(archive.entries["name"], names)
    np.testing.assert_array_equal(archive.entries["genome"], np.stack([names, np.negative(names)], axis=1))
    np.testing.assert_array_equal(elite_archive_mask(archive), np.isfinite(fitness_map))
    assert int(archive.rejected) == rejected
    np.testing.assert_allclose(qd_score(archive, 4.0), sum(fitness + 4.0 for fitness, _ in elites.values()))


@pytest.mark.parametrize("replace_on_tie", [False, True])
def test_insertion_is_idempotent(replace_on_tie):
    cells = jnp.array([0, 0, 1, 1, 2, 2, 2, 4])
    fitnesses = jnp.array([1.0, 1.0, 0.0, 2.0, -1.0, -1.0, -2.0, 0.0])
    arguments = (cells, fitnesses, individuals_of(np.arange(1.0, 9.0)))
    once = insert(empty(), *arguments, replace_on_tie=replace_on_tie)
    twice = insert(once, *arguments, replace_on_tie=replace_on_tie)
    jax.tree.map(np.testing.assert_array_equal, once, twice)


def test_batches_with_disjoint_cells_commute():
    first = (jnp.array([0, 1, 1, 0, 0, 1, 1, 0]), jnp.arange(8.0), individuals_of(np.arange(1.0, 9.0)))
    second = (jnp.array([2, 4, 4, 2, 4, 2, 2, 4]), -jnp.arange(8.0), individuals_of(np.arange(11.0, 19.0)))
    one_way = insert(insert(empty(), *first), *second)
    other_way = insert(insert(empty(), *second), *first)
    jax.tree.map(np.testing.assert_array_equal, one_way, other_way)


def test_cells_out_of_range_are_left_out_and_not_counted():
    cells = jnp.array([NUM_CELLS, -1, NUM_CELLS + 3, 1, NUM_CELLS, NUM_CELLS, NUM_CELLS, NUM_CELLS])
    archive = insert(empty(), cells, jnp.full(BATCH, 7.0), individuals_of(np.arange(1.0, 9.0)))
    np.testing.assert_array_equal(archive.fitnesses, [-np.inf, 7.0, -np.inf, -np.inf, -np.inf])
    np.testing.assert_array_equal(archive.entries["name"], [0.0, 4.0, 0.0, 0.0, 0.0])
    assert int(archive.rejected) == 0


def test_sampling_is_uniform_over_the_filled_cells():
    archive = insert(empty(), jnp.array([0, 3, 4, 4, 4, 4, 4, 4]), jnp.arange(8.0), individuals_of(np.arange(1.0, 9.0)))
    num_samples = 9000
    cells = jax.jit(elite_archive_sample, static_argnums=2)(jax.random.key(0), archive, num_samples)
    shares = np.bincount(cells, minlength=NUM_CELLS) / num_samples
    np.testing.assert_allclose(shares[[0, 3, 4]], 1 / 3, atol=4 * np.sqrt(2 / 9 / num_samples))
    assert shares[1] == shares[2] == 0.0


def test_grid_cells_by_hand():
    cells_of = partial(grid_cells, bounds=((0.0, -1.0), (1.0, 1.0)), shape=(4, 2))
    points = jnp.array([[0.0, -1.0], [0.24, 0.0], [0.25, -0.1], [0.99, 0.9], [1.0, 1.0], [7.0, -9.0], [-1e30, 1e30]])
    np.testing.assert_array_equal(cells_of(points), [0, 1, 2, 7, 7, 6, 1])


@pytest.mark.slow
@given(st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_a_grid_is_the_tessellation_of_its_centers(seed):
    shape, bounds = (3, 4, 2), ((-1.0, 0.0, 5.0), (1.0, 2.0, 6.0))
    lows, highs = np.array(bounds)
    axes = [np.linspace(low, high, 2 * n + 1)[1::2] for low, high, n in zip(lows, highs, shape, strict=True)]
    centers = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    points = np.random.default_rng(seed).uniform(lows, highs, (40, 3)).astype(np.float32)
    cell_sizes = (highs - lows) / shape
    nearest = np.argmin((((points[:, None] - centers) / cell_sizes) ** 2).sum(axis=-1), axis=1)
    np.testing.assert_array_equal(grid_cells(jnp.asarray(points), bounds, shape), nearest)
    scaled = jnp.asarray(points / cell_sizes, jnp.float32), jnp.asarray(centers / cell_sizes, jnp.float32)
    np.testing.assert_array_equal(centroid_cells(*scaled), nearest)


def test_two_centroids_of_a_long_box_halve_it():
    # k-means of a uniform density: the optimum has its centroids at 1/4 and 3/4 of the long side.
    find = jax.jit(lambda key: cvt_centroids(key, 2, ((0.0, 10.0), (8.0, 11.0)), num_samples=4000))
    centroids = find(jax.random.key(0))
    centroids = centroids[jnp.argsort(centroids[:, 0])]
    np.testing.assert_allclose(centroids, [[2.0, 10.5], [6.0, 10.5]], atol=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: elite_archive_init(individuals_of([0.0]), 0), "num_cells: got 0"),
        (lambda: cvt_centroids(jax.random.key(0), 0, ((0.0,), (1.0,))), "num_centroids: got 0"),
        (lambda: cvt_centroids(jax.random.key(0), 9, ((0.0,), (1.0,)), num_samples=8), "num_samples: got 8"),
    ],
)
def test_refuses_bad_sizes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
