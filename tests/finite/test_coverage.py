"""Coverage against closed forms, every policy there is, linear programs, and what theorems promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from finite.enumeration import deterministic_policies
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_sparse.finite.coverage import (
    clip_weights,
    clipped_concentrability,
    concentrability,
    coverability,
    coverability_of,
    density_ratio,
    effective_sample_size,
    optimal_coverage_distribution,
    optimal_coverage_distribution_of,
    single_policy_concentrability,
)
from jaxrl_sparse.finite.episodic_generators import (
    binary_tree,
    combination_lock,
    combination_locks,
    contextual_bandit,
    random_episodic_mdp,
)
from jaxrl_sparse.finite.episodic_solvers import backward_induction, occupancy
from jaxrl_sparse.finite.linear_programs import coverability_program


def quick(solve):
    return jax.jit(solve, compiler_options=QUICK_TO_COMPILE)


OCCUPANCIES = quick(jax.vmap(occupancy, in_axes=(None, 0)))
COVERABILITY, COVERAGE = quick(coverability), quick(optimal_coverage_distribution)
COVERABILITY_OF, COVERAGE_OF = quick(coverability_of), quick(optimal_coverage_distribution_of)
CONCENTRABILITY, CLIPPED = quick(concentrability), quick(clipped_concentrability)
MAKE_TINY = quick(lambda key: random_episodic_mdp(key, 3, 2, 2))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_tree_has_a_coverability_of_its_leaves(depth):
    """2^H, and every layer before has half of it; mu* is uniform in the last."""
    tree = binary_tree(depth)
    assert float(COVERABILITY(tree)) == 2**depth
    np.testing.assert_array_equal(COVERAGE(tree)[-1], np.full((2 ** (depth - 1), 2), 2.0**-depth))


def test_a_bandit_has_that_of_its_actions():
    bandit = quick(lambda key: contextual_bandit(key, 6, 3))(jax.random.key(0))
    np.testing.assert_allclose(COVERABILITY(bandit), 3, rtol=1e-6)


def test_the_greedy_policies_of_all_locks():
    """2.8: two actions of the good state with probability .9, and one in the bad state, in the second layer."""
    locks = quick(lambda: combination_locks(5))()
    policies = quick(jax.vmap(backward_induction))(locks).actions
    occupancies = OCCUPANCIES(jax.tree.map(lambda leaf: leaf[13], locks), policies)
    np.testing.assert_allclose(COVERABILITY_OF(occupancies), 2.8, rtol=1e-6)
    # All policies may take either action in the bad state.
    one = quick(lambda code: coverability(combination_lock(code)))(jnp.zeros(5, int))
    np.testing.assert_allclose(one, 3.8, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_closed_form_is_the_linear_program_over_all_policies(seed):
    """Two states, two actions, three layers: 64 policies; both values and both distributions."""
    with jax.enable_x64(True):
        mdp = MAKE_TINY(jax.random.key(seed))
        occupancies = OCCUPANCIES(mdp, jnp.asarray(deterministic_policies(3, 2, 2)))
        value, distribution = coverability_program(np.asarray(occupancies))
        np.testing.assert_allclose(COVERABILITY(mdp), value, rtol=1e-9)
        np.testing.assert_allclose(COVERABILITY_OF(occupancies), value, rtol=1e-9)
        np.testing.assert_allclose(COVERAGE(mdp), distribution, atol=1e-9)
        np.testing.assert_allclose(COVERAGE_OF(occupancies), distribution, atol=1e-9)


def test_it_is_the_least_concentrability_of_any_distribution():
    """mu* attains it and no distribution is below; it is at most S A and at least 1, for 20 processes."""
    with jax.enable_x64(True):
        mdps = quick(jax.vmap(lambda key: random_episodic_mdp(key, 3, 4, 2, 2)))(
            jax.random.split(jax.random.key(0), 20)
        )
        values = np.asarray(quick(jax.vmap(coverability))(mdps))
        assert (values >= 1).all() and (values <= 8).all() and np.ptp(values) > 0.5
        best = quick(jax.vmap(optimal_coverage_distribution))(mdps)
        np.testing.assert_allclose(np.asarray(best).sum((2, 3)), np.ones((20, 3)), rtol=1e-12)
        measure = quick(jax.vmap(concentrability))
        # Layers of a smaller sum of suprema are covered better than the worst.
        np.testing.assert_allclose(measure(mdps, best), values, rtol=1e-9)
        others = np.random.default_rng(0).dirichlet(np.ones(8), size=(20, 3)).reshape(20, 3, 4, 2)
        best = np.asarray(best)
        for share in (0.02, 0.3, 1.0):
            mixed = jnp.asarray((1 - share) * best + share * others)
            assert (np.asarray(measure(mdps, mixed)) >= values - 1e-9).all()


def test_concentrability_is_the_worst_ratio_of_all_policies():
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        mdp = MAKE_TINY(jax.random.key(5))
        distribution = jnp.asarray(rng.dirichlet(np.ones(4), size=3).reshape(3, 2, 2))
        occupancies = OCCUPANCIES(mdp, jnp.asarray(deterministic_policies(3, 2, 2)))
        worst = (np.asarray(occupancies) / np.asarray(distribution)).max()
        np.testing.assert_allclose(CONCENTRABILITY(mdp, distribution), worst, rtol=1e-12)
        alone = quick(jax.vmap(single_policy_concentrability, (0, None)))(occupancies, distribution)
        np.testing.assert_allclose(np.max(alone), worst, rtol=1e-12)
        # State 1 of the first layer is never reached and need not be covered; the first is.
        assert np.isfinite(CONCENTRABILITY(mdp, distribution.at[0, 1].set(0)))
        assert np.isinf(CONCENTRABILITY(mdp, distribution.at[1, 1, 0].set(0)))


def test_a_policy_covers_itself():
    mdp = quick(lambda key: random_episodic_mdp(key, 3, 4, 2, 2))(jax.random.key(1))
    visits = quick(occupancy)(mdp, jnp.zeros((3, 4), int))
    assert float(single_policy_concentrability(visits, visits)) == 1
    np.testing.assert_allclose(CLIPPED(visits, visits, 5.0), np.ones(3), rtol=1e-6)
    np.testing.assert_allclose(CLIPPED(visits, visits, 0.5), np.full(3, 0.5), rtol=1e-6)


def test_clipped_concentrability():
    """By hand, with what is not covered and what is neither covered nor visited; see the bounds of the source."""
    visits = jnp.array([[[0.5, 0.25], [0.25, 0.0]]])
    data = jnp.array([[[0.25, 0.75], [0.0, 0.0]]])
    expected = 0.5 * 2 + 0.25 / 3 + 0.25 * 4
    np.testing.assert_allclose(CLIPPED(visits, data, 4.0), [expected], rtol=1e-6)
    np.testing.assert_array_equal(CLIPPED(visits, data, jnp.inf), [np.inf])
    rng = np.random.default_rng(2)
    visits, data = (jnp.asarray(rng.dirichlet(np.ones(6), size=4).reshape(4, 2, 3), jnp.float32) for _ in range(2))
    unclipped = CLIPPED(visits, data, jnp.inf)
    ratio = np.asarray(visits) / np.asarray(data)
    np.testing.assert_allclose(unclipped, 1 + (np.asarray(data) * (ratio - 1) ** 2).sum((1, 2)), rtol=1e-4)
    for bound in (0.5, 1.0, 3.0):
        clipped = np.asarray(CLIPPED(visits, data, bound))
        assert (clipped <= min(bound, float(single_policy_concentrability(visits, data))) + 1e-6).all()
        assert (clipped <= np.asarray(unclipped) + 1e-6).all()


def test_ratios_of_zero():
    numerator, denominator = jnp.array([0.0, 0.5, 0.0, 0.3]), jnp.array([0.0, 0.0, 0.5, 0.6])
    np.testing.assert_allclose(density_ratio(numerator, denominator), [0, np.inf, 0, 0.5], rtol=1e-6)
    # A history of several policies, against each of which a class is divided.
    assert density_ratio(jnp.ones((3, 1, 2)), jnp.ones((4, 2))).shape == (3, 4, 2)


def test_derivatives_of_clipped_ratios_are_finite():
    def total(numerator, denominator):
        return jnp.sum(clip_weights(density_ratio(numerator, denominator), 10.0))

    ratios = jnp.array([0.0, 0.5, 0.0, 0.3]), jnp.array([0.0, 0.0, 0.5, 0.6])
    by_numerator, by_denominator = quick(jax.grad(total, argnums=(0, 1)))(*ratios)
    np.testing.assert_allclose(by_numerator, [0, 0, 2, 1 / 0.6], rtol=1e-5)
    np.testing.assert_allclose(by_denominator, [0, 0, 0, -0.3 / 0.36], rtol=1e-5)


def test_weights_are_clipped_from_above_only():
    np.testing.assert_array_equal(clip_weights(jnp.array([-7.0, 1.0, 7.0]), 2.0), [-7, 1, 2])
    np.testing.assert_array_equal(clip_weights(jnp.array([jnp.inf]), jnp.float32(2)), [2])


def test_effective_sample_sizes():
    weights = jnp.array([[3.0, 3.0, 3.0, 3.0], [0.0, 5.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0] * 4, [1e30] * 4])
    np.testing.assert_allclose(effective_sample_size(weights), [4, 1, 2, 0, 4], rtol=1e-6)
    one = jnp.array([0.2, 0.5, 1.7])
    np.testing.assert_allclose(effective_sample_size(one), 2.4**2 / (0.04 + 0.25 + 2.89), rtol=1e-6)


@quick
def pigeonhole_sums(occupancies):
    """`sum over t of E_{d_t}[d_t / sum over i <= t of d_i]`, by layer, for occupancies `[T, H, S, A]`."""
    return jnp.sum(occupancies * density_ratio(occupancies, jnp.cumsum(occupancies, axis=0)), axis=(0, 2, 3))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 40), st.sampled_from([0.02, 0.3, 3.0]))
def test_new_policies_are_covered_by_old_ones_soon(seed, num_policies, concentration):
    """At most `5 C log T` whatever the order, here of 64 policies, drawn with favourites or without."""
    rng = np.random.default_rng(seed)
    mdp_rows = rng.dirichlet(np.full(3, concentration), size=(2, 3, 2))
    initial = rng.dirichlet(np.full(3, concentration))
    policies = rng.dirichlet(np.full(2, concentration), size=(num_policies, 2, 3))
    first = initial[:, None] * policies[:, 0]
    second = np.einsum("nsa,sat->nt", first, mdp_rows[0])[..., None] * policies[:, 1]
    played = np.stack([first, second], axis=1)[rng.integers(num_policies, size=64)]
    played = jnp.asarray(played, jnp.float32)
    sums = np.asarray(pigeonhole_sums(played))
    bound = 5 * float(COVERABILITY_OF(played)) * np.log(64)
    assert (sums >= 1 - 1e-5).all() and (sums <= bound).all()


def test_every_leaf_of_a_tree_is_new_once():
    """The 2^H paths of a tree in turn: the last layer's sum is C in the first round, and then C/2, C/3, and so on."""
    leaves = np.eye(8).reshape(8, 1, 4, 2)
    rounds = jnp.asarray(np.concatenate([leaves] * 4), jnp.float32)
    np.testing.assert_allclose(pigeonhole_sums(rounds), [8 * (1 + 1 / 2 + 1 / 3 + 1 / 4)], rtol=1e-6)
