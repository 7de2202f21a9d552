"""UCB-VI: optimism by bonuses on counts, the control of everything that is optimistic in another way.

    Q_h(s, a) = min(Q_h of the round before, V_max, r_h(s, a) + (Phat_h V_{h+1})(s, a) + b_h(s, a))

with `Q = V_max` where an action was never tried. Rewards are functions of layer, state and action, so that one visit
tells them.

Source: Azar, Osband and Munos, "Minimax Regret Bounds for Reinforcement Learning" (ICML 2017), algorithms 1 to 4. There
transitions are the same in every layer and rewards are in [0, 1] each; here layers are learnt apart, so that there are
H S states, and V_max stands in for H.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import Algorithm, Metrics, config, require
from jaxrl_sparse.finite.episodes import TransitionCounts, empirical_mdp
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.episodic_solvers import greedy_actions
from jaxrl_sparse.learners.episodic_planning import Planner, episodic_planning

BONUSES = ("hoeffding", "bernstein")
_PRECISE = jax.lax.Precision.HIGHEST


@config
class UCBVIConfig:
    """Configuration of `ucb_vi`.

    Attributes:
      bonus: "hoeffding" or "bernstein", see `hoeffding_bonus` and `bernstein_bonus`.
      scale: multiplies the bonus; 1 is the paper's, with which nothing is learnt for thousands of episodes.
      largest_return: V_max, the largest return of an episode.
      num_rounds: that the bonus is made for; T is this times `episodes_per_round` times H.
      delta: probability with which the bounds may fail.
      episodes_per_round: run with one policy.
    """

    bonus: str = "hoeffding"
    scale: float = 0.01
    largest_return: float = 1.0
    num_rounds: int = 1000
    delta: float = 0.05
    episodes_per_round: int = 1


class UCBVIMemory(NamedTuple):
    """The bounds so far, which only fall.

    Attributes:
      q_values: `[H, S, A]`.
    """

    q_values: Float[Array, "H S A"]


def ucb_vi(config: UCBVIConfig, mdp: EpisodicMDP) -> Algorithm:
    """UCB-VI with Hoeffding's or Bernstein's bonus (UCBVI-CH, UCBVI-BF); one update is one round.

    Metrics: those of `episodic_planning`, and `upper_bound`, on the return, from the start.

    Args:
      config: see `UCBVIConfig`.
      mdp: that the episodes are of; the planner sees its initial distribution and nothing else of it.

    Raises:
      ValueError: naming the field that is out of range.
    """
    require("bonus", config.bonus, lambda name: name in BONUSES, f"one of {', '.join(BONUSES)}")
    require("scale", config.scale, lambda c: c >= 0, "a number of at least 0")
    require("largest_return", config.largest_return, lambda v: v > 0, "a number above 0")
    require("delta", config.delta, lambda p: 0 < p < 1, "a number in (0, 1)")
    require("num_rounds", config.num_rounds, lambda k: k >= 1, "an integer of at least 1")
    horizon, num_states, num_actions = mdp.rewards.shape
    # As a float: S A T is soon more than an int32 holds.
    steps = float(config.num_rounds * config.episodes_per_round * horizon)
    log_term = jnp.log(5 * horizon * num_states * num_actions * steps / config.delta)
    most = jnp.asarray(config.largest_return, mdp.rewards.dtype)

    def init(mdp: EpisodicMDP) -> UCBVIMemory:
        return UCBVIMemory(jnp.full_like(mdp.rewards, most))

    def plan(counts: TransitionCounts, memory: UCBVIMemory, step: Int[Array, ""]) -> tuple[Array, UCBVIMemory, Metrics]:
        del step
        model, visits = empirical_mdp(counts, mdp.initial), counts.visits
        # How often each state of the next layer was visited; nothing follows the last layer.
        next_visits = jnp.concatenate([jnp.sum(visits[1:], axis=-1), jnp.zeros_like(visits[:1, :, 0])])

        def backup(values, layer):
            transitions, rewards, tried, following, before = layer
            expected = jnp.matmul(transitions, values, precision=_PRECISE)
            if config.bonus == "hoeffding":
                bonus = hoeffding_bonus(tried, most, log_term)
            else:
                bonus = bernstein_bonus(tried, transitions, values, following, most, log_term, horizon)
            bound = jnp.minimum(before, rewards + expected + config.scale * bonus)
            q_values = jnp.where(tried > 0, bound, most)
            return jnp.max(q_values, axis=-1), q_values

        layers = (model.transitions, model.rewards, visits, next_visits, memory.q_values)
        values, q_values = jax.lax.scan(backup, jnp.zeros_like(mdp.initial), layers, reverse=True)
        bound = jnp.dot(mdp.initial, values, precision=_PRECISE)
        return greedy_actions(q_values), UCBVIMemory(q_values), {"upper_bound": bound}

    return episodic_planning(Planner(init, plan), mdp, config.episodes_per_round)


def hoeffding_bonus(
    visits: Float[Array, "S A"], largest_return: float | Array, log_term: float | Array
) -> Float[Array, "S A"]:
    """`7 V_max L / sqrt(N)`; that of one visit where there was none.

    Args:
      visits: N, `[S, A]`.
      largest_return: V_max.
      log_term: L, `log(5 S A T / delta)`, with all steps T.

    Source: algorithm 3.
    """
    return 7 * largest_return * log_term / jnp.sqrt(jnp.maximum(visits, 1))


def bernstein_bonus(
    visits: Float[Array, "S A"],
    transitions: Float[Array, "S A S"],
    values: Float[Array, "S"],
    next_visits: Float[Array, "S"],
    largest_return: float | Array,
    log_term: float | Array,
    horizon: int,
) -> Float[Array, "S A"]:
    """The bonus of the empirical variance of the next value.

        sqrt(8 L Var_{s' ~ Phat}[V(s')] / N) + 14 V_max L / (3 N)
        + sqrt(8 / N sum over s' of Phat(s') min(100^2 V_max^2 H S^2 A L^2 / N'(s'), V_max^2))

    Args:
      visits: N, `[S, A]`.
      transitions: Phat, `[S, A, S]`.
      values: V of the next layer, `[S]`.
      next_visits: N', visits of each state of the next layer, `[S]`.
      largest_return: V_max.
      log_term: L.
      horizon: H.

    Source: algorithm 4, in which V_max is H.
    """
    num_states, num_actions = visits.shape
    tried = jnp.maximum(visits, 1)
    mean = jnp.matmul(transitions, values, precision=_PRECISE)
    spread = (values - mean[..., None]) ** 2
    variance = jnp.sum(transitions * spread, axis=-1)
    of_next = 100**2 * largest_return**2 * horizon * num_states**2 * num_actions * log_term**2
    bounded = jnp.minimum(of_next / jnp.maximum(next_visits, 1), largest_return**2)
    correction = jnp.matmul(transitions, bounded, precision=_PRECISE)
    return (
        jnp.sqrt(8 * log_term * variance / tried)
        + 14 * largest_return * log_term / (3 * tried)
        + jnp.sqrt(8 * correction / tried)
    )
