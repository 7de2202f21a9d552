"""Classes against single solvers, and residuals against sums over single transitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.classes import function_class, model_class, residuals, value_misfits
from jaxrl_sparse.finite.episodes import Episodes, count_transitions, expected_counts, no_transitions
from jaxrl_sparse.finite.episodic import EpisodicMDP, episodic_mdp
from jaxrl_sparse.finite.episodic_solvers import backward_induction, bellman_errors, occupancy

HORIZON, STATES, ACTIONS, MODELS = 3, 3, 2, 4
SHAPE = (HORIZON, STATES, ACTIONS)


def random_process(seed, dtype=None):
    rng = np.random.default_rng(seed)
    return episodic_mdp(
        rng.dirichlet(np.ones(STATES), SHAPE), rng.random(SHAPE) / HORIZON, rng.dirichlet(np.ones(STATES)), dtype=dtype
    )


def stacked(processes):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *processes)


def random_functions(seed, size=5):
    return function_class(np.random.default_rng(seed).random((size, *SHAPE)))


def test_a_model_class_holds_each_models_optimum_and_where_its_policy_is_in_all():
    processes = [random_process(seed) for seed in range(MODELS)]
    classes = jax.jit(model_class, compiler_options=QUICK_TO_COMPILE)(stacked(processes))
    for n, mdp in enumerate(processes):
        best = backward_induction(mdp)
        np.testing.assert_allclose(classes.functions.values[n], best.q_values, rtol=1e-6)
        np.testing.assert_array_equal(classes.functions.actions[n], best.actions)
        for m, other in enumerate(processes):
            np.testing.assert_allclose(classes.occupancies[m, n], occupancy(other, best.actions), atol=1e-6)


def test_ties_go_to_the_lowest_action():
    values = np.zeros((1, 1, 2, 3))
    values[0, 0, 1] = [1, 2, 2]
    np.testing.assert_array_equal(function_class(values).actions, [[[0, 1]]])


def test_residuals_are_sums_over_transitions():
    rng = np.random.default_rng(0)
    num_episodes = 40
    draw = lambda high: rng.integers(0, high, (HORIZON, num_episodes)).astype(np.int32)  # noqa: E731
    states, actions, following = draw(STATES), draw(ACTIONS), draw(STATES)
    rewards = rng.random((HORIZON, num_episodes)).astype(np.float32)
    functions = random_functions(1)
    values = np.asarray(functions.values, np.float64)
    expected = np.zeros(values.shape)
    for n in range(functions.size):
        for h in range(HORIZON):
            for s, a, r, t in zip(states[h], actions[h], rewards[h], following[h], strict=True):
                next_value = values[n, h + 1, t].max() if h + 1 < HORIZON else 0.0
                expected[n, h, s, a] += values[n, h, s, a] - r - next_value
    episodes = Episodes(*map(jnp.asarray, (states, actions, rewards, following)))
    counts = count_transitions(no_transitions(random_process(0)), episodes)
    np.testing.assert_allclose(residuals(counts, functions), expected, atol=1e-4)


def test_residuals_of_the_population_are_bellman_errors_and_zero_for_the_optimum():
    with jax.enable_x64(True):
        mdp = random_process(3)
        distribution = jnp.asarray(np.random.default_rng(4).dirichlet(np.ones(STATES * ACTIONS), HORIZON))
        distribution = distribution.reshape(SHAPE)
        counts = expected_counts(mdp, distribution, 1.0)
        functions = random_functions(5)
        errors = jax.vmap(bellman_errors, in_axes=(None, 0))(mdp, functions.values)
        np.testing.assert_allclose(residuals(counts, functions), distribution * errors, atol=1e-12)
        optimum = function_class(backward_induction(mdp).q_values[None])
        # Zero in every pair, hence zero for every weight.
        np.testing.assert_allclose(residuals(counts, optimum), 0, atol=1e-12)
        np.testing.assert_array_less(1e-3, np.abs(residuals(counts, functions)).max((1, 2, 3)))


def test_misfit_is_the_largest_distance_from_the_optimum():
    mdp = random_process(6)
    optimum = np.asarray(backward_induction(mdp).q_values)
    other = optimum.copy()
    other[1, 2, 0] -= 0.25
    np.testing.assert_allclose(value_misfits(function_class([optimum, other]), mdp), [0, 0.25], atol=1e-6)


def test_bad_classes_are_refused():
    with pytest.raises(ValueError, match=r"^values: got \(2, 3, 2\), takes the shape \[N, H, S, A\], none of them 0$"):
        function_class(np.zeros((2, 3, 2)))
    with pytest.raises(ValueError, match=r"^values\[0, 1, 2, 0\]: got nan, takes a finite number$"):
        function_class(np.zeros((1, *SHAPE)) + np.where(np.arange(18).reshape(SHAPE) == 10, np.nan, 0))
    good = stacked([random_process(0), random_process(1)])
    with pytest.raises(
        ValueError, match=r"^models.transitions: got \(2, 3, 3, 2, 2\), takes the shape \(2, 3, 3, 2, 3"
    ):
        model_class(EpisodicMDP(good.transitions[..., :2], good.rewards, good.initial))
    with pytest.raises(ValueError, match=r"^models.initial: got \(1, 3\), takes the shape \(2, 3\)$"):
        model_class(good._replace(initial=good.initial[:1]))
    with pytest.raises(ValueError, match=r"^models.transitions\[1, 2, 0, 1\]: got .* takes a row that sums to one"):
        model_class(good._replace(transitions=good.transitions.at[1, 2, 0, 1, 2].add(0.25)))
    with pytest.raises(ValueError, match=r"^models.initial: got -0.5, takes no negative number$"):
        model_class(good._replace(initial=good.initial.at[0].set(jnp.array([-0.5, 1, 0.5]))))
    with pytest.raises(ValueError, match=r"^models.rewards: got \(3, 3, 2\), takes the shape \[M, H, S, A\], none"):
        model_class(random_process(0))
    with pytest.raises(
        ValueError, match=r"^counts.rewards: got \(3, 3, 2\), takes the class's \[H, S, A\], \(2, 3, 2\)$"
    ):
        residuals(no_transitions(random_process(0)), function_class(np.zeros((1, 2, 3, 2))))
