import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.spaces import Box
from jaxrl_sparse.learners.torsos import torso_for


def test_torsos_fit_the_observations():
    for shape, width in (((), 7), ((3,), 7), ((3, 3), 7), ((9, 9, 1), 5)):
        torso = torso_for(Box(0, 1, shape), (7,), 5)
        example = jnp.zeros((2, *shape))
        params = jax.eval_shape(torso.init, jax.random.key(0), example)
        assert jax.eval_shape(torso.apply, params, example).shape == (2, width)
    with pytest.raises(ValueError, match="observations: got"):
        torso_for(Box(0, 1, (3, 3, 3, 3)), (7,), 5)


def test_the_activation_is_the_perceptrons():
    features = []
    for activation in ("relu", "tanh"):
        torso = torso_for(Box(0, 1, (3,)), (7,), 5, activation=activation)
        features.append(torso.apply(torso.init(jax.random.key(0), jnp.ones((1, 3))), jnp.ones((1, 3))))
    np.testing.assert_allclose(jnp.maximum(features[1], 0), jnp.tanh(features[0]), rtol=1e-5)


def test_what_draws_itself_is_seen_as_an_image():
    torso = torso_for(Box(0, 1, (2,)), (7,), 5, render=lambda observation: jnp.ones((8, 8, 1)) * observation[0])
    assert jax.eval_shape(torso.init, jax.random.key(0), jnp.zeros((1, 2)))["layers_0"]["kernel"].shape == (8, 8, 1, 32)
