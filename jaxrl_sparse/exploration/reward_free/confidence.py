"""Confidence sets that are intersections of ellipsoids, and the points where rays leave them.

    U = {theta: ||theta - theta_i||_{Sigma_i} <= beta_i for every i}

The set of the theory is the intersection of those of all episodes so far: that it never grows is what makes the
uncertainty at the end no larger than the average over the episodes. A ring keeps those of the last episodes, in static
memory; the set made of fewer still holds theta* whenever the whole one does.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.lax import Precision
from jaxtyping import Array, Bool, Float, Int

from jaxrl_sparse.exploration.reward_free.regression import Regression

_PRECISE = Precision.HIGHEST
# How much of an ellipsoid's radius rounding may add.
_SLACK = 1e-3


class ConfidenceSet(NamedTuple):
    """Ellipsoids of the last episodes, all with radius one; shapes of zeros hold everything.

    Attributes:
      centers: `[R, F, d]`, theta_i of F families in R episodes.
      shapes: `[R, F, d, d]`, `Sigma_i / beta_i^2`.
    """

    centers: Float[Array, "R F d"]
    shapes: Float[Array, "R F d d"]


def everything(num_remembered: int, num_families: int, dimension: int, dtype: jnp.dtype) -> ConfidenceSet:
    """All of R^d, where nothing is known; the arguments are the sizes R, F and d."""
    centers = jnp.zeros((num_remembered, num_families, dimension), dtype)
    return ConfidenceSet(centers, jnp.zeros((*centers.shape, dimension), dtype))


def intersect(
    confidence: ConfidenceSet, regression: Regression, radius: float | Array, step: Int[Array, ""]
) -> ConfidenceSet:
    """The set, with the ellipsoids of one more episode in the place of the oldest.

    Args:
      confidence: with R places.
      regression: with leading axes of F in all.
      radius: beta_k.
      step: number of the episode.
    """
    num_remembered, num_families, dimension = confidence.centers.shape
    place = step % num_remembered
    theta = regression.theta.reshape(num_families, dimension)
    precision = regression.precision.reshape(num_families, dimension, dimension)
    return ConfidenceSet(
        confidence.centers.at[place].set(theta), confidence.shapes.at[place].set(precision / radius**2)
    )


def contains(confidence: ConfidenceSet, theta: Float[Array, "d"]) -> Bool[Array, ""]:
    """Whether theta is in every ellipsoid, to rounding."""
    return jnp.max(_squares(confidence, theta)) <= (1 + _SLACK) ** 2


def exit_fraction(
    confidence: ConfidenceSet, start: Float[Array, "d"], direction: Float[Array, "d"]
) -> Float[Array, ""]:
    """The largest t in [0, 1] for which `start + t direction` is in the set; 0 if the start is outside.

    The set is convex, so that it holds all points before that one too.

    Args:
      confidence: the set.
      start: `[d]`.
      direction: `[d]`.
    """
    offsets = start - confidence.centers
    # a t^2 + 2 b t + c <= 0; where a = 0 so is b.
    a = jnp.einsum("i,rfij,j->rf", direction, confidence.shapes, direction, precision=_PRECISE)
    b = jnp.einsum("i,rfij,rfj->rf", direction, confidence.shapes, offsets, precision=_PRECISE)
    c = _squares(confidence, start) - 1
    root = jnp.sqrt(jnp.maximum(b**2 - a * c, 0))
    # Of the two forms of the larger root the one that cancels no digits.
    leaving = -c / jnp.where(b > 0, b + root, 1)
    turning = (root - b) / jnp.where(a > 0, a, 1)
    exits = jnp.where(b > 0, leaving, jnp.where(a > 0, turning, jnp.inf))
    return jnp.clip(jnp.min(jnp.where(c > 0, 0, exits)), 0, 1)


def _squares(confidence: ConfidenceSet, theta: Float[Array, "d"]) -> Float[Array, "R F"]:
    offsets = theta - confidence.centers
    return jnp.einsum("rfi,rfij,rfj->rf", offsets, confidence.shapes, offsets, precision=_PRECISE)
