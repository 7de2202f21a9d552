"""A scalar as features: what a network sees of a stock, a time or a level."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrl_sparse.base import require, require_known

EMBEDDINGS = ("raw", "hat", "fourier")
# Inputs are clipped here: a little beyond the interval [-1, 1] that they are scaled to.
BOUND = 1.2
# In half turns per unit: the slowest is monotone over the whole interval.
_FREQUENCIES = (0.5, 1.0, 2.0, 4.0)

ScalarEmbedding = Callable[[Float[Array, "*batch"]], Float[Array, "*batch K"]]


def scalar_embedding(name: str, num_knots: int = 33) -> ScalarEmbedding:
    """The embedding of a name; each clips its input to [-1.2, 1.2] first.

    Args:
      name: "raw" (the scalar itself), "hat" (`hat_basis`) or "fourier" (`fourier_features`).
      num_knots: of "hat", at least 2.

    Returns:
      A function from scalars `[...]` to features `[..., K]`.

    Raises:
      ValueError: if the name is unknown, or there are fewer than two knots.
    """
    require_known("embedding", name, EMBEDDINGS, EMBEDDINGS)
    require("num_knots", num_knots, lambda count: count >= 2, "an integer of at least 2")
    if name == "hat":
        return lambda u: hat_basis(u, num_knots)
    if name == "fourier":
        return fourier_features
    return lambda u: jnp.clip(u, -BOUND, BOUND)[..., None]


def hat_basis(u: Float[Array, "*batch"], num_knots: int) -> Float[Array, "*batch K"]:
    """Linear B-splines on K equal knots: `phi_k(u) = max(0, 1 - |u - u_k| / spacing)`, which sum to one.

    A linear function of them is any piecewise linear function with kinks at the knots: what a network needs where the
    optimal action switches at a stock.

    Args:
      u: scalars, clipped to [-1.2, 1.2].
      num_knots: K, at least 2.
    """
    knots = np.linspace(-BOUND, BOUND, num_knots, dtype=np.float32)
    spacing = 2 * BOUND / (num_knots - 1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(jnp.clip(u, -BOUND, BOUND)[..., None] - knots) / spacing)


def fourier_features(u: Float[Array, "*batch"]) -> Float[Array, "*batch K"]:
    """`[u, sin(pi k u), cos(pi k u)]` for k = 1/2, 1, 2, 4: nine features.

    Args:
      u: scalars, clipped to [-1.2, 1.2].
    """
    u = jnp.clip(u, -BOUND, BOUND)[..., None]
    angles = np.pi * np.asarray(_FREQUENCIES, np.float32) * u
    return jnp.concatenate([u, jnp.sin(angles), jnp.cos(angles)], axis=-1)
