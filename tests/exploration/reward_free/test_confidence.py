"""Membership and exits against dense points on a ray, and the ring."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.exploration.reward_free.confidence import (
    ConfidenceSet,
    contains,
    everything,
    exit_fraction,
    intersect,
)
from jaxrl_sparse.exploration.reward_free.regression import Regression


def random_set(seed, count=3, dimension=2):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(count, 1, dimension, dimension))
    return ConfidenceSet(
        jnp.asarray(0.3 * rng.normal(size=(count, 1, dimension)), jnp.float32),
        jnp.asarray(roots @ np.swapaxes(roots, -1, -2), jnp.float32),
    )


def is_inside(confidence, point):
    offsets = point - np.asarray(confidence.centers)
    return np.einsum("rfi,rfij,rfj->rf", offsets, confidence.shapes, offsets).max() <= 1


def test_rays_leave_where_membership_ends():
    exits = jax.jit(exit_fraction)
    found = []
    for seed in range(12):
        confidence, rng = random_set(seed), np.random.default_rng(100 + seed)
        start, direction = rng.normal(size=(2, 2)) * np.array([[0.5], [3]])
        fraction = float(exits(confidence, jnp.asarray(start, jnp.float32), jnp.asarray(direction, jnp.float32)))
        grid = np.linspace(0, 1, 2001)
        inside = np.array([is_inside(confidence, start + t * direction) for t in grid])
        expected = 0.0 if not inside[0] else grid[np.argmin(inside) - 1] if not inside.all() else 1.0
        np.testing.assert_allclose(fraction, expected, atol=1e-3)
        found.append(fraction)
    assert 0 in found
    assert any(0 < fraction < 1 for fraction in found)


def test_a_ray_along_what_is_not_bounded_goes_all_the_way():
    slab = ConfidenceSet(jnp.zeros((1, 1, 2)), jnp.array([[[[4.0, 0], [0, 0]]]]))
    assert float(exit_fraction(slab, jnp.zeros(2), jnp.array([0.0, 7]))) == 1
    np.testing.assert_allclose(exit_fraction(slab, jnp.zeros(2), jnp.array([2.0, 7])), 0.25, rtol=1e-6)


def test_the_ring_forgets_the_oldest():
    confidence = everything(2, 1, 1, jnp.dtype("float32"))
    assert bool(contains(confidence, jnp.array([1e6])))
    at = lambda center: Regression(jnp.full((1, 1), center), jnp.ones((1, 1, 1)), jnp.full((1, 1, 1), 4.0))  # noqa: E731
    # Sigma = 4 and beta = 2: intervals of half width 1 around 0, 1.5 and 3.
    for step, (center, low, high) in enumerate([(0.0, -1, 1), (1.5, 0.5, 1), (3.0, 2, 2.5)]):
        confidence = intersect(confidence, at(center), 2.0, jnp.int32(step))
        points = np.array([-1.1, -0.9, 0.4, 0.6, 0.9, 1.1, 1.9, 2.1, 2.4, 2.6], np.float32)
        found = jax.vmap(contains, in_axes=(None, 0))(confidence, jnp.asarray(points)[:, None])
        np.testing.assert_array_equal(found, (points > low) & (points < high))
