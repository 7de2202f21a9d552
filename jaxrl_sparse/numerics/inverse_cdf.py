"""Indices drawn in proportion to weights by the inverse CDF, never one that cannot happen."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def cumulative_weights(weights: Float[Array, "*batch N"]) -> Float[Array, "*batch N"]:
    """Sums of the weights so far, 0 where a weight is: what `index_below` reads.

    A sum of many terms is made in parts, so that by rounding it may grow where a weight is zero, or be largest there;
    to an inverse CDF such an index would be one that can happen.

    Args:
      weights: at least 0; they need not sum to one.
    """
    return jnp.where(weights > 0, jnp.cumsum(weights, axis=-1), 0)


def index_below(uniforms: Float[Array, "*batch"], cumulative: Float[Array, "*batch N"]) -> Int[Array, "*batch"]:
    """The first index whose cumulative weight is above `u` times the whole.

    Args:
      uniforms: u in [0, 1), one for each row.
      cumulative: from `cumulative_weights`; each row has a positive weight.

    Returns:
      int32.
    """
    thresholds = uniforms * jnp.max(cumulative, axis=-1)
    return jnp.argmax(cumulative > thresholds[..., None], axis=-1).astype(jnp.int32)
