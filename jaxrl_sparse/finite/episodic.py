"""Layered episodic Markov decision processes: H steps, each with dynamics and rewards of its own."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.finite.mdp import FiniteMDP, expected_rewards, require_distributions, transition_matrix


class EpisodicMDP(NamedTuple):
    """H layers of S states and A actions; an episode is H steps, and its return is the plain sum of rewards.

    Steps are numbered from 0: step h is in layer h. A pytree of arrays: stack it and vmap over it. Make it with
    `episodic_mdp`, which checks it.

    Attributes:
      transitions: `[H, S, A, S]`, `P_h(s' | s, a)`, rows that sum to one; those of the last layer lead to states that
        nothing follows.
      rewards: `[H, S, A]`, the reward of the action.
      initial: `[S]`, the distribution of the first state.
    """

    transitions: Float[Array, "H S A S"]
    rewards: Float[Array, "H S A"]
    initial: Float[Array, "S"]

    @property
    def horizon(self) -> int:
        """H."""
        return self.rewards.shape[-3]

    @property
    def num_states(self) -> int:
        """S."""
        return self.rewards.shape[-2]

    @property
    def num_actions(self) -> int:
        """A."""
        return self.rewards.shape[-1]


def episodic_mdp(
    transitions: ArrayLike, rewards: ArrayLike, initial: ArrayLike | None = None, *, dtype: Any = None
) -> EpisodicMDP:
    """Makes an `EpisodicMDP`, and refuses one that is none.

    Args:
      transitions: `[H, S, A, S]`.
      rewards: `[H, S, A]`, in the reward's unit.
      initial: `[S]`, the distribution of the first state; None for state 0.
      dtype: of the floats; by default float64 where 64-bit types are enabled, else float32.

    Returns:
      The process.

    Raises:
      ValueError: naming what is wrong with it: shapes, negative probabilities, a row that does not sum to one (which,
        and its sum), rewards that are no finite numbers.
    """
    dtype = jnp.result_type(float) if dtype is None else dtype
    table = jnp.asarray(transitions, dtype)
    require(
        "transitions",
        table.shape,
        lambda shape: len(shape) == 4 and min(shape) >= 1 and shape[1] == shape[3],
        "the shape [H, S, A, S]",
    )
    num_states = table.shape[1]
    paid = jnp.asarray(rewards, dtype)
    require("rewards", paid.shape, lambda shape: shape == table.shape[:3], f"the shape {table.shape[:3]}")
    require("rewards", paid, lambda r: bool(np.isfinite(np.asarray(r)).all()), "finite numbers")
    first = jnp.zeros(num_states, dtype).at[0].set(1) if initial is None else jnp.asarray(initial, dtype)
    require("initial", first.shape, lambda shape: shape == (num_states,), f"the shape ({num_states},)")
    require_distributions("transitions", table)
    require_distributions("initial", first)
    return EpisodicMDP(table, paid, first)


def episodic(mdp: FiniteMDP, horizon: int) -> EpisodicMDP:
    """The first H steps of a finite MDP as an episodic one: the same layer H times, undiscounted.

    Args:
      mdp: with scalar rewards; its discount is not used. Terminal states lead to themselves and pay nothing.
      horizon: H, static, at least 1.

    Raises:
      ValueError: if the horizon is less than 1 or rewards are vectors.
    """
    require("horizon", horizon, is_count, "an integer of at least 1")
    require("mdp.rewards", mdp.num_rewards, lambda m: m is None, "scalar rewards")
    stays = jnp.eye(mdp.num_states, dtype=mdp.rewards.dtype)[:, None, :]
    transitions = jnp.where(mdp.terminal[:, None, None], stays, transition_matrix(mdp))
    rewards = jnp.where(mdp.terminal[:, None], 0, expected_rewards(mdp))
    repeat = lambda layer: jnp.broadcast_to(layer, (horizon, *layer.shape))  # noqa: E731
    return EpisodicMDP(repeat(transitions), repeat(rewards), mdp.initial)


def layered(mdp: EpisodicMDP) -> FiniteMDP:
    """An episodic MDP as a finite one whose states are pairs of layer and state, for environments and other solvers.

    State `h S + s` is state s of layer h; the last, `H S`, is terminal and what the last layer leads to. The discount
    is 1. Transitions are sparse, with S outcomes.

    Args:
      mdp: of H layers and S states.

    Returns:
      A sparse MDP of `H S + 1` states.
    """
    horizon, num_states, num_actions = mdp.rewards.shape
    size = horizon * num_states
    end = jnp.zeros((1, num_actions, num_states), mdp.transitions.dtype).at[:, :, 0].set(1)
    layers = jnp.arange(horizon, dtype=jnp.int32)[:, None, None, None]
    following = (layers + 1) * num_states + jnp.arange(num_states, dtype=jnp.int32)
    following = jnp.broadcast_to(jnp.minimum(following, size), mdp.transitions.shape)
    return FiniteMDP(
        jnp.concatenate([mdp.transitions.reshape(size, num_actions, num_states), end]),
        jnp.concatenate([mdp.rewards.reshape(size, num_actions, 1), jnp.zeros((1, num_actions, 1), mdp.rewards.dtype)]),
        jnp.ones((), mdp.rewards.dtype),
        jnp.zeros(size + 1, bool).at[size].set(True),
        jnp.zeros(size + 1, mdp.initial.dtype).at[:num_states].set(mdp.initial),
        jnp.concatenate(
            [
                following.reshape(size, num_actions, num_states),
                jnp.full((1, num_actions, num_states), size, jnp.int32),
            ]
        ),
    )
