"""Projections: what they keep, how far they move a law, and that nothing is nearer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numerics.weighted_laws import ATOMS, SPACING, distance, excess, random_law

from jaxrl_sparse.distributional.projections import categorical_project, quantile_project
from jaxrl_sparse.distributional.return_distributions import integrated_cdf_to_probs, quantile_wasserstein

NUM_QUANTILES = 5

seeds = st.integers(0, 2**31)
over_values = settings(max_examples=40, deadline=None)
# As parts of planners they are compiled; so they are here, once for all examples.
project = jax.jit(categorical_project)
to_quantiles = {
    kind: jax.jit(lambda x, p, kind=kind: quantile_project(x, p, NUM_QUANTILES, kind)) for kind in ("midpoint", "mean")
}


@given(seed=seeds)
@over_values
def test_a_categorical_projection_can_be_read_off_the_integrated_cdf(seed):
    locations, probs = random_law(seed)
    projected = project(jnp.asarray(locations), jnp.asarray(probs), jnp.asarray(ATOMS))
    integrated = jnp.asarray(excess(ATOMS, locations, probs), jnp.float32)
    np.testing.assert_allclose(projected, integrated_cdf_to_probs(integrated, SPACING), atol=1e-5)


def quantile_function(locations, probs, levels):
    order = np.argsort(locations)
    cdf = probs[order].astype(np.float64).cumsum()
    return locations[order][np.minimum(np.searchsorted(cdf, levels), len(cdf) - 1)]


@given(seed=seeds)
@over_values
def test_midpoints_are_quantiles_and_nothing_is_nearer(seed):
    law = random_law(seed)
    ours = np.asarray(to_quantiles["midpoint"](*map(jnp.asarray, law)))
    np.testing.assert_array_equal(ours, quantile_function(*law, (np.arange(NUM_QUANTILES) + 0.5) / NUM_QUANTILES))
    even = np.full(NUM_QUANTILES, 1 / NUM_QUANTILES)
    error = distance(law, (ours, even))
    assert error <= np.ptp(law[0]) / (2 * NUM_QUANTILES) + 1e-5
    moves = np.random.default_rng(seed).normal(scale=0.2, size=(10, NUM_QUANTILES))
    assert error <= min(distance(law, (ours + move, even)) for move in moves) + 1e-5


@given(seed=seeds)
@over_values
def test_means_of_shares_keep_the_mean_and_each_share(seed):
    law = random_law(seed)
    ours = np.asarray(to_quantiles["mean"](*map(jnp.asarray, law)))
    np.testing.assert_allclose(ours.mean(), law[1] @ law[0], atol=1e-4)
    assert np.diff(ours).min() > -1e-4
    # The integral by a fine sum.
    levels = (np.arange(20_000) + 0.5) / 20_000
    shares = quantile_function(*law, levels).reshape(NUM_QUANTILES, -1).mean(-1)
    np.testing.assert_allclose(ours, shares, atol=5e-3)


@pytest.mark.parametrize("kind", ["midpoint", "mean"])
def test_quantiles_of_equal_weights_stay(kind):
    values = np.random.default_rng(3).normal(size=NUM_QUANTILES).astype(np.float32)
    ours = to_quantiles[kind](jnp.asarray(values), jnp.full(NUM_QUANTILES, 1 / NUM_QUANTILES))
    np.testing.assert_allclose(ours, np.sort(values), atol=1e-5)
    assert float(quantile_wasserstein(ours, jnp.asarray(values))) < 1e-5


def test_a_midpoint_may_lose_the_mean_that_a_share_keeps():
    """In one value: the median of a skewed law, or its mean."""
    skewed = (jnp.array([0.0, 1.0]), jnp.array([0.7, 0.3]))
    assert float(quantile_project(*skewed, 1)[0]) == 0
    np.testing.assert_allclose(quantile_project(*skewed, 1, "mean"), [0.3], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "num_quantiles: got 0, takes an integer of at least 1"),
        ((3, "median"), "kind: got 'median', takes one of midpoint, mean"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        quantile_project(jnp.zeros(1), jnp.ones(1), *arguments)
