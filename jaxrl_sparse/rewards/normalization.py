"""Rewards in units of the spread of their own discounted sums, for tasks and bonuses of any scale."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrl_sparse.base import RewardTransformation, Trajectory, require
from jaxrl_sparse.numerics.running_moments import Moments, initial_moments, standardize, update_moments


class NormalizationState(NamedTuple):
    """What `normalize` knows of the rewards so far.

    Attributes:
      filtered: `[B]`, R after the last step of each environment, in the reward's unit.
      moments: of R over all environments and steps so far, scalars.
    """

    filtered: Float[Array, "B"]
    moments: Moments


def normalize(discount: float | Array, episodic: bool = True, epsilon: float = 1e-8) -> RewardTransformation:
    """Divides rewards by the running deviation of their discounted sums, which run forward in time:

        R_t = gamma R_{t-1} + r_t,    r_t <- r_t / sqrt(Var[R] + epsilon)

    The variance is that of all R so far, over environments and steps, those of the trajectory that is labelled
    included. No mean is subtracted: a reward keeps its sign, and zero stays zero. The rarer the rewards, the larger one
    is: `chain(normalize(gamma), clip(-10, 10))` bounds them. `relabel` divides by the deviation so far and learns
    nothing.

    Args:
      discount: gamma in [0, 1], per step; below 1 where R is not episodic, since it would grow without end.
      episodic: whether R starts anew after the end of an episode. RND's bonus runs on through all of them.
      epsilon: added to the variance, above 0.

    Raises:
      ValueError: if an argument is out of range.

    Source: Burda et al., "Exploration by Random Network Distillation" (2019), section 2.4 (not episodic); its published
    code updates the variance before it divides.
    """
    takes = "a number in [0, 1]" if episodic else "a number in [0, 1), for sums that no episode ends"
    require("discount", discount, lambda gamma: 0 <= gamma <= 1 and (episodic or gamma < 1), takes)
    require("epsilon", epsilon, lambda number: number > 0, "a number above 0")

    def init(key: PRNGKeyArray, spec: Trajectory) -> NormalizationState:
        del key
        scalar = jax.ShapeDtypeStruct((), jnp.float32)
        return NormalizationState(jnp.zeros(spec.rewards.shape[1]), initial_moments(scalar))

    def update(trajectory: Trajectory, state: NormalizationState) -> tuple[Float[Array, "T B"], NormalizationState]:
        ends = trajectory.dones if episodic else jnp.zeros_like(trajectory.dones)
        sums, filtered = filtered_rewards(trajectory.rewards, ends, discount, state.filtered)
        state = NormalizationState(filtered, update_moments(state.moments, sums))
        return relabel(trajectory, state), state

    def relabel(trajectory: Trajectory, state: NormalizationState) -> Float[Array, "T B"]:
        return standardize(state.moments._replace(mean=jnp.zeros(())), trajectory.rewards, epsilon=epsilon)

    return RewardTransformation(init, update, relabel)


def filtered_rewards(
    rewards: Float[Array, "T B"], ends: Bool[Array, "T B"], discount: float | Array, start: Float[Array, "B"]
) -> tuple[Float[Array, "T B"], Float[Array, "B"]]:
    """`R_t = gamma R_{t-1} + r_t`, and zero in the place of `R_{t-1}` after an end.

    Args:
      rewards: r_t.
      ends: after which steps R starts anew.
      discount: gamma, per step.
      start: `R_{-1}`, zeros at first.

    Returns:
      R of every step, and where to go on: two calls in a row make the numbers of one that is twice as long.
    """

    def forward(carry, inputs):
        reward, end = inputs
        filtered = discount * carry + reward
        return jnp.where(end, 0.0, filtered), filtered

    filtered, sums = jax.lax.scan(forward, start, (rewards, ends))
    return sums, filtered
