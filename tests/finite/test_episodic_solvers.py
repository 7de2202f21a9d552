"""Exact solvers against every deterministic policy and every path of tiny processes, and identities of any process."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from finite.enumeration import deterministic_policies, paths

from jaxrl_sparse.finite.episodic import episodic, episodic_mdp
from jaxrl_sparse.finite.episodic_generators import random_episodic_mdp
from jaxrl_sparse.finite.episodic_solvers import (
    backward_induction,
    bellman_errors,
    expected_return,
    greedy_actions,
    max_reachability,
    occupancy,
    policy_values,
)
from jaxrl_sparse.finite.generators import garnet
from jaxrl_sparse.finite.solvers import finite_horizon

RANDOM = np.random.default_rng(0)


def quick(solve):
    return jax.jit(solve, compiler_options=QUICK_TO_COMPILE)


def process_of(horizon, num_states, num_actions):
    """In double precision, with rewards of both signs and zeros among the probabilities."""
    rows = RANDOM.dirichlet(np.ones(num_states), size=(horizon, num_states, num_actions))
    rows[:, 0, 0] = np.eye(num_states)[-1]
    rewards = RANDOM.normal(size=(horizon, num_states, num_actions))
    initial = RANDOM.dirichlet(np.ones(num_states))
    return episodic_mdp(rows, rewards, initial, dtype=jnp.float64)


with jax.enable_x64(True):
    TINY, SMALL = process_of(3, 2, 2), process_of(3, 3, 2)
    POLICY = jnp.asarray(RANDOM.dirichlet(np.ones(2), size=(3, 3)))


def test_occupancies_and_values_are_sums_over_paths():
    with jax.enable_x64(True):
        ours, values = np.asarray(quick(occupancy)(SMALL, POLICY)), np.asarray(quick(policy_values)(SMALL, POLICY))
        total = quick(expected_return)(SMALL, POLICY)
    found = paths(SMALL, np.asarray(POLICY))
    expected = np.zeros((3, 3, 2))
    for path in found:
        for h, (s, a) in enumerate(zip(path.states, path.actions, strict=True)):
            expected[h, s, a] += path.probability
    np.testing.assert_allclose(ours, expected, atol=1e-12)
    np.testing.assert_allclose(total, sum(path.probability * path.reward for path in found), atol=1e-12)
    for s in range(3):
        conditional = sum(path.probability * path.reward for path in found if path.states[0] == s)
        np.testing.assert_allclose(values[0, s], conditional / float(np.asarray(SMALL.initial)[s]), atol=1e-12)
    np.testing.assert_array_equal(values[3], np.zeros(3))


def test_the_optimum_is_the_best_of_all_policies_in_every_layer_and_state():
    with jax.enable_x64(True):
        policies = jnp.asarray(deterministic_policies(3, 2, 2))
        values = np.asarray(quick(jax.vmap(policy_values, in_axes=(None, 0)))(TINY, policies))
        solution = quick(backward_induction)(TINY)
        np.testing.assert_allclose(solution.values, values.max(0), atol=1e-12)
        np.testing.assert_allclose(quick(policy_values)(TINY, solution.actions), values.max(0), atol=1e-12)
        np.testing.assert_allclose(jnp.max(solution.q_values, axis=-1), values.max(0)[:3], atol=1e-12)


def test_reachability_is_the_largest_occupancy_of_all_policies():
    """Of a state, and of each of its actions."""
    with jax.enable_x64(True):
        policies = jnp.asarray(deterministic_policies(3, 2, 2))
        occupancies = np.asarray(quick(jax.vmap(occupancy, in_axes=(None, 0)))(TINY, policies))
        reachable = np.asarray(quick(max_reachability)(TINY))
    np.testing.assert_allclose(reachable, occupancies.sum(-1).max(0), atol=1e-12)
    np.testing.assert_allclose(np.repeat(reachable[..., None], 2, axis=2), occupancies.max(0), atol=1e-12)
    assert (reachable < 0.999).any()


def test_occupancies_flow():
    """What enters a state leaves it, in float32 too; every layer sums to one."""
    mdp = quick(lambda key: random_episodic_mdp(key, 6, 5, 3, 2))(jax.random.key(0))
    policy = np.random.default_rng(1).dirichlet(np.ones(3), size=(6, 5)).astype(np.float32)
    visits = np.asarray(quick(occupancy)(mdp, jnp.asarray(policy)))
    np.testing.assert_allclose(visits.sum((1, 2)), np.ones(6), rtol=1e-5)
    np.testing.assert_allclose(visits[0].sum(-1), mdp.initial, rtol=1e-6)
    entering = np.einsum("hsa,hsat->ht", visits, mdp.transitions)[:-1]
    np.testing.assert_allclose(visits[1:].sum(-1), entering, atol=1e-6)
    np.testing.assert_allclose(visits, visits.sum(-1, keepdims=True) * policy, atol=1e-7)


@pytest.mark.parametrize(("is_double", "tolerance"), [(True, 1e-12), (False, 1e-6)])
def test_what_values_promise_too_much_is_their_bellman_error_where_their_policy_goes(is_double, tolerance):
    """`E f_0 - J(pi_f) = sum over h of E_{d^{pi_f}_h}[f_h - T_h f_{h+1}]` for any f; and with Q* both are zero."""
    with jax.enable_x64(is_double):
        dtype = jnp.float64 if is_double else jnp.float32
        mdp = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), dtype), SMALL)
        mdp = mdp._replace(rewards=mdp.rewards / 10)

        def both_sides(q_values):
            policy = greedy_actions(q_values)
            promised = jnp.sum(mdp.initial * jnp.max(q_values[0], axis=-1))
            errors = occupancy(mdp, policy) * bellman_errors(mdp, q_values)
            return promised - expected_return(mdp, policy), jnp.sum(errors)

        functions = jnp.asarray(np.random.default_rng(2).uniform(size=(50, 3, 3, 2)), dtype)
        surplus, errors = quick(jax.vmap(both_sides))(functions)
        np.testing.assert_allclose(surplus, errors, atol=tolerance)
        assert np.ptp(surplus) > 0.1
        for side in quick(both_sides)(backward_induction(mdp).q_values):
            np.testing.assert_allclose(side, 0, atol=tolerance)


def test_bellman_errors_are_where_the_values_are_wrong():
    with jax.enable_x64(True):
        q_values = backward_induction(TINY).q_values
        np.testing.assert_allclose(bellman_errors(TINY, q_values), np.zeros((3, 2, 2)), atol=1e-12)
        # The better action of a state of layer 1 is promised .5 more; layer 0 backs it up, as far as it leads there.
        a = int(jnp.argmax(q_values[1, 1]))
        errors = np.asarray(bellman_errors(TINY, q_values.at[1, 1, a].add(0.5)))
    expected = np.zeros((3, 2, 2))
    expected[1, 1, a] = 0.5
    expected[0] = -0.5 * np.asarray(TINY.transitions)[0, :, :, 1]
    np.testing.assert_allclose(errors, expected, atol=1e-12)


def test_of_equal_actions_the_lowest_is_taken():
    mdp = episodic_mdp(np.ones((2, 1, 4, 1)), [[[0.0, 1.0, 1.0, 0.5]], [[2.0, 2.0, 2.0, 2.0]]])
    np.testing.assert_array_equal(backward_induction(mdp).actions, [[1], [0]])
    np.testing.assert_array_equal(greedy_actions(jnp.array([[0.0, 3.0, 3.0]])), [1])


def test_a_deterministic_policy_is_the_one_that_is_certain():
    actions = jnp.array([[0, 1, 1], [1, 1, 0], [0, 0, 1]])
    with jax.enable_x64(True):
        certain = jax.nn.one_hot(actions, 2, dtype=jnp.float64)
        for solve in (occupancy, policy_values, expected_return):
            np.testing.assert_array_equal(solve(SMALL, actions), solve(SMALL, certain))


def test_repeated_layers_are_a_finite_horizon():
    mdp = quick(lambda key: garnet(key, 6, 3, 2, 1.0))(jax.random.key(4))._replace(terminal=jnp.arange(6) > 3)
    ours, expected = quick(lambda mdp: backward_induction(episodic(mdp, 4)))(mdp), finite_horizon(mdp, 4)
    np.testing.assert_allclose(ours.values, expected.values, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ours.actions, expected.actions)


def test_batches_are_solved_as_one_by_one():
    mdps = quick(jax.vmap(lambda key: random_episodic_mdp(key, 3, 4, 2)))(jax.random.split(jax.random.key(5), 3))
    for solve in (backward_induction, max_reachability):
        batch, alone = quick(jax.vmap(solve))(mdps), quick(solve)
        for i in range(3):
            one = alone(jax.tree.map(lambda leaf, i=i: leaf[i], mdps))
            for ours, expected in zip(jax.tree.leaves(batch), jax.tree.leaves(one), strict=True):
                np.testing.assert_allclose(ours[i], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("solve", [occupancy, policy_values, expected_return])
@pytest.mark.parametrize("policy", [jnp.zeros((3, 2, 2)), jnp.zeros((2, 3), int), jnp.zeros((3, 3))])
def test_refusals(solve, policy):
    message = r"policy: got .*, takes \(3, 3\) integers or \(3, 3, 2\) probabilities"
    with pytest.raises(ValueError, match=message):
        solve(SMALL, policy)
