"""The constants of GLOW as its theorems have them, and one knob that scales them.

    gamma_t = gamma t,   alpha_t = 8 c / gamma_t,   beta_t = 36 c gamma_t L / (K (t - 1))

c = 1 is the paper's. Version spaces are nested in c. With c = 1 nothing is excluded at sizes that can be run: on
the combination lock of length 5 with 32 codes and 400 rounds, beta_t is above 10, and no error exceeds gamma_t.

Everything is traceable, and in logarithms: the product of a class's size and the others' overflows.

Source: Amortila, Foster, Jiang, Sekhari and Xie, "Harnessing Density Ratios for Online Reinforcement Learning" (ICLR
2024), algorithm 1, theorems for strong and for weak density-ratio realisability.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import is_count, require


def class_log(log_functions: float | Array, log_weights: float | Array, delta: float | Array) -> Float[Array, ""]:
    """`log(|F| |W| / delta)`, what the clip rate is made of.

    Args:
      log_functions: log |F|.
      log_weights: log |W|.
      delta: probability of failure, in (0, 1).
    """
    return log_functions + log_weights - jnp.log(delta)


def slack_log(
    log_functions: float | Array, log_weights: float | Array, num_rounds: int, horizon: int, delta: float | Array
) -> Float[Array, ""]:
    """`L = log(6 |F| |W| T H / delta)`, what beta is made of.

    Args:
      log_functions: log |F|.
      log_weights: log |W|.
      num_rounds: T.
      horizon: H.
      delta: probability of failure, in (0, 1).
    """
    return class_log(log_functions, log_weights, delta) + math.log(6 * num_rounds * horizon)


def strong_clip_rate(coverability: float | Array, num_rounds: int, log_term: float | Array) -> Float[Array, ""]:
    """`gamma = sqrt(C_cov / (T L))`, for K = 1, where W has every policy's ratio to the mixture of those before it.

    The regret is then `O(H sqrt(C_cov T L))` up to logarithms.

    Args:
      coverability: C_cov, at least 1.
      num_rounds: T.
      log_term: `class_log`.
    """
    return jnp.sqrt(coverability / (num_rounds * log_term))


def weak_clip_rate(coverability: float | Array, num_rounds: int) -> Float[Array, ""]:
    """`gamma = sqrt(C_cov / T)`, for `K = weak_episodes(...)`, where W has the ratios of pairs of policies alone.

    Args:
      coverability: C_cov, at least 1.
      num_rounds: T.
    """
    return jnp.sqrt(coverability / num_rounds)


def weak_episodes(num_rounds: int, log_term: float) -> int:
    """`K = ceil(2 T L)`, the episodes of a round that the weak version asks for.

    Args:
      num_rounds: T.
      log_term: `class_log`.

    Raises:
      ValueError: if T is less than 1.
    """
    require("num_rounds", num_rounds, is_count, "an integer of at least 1")
    return math.ceil(2 * num_rounds * log_term)


def penalty(scale: float | Array, clip: float | Array) -> Float[Array, "*rounds"]:
    """`alpha_t = 8 c / gamma_t`.

    Args:
      scale: c.
      clip: gamma_t, above 0; of one round or of several.
    """
    return jnp.asarray(8 * scale / clip)


def slack(
    scale: float | Array,
    clip: float | Array,
    log_term: float | Array,
    episodes_per_round: int,
    round_number: int | Array,
) -> Float[Array, "*rounds"]:
    """`beta_t = 36 c gamma_t L / (K (t - 1))`; infinite at t = 1, where there is no data.

    Args:
      scale: c.
      clip: gamma_t; of one round or of several.
      log_term: L, `slack_log`.
      episodes_per_round: K.
      round_number: t, from 1; as many as `clip`.
    """
    num_episodes = episodes_per_round * (jnp.asarray(round_number) - 1)
    bounded = 36 * scale * clip * log_term / jnp.maximum(num_episodes, 1)
    return jnp.where(num_episodes > 0, bounded, jnp.inf)
