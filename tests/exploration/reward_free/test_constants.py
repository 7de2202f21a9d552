"""The papers' radii by hand, and how far from useful they are."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.exploration.reward_free.constants import (
    horizon_free_radius,
    horizon_free_ridge,
    number_of_moments,
    ucrl_rfe_plus_radii,
    ucrl_rfe_radius,
)


@pytest.mark.parametrize(("episodes", "expected"), [(100, 1472), (1_000_000, 2893)])
def test_horizon_free_radius_is_that_of_the_specification(episodes, expected):
    assert round(float(horizon_free_radius(4, 10, episodes, 1.0, 0.1))) == expected


def test_horizon_free_radius_by_hand():
    """d = 9, H = 4, k = 7, B = 3: lambda = 1, alpha^2 = 1/4, gamma^2 = 1/3 < alpha."""
    eta, tau = math.log(1 + 7 * 4 / (0.25 * 9)), math.log(32 * 49 * 16 / 0.2)
    expected = 12 * math.sqrt(9 * eta * tau) + 90 * tau + 3
    np.testing.assert_allclose(horizon_free_radius(9, 4, 7, 3.0, 0.2), expected, rtol=1e-5)
    assert float(horizon_free_ridge(9, 3.0)) == 1


def test_hoeffding_radius_by_hand():
    expected = 5 * math.sqrt(4 * math.log(3 * (1 + 100 * 125 * 4) / 0.1)) + 1
    np.testing.assert_allclose(ucrl_rfe_radius(4, 5, 100, 2.0, 0.1), expected, rtol=1e-6)


def test_bernstein_radii_by_hand():
    growth, union = math.log(1 + 100 * 5 * 4), math.log(48 * 100**2 * 25 / 0.1)
    mean = math.sqrt(growth * union)
    radii = ucrl_rfe_plus_radii(4, 5, 100, 2.0, 0.1)
    np.testing.assert_allclose(radii.hat, 16 * mean + 8 * union + 1, rtol=1e-6)
    np.testing.assert_allclose(radii.check, 32 * mean + 8 * union + 1, rtol=1e-6)
    np.testing.assert_allclose(radii.tilde, 400 * mean + 100 * union + 1, rtol=1e-6)


def test_products_above_the_largest_int32():
    """K H^3 of a thousand episodes of 200 steps, with B an array, as in a mixture."""
    expected = 200 * math.sqrt(4 * math.log(3 * (1 + 1000 * 200**3) / 0.1)) + 1
    np.testing.assert_allclose(ucrl_rfe_radius(4, 200, 1000, jnp.float32(1), 0.1), expected, rtol=1e-6)
    growth, union = math.log(1 + 10**8 * 200), math.log(48 * 10**16 * 200**2 / 0.1)
    expected = 16 * math.sqrt(growth * union) + 8 * union + 1
    np.testing.assert_allclose(ucrl_rfe_plus_radii(4, 200, 10**8, jnp.float32(1), 0.1).hat, expected, rtol=1e-6)


def test_number_of_moments():
    assert number_of_moments(16, 8) == math.ceil(math.log2(7) + 7) == 10
