"""Numbers named TORCH are those of PyTorch 2.13 in float64: the layers that the papers' code has, with the same
variables and images (`sines.py`), axes brought into PyTorch's order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks.sines import sine_images, sine_variables

from jaxrl_sparse.networks.autoencoders import (
    Autoencoder,
    AutoencoderVariables,
    convolutional_autoencoder,
    reconstruction_errors,
    taxons_2020_autoencoder,
)

TORCH_STAX_CODES = [
    -0.07277,
    0.268006,
    -0.04076,
    -0.38756,
    0.092072,
    0.237929,
    -0.238798,
    -0.302521,
    0.204511,
    0.145704,
]
TORCH_STAX_PIXELS = {(0, 0, 0): 0.0, (0, 63, 1): 0.006754, (32, 3, 2): 0.18903, (63, 32, 0): 0.0, (63, 63, 2): 0.119082}
TORCH_STAX_ERRORS = [0.3231623, 0.3230666]

TORCH_2020_PIXELS = {(0, 0, 0): 0.031589, (0, 15, 1): 0.007618, (8, 3, 2): 0.0, (15, 8, 0): 0.020298, (15, 15, 2): 0.0}
TORCH_2020_ERRORS = [0.3412871, 0.3421272, 0.3475069, 0.3368445, 0.341147, 0.3407817]
TORCH_2020_ERRORS_IN_TRAINING = [0.3114195, 0.3232914, 0.3315584, 0.2815552, 0.2902992, 0.3054041]
# Running variances after one pass in training mode, layer by layer, and errors in evaluation mode with these.
TORCH_2020_VARIANCE_SUMS = [33.096915, 117.328659, 115.800651, 58.153223, 29.30721, 59.126969, 28.883118, 29.904971]
TORCH_2020_ERRORS_AFTERWARDS = [0.3420577, 0.3428714, 0.3482515, 0.3374725, 0.3417708, 0.3415516]


@pytest.mark.parametrize(
    ("autoencoder", "number"),
    [
        (convolutional_autoencoder(), 156_189),
        (convolutional_autoencoder(16, (4, 3), 3), 1_121),
        (taxons_2020_autoencoder(), 1_991_680),
        (taxons_2020_autoencoder(16), 885_760),
    ],
)
def test_number_of_parameters(autoencoder, number):
    variables = jax.eval_shape(autoencoder.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables.parameters)) == number


def test_the_network_of_stax_equals_torch():
    autoencoder, images = convolutional_autoencoder(), sine_images(2, 64)
    variables = sine_variables(autoencoder)

    @jax.jit
    def run(variables, images):
        codes = autoencoder.encode(variables, images)
        reconstructions = autoencoder.decode(variables, codes)
        return codes, reconstructions, reconstruction_errors(images, reconstructions)

    codes, reconstructions, errors = run(variables, images)
    np.testing.assert_allclose(codes[0], TORCH_STAX_CODES, atol=2e-4)
    for place, value in TORCH_STAX_PIXELS.items():
        np.testing.assert_allclose(reconstructions[0][place], value, atol=1e-4)
    np.testing.assert_allclose(errors, TORCH_STAX_ERRORS, rtol=1e-4)


@pytest.mark.slow
def test_the_network_of_taxons_equals_torch_also_in_training_and_with_padding():
    autoencoder, images = taxons_2020_autoencoder(16), sine_images(6, 16)
    variables = sine_variables(autoencoder)

    # What has no weight must not touch the moments.
    padded = jnp.concatenate([images[:4], jnp.full((2, 16, 16, 3), 100.0), images[4:]])
    kept = np.array([0, 1, 2, 3, 6, 7])
    weights = jnp.zeros(8).at[kept].set(1.0)
    reconstruct = jax.jit(autoencoder.reconstruct)
    before = reconstruct(variables, padded)
    in_training, statistics = jax.jit(autoencoder.reconstruct_in_training)(variables, padded, weights)
    afterwards = reconstruct(variables._replace(statistics=statistics), padded)
    sums = [jnp.sum(moments.variance) for moments in (*statistics.encoder, *statistics.decoder)]
    np.testing.assert_allclose(sums, TORCH_2020_VARIANCE_SUMS, rtol=1e-5)
    for place, value in TORCH_2020_PIXELS.items():
        np.testing.assert_allclose(before[0][place], value, atol=1e-5)
    for reconstructions, torch in (
        (before, TORCH_2020_ERRORS),
        (in_training, TORCH_2020_ERRORS_IN_TRAINING),
        (afterwards, TORCH_2020_ERRORS_AFTERWARDS),
    ):
        np.testing.assert_allclose(reconstruction_errors(padded, reconstructions)[kept], torch, rtol=1e-4)


def test_the_error_of_an_exact_reconstruction_is_zero():
    """And one number that is off in one image counts in that image alone, as one of all its numbers."""
    images = jnp.asarray(sine_images(3, 8))
    exact = Autoencoder(
        init=lambda key: AutoencoderVariables((), ()),
        encode=lambda variables, images: images.reshape(len(images), -1),
        decode=lambda variables, codes: codes.reshape(-1, 8, 8, 3),
        reconstruct_in_training=lambda variables, images, weights: (images, ()),
        image_size=8,
        code_size=192,
    )
    reconstructions = exact.reconstruct(exact.init(jax.random.key(0)), images)
    np.testing.assert_array_equal(reconstruction_errors(images, reconstructions), np.zeros(3))
    errors = reconstruction_errors(images, reconstructions.at[1, 5, 2, 0].add(-0.5))
    np.testing.assert_allclose(errors, [0.0, 0.25 / 192, 0.0], rtol=1e-5)


def test_it_starts_uniform_within_the_bounds_of_torch():
    """1 / sqrt(fan_in), where a transposed convolution's fan_in is that of its outputs."""
    encoder, decoder = jax.jit(convolutional_autoencoder().init)(jax.random.key(1)).parameters
    expected = [
        (encoder.convolutions, (16 * 3, 16 * 32, 16 * 64, 16 * 32)),
        (encoder.dense, (256,)),
        (decoder.dense, (10,)),
        (decoder.convolutions, (16 * 32, 16 * 64, 16 * 32, 16 * 3)),
    ]
    for layers, fans_in in expected:
        for layer, fan_in in zip(layers, fans_in, strict=True):
            scaled = np.asarray(layer.weights) * np.sqrt(fan_in)
            assert 0.98 < np.max(np.abs(scaled)) <= 1.0
            np.testing.assert_allclose(np.std(scaled), 3**-0.5, rtol=0.05)
            assert 0.2 / np.sqrt(fan_in) < np.max(np.abs(layer.bias)) <= 1.0 / np.sqrt(fan_in)
    drawn = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves((encoder, decoder))])
    assert len(np.unique(drawn)) > 0.98 * len(drawn)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 40}, "image_size: got 40, takes a multiple of 16"),
        ({"image_size": 0}, "image_size: got 0"),
        ({"channels": ()}, "channels: got"),
        ({"channels": (4, 0)}, "channels: got"),
        ({"code_size": 0}, "code_size: got 0"),
    ],
)
def test_refuses_bad_sizes(arguments, message):
    with pytest.raises(ValueError, match=message):
        convolutional_autoencoder(**arguments)
