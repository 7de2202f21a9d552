"""Small networks whose parameters are one flat vector: controllers that evolution mutates as plain arrays."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import require

# Up to this fan-in a layer is written as a chain of multiply-adds over its inputs.
_MAX_UNROLLED_FAN_IN = 64


class FlatNetwork(NamedTuple):
    """A network over flat genomes.

    Attributes:
      size: P, the number of genes.
      apply: `apply(genome[P], observation[in]) -> action[out]`, one genome on one observation; vmap it for many.
    """

    size: int
    apply: Callable[[Float[Array, "P"], Float[Array, "in"]], Float[Array, "out"]]


def feedforward(layer_sizes: tuple[int, ...]) -> FlatNetwork:
    """A feed-forward network with one bias per layer: `x <- tanh((x W_l + b_l) / 2)` in every layer, the last included.

    The genome holds, layer after layer, the weights `W_l` of shape (fan_in, fan_out) in row-major order and then one
    scalar bias `b_l` that all units of the layer share: P = sum_l (fan_in fan_out + 1). The activation is
    2 sigmoid(z) - 1 = tanh(z / 2), so that actions are in (-1, 1).

    Args:
      layer_sizes: widths from the observation to the action, at least two of them.

    Returns:
      The number of genes and the function.

    Raises:
      ValueError: if there are fewer than two widths, or one is below 1.

    Source: the controllers of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021),
    in the authors' published code.
    """
    require(
        "layer_sizes",
        layer_sizes,
        lambda sizes: len(sizes) >= 2 and all(size >= 1 for size in sizes),
        "at least two widths, each at least 1",
    )
    size = sum(fan_in * fan_out + 1 for fan_in, fan_out in pairwise(layer_sizes))

    def apply(genome: Float[Array, "P"], observation: Float[Array, "in"]) -> Float[Array, "out"]:
        activations, start = observation, 0
        for fan_in, fan_out in pairwise(layer_sizes):
            stop = start + fan_in * fan_out
            weights = genome[start:stop].reshape(fan_in, fan_out)
            activations = jnp.tanh(0.5 * (_weighted_sum(activations, weights) + genome[stop]))
            start = stop + 1
        return activations

    return FlatNetwork(size, apply)


def _weighted_sum(inputs: Float[Array, "in"], weights: Float[Array, "in out"]) -> Float[Array, "out"]:
    # Under vmap, `inputs @ weights` is a batch of tiny matrix products, each a call of a routine: half as fast on a CPU
    # as one fused chain of elementwise multiply-adds.
    if len(inputs) > _MAX_UNROLLED_FAN_IN:
        return inputs @ weights
    return sum(inputs[i] * weights[i] for i in range(len(inputs)))  # pyright: ignore[reportReturnType]
