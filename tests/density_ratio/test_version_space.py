"""Suprema over weights against enumeration, fine grids and a regression loss written apart from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.classes import function_class, residuals
from jaxrl_sparse.density_ratio.version_space import (
    bounded_bellman_errors,
    least_violation,
    optimistic_member,
    version_space,
    weighted_bellman_errors,
)
from jaxrl_sparse.finite.episodes import (
    count_transitions,
    expected_counts,
    no_transitions,
    sample_episodes,
)
from jaxrl_sparse.finite.episodic import episodic_mdp
from jaxrl_sparse.finite.episodic_solvers import backward_induction

HORIZON, STATES, ACTIONS = 3, 3, 2
SHAPE = (HORIZON, STATES, ACTIONS)


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


def random_process(seed):
    rng = np.random.default_rng(seed)
    return episodic_mdp(rng.dirichlet(np.ones(STATES), SHAPE), rng.random(SHAPE) / HORIZON)


def counted_episodes(seed, mdp, num_episodes):
    """Of the uniform policy."""

    def draw(key):
        episodes = sample_episodes(key, mdp, jnp.full(SHAPE, 1 / ACTIONS), num_episodes)
        return episodes, count_transitions(no_transitions(mdp), episodes)

    return quick(draw)(jax.random.key(seed))


def random_errors(seed, num_functions=6):
    """Means and frequencies of one layer each that sum to one, with a pair that was never visited."""
    rng = np.random.default_rng(seed)
    frequencies = rng.dirichlet(np.ones(STATES * ACTIONS), HORIZON).reshape(SHAPE)
    frequencies[:, 0, 1] = 0
    return rng.uniform(-1, 1, (num_functions, *SHAPE)) * frequencies, frequencies


def test_weighted_errors_are_the_maximum_of_sums():
    means, frequencies = random_errors(0)
    weights = np.random.default_rng(1).uniform(0, 4, (7, *SHAPE))
    expected = np.full((6, HORIZON), -np.inf)
    for f in range(6):
        for h in range(HORIZON):
            for w in weights[:, h]:
                total = (w * means[f, h]).sum() - 0.3 * (w**2 * frequencies[h]).sum()
                expected[f, h] = max(expected[f, h], total)
    given = [jnp.asarray(table, jnp.float32) for table in (means, frequencies, weights)]
    np.testing.assert_allclose(quick(lambda *g: weighted_bellman_errors(*g, 0.3))(*given), expected, atol=1e-5)


@pytest.mark.parametrize("memory_limit", [1, 6 * HORIZON * 4 * 3, 6 * HORIZON * 4 * 4, 10**9])
def test_chunks_do_not_change_the_maximum(memory_limit):
    means, frequencies = (jnp.asarray(table, jnp.float32) for table in random_errors(2))
    weights = jax.random.uniform(jax.random.key(0), (8, *SHAPE), maxval=5.0)
    whole, chunked = quick(
        lambda *given: (weighted_bellman_errors(*given, 0.2), weighted_bellman_errors(*given, 0.2, memory_limit))
    )(means, frequencies, weights)
    np.testing.assert_allclose(chunked, whole, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("signed", [True, False])
def test_bounded_weights_are_the_maximum_over_a_fine_grid(signed):
    with jax.enable_x64(True):
        means, frequencies = random_errors(3)
        grid = np.linspace(-1.5 if signed else 0, 1.5, 20_001)[:, None, None, None, None]
        best = (grid * means - 0.15 * grid**2 * frequencies).max(0)
        bounded = quick(lambda *given: bounded_bellman_errors(*given, 1.5, 0.15, signed))
        errors = bounded(jnp.asarray(means), jnp.asarray(frequencies))
        np.testing.assert_allclose(errors, best.sum((2, 3)), atol=1e-7)
        # Both pieces of the function were met.
        inner = np.abs(means) <= 2 * 0.15 * 1.5 * frequencies
        assert inner[:, frequencies > 0].any() and not inner.all()


def test_bounded_weights_hold_every_finite_class_of_the_same_bound():
    means, frequencies = (jnp.asarray(table, jnp.float32) for table in random_errors(4))
    weights = jax.random.uniform(jax.random.key(1), (300, *SHAPE), maxval=2.0)
    finite, nonnegative, signed = quick(
        lambda *given: (
            weighted_bellman_errors(*given, weights, 0.1),
            bounded_bellman_errors(*given, 2.0, 0.1, signed=False),
            bounded_bellman_errors(*given, 2.0, 0.1),
        )
    )(means, frequencies)
    assert (finite <= nonnegative + 1e-6).all() and (nonnegative <= signed + 1e-6).all()


def test_what_was_never_visited_adds_nothing():
    errors = quick(bounded_bellman_errors)(jnp.zeros((1, *SHAPE)), jnp.zeros(SHAPE), 3.0, 0.1)
    np.testing.assert_array_equal(errors, np.zeros((1, HORIZON)))


def regression_losses(functions, episodes):
    """`L_h(g, f) = mean of (g_h(s, a) - r - max f_{h+1}(s'))^2` for all g and f of a class, from single transitions."""
    values = np.asarray(functions.values, np.float64)
    states, actions, rewards, following = (np.asarray(leaf) for leaf in episodes)
    losses = np.zeros((functions.size, functions.size, HORIZON))
    for g in range(functions.size):
        for f in range(functions.size):
            for h in range(HORIZON):
                after = values[f, h + 1, following[h]].max(-1) if h + 1 < HORIZON else 0.0
                losses[g, f, h] = np.mean((values[g, h, states[h], actions[h]] - rewards[h] - after) ** 2)
    return losses


def test_with_differences_as_weights_the_constraint_is_that_of_golf():
    """W = {f - g}, signed, not clipped, alpha = 1/2: twice the error is `L(f, f) - min over g of L(g, f)`, exactly.

    So the constraint with slack beta implies GOLF's with slack 2 beta, on any data.
    """
    with jax.enable_x64(True):
        mdp = random_process(5)
        functions = function_class(np.random.default_rng(6).random((6, *SHAPE)))
        num_episodes = 60
        episodes, counts = counted_episodes(2, mdp, num_episodes)
        means, frequencies = residuals(counts, functions) / num_episodes, counts.visits / num_episodes
        differences = functions.values[:, None] - functions.values
        losses = regression_losses(functions, episodes)
        golf = np.array([losses[f, f] - losses[:, f].min(0) for f in range(functions.size)])
        own = jax.vmap(lambda mean, weights: weighted_bellman_errors(mean[None], frequencies, weights, 0.5)[0])
        np.testing.assert_allclose(2 * quick(own)(means, differences), golf, atol=1e-12)
        # All of W, for every f alike: the constraint can only be harder to meet.
        everything = quick(lambda *given: weighted_bellman_errors(*given, 0.5))(
            means, frequencies, differences.reshape(-1, *SHAPE)
        )
        beta = np.median(everything.max(1))
        left = np.asarray(version_space(everything, beta))
        assert left.any() and (golf[left] <= 2 * beta + 1e-12).all()


def test_all_signed_weights_without_bound_are_golf_with_all_functions():
    """The bounded form with a bound that never bites: `(L(f, f) - min over all g of L(g, f)) / (4 alpha)`."""
    with jax.enable_x64(True):
        mdp = random_process(7)
        functions = function_class(np.random.default_rng(8).random((4, *SHAPE)))
        episodes, counts = counted_episodes(3, mdp, 50)
        errors = quick(lambda c: bounded_bellman_errors(residuals(c, functions) / 50, c.visits / 50, 1e6, 0.2))(counts)
        states, actions, rewards, following = (np.asarray(leaf) for leaf in episodes)
        for f, values in enumerate(np.asarray(functions.values)):
            for h in range(HORIZON):
                after = values[h + 1, following[h]].max(-1) if h + 1 < HORIZON else 0.0
                targets, excess = rewards[h] + after, 0.0
                for s in range(STATES):
                    for a in range(ACTIONS):
                        mine = targets[(states[h] == s) & (actions[h] == a)]
                        if mine.size:
                            excess += ((values[h, s, a] - mine) ** 2).sum() - ((mine.mean() - mine) ** 2).sum()
                np.testing.assert_allclose(errors[f, h], excess / 50 / (4 * 0.2), atol=1e-12)


def test_with_enough_data_an_indicator_excludes_whatever_has_a_bellman_error_there():
    """The optimum of the process stays, a function that is wrong by .1 in one pair goes, as the data grow."""
    with jax.enable_x64(True):
        mdp = random_process(9)
        optimum = np.asarray(backward_induction(mdp).q_values)
        wrong = optimum.copy()
        wrong[-1, 1, 0] += 0.1
        functions = function_class([optimum, wrong])
        indicators = jnp.eye(HORIZON * STATES * ACTIONS).reshape(-1, *SHAPE)
        counts = expected_counts(mdp, jnp.full(SHAPE, 1 / (STATES * ACTIONS)), 1.0)

        @quick
        def members(num_rounds):
            clip = 0.1 * num_rounds
            errors = weighted_bellman_errors(
                residuals(counts, functions), counts.visits, clip * indicators, 0.08 / clip
            )
            return version_space(errors, 0.36 * clip * 10 / num_rounds)

        np.testing.assert_array_equal(members(10.0), [True, True])
        np.testing.assert_array_equal(members(100_000.0), [True, False])


def test_every_layer_must_hold_and_not_their_sum():
    errors = jnp.array([[0.9, -5.0], [0.4, 0.4], [0.5, 0.5]])
    np.testing.assert_array_equal(version_space(errors, 0.5), [False, True, True])


@pytest.mark.parametrize("kind", ["finite", "bounded", "signed"])
def test_version_spaces_are_nested_in_the_scale(kind):
    """Penalty and slack both grow with c; they do so at no other data than these, 200 functions of real episodes."""
    mdp = random_process(10)
    functions = function_class(np.random.default_rng(11).random((200, *SHAPE)))
    _, counts = counted_episodes(4, mdp, 30)
    means, frequencies = residuals(counts, functions) / 30, counts.visits / 30
    weights = jax.random.uniform(jax.random.key(5), (20, *SHAPE), maxval=3.0)

    def members(scale):
        alpha, beta = 8 * scale / 3.0, 36 * scale * 3.0 * 5 / 30
        if kind == "finite":
            return version_space(weighted_bellman_errors(means, frequencies, weights, alpha), beta)
        return version_space(bounded_bellman_errors(means, frequencies, 3.0, alpha, kind == "signed"), beta)

    scales = jnp.array([0.001, 0.01, 0.02, 0.03, 0.05, 0.1, 1.0])
    spaces = np.asarray(quick(jax.vmap(members))(scales))
    assert (spaces[:-1] <= spaces[1:]).all()
    # From none to all, by way of some.
    sizes = spaces.sum(1)
    assert sizes[0] == 0 and sizes[-1] == 200 and ((sizes > 0) & (sizes < 200)).any()


def test_least_violation_is_the_smallest_largest_error():
    errors = jnp.array([[3.0, 0.0], [1.0, 2.0], [2.0, 2.0], [2.5, 2.5]])
    np.testing.assert_array_equal(least_violation(errors), [False, True, True, False])


def test_the_optimistic_member_by_hand():
    values = jnp.array([0.9, 0.5, 0.5, 0.5 - 1e-8, 0.2])
    choose = lambda members, plays: int(optimistic_member(jnp.array(members), values, jnp.array(plays)))  # noqa: E731
    assert choose([True] * 5, [9.0, 0, 0, 0, 0]) == 0
    assert choose([False, True, True, True, True], [0.0, 2, 1, 1, 0]) == 2
    assert choose([False, True, True, True, True], [0.0, 2, 2, 1, 0]) == 3
    assert choose([False, True, True, True, True], [0.0, 1, 1, 1, 0]) == 1
    assert choose([False, False, False, False, True], [0.0, 0, 0, 0, 7]) == 4


def test_bad_arguments_are_refused():
    means, frequencies, weights = jnp.zeros((2, *SHAPE)), jnp.zeros(SHAPE), jnp.ones((4, *SHAPE))
    with pytest.raises(ValueError, match=r"^frequencies: got \(2, 3, 2\), takes the residuals' shape \(3, 3, 2\)$"):
        bounded_bellman_errors(means, frequencies[:2], 1.0, 0.1)
    with pytest.raises(ValueError, match=r"^weights: got \(4, 2, 3, 2\), takes the residuals' layers \(3, 3, 2\)$"):
        weighted_bellman_errors(means, frequencies, weights[:, :2], 0.1)
    with pytest.raises(ValueError, match=r"^memory_limit: got -1, takes an integer of at least 0$"):
        weighted_bellman_errors(means, frequencies, weights, 0.1, -1)
