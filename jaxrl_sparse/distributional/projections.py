"""Projections of a law with weighted atoms onto a representation of fixed size."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.numerics.categorical_projection import categorical_project, triangular_kernel

__all__ = ["QUANTILE_PROJECTIONS", "categorical_project", "quantile_project", "triangular_kernel"]

QUANTILE_PROJECTIONS = ("midpoint", "mean")


def quantile_project(
    locations: Float[Array, "M"], probs: Float[Array, "M"], num_quantiles: int, kind: str = "midpoint"
) -> Float[Array, "num_quantiles"]:
    """N values of equal weight for a law with weighted atoms; sorts them.

    - "midpoint": `theta_i = F^-1((2i - 1) / (2N))`, the best in w_1 (error at most range / (2N)); the mean moves.
    - "mean": `theta_i = N int F^-1(u) du over [(i - 1) / N, i / N]`, the mean of each share: the law's mean stays.

    Args:
      locations: x, `[M]`, in any order.
      probs: `[M]`, summing to one.
      num_quantiles: N, static, at least 1.
      kind: one of the two above; static.

    Returns:
      `[N]` ascending values.

    Raises:
      ValueError: if `num_quantiles` or `kind` is none of these.

    Source: Dabney et al., "Distributional Reinforcement Learning with Quantile Regression" (2018), section 3 and
    lemma 2, for the midpoints.
    """
    require("num_quantiles", num_quantiles, is_count, "an integer of at least 1")
    require("kind", kind, lambda k: k in QUANTILE_PROJECTIONS, f"one of {', '.join(QUANTILE_PROJECTIONS)}")
    order = jnp.argsort(locations)
    atoms, cdf = locations[order], jnp.cumsum(probs[order])
    if kind == "midpoint":
        middles = (jnp.arange(num_quantiles, dtype=probs.dtype) + 0.5) / num_quantiles
        return atoms[jnp.minimum(jnp.searchsorted(cdf, middles), atoms.shape[0] - 1)]
    # The integral of the quantile function up to a level is linear between the steps of the CDF.
    levels = jnp.concatenate([jnp.zeros_like(cdf[:1]), cdf])
    integrals = jnp.concatenate([jnp.zeros_like(cdf[:1]), jnp.cumsum(jnp.diff(levels) * atoms)])
    borders = jnp.linspace(0, levels[-1], num_quantiles + 1, dtype=probs.dtype)
    return num_quantiles * jnp.diff(jnp.interp(borders, levels, integrals)) / levels[-1]
