"""Running policies: time-major pieces of experience, and whole episodes of which nothing is stored."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import PyTree, Trajectory, is_count, require
from jaxrl_sparse.environments.vectorized import VectorizedEnvironment, require_environment
from jaxrl_sparse.numerics.masked_selection import where_rows
from jaxrl_sparse.numerics.predicates import anywhere

Policy = Callable[[PRNGKeyArray, PyTree], tuple[PyTree, Mapping[str, PyTree]]]
# With a memory of the episode: `policy(key, observations, memory) -> (actions, extras, memory)`.
MemoryPolicy = Callable[[PRNGKeyArray, PyTree, PyTree], tuple[PyTree, Mapping[str, PyTree], PyTree]]


class RolloutState(NamedTuple):
    """Where a rollout goes on; part of a learner's state.

    Attributes:
      observations: `[B, ...]`, what the policy sees next.
      states: the batch's states, as `VectorizedEnvironment.reset` made them.
      key: for the steps to come.
      memory: of a policy that has one, leaves `[B, ...]`, zero where an episode starts; None of a policy without.
    """

    observations: PyTree
    states: PyTree
    key: PRNGKeyArray
    memory: PyTree = None


def start_rollout(vectorized: VectorizedEnvironment, key: PRNGKeyArray, params: PyTree) -> RolloutState:
    """Resets all B environments: where the first `rollout` begins."""
    reset_key, key = jax.random.split(key)
    return RolloutState(*vectorized.reset(reset_key, params), key)


def rollout(
    vectorized: VectorizedEnvironment,
    policy: Policy | MemoryPolicy,
    num_steps: int,
    rollout_state: RolloutState,
    params: PyTree,
    info_entries: tuple[str, ...] = (),
) -> tuple[Trajectory, RolloutState]:
    """Steps B environments T times with a policy; two calls in a row make the numbers of one call twice as long.

    Args:
      vectorized: the batch of environments.
      policy: `policy(key, observations[B]) -> (actions[B], extras)`; one key for the batch, `extras` a mapping from
        words to arrays `[B, ...]`, such as `{"log_probs": ...}`, or empty. Where the state has a memory, the policy is
        `policy(key, observations, memory) -> (actions, extras, memory)`; its memory is zeroed where an episode ended.
      num_steps: T, static, at least 1.
      rollout_state: from `start_rollout`, or from an earlier call.
      params: of the environment.
      info_entries: static; the words of the environments' info that go into the trajectory's extras.

    Returns:
      The trajectory, `[T, B, ...]`, with `next_observations` from before any reset and both flags, and the state to go
      on from.

    Raises:
      ValueError: if `num_steps` is less than 1, or while tracing, if the info has no such entry or the policy's extras
        bear the same word.
    """
    require("num_steps", num_steps, is_count, "an integer of at least 1")

    def step(carry: RolloutState, _):
        key, policy_key, environment_key = jax.random.split(carry.key, 3)
        memory = carry.memory
        if memory is None:
            actions, extras = policy(policy_key, carry.observations)  # pyright: ignore[reportCallIssue]
        else:
            actions, extras, memory = policy(policy_key, carry.observations, memory)  # pyright: ignore[reportCallIssue]
        observations, states, rewards, terminated, truncated, info = vectorized.step(
            environment_key, carry.states, actions, params
        )
        for entry in info_entries:
            require("info_entries", entry, lambda word: word in info, f"words of the info: {', '.join(sorted(info))}")
            require(
                "info_entries", entry, lambda word: word not in extras, "words that the policy's extras do not bear"
            )
        chosen = {entry: info[entry] for entry in info_entries}
        row = Trajectory(
            observations=carry.observations,
            actions=actions,
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            next_observations=info["final_observation"],
            extras={**extras, **chosen},
        )
        if memory is not None:
            memory = where_rows(row.dones, jax.tree.map(jnp.zeros_like, memory), memory)
        return RolloutState(observations, states, key, memory), row

    rollout_state, trajectory = jax.lax.scan(step, rollout_state, length=num_steps)
    return trajectory, rollout_state


class Transition(NamedTuple):
    """One step of a batch of episodes, as `run_episodes` shows it to `accumulate`.

    Attributes:
      time: number of the step in its episode, from 0; an int32 scalar, the same for all rows and never batched by them,
        so that "every k steps" is a `cond` or an index.
      active: `[B]` bool, whether this step belongs to the row's episode. The other entries of a row that ended before
        are those of its frozen state, but the reward is 0: mask with `active` what must not count.
      observations: `[B, ...]`, before the action.
      actions: `[B, ...]`.
      rewards: `[B]` float32.
      next_observations: `[B, ...]`.
      states: the environments' states after the step, `[B, ...]`.
      terminated: `[B]` bool.
      truncated: `[B]` bool.
    """

    time: Int[Array, ""]
    active: Bool[Array, "B"]
    observations: PyTree
    actions: PyTree
    rewards: Float[Array, "B"]
    next_observations: PyTree
    states: PyTree
    terminated: Bool[Array, "B"]
    truncated: Bool[Array, "B"]


class Episodes(NamedTuple):
    """The ends of B episodes.

    Attributes:
      observations: the last ones, `[B, ...]`.
      states: the last ones, `[B, ...]`.
      returns: `[B]` float32, sums of rewards, undiscounted.
      lengths: `[B]` int32, steps.
      terminated: `[B]` bool; with `truncated`, both are false where `num_steps` was too short for the episode.
      truncated: `[B]` bool.
      accumulated: what `accumulate` made; () without it.
    """

    observations: PyTree
    states: PyTree
    returns: Float[Array, "B"]
    lengths: Int[Array, "B"]
    terminated: Bool[Array, "B"]
    truncated: Bool[Array, "B"]
    accumulated: PyTree = ()


def run_episodes(
    environment: Any,
    act: Callable[..., PyTree],
    genomes: PyTree,
    key: PRNGKeyArray,
    params: PyTree,
    num_steps: int,
    num_environments: int | None = None,
    accumulate: Callable[[PyTree, Transition], PyTree] | None = None,
    initial: PyTree | Callable[[PyTree, PyTree], PyTree] = (),
    memory: PyTree = None,
) -> Episodes:
    """Runs one episode in each of B environments, each with a policy of its own, and stores no trajectory.

    Row i starts with `split(reset_key, B)[i]`, where `reset_key, step_key = split(key)`, and its step t takes
    `split(fold_in(step_key, t), B)[i]`; rows that ended are frozen, and the loop stops early once all are. Memory does
    not depend on the number of steps, and an environment that draws nothing pays for no key.

    Args:
      environment: an `Environment`, whose `reset_env`, `step_env` and `is_truncated` are called.
      act: `act(genomes, observations[B]) -> actions[B]`.
      genomes: the policies' parameters, leaves `[B, ...]`; None with a policy that needs none.
      key: for starts and steps.
      params: of the environment.
      num_steps: static; the most steps of an episode, at least 1.
      num_environments: B, needed where `genomes` is None.
      accumulate: `accumulate(carry, transition) -> carry`: whatever else is to be known of the episodes (signatures,
        sampled observations). It is called for every step of the batch and masks the rows that ended itself, with
        `transition.active`: a rule for rows would copy large carries at every step.
      initial: the carry that `accumulate` starts from, any pytree; or `initial(observations, states)` that makes it of
        the first ones, leaves `[B, ...]`.
      memory: of a policy that has one, leaves `[B, ...]` as they are at the start; the policy is then
        `act(genomes, observations, memory) -> (actions, memory)`.

    Returns:
      Last observations and states, returns, lengths, flags, and what was accumulated.

    Raises:
      ValueError: if `num_steps` is less than 1, or if B is unknown or not that of the genomes, or if `environment` is
        no `Environment`.
    """
    require_environment(environment)
    require("num_steps", num_steps, is_count, "an integer of at least 1")
    sizes = {leaf.shape[0] for leaf in jax.tree.leaves(genomes)}
    sizes |= set() if num_environments is None else {num_environments}
    require(
        "num_environments",
        num_environments,
        lambda _: len(sizes) == 1 and min(sizes) >= 1,
        f"one number of at least 1 that is the genomes' first axis, not {sorted(sizes)}",
    )
    (batch_size,) = sizes
    advance = jax.vmap(environment.step_env, in_axes=(0, 0, 0, None))
    cut = jax.vmap(environment.is_truncated, in_axes=(0, None))
    reset_key, step_key = jax.random.split(key)
    observations, states = jax.vmap(environment.reset_env, in_axes=(0, None))(
        jax.random.split(reset_key, batch_size), params
    )
    never = jnp.zeros(batch_size, bool)
    start = Episodes(
        observations,
        states,
        jnp.zeros(batch_size, jnp.float32),
        jnp.zeros(batch_size, jnp.int32),
        never,
        never,
        initial(observations, states) if callable(initial) else initial,
    )

    def is_active(episodes: Episodes) -> Bool[Array, "B"]:
        return jnp.logical_not(jnp.logical_or(episodes.terminated, episodes.truncated))

    def go_on(carry: tuple[Array, Episodes, PyTree]) -> Bool[Array, ""]:
        time, episodes, _ = carry
        return jnp.logical_and(time < num_steps, anywhere(is_active(episodes)))

    def step(carry: tuple[Array, Episodes, PyTree]) -> tuple[Array, Episodes, PyTree]:
        time, episodes, memory = carry
        active = is_active(episodes)
        if memory is None:
            actions = act(genomes, episodes.observations)
        else:
            actions, memory = act(genomes, episodes.observations, memory)
        keys = jax.random.split(jax.random.fold_in(step_key, time), batch_size)
        next_observations, next_states, rewards, terminated, _ = advance(keys, episodes.states, actions, params)
        truncated = cut(next_states, params).astype(bool)
        following, before = (next_observations, next_states), (episodes.observations, episodes.states)
        # As long as no row has ended, which is most of the time, nothing has to be selected.
        next_observations, next_states = jax.lax.cond(
            anywhere(~active), lambda: where_rows(active, following, before), lambda: following
        )
        rewards = jnp.where(active, rewards.astype(jnp.float32), 0.0)
        ended = Episodes(
            observations=next_observations,
            states=next_states,
            returns=episodes.returns + rewards,
            lengths=episodes.lengths + active.astype(jnp.int32),
            terminated=jnp.where(active, terminated.astype(bool), episodes.terminated),
            truncated=jnp.where(active, truncated, episodes.truncated),
        )
        if accumulate is None:
            return time + 1, ended, memory
        transition = Transition(
            time=time,
            active=active,
            observations=episodes.observations,
            actions=actions,
            rewards=rewards,
            next_observations=next_observations,
            states=next_states,
            terminated=ended.terminated,
            truncated=ended.truncated,
        )
        return time + 1, ended._replace(accumulated=accumulate(episodes.accumulated, transition)), memory

    _, episodes, _ = jax.lax.while_loop(go_on, step, (jnp.int32(0), start, memory))
    return episodes
