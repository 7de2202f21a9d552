"""How well a distribution covers what policies do: density ratios, coverability, concentrability.

    C_cov = min over mu of max over pi, h of || d^pi_h / mu_h ||_inf
          = max over h of the sum over s, a of  sup over pi of d^pi_h(s, a),  attained by mu*_h in proportion to the sup
    C_conc(mu) = max over pi, h of || d^pi_h / mu_h ||_inf,   C_*(mu) = max over h of || d^{pi*}_h / mu_h ||_inf
    CC_h(pi, mu, g) = E_{d^pi_h}[ min(d^pi_h / mu_h, g) ]

Ratios follow one rule everywhere: 0/0 is 0, and what is not covered at all, x/0, is infinite. Everything works inside
jit and vmap.

Source: Xie, Foster, Bai, Jiang and Kakade, "The Role of Coverage in Online Reinforcement Learning" (2023), for
coverability and its closed form; Amortila, Foster, Jiang, Sekhari and Xie, "Harnessing Density Ratios for Online
Reinforcement Learning" (2024), for the clipped one.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.episodic_solvers import max_reachability


def clip_weights(weights: Float[Array, "..."], bound: float | Array) -> Float[Array, "..."]:
    """`min(w, bound)`, from above only; signed weights keep their negative side."""
    return jnp.minimum(weights, bound)


def density_ratio(numerator: Float[Array, "*#shape"], denominator: Float[Array, "*#shape"]) -> Float[Array, "..."]:
    """`d / mu`, with 0/0 = 0 and x/0 = inf; its derivatives are finite where the denominator is not zero.

    Args:
      numerator: no negative numbers; shapes are broadcast.
      denominator: no negative numbers.
    """
    is_covered = denominator > 0
    # Divided by one instead, so that neither the value nor the derivative of what is not taken can be NaN.
    ratio = numerator / jnp.where(is_covered, denominator, 1)
    return jnp.where(is_covered, ratio, jnp.where(numerator > 0, jnp.inf, 0))


def coverability(mdp: EpisodicMDP) -> Float[Array, ""]:
    """C_cov of all policies, by the closed form; from 1 to S A.

    Args:
      mdp: its rewards play no part.
    """
    return _coverability(_largest_occupancy(mdp))


def coverability_of(occupancies: Float[Array, "N H S A"]) -> Float[Array, ""]:
    """C_cov of a class of N policies, of their occupancies: at most N, and at most that of all policies."""
    return _coverability(jnp.max(occupancies, axis=0))


def optimal_coverage_distribution(mdp: EpisodicMDP) -> Float[Array, "H S A"]:
    """mu*, by layer, with which no policy has a density ratio above the coverability; see `coverability`."""
    return _normalized(_largest_occupancy(mdp))


def optimal_coverage_distribution_of(occupancies: Float[Array, "N H S A"]) -> Float[Array, "H S A"]:
    """mu*, by layer, of a class of N policies; see `coverability_of`."""
    return _normalized(jnp.max(occupancies, axis=0))


def concentrability(mdp: EpisodicMDP, distribution: Float[Array, "H S A"]) -> Float[Array, ""]:
    """`C_conc(mu)`, the largest density ratio of any policy; infinite where mu misses what one can reach.

    Args:
      mdp: of H layers; its rewards play no part.
      distribution: `[H, S, A]`, mu, each layer of which sums to one.
    """
    return jnp.max(density_ratio(_largest_occupancy(mdp), distribution))


def single_policy_concentrability(
    occupancy: Float[Array, "H S A"], distribution: Float[Array, "H S A"]
) -> Float[Array, ""]:
    """The largest density ratio of one policy, `C_*` if it is an optimal one.

    Args:
      occupancy: `[H, S, A]`, `d^pi`.
      distribution: `[H, S, A]`, mu.
    """
    return jnp.max(density_ratio(occupancy, distribution))


def clipped_concentrability(
    occupancy: Float[Array, "H S A"], distribution: Float[Array, "H S A"], bound: float | Array
) -> Float[Array, "H"]:
    """`CC_h(pi, mu, g) = E_{d^pi_h}[min(d^pi_h / mu_h, g)]`, by layer: finite for a finite g, whatever mu misses.

    Args:
      occupancy: `[H, S, A]`, `d^pi`.
      distribution: `[H, S, A]`, mu.
      bound: g.
    """
    clipped = clip_weights(density_ratio(occupancy, distribution), bound)
    # An infinite ratio of an infinite bound is never multiplied by zero: it needs occupancy.
    return jnp.sum(occupancy * clipped, axis=(-2, -1))


def effective_sample_size(weights: Float[Array, "*batch N"]) -> Float[Array, "*batch"]:
    """`(sum of w)^2 / (sum of w^2)`: N for equal weights, 1 where one alone counts, 0 where none does.

    Args:
      weights: `[..., N]`, of N samples, finite and not negative.

    Source: Kish, "Survey Sampling" (1965).
    """
    # In units of the largest, whose square may be out of range.
    scale = jnp.max(jnp.abs(weights), axis=-1, keepdims=True)
    relative = weights / jnp.where(scale > 0, scale, 1)
    squares = jnp.sum(jnp.square(relative), axis=-1)
    return jnp.square(jnp.sum(relative, axis=-1)) / jnp.where(squares > 0, squares, 1)


def _largest_occupancy(mdp: EpisodicMDP) -> Float[Array, "H S A"]:
    return jnp.broadcast_to(max_reachability(mdp)[..., None], mdp.rewards.shape)


def _coverability(largest: Float[Array, "H S A"]) -> Float[Array, ""]:
    return jnp.max(jnp.sum(largest, axis=(-2, -1)))


def _normalized(largest: Float[Array, "H S A"]) -> Float[Array, "H S A"]:
    return largest / jnp.sum(largest, axis=(-2, -1), keepdims=True)
