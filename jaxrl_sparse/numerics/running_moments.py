"""Mean and variance of a stream that comes in batches, merged so that float32 loses nothing over long runs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import PyTree


class Moments(NamedTuple):
    """Count, mean and variance of all that has been seen, by leaf.

    Attributes:
      num_samples: scalar float32, how many values of each component. After some 2^24 batches it grows no more, and what
        is older than that fades.
      mean: leaves `[...]`.
      variance: leaves `[...]`, the mean squared deviation.
    """

    num_samples: Float[Array, ""]
    mean: PyTree
    variance: PyTree


def initial_moments(like: PyTree) -> Moments:
    """Those of nothing: count 0, mean 0, variance 1, so that what is standardised by them stays as it is.

    Args:
      like: a pytree of arrays or of `ShapeDtypeStruct`, one component's shapes, without the batch's axes.
    """
    return Moments(
        jnp.zeros(()),
        jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), like),
        jax.tree.map(lambda leaf: jnp.ones(leaf.shape), like),
    )


def update_moments(moments: Moments, batch: PyTree) -> Moments:
    """Merges a batch in: with n, m, v before and k, m', v' of the batch, d = m' - m,

        mean = m + d k / (n + k),    variance = (n v + k v' + d^2 n k / (n + k)) / (n + k)

    Args:
      moments: so far.
      batch: leaves `[*axes, ...]`, the same leading axes in front of every leaf's own shape.

    Source: Chan, Golub and LeVeque (1983).
    """
    leaf, mean = jax.tree.leaves(batch)[0], jax.tree.leaves(moments.mean)[0]
    axes = tuple(range(leaf.ndim - mean.ndim))
    added = jnp.float32(leaf.size // max(mean.size, 1))
    count = moments.num_samples + added
    share = added / count

    def merged_mean(mean, leaf):
        return mean + share * (jnp.mean(leaf.astype(jnp.float32), axes) - mean)

    def merged_variance(mean, variance, leaf):
        leaf = leaf.astype(jnp.float32)
        batch_mean = jnp.mean(leaf, axes)
        batch_variance = jnp.mean((leaf - batch_mean) ** 2, axes)
        old = moments.num_samples / count
        return old * variance + share * batch_variance + (batch_mean - mean) ** 2 * old * share

    return Moments(
        count,
        jax.tree.map(merged_mean, moments.mean, batch),
        jax.tree.map(merged_variance, moments.mean, moments.variance, batch),
    )


def standardize(
    moments: Moments, batch: PyTree, bound: float | Array = jnp.inf, epsilon: float | Array = 1e-8
) -> PyTree:
    """`clip((x - mean) / sqrt(variance + epsilon), -bound, bound)`, leaf by leaf.

    Args:
      moments: of the components.
      batch: leaves `[*axes, ...]`.
      bound: in standard deviations.
      epsilon: under the root.
    """

    def standardized(leaf, mean, variance):
        return jnp.clip((leaf.astype(jnp.float32) - mean) / jnp.sqrt(variance + epsilon), -bound, bound)

    return jax.tree.map(standardized, batch, moments.mean, moments.variance)
