"""Paths of high value through a table of successors, found by search: references that no policy is hoped to beat.

Maximising a submodular function over paths is hard even to approximate (it contains submodular orienteering), so that
what is found is a lower bound of the optimum; on the instances of the paper a width of 1500 attains the optima known.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from jaxrl_sparse.base import PyTree, is_count, require
from jaxrl_sparse.submodular.set_functions import SetFunction, require_ground_set, singleton_values
from jaxrl_sparse.submodular.trajectory_enumeration import require_horizon


class Path(NamedTuple):
    """A path through the table.

    Attributes:
      states: `[H]` int32.
      actions: `[H - 1]` int32.
      value: F of the states, by its definition.
    """

    states: Int[Array, "H"]
    actions: Int[Array, "H-1"]
    value: Float[Array, ""]


class Beams(NamedTuple):
    """The W best unfinished paths.

    Attributes:
      states: `[W]` int32, where each ends.
      scores: `[W]`, F of each so far; minus infinity for places that are not taken.
      memories: leaves `[W, ...]`, the set function's.
    """

    states: Int[Array, "W"]
    scores: Float[Array, "W"]
    memories: PyTree


def beam_search(
    set_function: SetFunction, next_states: Int[Array, "S A"], start: int | Array, horizon: int, width: int
) -> Path:
    """The best path found if the W best unfinished ones are kept in each step.

    Of paths that end in the same state with the same memory one is kept. Ties are broken by a fixed hash of state and
    memory: the order of the actions would fill the beams with paths that are all alike.

    Args:
      set_function: F; its elements are the states.
      next_states: `[S, A]`, the successor of each action in each state.
      start: the first state.
      horizon: H, static, the number of states, at least 2.
      width: W, static, at least 1.

    Returns:
      The path; the same on every call.

    Raises:
      ValueError: if H is less than 2 or W less than 1, or if F's ground set has another size than S.
    """
    require_horizon(horizon)
    require("width", width, is_count, "an integer of at least 1")
    require_ground_set(set_function, next_states.shape[0])
    num_actions = next_states.shape[1]
    first = jnp.asarray(start, jnp.int32)

    def step(beams: Beams, _: None) -> tuple[Beams, tuple[Array, Array]]:
        parents = jnp.repeat(jnp.arange(width, dtype=jnp.int32), num_actions)
        actions = jnp.tile(jnp.arange(num_actions, dtype=jnp.int32), width)
        states = next_states[beams.states[parents], actions].astype(jnp.int32)
        memories = jax.tree.map(lambda leaf: leaf[parents], beams.memories)
        scores = beams.scores[parents] + jax.vmap(set_function.gain)(memories, states)
        memories = jax.vmap(set_function.add)(memories, states)
        marks = _fingerprints((states, memories))
        chosen = _best_distinct(scores, marks, width)
        kept = Beams(states[chosen], scores[chosen], jax.tree.map(lambda leaf: leaf[chosen], memories))
        return kept, (parents[chosen], actions[chosen])

    nobody = jnp.full(width, -jnp.inf).at[0].set(singleton_values(set_function, first[None])[0])
    memory = set_function.add(set_function.init(), first)
    beams = Beams(
        jnp.full(width, first), nobody, jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), memory)
    )
    beams, (parents, actions) = jax.lax.scan(step, beams, length=horizon - 1)
    _, actions = jax.lax.scan(
        lambda place, back: (back[0][place], back[1][place]), jnp.argmax(beams.scores), (parents, actions), reverse=True
    )

    def move(state: Int[Array, ""], action: Int[Array, ""]):
        following = next_states[state, action].astype(jnp.int32)
        return following, following

    _, rest = jax.lax.scan(move, first, actions)
    states = jnp.append(first, rest)
    return Path(states, actions, set_function.value(states))


def greedy(set_function: SetFunction, next_states: Int[Array, "S A"], start: int | Array, horizon: int) -> Path:
    """The path whose every step has the largest gain of that step: what a learner without foresight tends to.

    Args:
      set_function: F; its elements are the states.
      next_states: `[S, A]`, the successor of each action in each state.
      start: the first state.
      horizon: H, static, the number of states, at least 2.

    Returns:
      The path; ties are broken as in `beam_search`.

    Raises:
      ValueError: as in `beam_search`.
    """
    return beam_search(set_function, next_states, start, horizon, width=1)


def _best_distinct(scores: Float[Array, "C"], marks: UInt32[Array, "C 2"], width: int) -> Int[Array, "W"]:
    """Places of the W highest scores, of equal marks one; the others' come last."""
    places = jnp.arange(scores.shape[0], dtype=jnp.int32)
    # Equal marks stand side by side, the highest score first.
    first, second, losses, places = jax.lax.sort((marks[:, 0], marks[:, 1], -scores, places), num_keys=3)
    again = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
    losses = jnp.where(jnp.append(False, again), jnp.inf, losses)
    return jax.lax.sort((losses, first, places), num_keys=2)[2][:width]


def _fingerprints(tree: PyTree) -> UInt32[Array, "C 2"]:
    """64 bits of each row of a tree, equal for equal rows; for others they are equal once in 2^64."""

    def words(leaf: Array) -> UInt32[Array, "C _"]:
        bits = jax.lax.bitcast_convert_type(leaf, jnp.uint32) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
        return bits.astype(jnp.uint32).reshape(leaf.shape[0], -1)

    rows = jnp.concatenate([words(leaf) for leaf in jax.tree.leaves(tree)], axis=1)
    salts = _scatter_bits(jnp.arange(2 * rows.shape[1], dtype=jnp.uint32).reshape(2, 1, -1) + 1)
    return jnp.sum(_scatter_bits(rows ^ salts), axis=2, dtype=jnp.uint32).T


def _scatter_bits(words: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """MurmurHash3's last step, a bijection in which every bit depends on every other."""
    words = (words ^ (words >> 16)) * jnp.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * jnp.uint32(0xC2B2AE35)
    return words ^ (words >> 16)
