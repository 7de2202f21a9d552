"""Planning for a utility without laws: the scalar recursion over states and stocks, for scalar and vector stocks.

    V_{n+1}(s, c) = max_a gamma^p E V_n(S', (c + R) / gamma),   V_0(s, c) = f(c),   V(terminal, c) = f(c)

for a utility of degree p. It costs S A S' C, and it is the same optimum as distributional value iteration: its fast
path and its independent check. On a grid too coarse it is over-optimistic in continuing tasks: rounding errors vanish
from V as gamma^n, while the distributional form reports the law that is achieved.

Source: Bauerle and Ott, "Markov Decision Processes with Average-Value-at-Risk Criteria" (2011), for f = min(x, 0).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.distributional.backups import greedy
from jaxrl_sparse.distributional.grids import nearest_index, require_uniform, taps
from jaxrl_sparse.distributional.objectives import Utility, require_admissible
from jaxrl_sparse.finite.mdp import FiniteMDP, successor_table

# Grids of several components may differ in size.
StockGrid = Float[Array, "C"] | tuple[Float[Array, "_"], ...]


class StockPlan(NamedTuple):
    """Values and actions over states and stocks.

    Attributes:
      values: `[S, C]`, or `[S, C_1, ..., C_m]` of vector stocks.
      actions: int32, alike; `[T, S, ...]` where those of every step were kept.
      residual: the largest change of a value in the last sweep.
    """

    values: Float[Array, "S ..."]
    actions: Int[Array, "..."]
    residual: Float[Array, ""]


def stock_value_iteration(
    mdp: FiniteMDP, stocks: StockGrid, utility: Utility, num_sweeps: int, *, keep_actions: bool = False
) -> StockPlan:
    """Sweeps of the scalar recursion, starting from `V_0 = f`.

    V starts from f and not from 0: zero is a spurious fixed point of the recursion. Between stocks V is interpolated
    linearly. Beyond the grid it is `V(s, clip c) + f(c) - f(clip c)`: the policy changes no more there, which is exact
    where f is linear on either side of zero, or constant, and the grid holds [-g_max, -g_min]. Extending the line of
    the end cell instead would amplify rounding from sweep to sweep.

    Args:
      mdp: with scalar rewards, or vector rewards `[S, A, B, m]`.
      stocks: an ascending uniform grid `[C]`, or a tuple of m of them.
      utility: of m components.
      num_sweeps: static, at least 1.
      keep_actions: static; whether to return those of every sweep, as an episode of `num_sweeps` steps needs them, by
        the number of its step.

    Returns:
      The plan.

    Raises:
      ValueError: if stocks, rewards and utility do not have the same number of components, if the discount is out of
        range for the utility, or if a grid is not uniform.
    """
    grids = stocks if isinstance(stocks, tuple) else (stocks,)
    is_vector = isinstance(stocks, tuple)
    require("num_sweeps", num_sweeps, is_count, "an integer of at least 1")
    components = len(grids) if is_vector else None
    require("mdp", mdp.num_rewards, lambda m: m == components, f"rewards of {_words(components)}, as the stocks")
    require("utility", utility.num_components, lambda m: m == components, f"outcomes of {_words(components)}")
    require_admissible(utility, mdp.discount)
    for i, grid in enumerate(grids):
        require_uniform(f"stocks[{i}]", grid)

    def f(coordinates: tuple[Array, ...]) -> Float[Array, "*sizes"]:
        outcomes = jnp.stack(jnp.meshgrid(*coordinates, indexing="ij"), axis=-1)
        return utility.f(outcomes if is_vector else outcomes[..., 0])

    final = f(grids)
    sizes = final.shape
    scale = 1.0 if utility.degree is None else mdp.discount**utility.degree
    rewards = mdp.rewards if is_vector else mdp.rewards[..., None]
    successors = successor_table(mdp)

    def at_next_stock(table: Float[Array, "*sizes"], reward: Float[Array, "m"]) -> Float[Array, "*sizes"]:
        """V at `(c + r) / gamma` for every c of the grid, one axis after another."""
        following = tuple((grid + reward[axis]) / mdp.discount for axis, grid in enumerate(grids))
        clipped = tuple(jnp.clip(c, grid[0], grid[-1]) for c, grid in zip(following, grids, strict=True))
        for axis, grid in enumerate(grids):
            index, weight = taps(clipped[axis], grid)
            shape = [1] * len(grids)
            shape[axis] = -1
            weight = weight.reshape(shape)
            table = (1 - weight) * jnp.take(table, index, axis) + weight * jnp.take(table, index + 1, axis)
        return table + f(following) - f(clipped)

    def action_values(values: Float[Array, "S *sizes"], a: Int[Array, ""]) -> Float[Array, "S *sizes"]:
        shape = (-1,) + (1,) * len(sizes)
        if mdp.rewards_are_shared and mdp.successors is None:
            flat = values.reshape(mdp.num_states, -1)
            mixed = jnp.matmul(mdp.probabilities[:, a], flat, precision=jax.lax.Precision.HIGHEST)
            return jax.vmap(at_next_stock)(mixed.reshape(values.shape), rewards[:, a, 0])

        def add(total, b):
            paid = rewards[:, a, 0 if mdp.rewards_are_shared else b]
            moved = jax.vmap(at_next_stock)(values[successors[:, a, b]], paid)
            return total + mdp.probabilities[:, a, b].reshape(shape) * moved, None

        return jax.lax.scan(add, jnp.zeros_like(values), jnp.arange(mdp.num_outcomes))[0]

    def sweep(carry, _):
        values, _, _ = carry
        all_values = scale * jax.lax.map(lambda a: action_values(values, a), jnp.arange(mdp.num_actions))
        flat = jnp.moveaxis(all_values, 0, 1).reshape(mdp.num_states, mdp.num_actions, -1)
        actions = greedy(flat).reshape(values.shape)
        ends = mdp.terminal.reshape((-1,) + (1,) * len(sizes))
        new = jnp.where(ends, final, jnp.max(all_values, axis=0))
        actions = jnp.where(ends, 0, actions)
        carry = (new, jnp.max(jnp.abs(new - values)), actions)
        return carry, (actions if keep_actions else None)

    start = jnp.broadcast_to(final, (mdp.num_states, *sizes)).astype(mdp.rewards.dtype)
    carry = (start, jnp.zeros((), start.dtype), jnp.zeros(start.shape, jnp.int32))
    (values, residual, actions), every = jax.lax.scan(sweep, carry, length=num_sweeps)
    return StockPlan(values, actions if every is None else every[::-1], residual)


def interpolate_stock(
    table: Float[Array, "*sizes"], stocks: StockGrid, stock: Float[Array, "..."]
) -> Float[Array, "..."]:
    """A table over stocks at one stock, by linear interpolation along every axis; clipped to the grid.

    Args:
      table: `[C, ...]`, or `[C_1, ..., C_m, ...]`; what follows the stocks' axes is kept.
      stocks: the grid, or the tuple of them.
      stock: a scalar, or `[m]`.
    """
    for grid, coordinate in zip(stocks if isinstance(stocks, tuple) else (stocks,), jnp.atleast_1d(stock), strict=True):
        index, weight = taps(coordinate, grid)
        table = (1 - weight) * table[index] + weight * table[index + 1]
    return table


def lookup(table: Array, stocks: StockGrid, states: Int[Array, "B"], held: Float[Array, "B ..."]) -> Array:
    """A policy's entries `[B]` of a table over states and stocks, at the grid's nearest stocks, clipped to its ends.

    Args:
      table: `[S, C]`, or `[S, C_1, ..., C_m]`.
      stocks: the grid, or the tuple of them.
      states: `[B]`.
      held: `[B]`, or `[B, m]`, exact stocks.
    """
    grids = stocks if isinstance(stocks, tuple) else (stocks,)
    coordinates = held if isinstance(stocks, tuple) else held[:, None]
    return table[(states, *(nearest_index(coordinates[:, i], grid) for i, grid in enumerate(grids)))]


def _words(components: int | None) -> str:
    return "scalars" if components is None else f"{components} components"
