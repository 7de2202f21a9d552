"""The supremum over linear and log-linear density ratios: what `version_space` does for finite classes.

With `w(s, a) = psi(s, a)^T theta` the objective of a layer is a concave quadratic of theta,

    Ehat[w Dhat f - alpha w^2] = b^T theta - alpha theta^T A theta,   b = Ehat[psi Dhat f],   A = Ehat[psi psi^T]

whose free optimum is `theta* = (2 alpha A)^+ b`. b is in the range of A, both being made of the same visits, so that a
singular A does no harm. theta is held in a box or in a ball, in place of the clip of finite classes. Log-linear
ratios, `w = exp(psi^T theta)`, are clipped smoothly; their objective is not concave.

Source: the parametric classes of Amortila, Foster, Jiang, Sekhari and Xie, "Harnessing Density Ratios for Online
Reinforcement Learning" (ICLR 2024); how the maxima are found is ours.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

_PRECISE = jax.lax.Precision.HIGHEST
# Directions of A below this share of the largest are taken for empty.
_RANK = 1e-6
# Halvings of the interval of the ball's multiplier: more than float32 can tell apart.
_HALVINGS = 40


class Supremum(NamedTuple):
    """The largest penalised Bellman error, and where it is attained.

    Attributes:
      errors: `[N, H]`, by function and layer.
      weights: `[N, H, S, A]`, the w that attain them.
    """

    errors: Float[Array, "N H"]
    weights: Float[Array, "N H S A"]


def box_supremum(
    residual_means: Float[Array, "N H S A"],
    frequencies: Float[Array, "H S A"],
    features: Float[Array, "H S A P"],
    low: float | Array,
    high: float | Array,
    alpha: float | Array,
    num_steps: int = 50,
) -> Supremum:
    """Over `w = psi^T theta` with `low <= theta <= high`, coordinate by coordinate.

    Exact where the bounds do not bind, or where A is diagonal (psi one-hot: all weights between the bounds, as in
    `bounded_bellman_errors`). Elsewhere by accelerated projected ascent from the clipped free optimum, with an error
    that falls with the square of the number of steps (Beck and Teboulle, 2009).

    Args:
      residual_means: the mean residual by function, split by layer, state and action.
      frequencies: visits / n.
      features: psi.
      low: smallest coordinate of theta.
      high: largest one.
      alpha: above 0.
      num_steps: of the ascent, static.
    """
    quadratic = _quadratic(residual_means, frequencies, features, alpha)
    largest = jnp.max(quadratic.curvatures, axis=-1)[None, :, None]
    rate = 1 / jnp.where(largest > 0, largest, 1)
    project = lambda theta: jnp.clip(theta, low, high)  # noqa: E731

    def step(carry, _):
        theta, ahead, momentum = carry
        slope = quadratic.linear - jnp.einsum("hpq,nhq->nhp", quadratic.matrix, ahead, precision=_PRECISE)
        moved = project(ahead + rate * slope)
        following = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
        return (moved, moved + (momentum - 1) / following * (moved - theta), following), None

    start = project(_free_optimum(quadratic))
    (theta, _, _), _ = jax.lax.scan(step, (start, start, jnp.ones((), start.dtype)), length=num_steps)
    # The start is exact wherever ascent could only round.
    is_better = (_values(quadratic, theta) > _values(quadratic, start))[..., None]
    return _supremum(quadratic, jnp.where(is_better, theta, start), features)


def ball_supremum(
    residual_means: Float[Array, "N H S A"],
    frequencies: Float[Array, "H S A"],
    features: Float[Array, "H S A P"],
    radius: float | Array,
    alpha: float | Array,
) -> Supremum:
    """Over `w = psi^T theta` with `||theta||_2 <= radius`, exact: `(2 alpha A + nu I) theta = b` by bisection of nu.

    Args:
      residual_means: the mean residual by function, split by layer, state and action.
      frequencies: visits / n.
      features: psi.
      radius: above 0.
      alpha: above 0.
    """
    quadratic = _quadratic(residual_means, frequencies, features, alpha)
    rotated = jnp.einsum("hpq,nhp->nhq", quadratic.basis, quadratic.linear, precision=_PRECISE)

    def coordinates(multiplier: Float[Array, "N H 1"]) -> Float[Array, "N H P"]:
        divisor = quadratic.curvatures + multiplier
        return jnp.where(divisor > 0, rotated / jnp.where(divisor > 0, divisor, 1), 0)

    def halve(_, interval):
        low, high = interval
        middle = (low + high) / 2
        is_outside = jnp.linalg.norm(coordinates(middle), axis=-1, keepdims=True) > radius
        return jnp.where(is_outside, middle, low), jnp.where(is_outside, high, middle)

    # With nu = ||b|| / radius theta is inside, whatever A is.
    most = jnp.linalg.norm(rotated, axis=-1, keepdims=True) / radius
    _, multiplier = jax.lax.fori_loop(0, _HALVINGS, halve, (jnp.zeros_like(most), most))
    free = jnp.einsum("hpq,nhp->nhq", quadratic.basis, _free_optimum(quadratic), precision=_PRECISE)
    is_free = jnp.linalg.norm(free, axis=-1, keepdims=True) <= radius
    theta = jnp.einsum(
        "hpq,nhq->nhp", quadratic.basis, jnp.where(is_free, free, coordinates(multiplier)), precision=_PRECISE
    )
    return _supremum(quadratic, theta, features)


def log_linear_supremum(
    residual_means: Float[Array, "N H S A"],
    frequencies: Float[Array, "H S A"],
    features: Float[Array, "H S A P"],
    clip: float | Array,
    alpha: float | Array,
    bound: float | Array = 5.0,
    num_steps: int = 100,
    learning_rate: float = 0.5,
) -> Supremum:
    """Over `w = g tanh(exp(psi^T theta) / g)`, theta in `[-bound, bound]^P`: the best of an ascent by Adam from w = 1.

    The objective is not concave in theta: what is found is a lower bound of the supremum, and a function may stay in
    the version space that theory would exclude. With one-hot psi every coordinate has one hill, and it is found.

    Args:
      residual_means: the mean residual by function, split by layer, state and action.
      frequencies: visits / n.
      features: psi.
      clip: g, above 0; no weight exceeds it.
      alpha: above 0.
      bound: largest coordinate of theta, and minus the smallest.
      num_steps: of the ascent, static.
      learning_rate: Adam's at the start, in units of theta; it falls to zero by a cosine.
    """

    def weights_of(theta: Float[Array, "N H P"]) -> Float[Array, "N H S A"]:
        exponents = jnp.einsum("hsap,nhp->nhsa", features, theta, precision=_PRECISE)
        return smooth_clip(exponents, clip)

    def values(theta: Float[Array, "N H P"]) -> Float[Array, "N H"]:
        return penalized_errors(residual_means, frequencies, weights_of(theta), alpha)

    # A short memory: an ascent of a hundred steps has no time for the usual one.
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, num_steps), b1=0.5, b2=0.9)

    def step(carry, _):
        theta, moments, best, most = carry
        gradient = jax.grad(lambda theta: -jnp.sum(values(theta)))(theta)
        moves, moments = optimizer.update(gradient, moments)
        theta = jnp.clip(theta + moves, -bound, bound)  # pyright: ignore[reportOperatorIssue]
        reached = values(theta)
        is_better = reached > most
        return (theta, moments, jnp.where(is_better[..., None], theta, best), jnp.maximum(reached, most)), None

    start = jnp.zeros((*residual_means.shape[:2], features.shape[-1]), residual_means.dtype)
    (_, _, best, most), _ = jax.lax.scan(step, (start, optimizer.init(start), start, values(start)), length=num_steps)
    return Supremum(most, weights_of(best))


def smooth_clip(exponents: Float[Array, "*shape"], clip: float | Array) -> Float[Array, "*shape"]:
    """`g tanh(exp(x) / g)`: near `exp(x)` far below g, and g far above it; finite with finite derivatives.

    Args:
      exponents: x.
      clip: g, above 0.
    """
    # Beyond this tanh is 1 in float64 too, and the exponential could overflow.
    return clip * jnp.tanh(jnp.exp(jnp.minimum(exponents, jnp.log(clip) + 3)) / clip)


def penalized_errors(
    residual_means: Float[Array, "N H S A"],
    frequencies: Float[Array, "H S A"],
    weights: Float[Array, "N H S A"],
    alpha: float | Array,
) -> Float[Array, "N H"]:
    """`sum over s, a of w res - alpha w^2 freq`, by function and layer, with weights of each function's own."""
    return jnp.sum(weights * residual_means - alpha * weights**2 * frequencies, axis=(2, 3))


