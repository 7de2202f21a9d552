import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.networks.convolutional import nature_torso, rendered


def convolved(images, kernel, bias, stride):
    """A padded convolution by loops, then ReLU."""
    window = kernel.shape[0]
    height, width = images.shape[1:3]
    out = [-(-side // stride) for side in (height, width)]
    before = [max((n - 1) * stride + window - side, 0) // 2 for n, side in zip(out, (height, width), strict=True)]
    padded = np.pad(images, ((0, 0), (before[0], window + stride), (before[1], window + stride), (0, 0)))
    result = np.zeros((len(images), *out, kernel.shape[-1]))
    for i in range(out[0]):
        for j in range(out[1]):
            patch = padded[:, i * stride : i * stride + window, j * stride : j * stride + window]
            result[:, i, j] = np.tensordot(patch, kernel, 3)
    return np.maximum(result + bias, 0)


def test_features_are_those_of_the_published_layers():
    torso = nature_torso(16)
    images = jax.random.uniform(jax.random.key(0), (2, 30, 40, 3))
    init = jax.jit(torso.init, compiler_options=QUICK_TO_COMPILE)
    params = init(jax.random.key(1), images)
    named = {
        name: jax.tree.map(np.asarray, params[name])
        for name in sorted(params, key=lambda name: int(name.split("_")[1]))
    }
    *convolutions, dense = named.values()
    expected = np.asarray(images)
    for layer, stride in zip(convolutions, (4, 2, 1), strict=True):
        expected = convolved(expected, layer["kernel"], layer["bias"], stride)
    assert [layer["kernel"].shape for layer in convolutions] == [(8, 8, 3, 32), (4, 4, 32, 64), (3, 3, 64, 64)]
    expected = np.maximum(expected.reshape(2, -1) @ dense["kernel"] + dense["bias"], 0)
    apply = jax.jit(torso.apply, compiler_options=QUICK_TO_COMPILE)
    np.testing.assert_allclose(apply(params, images), expected, atol=1e-5)
    bytes_of = (images * 255).astype(jnp.uint8)
    np.testing.assert_allclose(apply(params, bytes_of), apply(params, bytes_of / jnp.float32(255)), atol=1e-5)


def test_refuses_what_is_no_image():
    with pytest.raises(ValueError, match="observations: got"):
        nature_torso().init(jax.random.key(0), jnp.zeros((2, 5)))
    with pytest.raises(ValueError, match="num_features: got 0"):
        nature_torso(0)


@pytest.mark.slow
def test_a_rendering_torso_sees_what_was_drawn():
    def render(corner):
        return jnp.zeros((12, 16, 2)).at[corner[0], corner[1], 1].set(1.0)

    torso = nature_torso(7)
    drawing, corners = rendered(torso, render), jnp.array([[0, 3], [11, 15]], jnp.uint8)
    images = jnp.stack([render(corner) for corner in corners])
    params = drawing.init(jax.random.key(0), corners)
    expected = torso.init(jax.random.key(0), images)
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    features = drawing.apply(params, corners)
    np.testing.assert_allclose(features, torso.apply(params, images), rtol=1e-5)
    assert (np.asarray(features)[0] != np.asarray(features)[1]).any()
