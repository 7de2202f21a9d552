"""HOME by hand, with perfect knowledge, and the powers of values."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.exploration.reward_free.home import home, moments
from jaxrl_sparse.exploration.reward_free.regression import Regression
from jaxrl_sparse.finite.linear_mixtures import random_linear_mixture, value_features

MOMENTS = 4


def settled_at(theta, root):
    theta = jnp.broadcast_to(theta, (MOMENTS, *theta.shape))
    root = jnp.broadcast_to(root, (MOMENTS, *root.shape))
    return Regression(theta, root, jnp.zeros_like(root))


def test_with_the_true_model_and_endless_data_weights_are_variances():
    """`Vbar_m = P V^{2^{m+1}} - (P V^{2^m})^2` and sigma^2 = max(alpha^2, Var), for every moment but the last."""
    with jax.enable_x64(True):
        mixture = random_linear_mixture(jax.random.key(0), 4, 2, 3)
        values = jax.random.uniform(jax.random.key(1), (4,), dtype=jnp.float64)
        powers = moments(values, MOMENTS)
        np.testing.assert_allclose(powers, np.asarray(values) ** (2.0 ** np.arange(MOMENTS))[:, None], rtol=1e-12)
        features = value_features(mixture.features, powers)[:, 1, 0]
        row = np.asarray(mixture.features[1, 0] @ mixture.theta)
        expected = [row @ np.asarray(p) ** 2 - (row @ np.asarray(p)) ** 2 for p in powers[:-1]]
        alpha = float(np.median(expected)) ** 0.5
        known = jnp.zeros((3, 3))
        found = home(
            features, jnp.broadcast_to(known, (MOMENTS, 3, 3)), settled_at(mixture.theta, known), 5.0, alpha, 0.7
        )
        np.testing.assert_allclose(found.variances, expected, rtol=1e-10)
        np.testing.assert_array_equal(found.errors, 0.0)
        np.testing.assert_allclose(found.weights, [*np.maximum(expected, alpha**2), 1], rtol=1e-10)
        assert min(expected) < alpha**2 < max(expected)


def test_by_hand():
    """One feature: widths are 0.5 |phi| at the end of the last episode and |phi| now."""
    features = jnp.array([[0.8], [0.4], [0.2], [0.1]])
    running = jnp.full((MOMENTS, 1, 1), 1.0)
    found = home(features, running, settled_at(jnp.array([0.5]), jnp.full((1, 1), 0.5)), 2.0, 0.1, 1.5)
    np.testing.assert_allclose(found.variances, [0.2 - 0.16, 0.1 - 0.04, 0.05 - 0.01], rtol=1e-5)
    # 2 beta ||phi_m|| = 1.6, .8, .4, the first cut at 1, and beta ||phi_{m+1}|| = .4, .2, .1.
    np.testing.assert_allclose(found.errors, [1.4, 1.0, 0.5], rtol=1e-5)
    # gamma^2 ||phi|| = 1.8, .9, .45, .225
    np.testing.assert_allclose(found.weights, [1.8, 1.06, 0.54, 1.0], rtol=1e-5)
    other = home(features, 0.1 * running, settled_at(jnp.array([0.0]), jnp.zeros((1, 1))), 2.0, 0.3, 1.5)
    np.testing.assert_allclose(other.weights, [0.18, 0.09, 0.09, 1.0], rtol=1e-5)


def test_twenty_moments_underflow_to_zero_and_values_are_clipped():
    powers = moments(jnp.array([0.3, 1.0, 1.5, -0.2]), 20)
    np.testing.assert_array_equal(powers[-1], [0, 1, 1, 0])
    assert np.isfinite(powers).all()
