"""All trajectories of a small deterministic problem: exact objectives of policies, and exact gradients by autodiff.

A problem is a table of successors, `next_states [S, A]`, a first state and a horizon H that counts states: H - 1
actions. The elements of a set function are the states' numbers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import require
from jaxrl_sparse.submodular.set_functions import SetFunction

MOST_TRAJECTORIES = 2**22


class Trajectories(NamedTuple):
    """Trajectories side by side.

    Attributes:
      states: `[L, H]` int32.
      actions: `[L, H - 1]` int32.
    """

    states: Int[Array, "L H"]
    actions: Int[Array, "L H-1"]


def enumerate_trajectories(next_states: Int[Array, "S A"], start: int | Array, horizon: int) -> Trajectories:
    """The trajectories of all A^(H-1) sequences of actions, in the order of the numbers that they spell.

    Args:
      next_states: `[S, A]`, the successor of each action in each state.
      start: the first state.
      horizon: H, static, the number of states, at least 2.

    Returns:
      L = A^(H-1) trajectories.

    Raises:
      ValueError: if H is less than 2, or L above 2^22.
    """
    require_horizon(horizon)
    num_actions = next_states.shape[1]
    num_trajectories = num_actions ** (horizon - 1)
    require("horizon", num_trajectories, lambda number: number <= MOST_TRAJECTORIES, "one of at most 2^22 trajectories")
    powers = jnp.asarray([num_actions**place for place in reversed(range(horizon - 1))], jnp.int32)
    actions = jnp.arange(num_trajectories, dtype=jnp.int32)[:, None] // powers % num_actions
    first = jnp.full(num_trajectories, start, jnp.int32)

    def step(states: Int[Array, "L"], chosen: Int[Array, "L"]):
        following = next_states[states, chosen].astype(jnp.int32)
        return following, following

    _, rest = jax.lax.scan(step, first, actions.T)
    return Trajectories(jnp.concatenate([first[None], rest]).T, actions)


def trajectory_values(set_function: SetFunction, trajectories: Trajectories) -> Float[Array, "L"]:
    """F of each trajectory's states, by its definition."""
    return jax.vmap(set_function.value)(trajectories.states)


def expected_value(
    logits: Float[Array, "*time S A"], trajectories: Trajectories, values: Float[Array, "L"]
) -> Float[Array, ""]:
    """The objective of a softmax policy: its gradient by autodiff is exact.

        J(pi) = sum over trajectories l of F(l) prod over h of pi_h(a_h | s_h)

    Args:
      logits: `[H - 1, S, A]` of a policy that knows the time, or `[S, A]` of one that does not.
      trajectories: all of the problem's, from `enumerate_trajectories`.
      values: `[L]`, F of each.

    Returns:
      J, in F's unit.
    """
    log_policy = jax.nn.log_softmax(logits)
    visited, actions = trajectories.states[:, :-1], trajectories.actions
    if log_policy.ndim == 2:
        chosen = log_policy[visited, actions]
    else:
        chosen = log_policy[jnp.arange(actions.shape[1]), visited, actions]
    return jnp.sum(jnp.exp(jnp.sum(chosen, axis=1)) * values)


def require_horizon(horizon: int) -> None:
    """Refuses a horizon in which nothing is decided.

    Raises:
      ValueError: if it is less than 2.
    """
    require("horizon", horizon, lambda number: number >= 2, "an integer of at least 2, the number of states visited")
