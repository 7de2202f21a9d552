"""Backward induction, values, occupancies and reachability of episodic MDPs, exact.

    Q_h(s, a) = r_h(s, a) + sum over s' of P_h(s' | s, a) V_{h+1}(s'),   V_h(s) = max over a of Q_h(s, a),   V_H = 0

Everything here works inside jit and vmap; stack MDPs or policies and vmap over them. Of actions that are equally good
the one with the lowest number is taken, so that a greedy policy is a function of its values alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.occupancy import action_probabilities

_PRECISE = jax.lax.Precision.HIGHEST


class EpisodicSolution(NamedTuple):
    """What is best in each layer and state.

    Attributes:
      values: `[H + 1, S]`, V; the last row is zero.
      q_values: `[H, S, A]`, Q.
      actions: `[H, S]` int32, the greedy ones of Q.
    """

    values: Float[Array, "H_plus_1 S"]
    q_values: Float[Array, "H S A"]
    actions: Int[Array, "H S"]


def backward_induction(mdp: EpisodicMDP) -> EpisodicSolution:
    """The optimum Q*, V* of an episodic MDP."""

    def backup(values, layer):
        transitions, rewards = layer
        q_values = rewards + jnp.matmul(transitions, values, precision=_PRECISE)
        values = jnp.max(q_values, axis=-1)
        return values, (values, q_values)

    end = jnp.zeros_like(mdp.rewards[0, :, 0])
    _, (values, q_values) = jax.lax.scan(backup, end, (mdp.transitions, mdp.rewards), reverse=True)
    return EpisodicSolution(jnp.concatenate([values, end[None]]), q_values, greedy_actions(q_values))


def greedy_actions(q_values: Float[Array, "*batch S A"]) -> Int[Array, "*batch S"]:
    """The policy pi_f of values f: of equally good actions that of the lowest number."""
    return jnp.argmax(q_values, axis=-1).astype(jnp.int32)


def policy_values(mdp: EpisodicMDP, policy: Array) -> Float[Array, "H_plus_1 S"]:
    """V^pi by layer and state, the expected sum of the rewards from there on; the last row is zero.

    Args:
      mdp: of H layers.
      policy: `[H, S]` integers, or `[H, S, A]`, probabilities of actions.

    Raises:
      ValueError: if the policy is neither.
    """
    probs = action_probabilities(policy, mdp.num_actions, (mdp.horizon, mdp.num_states))

    def backup(values, layer):
        transitions, rewards, weights = layer
        q_values = rewards + jnp.matmul(transitions, values, precision=_PRECISE)
        values = jnp.sum(weights * q_values, axis=-1)
        return values, values

    end = jnp.zeros_like(mdp.rewards[0, :, 0])
    _, values = jax.lax.scan(backup, end, (mdp.transitions, mdp.rewards, probs), reverse=True)
    return jnp.concatenate([values, end[None]])


def expected_return(mdp: EpisodicMDP, policy: Array) -> Float[Array, ""]:
    """`J(pi) = sum over s of initial(s) V^pi_0(s)`; see `policy_values`."""
    return jnp.dot(mdp.initial, policy_values(mdp, policy)[0], precision=_PRECISE)


def occupancy(mdp: EpisodicMDP, policy: Array) -> Float[Array, "H S A"]:
    """`d^pi_h(s, a)`, the probability of state and action in layer h; every layer sums to one.

    Args:
      mdp: of H layers.
      policy: `[H, S]` integers, or `[H, S, A]`, probabilities of actions.

    Raises:
      ValueError: if the policy is neither.
    """
    probs = action_probabilities(policy, mdp.num_actions, (mdp.horizon, mdp.num_states))

    def step(states, layer):
        transitions, weights = layer
        pairs = states[:, None] * weights
        return jnp.einsum("sa,sat->t", pairs, transitions, precision=_PRECISE), pairs

    _, pairs = jax.lax.scan(step, mdp.initial.astype(probs.dtype), (mdp.transitions, probs))
    return pairs


def max_reachability(mdp: EpisodicMDP) -> Float[Array, "H S"]:
    """`sup over pi of d^pi_h(s)`, the largest probability with which a policy is in a state; a backward DP a target.

    The policy that attains it may take any action there, so that it is `sup over pi of d^pi_h(s, a)` too, for every a.
    The supremum is over all policies; it is attained by a deterministic one of layer and state.

    Args:
      mdp: of H layers and S states; its rewards play no part.

    Returns:
      `[H, S]`; row 0 is `mdp.initial`.
    """
    horizon, num_states, _ = mdp.rewards.shape
    targets = jnp.eye(num_states, dtype=mdp.transitions.dtype)

    def reach(h):
        """All targets of layer h: layers behind it leave the tables as they are."""

        def back(table, layer):
            index, transitions = layer
            moved = jnp.max(jnp.einsum("sat,jt->jsa", transitions, table, precision=_PRECISE), axis=-1)
            return jnp.where(index < h, moved, table), None

        table, _ = jax.lax.scan(back, targets, (jnp.arange(horizon), mdp.transitions), reverse=True)
        return jnp.matmul(table, mdp.initial, precision=_PRECISE)

    return jax.lax.map(reach, jnp.arange(horizon))


def bellman_errors(mdp: EpisodicMDP, q_values: Float[Array, "H S A"]) -> Float[Array, "H S A"]:
    """`f_h - T_h f_{h+1}`, with `f_H = 0`: zero everywhere for Q* alone.

    Its expectation under the occupancy of f's greedy policy is what f promises too much:
    `E f_0(s_0, pi_f) - J(pi_f) = sum over h of E_{d^{pi_f}_h}[f_h - T_h f_{h+1}]`, exact for any f.

    Args:
      mdp: of H layers.
      q_values: `[H, S, A]`, f.
    """
    values = jnp.max(q_values, axis=-1)
    following = jnp.concatenate([values[1:], jnp.zeros_like(values[:1])])
    backed_up = mdp.rewards + jnp.einsum("hsat,ht->hsa", mdp.transitions, following, precision=_PRECISE)
    return q_values - backed_up
