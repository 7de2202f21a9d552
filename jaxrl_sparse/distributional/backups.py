"""One sweep of distributional dynamic programming, in two forms that hold the law of the return differently.

For every state s, action a and stock c, with `c' = (c + r) / gamma` clipped to the stock grid, between c_i and c_{i+1}:

    M(s, a, c)  = sum_{s'} P(s'|s, a) [(1 - w) eta(s', c_i) + w eta(s', c_{i+1})]     the law after this step
    q(s, a, c)  = projection of the law of r + gamma G, G ~ M(s, a, c)
    Q(s, c, a)  = E f(c + G), G ~ q(s, a, c)
    eta(s, c)  <- q(s, a*, c),  a* the first action of largest Q

Mixing two neighbours' laws is the law of an agent that rounds its stock at random without bias, so that the values are
attainable but for the projection. Only the winning action's law is moved; values are look-ups.

Source: Avila Pires et al., "Optimizing Return Distributions with Distributional Dynamic Programming" (JMLR 2025),
section
4; Bellemare et al. (2017) for the categorical projection. The integrated form is this library's.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import require
from jaxrl_sparse.distributional.grids import Grids, Taps, nearest, spacing, taps
from jaxrl_sparse.distributional.objectives import Utility
from jaxrl_sparse.distributional.projections import triangular_kernel
from jaxrl_sparse.finite.mdp import FiniteMDP, successor_table

STOCK_ROUNDINGS = ("linear", "nearest")


class Shard(NamedTuple):
    """The part of the stock axis that a sweep backs up, and the part whose laws it is given.

    Attributes:
      stocks: `[C_local]`, those to back up.
      first: the number in the whole grid of the first stock whose laws are given.
    """

    stocks: Float[Array, "C_local"]
    first: int | Int[Array, ""] = 0


class Backup(NamedTuple):
    """A form of the sweep. C is that of the shard, where it is made for one.

    Attributes:
      start: `start() -> (laws [S, C, N], values [S, C])`: all returns are zero, `F(s, c) = f(c)`.
      sweep: `sweep(laws, actions=None) -> (laws, values [S, C], actions [S, C])`: backs up the greedy actions, or those
        that are given. Of a shard, it takes the laws of the stocks around as well.
      spacing: zeta where laws are integrated CDFs; None where they are probabilities.
    """

    start: Callable[[], tuple[Float[Array, "S C N"], Float[Array, "S C"]]]
    sweep: Callable[..., tuple[Float[Array, "S C N"], Float[Array, "S C"], Int[Array, "S C"]]]
    spacing: Float[Array, ""] | None


def integrated_backup(
    mdp: FiniteMDP,
    grids: Grids,
    utility: Utility,
    stock_rounding: str = "linear",
    block: int | None = None,
    shard: Shard | None = None,
) -> Backup:
    """The sweep on integrated CDFs, `H(z) = E max(z - G, 0)`: the fast form, for piecewise linear utilities.

    A backup is interpolation, `H'(z) = gamma H((z - r) / gamma)`, and equals the categorical projection; with slopes
    (l, u) the value is `Q = (u - l) H'(-c) + u (c + E G)`, two numbers of H and no sum over atoms.

    Args:
      mdp: S, A, B.
      grids: C stocks and N atoms.
      utility: with slopes.
      stock_rounding: "linear" mixes two neighbours, "nearest" takes one.
      block: states backed up at a time; None for all, which holds `[S, A, C, N]` where rewards are shared by outcomes.
      shard: the stocks to back up; None for all of them.

    Raises:
      ValueError: if the utility has no slopes, or if `stock_rounding` is unknown.
    """
    require("utility", utility.name, lambda _: utility.slopes is not None, "a piecewise linear one for this form")
    assert utility.slopes is not None
    _require_rounding(stock_rounding)
    left, right = utility.slopes
    needs_mean = not (isinstance(right, float | int) and right == 0)
    stocks, first = Shard(grids.stocks) if shard is None else shard
    atoms = grids.atoms
    gamma, top = mdp.discount, atoms.shape[0] - 1

    def start() -> tuple[Float[Array, "S C N"], Float[Array, "S C"]]:
        return _start(mdp, stocks, utility, jnp.maximum(atoms, 0))

    def outcome(sources: Array, rows: Array, rewards: Array):
        """Look-ups `[s, A, C]` of all actions, and laws `[s, C, N]` of chosen ones, for one outcome of each."""
        following = (stocks + rewards[..., None]) / gamma
        stock_taps = _stock_taps(following, grids.stocks, first, stock_rounding)
        # Where the backed up law is asked for its value at -c, before this step.
        asked, beyond = _reach(-following, atoms)

        def at(atom_taps: Taps) -> Array:
            flat = sources.reshape(-1)

            def tapped(stock_index):
                at = (rows[..., None] * sources.shape[1] + stock_index) * sources.shape[2] + atom_taps.lower
                low = flat.at[at].get(mode="promise_in_bounds")
                high = flat.at[at + 1].get(mode="promise_in_bounds")
                return _between(low, high, atom_taps.weight)

            return _at_stock(tapped, stock_taps, stock_rounding)

        def integrals() -> Array:
            return gamma * (at(asked) + beyond)

        def means() -> Array:
            last = Taps(jnp.full_like(stock_taps.lower, top - 1), jnp.ones_like(stock_taps.weight))
            return rewards[..., None] + gamma * (atoms[-1] - at(last))

        def law(chosen: Int[Array, "s C"]) -> Float[Array, "s C N"]:
            chosen_rows, paid = _chosen(rows, chosen), _chosen(rewards, chosen)
            held = _stock_taps((stocks + paid) / gamma, grids.stocks, first, stock_rounding)
            moved, moved_beyond = _reach((atoms - paid[..., None]) / gamma, atoms)
            before = _at_stock(
                lambda index: sources.at[chosen_rows, index].get(mode="promise_in_bounds"),
                Taps(held.lower, held.weight[..., None]),
                stock_rounding,
            )
            low = jnp.take_along_axis(before, moved.lower, axis=-1, mode="promise_in_bounds")
            high = jnp.take_along_axis(before, moved.lower + 1, axis=-1, mode="promise_in_bounds")
            return gamma * (_between(low, high, moved.weight) + moved_beyond)

        return integrals, means, law

    def backed_up(sources, rows, weights, rewards, given):
        """The sweep over some states; `rows` says which law of `sources` each outcome leads to."""

        def summed(part):
            if weights is None:
                return part(rows[..., 0], rewards[..., 0], 1.0)

            def add(total, b):
                return total + part(rows[..., b], rewards[..., b], weights[..., b]), None

            shape = jax.eval_shape(part, rows[..., 0], rewards[..., 0], weights[..., 0])
            return jax.lax.scan(add, jnp.zeros(shape.shape, shape.dtype), jnp.arange(rows.shape[-1]))[0]

        def utilities(rows, rewards, weight):
            integrals, means, _ = outcome(sources, rows, rewards)
            worth = (right - left) * integrals() + (right * (stocks + means()) if needs_mean else 0)
            return worth if weights is None else weight[..., None] * worth

        def laws_of(chosen):
            def part(rows, rewards, weight):
                moved = outcome(sources, rows, rewards)[2](chosen)
                return moved if weights is None else _chosen(weight, chosen)[..., None] * moved

            return part

        action_values = summed(utilities)
        actions = greedy(action_values) if given is None else given
        values = jnp.take_along_axis(action_values, actions[:, None, :], axis=1)[:, 0]
        return summed(laws_of(actions)), values, actions

    def sweep(laws, actions=None):
        new, values, actions = _in_blocks(mdp, laws, backed_up, actions, block)
        return _finish(mdp, start(), new, values, actions)

    return Backup(start, sweep, spacing(atoms))


def categorical_backup(
    mdp: FiniteMDP,
    grids: Grids,
    utility: Utility,
    stock_rounding: str = "linear",
    block: int | None = None,
    shard: Shard | None = None,
) -> Backup:
    """The sweep on probabilities, for every utility: laws are moved and projected by a triangular kernel.

    Args:
      mdp: S, A, B.
      grids: C stocks and N atoms.
      utility: of scalar outcomes.
      stock_rounding: "linear" mixes two neighbours, "nearest" takes one.
      block: states backed up at a time; None for all. One action is backed up at a time, `[block, C, N]`.
      shard: the stocks to back up; None for all of them.

    Raises:
      ValueError: if `stock_rounding` is unknown.
    """
    _require_rounding(stock_rounding)
    stocks, first = Shard(grids.stocks) if shard is None else shard
    atoms, gamma = grids.atoms, mdp.discount
    utilities = utility.f(stocks[:, None] + atoms)

    def start() -> tuple[Float[Array, "S C N"], Float[Array, "S C"]]:
        return _start(mdp, stocks, utility, triangular_kernel(jnp.zeros((), atoms.dtype)[None], atoms)[0])

    def moved(sources, rows, rewards):
        """`[s, C, N]`: one outcome of one action in each state."""
        kernel = triangular_kernel(rewards[:, None] + gamma * atoms, atoms)
        stock_taps = _stock_taps((stocks + rewards[:, None]) / gamma, grids.stocks, first, stock_rounding)
        before = _at_stock(
            lambda index: sources.at[rows[:, None], index].get(mode="promise_in_bounds"),
            Taps(stock_taps.lower, stock_taps.weight[..., None]),
            stock_rounding,
        )
        return jnp.einsum("scn,snk->sck", before, kernel, precision=jax.lax.Precision.HIGHEST)

    def backed_up(sources, rows, weights, rewards, given):
        num_states, num_actions, num_outcomes = rows.shape
        shape = (num_states, stocks.shape[0])

        def one_action(a):
            if weights is None:
                return moved(sources, rows[:, a, 0], rewards[:, a, 0])

            def add(total, b):
                return total + weights[:, a, b][:, None, None] * moved(sources, rows[:, a, b], rewards[:, a, b]), None

            empty = jnp.zeros((*shape, atoms.shape[0]), sources.dtype)
            return jax.lax.scan(add, empty, jnp.arange(num_outcomes))[0]

        def compare(best, a):
            laws, values, actions = best
            law = one_action(a)
            worth = jnp.einsum("scn,cn->sc", law, utilities, precision=jax.lax.Precision.HIGHEST)
            better = worth > values + _rounding(values) if given is None else given == a
            return (
                jnp.where(better[..., None], law, laws),
                jnp.where(better, worth, values),
                jnp.where(better, a, actions),
            ), None

        # -inf would make an infinite slack of the tie rule.
        lowest = jnp.full(shape, jnp.finfo(atoms.dtype).min / 4, atoms.dtype)
        none = (jnp.zeros((*shape, atoms.shape[0]), sources.dtype), lowest, jnp.zeros(shape, jnp.int32))
        return jax.lax.scan(compare, none, jnp.arange(num_actions, dtype=jnp.int32))[0]

    def sweep(laws, actions=None):
        new, values, actions = _in_blocks(mdp, laws, backed_up, actions, block)
        return _finish(mdp, start(), new, values, actions)

    return Backup(start, sweep, None)


def greedy(action_values: Float[Array, "S A C"]) -> Int[Array, "S C"]:
    """The first action whose value is the largest but for rounding, `[S, C]`."""
    best = jnp.max(action_values, axis=1, keepdims=True)
    return jnp.argmax(action_values >= best - _rounding(best), axis=1).astype(jnp.int32)


def _rounding(values: Array) -> Array:
    """What sums in another order may differ by: it must not decide between equal actions."""
    return 100 * jnp.finfo(values.dtype).eps * jnp.maximum(1, jnp.abs(values))


def _in_blocks(mdp, laws, backed_up, actions, block):
    """Applies a sweep to all states, or to one block of them after another; a remainder is padded."""
    num_states, num_actions = mdp.num_states, mdp.num_actions
    flat = laws.reshape(num_states, -1)

    def of_states(tables):
        probabilities, rewards, successors, given = tables
        if not mdp.rewards_are_shared:
            return backed_up(laws, successors, probabilities, rewards, given)
        size = probabilities.shape[0]
        if mdp.successors is None:
            mixed = jnp.matmul(
                probabilities.reshape(size * num_actions, num_states), flat, precision=jax.lax.Precision.HIGHEST
            )
        else:
            mixed = _mix(flat, successors, probabilities).reshape(size * num_actions, -1)
        rows = jnp.arange(size * num_actions, dtype=jnp.int32).reshape(size, num_actions, 1)
        return backed_up(mixed.reshape(-1, *laws.shape[1:]), rows, None, rewards, given)

    laws, rewards = jax.lax.optimization_barrier((laws, mdp.rewards))
    tables = (mdp.probabilities, rewards, successor_table(mdp), actions)
    if block is None or block >= num_states:
        return of_states(tables)
    padded = -(-num_states // block) * block
    chosen = jnp.minimum(jnp.arange(padded), num_states - 1).reshape(-1, block)
    done = jax.lax.map(lambda states: of_states(jax.tree.map(lambda leaf: leaf[states], tables)), chosen)
    return jax.tree.map(lambda leaf: leaf.reshape(padded, *leaf.shape[2:])[:num_states], done)


def _mix(flat: Array, successors: Int[Array, "s A B"], probabilities: Float[Array, "s A B"]) -> Array:
    """`sum_b p_b laws[successor_b]`, `[s, A, C N]`, one outcome after another."""

    def add(total, b):
        return total + probabilities[..., b, None] * flat[successors[..., b]], None

    empty = jnp.zeros((*successors.shape[:2], flat.shape[1]), flat.dtype)
    return jax.lax.scan(add, empty, jnp.arange(successors.shape[2]))[0]


def _finish(mdp, start, laws, values, actions):
    """Terminal states keep what they started with."""
    ends = mdp.terminal[:, None]
    first_laws, first_values = start
    laws = jnp.where(ends[..., None], first_laws, laws)
    return laws, jnp.where(ends, first_values, values), jnp.where(ends, 0, actions)


def _start(mdp, stocks, utility, law):
    shape = (mdp.num_states, stocks.shape[0])
    laws = jnp.broadcast_to(law.astype(mdp.rewards.dtype), (*shape, law.shape[0]))
    return laws, jnp.broadcast_to(utility.f(stocks), shape)


def _stock_taps(following: Array, stocks: Array, first: int | Array, stock_rounding: str) -> Taps:
    """Where the stocks after a step fall, counted from the first stock whose laws are given."""
    tapped = taps(following, stocks)
    tapped = nearest(tapped) if stock_rounding == "nearest" else tapped
    return tapped._replace(lower=tapped.lower - first)


def _at_stock(tapped: Callable[[Array], Array], stock_taps: Taps, stock_rounding: str) -> Array:
    index, weight = stock_taps
    if stock_rounding == "nearest":
        whole = weight.reshape(index.shape).astype(jnp.int32)
        return tapped(index + whole)
    return _between(tapped(index), tapped(index + 1), weight)


def _reach(positions: Array, atoms: Array) -> tuple[Taps, Array]:
    """Where positions fall on the atoms, and how far beyond the last one: there H grows by the distance itself."""
    return taps(positions, atoms), jnp.maximum(positions - atoms[-1], 0)


def _between(low: Array, high: Array, weight: Array) -> Array:
    return (1 - weight) * low + weight * high


def _chosen(table: Array, actions: Int[Array, "s C"]) -> Array:
    """Entries `[s, C]` of a table `[s, A]`."""
    return jnp.take_along_axis(table, actions, axis=1)


def _require_rounding(stock_rounding: str) -> None:
    require("stock_rounding", stock_rounding, lambda r: r in STOCK_ROUNDINGS, f"one of {', '.join(STOCK_ROUNDINGS)}")
