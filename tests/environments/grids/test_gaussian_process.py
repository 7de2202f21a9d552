"""The kernel against scipy's Bessel form, conditioning against a long form, draws against their law in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg, special, stats

from jaxrl_sparse.environments.grids.gaussian_process import (
    VARIANCE,
    cell_points,
    draw,
    matern_covariance,
    observed_points,
    posterior_covariance,
)


def bessel_matern(distance, smoothness=2.5, variance=0.6931, lengthscale=1.0):
    scaled = np.sqrt(2 * smoothness) * np.maximum(distance, 1e-9) / lengthscale
    return variance * 2 ** (1 - smoothness) / special.gamma(smoothness) * scaled**smoothness * special.kv(2.5, scaled)


def test_the_kernel_is_materns():
    points, others = jnp.array([[0.0, 0.0], [1.0, 2.0]]), jnp.array([[0.0, 0.0], [0.1, 0.0], [3.0, -1.0], [9.0, 9.0]])
    distances = np.linalg.norm(np.asarray(points)[:, None] - np.asarray(others), axis=-1)
    np.testing.assert_allclose(matern_covariance(points, others), bessel_matern(distances), rtol=2e-4, atol=1e-7)
    wide = matern_covariance(points, others, 2.0, 3.0)
    np.testing.assert_allclose(wide, bessel_matern(distances, variance=2.0, lengthscale=3.0), rtol=2e-4, atol=1e-7)


def test_the_cells_of_the_published_map():
    points = np.asarray(cell_points(30, 30))
    np.testing.assert_allclose(points[[0, 34, 899]], [[1, 1], [1.1, 1.4], [3.9, 3.9]], rtol=1e-6)


def test_conditioning_is_the_schur_complement():
    with jax.enable_x64(True):
        points, observed = cell_points(6, 5), jnp.array([[1.2, 1.1], [1.5, 1.4], [8.0, 9.0]])
        everything = np.concatenate([points, observed])
        joint = bessel_matern(np.linalg.norm(everything[:, None] - everything, axis=-1)) * VARIANCE / 0.6931
        among = joint[30:, 30:] + 1e-3 * np.eye(3)
        expected = joint[:30, :30] - joint[:30, 30:] @ np.linalg.inv(among) @ joint[30:, :30]
        np.testing.assert_allclose(posterior_covariance(points, observed), expected, atol=1e-7)


def test_an_observed_cell_has_the_variance_of_its_noise():
    """v r / (v + r) with prior variance v and noise r; far points say nothing."""
    points = cell_points(10, 10)
    covariance = np.asarray(posterior_covariance(points, points[44:45]))
    np.testing.assert_allclose(covariance[44, 44], VARIANCE * 1e-3 / (VARIANCE + 1e-3), rtol=1e-2)
    far = posterior_covariance(points, jnp.array([[50.0, 50.0]]))
    np.testing.assert_allclose(far, matern_covariance(points, points), atol=1e-6)


def test_draws_have_the_covariance():
    """The squared Mahalanobis lengths of draws are chi-squared; at an observed zero they are within the noise."""
    num_draws = 200
    with jax.enable_x64(True):
        points = cell_points(7, 7)
        covariance = posterior_covariance(points, points[24:25])
        keys = jax.random.split(jax.random.key(0), num_draws)
        draws = np.asarray(jax.vmap(lambda key: draw(key, covariance))(keys))
        again = jax.random.split(jax.random.key(0), num_draws)
        noise = jax.vmap(lambda key: jax.random.normal(key, (49,)))(again)[:3]
        lengths = np.sum(draws.T * np.linalg.solve(covariance, draws.T), axis=0)
    # Of all roots of the covariance the symmetric one: no choice of eigenvectors is left in it.
    noise = np.asarray(noise, np.float64)
    np.testing.assert_allclose(draws[:3], noise @ linalg.sqrtm(np.asarray(covariance)).real, atol=1e-6)
    assert stats.kstest(lengths, stats.chi2(49).cdf).pvalue > 1e-3
    deviation = np.sqrt(1e-3)
    assert abs(draws[:, 24].mean()) < 4 * deviation / np.sqrt(num_draws)
    np.testing.assert_allclose(draws[:, 24].std(), deviation, rtol=0.25)
    # A corner is 0.42 away: what is known there leaves less than the prior, and more than at the centre.
    assert 2 * deviation < draws[:, 0].std() < np.sqrt(VARIANCE)


def test_draws_in_single_precision_have_the_leading_covariance():
    """On the directions that float32 resolves; the published draws' squared lengths are 0.73 to 1.08 of their size."""
    points = cell_points(20, 20)
    covariance = np.asarray(matern_covariance(points, points), np.float64)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    sample = np.asarray(draw(jax.random.key(3), matern_covariance(points, points)), np.float64)
    leading = eigenvalues > 1e-2
    length = np.sum((vectors[:, leading].T @ sample) ** 2 / eigenvalues[leading])
    assert leading.sum() > 30
    assert stats.chi2(leading.sum()).ppf(1e-4) < length < stats.chi2(leading.sum()).ppf(1 - 1e-4)


@pytest.mark.parametrize("count", [1, 5])
def test_points_of_observation_are_uniform(count):
    points = np.asarray(observed_points(jax.random.key(count), count))
    assert points.shape == (count, 2) and (points >= 0).all() and (points <= 10).all()
    many = np.asarray(observed_points(jax.random.key(0), 1000)).reshape(-1)
    assert stats.kstest(many / 10, "uniform").pvalue > 1e-3
