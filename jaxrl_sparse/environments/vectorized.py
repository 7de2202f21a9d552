"""Thousands of environments at a time: one key a batch, and resets computed only for the rows that need one."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require
from jaxrl_sparse.environments.base import Environment
from jaxrl_sparse.numerics.masked_selection import where_rows
from jaxrl_sparse.numerics.predicates import anywhere

RESET_MODES = ("conditional", "pool", "every", "none")


class VectorizedEnvironment(NamedTuple):
    """A batch of B environments as two pure functions.

    Attributes:
      reset: `reset(key, params) -> (observations[B], states)`.
      step: `step(key, states, actions[B], params) -> (observations[B], states, rewards[B], terminated[B], truncated[B],
        info)`. One key serves the whole batch. Rewards are float32 and both flags bool; both may be true together.
        Where an episode ended, observation and state are those of the next one. `info` is the environments' own, with
        leading axis B, and `info["final_observation"]`, what followed the action *before* any reset: the observation to
        bootstrap from.
      num_environments: B.
    """

    reset: Callable[[PRNGKeyArray, PyTree], tuple[PyTree, PyTree]]
    step: Callable[[PRNGKeyArray, PyTree, PyTree, PyTree], tuple[PyTree, PyTree, Array, Array, Array, dict[str, Any]]]
    num_environments: int


class PooledStates(NamedTuple):
    """States of a batch that resets from a pool of N first states drawn beforehand.

    Attributes:
      states: the environments' states, `[B, ...]`.
      pool_observations: first observations, `[N, ...]`.
      pool_states: the first states they belong to, `[N, ...]`.
    """

    states: PyTree
    pool_observations: PyTree
    pool_states: PyTree


def vectorize(
    environment: Any,
    num_environments: int,
    reset_mode: str = "conditional",
    reset_capacity: int | None = None,
    pool_size: int = 256,
) -> VectorizedEnvironment:
    """Makes a batch of environments that start anew where an episode ends.

    `jax.vmap` of the single environment is the definition: with `step_key, reset_key = split(key)`, row i steps with
    `split(step_key, B)[i]` and, where it ended, starts anew with `fold_in(reset_key, i)`. The modes differ in what they
    compute:

    - "conditional": resets the rows that ended and no others, `reset_capacity` of them per round of a loop that runs no
      round where no episode ended. The same numbers as "every"; the cheapest for cheap and for expensive resets alike.
    - "pool": as "conditional", from a pool of first states that `reset` draws once; row i takes the element
      `bits(fold_in(reset_key, i)) % pool_size`. For resets that cost far more than a step, if `pool_size` first
      states stand for all of them.
    - "every": resets every row at every step and keeps what is needed, as gymnax does. Without a loop, for a batch
      whose steps must take a constant time.
    - "none": no reset; ended rows step on, and the caller masks them.

    Args:
      environment: an `Environment`, whose `reset_env`, `step_env` and `is_truncated` are called; the states of its
        batch are `[B, ...]`, and `PooledStates` in mode "pool".
      num_environments: B, at least 1.
      reset_mode: one of the four above.
      reset_capacity: rows reset per round in "conditional" and "pool", at most B; by default B / 32, at least 16 where
        B allows.
      pool_size: N of mode "pool", at least 1.

    Returns:
      The batch as pure functions.

    Raises:
      ValueError: if an argument is out of range, or if `environment` is no `Environment`.
    """
    if reset_capacity is None:
        reset_capacity = min(num_environments, max(16, math.ceil(num_environments / 32)))
    require("num_environments", num_environments, is_count, "an integer of at least 1")
    require("reset_mode", reset_mode, lambda mode: mode in RESET_MODES, f"one of {', '.join(RESET_MODES)}")
    require(
        "reset_capacity",
        reset_capacity,
        lambda n: 1 <= n <= num_environments,
        f"an integer from 1 to num_environments={num_environments}",
    )
    require("pool_size", pool_size, is_count, "an integer of at least 1")
    require_environment(environment)
    start = jax.vmap(environment.reset_env, in_axes=(0, None))
    advance = jax.vmap(environment.step_env, in_axes=(0, 0, 0, None))
    cut = jax.vmap(environment.is_truncated, in_axes=(0, None))

    def reset(key: PRNGKeyArray, params: PyTree) -> tuple[PyTree, PyTree]:
        if reset_mode != "pool":
            return start(jax.random.split(key, num_environments), params)
        pool_key, choice_key = jax.random.split(key)
        pool = start(jax.random.split(pool_key, pool_size), params)
        choices = jax.random.randint(choice_key, (num_environments,), 0, pool_size)
        observations, states = jax.tree.map(lambda leaf: leaf[choices], pool)
        return observations, PooledStates(states, *pool)

    def step(
        key: PRNGKeyArray, states: PyTree, actions: PyTree, params: PyTree
    ) -> tuple[PyTree, PyTree, Float[Array, "B"], Bool[Array, "B"], Bool[Array, "B"], dict[str, Any]]:
        step_key, reset_key = jax.random.split(key)
        previous = states.states if isinstance(states, PooledStates) else states
        final_observations, stepped, rewards, terminated, info = advance(
            jax.random.split(step_key, num_environments), previous, actions, params
        )
        terminated = terminated.astype(bool)
        truncated = cut(stepped, params).astype(bool)
        done = jnp.logical_or(terminated, truncated)
        ended = (final_observations, stepped)
        if reset_mode == "every":
            observations, stepped = where_rows(done, start(_row_keys(reset_key, jnp.arange(done.size)), params), ended)
        elif reset_mode == "conditional":
            observations, stepped = _reset_rows(
                done, ended, reset_capacity, lambda rows: start(_row_keys(reset_key, rows), params)
            )
        elif reset_mode == "pool":
            pool = (states.pool_observations, states.pool_states)
            observations, stepped = _reset_rows(
                done, ended, reset_capacity, lambda rows: _draw_from(pool, _row_keys(reset_key, rows), pool_size)
            )
            stepped = PooledStates(stepped, *pool)
        else:
            observations, stepped = ended
        info = {
            "discount": 1.0 - terminated.astype(jnp.float32),
            **info,
            "terminated": terminated,
            "truncated": truncated,
            "final_observation": final_observations,
        }
        return observations, stepped, rewards.astype(jnp.float32), terminated, truncated, info

    return VectorizedEnvironment(reset, step, num_environments)


def require_environment(environment: Any) -> None:
    """Refuses what is no `Environment`.

    gymnax's wrappers, above all: they forward `step_env` to what they wrap and override `step` alone, so that what they
    add would be left out without a word.

    Raises:
      ValueError: if `environment` is none.
    """
    require(
        "environment",
        type(environment).__name__,
        lambda _: isinstance(environment, Environment),
        "an Environment of this library; gymnax's come in through GymnaxEnvironment, before they are wrapped",
    )


def _reset_rows(
    done: Bool[Array, "B"], batch: PyTree, capacity: int, fresh: Callable[[Int[Array, "K"]], PyTree]
) -> PyTree:
    """Replaces the rows of `batch` that are done by `fresh(rows)`, `capacity` rows per round of a loop."""
    rank = jnp.cumsum(done, dtype=jnp.int32)

    def replace(carry):
        replaced, batch = carry
        # The first row of rank r is the r-th that is done; beyond the last one stands B, which the scatter drops.
        wanted = replaced + 1 + jnp.arange(capacity, dtype=jnp.int32)
        rows = jnp.searchsorted(rank, wanted).astype(jnp.int32)
        batch = jax.tree.map(lambda old, new: old.at[rows].set(new, mode="drop"), batch, fresh(rows))
        return replaced + capacity, batch

    _, batch = jax.lax.while_loop(lambda carry: anywhere(carry[0] < rank[-1]), replace, (jnp.int32(0), batch))
    return batch


def _row_keys(key: PRNGKeyArray, rows: Int[Array, "K"]) -> Key[Array, "K"]:
    """The keys of some rows of a batch, without making those of the others."""
    return jax.vmap(partial(jax.random.fold_in, key))(rows)


def _draw_from(pool: PyTree, keys: Key[Array, "K"], pool_size: int) -> PyTree:
    """One element of the pool for each key."""
    choices = jax.vmap(jax.random.bits)(keys) % pool_size
    return jax.tree.map(lambda leaf: leaf[choices], pool)
