"""Rewards with hints in them that change no optimal policy."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import PyTree, RewardTransformation, Trajectory, require
from jaxrl_sparse.rewards.algebra import stateless


def potential_shaping(potential: Callable[[PyTree], Array], discount: float | Array) -> RewardTransformation:
    """Adds the gain of a potential: `r + gamma (1 - terminated) Phi(s') - Phi(s)`.

    Where the task ends the potential counts as zero, whatever `Phi(s')` is; where a time limit cuts it is that of
    `next_observations`, since the task would have gone on. So returns from s change by `-Phi(s)` whatever the policy
    does, and what was optimal stays optimal; the discount must be that of the learner.

    Args:
      potential: Phi, from observations `[T, B, ...]` to `[T, B]`, in the unit of returns.
      discount: gamma in [0, 1], per step.

    Raises:
      ValueError: if the discount is outside [0, 1].

    Source: Ng, Harada and Russell, "Policy Invariance under Reward Transformations" (ICML 1999), theorem 1.
    """
    require("discount", discount, lambda gamma: 0 <= gamma <= 1, "a number in [0, 1]")

    def shaped(trajectory: Trajectory) -> Float[Array, "T B"]:
        following = jnp.where(trajectory.terminated, 0.0, potential(trajectory.next_observations))
        return trajectory.rewards + discount * following - potential(trajectory.observations)

    return stateless(shaped)
