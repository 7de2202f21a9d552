"""GLOW with linear functions and linear or log-linear density ratios, in which nothing is enumerated.

    f_h(s, a) = phi_h(s, a)^T xi_h,  xi in a box;   w_h = psi_h^T theta_h, or exp(psi_h^T theta_h)

The optimistic member of the version space is looked for by ascent of

    E f_0(s_0, pi_f(s_0)) - rho sum over h of max(0, sup over w of Ehat[w Dhat_h f - alpha_t w^2] - beta_t)

from several starts at a time. The supremum is exact for linear weights, or nearly so, and its gradient in xi that of
the objective at the w that attains it. The maximum over a' in the residual makes the outer problem non-convex: **no
global optimum is promised**, neither that the best member is found, nor, where none was, that there is none.

Source: Amortila, Foster, Jiang, Sekhari and Xie, "Harnessing Density Ratios for Online Reinforcement Learning" (ICLR
2024), algorithm 1; the parametrisation and the search are ours.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import ArrayLike

from jaxrl_sparse.base import Algorithm, Metrics, config, is_count, require
from jaxrl_sparse.density_ratio.classes import function_class, require_entries, residuals
from jaxrl_sparse.density_ratio.constants import class_log, penalty, slack, slack_log, strong_clip_rate
from jaxrl_sparse.density_ratio.linear_weights import (
    Supremum,
    ball_supremum,
    box_supremum,
    log_linear_supremum,
    penalized_errors,
)
from jaxrl_sparse.finite.episodes import TransitionCounts
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.episodic_solvers import backward_induction
from jaxrl_sparse.learners.episodic_planning import EpisodicPlanningState, Planner, episodic_planning

REGIONS = ("box", "nonnegative-box", "ball", "log-linear")
_PRECISE = jax.lax.Precision.HIGHEST


class LinearClass(NamedTuple):
    """Features of functions and of weights, and where the search starts. Make it with `linear_class`.

    Attributes:
      value_features: `[H, S, A, D]`, phi.
      weight_features: `[H, S, A, P]`, psi.
      starts: `[R, H, D]` in [0, 1], each a share of the way from the lower to the upper bound of xi.
    """

    value_features: Float[Array, "H S A D"]
    weight_features: Float[Array, "H S A P"]
    starts: Float[Array, "R H D"]


def linear_class(
    key: PRNGKeyArray, value_features: ArrayLike, weight_features: ArrayLike, num_starts: int = 8
) -> LinearClass:
    """A linear class, and starts that are uniform in the box but for the first, which is its upper corner.

    Args:
      key: for the starts.
      value_features: `[H, S, A, D]`, phi. One-hot ones make all functions between the bounds of xi.
      weight_features: `[H, S, A, P]`, psi.
      num_starts: R, static.

    Raises:
      ValueError: if shapes disagree, a feature is no finite number, or there is no start.
    """
    require("num_starts", num_starts, is_count, "an integer of at least 1")
    dtype = jnp.result_type(float)
    phi, psi = jnp.asarray(value_features, dtype), jnp.asarray(weight_features, dtype)
    require(
        "value_features", phi.shape, lambda s: len(s) == 4 and min(s) >= 1, "the shape [H, S, A, D], none of them 0"
    )
    require(
        "weight_features",
        psi.shape,
        lambda s: len(s) == 4 and s[:3] == phi.shape[:3] and s[3] >= 1,
        f"the shape [H, S, A, P] with the value features' H, S and A, {phi.shape[:3]}",
    )
    require_entries("value_features", phi, np.isfinite, "a finite number")
    require_entries("weight_features", psi, np.isfinite, "a finite number")
    starts = jax.random.uniform(key, (num_starts, phi.shape[0], phi.shape[3]), dtype)
    return LinearClass(phi, psi, starts.at[0].set(1))


@config
class LinearGlowConfig:
    """Configuration of `linear_glow`.

    Attributes:
      scale: c, multiplies penalty and slack; 1 is the paper's, see `constants`.
      weights: "box", theta in `[-gamma_t, gamma_t]^P`; "nonnegative-box", in `[0, gamma_t]^P`; "ball", of norm at most
        gamma_t; "log-linear", `exp(psi^T theta)` clipped smoothly at gamma_t.
      num_rounds: T that the constants are made for.
      episodes_per_round: K.
      delta: probability with which the version spaces may lose Q*, in (0, 1).
      clip_rate: gamma; None for `sqrt(S A / (T L))`, with S A for the coverability.
      lowest: lower bound of every coordinate of xi.
      highest: upper bound of every coordinate of xi.
      violation_price: rho. Above the multipliers of the constraints the penalty is exact.
      num_steps: of the search, in each round and from each start.
      learning_rate: Adam's at the start of a search, in shares of the box; it falls to zero by a cosine.
      inner_steps: of the supremum over weights, where it is not in closed form; "log-linear" wants 100 of them.
    """

    scale: float = 0.01
    weights: str = "box"
    num_rounds: int = 400
    episodes_per_round: int = 1
    delta: float = 0.1
    clip_rate: float | None = None
    lowest: float = 0.0
    highest: float = 1.0
    violation_price: float = 100.0
    num_steps: int = 200
    learning_rate: float = 0.05
    inner_steps: int = 20


class LinearGlowMemory(NamedTuple):
    """What is remembered besides counts.

    Attributes:
      position: `[H, D]` in [0, 1], the last solution: a start of the next search.
    """

    position: Float[Array, "H D"]


class Found(NamedTuple):
    """What a search ended with.

    Attributes:
      position: `[H, D]` in [0, 1]: of the members that were met the one that promises most, or, where none was, what
        violates the constraint least.
      errors: `[H]`, its errors.
      is_member: whether it is a member.
    """

    position: Float[Array, "H D"]
    errors: Float[Array, "H"]
    is_member: Array


def linear_glow(config: LinearGlowConfig, classes: LinearClass, mdp: EpisodicMDP) -> Algorithm:
    """GLOW with linear classes; one update is one round, and one search.

    Metrics: those of `episodic_planning`, and `upper_bound`, the value that f_t promises; `optimism_gap`, what it
    promises too much; `is_empty`, whether no member of the version space was met, in which case what violates it least
    is played; `largest_error` of the layers of f_t, and `slack`, beta_t (at most the largest float). `evaluate` adds
    `value_misfit`, by how much the best linear fit of Q* misses it: 0 where Q* is realised.

    log |F| and log |W| of the constants are those of grids of T values for each coordinate, `H D log T` and
    `H P log T` (ours).

    Args:
      config: see `LinearGlowConfig`.
      classes: see `linear_class`.
      mdp: the true one; the learner sees its initial distribution and its episodes, and nothing else of it.

    Raises:
      ValueError: naming the field that is out of range, or shapes that disagree.
    """
    _check(config, classes, mdp)
    horizon, num_states, num_actions, num_features = classes.value_features.shape
    log_functions = horizon * num_features * math.log(config.num_rounds)
    log_weights = horizon * classes.weight_features.shape[3] * math.log(config.num_rounds)
    log_term = slack_log(log_functions, log_weights, config.num_rounds, horizon, config.delta)
    if config.clip_rate is None:
        rate = strong_clip_rate(
            float(num_states * num_actions), config.num_rounds, class_log(log_functions, log_weights, config.delta)
        )
    else:
        rate = config.clip_rate

    def init(mdp: EpisodicMDP) -> LinearGlowMemory:
        return LinearGlowMemory(jnp.ones((horizon, num_features), mdp.rewards.dtype))

    def plan(
        counts: TransitionCounts, memory: LinearGlowMemory, step: Int[Array, ""]
    ) -> tuple[Array, LinearGlowMemory, Metrics]:
        clip, num_episodes = rate * (step + 1), step * config.episodes_per_round
        beta = slack(config.scale, clip, log_term, config.episodes_per_round, step + 1)
        found = optimistic_search(config, classes, counts, num_episodes, mdp.initial, memory.position, clip, beta)
        functions = function_class(values_at(config, classes, found.position)[None])
        metrics = {
            "upper_bound": promise(functions.values, mdp.initial)[0],
            "is_empty": 1 - found.is_member.astype(jnp.int32),
            "largest_error": jnp.max(found.errors),
            "slack": jnp.minimum(beta, jnp.finfo(found.errors.dtype).max),
        }
        return functions.actions[0], LinearGlowMemory(found.position), metrics

    rounds = episodic_planning(Planner(init, plan), mdp, config.episodes_per_round)

    def evaluate(state: EpisodicPlanningState, key: PRNGKeyArray) -> Metrics:
        return {**rounds.evaluate(state, key), "value_misfit": linear_misfit(classes, mdp)}

    return Algorithm(rounds.init, rounds.update, evaluate)


def optimistic_search(
    config: LinearGlowConfig,
    classes: LinearClass,
    counts: TransitionCounts,
    num_episodes: int | Array,
    initial: Float[Array, "S"],
    last: Float[Array, "H D"],
    clip: float | Array,
    beta: float | Array,
) -> Found:
    """Looks for the member of a version space that promises most, from all starts and the last solution at a time.

    Args:
      config: see `LinearGlowConfig`.
      classes: see `linear_class`.
      counts: of all episodes so far.
      num_episodes: how many they were.
      initial: distribution of the first state.
      last: `[H, D]` in [0, 1], one more start.
      clip: gamma_t.
      beta: beta_t; infinite where everything is a member.
    """
    alpha, divisor = penalty(config.scale, clip), jnp.maximum(num_episodes, 1)
    frequencies = counts.visits / divisor

    def measure(positions: Float[Array, "R H D"]) -> tuple[Float[Array, "R"], Float[Array, "R H"]]:
        """Promises and errors of many functions, with the gradient of the supremum."""
        values = values_at(config, classes, positions)
        means = residuals(counts, function_class(values)) / divisor
        supremum = supremum_of(config, classes, jax.lax.stop_gradient(means), frequencies, clip, alpha)
        return promise(values, initial), penalized_errors(means, frequencies, supremum.weights, alpha)

    def loss(positions: Float[Array, "R H D"]) -> tuple[Float[Array, ""], tuple[Array, Array]]:
        promised, errors = measure(positions)
        # Held a little inside, so that what is found is a member in spite of the step's length.
        excess = jnp.sum(jnp.maximum(errors - 0.98 * beta, 0), axis=-1)
        return jnp.sum(config.violation_price * excess - promised), (promised, errors)

    def rank(promised: Array, errors: Array) -> Array:
        """Of all members above all others: those by what they promise, these by how little they violate."""
        worst = jnp.max(errors, axis=-1)
        return jnp.where(worst <= beta, jnp.arctan(promised), -2 - worst)

    optimizer = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.num_steps))

    def step(carry, _):
        positions, moments, best, most, of_best = carry
        gradient, (promised, errors) = jax.grad(loss, has_aux=True)(positions)
        ranks = rank(promised, errors)
        is_better = ranks > most
        best = jnp.where(is_better[:, None, None], positions, best)
        of_best = jnp.where(is_better[:, None], errors, of_best)
        moves, moments = optimizer.update(gradient, moments)
        moved = jnp.clip(positions + moves, 0, 1)  # pyright: ignore[reportOperatorIssue]
        return (moved, moments, best, jnp.maximum(ranks, most), of_best), None

    starts = jnp.concatenate([last[None], classes.starts])
    worst_rank = jnp.full(starts.shape[0], -jnp.inf, starts.dtype)
    carry = (starts, optimizer.init(starts), starts, worst_rank, jnp.zeros(starts.shape[:2], starts.dtype))
    # One step more than moves: the last one's position is measured too.
    (_, _, best, most, errors), _ = jax.lax.scan(step, carry, length=config.num_steps + 1)
    chosen = jnp.argmax(most)
    return Found(best[chosen], errors[chosen], jnp.all(errors[chosen] <= beta))


def supremum_of(
    config: LinearGlowConfig,
    classes: LinearClass,
    residual_means: Float[Array, "R H S A"],
    frequencies: Float[Array, "H S A"],
    clip: float | Array,
    alpha: float | Array,
) -> Supremum:
    """The supremum over the weights that the configuration names, gamma_t their bound."""
    given = (residual_means, frequencies, classes.weight_features)
    if config.weights == "log-linear":
        return log_linear_supremum(*given, clip, alpha, num_steps=config.inner_steps)
    if config.weights == "ball":
        return ball_supremum(*given, clip, alpha)
    low = -clip if config.weights == "box" else 0.0
    return box_supremum(*given, low, clip, alpha, config.inner_steps)


def values_at(
    config: LinearGlowConfig, classes: LinearClass, positions: Float[Array, "*batch H D"]
) -> Float[Array, "*batch H S A"]:
    """`phi^T xi` of positions in the unit box."""
    coefficients = config.lowest + (config.highest - config.lowest) * positions
    return jnp.einsum("hsad,...hd->...hsa", classes.value_features, coefficients, precision=_PRECISE)


def promise(values: Float[Array, "R H S A"], initial: Float[Array, "S"]) -> Float[Array, "R"]:
    """`E f_0(s_0, pi_f(s_0))` of each function."""
    return jnp.matmul(jnp.max(values[:, 0], axis=-1), initial, precision=_PRECISE)


def linear_misfit(classes: LinearClass, mdp: EpisodicMDP) -> Float[Array, ""]:
    """`max over h, s, a of |Q* - phi^T xi|` for the least-squares xi of each layer: 0 where the class realises Q*.

    The bounds of xi are not looked at.

    Args:
      classes: phi.
      mdp: the true one.
    """
    horizon, _, _, num_features = classes.value_features.shape
    designs = classes.value_features.reshape(horizon, -1, num_features)
    targets = backward_induction(mdp).q_values.reshape(horizon, -1)
    fits = jax.vmap(lambda design, target: design @ jnp.linalg.lstsq(design, target)[0])(designs, targets)
    return jnp.max(jnp.abs(fits - targets))


def _check(config: LinearGlowConfig, classes: LinearClass, mdp: EpisodicMDP) -> None:
    for field in ("num_rounds", "episodes_per_round", "num_steps", "inner_steps"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    for field in ("scale", "violation_price", "learning_rate"):
        require(field, getattr(config, field), lambda c: 0 < c < math.inf, "a finite number above 0")
    require("weights", config.weights, lambda name: name in REGIONS, f"one of {', '.join(REGIONS)}")
    require("delta", config.delta, lambda p: 0 < p < 1, "a number in (0, 1)")
    require("clip_rate", config.clip_rate, lambda g: g is None or 0 < g < math.inf, "a number above 0, or None")
    bounds = (config.lowest, config.highest)
    require("lowest, highest", bounds, lambda b: -math.inf < b[0] < b[1] < math.inf, "two bounds in ascending order")
    layers = classes.value_features.shape[:3]
    require("mdp.rewards", mdp.rewards.shape, lambda s: s == layers, f"the features' [H, S, A], {layers}")
