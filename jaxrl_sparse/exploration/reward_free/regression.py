"""Weighted ridge regression on values, one observation at a time, many regressions at once.

    Sigma = lambda I + sum of phi phi^T / sigma^2,   theta = Sigma^-1 sum of phi y / sigma^2

Sigma has eigenvalues from lambda to `K H^3`, more than the inverse of a float32 matrix can hold. So the state is a
square root of the inverse, `Sigma^-1 = R R^T`, with theta itself, and both are updated (Potter's square root filter):
no matrix is ever inverted, and norms cannot become negative.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.lax import Precision
from jaxtyping import Array, Float

_PRECISE = Precision.HIGHEST


class Regression(NamedTuple):
    """Ridge regressions with any leading axes.

    Attributes:
      theta: `[..., d]`, the estimate.
      root: `[..., d, d]`, R with `Sigma^-1 = R R^T`; not symmetric.
      precision: `[..., d, d]`, Sigma.
    """

    theta: Float[Array, "*families d"]
    root: Float[Array, "*families d d"]
    precision: Float[Array, "*families d d"]


def ridge_regression(shape: tuple[int, ...], dimension: int, ridge: Array) -> Regression:
    """Regressions that have seen nothing: `Sigma = lambda I`, `theta = 0`.

    Args:
      shape: of the leading axes, static.
      dimension: d.
      ridge: lambda, above 0; its dtype is that of the state.
    """
    eye = jnp.broadcast_to(jnp.eye(dimension, dtype=ridge.dtype), (*shape, dimension, dimension))
    return Regression(jnp.zeros((*shape, dimension), ridge.dtype), eye / jnp.sqrt(ridge), eye * ridge)


def observe(
    regression: Regression,
    features: Float[Array, "*families d"],
    targets: Float[Array, "*families"],
    variances: Float[Array, "*families"],
) -> Regression:
    """The regressions after one more observation each.

    Args:
      regression: with leading axes.
      features: phi.
      targets: y.
      variances: sigma^2, above 0; an observation counts with the weight `1 / sigma^2`.
    """
    theta, root, precision = regression
    whitened = jnp.einsum("...ij,...i->...j", root, features, precision=_PRECISE)
    direction = jnp.einsum("...ij,...j->...i", root, whitened, precision=_PRECISE)
    total = variances + jnp.sum(whitened**2, axis=-1)
    residual = targets - jnp.sum(features * theta, axis=-1)
    shrink = 1 / (total + jnp.sqrt(variances * total))
    return Regression(
        theta + direction * (residual / total)[..., None],
        root - shrink[..., None, None] * direction[..., :, None] * whitened[..., None, :],
        precision + features[..., :, None] * features[..., None, :] / variances[..., None, None],
    )


def uncertainty(root: Float[Array, "d d"], features: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
    """`||phi||_{Sigma^-1}` of many features, `Sigma^-1 = R R^T`; its gradient at zero is zero."""
    squares = jnp.sum(jnp.matmul(features, root, precision=_PRECISE) ** 2, axis=-1)
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


def distance(
    precision: Float[Array, "*families d d"], differences: Float[Array, "*families d"]
) -> Float[Array, "*families"]:
    """`||v||_Sigma`."""
    squares = jnp.einsum("...i,...ij,...j->...", differences, precision, differences, precision=_PRECISE)
    return jnp.sqrt(jnp.maximum(squares, 0))
