"""The categorical projection: what it keeps, how far it moves a law, and that it takes no two laws apart."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numerics.weighted_laws import ATOMS, SPACING, distance, excess, random_law

from jaxrl_sparse.numerics.categorical_projection import categorical_project, triangular_kernel

seeds = st.integers(0, 2**31)
over_values = settings(max_examples=40, deadline=None)
# As a part of planners and losses it is compiled; so it is here, once for all examples.
project = jax.jit(categorical_project)


@given(seed=seeds)
@over_values
def test_a_categorical_projection_keeps_mass_mean_and_excesses(seed):
    locations, probs = random_law(seed)
    projected = np.asarray(project(jnp.asarray(locations), jnp.asarray(probs), jnp.asarray(ATOMS)), np.float64)
    assert projected.min() >= 0
    np.testing.assert_allclose(projected.sum(), 1, atol=1e-5)
    np.testing.assert_allclose(projected @ ATOMS, probs @ locations, atol=1e-5)
    np.testing.assert_allclose(excess(ATOMS, ATOMS, projected), excess(ATOMS, locations, probs), atol=1e-5)
    # Variance only grows.
    assert projected @ ATOMS**2 >= probs @ locations**2 - 1e-4


@given(seed=seeds)
@over_values
def test_a_categorical_projection_moves_half_a_spacing_at_most_and_is_idempotent(seed):
    law = random_law(seed)
    projected = project(*map(jnp.asarray, law), jnp.asarray(ATOMS))
    assert distance(law, (ATOMS, projected)) <= SPACING / 2 + 1e-5
    np.testing.assert_allclose(project(jnp.asarray(ATOMS), projected, jnp.asarray(ATOMS)), projected, atol=1e-5)


def test_half_a_spacing_is_reached_in_the_middle_of_a_cell():
    middle = (jnp.array([0.25]), jnp.ones(1))
    assert distance(middle, (ATOMS, project(*middle, jnp.asarray(ATOMS)))) == SPACING / 2


@given(seed=seeds)
@over_values
def test_a_categorical_projection_takes_no_two_laws_apart(seed):
    # Outside of the range as well: clipping takes no laws apart either.
    first, second = random_law(seed, -3, 4), random_law(seed + 1, -3, 4)
    images = [(ATOMS, project(*map(jnp.asarray, law), jnp.asarray(ATOMS))) for law in (first, second)]
    assert distance(*images) <= distance(first, second) + 1e-5


def test_mass_outside_goes_to_the_end_atoms():
    projected = project(jnp.array([-9.0, 7.0, 1.25]), jnp.array([0.5, 0.25, 0.25]), jnp.asarray(ATOMS))
    expected = np.zeros(11)
    expected[[0, 6, 7, 10]] = [0.5, 0.125, 0.125, 0.25]
    np.testing.assert_allclose(projected, expected, atol=1e-6)


def test_kernels_of_a_batch_are_those_of_each_row():
    locations = jnp.asarray(np.random.default_rng(0).uniform(-3, 4, (4, 3, 5)), jnp.float32)
    together = triangular_kernel(locations, jnp.asarray(ATOMS))
    np.testing.assert_allclose(together.sum(-1), 1, atol=1e-5)
    for i in np.ndindex(4, 3):
        for m in range(5):
            alone = project(locations[i][m][None], jnp.ones(1), jnp.asarray(ATOMS))
            np.testing.assert_allclose(together[i][m], alone, atol=1e-6)
