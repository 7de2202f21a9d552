import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.submodular import information_gain, log_determinant, reference_entropy

N, H, NOISE = 25, 12, 1e-3


def matern_grid():
    """The prior of the paper on a grid of 5 x 5, its points 0.1 apart."""
    points = 0.1 * np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2)
    distance = np.sqrt(5) * np.linalg.norm(points[:, None] - points, axis=-1)
    return 0.6931 * (1 + distance + distance**2 / 3) * np.exp(-distance)


COVARIANCE = matern_grid()
WALK = np.array([0, 1, 2, 2, 7, 12, 12, 11, 10, 5, 0, 24])


def gains_of(set_function, elements):
    def step(memory, element):
        return set_function.add(memory, element), set_function.gain(memory, element)

    gains = jax.jit(
        lambda visits: jax.lax.scan(step, set_function.init(), visits)[1], compiler_options=QUICK_TO_COMPILE
    )
    return np.asarray(gains(jnp.asarray(elements)))


def log_det(matrix):
    return 0.5 * np.linalg.slogdet(matrix)[1]


def test_closed_forms():
    orthogonal = information_gain(0.5 * np.eye(N), NOISE, H)
    np.testing.assert_allclose(gains_of(orthogonal, np.arange(H)).sum(), H * 0.5 * np.log(1 + 0.5 / NOISE), rtol=1e-5)
    standing = np.cumsum(gains_of(orthogonal, np.zeros(H, int)))
    np.testing.assert_allclose(standing, 0.5 * np.log(1 + np.arange(1, H + 1) * 0.5 / NOISE), rtol=1e-4)
    np.testing.assert_allclose(
        jax.jit(orthogonal.value)(jnp.zeros(3, int)), 0.5 * np.log(1 + 3 * 0.5 / NOISE), rtol=1e-5
    )


def test_every_prefix_has_the_determinant_of_numpy():
    """In float32 with the noise of the paper, and two visits to one cell in a row."""
    gains = gains_of(information_gain(COVARIANCE, NOISE, H), WALK)
    visited = COVARIANCE[np.ix_(WALK, WALK)]
    expected = [log_det(np.eye(n) + visited[:n, :n] / NOISE) for n in range(1, H + 1)]
    np.testing.assert_allclose(np.cumsum(gains), expected, rtol=1e-3)
    assert (gains >= 0).all()


@pytest.mark.parametrize("bonus", [0.0, 3.5])
def test_log_determinant(bonus):
    design = log_determinant(COVARIANCE, NOISE, H, bonus)
    expected = log_det(COVARIANCE[np.ix_(WALK, WALK)] + NOISE * np.eye(H)) + H * bonus
    np.testing.assert_allclose(gains_of(design, WALK).sum(), expected, rtol=1e-3)
    np.testing.assert_allclose(jax.jit(design.value)(jnp.asarray(WALK)), expected, rtol=1e-3)
    # A visit that tells next to nothing is a loss, but for a bonus of -ln(sigma^2) / 2.
    assert (gains_of(design, WALK).min() < 0) == (bonus < -0.5 * np.log(NOISE))


def test_the_released_objective_in_float64():
    with jax.enable_x64(True):
        entropy = reference_entropy(COVARIANCE, H)
        gains = gains_of(entropy, WALK)
        assert gains.dtype == np.float64
        expected = log_det(COVARIANCE[np.ix_(WALK, WALK)] + 1e-6 * np.eye(H)) + 9.965784 * H
        np.testing.assert_allclose(gains.sum(), expected, rtol=1e-6)
        np.testing.assert_allclose(jax.jit(entropy.value)(jnp.asarray(WALK)), expected, rtol=1e-6)


def test_float64_agrees_to_rounding():
    with jax.enable_x64(True):
        gains = gains_of(information_gain(COVARIANCE, NOISE, H), WALK)
        expected = log_det(np.eye(H) + COVARIANCE[np.ix_(WALK, WALK)] / NOISE)
        np.testing.assert_allclose(gains.sum(), expected, rtol=1e-10)


def test_a_full_memory_shows():
    gains = gains_of(information_gain(COVARIANCE, NOISE, 3), WALK[:5])
    assert np.isfinite(gains[:3]).all() and np.isnan(gains[3:]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((COVARIANCE[:3], NOISE, H), r"^covariance: got \(3, 25\), takes the shape \[N, N\]$"),
        ((np.triu(COVARIANCE), NOISE, H), r"^covariance: got 0\.\d+, takes an asymmetry of at most"),
        ((COVARIANCE, 0.0, H), r"^noise_variance: got 0.0, takes a finite number above 0$"),
        ((COVARIANCE, NOISE, 0), r"^capacity: got 0, takes an integer of at least 1$"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        information_gain(*arguments)
