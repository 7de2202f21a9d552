"""Statistics and distances of laws against scipy, sorted samples, and the identities that hold between them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from distributional.histories import worst_share
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxrl_sparse.distributional import return_distributions as laws

NUM_ATOMS = 12
# Not equally spaced.
ATOMS = np.sort(np.random.default_rng(0).normal(scale=3.0, size=NUM_ATOMS)).astype(np.float32)
EVEN = np.linspace(-2.0, 3.5, NUM_ATOMS, dtype=np.float32)
SPACING = 0.5
LEVELS = np.linspace(0.05, 1.0, 20)

seeds = st.integers(0, 2**31)
over_values = settings(max_examples=25, deadline=None)


def random_law(seed):
    """Some atoms without mass."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(NUM_ATOMS)) * rng.choice([0, 1, 1], NUM_ATOMS)
    probs[rng.integers(NUM_ATOMS)] += 0.1
    return (probs / probs.sum()).astype(np.float32)


def batch(count, seed=0):
    return np.stack([random_law(seed + i) for i in range(count)])


@given(seed=seeds)
@over_values
def test_moments_and_utilities_are_those_of_numpy(seed):
    probs = random_law(seed)
    exact = probs.astype(np.float64)
    average = np.average(ATOMS, weights=exact)
    np.testing.assert_allclose(laws.mean(jnp.asarray(probs), jnp.asarray(ATOMS)), average, atol=1e-5)
    np.testing.assert_allclose(
        laws.variance(jnp.asarray(probs), jnp.asarray(ATOMS)),
        np.average((ATOMS - average) ** 2, weights=exact),
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        laws.expected_utility(jnp.abs, jnp.asarray(probs), jnp.asarray(ATOMS), jnp.float32(0.7)),
        np.average(np.abs(ATOMS + 0.7), weights=exact),
        rtol=1e-5,
    )


def test_a_variance_is_not_lost_beside_a_large_mean():
    np.testing.assert_allclose(laws.variance(jnp.full(2, 0.5), jnp.array([1e4, 1e4 + 1])), 0.25)


def test_utilities_of_many_laws_and_stocks():
    probs, stocks = batch(6).reshape(2, 3, -1), np.array([0.5, -1.0, 2.0], np.float32)
    ours = laws.expected_utility(jnp.abs, jnp.asarray(probs), jnp.asarray(ATOMS), jnp.asarray(stocks))
    expected = (probs * np.abs(stocks[:, None] + ATOMS)).sum(-1)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@given(seed=seeds)
@over_values
def test_quantiles_and_shares_are_those_of_a_sorted_sample(seed):
    """Weights in hundredths are a sample of a hundred."""
    counts = np.random.default_rng(seed).multinomial(100, np.ones(NUM_ATOMS) / NUM_ATOMS)
    sample, probs = np.repeat(ATOMS, counts), jnp.asarray(counts / 100, jnp.float32)
    for percent in (1, 7, 25, 50, 99, 100):
        tau = percent / 100
        # The least atom that a share tau of the sample does not exceed.
        assert float(laws.quantile(probs, jnp.asarray(ATOMS), tau)) == sample[percent - 1]
        np.testing.assert_allclose(
            laws.cvar(probs, jnp.asarray(ATOMS), tau), sample[:percent].mean(), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            laws.optimistic_cvar(probs, jnp.asarray(ATOMS), tau), sample[-percent:].mean(), rtol=1e-4, atol=1e-5
        )


