"""Experience of the current policy, labelled and valued: what every on-policy learner starts an update with."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import Metrics, PyTree, Trajectory
from jaxrl_sparse.environments.rollouts import RolloutState, rollout
from jaxrl_sparse.environments.vectorized import VectorizedEnvironment
from jaxrl_sparse.learners.returns import following_values, generalized_advantages
from jaxrl_sparse.learners.reward_streams import Streams, as_streams
from jaxrl_sparse.networks.actor_critic import ActorCritic
from jaxrl_sparse.numerics.predicates import anywhere


class Batch(NamedTuple):
    """What one update learns from.

    Attributes:
      memory: of the network before the first step, leaves `[B, ...]`.
      observations: `[T, B, ...]`, as the environments gave them.
      raw_actions: `[T, B, ...]`.
      log_probs: `[T, B]`, of the policy that acted.
      values: `[T, B, K]`, of the network that acted.
      dones: `[T, B]`.
      advantages: `[T, B]`, of all streams.
      returns: `[T, B]`, of all streams: advantages without their baseline.
      targets: `[T, B, K]`, the lambda-returns of each stream.
    """

    memory: PyTree
    observations: PyTree
    raw_actions: PyTree
    log_probs: Float[Array, "T B"]
    values: Float[Array, "T B K"]
    dones: Array
    advantages: Float[Array, "T B"]
    returns: Float[Array, "T B"]
    targets: Float[Array, "T B K"]


class Experience(NamedTuple):
    """T steps of B environments with the current policy, before anybody says what they are worth.

    Attributes:
      memory: of the network before the first step, leaves `[B, ...]`.
      trajectory: `[T, B, ...]`; its extras are `raw_actions [T, B, ...]` (see `distributions`), `log_probs [T, B]` and
        `values [T, B, K]`.
      last_values: `[B, K]`, of what the policy sees after the last step.
      final_values: `[T, B, K]`, see `final_values`.
    """

    memory: PyTree
    trajectory: Trajectory
    last_values: Float[Array, "B K"]
    final_values: Float[Array, "T B K"]


class Advantages(NamedTuple):
    """What a policy and its values learn from.

    Attributes:
      advantages: `[T, B]`, summed over streams with their coefficients.
      returns: `[T, B]`, lambda-returns, summed alike: advantages without their baseline.
      targets: `[T, B, K]`, lambda-returns of each stream.
    """

    advantages: Float[Array, "T B"]
    returns: Float[Array, "T B"]
    targets: Float[Array, "T B K"]


def collect(
    vectorized: VectorizedEnvironment,
    network: ActorCritic,
    params: PyTree,
    num_steps: int,
    start: RolloutState,
    environment_params: PyTree,
) -> tuple[Experience, RolloutState]:
    """Steps B environments T times with the policy, and has its values of what comes after.

    Args:
      vectorized: B environments.
      network: the policy and K values.
      params: of the network.
      num_steps: T.
      start: from `start_rollout`, with the network's memory; or from an earlier call.
      environment_params: of the environments.

    Returns:
      The experience, and where to go on.
    """

    def policy(key, observations, memory):
        distribution, values, memory = network.step(params, memory, observations)
        raw, log_probs = distribution.sample_and_log_prob(seed=key)
        said = {"raw_actions": raw, "log_probs": log_probs}
        return network.to_action(raw), said if batched else {**said, "values": values}, memory

    # Without a memory all values come of one call, which takes a fraction of the time of T calls.
    batched = not jax.tree.leaves(start.memory)
    trajectory, end = rollout(vectorized, policy, num_steps, start, environment_params)
    if batched:
        _, values = network.unroll(params, start.memory, trajectory.observations, trajectory.dones)
        trajectory = trajectory._replace(extras={**trajectory.extras, "values": values})
    _, last_values, _ = network.step(params, end.memory, end.observations)
    final = final_values(network, params, start.memory, trajectory)
    return Experience(start.memory, trajectory, last_values, final), end


def batch_of(
    experience: Experience, rewards: Float[Array, "T B K"], streams: Streams, trace_decay: float | Array
) -> Batch:
    """What a policy learns from: experience, and what it is worth by some rewards. Differentiable in the rewards.

    Args:
      experience: T steps of B environments.
      rewards: of each of the K streams.
      streams: K of them; of their transformations nothing is asked here.
      trace_decay: lambda in [0, 1].
    """
    memory, trajectory, last_values, final = experience
    advantages = advantages_of(streams, rewards, trajectory, last_values, final, trace_decay)
    return Batch(
        memory=memory,
        observations=trajectory.observations,
        dones=trajectory.dones,
        **advantages._asdict(),
        **trajectory.extras,
    )


def of_rewards(loss: Callable[..., tuple[Array, Metrics]]) -> Callable[..., tuple[Array, Metrics]]:
    """Makes of a loss of a `Batch` one of experience and any rewards, differentiable in the parameters and the rewards.

    Args:
      loss: `loss(params, batch, **options) -> (loss, metrics)`, such as `clipped_loss`.

    Returns:
      `loss(params, experience, rewards [T, B], discount, *, trace_decay=0.95, **options)`: of experience from `collect`
      with one value; the reward ends with the episode; the options are those of the loss, its network among them.
    """

    def loss_of_rewards(
        params: PyTree,
        experience: Experience,
        rewards: Float[Array, "T B"],
        discount: float | Array,
        *,
        trace_decay: float | Array = 0.95,
        **options: Any,
    ) -> tuple[Array, Metrics]:
        batch = batch_of(experience, rewards[..., None], as_streams(None, discount), trace_decay)
        return loss(params, batch, **options)

    return loss_of_rewards


def final_values(network: ActorCritic, params: PyTree, memory: PyTree, trajectory: Trajectory) -> Float[Array, "T B K"]:
    """Values of what followed each step before any reset; zeros where no time limit cut anything.

    Only episodes that are cut need them, and most experience has none: the network is asked where there are.
    """
    cut = trajectory.truncated & ~trajectory.terminated
    return jax.lax.cond(
        anywhere(cut),
        lambda: network.following(
            params, memory, trajectory.observations, trajectory.next_observations, trajectory.dones
        ),
        lambda: jnp.zeros_like(trajectory.extras["values"]),
    )


def advantages_of(
    streams: Streams,
    rewards: Float[Array, "T B K"],
    trajectory: Trajectory,
    last_values: Float[Array, "B K"],
    final: Float[Array, "T B K"],
    trace_decay: float | Array,
) -> Advantages:
    """Generalised advantages of every stream, with its discount, and their sum with the coefficients.

    An episodic stream ends where the task does and is bootstrapped where a time limit cuts. One that is not goes on
    into the next episode, as RND's bonus does: neither flag touches it.

    Args:
      streams: K of them.
      rewards: of each.
      trajectory: with `values` among its extras.
      last_values: of what the policy sees after the last step.
      final: from `final_values`.
      trace_decay: lambda in [0, 1].
    """
    values, never = trajectory.extras["values"], jnp.zeros_like(trajectory.dones)
    total = returns = jnp.zeros_like(rewards[..., 0])
    targets = []
    for k, stream in enumerate(streams.values()):
        terminated, dones = (trajectory.terminated, trajectory.dones) if stream.episodic else (never, never)
        following = following_values(values[..., k], last_values[..., k], final[..., k], dones)
        advantages = generalized_advantages(
            rewards[..., k], values[..., k], following, terminated, dones, stream.discount, trace_decay
        )
        targets.append(advantages + values[..., k])
        total = total + stream.coefficient * advantages
        returns = returns + stream.coefficient * targets[-1]
    return Advantages(total, returns, jnp.stack(targets, axis=-1))
