"""Numbers that change with the number of the update."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def linear_schedule(
    step: Int[Array, ""], start: float | Array, end: float | Array, num_updates: int
) -> Float[Array, ""]:
    """`start + (end - start) min(step / num_updates, 1)`; an interval of less than one update counts as one."""
    return start + jnp.minimum(step / max(1, num_updates), 1.0) * (end - start)
