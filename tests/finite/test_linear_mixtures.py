"""Mixtures are kernels, features are what they are said to be, and the hard instance has the value of the theory."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.finite.episodic import episodic_mdp
from jaxrl_sparse.finite.episodic_solvers import backward_induction
from jaxrl_sparse.finite.linear_mixtures import (
    _largest_value_features,
    episodic_mixture,
    hard_linear_mixture,
    linear_mixture,
    random_linear_mixture,
    transition_probabilities,
    value_features,
)


def quick(solve):
    return jax.jit(solve, compiler_options=QUICK_TO_COMPILE)


def random_mixture(key):
    return random_linear_mixture(key, 4, 2, 3, 2)


MAKE = quick(random_mixture)


@quick
def solve_hard(signs, gap):
    hard = hard_linear_mixture(signs, gap, 7)
    mdp = episodic_mixture(hard.mixture, hard.rewards)
    return hard, mdp, backward_induction(mdp)


def test_value_features_predict_the_mean_of_the_next_value():
    """`<phi_V, theta> = P V`, for one V and for a batch of them."""
    with jax.enable_x64(True):
        mixture = MAKE(jax.random.key(0))
        values = jnp.asarray(np.random.default_rng(0).uniform(size=(5, 2, 4)))
        features = np.asarray(value_features(mixture.features, values))
        assert features.shape == (5, 2, 4, 2, 3)
        expected = np.einsum("sat,...t->...sa", transition_probabilities(mixture), values)
        np.testing.assert_allclose(features @ np.asarray(mixture.theta), expected, atol=1e-12)
        alone = value_features(mixture.features, values[1, 1])
        np.testing.assert_allclose(alone, features[1, 1], atol=1e-12)


def test_random_mixtures_are_kernels_for_every_theta_of_the_simplex():
    mixtures = jax.device_get(quick(jax.vmap(random_mixture))(jax.random.split(jax.random.key(1), 8)))
    for i in range(8):
        mixture = jax.tree.map(lambda leaf, i=i: leaf[i], mixtures)
        assert (mixture.num_states, mixture.num_actions, mixture.dimension) == (4, 2, 3)
        checked = linear_mixture(mixture.features, mixture.theta, norm_bound=float(mixture.norm_bound))
        np.testing.assert_array_equal(checked.theta, mixture.theta)
        for weights in np.random.default_rng(i).dirichlet(np.ones(3), size=4):
            linear_mixture(mixture.features, np.sqrt(3) * weights)
        # Two successors in each of three kernels.
        np.testing.assert_array_equal((np.asarray(mixture.features) > 0).sum(2), np.full((4, 2, 3), 2))
        # And the norm is as large as it may be, for V = 1.
        np.testing.assert_allclose(_largest_value_features(np.asarray(mixture.features)), np.ones((4, 2)), rtol=1e-6)
        assert np.linalg.norm(mixture.theta) <= mixture.norm_bound
    np.testing.assert_allclose(mixtures.theta.sum(1), np.full(8, np.sqrt(3)), rtol=1e-6)
    assert np.ptp(mixtures.theta, axis=0).min() > 0.1


@pytest.mark.parametrize("is_signed", [True, False])
def test_the_largest_feature_is_the_largest_of_all_value_functions(is_signed):
    """Of every corner of the box, and no V inside it has a larger one; the bound for many states is not too small."""
    rng = np.random.default_rng(2)
    features = rng.normal(size=(3, 2, 3, 2)) if is_signed else rng.uniform(size=(3, 2, 3, 2))
    ours = _largest_value_features(features)
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
    norms = np.linalg.norm(np.einsum("sati,vt->vsai", features, corners), axis=-1)
    np.testing.assert_allclose(ours, norms.max(0), rtol=1e-12)
    inside = np.linalg.norm(np.einsum("sati,vt->vsai", features, rng.uniform(size=(500, 3))), axis=-1)
    assert (inside <= ours + 1e-12).all()
    many = rng.normal(size=(20, 1, 20, 2)) if is_signed else rng.uniform(size=(20, 1, 20, 2))
    some = np.linalg.norm(np.einsum("sati,vt->vsai", many, rng.integers(0, 2, size=(500, 20))), axis=-1)
    assert (some <= _largest_value_features(many) + 1e-12).all()


@pytest.mark.parametrize("signs", [[1], [-1], [1, -1, 1], [-1, -1, 1, 1]])
def test_the_hard_instance_has_its_known_optimum(signs):
    with jax.enable_x64(True):
        count = len(signs)
        gap = 0.9 / (6 * count)
        hard, mdp, solution = solve_hard(jnp.array(signs), gap)
        mixture = hard.mixture
        # It is a mixture, with features of norm one at most.
        linear_mixture(mixture.features, mixture.theta, norm_bound=mixture.norm_bound)
        np.testing.assert_allclose(_largest_value_features(np.asarray(mixture.features)).max(), 1, rtol=1e-12)
        episodic_mdp(*mdp, dtype=jnp.float64)
        actions = np.array(list(itertools.product((-1, 1), repeat=count)))
        np.testing.assert_allclose(np.asarray(mdp.transitions)[0, 0, :, 2], 1 / 6 + gap * actions @ signs, atol=1e-12)
        np.testing.assert_allclose(np.asarray(solution.values)[0, 0], (1 / 6 + count * gap) * 6 / 7, rtol=1e-12)
        np.testing.assert_allclose(hard.optimal_value, np.asarray(solution.values)[0, 0], rtol=1e-12)
        assert int(hard.optimal_action) == np.asarray(solution.actions)[0, 0]
        np.testing.assert_array_equal(actions[int(hard.optimal_action)], signs)
        np.testing.assert_array_equal(
            np.asarray(mdp.transitions)[:, 1:], np.broadcast_to(np.eye(3)[1:, None], (7, 2, 2**count, 3))
        )


def test_hard_instances_are_swept():
    """Over signs and gaps, as a family of instances of which one must be told from another."""
    signs = jnp.array(list(itertools.product((-1, 1), repeat=2)))
    family = quick(jax.vmap(lambda s, gap: hard_linear_mixture(s, gap, 4)))(signs, jnp.array([0.01, 0.02, 0.04, 0.08]))
    np.testing.assert_array_equal(family.optimal_action, np.arange(4))
    np.testing.assert_allclose(
        family.optimal_value, (1 / 6 + 2 * np.array([0.01, 0.02, 0.04, 0.08])) * 3 / 4, rtol=1e-6
    )
    assert (np.linalg.norm(family.mixture.theta, axis=1) <= family.mixture.norm_bound).all()


def test_episodes_start_in_the_initial_state_and_every_layer_is_the_same():
    mixture = MAKE(jax.random.key(3))._replace(initial_state=jnp.int32(2))
    rewards = jnp.asarray(np.random.default_rng(3).uniform(size=(3, 4, 2)), jnp.float32)
    mdp = quick(episodic_mixture)(mixture, rewards)
    np.testing.assert_array_equal(mdp.initial, [0, 0, 1, 0])
    np.testing.assert_array_equal(mdp.rewards, rewards)
    expected = np.asarray(mixture.features) @ np.asarray(mixture.theta)
    np.testing.assert_allclose(mdp.transitions, np.broadcast_to(expected, (3, 4, 2, 4)), rtol=1e-6)
    episodic_mdp(*mdp)


KERNELS = np.random.default_rng(4).dirichlet(np.ones(3), size=(3, 2, 2)).swapaxes(2, 3)
FEATURES, THETA = KERNELS / np.sqrt(2), np.sqrt(2) * np.array([0.3, 0.7])


def test_defaults_and_what_is_traced():
    mixture = linear_mixture(FEATURES, THETA)
    np.testing.assert_allclose(mixture.norm_bound, np.linalg.norm(THETA), rtol=1e-6)
    assert int(mixture.initial_state) == 0
    traced = jax.jit(lambda theta: linear_mixture(FEATURES, theta, norm_bound=0.1).norm_bound)(jnp.asarray(THETA))
    np.testing.assert_allclose(traced, 0.1, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: linear_mixture(FEATURES, 2 * THETA),
            r"transition_probabilities\[.*\]: got .*, takes a row that sums to one; divide it by 2",
        ),
        (
            lambda: linear_mixture(FEATURES, np.sqrt(2) * np.array([2.5, -1.5])),
            "transition_probabilities: got -.*, takes no negative number",
        ),
        (
            lambda: linear_mixture(2 * FEATURES, THETA / 2),
            r"features: got 2.0.*, takes \|\|phi_V\|\| of at most 1; divide features and multiply theta by 2",
        ),
        (lambda: linear_mixture(FEATURES, THETA, norm_bound=1.0), r"norm_bound: got 1.0, takes at least \|\|theta\|\|"),
        (lambda: linear_mixture(FEATURES, THETA, initial_state=3), "initial_state: got 3, takes 0 to 2"),
        (lambda: linear_mixture(FEATURES[:2], THETA), r"features: got .*, takes the shape \[S, A, S, d\]"),
        (lambda: linear_mixture(FEATURES, THETA[:1]), r"theta: got \(1,\), takes the shape \(2,\)"),
        (lambda: random_linear_mixture(jax.random.key(0), 3, 2, 0), "dimension: got 0"),
        (lambda: random_linear_mixture(jax.random.key(0), 3, 2, 2, 4), "num_successors: got 4"),
        (lambda: hard_linear_mixture(jnp.array([1, 0]), 0.01, 3), r"(?s)signs: got .*, takes \[d-1\] of -1 and 1"),
        (lambda: hard_linear_mixture(jnp.array([1, 1]), 0.1, 3), "gap: got 0.1, takes 0 to 0.0833333"),
        (lambda: hard_linear_mixture(jnp.array([1]), 0.1, 0), "horizon: got 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
