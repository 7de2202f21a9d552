"""What Gaussian measurements tell of a process on the visited cells: information gain and log-determinants.

A measurement at cell s is f(s) + noise with f a Gaussian process of covariance K and noise of variance sigma^2, fresh
at every visit: a second visit to a cell tells something too, and all set functions here count visits, not distinct
cells. With var the posterior variance of f(s) after the visits A, the chain rule of the determinant is

    ln det(K_{A + s} + sigma^2 I) = ln det(K_A + sigma^2 I) + ln(var + sigma^2)

so that a gain needs only w = L^-1 k(s, A), var = k(s, s) - |w|^2 with L the Cholesky factor of K_A + sigma^2 I. Kept is
L^-1, which grows by a row a visit as L does,

    [L 0; w^T d]^-1 = [L^-1 0; -w^T L^-1 / d  1 / d],   d = sqrt(var + sigma^2)

because a batch of products costs a quarter of a batch of triangular solves (CPU), at twice their rounding error.
"""

from math import inf, log2
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import ArrayLike

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.submodular.set_functions import SetFunction
from jaxrl_sparse.submodular.tables import as_floats

# Of the released code: its noise of 1e-3, counted in bits, beside a determinant in nats.
REFERENCE_JITTER, REFERENCE_BONUS = 1e-6, -log2(1e-3)


class Measurements(NamedTuple):
    """Memory of the visits so far, n of them.

    Attributes:
      whitening: `[C, C]`, in its first n rows L^-1 of the Cholesky factor L of K_A + sigma^2 I; 0 below.
      elements: `[C]` int32, the visited elements in order; 0 beyond n.
      num_visits: int32, n.
    """

    whitening: Float[Array, "C C"]
    elements: Int[Array, "C"]
    num_visits: Int[Array, ""]


def information_gain(covariance: ArrayLike, noise_variance: float | Array, capacity: int) -> SetFunction:
    """The mutual information of a Gaussian process and its measurements; monotone and submodular.

        F(A) = 1/2 ln det(I + K_A / sigma^2),   F(s | A) = 1/2 ln(1 + var / sigma^2)

    in nats. A variance that rounding makes negative counts as 0.

    Args:
      covariance: `[N, N]`, K, symmetric and positive semi-definite.
      noise_variance: sigma^2 > 0, in K's unit; may be a tracer. In float32 it should be at least 1e-4 of K's diagonal.
      capacity: C, static, the most visits that are added: the episode's states. Gains beyond it are NaN.

    Returns:
      A set function of N elements, which counts them with repetition.

    Raises:
      ValueError: if the noise is not positive and finite, the capacity less than 1, or K not square and symmetric.

    Source: Srinivas et al., "Gaussian Process Optimization in the Bandit Setting" (2010).
    """
    return _information(covariance, noise_variance, capacity, per_visit=0.0)


def log_determinant(
    covariance: ArrayLike, noise_variance: float | Array, capacity: int, bonus: float | Array = 0.0
) -> SetFunction:
    """Half the log-determinant of the measurements' covariance, which D-optimal designs maximise.

        F(A) = 1/2 ln det(K_A + sigma^2 I) + bonus |A|,   F(s | A) = 1/2 ln(var + sigma^2) + bonus

    in nats: the measurements' differential entropy but for 1/2 ln(2 pi e) a visit. It is submodular, and monotone if
    bonus >= -1/2 ln sigma^2; with less, visits that tell little are losses.

    Args:
      covariance: `[N, N]`, K, symmetric and positive semi-definite.
      noise_variance: sigma^2 > 0, in K's unit; may be a tracer. In float32 it should be at least 1e-4 of K's diagonal.
      capacity: C, static, the most visits that are added: the episode's states. Gains beyond it are NaN.
      bonus: what every visit is worth besides, in nats.

    Returns:
      A set function of N elements, which counts them with repetition.

    Raises:
      ValueError: if the noise is not positive and finite, the capacity less than 1, or K not square and symmetric.
    """
    return _information(covariance, noise_variance, capacity, per_visit=bonus + 0.5 * jnp.log(noise_variance))


