"""Returns of episodes that are longer or shorter than the pieces of experience they come in."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import Trajectory


def episode_returns(
    returns: Float[Array, "B"], trajectory: Trajectory
) -> tuple[Float[Array, "B"], Int[Array, ""], Float[Array, ""]]:
    """Carries the returns of episodes under way through a trajectory: `(returns, episodes ended, their summed return)`.

    Args:
      returns: `[B]`, what the episodes under way have collected before it.
      trajectory: `[T, B]`.
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
    carry, _ = jax.lax.scan(add, start, (trajectory.rewards, trajectory.dones))
    return carry
