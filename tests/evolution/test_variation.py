import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.evolution.variation import gaussian_mutation, iso_line_variation

NUM = 20_000
UNBOUNDED = (-np.inf, np.inf)


def test_gaussian_mutation_has_the_given_deviation_on_every_gene():
    parents = jnp.tile(jnp.array([1.0, -2.0, 4.0]), (NUM, 1))
    noise = np.asarray(gaussian_mutation(jax.random.key(0), parents, 0.05, *UNBOUNDED) - parents)
    standard_error = 0.05 / np.sqrt(NUM)
    np.testing.assert_allclose(noise.mean(axis=0), 0.0, atol=4 * standard_error)
    np.testing.assert_allclose(np.cov(noise.T), 0.05**2 * np.eye(3), atol=5 * 0.05**2 / np.sqrt(NUM))


def test_offspring_are_clipped_to_the_box():
    parents = jnp.array([[4.99, -4.99, 0.0]] * 1000)
    offspring = np.asarray(gaussian_mutation(jax.random.key(0), parents, 1.0, -5.0, 5.0))
    assert offspring.min() == -5.0 and offspring.max() == 5.0
    outside = jnp.array([[9.0, -9.0]])
    for untouched in (
        gaussian_mutation(jax.random.key(0), outside, 0.0, -5.0, 5.0),
        iso_line_variation(jax.random.key(1), outside, outside, 0.0, 0.0, -5.0, 5.0),
    ):
        np.testing.assert_array_equal(untouched, [[5.0, -5.0]])


def test_without_isotropic_noise_offspring_are_on_the_line_of_their_parents():
    parents, others = jnp.tile(jnp.array([1.0, 2.0]), (NUM, 1)), jnp.tile(jnp.array([4.0, -2.0]), (NUM, 1))
    moved = np.asarray(iso_line_variation(jax.random.key(1), parents, others, 0.0, 0.1, *UNBOUNDED) - parents)
    share = moved[:, 0] / 3.0
    np.testing.assert_allclose(moved[:, 1], -4.0 * share, atol=1e-5)
    np.testing.assert_allclose([share.mean(), share.std()], [0.0, 0.1], atol=4 * 0.1 / np.sqrt(NUM))


def test_line_noise_adds_to_isotropic_noise():
    parents, others = jnp.zeros((NUM, 2)), jnp.tile(jnp.array([2.0, 0.0]), (NUM, 1))
    moved = np.asarray(iso_line_variation(jax.random.key(1), parents, others, 0.1, 0.2, *UNBOUNDED))
    expected = np.diag([0.1**2 + (0.2 * 2.0) ** 2, 0.1**2])
    np.testing.assert_allclose(np.cov(moved.T), expected, atol=5 * expected.max() / np.sqrt(NUM))


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_between_equal_parents_the_line_is_a_point(sigma):
    parents = jax.random.normal(jax.random.key(0), (50, 3))
    without = iso_line_variation(jax.random.key(1), parents, parents, sigma, 0.0, *UNBOUNDED)
    with_line = iso_line_variation(jax.random.key(1), parents, parents, sigma, 7.0, *UNBOUNDED)
    np.testing.assert_array_equal(without, with_line)