def reference_entropy(covariance: ArrayLike, capacity: int) -> SetFunction:
    """The objective that the released code of the paper maximises; for comparisons with its figures.

        F(A) = 1/2 ln det(K_A + 1e-6 I) - |A| log2(1e-3)

    It adds bits to nats, and float32 loses a jitter of 1e-6 where a cell is visited twice: call it with 64-bit types
    enabled. `information_gain` says what was meant.

    Args:
      covariance: `[N, N]`, K, symmetric and positive semi-definite.
      capacity: C, static, the most visits that are added: the episode's states. Gains beyond it are NaN.

    Raises:
      ValueError: if the capacity is less than 1, or K not square and symmetric.

    Source: Prajapat et al. (2024), the released code's objective "entropy".
    """
    return log_determinant(covariance, REFERENCE_JITTER, capacity, REFERENCE_BONUS)


def _information(
    covariance: ArrayLike, noise_variance: float | Array, capacity: int, per_visit: float | Array
) -> SetFunction:
    """`1/2 ln det(I + K_A / sigma^2) + per_visit |A|`."""
    table = as_floats("covariance", covariance, "N N")
    require("covariance", table.shape, lambda shape: shape[0] == shape[1], "the shape [N, N]")
    _require_symmetric(table)
    require("noise_variance", noise_variance, lambda variance: 0 < variance < inf, "a finite number above 0")
    require("capacity", capacity, is_count, "an integer of at least 1")
    places = jnp.arange(capacity)

    def init() -> Measurements:
        return Measurements(jnp.zeros((capacity, capacity), table.dtype), jnp.zeros(capacity, jnp.int32), jnp.int32(0))

    def explained(memory: Measurements, element: Int[Array, ""]) -> tuple[Float[Array, "C"], Float[Array, ""]]:
        """w, and the variance that the visits leave unexplained."""
        # What the empty places hold meets the zeros of the factor.
        weights = memory.whitening @ table[element, memory.elements]
        return weights, jnp.maximum(table[element, element] - jnp.sum(weights**2), 0)

    def gain(memory: Measurements, element: Int[Array, ""]) -> Float[Array, ""]:
        _, variance = explained(memory, element)
        return jnp.where(memory.num_visits < capacity, 0.5 * jnp.log1p(variance / noise_variance) + per_visit, jnp.nan)

    def add(memory: Measurements, element: Int[Array, ""]) -> Measurements:
        weights, variance = explained(memory, element)
        row = jnp.where(places == memory.num_visits, 1, -(weights @ memory.whitening))
        row = row / jnp.sqrt(variance + noise_variance)
        return Measurements(
            memory.whitening.at[memory.num_visits].set(row, mode="drop"),
            memory.elements.at[memory.num_visits].set(element.astype(jnp.int32), mode="drop"),
            jnp.minimum(memory.num_visits + 1, capacity),
        )

    def value(elements: Int[Array, "H"], mask: Bool[Array, "H"] | None = None) -> Float[Array, ""]:
        present = jnp.ones(elements.shape, bool) if mask is None else mask
        both = present[:, None] & present
        signal = jnp.where(both, table[elements[:, None], elements] / noise_variance, 0)
        _, log_det = jnp.linalg.slogdet(jnp.eye(elements.shape[0], dtype=table.dtype) + signal)
        return 0.5 * log_det + per_visit * jnp.sum(present)

    return SetFunction(table.shape[0], init, gain, add, value)


def _require_symmetric(table: Array) -> None:
    if not isinstance(table, Tracer):
        numbers = np.asarray(table)
        asymmetry = float(np.abs(numbers - numbers.T).max())
        slack = 1e-4 * float(np.abs(numbers).max())
        require("covariance", asymmetry, lambda largest: largest <= slack, f"an asymmetry of at most {slack:g}")
