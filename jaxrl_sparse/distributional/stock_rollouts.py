"""Following a stock policy: the stock is kept exactly, only the look-up in the table is rounded and clipped."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.distributional.stock_value_iteration import StockGrid, lookup
from jaxrl_sparse.finite.mdp import FiniteMDP, successor_table
from jaxrl_sparse.numerics.inverse_cdf import cumulative_weights, index_below


class StockEpisodes(NamedTuple):
    """Episodes of a stock policy.

    Attributes:
      returns: G, `[B]` or `[B, m]`, discounted sums of rewards.
      outcomes: c_0 + G, alike.
      stocks: c_T after the last step, alike; `gamma^T c_T = c_0 + G`, T the episode's length.
      lengths: `[B]` int32, steps.
      terminated: `[B]`, whether a terminal state was reached; the others were cut after `num_steps`.
    """

    returns: Float[Array, "B ..."]
    outcomes: Float[Array, "B ..."]
    stocks: Float[Array, "B ..."]
    lengths: Int[Array, "B"]
    terminated: Bool[Array, "B"]


def rollout_stock_policy(
    key: PRNGKeyArray,
    mdp: FiniteMDP,
    actions: Int[Array, "..."],
    stocks: StockGrid,
    initial_stocks: Float[Array, "B ..."],
    num_steps: int,
) -> StockEpisodes:
    """Runs a policy over states and stocks from `mdp.initial`, `c' = (c + r) / gamma` at every step.

    An episode that is cut off after T steps leaves `gamma^T G_T` unpaid: a floor under every |c_0 + G| that is
    measured.

    Args:
      key: for first states and outcomes.
      mdp: with scalar rewards, or vector rewards.
      actions: `[S, C]` or `[S, C_1, ..., C_m]`, or with a leading axis `[num_steps]` for the actions of every step.
      stocks: the grid, or the tuple of them.
      initial_stocks: c_0, `[B]` or `[B, m]`.
      num_steps: static; the most steps, at least 1.

    Raises:
      ValueError: if `num_steps` is less than 1, or if the actions are not of these shapes.
    """
    require("num_steps", num_steps, is_count, "an integer of at least 1")
    num_axes = 1 + (len(stocks) if isinstance(stocks, tuple) else 1)
    require(
        "actions",
        actions.shape,
        lambda shape: len(shape) == num_axes or (len(shape) == num_axes + 1 and shape[0] == num_steps),
        f"[S, *C], or [{num_steps}, S, *C] with the actions of every step",
    )
    by_step = actions.ndim == num_axes + 1
    batch = initial_stocks.shape[0]
    following, cumulative = successor_table(mdp), cumulative_weights(mdp.probabilities)
    first_key, key = jax.random.split(key)
    # log 0 is -inf: a state that cannot be first never is.
    states = jax.random.categorical(first_key, jnp.log(mdp.initial), shape=(batch,)).astype(jnp.int32)
    draws = jax.random.uniform(key, (num_steps, batch), mdp.rewards.dtype)

    def rows(mask: Bool[Array, "B"], like: Array) -> Bool[Array, "B ..."]:
        return mask.reshape((-1,) + (1,) * (like.ndim - 1))

    def step(carry, inputs):
        states, held, returns, scale, lengths = carry
        uniform, t = inputs
        active = ~mdp.terminal[states]
        table = actions[t] if by_step else actions
        chosen = lookup(table, stocks, states, held)
        b = index_below(uniform, cumulative[states, chosen])
        paid = mdp.rewards[states, chosen, 0 if mdp.rewards_are_shared else b]
        moves = rows(active, paid)
        returns = returns + jnp.where(moves, scale * paid, 0)
        held = jnp.where(moves, (held + paid) / mdp.discount, held)
        states = jnp.where(active, following[states, chosen, b], states)
        return (states, held, returns, scale * mdp.discount, lengths + active), None

    zeros = jnp.zeros_like(initial_stocks)
    start = (states, initial_stocks, zeros, jnp.ones((), mdp.rewards.dtype), jnp.zeros(batch, jnp.int32))
    carry, _ = jax.lax.scan(step, start, (draws, jnp.arange(num_steps)))
    states, held, returns, _, lengths = carry
    return StockEpisodes(returns, initial_stocks + returns, held, lengths, mdp.terminal[states])
