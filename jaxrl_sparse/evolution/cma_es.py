"""CMA-ES: a normal distribution of genomes that learns its mean, its step size and its covariance from rankings.

The functions work on one distribution; vmap them over many. Fitness is *maximised*, as everywhere in this library, and
only its order counts.

Source: Hansen, "The CMA Evolution Strategy: A Tutorial" (2016), with the negative recombination weights; the equations
are numbered as there. The separable version is that of Ros and Hansen, "A Simple Modification in CMA-ES Achieving
Linear Time and Space Complexity" (2008).
"""

from math import ceil, inf, sqrt
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.numerics.predicates import anywhere

# The stop rules' tolerances, from the tutorial's appendix.
_FITNESS_TOLERANCE = 1e-12
_STEP_TOLERANCE = 1e-12
_DIVERGENCE = 1e4
_MAX_CONDITION = 1e14
# The smallest eigenvalue that counts, as a share of the largest: far enough beyond the largest condition number.
_SMALLEST_EIGENVALUE = 1e-16


class CmaEsConstants(NamedTuple):
    """Weights and rates, which follow from the dimension and the population size alone.

    Attributes:
      num_parents: mu, how many of the population have a weight that moves the mean.
      weights: `[lambda]`, best individual first; the first mu sum to 1, the others are at most 0.
      effective_parents: mu_eff, between 1 and mu.
      rank_one_rate: c_1.
      rank_mu_rate: c_mu.
      covariance_path_rate: c_c.
      step_path_rate: c_sigma.
      step_damping: d_sigma.
      expected_norm: chi_n, about the mean length of a standard normal vector.
    """

    num_parents: int
    weights: np.ndarray
    effective_parents: float
    rank_one_rate: float
    rank_mu_rate: float
    covariance_path_rate: float
    step_path_rate: float
    step_damping: float
    expected_norm: float


class CmaEsState(NamedTuple):
    """One distribution `N(mean, sigma^2 C)`. Separable: C is diagonal, and stored as its diagonal.

    Attributes:
      mean: `[n]`.
      sigma: step size, in the genes' unit.
      covariance: C, `[n, n]`; separable: `[n]`.
      eigenvectors: B, `[n, n]`, in columns, of the last decomposition; separable: None.
      axis_lengths: `[n]`, the square roots D of the eigenvalues of the last decomposition, none of them zero;
        ascending, but for a separable state, where they follow the genes.
      covariance_path: p_c, `[n]`.
      step_path: p_sigma, `[n]`.
      generation: number of updates so far, int32.
      initial_sigma: the step size at the start.
      fitness_ranges: `[H, 2]`, lowest and highest fitness of the last `H = 10 + ceil(30 n / lambda)` generations, a
        ring; NaN where there was none yet.
    """

    mean: Float[Array, "n"]
    sigma: Float[Array, ""]
    covariance: Float[Array, "n n"] | Float[Array, "n"]
    eigenvectors: Float[Array, "n n"] | None
    axis_lengths: Float[Array, "n"]
    covariance_path: Float[Array, "n"]
    step_path: Float[Array, "n"]
    generation: Int[Array, ""]
    initial_sigma: Float[Array, ""]
    fitness_ranges: Float[Array, "H 2"]


def cma_es_init(
    mean: Float[Array, "n"], sigma: float | Float[Array, ""], population_size: int, separable: bool = False
) -> CmaEsState:
    """The isotropic distribution `N(mean, sigma^2 I)`.

    Args:
      mean: of the first generation; its dtype is that of the whole state.
      sigma: standard deviation of the first generation in every gene, above 0.
      population_size: lambda, static, at least 4; it sets the length of the ring of fitness ranges.
      separable: static; whether the covariance stays diagonal. Time and memory are then linear in n and there is no
        eigendecomposition; correlations of genes are not learned.

    Raises:
      ValueError: if `population_size` is below 4 or `sigma` is not positive and finite.
    """
    _require_population_size(population_size)
    require("sigma", sigma, lambda value: 0 < value < inf, "a finite number above 0")
    dimension, dtype = mean.shape[0], mean.dtype
    # Not one array twice: a state whose leaves share a buffer cannot be donated.
    return CmaEsState(
        mean=mean,
        sigma=jnp.asarray(sigma, dtype),
        covariance=jnp.ones(dimension, dtype) if separable else jnp.eye(dimension, dtype=dtype),
        eigenvectors=None if separable else jnp.eye(dimension, dtype=dtype),
        axis_lengths=jnp.ones(dimension, dtype),
        covariance_path=jnp.zeros(dimension, dtype),
        step_path=jnp.zeros(dimension, dtype),
        generation=jnp.zeros((), jnp.int32),
        initial_sigma=jnp.array(sigma, dtype),
        fitness_ranges=jnp.full((10 + ceil(30 * dimension / population_size), 2), jnp.nan, dtype),
    )


