"""Returns and advantages of time-major experience, in which a time limit is not an end."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Steps of a scan that are compiled as one: the work of one step is far less than a round of a loop.
_UNROLL = 8


def generalized_advantages(
    rewards: Float[Array, "T *B"],
    values: Float[Array, "T *B"],
    next_values: Float[Array, "T *B"],
    terminated: Bool[Array, "T *B"],
    dones: Bool[Array, "T *B"],
    discount: float | Array,
    trace_decay: float | Array,
) -> Float[Array, "T *B"]:
    """Generalised advantage estimation,

        delta_t = r_t + gamma (1 - terminated_t) V'_t - V_t
        A_t = delta_t + gamma lambda (1 - done_t) A_{t+1},    A_T = 0

    An episode that a time limit cuts (done and not terminated) is bootstrapped from `V'_t`, the value of what followed
    before the reset, and its trace ends; `A_t + V_t` is the lambda-return.

    Args:
      rewards: r_t.
      values: V_t, of the state before the step.
      next_values: V'_t, of the state after it, see `following_values`.
      terminated: where the return ends.
      dones: where the episode ends, either way.
      discount: gamma in [0, 1], per step; or an array that broadcasts against `rewards[0]`.
      trace_decay: lambda in [0, 1]: 0 for one step, 1 for all of them.

    Source: Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation" (ICLR 2016).
    """
    deltas = rewards + discount * jnp.where(terminated, 0.0, next_values) - values
    decays = discount * trace_decay * (1.0 - dones.astype(rewards.dtype))

    def back(advantage, inputs):
        delta, decay = inputs
        advantage = delta + decay * advantage
        return advantage, advantage

    start = jnp.zeros_like(deltas[0])
    return jax.lax.scan(back, start, (deltas, jnp.broadcast_to(decays, deltas.shape)), reverse=True, unroll=_UNROLL)[1]


def discounted_returns(
    rewards: Float[Array, "T *B"],
    next_values: Float[Array, "T *B"],
    terminated: Bool[Array, "T *B"],
    dones: Bool[Array, "T *B"],
    discount: float | Array,
) -> Float[Array, "T *B"]:
    """Returns to go, `G_t = r_t + gamma G_{t+1}`; where the episode or the experience ends, V' stands for the rest.

    `G_t = r_t + gamma (1 - terminated_t) V'_t` where done, and at the last step.

    Args:
      rewards: r_t.
      next_values: V'_t, used where a time limit or the last step cuts; zeros make a Monte-Carlo return.
      terminated: where the return ends.
      dones: where the episode ends, either way.
      discount: gamma in [0, 1], per step.
    """
    zeros = jnp.zeros_like(rewards)
    # Values of zero inside and the traces of lambda = 1; at the cuts the value of what followed.
    cuts = dones.at[-1].set(True)
    bootstraps = jnp.where(cuts, next_values, zeros)
    return generalized_advantages(rewards, zeros, bootstraps, terminated, dones, discount, 1.0)


def following_values(
    values: Float[Array, "T *B"],
    last_values: Float[Array, "*B"],
    final_values: Float[Array, "T *B"],
    dones: Bool[Array, "T *B"],
) -> Float[Array, "T *B"]:
    """V'_t: the value of the next row, and where an episode ended that of its final observation.

    Args:
      values: of what the policy saw at each step.
      last_values: of what it sees after the last step.
      final_values: of what followed each step before any reset; only those at ends count.
      dones: where the episode ends, either way.
    """
    return jnp.where(dones, final_values, jnp.concatenate([values[1:], last_values[None]]))
