"""Multilayer perceptrons, and the two functions that every network of this library is."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require, require_known

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "elu": nn.elu,
    "gelu": nn.gelu,
    "relu": nn.relu,
    "silu": nn.silu,
    "tanh": nn.tanh,
}


class Network(NamedTuple):
    """A network as two pure functions.

    Attributes:
      init: `init(key, inputs) -> params`; of the inputs only the shapes count.
      apply: `apply(params, inputs[B, ...]) -> outputs[B, ...]`.
    """

    init: Callable[[PRNGKeyArray, PyTree], PyTree]
    apply: Callable[[PyTree, PyTree], Array]


def feedforward(
    hidden_sizes: tuple[int, ...],
    num_outputs: int | None = None,
    activation: str = "relu",
    final_scale: float = 1.0,
) -> Network:
    """A multilayer perceptron: `x <- activation(x W_l + b_l)` in every hidden layer, and a linear layer at the end.

    Inputs of any shape and dtype, `[B, ...]`, are flattened to `[B, features]` and cast to float32. Weights start
    normal (cut at two deviations) with variance 1 / fan_in, biases at zero.

    Args:
      hidden_sizes: widths of the hidden layers; may be empty where there is an end.
      num_outputs: width of the linear end; None for none, and then the last hidden layer's features are the outputs.
      activation: a name of `ACTIVATIONS`.
      final_scale: factor of the linear end's first weights, at least 0: below 1 the outputs start near zero.

    Returns:
      The functions; `apply` maps `[B, ...]` to `[B, num_outputs]`, or to `[B, hidden_sizes[-1]]`.

    Raises:
      ValueError: if a width is below 1, there is no layer at all, the activation is unknown or the scale negative.
    """
    require("hidden_sizes", hidden_sizes, lambda sizes: all(map(is_count, sizes)), "widths of at least 1")
    require("num_outputs", num_outputs, lambda width: width is None or is_count(width), "an integer of at least 1")
    require("hidden_sizes", hidden_sizes, lambda sizes: sizes or num_outputs is not None, "a layer, or an end")
    require_known("activation", activation, ACTIVATIONS, ACTIVATIONS)
    require("final_scale", final_scale, lambda factor: factor >= 0, "a number of at least 0")
    layers: list[Any] = []
    for width in hidden_sizes:
        layers += [nn.Dense(width), ACTIVATIONS[activation]]
    if num_outputs is not None:
        layers.append(nn.Dense(num_outputs, kernel_init=scaled_normal(final_scale)))
    module = nn.Sequential(layers)

    def init(key: PRNGKeyArray, inputs: PyTree) -> PyTree:
        return module.init(key, flat_features(inputs))["params"]

    def apply(params: PyTree, inputs: PyTree) -> Float[Array, "B out"]:
        return module.apply({"params": params}, flat_features(inputs))  # pyright: ignore[reportReturnType]

    return Network(init, apply)


def flat_features(inputs: Array) -> Float[Array, "B features"]:
    """Inputs `[B, ...]` of any dtype as float32 rows; a scalar a row becomes one feature."""
    return jnp.asarray(inputs, jnp.float32).reshape(inputs.shape[0], math.prod(inputs.shape[1:]))


def scaled_normal(scale: float) -> Callable[..., Array]:
    """An initialiser of weights: normal, cut at two deviations, with variance `scale^2 / fan_in`."""
    variance = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")

    def initialise(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return scale * variance(key, shape, dtype)

    return initialise
