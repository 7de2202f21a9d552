"""Convolutional auto-encoders of images, whose codes serve as behaviour descriptors."""

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require
from jaxrl_sparse.networks.strided_convolutions import doubling_convolution, halving_convolution

# PyTorch's defaults.
_STATISTICS_MOMENTUM = 0.1
_NORMALIZATION_EPSILON = 1e-5


class AutoencoderVariables(NamedTuple):
    """The numbers of an auto-encoder.

    Attributes:
      parameters: what gradients change.
      statistics: what training changes beside: running means and variances; without leaves where there are none.
    """

    parameters: PyTree
    statistics: PyTree


class Autoencoder(NamedTuple):
    """An auto-encoder of square colour images with values in [0, 1].

    Attributes:
      init: `init(key) -> variables`.
      encode: `encode(variables, images[B, H, H, 3]) -> codes[B, code_size]`, each image by itself.
      decode: `decode(variables, codes[B, code_size]) -> images[B, H, H, 3]`, each code by itself.
      reconstruct_in_training: `(variables, images[B, H, H, 3], weights[B]) -> (images, statistics)`: decoded codes as
        training sees them, where statistics are those of the images with weight 1 (those with weight 0 are padding),
        and the new running statistics.
      image_size: H, in pixels.
      code_size: numbers in a code.
    """

    init: Callable[[PRNGKeyArray], AutoencoderVariables]
    encode: Callable[[AutoencoderVariables, Array], Array]
    decode: Callable[[AutoencoderVariables, Array], Array]
    reconstruct_in_training: Callable[[AutoencoderVariables, Array, Array], tuple[Array, PyTree]]
    image_size: int
    code_size: int

    def reconstruct(self, variables: AutoencoderVariables, images: Float[Array, "B H H 3"]) -> Float[Array, "B H H 3"]:
        """Images decoded from the codes of images."""
        return self.decode(variables, self.encode(variables, images))


def convolutional_autoencoder(
    image_size: int = 64, channels: tuple[int, ...] = (32, 64, 32, 16), code_size: int = 10
) -> Autoencoder:
    """The auto-encoder of STAX: convolutions that halve the image, a dense layer to the code, and the mirror image.

    Encoder: 3 -> channels[0] -> ... -> channels[-1], each a 4 x 4 convolution with stride 2 and SELU, then one dense
    layer with SELU to the code. Decoder: one dense layer with SELU, then transposed convolutions with SELU back to
    channels[0], and one with ReLU to 3. All layers have biases. Weights and biases start uniform in +-1 / sqrt(fan_in),
    PyTorch's default; fan_in is 16 C_in for a convolution and 16 C_out for a transposed one. The defaults make 156,189
    parameters.

    Args:
      image_size: H, in pixels, a multiple of 2^len(channels).
      channels: of the encoder's convolutions, at least one.
      code_size: numbers in a code.

    Returns:
      The functions; statistics are empty.

    Raises:
      ValueError: if a size is below 1, or the image cannot be halved that often.

    Source: Paolo et al., "Discovering and Exploiting Sparse Rewards in a Learned Behavior Space" (2024), in the
    authors' published code.
    """
    return _autoencoder(
        _Architecture(
            image_size=image_size,
            encoder_channels=channels,
            encoder_widths=(),
            code_size=code_size,
            decoder_widths=(),
            decoder_channels=(*channels[::-1], 3),
            biases=True,
            normalized=False,
        )
    )


def taxons_2020_autoencoder(image_size: int = 64, code_size: int = 10) -> Autoencoder:
    """The auto-encoder of TAXONS as first published: no biases, and batch normalisation after SELU.

    Encoder: convolutions 3-32-128-128-64, each with SELU and then a batch normalisation; dense layers to 1024, 256 and
    the code, with SELU each. Decoder: dense layers to 256 and to 32 channels of (H / 16)^2 pixels, with SELU each; then
    transposed convolutions 32-64-32-32 with SELU and 32-3 with ReLU, each behind a batch normalisation. This is
    `y = scale (x - mean) / sqrt(variance + 1e-5) + offset`, in training with the moments of the batch over images and
    pixels, otherwise with running ones, which take a tenth of each batch's mean and unbiased variance. Weights start as
    in `convolutional_autoencoder`.

    Args:
      image_size: H, in pixels, a multiple of 16.
      code_size: numbers in a code.

    Returns:
      The functions.

    Raises:
      ValueError: if a size is below 1, or `image_size` no multiple of 16.

    Source: Paolo et al., "Unsupervised Learning and Exploration of Reachable Outcome Space" (ICRA 2020), in the
    authors' published code.
    """
    return _autoencoder(
        _Architecture(
            image_size=image_size,
            encoder_channels=(32, 128, 128, 64),
            encoder_widths=(1024, 256),
            code_size=code_size,
            decoder_widths=(256,),
            decoder_channels=(32, 64, 32, 32, 3),
            biases=False,
            normalized=True,
        )
    )