def cma_es_ask(
    key: PRNGKeyArray,
    state: CmaEsState,
    population_size: int,
    lower: float | Float[Array, ""] = -inf,
    upper: float | Float[Array, ""] = inf,
    max_redraws: int = 100,
) -> Float[Array, "lambda n"]:
    """Draws genomes `x = mean + sigma B D z`, `z ~ N(0, I)` (equation 40).

    A genome with a gene out of the box is drawn again, whole, and clipped when all redraws have failed. Only where some
    genome is outside is anything drawn again, and then for all vmapped distributions at a time.

    Args:
      key: for all draws.
      state: of the distribution.
      population_size: lambda, static.
      lower: smallest value of a gene.
      upper: largest value of a gene.
      max_redraws: static.
    """
    shape, dtype = (population_size, state.mean.shape[0]), state.mean.dtype

    def draw(key: PRNGKeyArray) -> Float[Array, "lambda n"]:
        steps = jax.random.normal(key, shape, dtype) * state.axis_lengths
        if state.eigenvectors is not None:
            steps = _product(steps, state.eigenvectors.T)
        return state.mean + state.sigma * steps

    def outside(genomes: Float[Array, "lambda n"]) -> Bool[Array, "lambda"]:
        return jnp.any(jnp.logical_or(genomes < lower, genomes > upper), axis=-1)

    # The first draw is one of the loop's, so that it is compiled once.
    def draw_pending(carry):
        key, genomes, pending, draws = carry
        key, draw_key = jax.random.split(key)
        genomes = jnp.where(pending[:, None], draw(draw_key), genomes)
        return key, genomes, outside(genomes), draws + 1

    def unfinished(carry):
        _, _, pending, draws = carry
        return jnp.logical_and(anywhere(pending), draws <= max_redraws)

    nothing = (key, jnp.zeros(shape, dtype), jnp.ones(population_size, bool), jnp.int32(0))
    _, genomes, _, _ = jax.lax.while_loop(unfinished, draw_pending, nothing)
    return jnp.clip(genomes, lower, upper).astype(dtype)


def cma_es_tell(
    state: CmaEsState,
    genomes: Float[Array, "lambda n"],
    fitnesses: Float[Array, "lambda"],
    decompose: bool = True,
) -> CmaEsState:
    """Moves the distribution towards the fitter half of the population, and away from the rest.

    Of equally fit genomes the one with the lower index ranks first; those whose fitness is not finite rank last.

    Args:
      state: that the genomes were drawn from.
      genomes: as they were evaluated; all finite.
      fitnesses: higher is better.
      decompose: static; whether to compute the axes of the new covariance, in O(n^3). False leaves this to
        `cma_es_decompose`, which the caller calls on a schedule of his own: every `1 / (10 n (c_1 + c_mu))`
        generations lose nothing (appendix B.2). The schedule must come from outside of anything that is vmapped, or
        the decomposition is computed every time.

    Raises:
      ValueError: if the population is smaller than 4.
    """
    population_size, dimension = genomes.shape
    constants = cma_es_constants(dimension, population_size, _is_separable(state))
    ranked_fitnesses = jnp.where(jnp.isfinite(fitnesses), fitnesses, -jnp.inf)
    order = jnp.argsort(-ranked_fitnesses, stable=True)
    range_now = jnp.stack([jnp.min(ranked_fitnesses), jnp.max(ranked_fitnesses)]).astype(state.mean.dtype)
    place = state.generation % state.fitness_ranges.shape[0]
    told = state._replace(fitness_ranges=state.fitness_ranges.at[place].set(range_now))
    return _adapt(told, genomes[order], constants, decompose)


def cma_es_tell_parents(
    state: CmaEsState, ranked: Float[Array, "lambda n"], num_parents: Int[Array, ""], decompose: bool = True
) -> CmaEsState:
    """Moves the distribution towards the first genomes of a ranking, however many these are.

    The weights `ln(mu + 1/2) - ln i`, over their sum, and all rates are those of the number of parents; there are no
    negative weights. The fitness ranges stay as they are.

    Args:
      state: that the genomes were drawn from.
      ranked: best genome first; all finite.
      num_parents: mu, from 1 to lambda; it may be traced.
      decompose: see `cma_es_tell`.

    Raises:
      ValueError: if the population is smaller than 4.

    Source: the filter selection of Fontaine et al., "Covariance Matrix Adaptation for the Rapid Illumination of
    Behavior Space" (2020).
    """
    population_size, dimension = ranked.shape
    _require_population_size(population_size)
    by_number = [
        _rates(dimension, _positive_weights(number, population_size), number, _is_separable(state))
        for number in range(1, population_size + 1)
    ]
    constants = jax.tree.map(
        lambda *of_numbers: jnp.asarray(np.stack(of_numbers), state.mean.dtype)[num_parents - 1], *by_number
    )
    return _adapt(state, ranked, constants, decompose)