@given(seed=seeds)
@over_values
def test_cvar_is_what_rockafellar_and_uryasev_maximize(seed):
    probs, atoms = random_law(seed).astype(np.float64), ATOMS.astype(np.float64)
    shortfalls = np.minimum(atoms[None, :] - atoms[:, None], 0) @ probs
    for tau in (0.02, 0.3, 0.77):
        ours = laws.cvar(jnp.asarray(probs, jnp.float32), jnp.asarray(ATOMS), tau)
        np.testing.assert_allclose(ours, (atoms + shortfalls / tau).max(), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(ours, worst_share(atoms, probs, tau), rtol=1e-4, atol=1e-4)


@given(seed=seeds)
@over_values
def test_shares_of_a_law_hang_together(seed):
    """tau CVaR_tau is convex in tau; the worst and the best share make up the mean; CVaR_1 is the mean."""
    probs, atoms = jnp.asarray(random_law(seed)), jnp.asarray(ATOMS)
    worst = np.array([tau * float(laws.cvar(probs, atoms, tau)) for tau in LEVELS])
    best = np.array([(1 - tau) * float(laws.optimistic_cvar(probs, atoms, 1 - tau)) for tau in LEVELS[:-1]])
    assert np.diff(worst, 2).min() > -1e-5
    average = float(laws.mean(probs, atoms))
    np.testing.assert_allclose(worst[:-1] + best, average, atol=1e-5)
    np.testing.assert_allclose(worst[-1], average, atol=1e-5)
    np.testing.assert_allclose(laws.cvar(probs, atoms, 1e-4), ATOMS[np.flatnonzero(probs)[0]], atol=1e-3)


def test_mass_lost_to_rounding_is_not_taken_for_zero():
    """Of 1e6 + G: a share of one that is 1e-3 short would be missed by 1e3."""
    atoms, probs = jnp.array([1e6, 1e6 + 1]), jnp.array([0.5, 0.499])
    np.testing.assert_allclose(laws.cvar(probs, atoms, 1.0), 1e6, atol=1)
    assert float(laws.quantile(probs, atoms, 1.0)) == 1e6 + 1


@given(seed=seeds)
@over_values
def test_distances_are_those_of_scipy(seed):
    first, second = random_law(seed), random_law(seed + 1)
    ours = laws.wasserstein(jnp.asarray(first), jnp.asarray(second), jnp.asarray(ATOMS))
    expected = stats.wasserstein_distance(ATOMS, ATOMS, first, second)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    # The energy distance is sqrt(2) times the Cramer distance.
    np.testing.assert_allclose(
        laws.cramer(jnp.asarray(first), jnp.asarray(second), jnp.asarray(ATOMS)),
        stats.energy_distance(ATOMS, ATOMS, first, second) / np.sqrt(2),
        rtol=1e-4,
        atol=1e-5,
    )


@given(seed=seeds)
@over_values
def test_wasserstein_of_every_order_is_that_of_sorted_samples(seed):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(64, np.ones(NUM_ATOMS) / NUM_ATOMS, size=2)
    samples = [np.repeat(ATOMS, count).astype(np.float64) for count in counts]
    # 64ths are exact in float32.
    first, second = (jnp.asarray(count / 64, jnp.float32) for count in counts)
    gaps = np.abs(samples[0] - samples[1])
    shuffled = [jnp.asarray(rng.permutation(sample), jnp.float32) for sample in samples]
    for order in (1.0, 2.0, 3.5, float("inf")):
        expected = gaps.max() if order == np.inf else (gaps**order).mean() ** (1 / order)
        ours = laws.wasserstein(first, second, jnp.asarray(ATOMS), order)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(laws.quantile_wasserstein(*shuffled, order), expected, rtol=1e-4, atol=1e-4)


@given(seed=seeds)
@over_values
def test_integrated_cdfs_are_expectations_and_go_back(seed):
    probs = random_law(seed)
    integrated = laws.probs_to_integrated_cdf(jnp.asarray(probs), SPACING)
    expected = np.maximum(EVEN[:, None] - EVEN, 0) @ probs.astype(np.float64)
    np.testing.assert_allclose(integrated, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(laws.integrated_cdf_to_probs(integrated, SPACING), probs, atol=1e-5)
    # What the module's docstring promises: E min(c + G, 0) = -H(-c), and the mean.
    for k, atom in enumerate(EVEN):
        np.testing.assert_allclose(-expected[k], probs @ np.minimum(EVEN - atom, 0), atol=1e-5)
    np.testing.assert_allclose(EVEN[-1] - integrated[-1], probs @ EVEN, atol=1e-5)


def test_integrated_cdfs_go_back_in_double_precision():
    with jax.enable_x64(True):
        probs = jnp.asarray(np.random.default_rng(1).dirichlet(np.ones(1001), size=3))
        back = laws.integrated_cdf_to_probs(laws.probs_to_integrated_cdf(probs, 0.02), 0.02)
        assert back.dtype == jnp.float64
        np.testing.assert_allclose(back, probs, atol=1e-11)


@pytest.mark.parametrize("distance", [laws.wasserstein, laws.cramer])
def test_distances_of_batches_are_those_of_each(distance):
    first, second = jnp.asarray(batch(4)), jnp.asarray(batch(4, seed=9))
    together = distance(first, second, jnp.asarray(ATOMS))
    for i in range(4):
        np.testing.assert_allclose(together[i], distance(first[i], second[i], jnp.asarray(ATOMS)), rtol=1e-5)


def test_statistics_of_batches_are_those_of_each():
    probs, atoms = jnp.asarray(batch(4)), jnp.asarray(ATOMS)
    for statistic in (laws.quantile, laws.cvar, laws.optimistic_cvar):
        together = statistic(probs, atoms, 0.3)
        np.testing.assert_allclose(together, [statistic(law, atoms, 0.3) for law in probs], rtol=1e-5)
    # Levels may be swept.
    swept = jax.vmap(lambda tau: laws.cvar(probs[0], atoms, tau))(jnp.asarray(LEVELS, jnp.float32))
    np.testing.assert_allclose(swept, [laws.cvar(probs[0], atoms, float(tau)) for tau in LEVELS], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("statistic", [laws.quantile, laws.cvar, laws.optimistic_cvar])
@pytest.mark.parametrize("tau", [0.0, -0.5, 1.5])
def test_levels_outside_are_refused(statistic, tau):
    with pytest.raises(ValueError, match=rf"tau: got {tau}, takes a number in \(0, 1\]"):
        statistic(jnp.ones(1), jnp.zeros(1), tau)


def test_orders_below_one_are_refused():
    with pytest.raises(ValueError, match=r"order: got 0.5, takes a number of at least 1"):
        laws.wasserstein(jnp.ones(1), jnp.ones(1), jnp.zeros(1), 0.5)
    with pytest.raises(ValueError, match=r"order: got 0.5"):
        laws.quantile_wasserstein(jnp.ones(1), jnp.ones(1), 0.5)
