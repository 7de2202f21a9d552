"""Families of finite MDPs: Garnets, dense ones, trees small enough for brute force, and a river to swim up.

The random ones are functions of a key and vmap over it; floats are of the default precision.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.finite.mdp import FiniteMDP

REWARD_LAWS = ("normal", "uniform")


def garnet(
    key: PRNGKeyArray,
    num_states: int,
    num_actions: int,
    num_successors: int,
    discount: float | Array,
    reward_law: str = "normal",
) -> FiniteMDP:
    """A Garnet: every action in every state leads to a few random states, and pays a random reward.

    The successors of an action are a uniform subset of the states; their probabilities are the lengths of the pieces
    into which sorted uniform numbers cut the unit interval. There is no terminal state; episodes start in state 0.

    Args:
      key: for everything.
      num_states: S.
      num_actions: A.
      num_successors: B, at most S.
      discount: gamma in (0, 1], per step.
      reward_law: `r(s, a)` is standard "normal", or "uniform" in [0, 1].

    Returns:
      A sparse MDP, `[S, A, B]`, rewards `[S, A, 1]`.

    Raises:
      ValueError: if an argument is out of range.

    Source: Archibald, McKinnon and Thomas, "On the Generation of Markov Decision Processes" (1995); Bhatnagar et al.,
    "Natural Actor-Critic Algorithms" (2009), section 6.
    """
    require_sizes(num_states=num_states, num_actions=num_actions, num_successors=num_successors)
    require("num_successors", num_successors, lambda b: b <= num_states, f"at most num_states={num_states}")
    require("reward_law", reward_law, lambda law: law in REWARD_LAWS, f"one of {', '.join(REWARD_LAWS)}")
    _require_discount(discount)
    successor_key, cut_key, reward_key = jax.random.split(key, 3)
    sample = jax.random.normal if reward_law == "normal" else jax.random.uniform
    rows = (num_states, num_actions)
    cuts = jnp.sort(jax.random.uniform(cut_key, (*rows, num_successors - 1)), axis=-1)
    edges = jnp.concatenate([jnp.zeros((*rows, 1)), cuts, jnp.ones((*rows, 1))], axis=-1)
    return _process(
        jnp.diff(edges, axis=-1),
        sample(reward_key, (*rows, 1)),
        discount,
        successors=_subsets(successor_key, rows, num_states, num_successors),
    )


def random_dense_mdp(
    key: PRNGKeyArray,
    num_states: int,
    num_actions: int,
    discount: float | Array,
    low: float | Array = -1.0,
    high: float | Array = 1.0,
) -> FiniteMDP:
    """Rows that are uniform in the simplex, and rewards `r(s, a)` that are uniform between bounds.

    There is no terminal state; episodes start in state 0.

    Args:
      key: for everything.
      num_states: S.
      num_actions: A.
      discount: gamma in (0, 1], per step.
      low: the least reward.
      high: the largest reward.

    Returns:
      A dense MDP, `[S, A, S]`, rewards `[S, A, 1]`.

    Raises:
      ValueError: if an argument is out of range.
    """
    require_sizes(num_states=num_states, num_actions=num_actions)
    require("low", (low, high), lambda bounds: bounds[0] <= bounds[1], "at most `high`")
    _require_discount(discount)
    row_key, reward_key = jax.random.split(key)
    rewards = jax.random.uniform(reward_key, (num_states, num_actions, 1), minval=low, maxval=high)
    return _process(_simplex_rows(row_key, (num_states, num_actions, num_states)), rewards, discount)


def random_tree(
    key: PRNGKeyArray,
    depth: int,
    num_actions: int,
    num_outcomes: int,
    discount: float | Array,
    low: int = -3,
    high: int = 3,
) -> FiniteMDP:
    """A tree, from the root at state 0 to leaves that are terminal: every history is a state, for brute force.

    Node n has the children `n A B + 1 + a B + b`; rows are uniform in the simplex, and every outcome pays an integer
    of its own, uniform from `low` to `high`.

    Args:
      key: for everything.
      depth: steps from the root to a leaf, at least 1.
      num_actions: A.
      num_outcomes: B of each action.
      discount: gamma in (0, 1], per step.
      low: the least reward.
      high: the largest reward, included.

    Returns:
      A sparse MDP of `sum over d from 0 to depth of (A B)^d` states; leaves lead to themselves and pay nothing.

    Raises:
      ValueError: if an argument is out of range.
    """
    require_sizes(depth=depth, num_actions=num_actions, num_outcomes=num_outcomes)
    require("low", (low, high), lambda bounds: bounds[0] <= bounds[1], "at most `high`")
    _require_discount(discount)
    fan_out = num_actions * num_outcomes
    num_inner = sum(fan_out**level for level in range(depth))
    num_states = num_inner + fan_out**depth
    shape = (num_states, num_actions, num_outcomes)
    row_key, reward_key = jax.random.split(key)
    nodes = jnp.arange(num_states, dtype=jnp.int32)[:, None]
    is_leaf = nodes >= num_inner
    children = jnp.where(is_leaf, nodes, nodes * fan_out + 1 + jnp.arange(fan_out, dtype=jnp.int32))
    rewards = jax.random.randint(reward_key, shape, low, high + 1).astype(jnp.result_type(float))
    return _process(
        _simplex_rows(row_key, shape),
        jnp.where(is_leaf[:, :, None], 0, rewards),
        discount,
        terminal=is_leaf[:, 0],
        successors=children.reshape(shape),
    )


def river_swim(num_states: int = 6, discount: float | Array = 0.95) -> FiniteMDP:
    """A chain against the current: little is paid at the near end, much at the far one, and few steps lead there.

    Action 0 swims left and always arrives. Action 1 swims right: from the states between it moves on with probability
    0.3, stays with 0.6 and is carried left with 0.1; from the first it moves on with 0.3, from the last it stays with
    0.3 and is carried left with 0.7. Action 0 in the first state is paid 0.0005, swimming right and staying in the last
    state 1. Episodes start in the second or the third state.

    Args:
      num_states: S, static, at least 3; 6 as published.
      discount: gamma in (0, 1], per step.

    Returns:
      A dense MDP, `[S, 2, S]`, whose rewards `[S, 2, S]` are those of the paper divided by the largest.

    Raises:
      ValueError: if an argument is out of range.

    Source: Strehl and Littman, "An Analysis of Model-Based Interval Estimation for Markov Decision Processes" (2008),
    section 5.
    """
    require_sizes(num_states=num_states)
    require("num_states", num_states, lambda s: s >= 3, "an integer of at least 3")
    _require_discount(discount)
    states = jnp.arange(num_states)
    left, right = jnp.maximum(states - 1, 0), jnp.minimum(states + 1, num_states - 1)
    rows = jnp.zeros((num_states, 2, num_states))
    rows = rows.at[states, 0, left].set(1)
    rows = (
        rows.at[states, 1, right]
        .add(0.3)
        .at[states[1:-1], 1, states[1:-1]]
        .add(0.6)
        .at[states[1:], 1, left[1:]]
        .add(0.1)
    )
    # The banks: nothing is carried left of the first state, and the last is the hardest to stay in.
    rows = rows.at[0, 1, 0].add(0.7).at[-1, 1, -2].add(0.6)
    rewards = jnp.zeros_like(rows).at[0, 0, 0].set(0.0005).at[-1, 1, -1].set(1)
    return _process(rows, rewards, discount)._replace(initial=jnp.zeros(num_states).at[1:3].set(0.5))


def random_rows(
    key: PRNGKeyArray, shape: tuple[int, ...], num_states: int, num_successors: int | None = None
) -> Float[Array, "*shape S"]:
    """Distributions over states, uniform in the simplex over all of them, or over a uniform subset of a few.

    Args:
      key: for everything.
      shape: of the batch, static.
      num_states: S, static.
      num_successors: the size of the subset, at most S, static; None for all states.

    Raises:
      ValueError: if `num_successors` is less than 1 or more than S.
    """
    if num_successors is None:
        return _simplex_rows(key, (*shape, num_states))
    require_sizes(num_successors=num_successors)
    require("num_successors", num_successors, lambda b: b <= num_states, f"at most num_states={num_states}")
    row_key, subset_key = jax.random.split(key)
    subsets = _subsets(subset_key, shape, num_states, num_successors)
    weights = _simplex_rows(row_key, (*shape, num_successors))
    return jnp.put_along_axis(jnp.zeros((*shape, num_states), weights.dtype), subsets, weights, axis=-1, inplace=False)


def require_sizes(**sizes: int) -> None:
    """Refuses sizes that are no integers of at least 1, by their names."""
    for argument, size in sizes.items():
        require(argument, size, is_count, "an integer of at least 1")


def _process(
    probabilities: Float[Array, "S A B"],
    rewards: Float[Array, "S A R"],
    discount: float | Array,
    terminal: Array | None = None,
    successors: Array | None = None,
) -> FiniteMDP:
    """Rows that are right by construction, and sizes that are checked: `finite_mdp` would wait for the device."""
    num_states = probabilities.shape[0]
    return FiniteMDP(
        probabilities,
        rewards,
        jnp.asarray(discount, rewards.dtype),
        jnp.zeros(num_states, bool) if terminal is None else terminal,
        jnp.zeros(num_states, rewards.dtype).at[0].set(1),
        successors,
    )


def _simplex_rows(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    weights = jax.random.exponential(key, shape)
    return weights / jnp.sum(weights, axis=-1, keepdims=True)


def _subsets(key: PRNGKeyArray, rows: tuple[int, ...], n: int, k: int) -> Int[Array, "... k"]:
    """Uniform subsets of k of n numbers, `[*rows, k]`, in memory for k: Floyd's algorithm (Bentley and Floyd, 1987)."""
    last = jnp.arange(n - k, n, dtype=jnp.int32)
    draws = jax.random.randint(key, (*rows, k), 0, last + 1, jnp.int32)

    def choose(i: Array, chosen: Array) -> Array:
        drawn = draws[..., i]
        is_taken = jnp.any(chosen == drawn[..., None], axis=-1)
        return chosen.at[..., i].set(jnp.where(is_taken, last[i], drawn))

    return jax.lax.fori_loop(0, k, choose, jnp.full((*rows, k), -1, jnp.int32))


def _require_discount(discount: float | Array) -> None:
    require("discount", discount, lambda gamma: 0 < float(gamma) <= 1, "a number in (0, 1]")
