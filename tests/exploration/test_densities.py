"""Densities that integrate to one, against numpy, and EM against what drew the points."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from scipy.stats import multivariate_normal

from jaxrl_sparse.exploration.counts import box_cells
from jaxrl_sparse.exploration.densities import box_density, cell_density, gaussian_mixture, histogram

CELLS = box_cells((0.0, 0.0), (1.0, 1.0), (3, 2))
# One point in each cell.
CENTERS = jnp.stack(jnp.meshgrid((jnp.arange(3) + 0.5) / 3, (jnp.arange(2) + 0.5) / 2, indexing="ij"), -1).reshape(6, 2)


@functools.cache
def quick(function):
    """Compiled once for every function."""
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


def log_prob(model, points, state):
    return np.asarray(quick(model.log_prob)(points, state))


def learnt(model, *batches, num_inputs=2):
    """The state after batches, all of whose rows count."""
    state = started(model, num_inputs)
    for batch in batches:
        state = quick(model.update)(batch, jnp.asarray(np.ones(len(batch), bool)), state)
    return state


@functools.cache
def started(model, num_inputs):
    like = jax.ShapeDtypeStruct((num_inputs,), jnp.float32)
    return quick(lambda: model.init(jax.random.key(0), like))()


def two_hills(num_points):
    """A third of the points around (-3, 0), deviations .5 and 1, the others around (2, 1), deviations 1 and .3."""
    rng = np.random.default_rng(2)
    is_left = rng.random(num_points) < 1 / 3
    left = rng.normal((-3, 0), (0.5, 1), (num_points, 2))
    right = rng.normal((2, 1), (1, 0.3), (num_points, 2))
    points = np.where(is_left[:, None], left, right)
    density = multivariate_normal.pdf(points, (-3, 0), (0.25, 1)) / 3
    density += 2 * multivariate_normal.pdf(points, (2, 1), (1, 0.09)) / 3
    return jnp.asarray(points, jnp.float32), np.log(density)


def test_a_histogram_by_hand():
    points = jnp.asarray(np.random.default_rng(0).random((200, 2)), jnp.float32)
    counts, _, _ = np.histogram2d(*np.asarray(points).T, (3, 2), ((0, 1), (0, 1)))
    model = histogram(CELLS, 6, pseudo_count=0.5)
    state = learnt(model, points[:50], points[50:])
    probabilities = np.exp(log_prob(model, CENTERS, state))
    np.testing.assert_allclose(probabilities, (counts.ravel() + 0.5) / (200 + 3), rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-6)
    # Before anything is known it is the uniform one.
    np.testing.assert_allclose(log_prob(model, CENTERS, learnt(model)), model.log_uniform, rtol=1e-6)


def test_one_gaussian_has_the_mean_and_the_variance_of_all_rows():
    """However they come in batches, and far away from the origin."""
    points = jnp.asarray(np.random.default_rng(1).normal((1000, -2000), (0.5, 3), (300, 2)), jnp.float32)
    rows = np.asarray(points, np.float64)
    expected = multivariate_normal.logpdf(rows, rows.mean(0), np.diag(rows.var(0)))
    model = gaussian_mixture()
    for parts in ((points,), jnp.split(points, 3)):
        np.testing.assert_allclose(log_prob(model, points, learnt(model, *parts)), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("num_components", [1, 4])
def test_gaussians_integrate_to_one(num_components):
    points, _ = two_hills(400)
    model = gaussian_mixture(num_components)
    axis = jnp.linspace(-30, 30, 601)
    grid = jnp.stack(jnp.meshgrid(axis, axis), -1).reshape(-1, 2)
    for batches in ((), (points[:200],), (points[:200], points[200:])):
        density = np.exp(log_prob(model, grid, learnt(model, *batches)))
        np.testing.assert_allclose(density.sum() * 0.1**2, 1, rtol=1e-3)


@pytest.mark.slow
def test_two_hills_are_found():
    """Both are the same as far as the number of points tells, and so is what comes in four batches."""
    points, log_density = two_hills(2000)
    model = gaussian_mixture(2, num_passes=40)
    state = learnt(model, points)
    gained = np.mean(log_prob(model, points, state)) - log_density.mean()
    assert -0.02 < gained < 0.02
    np.testing.assert_allclose(np.sort(state.masses), [1 / 3, 2 / 3], atol=0.03)
    in_batches = learnt(model, *jnp.split(points, 4))
    assert np.mean(log_prob(model, points, in_batches)) > log_density.mean() - 0.05
    # One hill is not enough.
    assert np.mean(log_prob(model, points, learnt(gaussian_mixture(1), points))) < log_density.mean() - 0.3


def test_likelihood_does_not_fall():
    points, _ = two_hills(500)
    models = [gaussian_mixture(3, num_passes=passes) for passes in (1, 4, 16)]
    values = [np.mean(log_prob(model, points, learnt(model, points))) for model in models]
    assert (np.diff(values) > -1e-4).all() and values[-1] > values[0] + 0.05


@pytest.mark.parametrize("model", [histogram(CELLS, 6), gaussian_mixture(1), gaussian_mixture(3)])
def test_rows_that_do_not_count_are_as_if_they_were_not_there(model):
    points = jnp.asarray(np.random.default_rng(3).random((60, 2)), jnp.float32)
    counted = jnp.arange(60) % 3 > 0
    start = learnt(model)
    masked, dropped = quick(model.update)(points, counted, start), learnt(model, points[counted])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), masked, dropped)
    nothing = quick(model.update)(points, counted & False, masked)
    jax.tree.map(np.testing.assert_array_equal, nothing, masked)


def test_no_component_is_narrower_than_it_may_be():
    model = gaussian_mixture(1, min_deviation=0.5)
    state = learnt(model, jnp.full((20, 2), 7.0))
    np.testing.assert_allclose(log_prob(model, jnp.full((1, 2), 7.0), state), -np.log(2 * np.pi * 0.25), rtol=1e-5)


def test_targets_by_hand():
    np.testing.assert_allclose(box_density((0.0, -1.0), (2.0, 3.0))(jnp.zeros((5, 2))), -np.log(8) * np.ones(5))
    weights = jnp.arange(1.0, 7)
    np.testing.assert_allclose(np.exp(cell_density(CELLS, weights)(CENTERS)), weights / 21, rtol=1e-6)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^num_cells: got 0, takes an integer of at least 1$"):
        histogram(CELLS, 0)
    with pytest.raises(ValueError, match=r"^pseudo_count: got 0.0, takes a number above 0$"):
        histogram(CELLS, 6, 0.0)
    with pytest.raises(ValueError, match=r"^num_components: got 0, takes an integer of at least 1$"):
        gaussian_mixture(0)
    with pytest.raises(ValueError, match=r"^min_deviation: got 0.0, takes a number above 0$"):
        gaussian_mixture(1, 0.0)
    with pytest.raises(ValueError, match=r"^points: got \(2, 3\), takes vectors \[D\]$"):
        gaussian_mixture().init(jax.random.key(0), jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"^low, high: got .*, takes bounds in ascending order$"):
        box_density((1.0,), (0.0,))
    with pytest.raises(ValueError, match=r"^probabilities: got .*, takes numbers above 0$"):
        cell_density(CELLS, jnp.array([1.0, 0.0]))
