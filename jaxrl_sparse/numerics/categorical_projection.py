"""A law with weighted atoms on a grid of fixed ones: the projection of C51, and of distributional planning."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def categorical_project(
    locations: Float[Array, "M"], probs: Float[Array, "M"], atoms: Float[Array, "N"]
) -> Float[Array, "N"]:
    """Splits the mass at each location between the two atoms beside it.

        P_k = sum_m p_m max(0, 1 - |clip(x_m, z_1, z_N) - z_k| / zeta)

    It keeps the mean of what lies inside the range, and `E max(z_k - G, 0)` for every atom; the error is at most
    zeta / 2 in w_1 there, and the map is non-expansive in w_1. Mass outside goes to the end atoms.

    Args:
      locations: x, `[M]`, in the atoms' unit and any order.
      probs: `[M]`.
      atoms: z, `[N]`, ascending with equal spacing zeta; N at least 2.

    Source: Bellemare, Dabney and Munos, "A Distributional Perspective on Reinforcement Learning" (2017), section 4.
    """
    return probs @ triangular_kernel(locations, atoms)


def triangular_kernel(locations: Float[Array, "... M"], atoms: Float[Array, "N"]) -> Float[Array, "... M N"]:
    """The weights that split a location's mass: `max(0, 1 - |clip(x_m) - z_k| / zeta)`, rows that sum to one."""
    spacing = (atoms[-1] - atoms[0]) / (atoms.shape[0] - 1)
    clipped = jnp.clip(locations, atoms[0], atoms[-1])
    return jnp.clip(1 - jnp.abs(clipped[..., None] - atoms) / spacing, 0, 1)