def cma_es_decompose(state: CmaEsState) -> CmaEsState:
    """Computes the axes of the current covariance: `C = B D^2 B^T`.

    Rounding may leave C with an eigenvalue that is not positive: its absolute value is taken, and at least 1e-16 of
    the largest one, so that every axis has a length.
    """
    if _is_separable(state):
        eigenvalues, eigenvectors = state.covariance, None
    else:
        eigenvectors, eigenvalues = jax.lax.linalg.eigh(state.covariance)
    eigenvalues = jnp.abs(eigenvalues)
    floor = _SMALLEST_EIGENVALUE * jnp.max(eigenvalues)
    return state._replace(eigenvectors=eigenvectors, axis_lengths=jnp.sqrt(jnp.maximum(eigenvalues, floor)))


def cma_es_stop(state: CmaEsState) -> Bool[Array, ""]:
    """Whether nothing more is to be expected: true if any of the rules of the tutorial's appendix B.3 holds.

    * Fitness: the best and the worst of all the last `H` generations differ by less than 1e-12.
    * Step: in all genes `sigma sqrt(C_ii)` and `sigma |p_c|` are below 1e-12 of the first sigma.
    * Divergence: the longest axis, `sigma max D`, exceeds 1e4 times the first sigma.
    * No effect: adding 0.2 standard deviations to a gene leaves that gene of the mean as it is; or adding 0.1 of an
      axis leaves the whole mean as it is (the axes are looked at in turn, one a generation).
    * Condition: that of C, `(max D / min D)^2`, exceeds 1e14.
    * A number of the distribution is not finite.
    """
    mean, sigma, axes = state.mean, state.sigma, state.axis_lengths
    variances = state.covariance if _is_separable(state) else jnp.diagonal(state.covariance)
    deviations = sigma * jnp.sqrt(jnp.maximum(variances, 0.0))
    lowest, highest = jnp.min(state.fitness_ranges[:, 0]), jnp.max(state.fitness_ranges[:, 1])
    flat = jnp.logical_or(lowest == highest, highest - lowest < _FITNESS_TOLERANCE)
    tiny = _STEP_TOLERANCE * state.initial_sigma
    small = jnp.all(jnp.logical_and(deviations < tiny, sigma * jnp.abs(state.covariance_path) < tiny))
    divergent = sigma * jnp.max(axes) > _DIVERGENCE * state.initial_sigma
    no_effect_on_a_gene = jnp.any(mean == mean + 0.2 * deviations)
    turn = state.generation % mean.shape[0]
    direction = jax.nn.one_hot(turn, mean.shape[0]) if state.eigenvectors is None else state.eigenvectors[:, turn]
    no_effect_of_an_axis = jnp.all(mean == mean + 0.1 * sigma * axes[turn] * direction)
    ill_conditioned = (jnp.max(axes) / jnp.min(axes)) ** 2 > _MAX_CONDITION
    broken = ~(jnp.isfinite(sigma) & jnp.all(jnp.isfinite(mean)) & jnp.all(jnp.isfinite(axes)))
    rules = (flat, small, divergent, no_effect_on_a_gene, no_effect_of_an_axis, ill_conditioned, broken)
    return jnp.any(jnp.stack(rules))


def cma_es_constants(dimension: int, population_size: int, separable: bool = False) -> CmaEsConstants:
    """Weights and rates of the tutorial's table 1 (equations 49 to 58).

    Separable, c_1 and c_mu are `(n + 2) / 3` times as large, within the bound `c_1 + c_mu < 1`.

    Args:
      dimension: n, static, at least 1.
      population_size: lambda, static, at least 4: below, one parent would be left.
      separable: static.

    Raises:
      ValueError: if an argument is below its least value.
    """
    require("dimension", dimension, is_count, "an integer of at least 1")
    _require_population_size(population_size)
    num_parents = population_size // 2
    weights = np.log((population_size + 1) / 2) - np.log(np.arange(1, population_size + 1))
    rates = _rates(dimension, weights, num_parents, separable)
    c_1, c_mu = rates.rank_one_rate, rates.rank_mu_rate
    effective_rest = _effective_number(weights[num_parents:])
    # Within the last bound the covariance stays positive definite.
    scale_of_rest = min(
        1 + c_1 / c_mu, 1 + 2 * effective_rest / (rates.effective_parents + 2), (1 - c_1 - c_mu) / (dimension * c_mu)
    )
    positive, negative = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
    return rates._replace(weights=positive / positive.sum() - scale_of_rest * negative / negative.sum())


