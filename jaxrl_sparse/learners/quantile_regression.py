"""Quantile regression: the loss whose minimiser is a law given by its quantiles.

Source: Dabney et al., "Distributional Reinforcement Learning with Quantile Regression" (AAAI 2018), equations 8 to 10;
Koenker (2005) for the loss without Huber's rounding.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrl_sparse.base import require

# Pairs per loop body on a CPU: beyond them XLA keeps the pairs in memory, which costs ten times as much.
_CPU_PAIRS = 1_300_000
# 1 / s of the slope `clip(s d, -b, b)` where there is no rounding: below it a difference counts as none.
_NO_ROUNDING = 1e-30


def quantile_regression_loss(
    quantiles: Float[Array, "B N"],
    targets: Float[Array, "B M"],
    taus: Float[Array, "*rows N"],
    kappa: float | Array = 0.0,
) -> Float[Array, "B"]:
    """The quantile regression loss of each row, summed over quantiles and averaged over targets.

        L_b = sum_i mean_j |tau_i - 1{y_j < q_i}| H(y_j - q_i)
        dL_b / dq_i = -mean_j |tau_i - 1{y_j < q_i}| H'(y_j - q_i)

    H is Huber's function, `d^2 / 2` up to kappa and `kappa (|d| - kappa / 2)` beyond, not divided by kappa; with kappa
    0 it is |d|, the plain quantile loss (which is not the limit of Huber's, for that one vanishes). The gradient is the
    closed form above, and no target receives one. On a CPU the rows are worked off in chunks of 1.3 million pairs,
    which is ten times cheaper than all at once; on accelerators all at once. The numbers are the same up to the order
    of sums.

    Args:
      quantiles: q, in the return's unit.
      targets: y, samples of the law that q is to describe, equally likely.
      taus: in (0, 1), the level of each quantile, for all rows or `[B, N]`.
      kappa: at least 0, in the return's unit; may be a tracer.

    Returns:
      L, in the return's unit, or in its square up to kappa.

    Raises:
      ValueError: if `kappa` is below 0.
    """
    require("kappa", kappa, lambda width: width >= 0, "a number of at least 0")
    return _loss(quantiles, targets, jnp.broadcast_to(taus, quantiles.shape), jnp.asarray(kappa, quantiles.dtype))


@jax.custom_vjp
def _loss(quantiles: Array, targets: Array, taus: Array, kappa: Array) -> Array:
    return _by_rows(_row_losses, quantiles, targets, taus, kappa)


def _forward(quantiles: Array, targets: Array, taus: Array, kappa: Array) -> tuple[Array, tuple[Array, ...]]:
    losses = _by_rows(_row_losses, quantiles, targets, taus, kappa)
    return losses, (_by_rows(_row_gradients, quantiles, targets, taus, kappa), targets, taus, kappa)


def _backward(residuals: tuple[Array, ...], cotangents: Array) -> tuple[Array, ...]:
    gradients, *others = residuals
    return (cotangents[:, None] * gradients, *(jnp.zeros_like(other) for other in others))


_loss.defvjp(_forward, _backward)


def _by_rows(rule, quantiles: Array, targets: Array, taus: Array, kappa: Array) -> Array:
    whole = functools.partial(rule, kappa=kappa)
    chunk = max(1, _CPU_PAIRS // (quantiles.shape[1] * targets.shape[1]))
    if quantiles.shape[0] <= chunk:
        return whole(quantiles, targets, taus)

    def chunked(*rows: Array) -> Array:
        num_chunks = -(-quantiles.shape[0] // chunk)
        padding = num_chunks * chunk - quantiles.shape[0]
        chunks = [jnp.pad(row, ((0, padding), (0, 0))).reshape(num_chunks, chunk, row.shape[1]) for row in rows]
        results = jax.lax.map(lambda rows: whole(*rows), tuple(chunks))
        return results.reshape(num_chunks * chunk, *results.shape[2:])[: quantiles.shape[0]]

    return jax.lax.platform_dependent(quantiles, targets, taus, cpu=chunked, default=whole)


def _pairs(quantiles: Array, targets: Array, taus: Array, kappa: Array) -> tuple[Array, Array, Array, Array]:
    # Quantiles are the minor axis: the sum over targets then runs in vectors, which halves its time on a CPU.
    differences = targets[:, :, None] - quantiles[:, None, :]
    weights = jnp.where(differences < 0, 1 - taus[:, None, :], taus[:, None, :])
    # One formula for both kinds of loss, so that kappa may be a tracer: H' is `clip(s d, -b, b)`.
    bound = jnp.where(kappa > 0, kappa, 1.0)
    sharpness = jnp.where(kappa > 0, 1.0, 1 / _NO_ROUNDING)
    return differences, weights, jnp.clip(sharpness * differences, -bound, bound), sharpness


def _row_gradients(quantiles: Array, targets: Array, taus: Array, kappa: Array) -> Array:
    _, weights, slopes, _ = _pairs(quantiles, targets, taus, kappa)
    return -jnp.mean(weights * slopes, axis=1)


def _row_losses(quantiles: Array, targets: Array, taus: Array, kappa: Array) -> Array:
    differences, weights, slopes, sharpness = _pairs(quantiles, targets, taus, kappa)
    return jnp.mean(weights * slopes * (differences - slopes / (2 * sharpness)), axis=1).sum(axis=1)


def quantile_levels(num_quantiles: int) -> Float[np.ndarray, "N"]:
    """The midpoints `tau_i = (i + 1/2) / N`, whose quantiles are the best N equal atoms in Wasserstein-1 distance."""
    return (np.arange(num_quantiles, dtype=np.float32) + 0.5) / num_quantiles