class _Quadratic(NamedTuple):
    """`b^T theta - theta^T M theta / 2` of every layer and function, with `M = 2 alpha A = U diag(curvatures) U^T`."""

    linear: Float[Array, "N H P"]
    matrix: Float[Array, "H P P"]
    curvatures: Float[Array, "H P"]
    basis: Float[Array, "H P P"]


def _quadratic(
    residual_means: Float[Array, "N H S A"],
    frequencies: Float[Array, "H S A"],
    features: Float[Array, "H S A P"],
    alpha: float | Array,
) -> _Quadratic:
    linear = jnp.einsum("nhsa,hsap->nhp", residual_means, features, precision=_PRECISE)
    second = jnp.einsum("hsa,hsap,hsaq->hpq", frequencies, features, features, precision=_PRECISE)
    matrix = 2 * alpha * second
    curvatures, basis = jnp.linalg.eigh(matrix)
    return _Quadratic(linear, matrix, jnp.maximum(curvatures, 0), basis)


def _free_optimum(quadratic: _Quadratic) -> Float[Array, "N H P"]:
    curvatures = quadratic.curvatures
    has_data = curvatures > _RANK * jnp.max(curvatures, axis=-1, keepdims=True)
    inverse = jnp.where(has_data, 1 / jnp.where(has_data, curvatures, 1), 0)
    pseudo_inverse = jnp.einsum("hpq,hq,hrq->hpr", quadratic.basis, inverse, quadratic.basis, precision=_PRECISE)
    return jnp.einsum("hpr,nhr->nhp", pseudo_inverse, quadratic.linear, precision=_PRECISE)


def _values(quadratic: _Quadratic, theta: Float[Array, "N H P"]) -> Float[Array, "N H"]:
    bent = jnp.einsum("hpq,nhq->nhp", quadratic.matrix, theta, precision=_PRECISE)
    return jnp.sum(theta * (quadratic.linear - bent / 2), axis=-1)


def _supremum(quadratic: _Quadratic, theta: Float[Array, "N H P"], features: Float[Array, "H S A P"]) -> Supremum:
    weights = jnp.einsum("hsap,nhp->nhsa", features, theta, precision=_PRECISE)
    return Supremum(_values(quadratic, theta), weights)