def reconstruction_errors(
    images: Float[Array, "B H H 3"], reconstructions: Float[Array, "B H H 3"]
) -> Float[Array, "B"]:
    """Mean over pixels and channels of `(x - x_hat)^2`, of each image by itself."""
    return jnp.mean((images - reconstructions) ** 2, axis=(1, 2, 3))


class _Architecture(NamedTuple):
    image_size: int
    encoder_channels: tuple[int, ...]
    encoder_widths: tuple[int, ...]
    code_size: int
    decoder_widths: tuple[int, ...]
    decoder_channels: tuple[int, ...]
    biases: bool
    normalized: bool

    @property
    def halvings(self) -> int:
        return len(self.encoder_channels)

    @property
    def smallest_size(self) -> int:
        return self.image_size >> self.halvings


class _Layer(NamedTuple):
    weights: Float[Array, "*in out"]
    bias: Float[Array, "out"] | None


class _Normalization(NamedTuple):
    scale: Float[Array, "C"]
    offset: Float[Array, "C"]


class _Moments(NamedTuple):
    mean: Float[Array, "C"]
    variance: Float[Array, "C"]


class _Half(NamedTuple):
    """Parameters of the encoder or the decoder; `normalizations` is empty or one for each convolution."""

    convolutions: tuple[_Layer, ...]
    dense: tuple[_Layer, ...]
    normalizations: tuple[_Normalization, ...]


class _Halves(NamedTuple):
    encoder: PyTree
    decoder: PyTree


def _autoencoder(architecture: _Architecture) -> Autoencoder:
    require("image_size", architecture.image_size, is_count, "an integer of at least 1")
    require(
        "channels",
        architecture.encoder_channels,
        lambda channels: len(channels) >= 1 and all(is_count(number) for number in channels),
        "at least one number of channels, each at least 1",
    )
    require("code_size", architecture.code_size, is_count, "an integer of at least 1")
    divisor = 2**architecture.halvings
    require("image_size", architecture.image_size, lambda size: size % divisor == 0, f"a multiple of {divisor}")

    def encode(variables: AutoencoderVariables, images: Float[Array, "B H H 3"]) -> Float[Array, "B code"]:
        return _encode(variables.parameters.encoder, variables.statistics.encoder, images, None)[0]

    def decode(variables: AutoencoderVariables, codes: Float[Array, "B code"]) -> Float[Array, "B H H 3"]:
        size = architecture.smallest_size
        return _decode(variables.parameters.decoder, variables.statistics.decoder, codes, None, size)[0]

    def reconstruct_in_training(
        variables: AutoencoderVariables, images: Float[Array, "B H H 3"], weights: Float[Array, "B"]
    ) -> tuple[Float[Array, "B H H 3"], PyTree]:
        parameters, statistics = variables
        codes, seen_by_encoder = _encode(parameters.encoder, statistics.encoder, images, weights)
        reconstructions, seen_by_decoder = _decode(
            parameters.decoder, statistics.decoder, codes, weights, architecture.smallest_size
        )
        return reconstructions, _Halves(seen_by_encoder, seen_by_decoder)

    return Autoencoder(
        init=lambda key: _init(architecture, key),
        encode=encode,
        decode=decode,
        reconstruct_in_training=reconstruct_in_training,
        image_size=architecture.image_size,
        code_size=architecture.code_size,
    )


def _init(architecture: _Architecture, key: PRNGKeyArray) -> AutoencoderVariables:
    pixels = architecture.smallest_size**2
    encoder_channels = (3, *architecture.encoder_channels)
    decoder_channels = architecture.decoder_channels
    encoder_widths = (pixels * encoder_channels[-1], *architecture.encoder_widths, architecture.code_size)
    decoder_widths = (architecture.code_size, *architecture.decoder_widths, pixels * decoder_channels[0])
    # PyTorch takes the second axis of a weight for the inputs, and a transposed convolution's is its outputs.
    shapes = (
        [_LayerShape((4, 4, *channels), fan_in=16 * channels[0]) for channels in pairwise(encoder_channels)],
        [_LayerShape(widths, fan_in=widths[0]) for widths in pairwise(encoder_widths)],
        [_LayerShape((4, 4, *channels), fan_in=16 * channels[1]) for channels in pairwise(decoder_channels)],
        [_LayerShape(widths, fan_in=widths[0]) for widths in pairwise(decoder_widths)],
    )
    layers = _init_layers(key, shapes, architecture.biases)
    encoder_normalizations, encoder_statistics = _init_normalizations(architecture, encoder_channels[1:])
    decoder_normalizations, decoder_statistics = _init_normalizations(architecture, decoder_channels[:-1])
    return AutoencoderVariables(
        parameters=_Halves(
            encoder=_Half(layers[0], layers[1], encoder_normalizations),
            decoder=_Half(layers[2], layers[3], decoder_normalizations),
        ),
        statistics=_Halves(encoder_statistics, decoder_statistics),
    )


