"""Draws from a Gaussian process with a Matern kernel on the cells of a map, conditioned on noisy observations."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

# softplus(0) and 1, the published code's untrained kernel; distances in units of ten cells.
VARIANCE = math.log(2)
LENGTHSCALE = 1.0
CELL_SIZE = 0.1
ORIGIN = 1.0
# Where the points of observation are drawn: [0, 10]^2, of which a map of 30 x 30 cells is [1, 3.9]^2.
OBSERVED_EXTENT = 10.0
OBSERVATION_NOISE = 1e-3


def matern_covariance(
    points: Float[Array, "N d"],
    others: Float[Array, "M d"],
    variance: float | Float[Array, ""] = VARIANCE,
    lengthscale: float | Float[Array, ""] = LENGTHSCALE,
) -> Float[Array, "N M"]:
    """Matern's covariance of smoothness 5/2: `variance (1 + a + a^2 / 3) exp(-a)`, `a = sqrt(5) |x - y| / lengthscale`.

    Args:
      points: `[N, d]`.
      others: `[M, d]`.
      variance: at distance zero.
      lengthscale: in the unit of the points.

    Returns:
      `[N, M]`.

    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), equation 4.17.
    """
    # The difference of each pair: the expanded square loses the small distances in float32.
    squared = jnp.sum((points[:, None] - others[None]) ** 2, axis=-1)
    scaled = math.sqrt(5) * jnp.sqrt(squared) / lengthscale
    return variance * (1 + scaled + scaled**2 / 3) * jnp.exp(-scaled)


def cell_points(rows: int, columns: int) -> Float[Array, "N 2"]:
    """The points `1 + 0.1 (row, column)` of the cells, `[N, 2]`, N = rows * columns."""
    row, column = jnp.divmod(jnp.arange(rows * columns), columns)
    return ORIGIN + CELL_SIZE * jnp.stack([row, column], axis=-1)


def posterior_covariance(
    points: Float[Array, "N 2"], observed: Float[Array, "M 2"], noise: float = OBSERVATION_NOISE
) -> Float[Array, "N N"]:
    """The covariance at points after M noisy observations, `K - K_NM (K_MM + noise I)^-1 K_MN`; no value enters it.

    Args:
      points: `[N, 2]`.
      observed: `[M, 2]`, where it was observed.
      noise: variance of an observation.

    Returns:
      `[N, N]`, symmetric.
    """
    cross = matern_covariance(points, observed)
    among = matern_covariance(observed, observed) + noise * jnp.eye(len(observed))
    whitened = jax.scipy.linalg.solve_triangular(jnp.linalg.cholesky(among), cross.T, lower=True)
    return matern_covariance(points, points) - whitened.T @ whitened


def draw(key: PRNGKeyArray, covariance: Float[Array, "N N"]) -> Float[Array, "N"]:
    """One draw of N(0, covariance), by the covariance's symmetric root: `V sqrt(lambda) V^T z`.

    The root is unique where the eigenvectors V are not: their signs, and their directions where eigenvalues are equal,
    are the processor's to choose, and `V sqrt(lambda) z` would be another field on another machine.

    The kernel's small eigenvalues are below what float32 resolves: where rounding made them negative they count as
    zero, and a Cholesky factor would not exist.

    Args:
      key: for z.
      covariance: `[N, N]`, symmetric.

    Returns:
      `[N]`.
    """
    eigenvalues, eigenvectors = jnp.linalg.eigh(covariance)
    scales = jnp.sqrt(jnp.maximum(eigenvalues, 0))
    noise = jax.random.normal(key, eigenvalues.shape, eigenvalues.dtype)
    return eigenvectors @ (scales * (eigenvectors.T @ noise))


def observed_points(key: PRNGKeyArray, count: int) -> Float[Array, "M 2"]:
    """M points of observation, uniform in [0, 10]^2; most of them are far from the map and say nothing about it."""
    return jax.random.uniform(key, (count, 2), maxval=OBSERVED_EXTENT)
