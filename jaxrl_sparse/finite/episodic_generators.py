"""Families of episodic MDPs on which exploration is measured: combination locks, trees, bandits, random ones.

The sum of an episode's rewards is in [0, 1] in all of them. All but the tree are functions of arrays and vmap over
them; floats are of the default precision.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from jaxrl_sparse.base import require
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.generators import random_rows, require_sizes


def combination_lock(code: Int[Array, "H"], num_actions: int = 2, success: float | Array = 0.9) -> EpisodicMDP:
    """A lock: one action of each layer keeps the good state, all others lead to the bad one for good.

    State 0 is good and the first one, state 1 is bad. In the good state of layer h the action `code[h]` leads to the
    good state with probability `success` and else to the bad one. The last layer pays 1 to the right action in the good
    state, and nothing else pays, so that `J* = success^(H - 1)`. Random actions find the reward once in A^H episodes or
    more; the coverability of the greedy policies of all locks is 2.8 with two actions and success 0.9.

    Args:
      code: `[H]`, the right actions, from 0 to A - 1.
      num_actions: A, static.
      success: in [0, 1].

    Returns:
      An MDP of 2 states.

    Raises:
      ValueError: if the code holds what is no action, or another argument is out of range.
    """
    require_sizes(num_actions=num_actions)
    require(
        "code",
        code,
        lambda c: (
            c.ndim == 1 and c.size >= 1 and bool((np.asarray(c) >= 0).all() and (np.asarray(c) < num_actions).all())
        ),
        f"[H] actions from 0 to {num_actions - 1}",
    )
    require("success", success, lambda p: 0 <= float(p) <= 1, "a number in [0, 1]")
    is_right = jax.nn.one_hot(code, num_actions, dtype=jnp.result_type(float))
    stays_good = success * is_right
    from_good = jnp.stack([stays_good, 1 - stays_good], axis=-1)
    from_bad = jnp.zeros_like(from_good).at[..., 1].set(1)
    rewards = jnp.zeros((code.shape[0], 2, num_actions), is_right.dtype).at[-1, 0].set(is_right[-1])
    return EpisodicMDP(jnp.stack([from_good, from_bad], axis=1), rewards, _starts_in_state_zero(2))


def combination_locks(horizon: int, num_actions: int = 2, success: float | Array = 0.9) -> EpisodicMDP:
    """All `A^H` locks of a length, stacked: a class of models; see `combination_lock`.

    Args:
      horizon: H, static.
      num_actions: A, static.
      success: in [0, 1].

    Returns:
      MDPs with a leading axis of `A^H`, their codes in lexicographic order: lock n has the digits of n to the base A.

    Raises:
      ValueError: if an argument is out of range.
    """
    require_sizes(horizon=horizon, num_actions=num_actions)
    require("success", success, lambda p: 0 <= float(p) <= 1, "a number in [0, 1]")
    codes = jnp.indices((num_actions,) * horizon, dtype=jnp.int32).reshape(horizon, -1).T
    return jax.vmap(lambda code: combination_lock(code, num_actions, success))(codes)


def binary_tree(depth: int) -> EpisodicMDP:
    """A deterministic tree with a leaf for every sequence of actions; the sequence of ones alone is paid, with 1.

    Layer h, counted from 0, has the nodes 0 to 2^h - 1, and action a of node n leads to node `2 n + a`. Other states
    are never reached. Every pair of the last layer is reached by some policy with certainty, and so the coverability is
    `2^depth`.

    Args:
      depth: H, static, at least 1.

    Returns:
      An MDP of `2^(depth - 1)` states and 2 actions.

    Raises:
      ValueError: if the depth is less than 1.
    """
    require_sizes(depth=depth)
    num_states = 2 ** (depth - 1)
    children = (2 * jnp.arange(num_states)[:, None] + jnp.arange(2)) % num_states
    rows = jax.nn.one_hot(children, num_states, dtype=jnp.result_type(float))
    rewards = jnp.zeros((depth, num_states, 2), rows.dtype).at[-1, -1, -1].set(1)
    return EpisodicMDP(jnp.broadcast_to(rows, (depth, *rows.shape)), rewards, _starts_in_state_zero(num_states))


def contextual_bandit(key: PRNGKeyArray, num_contexts: int, num_actions: int) -> EpisodicMDP:
    """One layer: a context is drawn, an action is taken and paid; the coverability is the number of actions.

    Args:
      key: for the contexts' distribution, uniform in the simplex, and rewards, uniform in [0, 1].
      num_contexts: S, static.
      num_actions: A, static.

    Raises:
      ValueError: if a number is less than 1.
    """
    require_sizes(num_contexts=num_contexts, num_actions=num_actions)
    context_key, reward_key = jax.random.split(key)
    stays = jnp.broadcast_to(jnp.eye(num_contexts)[:, None], (num_contexts, num_actions, num_contexts))
    rewards = jax.random.uniform(reward_key, (1, num_contexts, num_actions))
    return EpisodicMDP(stays[None], rewards, random_rows(context_key, (), num_contexts))


def random_episodic_mdp(
    key: PRNGKeyArray, horizon: int, num_states: int, num_actions: int, num_successors: int | None = None
) -> EpisodicMDP:
    """Layers whose rows are uniform in the simplex, over all states or a few; rewards are uniform in [0, 1/H].

    Episodes start in state 0.

    Args:
      key: for everything.
      horizon: H, static.
      num_states: S, static.
      num_actions: A, static.
      num_successors: how many states each action may lead to, a uniform subset of them; None for all.

    Raises:
      ValueError: if an argument is out of range.
    """
    require_sizes(horizon=horizon, num_states=num_states, num_actions=num_actions)
    row_key, reward_key = jax.random.split(key)
    shape = (horizon, num_states, num_actions)
    transitions = random_rows(row_key, shape, num_states, num_successors)
    rewards = jax.random.uniform(reward_key, shape) / horizon
    return EpisodicMDP(transitions, rewards, _starts_in_state_zero(num_states))


def _starts_in_state_zero(num_states: int) -> Array:
    return jnp.zeros(num_states).at[0].set(1)
