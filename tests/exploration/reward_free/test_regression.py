"""The recursion against closed forms in float64, and in float32 where an inverse would fail."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.exploration.reward_free.regression import distance, observe, ridge_regression, uncertainty


def learn(features, targets, variances, ridge):
    def step(regression, observation):
        return observe(regression, *observation), None

    start = ridge_regression(features.shape[1:-1], features.shape[-1], jnp.asarray(ridge, features.dtype))
    scan = lambda *data: jax.lax.scan(step, start, data)[0]  # noqa: E731
    return jax.jit(scan, compiler_options=QUICK_TO_COMPILE)(features, targets, variances)


def test_weighted_ridge_regression_in_closed_form():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        features, targets = rng.normal(size=(50, 2, 3)), rng.normal(size=(50, 2))
        variances = rng.uniform(0.1, 2, (50, 2))
        regression = learn(jnp.asarray(features), jnp.asarray(targets), jnp.asarray(variances), 0.7)
        for f in range(2):
            weighted = features[:, f] / variances[:, f, None]
            precision = 0.7 * np.eye(3) + weighted.T @ features[:, f]
            np.testing.assert_allclose(regression.precision[f], precision, rtol=1e-12)
            np.testing.assert_allclose(
                regression.theta[f], np.linalg.solve(precision, weighted.T @ targets[:, f]), rtol=1e-10
            )
            np.testing.assert_allclose(
                regression.root[f] @ regression.root[f].T, np.linalg.inv(precision), rtol=1e-9, atol=1e-12
            )
            v = rng.normal(size=(4, 3))
            np.testing.assert_allclose(
                uncertainty(regression.root[f], jnp.asarray(v)),
                np.sqrt(np.einsum("ni,ij,nj->n", v, np.linalg.inv(precision), v)),
                rtol=1e-9,
            )
        np.testing.assert_allclose(
            distance(regression.precision, regression.theta)[1] ** 2,
            regression.theta[1] @ regression.precision[1] @ regression.theta[1],
            rtol=1e-12,
        )


def test_a_million_times_one_direction_leaves_float32_the_others():
    """Sigma ends with eigenvalues 1 and 10^9 along no axis, beyond what float32 inverts."""
    along, across = np.array([0.6, 0.8], np.float32), np.array([-0.8, 0.6], np.float32)
    features = jnp.asarray(np.tile(1e3 * along, (1000, 1)))
    regression = learn(features, features @ along, jnp.ones(1000), 1.0)
    seen = observe(regression, jnp.asarray(across), jnp.float32(2), jnp.float32(1))
    np.testing.assert_allclose(uncertainty(regression.root, jnp.stack([along, across])), [1e-9**0.5, 1], rtol=0.02)
    np.testing.assert_allclose(seen.theta, along + across, rtol=1e-3)


def test_uncertainty_of_nothing_has_a_gradient_of_zero():
    root = jnp.eye(2)
    np.testing.assert_array_equal(jax.grad(lambda v: uncertainty(root, v))(jnp.zeros(2)), 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_observations_never_raise_an_uncertainty(seed):
    keys = jax.random.split(jax.random.key(seed), 2)
    features = jax.random.normal(keys[0], (1, 3))
    before = ridge_regression((), 3, jnp.float32(0.5))
    after = learn(features, jnp.ones(1), jnp.full(1, 0.1), 0.5)
    tried = jax.random.normal(keys[1], (100, 3))
    assert (uncertainty(after.root, tried) <= uncertainty(before.root, tried) * (1 + 1e-6)).all()
