"""The papers' constants of reward-free exploration, as they stand; algorithms multiply the radii by their own scale.

With these radii every truncated quantity stays at its bound until `K` is far above `beta^2`, about 10^6 episodes for
d = 4 and H = 10: they are proofs, not settings.

Sources: Zhang, Zhou and Gu, "Reward-Free Model-Based Reinforcement Learning with Linear Function Approximation" (2021);
the horizon-free algorithm HF-UCRL-RFE++ for the rest.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class BernsteinRadii(NamedTuple):
    """Radii of UCRL-RFE+; see `ucrl_rfe_plus_radii`.

    Attributes:
      hat: of the weighted regression, for bonuses and plans.
      check: of the same one, for the error of an estimated mean.
      tilde: of the regression on squares, for the error of an estimated second moment.
    """

    hat: Float[Array, ""]
    check: Float[Array, ""]
    tilde: Float[Array, ""]


def ucrl_rfe_radius(
    dimension: int, horizon: int, num_episodes: int, norm_bound: float | Array, delta: float | Array
) -> Float[Array, ""]:
    """`beta = H sqrt(d log(3 (1 + K H^3 B^2) / delta)) + 1`, for the ridge `B^-2`.

    Args:
      dimension: d.
      horizon: H.
      num_episodes: K.
      norm_bound: B.
      delta: probability with which the set may miss theta*, in (0, 1).
    """
    # As a float: K H^3 is soon more than an int32 holds.
    growth = 1 + float(num_episodes * horizon**3) * jnp.asarray(norm_bound) ** 2
    return horizon * jnp.sqrt(dimension * jnp.log(3 * growth / delta)) + 1


def ucrl_rfe_plus_radii(
    dimension: int, horizon: int, num_episodes: int, norm_bound: float | Array, delta: float | Array
) -> BernsteinRadii:
    """The three radii of the Bernstein form, for the ridge `B^-2`.

        hat   = 8 sqrt(d l1 l2) + 4 sqrt(d) l2 + 1          l1 = log(1 + K H B^2)
        check = 8 d sqrt(l1 l2) + 4 sqrt(d) l2 + 1          l2 = log(48 K^2 H^2 / delta)
        tilde = 8 H^2 sqrt(d l1 l2) + 4 H^2 l2 + 1

    Args:
      dimension: d.
      horizon: H.
      num_episodes: K.
      norm_bound: B.
      delta: in (0, 1).
    """
    growth = jnp.log(1 + float(num_episodes * horizon) * jnp.asarray(norm_bound) ** 2)
    union = jnp.log(48.0 * num_episodes**2 * horizon**2 / delta)
    mean, root = jnp.sqrt(growth * union), math.sqrt(dimension)
    return BernsteinRadii(
        8 * root * mean + 4 * root * union + 1,
        8 * dimension * mean + 4 * root * union + 1,
        8 * horizon**2 * root * mean + 4 * horizon**2 * union + 1,
    )


def horizon_free_radius(
    dimension: int, horizon: int, episode: int | Array, norm_bound: float | Array, delta: float | Array
) -> Float[Array, ""]:
    """`beta_k = 12 sqrt(d eta tau) + 30 tau / gamma^2 + sqrt(lambda) B` of HF-UCRL-RFE++.

        eta = log(1 + k H / (alpha^2 d lambda))      tau = log(32 (log(gamma^2 / alpha) + 1) k^2 H^2 / delta)
        alpha^2 = 1/H                                gamma^2 = d^(-1/2)                 lambda = d / B^2

    The inner logarithm is taken as zero where `gamma^2 < alpha`, that is where H < d.

    Args:
      dimension: d.
      horizon: H.
      episode: k, from 1 on.
      norm_bound: B.
      delta: in (0, 1).
    """
    ridge = horizon_free_ridge(dimension, norm_bound)
    least_variance, weight = 1 / horizon, dimension**-0.5
    episode = jnp.asarray(episode, ridge.dtype)
    eta = jnp.log(1 + episode * horizon / (least_variance * dimension * ridge))
    layers = math.log(max(weight / math.sqrt(least_variance), 1)) + 1
    tau = jnp.log(32 * layers * horizon**2 / delta) + 2 * jnp.log(episode)
    return 12 * jnp.sqrt(dimension * eta * tau) + 30 * tau / weight + jnp.sqrt(ridge) * norm_bound


def horizon_free_ridge(dimension: int, norm_bound: float | Array) -> Float[Array, ""]:
    """`lambda = d / B^2` of HF-UCRL-RFE++."""
    return dimension / jnp.asarray(norm_bound, jnp.result_type(float)) ** 2


def number_of_moments(horizon: int, num_episodes: int) -> int:
    """`M = log2(7 K H)`, rounded up."""
    return math.ceil(math.log2(7 * num_episodes * horizon))