class _LayerShape(NamedTuple):
    weights: tuple[int, ...]
    fan_in: int


def _init_layers(key: PRNGKeyArray, groups: tuple[list[_LayerShape], ...], biases: bool) -> list[tuple[_Layer, ...]]:
    # One draw for all layers: a draw of its own for each of twenty shapes takes tens of seconds to compile.
    sizes = [prod(shape.weights) + shape.weights[-1] for group in groups for shape in group]
    drawn = iter(jnp.split(jax.random.uniform(key, (sum(sizes),), jnp.float32, -1.0, 1.0), np.cumsum(sizes)[:-1]))

    def init_layer(shape: _LayerShape) -> _Layer:
        numbers = next(drawn) * shape.fan_in**-0.5
        weights, bias = numbers[: -shape.weights[-1]], numbers[-shape.weights[-1] :]
        return _Layer(weights.reshape(shape.weights), bias if biases else None)

    return [tuple(init_layer(shape) for shape in group) for group in groups]


def _init_normalizations(
    architecture: _Architecture, channels: tuple[int, ...]
) -> tuple[tuple[_Normalization, ...], tuple[_Moments, ...]]:
    if not architecture.normalized:
        return (), ()
    zeros = [jnp.zeros(number, jnp.float32) for number in channels]
    return (
        tuple(_Normalization(scale=jnp.ones_like(zero), offset=zero) for zero in zeros),
        tuple(_Moments(mean=zero, variance=jnp.ones_like(zero)) for zero in zeros),
    )


def _encode(
    parameters: _Half, statistics: tuple, images: Float[Array, "B H H 3"], weights: Float[Array, "B"] | None
) -> tuple[Float[Array, "B code"], tuple]:
    activations, seen = images, []
    for place, layer in enumerate(parameters.convolutions):
        activations = jax.nn.selu(_with_bias(halving_convolution(activations, layer.weights), layer))
        if parameters.normalizations:
            activations, moments = _normalize(parameters.normalizations[place], statistics[place], activations, weights)
            seen.append(moments)
    return _dense(parameters.dense, activations.reshape(len(images), -1)), tuple(seen)


def _decode(
    parameters: _Half,
    statistics: tuple,
    codes: Float[Array, "B code"],
    weights: Float[Array, "B"] | None,
    smallest_size: int,
) -> tuple[Float[Array, "B H H 3"], tuple]:
    seen = []
    activations = _dense(parameters.dense, codes).reshape(len(codes), smallest_size, smallest_size, -1)
    for place, layer in enumerate(parameters.convolutions):
        if parameters.normalizations:
            activations, moments = _normalize(parameters.normalizations[place], statistics[place], activations, weights)
            seen.append(moments)
        activate = jax.nn.relu if place == len(parameters.convolutions) - 1 else jax.nn.selu
        activations = activate(_with_bias(doubling_convolution(activations, layer.weights), layer))
    return activations, tuple(seen)


def _dense(layers: tuple[_Layer, ...], activations: Float[Array, "B in"]) -> Float[Array, "B out"]:
    for layer in layers:
        activations = jax.nn.selu(_with_bias(activations @ layer.weights, layer))
    return activations


def _with_bias(activations: Float[Array, "*batch out"], layer: _Layer) -> Float[Array, "*batch out"]:
    return activations if layer.bias is None else activations + layer.bias


def _normalize(
    parameters: _Normalization,
    running: _Moments,
    activations: Float[Array, "B H W C"],
    weights: Float[Array, "B"] | None,
) -> tuple[Float[Array, "B H W C"], _Moments]:
    if weights is None:
        used = running
    else:
        share = weights[:, None, None, None]
        number = jnp.sum(weights) * activations.shape[1] * activations.shape[2]
        mean = jnp.sum(share * activations, axis=(0, 1, 2)) / jnp.maximum(number, 1.0)
        squares = jnp.sum(share * (activations - mean) ** 2, axis=(0, 1, 2))
        used = _Moments(mean, squares / jnp.maximum(number, 1.0))
        unbiased = squares / jnp.maximum(number - 1.0, 1.0)
        running = _Moments(
            mean=running.mean + _STATISTICS_MOMENTUM * (mean - running.mean),
            variance=running.variance + _STATISTICS_MOMENTUM * (unbiased - running.variance),
        )
    scale = parameters.scale * jax.lax.rsqrt(used.variance + _NORMALIZATION_EPSILON)
    return (activations - used.mean) * scale + parameters.offset, running
