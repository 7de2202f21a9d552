"""Planning for a reward that is told afterwards, and what the plan is worth in the true mixture.

    Q_h(s, a) = clip(r_h(s, a) + <phi_{V_{h+1}}(s, a), theta> + beta ||phi_{V_{h+1}}(s, a)||_{Sigma^-1}, 0, V_max)
    V_h(s) = max over a of Q_h(s, a),   V_H = 0

Source: Zhang, Zhou and Gu (2021), algorithm PLAN, where V_max is H.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import Metrics
from jaxrl_sparse.exploration.reward_free.regression import uncertainty
from jaxrl_sparse.finite.episodic_solvers import EpisodicSolution, backward_induction, expected_return, greedy_actions
from jaxrl_sparse.finite.generators import require_sizes
from jaxrl_sparse.finite.linear_mixtures import LinearMixture, episodic_mixture, value_features


class RewardFreeEvaluation(NamedTuple):
    """Plans for n rewards, measured in the true mixture.

    Attributes:
      suboptimality: `[n]`, `V*_0(s_1) - V^pi_0(s_1)`, at least 0.
      optimum: `[n]`, `V*_0(s_1)`.
    """

    suboptimality: Float[Array, "n"]
    optimum: Float[Array, "n"]


def plan(
    features: Float[Array, "S A S d"],
    theta: Float[Array, "d"],
    rewards: Float[Array, "H S A"],
    *,
    root: Float[Array, "d d"] | None = None,
    beta: float | Array = 0.0,
    largest_value: float | Array | None = None,
) -> EpisodicSolution:
    """Backward induction in the estimated mixture, with a bonus for what is not known of the next value.

    Args:
      features: `[S, A, S, d]`.
      theta: `[d]`, the estimate; it need not make probabilities.
      rewards: `[H, S, A]`.
      root: R with `Sigma^-1 = R R^T`; None for no bonus.
      beta: of the bonus.
      largest_value: V_max; None for H.

    Returns:
      Values, clipped to [0, V_max], and greedy actions.
    """
    most = rewards.shape[0] if largest_value is None else largest_value

    def backup(values, paid):
        mean = value_features(features, values)
        q_values = paid + jnp.matmul(mean, theta, precision=jax.lax.Precision.HIGHEST)
        if root is not None:
            q_values = q_values + beta * uncertainty(root, mean)
        q_values = jnp.clip(q_values, 0, most).astype(values.dtype)
        values = jnp.max(q_values, axis=-1)
        return values, (values, q_values)

    end = jnp.zeros_like(rewards[0, :, 0])
    _, (values, q_values) = jax.lax.scan(backup, end, rewards, reverse=True)
    return EpisodicSolution(jnp.concatenate([values, end[None]]), q_values, greedy_actions(q_values))


def reward_free_evaluate(
    mixture: LinearMixture,
    planner: Callable[[Float[Array, "H S A"]], Int[Array, "H S"]],
    rewards: Float[Array, "n H S A"],
) -> RewardFreeEvaluation:
    """What a planner loses on each of n rewards, exactly.

    Args:
      mixture: the true one.
      planner: from rewards `[H, S, A]` to actions `[H, S]`; vmapped.
      rewards: `[n, H, S, A]`.
    """

    def one(paid):
        mdp = episodic_mixture(mixture, paid)
        optimum = backward_induction(mdp).values[0, mixture.initial_state]
        return RewardFreeEvaluation(optimum - expected_return(mdp, planner(paid)), optimum)

    return jax.vmap(one)(rewards)


def evaluation_metrics(evaluation: RewardFreeEvaluation, prefix: str = "") -> Metrics:
    """Mean and maximum of the sub-optimality over the rewards; the prefix is put before each word."""
    return {
        f"{prefix}suboptimality_mean": jnp.mean(evaluation.suboptimality),
        f"{prefix}suboptimality_max": jnp.max(evaluation.suboptimality),
    }


def random_rewards(
    key: PRNGKeyArray, num_rewards: int, horizon: int, num_states: int, num_actions: int
) -> Float[Array, "n H S A"]:
    """Members of the class R: at least 0, and their sum along any path is at most 1.

        r_h(s, a) = b_h m(s, a),   sum over h of b_h = 1,   m in [0, 1]

    Rewards of even number are dense: b uniform in the simplex, m uniform in the box. Those of odd number are sparse: 1
    for one state and action, uniform, in one step, uniform.

    Args:
      key: for everything.
      num_rewards: n, static.
      horizon: H, static.
      num_states: S, static.
      num_actions: A, static.

    Raises:
      ValueError: if a number is less than 1.
    """
    require_sizes(num_rewards=num_rewards, horizon=horizon, num_states=num_states, num_actions=num_actions)
    budget_key, payment_key, place_key = jax.random.split(key, 3)
    budgets = jax.random.exponential(budget_key, (num_rewards, horizon))
    budgets = budgets / jnp.sum(budgets, axis=-1, keepdims=True)
    payments = jax.random.uniform(payment_key, (num_rewards, num_states, num_actions))
    size = horizon * num_states * num_actions
    places = jax.random.randint(place_key, (num_rewards,), 0, size)
    shape = (num_rewards, horizon, num_states, num_actions)
    sparse = jax.nn.one_hot(places, size, dtype=payments.dtype).reshape(shape)
    is_sparse = (jnp.arange(num_rewards) % 2 == 1)[:, None, None, None]
    return jnp.where(is_sparse, sparse, budgets[:, :, None, None] * payments[:, None])
