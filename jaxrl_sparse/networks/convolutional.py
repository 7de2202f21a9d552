"""Convolutional features of images."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require
from jaxrl_sparse.networks.feedforward import Network

Render = Callable[[PyTree], Array]

# (channels, window, stride) of the three convolutions.
_LAYERS = ((32, 8, 4), (64, 4, 2), (64, 3, 1))


def nature_torso(num_features: int = 512) -> Network:
    """The convolutional torso of DQN: 32 8x8/4, 64 4x4/2, 64 3x3/1 and a dense layer, each with ReLU.

    Images are padded so that every size works: a side of H pixels has ceil(H / 8) after the convolutions. Images of
    integers are divided by 255. Weights start uniform with variance `1 / (sqrt(3) fan_in)`, biases at zero, as in the
    published code of the authors' successors.

    Args:
      num_features: width of the dense layer.

    Returns:
      The functions; `apply` maps images `[B, H, W, C]` to features `[B, num_features]`, none below zero.

    Raises:
      ValueError: if `num_features` is below 1, or while tracing, if the inputs are no images.

    Source: Mnih et al., "Human-level control through deep reinforcement learning" (Nature 2015), Methods; first
    weights of Castro et al., "Dopamine" (2018).
    """
    require("num_features", num_features, is_count, "an integer of at least 1")
    weights = nn.initializers.variance_scaling(3**-0.5, "fan_in", "uniform")
    layers = []
    for channels, window, stride in _LAYERS:
        layers += [nn.Conv(channels, (window, window), (stride, stride), "SAME", kernel_init=weights), nn.relu]
    layers += [lambda x: x.reshape(x.shape[0], -1), nn.Dense(num_features, kernel_init=weights), nn.relu]
    module = nn.Sequential(layers)

    def init(key: PRNGKeyArray, inputs: PyTree) -> PyTree:
        return module.init(key, _pixels(inputs))["params"]

    def apply(params: PyTree, inputs: PyTree) -> Float[Array, "B features"]:
        return module.apply({"params": params}, _pixels(inputs))  # pyright: ignore[reportReturnType]

    return Network(init, apply)


def rendered(torso: Network, render: Render) -> Network:
    """A torso that draws what it sees: `torso(render(observation))`, for batches `[B, ...]`.

    Args:
      torso: of images `[B, H, W, C]`.
      render: from one observation to one image `[H, W, C]`.
    """

    def init(key: PRNGKeyArray, inputs: PyTree) -> PyTree:
        return torso.init(key, jax.vmap(render)(inputs))

    def apply(params: PyTree, inputs: PyTree) -> Float[Array, "B features"]:
        return torso.apply(params, jax.vmap(render)(inputs))

    return Network(init, apply)


def _pixels(images: Array) -> Float[Array, "B H W C"]:
    require("observations", images.shape, lambda shape: len(shape) == 4, "images [B, H, W, C]")
    scale = 255.0 if jnp.issubdtype(images.dtype, jnp.integer) else 1.0
    return images.astype(jnp.float32) / scale
