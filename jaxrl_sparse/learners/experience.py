"""Experience of the current policy, labelled and valued: what every on-policy learner starts an update with."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import PyTree, Trajectory
from jaxrl_sparse.environments.rollouts import RolloutState, rollout
from jaxrl_sparse.environments.vectorized import VectorizedEnvironment
from jaxrl_sparse.learners.returns import following_values, generalized_advantages
from jaxrl_sparse.learners.reward_streams import Streams
from jaxrl_sparse.networks.actor_critic import ActorCritic
from jaxrl_sparse.numerics.predicates import anywhere


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
) -> tuple[Trajectory, RolloutState]:
    """Steps B environments T times with the policy.

    Returns:
      The trajectory, whose extras are `raw_actions [T, B, ...]` (see `distributions`), `log_probs [T, B]` and
      `values [T, B, K]`; and where to go on.
    """

    def policy(key, observations, memory):
        distribution, values, memory = network.step(params, memory, observations)
        raw, log_probs = distribution.sample_and_log_prob(seed=key)
        return network.to_action(raw), {"raw_actions": raw, "log_probs": log_probs, "values": values}, memory

    return rollout(vectorized, policy, num_steps, start, environment_params)


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
