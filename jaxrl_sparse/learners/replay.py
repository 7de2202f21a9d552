"""Uniform experience replay: a ring of transitions as pure functions, written in place inside a scan."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import PyTree, Trajectory, is_count, require


class Transitions(NamedTuple):
    """Single steps in no order: what a replay holds and hands out.

    There is no `truncated`: a transition before a time limit is bootstrapped like any other.

    Attributes:
      observations: `[N, ...]`.
      actions: `[N, ...]`.
      rewards: `[N]`, the environment's own.
      terminated: `[N]` bool, whether the value after it is zero.
      next_observations: `[N, ...]`, what followed, before any reset.
    """

    observations: PyTree
    actions: PyTree
    rewards: Float[Array, "*rows"]
    terminated: Bool[Array, "*rows"]
    next_observations: PyTree


class ReplayState(NamedTuple):
    """The ring.

    Attributes:
      rows: leaves `[capacity, ...]`; those that were never written are zero.
      next_row: where the next row goes, int32.
      size: rows that were written, int32, at most the capacity.
    """

    rows: PyTree
    next_row: Int[Array, ""]
    size: Int[Array, ""]


class Replay(NamedTuple):
    """A replay as pure functions over any pytree of rows.

    Attributes:
      init: `init(row) -> state`; `row` is one row, or its shapes as `jax.ShapeDtypeStruct`.
      add: `add(state, rows[B]) -> state`; the oldest rows go first. B divides the capacity.
      sample: `sample(state, key, num_batches=1) -> rows[num_batches * batch_size]`: uniform with replacement over what
        was written, from one draw.
      capacity: rows that it holds.
    """

    init: Callable[[PyTree], ReplayState]
    add: Callable[[ReplayState, PyTree], ReplayState]
    sample: Callable[..., PyTree]
    capacity: int


def replay(capacity: int, batch_size: int) -> Replay:
    """A uniform replay.

    Args:
      capacity: rows that it holds; a multiple of the number of rows that are added at a time, so that a write is one
        block that never wraps (`rounded_capacity`).
      batch_size: rows of a batch, at most the capacity.

    Raises:
      ValueError: if a number is below 1, a batch is larger than the replay, or, while tracing, if the rows that are
        added do not divide the capacity.
    """
    require("capacity", capacity, is_count, "an integer of at least 1")
    require("batch_size", batch_size, is_count, "an integer of at least 1")
    require("batch_size", batch_size, lambda size: size <= capacity, f"at most the capacity, {capacity}")

    def init(row: PyTree) -> ReplayState:
        rows = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), row)
        return ReplayState(rows, jnp.int32(0), jnp.int32(0))

    def add(state: ReplayState, rows: PyTree) -> ReplayState:
        (count,) = {leaf.shape[0] for leaf in jax.tree.leaves(rows)}
        require(
            "capacity",
            capacity,
            lambda n: n % count == 0,
            f"a multiple of the {count} rows added at a time, such as {rounded_capacity(capacity, count)}",
        )
        written = jax.tree.map(
            lambda ring, new: jax.lax.dynamic_update_slice_in_dim(ring, new, state.next_row, axis=0), state.rows, rows
        )
        return ReplayState(written, (state.next_row + count) % capacity, jnp.minimum(state.size + count, capacity))

    def sample(state: ReplayState, key: PRNGKeyArray, num_batches: int = 1) -> PyTree:
        # The remainder of 32 random bits: within size / 2^32 of uniform, and one draw where `randint` takes two.
        bits = jax.random.bits(key, (num_batches * batch_size,), jnp.uint32)
        chosen = (bits % jnp.maximum(state.size, 1).astype(jnp.uint32)).astype(jnp.int32)
        return jax.tree.map(lambda ring: ring.at[chosen].get(mode="promise_in_bounds"), state.rows)

    return Replay(init, add, sample, capacity)


def rounded_capacity(capacity: int, rows_per_add: int) -> int:
    """The smallest capacity of at least `capacity` rows that `rows_per_add` divides."""
    return -(-capacity // rows_per_add) * rows_per_add


def transitions_of(trajectory: Trajectory) -> Transitions:
    """The T B single steps of a trajectory, step by step."""
    flat = lambda tree: jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tree)  # noqa: E731
    return Transitions(*(flat(getattr(trajectory, field)) for field in Transitions._fields))


def trajectory_of(transitions: Transitions) -> Trajectory:
    """N transitions as a trajectory of one step in N environments, `[1, N]`, as `relabel` takes it, none truncated."""
    lifted = jax.tree.map(lambda leaf: leaf[None], transitions)
    return Trajectory(
        lifted.observations,
        lifted.actions,
        lifted.rewards,
        lifted.terminated,
        jnp.zeros_like(lifted.terminated),
        lifted.next_observations,
    )
