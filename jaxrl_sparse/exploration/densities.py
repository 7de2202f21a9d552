"""Density models that learn as experience comes: of cells, a Gaussian, a mixture of Gaussians."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require

_LOG_TWO_PI = math.log(2 * math.pi)
_PRECISE = jax.lax.Precision.HIGHEST


class DensityModel(NamedTuple):
    """A density q of points as three pure functions; it integrates to one at all times.

    Attributes:
      init: `init(key, like) -> state`; `like` is one point, arrays or `ShapeDtypeStruct` `[...]`.
      update: `update(points [N, ...], counted [N] bool, state) -> state`: learns from the rows that count; each
        weighs as much as any that came before.
      log_prob: `log_prob(points [N, ...], state) -> [N]`, log q, in nats.
      log_uniform: log of the uniform density on all that q covers; 0, the improper one, where that has no bounds.
    """

    init: Callable[[PRNGKeyArray, PyTree], PyTree]
    update: Callable[[PyTree, Array, PyTree], PyTree]
    log_prob: Callable[[PyTree, PyTree], Array]
    log_uniform: float = 0.0


def histogram(cell_of: Callable[[PyTree], Array], num_cells: int, pseudo_count: float | Array = 1.0) -> DensityModel:
    """Counts of cells, `q(c) = (n(c) + a) / (sum of n + a M)`: probabilities of cells, not densities in them.

    Args:
      cell_of: from points `[..., *point]` to numbers of cells `[...]` in [0, num_cells), such as `box_cells`.
      num_cells: M; the state is `[M]` int32.
      pseudo_count: a, above 0, what each cell counts before it was visited.

    Raises:
      ValueError: if an argument is out of range.
    """
    require("num_cells", num_cells, is_count, "an integer of at least 1")
    require("pseudo_count", pseudo_count, lambda a: a > 0, "a number above 0")

    def init(key: PRNGKeyArray, like: PyTree) -> Int[Array, "M"]:
        del key, like
        return jnp.zeros(num_cells, jnp.int32)

    def update(points: PyTree, counted: Bool[Array, "N"], state: Int[Array, "M"]) -> Int[Array, "M"]:
        return state.at[cell_of(points)].add(counted.astype(jnp.int32))

    def log_prob(points: PyTree, state: Int[Array, "M"]) -> Float[Array, "N"]:
        counts = state.astype(jnp.float32) + pseudo_count
        return jnp.log(counts[cell_of(points)]) - jnp.log(jnp.sum(counts))

    return DensityModel(init, update, log_prob, -math.log(num_cells))


class GaussianMixtureState(NamedTuple):
    """Sufficient statistics of K components: means over all rows so far of responsibilities, and of what they weigh.

    Attributes:
      num_samples: scalar float32, rows that counted.
      masses: `[K]`, mean responsibility; they sum to one.
      sums: `[K, D]`, of responsibility times point.
      squares: `[K, D]`, of responsibility times squared point, about `center`.
      center: `[D]`, the mean of the first rows: squares about the origin would lose digits far away from it.
      directions: `[K, D]`, standard normal, where the components start, in deviations of the first rows.
    """

    num_samples: Float[Array, ""]
    masses: Float[Array, "K"]
    sums: Float[Array, "K D"]
    squares: Float[Array, "K D"]
    center: Float[Array, "D"]
    directions: Float[Array, "K D"]


def gaussian_mixture(num_components: int = 1, min_deviation: float | Array = 1e-2, num_passes: int = 8) -> DensityModel:
    """K Gaussians of diagonal covariance, by incremental EM.

        s <- (1 - rho) s_before + rho (mean over the batch of responsibility times (1, x, x^2)),   rho = n_batch / n
        q(x) = sum over k of m_k N(x; mu_k, var_k),  all from s, as are the responsibilities

    several times for each batch, with `s_before` what all earlier batches left. All rows weigh the same, old ones by
    the responsibilities of their time. One component is the Gaussian of all rows' mean and variance, exact. Several
    start around the mean of the first batch, a deviation of it apart, at random. Before any row q is the standard
    normal.

    Args:
      num_components: K.
      min_deviation: the least of a component's in each coordinate, above 0, in the points' unit: it bounds q.
      num_passes: of expectation and maximisation over a batch, static; one suffices for one component.

    Raises:
      ValueError: if an argument is out of range; from `init`, if points are not vectors.

    Source: Neal and Hinton, "A View of the EM Algorithm that Justifies Incremental, Sparse, and other Variants" (1998);
    Cappe and Moulines, "On-line Expectation-Maximization Algorithm for Latent Data Models" (2009), with steps 1 / n.
    """
    require("num_components", num_components, is_count, "an integer of at least 1")
    require("min_deviation", min_deviation, lambda least: least > 0, "a number above 0")
    require("num_passes", num_passes, is_count, "an integer of at least 1")

    def init(key: PRNGKeyArray, like: Any) -> GaussianMixtureState:
        require("points", like.shape, lambda shape: len(shape) == 1, "vectors [D]")
        num_inputs = like.shape[0]
        table = jnp.zeros((num_components, num_inputs))
        masses = jnp.full(num_components, 1 / num_components)
        directions = jax.random.normal(key, table.shape)
        ones = jnp.broadcast_to(masses[:, None], table.shape)
        return GaussianMixtureState(jnp.zeros(()), masses, table, ones, jnp.zeros(num_inputs), directions)

    def components(statistics: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        """Log weights `[K]`, means about the centre and variances `[K, D]`; all of an empty one are finite."""
        masses, sums, squares = statistics
        masses = jnp.maximum(masses, 1e-8)
        means = sums / masses[:, None]
        variances = jnp.maximum(squares / masses[:, None] - means**2, min_deviation**2)
        return jnp.log(masses / jnp.sum(masses)), means, variances

    def joint(points: Float[Array, "N D"], parts: tuple[Array, Array, Array]) -> Float[Array, "N K"]:
        log_weights, means, variances = parts
        squared = (points[:, None] - means) ** 2 / variances
        return log_weights - 0.5 * jnp.sum(squared + jnp.log(variances) + _LOG_TWO_PI, axis=-1)

    def update(
        points: Float[Array, "N D"], counted: Bool[Array, "N"], state: GaussianMixtureState
    ) -> GaussianMixtureState:
        rows = counted.astype(jnp.float32)
        added = jnp.sum(rows)

        def mean_of(values: Float[Array, "N F"]) -> Float[Array, "F"]:
            return jnp.matmul(rows, values, precision=_PRECISE) / jnp.maximum(added, 1)

        is_first = state.num_samples == 0
        center = jnp.where(is_first, mean_of(points), state.center)
        about = points - center
        deviations = jnp.maximum(jnp.sqrt(mean_of(about**2)), min_deviation)
        apart = state.directions * deviations * (num_components > 1)
        # Masses are the equal ones that `init` made.
        start = (state.masses, state.masses[:, None] * apart, state.masses[:, None] * (apart**2 + deviations**2))
        before = (state.masses, state.sums, state.squares)
        rate = added / jnp.maximum(state.num_samples + added, 1)

        def one_pass(statistics, _):
            shares = jax.nn.softmax(joint(about, components(statistics)), axis=-1)
            counted_shares = (rows[:, None] * shares).T / jnp.maximum(added, 1)
            sums, squares = (jnp.matmul(counted_shares, power, precision=_PRECISE) for power in (about, about**2))
            of_batch = (mean_of(shares), sums, squares)
            return jax.tree.map(lambda old, new: (1 - rate) * old + rate * new, before, of_batch), None

        first = jax.tree.map(lambda first, later: jnp.where(is_first, first, later), start, before)
        statistics, _ = jax.lax.scan(one_pass, first, length=num_passes)
        masses, sums, squares = statistics
        learnt = GaussianMixtureState(state.num_samples + added, masses, sums, squares, center, state.directions)
        return jax.tree.map(lambda new, old: jnp.where(added > 0, new, old), learnt, state)

    def log_prob(points: Float[Array, "N D"], state: GaussianMixtureState) -> Float[Array, "N"]:
        parts = components((state.masses, state.sums, state.squares))
        return jax.nn.logsumexp(joint(points - state.center, parts), axis=-1)

    return DensityModel(init, update, log_prob)


def box_density(low: tuple[float, ...], high: tuple[float, ...]) -> Callable[[Array], Array]:
    """The log-density of the uniform distribution of a box, `-sum of log(high - low)`, as a target.

    It is the same outside: where the target is zero there is no finite reward.

    Args:
      low: of each of the D coordinates.
      high: likewise.

    Returns:
      `log_prob(points [..., D]) -> [...]`.

    Raises:
      ValueError: if the bounds are not as many and in ascending order.
    """
    least, most = np.asarray(low, np.float64), np.asarray(high, np.float64)
    require("low, high", (low, high), lambda _: least.shape == most.shape and least.ndim == 1, "as many bounds each")
    require("low, high", (low, high), lambda _: bool((least < most).all()), "bounds in ascending order")
    value = -float(np.sum(np.log(most - least)))
    return lambda points: jnp.full(points.shape[:-1], value, jnp.float32)


def cell_density(cell_of: Callable[[PyTree], Array], probabilities: Float[Array, "M"]) -> Callable[[PyTree], Array]:
    """The log-probabilities of cells as a target, for a `histogram` of the same cells.

    Args:
      cell_of: from points `[..., *point]` to numbers of cells `[...]`.
      probabilities: p*, of each cell, all above 0; divided by their sum.

    Returns:
      `log_prob(points) -> [...]`.

    Raises:
      ValueError: if one is not above 0.
    """
    require("probabilities", probabilities, lambda p: bool(jnp.all(p > 0)), "numbers above 0")
    table = jnp.log(probabilities / jnp.sum(probabilities))
    return lambda points: table[cell_of(points)]
