"""Markov decision processes with finitely many states and actions, as arrays."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import ArrayLike

from jaxrl_sparse.base import require

# How far a row of probabilities may be from one: what float32 loses in a sum of some thousand entries.
ROW_TOLERANCE = 1e-5


class FiniteMDP(NamedTuple):
    """S states, A actions, and B outcomes of each action in each state.

    An outcome leads to a successor and pays a reward: outcome b of (s, a) has `probabilities[s, a, b]`, leads to
    `successors[s, a, b]` and pays `rewards[s, a, b]`. Dense MDPs have one outcome for each state, B = S, and no
    `successors`; several outcomes of sparse ones may lead to the same successor, which is how a reward is random.
    A pytree of arrays: stack it and vmap over it. Make it with `finite_mdp`, which checks it.

    Attributes:
      probabilities: `[S, A, B]`, rows that sum to one.
      rewards: `[S, A, B]`, or `[S, A, 1]` where all outcomes pay the same; with a last axis of m for vector rewards.
      discount: gamma in (0, 1], per step.
      terminal: `[S]`, where nothing follows: the return is zero from there on, whatever their own rows say.
      initial: `[S]`, the distribution of the first state.
      successors: `[S, A, B]` int32; None where the outcome's number is the successor.
    """

    probabilities: Float[Array, "S A B"]
    rewards: Float[Array, "S A R ..."]
    discount: Float[Array, ""]
    terminal: Bool[Array, "S"]
    initial: Float[Array, "S"]
    successors: Int[Array, "S A B"] | None = None

    @property
    def num_states(self) -> int:
        """S."""
        return self.probabilities.shape[0]

    @property
    def num_actions(self) -> int:
        """A."""
        return self.probabilities.shape[1]

    @property
    def num_outcomes(self) -> int:
        """B."""
        return self.probabilities.shape[2]

    @property
    def num_rewards(self) -> int | None:
        """m where rewards are vectors, None where they are scalars."""
        return self.rewards.shape[3] if self.rewards.ndim == 4 else None

    @property
    def rewards_are_shared(self) -> bool:
        """Whether all outcomes of an action pay the same, so that a backup may mix successors first."""
        return self.rewards.shape[2] == 1


def finite_mdp(
    probabilities: ArrayLike,
    rewards: ArrayLike,
    discount: float | Array,
    *,
    terminal: ArrayLike | None = None,
    initial: ArrayLike | None = None,
    successors: ArrayLike | None = None,
    dtype: Any = None,
) -> FiniteMDP:
    """Makes a `FiniteMDP`, and refuses one that is none.

    Args:
      probabilities: `[S, A, S]`, or `[S, A, B]` with `successors`.
      rewards: `[S, A]` or `[S, A, B]`, in the reward's unit; `[S, A, B, m]` or `[S, A, 1, m]` for vectors.
      discount: gamma in (0, 1], per step.
      terminal: `[S]` bool; None for no terminal state.
      initial: `[S]`, the distribution of the first state; None for state 0.
      successors: `[S, A, B]`, the state that each outcome leads to; None for dense probabilities.
      dtype: of the floats; by default float64 where 64-bit types are enabled, else float32.

    Returns:
      The MDP.

    Raises:
      ValueError: naming what is wrong with it: shapes, negative probabilities, a row that does not sum to one (which,
        and its sum), a successor that is no state, a discount outside (0, 1].
    """
    dtype = jnp.result_type(float) if dtype is None else dtype
    table = jnp.asarray(probabilities, dtype)
    require("probabilities", table.shape, lambda shape: len(shape) == 3 and min(shape) >= 1, "the shape [S, A, B]")
    num_states, num_actions, num_outcomes = table.shape
    paid = jnp.asarray(rewards, dtype)
    given = paid.shape
    paid = paid[:, :, None] if paid.ndim == 2 else paid
    require(
        "rewards",
        given,
        lambda _: paid.ndim in (3, 4) and paid.shape[:2] == table.shape[:2] and paid.shape[2] in (1, num_outcomes),
        f"[S, A], [S, A, B] or [S, A, B, m] with S={num_states}, A={num_actions}, B={num_outcomes}",
    )
    require("rewards", paid, lambda r: bool(np.isfinite(np.asarray(r)).all()), "finite numbers")
    if successors is None:
        require(
            "probabilities",
            table.shape,
            lambda shape: shape[2] == shape[0],
            f"as many outcomes as states, {num_states}, where no successors are given",
        )
    else:
        successors = jnp.asarray(successors, jnp.int32)
        require("successors", successors.shape, lambda shape: shape == table.shape, f"the shape {table.shape}")
        require(
            "successors",
            successors,
            lambda states: bool((np.asarray(states) >= 0).all() and (np.asarray(states) < num_states).all()),
            f"states from 0 to {num_states - 1}",
        )
    require_distributions("probabilities", table)
    require("discount", discount, lambda gamma: 0 < float(gamma) <= 1, "a number in (0, 1]")
    ends = jnp.zeros(num_states, bool) if terminal is None else jnp.asarray(terminal, bool)
    require("terminal", ends.shape, lambda shape: shape == (num_states,), f"the shape ({num_states},)")
    first = jnp.zeros(num_states, dtype).at[0].set(1) if initial is None else jnp.asarray(initial, dtype)
    require(
        "initial",
        first,
        lambda p: p.shape == (num_states,) and p.min() >= 0 and math.isclose(p.sum(), 1, abs_tol=ROW_TOLERANCE),
        f"{num_states} probabilities that sum to one",
    )
    return FiniteMDP(table, paid, jnp.asarray(discount, dtype), ends, first, successors)


def successor_table(mdp: FiniteMDP) -> Int[Array, "S A B"]:
    """The state that each outcome leads to, of dense and sparse MDPs alike."""
    if mdp.successors is not None:
        return mdp.successors
    return jnp.broadcast_to(jnp.arange(mdp.num_states, dtype=jnp.int32), mdp.probabilities.shape)


def transition_matrix(mdp: FiniteMDP) -> Float[Array, "S A S"]:
    """`P(s' | s, a)`, of dense and sparse MDPs alike."""
    if mdp.successors is None:
        return mdp.probabilities
    one_row = lambda states, weights: jnp.zeros(mdp.num_states, weights.dtype).at[states].add(weights)  # noqa: E731
    return jax.vmap(jax.vmap(one_row))(mdp.successors, mdp.probabilities)


def expected_rewards(mdp: FiniteMDP) -> Float[Array, "S A ..."]:
    """`E[R | s, a]`, `[S, A]`, or `[S, A, m]` of vector rewards."""
    weights = mdp.probabilities.reshape(mdp.probabilities.shape + (1,) * (mdp.rewards.ndim - 3))
    return jnp.sum(weights * mdp.rewards, axis=2)


def return_bounds(mdp: FiniteMDP, num_steps: int) -> tuple[Array, Array]:
    """The least and the largest return that any policy can have in at most `num_steps` steps, from any state.

        high_0 = 0,  high_{n+1}(s) = max over a, b with p > 0 of r + gamma high_n(s'),  and low with min

    A terminal state has return zero. Rewards that are vectors are bounded one by one.

    Args:
      mdp: S, A, B.
      num_steps: static, at least 0.

    Returns:
      `low` and `high`, scalars, or `[m]` of vector rewards: the extremes over states and over 0 to `num_steps` steps.
    """
    possible = (mdp.probabilities > 0).reshape(mdp.probabilities.shape + (1,) * (mdp.rewards.ndim - 3))
    ends = mdp.terminal.reshape((-1,) + (1,) * (mdp.rewards.ndim - 3))
    following = successor_table(mdp)

    def extreme(reduce, worst):
        def backup(carry, _):
            values, extremes = carry
            outcomes = jnp.where(possible, mdp.rewards + mdp.discount * values[following], worst)
            values = jnp.where(ends, 0, reduce(outcomes, axis=(1, 2)))
            return (values, reduce(jnp.stack([extremes, values]), axis=0)), None

        zeros = jnp.zeros((mdp.num_states, *mdp.rewards.shape[3:]), mdp.rewards.dtype)
        (_, extremes), _ = jax.lax.scan(backup, (zeros, zeros), length=num_steps)
        return reduce(extremes, axis=0)

    return extreme(jnp.min, jnp.inf), extreme(jnp.max, -jnp.inf)


def require_distributions(argument: str, table: Array | np.ndarray) -> None:
    """Refuses an array whose rows are no distributions, and names the worst row and its sum.

    Args:
      argument: the array's name.
      table: `[..., N]`, rows along the last axis; a tracer passes.

    Raises:
      ValueError: if a number is negative, or a row does not sum to one.
    """
    if isinstance(table, Tracer):
        return
    rows = np.asarray(table, np.float64)
    require(argument, float(rows.min()), lambda least: least >= 0, "no negative number")
    sums = rows.sum(-1)
    index = np.unravel_index(np.abs(sums - 1).argmax(), sums.shape)
    require(
        f"{argument}[{', '.join(map(str, index))}]" if index else argument,
        float(sums[index]),
        lambda total: abs(total - 1) <= ROW_TOLERANCE,
        f"a row that sums to one; divide it by {sums[index]:.6g}",
    )
