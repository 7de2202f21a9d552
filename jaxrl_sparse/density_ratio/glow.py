"""GLOW: online reinforcement learning that is optimistic among the functions without large reweighted Bellman errors.

In round t = 1..T, with `wc = min(w, gamma_t)`:

    F_t = { f : sup over w in W_h of Ehat_{D_h}[wc Dhat_h f - alpha_t wc^2] <= beta_t  for all h },   F_1 = F
    f_t = argmax over F_t of E_{s_0}[f_0(s_0, pi_f(s_0))]
    run pi_{f_t} for K episodes, and add them to the data of every layer

It asks for realisable optimal values and density ratios, and coverability, and nothing else.

Source: Amortila, Foster, Jiang, Sekhari and Xie, "Harnessing Density Ratios for Online Reinforcement Learning" (ICLR
2024), algorithm 1.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, config, is_count, require
from jaxrl_sparse.density_ratio.classes import ModelClass, require_layers, residuals, value_misfits
from jaxrl_sparse.density_ratio.constants import class_log, penalty, slack, slack_log, strong_clip_rate, weak_clip_rate
from jaxrl_sparse.density_ratio.version_space import (
    bounded_bellman_errors,
    least_violation,
    optimistic_member,
    version_space,
    weighted_bellman_errors,
)
from jaxrl_sparse.density_ratio.weights import (
    Classes,
    coverability_bound,
    functions_of,
    log_weights,
    pairs_of_models,
    require_weights,
    weight_misfit,
    weights_of,
)
from jaxrl_sparse.finite.coverage import clip_weights
from jaxrl_sparse.finite.episodes import TransitionCounts
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.learners.episodic_planning import EpisodicPlanningState, Planner, episodic_planning

_PRECISE = jax.lax.Precision.HIGHEST
# Two values that differ by no more than this are the same: float32 of returns of order one.
SAME_VALUE = 1e-5


@config
class GlowConfig:
    """Configuration of `glow`.

    Attributes:
      scale: c, multiplies penalty and slack, see `constants`. 1 is the paper's, with which nothing is excluded at sizes
        that can be run; far too small a one excludes Q* too.
      weights: the class W. "strong": the ratio of every policy to the mixture of those played, in every model; "weak":
        the same from ratios of pairs of policies; "explicit": a fixed class; "bounded": all weights from 0 to gamma_t;
        "bounded-signed": all from -gamma_t to gamma_t.
      num_rounds: T that the constants are made for.
      episodes_per_round: K.
      delta: probability with which the version spaces may lose Q*, in (0, 1).
      clip_rate: gamma; None for the paper's: `sqrt(C_cov / T)` for "weak", else `sqrt(C_cov / (T L))`, with
        `weights.coverability_bound` for C_cov.
      memory_limit: bytes that the table of reweighted errors of one run may take, see `weighted_bellman_errors`; B runs
        under vmap take B times as much; 0 for no limit.
    """

    scale: float = 0.01
    weights: str = "strong"
    num_rounds: int = 400
    episodes_per_round: int = 1
    delta: float = 0.1
    clip_rate: float | None = None
    memory_limit: int = 100_000_000


class GlowMemory(NamedTuple):
    """What GLOW remembers besides counts.

    Attributes:
      plays: `[N]`, how many rounds ran the policy of each function.
    """

    plays: Float[Array, "N"]


def glow(config: GlowConfig, classes: Classes, mdp: EpisodicMDP) -> Algorithm:
    """GLOW with finite classes; one update is one round.

    Metrics: those of `episodic_planning`, and of each round `upper_bound`, the value that f_t promises;
    `version_space_size`; `is_empty`, whether the version space was empty, in which case the functions of least
    violation stand in for it; `contains_optimum`, whether Q* is in F_t (0 always, if it is not in F). Of functions that
    promise the same that which was played least is taken, then that of the lowest number.

    `evaluate` adds `value_misfit` and `weight_misfit`, by how much the classes miss what they should realise: the
    distance from Q* to the nearest function, and `weights.weight_misfit` after the rounds so far (0 for bounded
    weights, which have every clipped ratio).

    Args:
      config: see `GlowConfig`.
      classes: F, and what W is made of: a `ModelClass` for "strong", that or a `PairClass` for "weak", an
        `ExplicitClass` for "explicit", any of them or a `FunctionClass` for the bounded ones.
      mdp: the true one; the learner sees its initial distribution and its episodes, and nothing else of it. Theory
        wants the rewards of an episode to sum to a number in [0, 1].

    Raises:
      ValueError: naming the field that is out of range, a class that does not fit `weights`, or shapes that disagree.
    """
    _check(config, classes, mdp)
    functions = functions_of(classes)
    rate = clip_rate(config, classes)
    if config.weights == "weak" and isinstance(classes, ModelClass):
        classes = pairs_of_models(classes)
    log_term = slack_log(
        math.log(functions.size),
        log_weights(config.weights, classes, config.num_rounds),
        config.num_rounds,
        mdp.horizon,
        config.delta,
    )
    promised = jnp.matmul(jnp.max(functions.values[:, 0], axis=-1), mdp.initial, precision=_PRECISE)
    misfits = value_misfits(functions, mdp)
    is_finite = not config.weights.startswith("bounded")

    def errors_of(counts: TransitionCounts, plays: Float[Array, "N"], clip: Array, num_episodes: Array) -> Array:
        divisor = jnp.maximum(num_episodes, 1)
        means, frequencies = residuals(counts, functions) / divisor, counts.visits / divisor
        alpha = penalty(config.scale, clip)
        if is_finite:
            weights = clip_weights(weights_of(config.weights, classes, plays), clip)
            return weighted_bellman_errors(means, frequencies, weights, alpha, config.memory_limit)
        return bounded_bellman_errors(means, frequencies, clip, alpha, config.weights == "bounded-signed")

    def init(mdp: EpisodicMDP) -> GlowMemory:
        return GlowMemory(jnp.zeros(functions.size, mdp.rewards.dtype))

    def plan(counts: TransitionCounts, memory: GlowMemory, step: Int[Array, ""]) -> tuple[Array, GlowMemory, Metrics]:
        clip = rate * (step + 1)
        errors = errors_of(counts, memory.plays, clip, step * config.episodes_per_round)
        beta = slack(config.scale, clip, log_term, config.episodes_per_round, step + 1)
        members = version_space(errors, beta)
        is_empty = ~jnp.any(members)
        chosen = optimistic_member(jnp.where(is_empty, least_violation(errors), members), promised, memory.plays)
        metrics = {
            "upper_bound": promised[chosen],
            "version_space_size": jnp.sum(members, dtype=jnp.int32),
            "is_empty": is_empty.astype(jnp.int32),
            "contains_optimum": jnp.any(members & (misfits <= SAME_VALUE)).astype(jnp.int32),
        }
        return functions.actions[chosen], GlowMemory(memory.plays.at[chosen].add(1)), metrics

    rounds = episodic_planning(Planner(init, plan), mdp, config.episodes_per_round)

    def evaluate(state: EpisodicPlanningState, key: PRNGKeyArray) -> Metrics:
        misfit = jnp.zeros((), mdp.rewards.dtype)
        if is_finite:
            weights = weights_of(config.weights, classes, state.memory.plays)
            misfit = weight_misfit(weights, functions, mdp, state.memory.plays, rate * (state.num_policies + 1))
        return {**rounds.evaluate(state, key), "value_misfit": jnp.min(misfits), "weight_misfit": misfit}

    return Algorithm(rounds.init, rounds.update, evaluate)


def clip_rate(config: GlowConfig, classes: Classes) -> Float[Array, ""]:
    """gamma of a configuration: its own, or the paper's with `coverability_bound` of the classes.

    Args:
      config: see `GlowConfig`.
      classes: as `glow` takes them.
    """
    if config.clip_rate is not None:
        return jnp.asarray(config.clip_rate, functions_of(classes).values.dtype)
    coverability = coverability_bound(classes)
    if config.weights == "weak":
        return weak_clip_rate(coverability, config.num_rounds)
    log_functions = math.log(functions_of(classes).size)
    log_term = class_log(log_functions, log_weights(config.weights, classes, config.num_rounds), config.delta)
    return strong_clip_rate(coverability, config.num_rounds, log_term)


def _check(config: GlowConfig, classes: Classes, mdp: EpisodicMDP) -> None:
    for field in ("num_rounds", "episodes_per_round"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    require("scale", config.scale, lambda c: 0 < c < math.inf, "a finite number above 0")
    require("delta", config.delta, lambda p: 0 < p < 1, "a number in (0, 1)")
    require("clip_rate", config.clip_rate, lambda g: g is None or 0 < g < math.inf, "a number above 0, or None")
    require("memory_limit", config.memory_limit, lambda b: isinstance(b, int) and b >= 0, "bytes, 0 for no limit")
    require_weights(config.weights, classes)
    require_layers("mdp.rewards", mdp.rewards.shape, functions_of(classes))
