"""Suprema over linear weights against closed forms, the conditions of optimality, and fine grids."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.linear_weights import (
    ball_supremum,
    box_supremum,
    log_linear_supremum,
    penalized_errors,
    smooth_clip,
)
from jaxrl_sparse.density_ratio.version_space import bounded_bellman_errors

LAYERS, STATES, ACTIONS, FUNCTIONS = 2, 3, 2, 5
SHAPE = (LAYERS, STATES, ACTIONS)
ONE_HOT = np.broadcast_to(np.eye(STATES * ACTIONS), (LAYERS, 6, 6)).reshape(*SHAPE, 6)


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


def random_problem(seed, num_features=4):
    """Means, frequencies with a pair that was never visited, and correlated features."""
    rng = np.random.default_rng(seed)
    frequencies = rng.dirichlet(np.ones(STATES * ACTIONS), LAYERS).reshape(SHAPE)
    frequencies[:, 1, 0] = 0
    means = rng.uniform(-1, 1, (FUNCTIONS, *SHAPE)) * frequencies
    return means, frequencies, rng.normal(size=(*SHAPE, num_features))


def moments(means, frequencies, features):
    linear = np.einsum("nhsa,hsap->nhp", means, features)
    return linear, np.einsum("hsa,hsap,hsaq->hpq", frequencies, features, features)


def coefficients(supremum, features):
    """theta of the weights that attain the supremum; features of full rank tell it."""
    weights = np.asarray(supremum.weights).reshape(FUNCTIONS, LAYERS, -1)
    flat = features.reshape(LAYERS, STATES * ACTIONS, -1)
    return np.stack([weights[:, h] @ np.linalg.pinv(flat[h]).T for h in range(LAYERS)], axis=1)


@pytest.mark.parametrize("low", [-1.5, 0.0])
def test_one_hot_features_in_a_box_are_all_bounded_weights(low):
    with jax.enable_x64(True):
        means, frequencies, _ = map(jnp.asarray, random_problem(0))
        supremum = quick(box_supremum)(means, frequencies, jnp.asarray(ONE_HOT), low, 1.5, 0.15)
        expected = bounded_bellman_errors(means, frequencies, 1.5, 0.15, signed=low < 0)
        np.testing.assert_allclose(supremum.errors, expected, atol=1e-12)


def test_a_box_that_does_not_bind_is_the_closed_form():
    with jax.enable_x64(True):
        problem = random_problem(1)
        linear, second = moments(*problem)
        supremum = quick(box_supremum)(*map(jnp.asarray, problem), -50.0, 50.0, 0.3)
        for h in range(LAYERS):
            expected = np.einsum("np,pq,nq->n", linear[:, h], np.linalg.inv(second[h]), linear[:, h]) / (4 * 0.3)
            np.testing.assert_allclose(supremum.errors[:, h], expected, rtol=1e-9)


def test_the_box_meets_the_conditions_of_optimality():
    """The slope is zero inside, and points outwards at a bound; some coordinates are at either."""
    with jax.enable_x64(True):
        problem = random_problem(2)
        linear, second = moments(*problem)
        supremum = quick(lambda *p: box_supremum(*p, -0.2, 0.3, 0.3, num_steps=2000))(*map(jnp.asarray, problem))
        theta = coefficients(supremum, problem[2])
        slopes = linear - 2 * 0.3 * np.einsum("hpq,nhq->nhp", second, theta)
        at_low, at_high = theta <= -0.2 + 1e-9, theta >= 0.3 - 1e-9
        assert at_low.any() and at_high.any() and (~at_low & ~at_high).any()
        assert (theta > -0.2 - 1e-9).all() and (theta < 0.3 + 1e-9).all()
        assert (slopes[at_low] <= 1e-9).all() and (slopes[at_high] >= -1e-9).all()
        np.testing.assert_allclose(slopes[~at_low & ~at_high], 0, atol=1e-8)


def test_a_few_steps_are_near_the_supremum_and_never_above():
    problem = [jnp.asarray(table, jnp.float32) for table in random_problem(2)]
    best = quick(lambda p: box_supremum(*p, -0.2, 0.3, 0.3, num_steps=2000).errors)(problem)
    few = quick(lambda p: box_supremum(*p, -0.2, 0.3, 0.3, num_steps=20).errors)(problem)
    assert (few <= best + 1e-6).all()
    np.testing.assert_allclose(few, best, atol=2e-3 * float(best.max()))


def test_the_ball_meets_the_conditions_of_optimality():
    """Inside, the closed form; on the sphere the slope is a multiple of theta, and not a negative one."""
    with jax.enable_x64(True):
        problem = random_problem(3)
        linear, second = moments(*problem)
        free = np.stack([linear[:, h] @ np.linalg.inv(second[h]) / (2 * 0.3) for h in range(LAYERS)], axis=1)
        radius = np.median(np.linalg.norm(free, axis=-1))
        supremum = quick(ball_supremum)(*map(jnp.asarray, problem), radius, 0.3)
        theta = coefficients(supremum, problem[2])
        norms = np.linalg.norm(theta, axis=-1)
        slopes = linear - 2 * 0.3 * np.einsum("hpq,nhq->nhp", second, theta)
        on_sphere = norms > radius - 1e-6
        assert on_sphere.any() and not on_sphere.all() and (norms <= radius + 1e-6).all()
        np.testing.assert_allclose(slopes[~on_sphere], 0, atol=1e-9)
        multipliers = (slopes * theta).sum(-1) / radius**2
        assert (multipliers[on_sphere] > 0).all()
        np.testing.assert_allclose(slopes[on_sphere], (multipliers[..., None] * theta)[on_sphere], atol=1e-6)


def test_errors_are_those_of_the_weights():
    with jax.enable_x64(True):
        means, frequencies, features = map(jnp.asarray, random_problem(4))
        for supremum in (
            quick(box_supremum)(means, frequencies, features, -0.3, 0.3, 0.2),
            quick(ball_supremum)(means, frequencies, features, 0.3, 0.2),
            quick(log_linear_supremum)(means, frequencies, features, 2.0, 0.2),
        ):
            again = penalized_errors(means, frequencies, supremum.weights, 0.2)
            np.testing.assert_allclose(supremum.errors, again, atol=1e-12)


def test_without_data_every_supremum_is_zero():
    nothing = (jnp.zeros((1, *SHAPE)), jnp.zeros(SHAPE), jnp.asarray(ONE_HOT, jnp.float32))
    all_three = quick(
        lambda *given: (
            box_supremum(*given, -1.0, 1.0, 0.1),
            ball_supremum(*given, 1.0, 0.1),
            log_linear_supremum(*given, 1.0, 0.1),
        )
    )
    for supremum in all_three(*nothing):
        np.testing.assert_array_equal(supremum.errors, 0)


def test_one_hot_log_linear_weights_find_the_hill_of_every_pair():
    means, frequencies, _ = random_problem(5)
    exponents = np.linspace(-5, 5, 20_001)[:, None, None, None, None]
    weights = 2 * np.tanh(np.exp(exponents) / 2)
    best = (weights * means - 0.15 * weights**2 * frequencies).max(0).sum((2, 3))
    given = [jnp.asarray(table, jnp.float32) for table in (means, frequencies, ONE_HOT)]
    found = quick(lambda *g: log_linear_supremum(*g, 2.0, 0.15))(*given).errors
    np.testing.assert_allclose(found, best, atol=2e-3)
    assert (np.asarray(found) <= best + 1e-5).all()


def test_the_smooth_clip_is_the_identity_far_below_and_the_bound_far_above():
    exponents = jnp.array([-8.0, 0.0, 8.0, 500.0])
    np.testing.assert_allclose(smooth_clip(exponents, 10.0), [np.exp(-8), 10 * np.tanh(0.1), 10, 10], rtol=1e-5)
    slopes = jax.vmap(jax.grad(smooth_clip), in_axes=(0, None))(exponents, 10.0)
    assert np.isfinite(slopes).all()
    np.testing.assert_allclose(slopes[1], 1 / np.cosh(0.1) ** 2, rtol=1e-5)
