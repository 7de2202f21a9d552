"""Distributions of returns: what is asked of them, in two representations.

Categorical: probabilities p[N] on atoms z[N] in ascending order. Quantile: N values of equal weight, which is a
categorical one with atoms `sort(values)` and probabilities 1 / N. Functions of a single law take leading axes as well.

The integrated CDF of a law on atoms of spacing zeta, `H_k = E max(z_k - G, 0)`, holds the same as its probabilities: a
backup in it is linear interpolation, and `E min(c + G, 0) = -H(-c)` is a look-up.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import require


def mean(probs: Float[Array, "... N"], atoms: Float[Array, "N"]) -> Float[Array, "..."]:
    """`E G = sum_k p_k z_k`."""
    return jnp.sum(probs * atoms, axis=-1)


def variance(probs: Float[Array, "... N"], atoms: Float[Array, "N"]) -> Float[Array, "..."]:
    """`E (G - E G)^2`, centred before it is squared."""
    return jnp.sum(probs * (atoms - mean(probs, atoms)[..., None]) ** 2, axis=-1)


def expected_utility(
    f: Callable[[Array], Array], probs: Float[Array, "... N"], atoms: Float[Array, "N"], stock: Float[Array, "..."]
) -> Float[Array, "..."]:
    """`E f(c + G) = sum_k p_k f(c + z_k)`, for stocks that broadcast with the laws' leading axes.

    Args:
      f: from outcomes to utilities, element by element.
      probs: `[..., N]`.
      atoms: `[N]`, in the return's unit.
      stock: c, `[...]`, in the same unit.
    """
    return jnp.sum(probs * f(jnp.expand_dims(stock, -1) + atoms), axis=-1)


def quantile(
    probs: Float[Array, "... N"], atoms: Float[Array, "N"], tau: float | Float[Array, ""]
) -> Float[Array, "..."]:
    """The least atom z with `P(G <= z) >= tau`.

    Args:
      probs: `[..., N]`.
      atoms: `[N]` in ascending order.
      tau: in (0, 1].

    Raises:
      ValueError: if `tau` is outside (0, 1].
    """
    _require_level(tau)
    # What a sum of probabilities loses to rounding must not move the quantile by an atom.
    reached = jnp.cumsum(probs, axis=-1) >= tau - 1e-6
    # Where rounding keeps the last sum below tau, no entry is reached: the last atom it is.
    return atoms[jnp.where(reached.any(-1), jnp.argmax(reached, axis=-1), atoms.shape[0] - 1)]


def cvar(probs: Float[Array, "... N"], atoms: Float[Array, "N"], tau: float | Float[Array, ""]) -> Float[Array, "..."]:
    """The mean of the worst share tau: mass is taken from the lowest atoms, from the last of them a fraction.

        CVaR_tau = (1 / tau) sum_k z_k [min(CDF_k, tau) - min(CDF_{k-1}, tau)]

    Args:
      probs: `[..., N]`.
      atoms: `[N]` in ascending order.
      tau: in (0, 1]; 1 gives the mean.

    Raises:
      ValueError: if `tau` is outside (0, 1].
    """
    _require_level(tau)
    taken = jnp.minimum(jnp.cumsum(probs, axis=-1), tau)
    # All of tau is taken, also where the probabilities' sum has lost a little of one.
    taken = taken.at[..., -1].set(tau)
    return jnp.sum(jnp.diff(taken, axis=-1, prepend=0) * atoms, axis=-1) / tau


def optimistic_cvar(
    probs: Float[Array, "... N"], atoms: Float[Array, "N"], tau: float | Float[Array, ""]
) -> Float[Array, "..."]:
    """The mean of the best share tau: minus the CVaR of -G.

    Args:
      probs: `[..., N]`.
      atoms: `[N]` in ascending order.
      tau: in (0, 1]; 1 gives the mean.

    Raises:
      ValueError: if `tau` is outside (0, 1].
    """
    return -cvar(probs[..., ::-1], -atoms[::-1], tau)


def wasserstein(
    probs: Float[Array, "... N"], other_probs: Float[Array, "... N"], atoms: Float[Array, "N"], order: float = 1
) -> Float[Array, "..."]:
    """The Wasserstein distance of two laws on the same atoms, `w_p = (int |F^-1(u) - G^-1(u)|^p du)^(1/p)`.

    w_1 is the area between the CDFs. Other orders merge the steps of both quantile functions.

    Args:
      probs: `[..., N]`.
      other_probs: `[..., N]`.
      atoms: `[N]` in ascending order.
      order: p, at least 1, or inf; static.

    Raises:
      ValueError: if `order` is below 1.
    """
    require("order", order, lambda p: p >= 1, "a number of at least 1")
    cdf, other_cdf = jnp.cumsum(probs, axis=-1), jnp.cumsum(other_probs, axis=-1)
    if order == 1:
        return jnp.sum(jnp.abs(cdf - other_cdf)[..., :-1] * jnp.diff(atoms), axis=-1)
    steps = jnp.sort(jnp.concatenate([cdf, other_cdf], axis=-1), axis=-1)
    widths = jnp.diff(steps, axis=-1, prepend=0)
    middles = steps - widths / 2
    last = atoms.shape[0] - 1

    def inverse(levels):
        below = jnp.sum(levels[..., None, :] < middles[..., :, None], axis=-1)
        return atoms[jnp.minimum(below, last)]

    gaps = jnp.abs(inverse(cdf) - inverse(other_cdf))
    if order == jnp.inf:
        # Steps narrower than rounding are none.
        return jnp.max(jnp.where(widths > 1e-6, gaps, 0), axis=-1)
    return jnp.sum(widths * gaps**order, axis=-1) ** (1 / order)


def cramer(
    probs: Float[Array, "... N"], other_probs: Float[Array, "... N"], atoms: Float[Array, "N"]
) -> Float[Array, "..."]:
    """The Cramer distance `l_2 = (int (F(x) - G(x))^2 dx)^(1/2)` of two laws on the same ascending atoms."""
    gaps = jnp.cumsum(probs - other_probs, axis=-1)[..., :-1]
    return jnp.sqrt(jnp.sum(gaps**2 * jnp.diff(atoms), axis=-1))


def quantile_wasserstein(
    quantiles: Float[Array, "... N"], other_quantiles: Float[Array, "... N"], order: float = 1
) -> Float[Array, "..."]:
    """w_p of two laws in the quantile representation: `(mean_i |sorted_i - other sorted_i|^p)^(1/p)`.

    Args:
      quantiles: `[..., N]`, in any order.
      other_quantiles: `[..., N]`.
      order: p, at least 1; static.

    Raises:
      ValueError: if `order` is below 1.
    """
    require("order", order, lambda p: p >= 1, "a number of at least 1")
    gaps = jnp.abs(jnp.sort(quantiles, axis=-1) - jnp.sort(other_quantiles, axis=-1))
    return jnp.max(gaps, axis=-1) if order == jnp.inf else jnp.mean(gaps**order, axis=-1) ** (1 / order)


def probs_to_integrated_cdf(probs: Float[Array, "... N"], spacing: float | Float[Array, ""]) -> Float[Array, "... N"]:
    """`H_k = E max(z_k - G, 0) = zeta sum_{j<k} CDF_j` of laws on atoms of spacing zeta."""
    cdf = jnp.cumsum(probs, axis=-1)[..., :-1]
    sums = spacing * jnp.cumsum(cdf, axis=-1)
    return jnp.concatenate([jnp.zeros_like(sums[..., :1]), sums], axis=-1)


def integrated_cdf_to_probs(
    integrated_cdf: Float[Array, "... N"], spacing: float | Float[Array, "..."]
) -> Float[Array, "... N"]:
    """The probabilities again: second differences of H over zeta, the last atom taking what the mass lacks to one.

    In float32 they are some 1e-4 off, below zero too, where the range is 1,000 times an atom's spacing; use float64
    there.
    """
    cdf = jnp.diff(integrated_cdf, axis=-1) / spacing
    ones = jnp.ones_like(cdf[..., :1])
    return jnp.diff(jnp.concatenate([cdf, ones], axis=-1), axis=-1, prepend=0)


def _require_level(tau: float | Array) -> None:
    require("tau", tau, lambda level: 0 < level <= 1, "a number in (0, 1]")
