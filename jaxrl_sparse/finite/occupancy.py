"""Where a policy is: discounted occupancies and stationary distributions of finite MDPs, exact."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import require
from jaxrl_sparse.finite.mdp import FiniteMDP, transition_matrix

_PRECISE = jax.lax.Precision.HIGHEST


def discounted_occupancy(mdp: FiniteMDP, policy: Array) -> Float[Array, "S A"]:
    """The normalised discounted occupancy of a policy, by a direct solve in O(S^3).

        d(s) = (1 - gamma) initial(s) + gamma sum over s', a of d(s') pi(a | s') P(s | s', a)
        d(s, a) = d(s) pi(a | s)

    It sums to one, and `E_d[r] = (1 - gamma) V^pi(initial)` where terminal states pay nothing: they are taken to lead
    to themselves, so that what enters one stays there. What is never reached has exactly zero, as ratios need it: the
    system is diagonally dominant, and no pivot mixes its rows.

    Args:
      mdp: its discount below 1; see `stationary_distribution` for 1.
      policy: `[S]` integers, an action for each state, or `[S, A]`, probabilities of actions.

    Returns:
      `[S, A]`.

    Raises:
      ValueError: if the discount is 1, or the policy is neither.
    """
    require("mdp.discount", mdp.discount, lambda gamma: float(gamma) < 1, "a number below 1")
    probs = action_probabilities(policy, mdp.num_actions, (mdp.num_states,))
    system = jnp.eye(mdp.num_states, dtype=probs.dtype) - mdp.discount * state_chain(mdp, probs).T
    states = (1 - mdp.discount) * jnp.linalg.solve(system, mdp.initial)
    return states[:, None] * probs


def stationary_distribution(mdp: FiniteMDP, policy: Array) -> Float[Array, "S A"]:
    """The stationary distribution of a policy's chain, which must have one recurrent class.

        d(s) = sum over s', a of d(s') pi(a | s') P(s | s', a),   sum d = 1

    With several recurrent classes the system is singular and the result no finite numbers, or one of many solutions.
    Of states that are left for good it is zero to rounding, of either sign.

    Args:
      mdp: terminal states lead to themselves, as in `discounted_occupancy`.
      policy: `[S]` integers, or `[S, A]`, probabilities of actions.

    Returns:
      `[S, A]`.

    Raises:
      ValueError: if the policy is neither.
    """
    probs = action_probabilities(policy, mdp.num_actions, (mdp.num_states,))
    # One equation of the balance follows from the others; the sum takes its place.
    balance = jnp.eye(mdp.num_states, dtype=probs.dtype) - state_chain(mdp, probs).T
    system = balance.at[-1].set(1)
    states = jnp.linalg.solve(system, jnp.zeros(mdp.num_states, probs.dtype).at[-1].set(1))
    return states[:, None] * probs


def state_chain(mdp: FiniteMDP, probs: Float[Array, "S A"]) -> Float[Array, "S S"]:
    """`P_pi(s' | s)` under probabilities of actions; terminal states lead to themselves."""
    chain = jnp.einsum("sa,sat->st", probs, transition_matrix(mdp), precision=_PRECISE)
    return jnp.where(mdp.terminal[:, None], jnp.eye(mdp.num_states, dtype=chain.dtype), chain)


def action_probabilities(policy: Array, num_actions: int, shape: tuple[int, ...]) -> Float[Array, "*shape A"]:
    """A policy as probabilities: `[*shape]` integers become one-hot vectors, `[*shape, A]` probabilities stay.

    Args:
      policy: of either form.
      num_actions: A.
      shape: what a policy is indexed by, `(S,)` or `(H, S)`.

    Raises:
      ValueError: if the policy has neither form; values are not looked at.
    """
    is_deterministic = policy.shape == shape and jnp.issubdtype(policy.dtype, jnp.integer)
    is_stochastic = policy.shape == (*shape, num_actions) and jnp.issubdtype(policy.dtype, jnp.floating)
    require(
        "policy",
        (policy.shape, policy.dtype.name),
        lambda _: is_deterministic or is_stochastic,
        f"{shape} integers or {(*shape, num_actions)} probabilities",
    )
    return policy if is_stochastic else jax.nn.one_hot(policy, num_actions, dtype=jnp.result_type(float))
