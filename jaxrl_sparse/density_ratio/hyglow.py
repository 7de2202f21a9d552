"""HyGLOW: H2O with MABO.CR, hybrid reinforcement learning from density ratios."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import Algorithm, config, is_count, require
from jaxrl_sparse.density_ratio.classes import require_layers
from jaxrl_sparse.density_ratio.constants import class_log
from jaxrl_sparse.density_ratio.h2o import hybrid_learning
from jaxrl_sparse.density_ratio.mabo_cr import mabo_cr_planner
from jaxrl_sparse.density_ratio.offline_data import OfflineData
from jaxrl_sparse.density_ratio.weights import Classes, coverability_bound, functions_of, log_weights
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.learners.episodic_planning import Planner


@config
class HyGlowConfig:
    """Configuration of `hyglow`.

    Attributes:
      scale: c, multiplies the penalty. 1 is the paper's, with which no error outweighs the penalty at sizes that can be
        run.
      weights: the class W, see `mabo_cr_planner`: "strong", "explicit" or "bounded-signed".
      num_rounds: T that the constants are made for.
      delta: probability of failure, in (0, 1).
      concentrability: C_* of the offline data, at least 1, as far as it is known; it moves the paper's gamma alone.
      clip_rate: gamma; None for the paper's, `hybrid_clip_rate`.
      memory_limit: bytes, see `weighted_bellman_errors`; 0 for no limit.
    """

    scale: float = 0.01
    weights: str = "strong"
    num_rounds: int = 400
    delta: float = 0.1
    concentrability: float = 1.0
    clip_rate: float | None = None
    memory_limit: int = 100_000_000


def hyglow(config: HyGlowConfig, classes: Classes, mdp: EpisodicMDP, offline_data: OfflineData | None) -> Algorithm:
    """HyGLOW: in round t, MABO.CR on t - 1 offline and t - 1 online transitions of each layer; one update is one round.

    Metrics are those of `hybrid_learning`, and `loss`, that of the function whose policy was run.

    It is not optimistic: what it finds out it owes to the offline data, and to functions that the episodes of their own
    policies refute. Its guarantee is one for data that cover the optimal policy. Without such data it may do as well,
    as it does on combination locks where all of F promises the same. But a member that expects nothing anywhere is
    right about everything that pays nothing, and there it may stay, where `glow` does not.

    Args:
      config: see `HyGlowConfig`.
      classes: F, and what W is made of: a `ModelClass` for "strong", an `ExplicitClass` for "explicit", any for
        "bounded-signed".
      mdp: the true one, that the episodes are of. Rewards of an episode sum to a number in [0, 1].
      offline_data: transitions of each layer, and their distribution, which "strong" weights take for nu; None for the
        control that learns online alone.

    Raises:
      ValueError: naming the field that is out of range, a class that does not fit `weights`, or shapes that disagree.

    Source: Amortila, Foster, Jiang, Sekhari and Xie, "Harnessing Density Ratios for Online Reinforcement Learning"
    (ICLR 2024), section 4.
    """
    require_layers("mdp.rewards", mdp.rewards.shape, functions_of(classes))
    distribution = None if offline_data is None else offline_data.distribution
    return hybrid_learning(hyglow_planner(config, classes, distribution), mdp, offline_data)


def hyglow_planner(
    config: HyGlowConfig, classes: Classes, distribution: Float[Array, "H S A"] | None = None
) -> Planner:
    """HyGLOW's offline method, MABO.CR with the constants of a configuration; for `offline_policy` and other loops.

    Args:
      config: see `HyGlowConfig`.
      classes: see `hyglow`.
      distribution: nu, of the offline data; None if there are none.

    Raises:
      ValueError: as `hyglow`.
    """
    require("num_rounds", config.num_rounds, is_count, "an integer of at least 1")
    require("delta", config.delta, lambda delta: 0 < float(delta) < 1, "a number in (0, 1)")
    require("concentrability", config.concentrability, lambda c: float(c) >= 1, "a number of at least 1")
    rate = config.clip_rate
    if rate is None:
        functions = functions_of(classes)
        log_of_weights = log_weights(config.weights, classes, config.num_rounds)
        rate = hybrid_clip_rate(
            config.concentrability,
            coverability_bound(classes),
            config.num_rounds,
            functions.values.shape[1],
            class_log(math.log(functions.size), log_of_weights, config.delta),
        )
    return mabo_cr_planner(classes, rate, config.scale, config.weights, distribution, config.memory_limit)


def hybrid_clip_rate(
    concentrability: float | Array,
    coverability: float | Array,
    num_rounds: int,
    horizon: int,
    log_term: float | Array,
) -> Float[Array, ""]:
    """`gamma = sqrt((C_* + C_cov) / (T H^2 L))`, with which T = O(H^2 (C_cov + C_*) L / eps^2) rounds suffice.

    Args:
      concentrability: C_*, the single-policy concentrability of the offline data.
      coverability: C_cov.
      num_rounds: T.
      horizon: H.
      log_term: L, `constants.class_log`.
    """
    return jnp.sqrt((concentrability + coverability) / (float(num_rounds * horizon**2) * log_term))
