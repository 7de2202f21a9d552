"""Returns of episodes: of those that are longer or shorter than the pieces of experience, and of held-out ones."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import Metrics, PyTree, Trajectory
from jaxrl_sparse.environments.rollouts import run_episodes
from jaxrl_sparse.learners.discounting import discounted_sum


def episode_returns(
    returns: Float[Array, "B"], episode_return: Float[Array, ""], trajectory: Trajectory
) -> tuple[Float[Array, "B"], Float[Array, ""], Int[Array, ""]]:
    """Carries the returns of episodes under way through a trajectory.

    Args:
      returns: `[B]`, what the episodes under way have collected before it.
      episode_return: mean return of the episodes that ended last.
      trajectory: `[T, B]`.

    Returns:
      Both again, the second as it was where no episode ended; and the number of episodes that ended.
    """

    def add(carry, inputs):
        returns, episodes, total = carry
        rewards, done = inputs
        returns = returns + rewards
        carry = (
            jnp.where(done, 0.0, returns),
            episodes + jnp.sum(done),
            total + jnp.sum(jnp.where(done, returns, 0.0)),
        )
        return carry, None

    start = (returns, jnp.int32(0), jnp.float32(0))
    (returns, episodes, total), _ = jax.lax.scan(add, start, (trajectory.rewards, trajectory.dones))
    return returns, jnp.where(episodes > 0, total / jnp.maximum(episodes, 1), episode_return), episodes


def mean_episodes(
    environment: Any,
    act: Any,
    key: PRNGKeyArray,
    params: PyTree,
    discount: float | Array,
    num_episodes: int,
    max_steps: int,
    memory: PyTree = None,
) -> Metrics:
    """Held-out episodes of a policy: `return`, `discounted_return`, `episode_length` and `terminated`, means.

    Args:
      environment: an `Environment`.
      act: `act(observations[B]) -> actions[B]`, or with a memory `act(observations, memory) -> (actions, memory)`.
      key: of the episodes.
      params: of the environment.
      discount: gamma of `discounted_return`.
      num_episodes: B.
      max_steps: most steps of an episode.
      memory: of the policy before the first step, leaves `[B, ...]`; None of one without.

    Returns:
      The four; `terminated` is the share of episodes that no time limit cut.
    """
    episodes = run_episodes(
        environment,
        lambda genomes, *seen: act(*seen),
        None,
        key,
        params,
        max_steps,
        num_episodes,
        discounted_sum(discount),
        jnp.zeros(num_episodes),
        memory=memory,
    )
    return {
        "return": jnp.mean(episodes.returns),
        "discounted_return": jnp.mean(episodes.accumulated),
        "episode_length": jnp.mean(episodes.lengths.astype(jnp.float32)),
        "terminated": jnp.mean(episodes.terminated.astype(jnp.float32)),
    }
