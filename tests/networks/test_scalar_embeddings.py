import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.networks.scalar_embeddings import fourier_features, hat_basis, scalar_embedding


def test_hats_interpolate_between_their_knots():
    knots = np.linspace(-1.2, 1.2, 9)
    values = np.array([0, 3, 1, -2, 5, 0, 0, 4, 1.0])
    u = np.linspace(-1.5, 1.5, 41)
    features = hat_basis(jnp.asarray(u, jnp.float32), 9)
    np.testing.assert_allclose(features.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(features @ values, np.interp(u, knots, values), atol=1e-4)


def test_fourier_features_by_hand():
    features = fourier_features(jnp.array([0.5, 9.0]))
    angles = np.pi * np.array([0.5, 1, 2, 4])
    np.testing.assert_allclose(features[0], [0.5, *np.sin(angles / 2), *np.cos(angles / 2)], atol=1e-6)
    np.testing.assert_allclose(features[1], [1.2, *np.sin(1.2 * angles), *np.cos(1.2 * angles)], atol=1e-5)


def test_embeddings_by_name():
    u = jnp.array([[0.3, -7.0]])
    np.testing.assert_allclose(scalar_embedding("raw")(u), [[[0.3], [-1.2]]], rtol=1e-6)
    np.testing.assert_array_equal(scalar_embedding("hat", 5)(u), hat_basis(u, 5))
    np.testing.assert_array_equal(scalar_embedding("fourier")(u), fourier_features(u))


def test_refuses_unknown_names_and_too_few_knots():
    with pytest.raises(ValueError, match="embedding: got 'hut', takes one of hat"):
        scalar_embedding("hut")
    with pytest.raises(ValueError, match="num_knots: got 1"):
        scalar_embedding("hat", 1)
