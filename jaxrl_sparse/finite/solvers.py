"""Classic dynamic programming: expected returns of finite MDPs, by sweeps, by a linear system, by horizon.

    Q(s, a) = E[R | s, a] + gamma sum over b of p(b | s, a) V(s'(b)),   V(s) = max over a of Q(s, a),   V(terminal) = 0

Everything here works on scalar rewards, dense and sparse processes alike, and inside jit and vmap; stack MDPs and vmap
over them. Of actions that are equally good the one with the lowest number is taken.

Source: Puterman, "Markov Decision Processes" (1994), chapters 4 and 6.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.finite.mdp import FiniteMDP, expected_rewards, transition_matrix
from jaxrl_sparse.finite.occupancy import action_probabilities


class Solution(NamedTuple):
    """What is best in each state, forever.

    Attributes:
      values: `[S]`, V, the expected discounted return.
      q_values: `[S, A]`, Q; 0 in terminal states.
      actions: `[S]` int32, the greedy ones of Q.
      residual: a scalar, the largest change of V that the last backup made, in the reward's unit; V is within
        `gamma / (1 - gamma)` of it of the optimum.
    """

    values: Float[Array, "S"]
    q_values: Float[Array, "S A"]
    actions: Int[Array, "S"]
    residual: Float[Array, ""]


class FiniteHorizonSolution(NamedTuple):
    """What is best in each state, T steps before the end.

    Attributes:
      values: `[T + 1, S]`; `values[t]` are the expected returns of the steps t to T - 1, so that `values[0]` is the
        whole horizon's and `values[T]` is zero.
      actions: `[T, S]` int32; `actions[t]` are those of step t.
    """

    values: Float[Array, "T+1 S"]
    actions: Int[Array, "T S"]


def value_iteration(mdp: FiniteMDP, num_sweeps: int, tolerance: float | Array | None = None) -> Solution:
    """Sweeps `V <- max over a of Q` from zero: the optimum of `num_sweeps` steps, and in the limit of infinitely many.

    Args:
      mdp: with scalar rewards.
      num_sweeps: static; the most sweeps, at least 1.
      tolerance: the sweeps end once none changes a value by more than this, in the reward's unit; None for never.

    Returns:
      The solution; `values` are the maxima of `q_values`, and `residual` is the last sweep's.

    Raises:
      ValueError: if rewards are vectors, or an argument is out of range.
    """
    _require_scalar(mdp)
    require("num_sweeps", num_sweeps, is_count, "an integer of at least 1")
    require("tolerance", tolerance, lambda t: t is None or t >= 0, "a number of at least 0, or None")
    rewards = expected_rewards(mdp)

    def go_on(carry: tuple[Array, Solution]) -> Array:
        sweep, solution = carry
        return (sweep < num_sweeps) & (solution.residual > (-1 if tolerance is None else tolerance))

    def improve(carry: tuple[Array, Solution]) -> tuple[Array, Solution]:
        sweep, solution = carry
        return sweep + 1, _greedy(_q_values(mdp, rewards, solution.values), solution.values)

    zeros = jnp.zeros_like(rewards)
    start = Solution(zeros[:, 0], zeros, jnp.zeros(mdp.num_states, jnp.int32), jnp.full_like(zeros[0, 0], jnp.inf))
    return jax.lax.while_loop(go_on, improve, (jnp.int32(0), start))[1]


def policy_evaluation(mdp: FiniteMDP, policy: Array) -> Float[Array, "S"]:
    """The expected returns of a policy, `(I - gamma P_pi) V = r_pi`, by a direct solve in O(S^3).

    With gamma 1 the policy must reach a terminal state from everywhere; else the system is singular and the values are
    no finite numbers, or no returns.

    Args:
      mdp: with scalar rewards.
      policy: `[S]` integers, an action for each state, or `[S, A]`, probabilities of actions.

    Returns:
      `[S]`; 0 in terminal states.

    Raises:
      ValueError: if rewards are vectors, or if the policy is neither `[S]` integers nor `[S, A]` probabilities.
    """
    _require_scalar(mdp)
    return _evaluate(expected_rewards(mdp), transition_matrix(mdp), mdp, policy)


def policy_iteration(mdp: FiniteMDP, num_iterations: int = 100) -> Solution:
    """Evaluates a policy exactly and makes it greedy, until no action can be improved; seldom more than ten times.

    It starts from the actions of the largest immediate rewards. An action is exchanged only for one that is better by
    more than rounding, so that ties make no circles. With gamma 1 every policy must reach a terminal state.

    Args:
      mdp: with scalar rewards.
      num_iterations: static; the most improvements, at least 1.

    Returns:
      The solution; `residual` is what a further greedy step would gain, of the order of rounding at the optimum.

    Raises:
      ValueError: if rewards are vectors, or if `num_iterations` is less than 1.
    """
    _require_scalar(mdp)
    require("num_iterations", num_iterations, is_count, "an integer of at least 1")
    rewards, transitions = expected_rewards(mdp), transition_matrix(mdp)
    epsilon = jnp.finfo(rewards.dtype).eps

    def evaluated(actions: Array) -> tuple[Array, Array]:
        values = _evaluate(rewards, transitions, mdp, actions)
        return values, _q_values(mdp, rewards, values)

    def go_on(carry: tuple[Array, Array, Array, Array, Array]) -> Array:
        iteration, _, _, _, is_stable = carry
        return (iteration < num_iterations) & ~is_stable

    def improve(carry: tuple[Array, Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array, Array]:
        iteration, actions, _, q_values, _ = carry
        kept = jnp.take_along_axis(q_values, actions[:, None], axis=1)[:, 0]
        margin = 64 * epsilon * jnp.max(jnp.abs(q_values))
        better = jnp.max(q_values, axis=1) > kept + margin
        actions = jnp.where(better, jnp.argmax(q_values, axis=1).astype(jnp.int32), actions)
        return iteration + 1, actions, *evaluated(actions), ~jnp.any(better)

    actions = jnp.argmax(rewards, axis=1).astype(jnp.int32)
    start = (jnp.int32(0), actions, *evaluated(actions), jnp.bool_(False))
    _, _, values, q_values, _ = jax.lax.while_loop(go_on, improve, start)
    return _greedy(q_values, values)._replace(values=values)


def finite_horizon(mdp: FiniteMDP, num_steps: int) -> FiniteHorizonSolution:
    """The best of exactly T steps, by backward induction; the policy depends on the time.

    Args:
      mdp: with scalar rewards.
      num_steps: T, static, at least 1.

    Returns:
      Values and actions by time.

    Raises:
      ValueError: if rewards are vectors, or if `num_steps` is less than 1.
    """
    _require_scalar(mdp)
    require("num_steps", num_steps, is_count, "an integer of at least 1")
    rewards = expected_rewards(mdp)

    def backup(values: Array, _: Any) -> tuple[Array, tuple[Array, Array]]:
        better = _greedy(_q_values(mdp, rewards, values), values)
        return better.values, (better.values, better.actions)

    end = jnp.zeros_like(rewards[:, 0])
    _, (values, actions) = jax.lax.scan(backup, end, length=num_steps, reverse=True)
    return FiniteHorizonSolution(jnp.concatenate([values, end[None]]), actions)


def _q_values(mdp: FiniteMDP, rewards: Float[Array, "S A"], values: Float[Array, "S"]) -> Float[Array, "S A"]:
    if mdp.successors is None:
        following = jnp.matmul(mdp.probabilities, values, precision=jax.lax.Precision.HIGHEST)
    else:
        following = jnp.sum(mdp.probabilities * values[mdp.successors], axis=2)
    return jnp.where(mdp.terminal[:, None], 0, rewards + mdp.discount * following)


def _greedy(q_values: Float[Array, "S A"], before: Float[Array, "S"]) -> Solution:
    values = jnp.max(q_values, axis=1)
    actions = jnp.argmax(q_values, axis=1).astype(jnp.int32)
    return Solution(values, q_values, actions, jnp.max(jnp.abs(values - before)))


def _evaluate(
    rewards: Float[Array, "S A"], transitions: Float[Array, "S A S"], mdp: FiniteMDP, policy: Array
) -> Float[Array, "S"]:
    weights = action_probabilities(policy, mdp.num_actions, (mdp.num_states,)).astype(rewards.dtype)
    weights = jnp.where(mdp.terminal[:, None], 0, weights)
    precise = jax.lax.Precision.HIGHEST
    chain = jnp.einsum("sa,sat->st", weights, transitions, precision=precise)
    system = jnp.eye(mdp.num_states, dtype=rewards.dtype) - mdp.discount * chain
    return jnp.linalg.solve(system, jnp.sum(weights * rewards, axis=1))


def _require_scalar(mdp: FiniteMDP) -> None:
    require(
        "mdp.rewards",
        mdp.num_rewards,
        lambda m: m is None,
        "scalar rewards; choose a component with mdp._replace(rewards=mdp.rewards[..., i])",
    )