def _rates(dimension: int, weights: np.ndarray, num_parents: int, separable: bool) -> CmaEsConstants:
    """Constants of a ranking whose first `num_parents` weights are the parents'."""
    n, mu_eff = dimension, _effective_number(weights[:num_parents])
    speed = (n + 2) / 3 if separable else 1.0
    c_1 = speed * 2 / ((n + 1.3) ** 2 + mu_eff)
    # A population of enormous size would learn faster than at once.
    c_mu = min(speed * 2 * (mu_eff - 2 + 1 / mu_eff) / ((n + 2) ** 2 + mu_eff), 1 - c_1 - 1e-8)
    c_sigma = (mu_eff + 2) / (n + mu_eff + 5)
    return CmaEsConstants(
        num_parents=num_parents,
        weights=weights,
        effective_parents=mu_eff,
        rank_one_rate=c_1,
        rank_mu_rate=c_mu,
        covariance_path_rate=(4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n),
        step_path_rate=c_sigma,
        step_damping=1 + 2 * max(0.0, sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma,
        expected_norm=sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2)),
    )


def _positive_weights(num_parents: int, population_size: int) -> np.ndarray:
    weights = np.maximum(np.log(num_parents + 0.5) - np.log(np.arange(1, population_size + 1)), 0.0)
    return weights / weights.sum()


def _effective_number(weights: np.ndarray) -> float:
    return float(np.sum(weights) ** 2 / np.sum(weights**2))


def _adapt(
    state: CmaEsState, ranked: Float[Array, "lambda n"], constants: CmaEsConstants, decompose: bool
) -> CmaEsState:
    """One update from a ranking, best genome first (equations 41 to 47)."""
    dimension, dtype = state.mean.shape[0], state.mean.dtype
    _, weights, mu_eff, c_1, c_mu, c_c, c_sigma, d_sigma, chi_n = constants
    weights = jnp.asarray(weights, dtype)
    steps = (ranked - state.mean) / state.sigma
    mean_step = _product(jnp.maximum(weights, 0.0), steps)
    # C^(-1/2) (x - mean) / sigma, in the coordinates of the axes: a rotation changes no length.
    whitened = _along_axes(state, steps) / state.axis_lengths
    whitened_mean_step = _off_axes(state, _product(jnp.maximum(weights, 0.0), whitened))

    step_path = (1 - c_sigma) * state.step_path + jnp.sqrt(c_sigma * (2 - c_sigma) * mu_eff) * whitened_mean_step
    length = jnp.linalg.norm(step_path)
    sigma = state.sigma * jnp.exp(c_sigma / d_sigma * (length / chi_n - 1))

    # A path that is long only because the step size lags behind must not stretch the covariance.
    updates = (state.generation + 1).astype(dtype)
    expected = jnp.sqrt(1 - (1 - c_sigma) ** (2 * updates)) * chi_n
    steady = (length < (1.4 + 2 / (dimension + 1)) * expected).astype(dtype)
    covariance_path = (1 - c_c) * state.covariance_path + steady * jnp.sqrt(c_c * (2 - c_c) * mu_eff) * mean_step

    # A bad genome far out must not shrink its direction more than one near by.
    squared_lengths = jnp.maximum(jnp.sum(whitened**2, axis=-1), jnp.finfo(dtype).tiny)
    step_weights = weights * jnp.where(weights >= 0, 1.0, dimension / squared_lengths)
    kept = 1 - c_1 - c_mu * jnp.sum(weights) + c_1 * (1 - steady) * c_c * (2 - c_c)
    if _is_separable(state):
        rank_one, rank_mu = covariance_path**2, _product(step_weights, steps**2)
    else:
        rank_one = covariance_path[:, None] * covariance_path
        rank_mu = _product((step_weights[:, None] * steps).T, steps)
    adapted = state._replace(
        mean=state.mean + state.sigma * mean_step,
        sigma=sigma,
        covariance=kept * state.covariance + c_1 * rank_one + c_mu * rank_mu,
        covariance_path=covariance_path,
        step_path=step_path,
        generation=state.generation + 1,
    )
    return cma_es_decompose(adapted) if decompose or _is_separable(state) else adapted


def _is_separable(state: CmaEsState) -> bool:
    return state.eigenvectors is None


def _along_axes(state: CmaEsState, vectors: Float[Array, "lambda n"]) -> Float[Array, "lambda n"]:
    return vectors if state.eigenvectors is None else _product(vectors, state.eigenvectors)


def _off_axes(state: CmaEsState, vector: Float[Array, "n"]) -> Float[Array, "n"]:
    return vector if state.eigenvectors is None else _product(state.eigenvectors, vector)


def _product(left: Array, right: Array) -> Array:
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def _require_population_size(population_size: int) -> None:
    require(
        "population_size",
        population_size,
        lambda number: is_count(number) and number >= 4,
        "an integer of at least 4, so that there are two parents",
    )
