"""HOME: variances of V(s'), V(s')^2, V(s')^4, ... by regressions on moments, each of which weighs the one before it.

The features of moment m are `phi_m = phi_{V^(2^m)}(s, a)`, and `<phi_m, theta*> = E[V(s')^(2^m)]`, so that the estimate
of moment m + 1 tells the variance of the target of moment m. The last moment has no next one and takes the largest
variance, 1; as there are log2(7 K H) of them that costs nothing.

Source: Zhou and Gu, "Computationally Efficient Horizon-Free Reinforcement Learning for Linear Mixture MDPs" (2022),
high-order moment estimation; here as algorithm 5 of HF-UCRL-RFE++.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import Precision
from jaxtyping import Array, Float

from jaxrl_sparse.exploration.reward_free.regression import Regression, uncertainty


class Moments(NamedTuple):
    """What HOME says of each moment.

    Attributes:
      weights: `[M]`, sigma^2, the variances that the regression uses.
      variances: `[M - 1]`, Vbar, the plain estimates, which may be negative.
      errors: `[M - 1]`, E, by how much these may be wrong.
    """

    weights: Float[Array, "M"]
    variances: Float[Array, "M_minus_1"]
    errors: Float[Array, "M_minus_1"]


def home(
    features: Float[Array, "M d"],
    running_root: Float[Array, "M d d"],
    settled: Regression,
    beta: float | Array,
    alpha: float | Array,
    gamma: float | Array,
) -> Moments:
    """The weights of one observation.

        sigma_m^2 = max(gamma^2 ||phi_m||_{Sigma_m^-1}, Vbar_m + E_m, alpha^2)
        Vbar_m = [<phi_{m+1}, theta_{m+1}>] - [<phi_m, theta_m>]^2
        E_m = [2 beta ||phi_m||_{SigmaEnd_m^-1}] + [beta ||phi_{m+1}||_{SigmaEnd_{m+1}^-1}]

    where [x] is x clipped to [0, 1], and 1 stands for `Vbar + E` of the last moment.

    Args:
      features: `[M, d]`, phi_m at the visited state and action.
      running_root: `[M, d, d]`, of Sigma_m with everything seen until now, `Sigma_m^-1 = R R^T`.
      settled: `[M, ...]`, theta_m and SigmaEnd_m at the end of the last episode.
      beta: the radius.
      alpha: square root of the least variance.
      gamma: square root of the weight of the running uncertainty.
    """
    each = jax.vmap(uncertainty)
    estimates = jnp.clip(jnp.einsum("mi,mi->m", features, settled.theta, precision=Precision.HIGHEST), 0, 1)
    widths = beta * each(settled.root, features)
    variances = estimates[1:] - estimates[:-1] ** 2
    errors = jnp.minimum(2 * widths[:-1], 1) + jnp.minimum(widths[1:], 1)
    bounds = jnp.append(variances + errors, 1)
    weights = jnp.maximum(gamma**2 * each(running_root, features), jnp.maximum(bounds, alpha**2))
    return Moments(weights.astype(features.dtype), variances, errors)


def moments(values: Float[Array, "*batch S"], num_moments: int) -> Float[Array, "*batch M S"]:
    """`V, V^2, V^4, ..., V^(2^(M-1))`, each the square of the one before, of V clipped to [0, 1].

    Small ones underflow to zero, and then tell their regression nothing.

    Args:
      values: V.
      num_moments: M, static, at least 1.
    """

    def square(power, _):
        return power**2, power

    _, powers = jax.lax.scan(square, jnp.clip(values, 0, 1), length=num_moments)
    return jnp.moveaxis(powers, 0, -2)
