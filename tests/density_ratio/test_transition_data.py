"""Populations and samples of transitions, occupancies and ratios, against frequencies, values and brute force."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.transition_data import (
    behaviour_distribution,
    draw,
    empirical_distribution,
    evaluation_problem,
    exact_ratio,
    policy_occupancy,
    population_data,
    sampled_data,
    softened_optimum,
    transition_data,
)
from jaxrl_sparse.finite import expected_rewards, finite_mdp, policy_evaluation, random_dense_mdp, transition_matrix

S, A = 4, 2


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


OCCUPANCY, BEHAVE, RATIO = quick(policy_occupancy), quick(behaviour_distribution), quick(exact_ratio)
PROBLEM = quick(functools.partial(evaluation_problem, num_transitions=64))
SOFTENED = quick(softened_optimum)


def ending_mdp():
    """A chain 0, 1, 2 with an end at 3: action 1 goes on with probability .75, action 0 stays and pays .5."""
    probabilities, rewards = np.zeros((S, A, S)), np.zeros((S, A))
    for state in range(S):
        probabilities[state, 0, state] = 1
        np.add.at(probabilities[state, 1], [state, min(state + 1, S - 1)], [0.25, 0.75])
        rewards[state] = [0.5, state]
    return finite_mdp(probabilities, rewards, 0.9, terminal=np.arange(S) == S - 1)


def tables():
    return jax.nn.softmax(jax.random.normal(jax.random.key(5), (S, A)), axis=1)


def test_the_occupancy_pays_the_value():
    with jax.enable_x64(True):
        for mdp in (ending_mdp(), random_dense_mdp(jax.random.key(0), S, A, 0.9)):
            values = policy_evaluation(mdp, tables())
            occupancy = OCCUPANCY(mdp, tables(), 0.9)
            np.testing.assert_allclose(jnp.sum(occupancy * expected_rewards(mdp)), 0.1 * values[0], rtol=1e-9)
            assert not occupancy[np.asarray(mdp.terminal)].any()


def test_at_discount_one_the_occupancy_is_stationary():
    with jax.enable_x64(True):
        mdp = random_dense_mdp(jax.random.key(0), S, A, 0.9)
        chain = np.einsum("sa,sat->st", tables(), transition_matrix(mdp))
        stationary = np.linalg.matrix_power(chain, 4096)[0]
        occupancy = OCCUPANCY(mdp, tables(), 1.0)
        np.testing.assert_allclose(occupancy.sum(1), stationary, atol=1e-9)
        # One executable for all discounts, as a sweep needs it.
        nearly = quick(jax.vmap(policy_occupancy, in_axes=(None, None, 0)))(mdp, tables(), jnp.array([1 - 1e-9, 1.0]))
        np.testing.assert_allclose(nearly[0], nearly[1], atol=1e-6)


def test_the_ratio_is_one_on_policy_and_infinite_where_data_is_missing():
    mdp = random_dense_mdp(jax.random.key(0), S, A, 0.9)
    own = BEHAVE(mdp, tables(), 0.9)
    np.testing.assert_allclose(RATIO(mdp, tables(), own, 0.9), 1, rtol=1e-5)
    missing = own.at[1, 0].set(0)
    assert RATIO(mdp, tables(), missing, 0.9)[1, 0] == jnp.inf
    ending = ending_mdp()
    ratio = RATIO(ending, tables(), BEHAVE(ending, tables(), 0.9), 0.9)
    alive = OCCUPANCY(ending, tables(), 0.9).sum()
    np.testing.assert_allclose(ratio, jnp.where(ending.terminal[:, None], 0, alive) * jnp.ones((S, A)), rtol=1e-5)
    assert alive < 0.99


def test_a_population_holds_every_transition_with_its_probability():
    mdp = ending_mdp()
    distribution = BEHAVE(mdp, tables(), 0.9)
    data = quick(population_data)(mdp, distribution)
    counted = np.zeros((S, A, S))
    rows = (data.observations, data.actions, data.next_observations)
    np.add.at(counted, tuple(np.asarray(row) for row in rows), np.asarray(data.weights))
    np.testing.assert_allclose(counted, distribution[..., None] * transition_matrix(mdp), atol=1e-7)
    np.testing.assert_allclose(counted.sum(), 1, rtol=1e-6)
    np.testing.assert_array_equal(data.terminated, data.next_observations == S - 1)
    np.testing.assert_allclose(data.rewards, expected_rewards(mdp)[data.observations, data.actions])
    np.testing.assert_allclose(empirical_distribution(data, S, A), distribution, atol=1e-7)


def test_samples_have_the_frequencies_of_the_population():
    # Sparse, with several outcomes that pay differently.
    mdp = finite_mdp(
        [[[0.5, 0.5], [0.2, 0.8]], [[1.0, 0.0], [0.3, 0.7]]],
        [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]],
        0.9,
        successors=[[[0, 1], [0, 1]], [[1, 1], [0, 1]]],
    )
    distribution = jnp.array([[0.1, 0.2], [0.3, 0.4]])
    population = population_data(mdp, distribution)
    number = 40_000
    data = sampled_data(jax.random.key(3), mdp, distribution, number)
    # Every outcome pays a reward of its own.
    expected = np.asarray(population.weights)
    counts = np.array([np.sum(np.asarray(data.rewards) == reward) for reward in np.asarray(population.rewards)])
    possible = expected > 0
    assert not counts[~possible].any()
    errors = (counts - number * expected)[possible] / np.sqrt(number * expected * (1 - expected))[possible]
    assert np.abs(errors).max() < 4
    np.testing.assert_allclose(data.weights.sum(), 1, rtol=1e-5)
    row = np.argmax(np.asarray(data.rewards) == 7)
    assert (data.observations[row], data.actions[row], data.next_observations[row]) == (1, 1, 0)


def test_nothing_of_weight_zero_is_drawn():
    weights = jnp.array([0.0, 0.5, 0.0, 0.5, 0.0])
    drawn = quick(functools.partial(draw, shape=(3, 4096)))(jax.random.key(0), weights)
    assert drawn.shape == (3, 4096)
    assert set(np.unique(drawn)) == {1, 3}
    assert abs(np.mean(np.asarray(drawn) == 1) - 0.5) < 0.02
    assert set(np.unique(draw(jax.random.key(1), jnp.array([0.0, 1e-30, 0.0]), (64,)))) == {1}


def test_a_problem_does_not_depend_on_the_unit_of_the_rewards():
    mdp = random_dense_mdp(jax.random.key(0), S, A, 0.9)
    doubled = mdp._replace(rewards=2 * mdp.rewards)
    one, two = (PROBLEM(jax.random.key(1), m) for m in (mdp, doubled))
    np.testing.assert_allclose(one.policy, two.policy, atol=1e-4)
    np.testing.assert_array_equal(one.data.observations, two.data.observations)
    np.testing.assert_allclose(2 * one.data.rewards, two.data.rewards)


def test_the_target_is_nearly_optimal_and_the_behaviour_mixed():
    mdp = random_dense_mdp(jax.random.key(0), S, A, 0.9)
    problem = PROBLEM(jax.random.key(1), mdp, temperature=1e-3, uniform_share=0.25)
    np.testing.assert_allclose(problem.behaviour, 0.75 * problem.policy + 0.125, rtol=1e-5)
    np.testing.assert_allclose(problem.policy.max(1), 1, atol=1e-2)
    np.testing.assert_allclose(problem.distribution, BEHAVE(mdp, problem.behaviour, 0.9), rtol=1e-4, atol=1e-6)
    # The worst action of all has the odds that the temperature names.
    soft = SOFTENED(mdp, 0.5)
    np.testing.assert_allclose((soft.min(1) / soft.max(1)).min(), jnp.exp(-2.0), rtol=1e-4)
    # Where all actions are equally good, all are equally likely.
    np.testing.assert_allclose(SOFTENED(mdp._replace(rewards=0 * mdp.rewards), 0.5), 0.5)


def test_collected_transitions_have_equal_weights():
    numbers = jnp.arange(3)
    data = transition_data(numbers, numbers, jnp.ones(3), numbers, numbers > 1, numbers[:2])
    np.testing.assert_allclose(data.weights, [1 / 3] * 3)
    np.testing.assert_allclose(data.initial_weights, [0.5, 0.5])


def test_bad_input_is_refused():
    mdp = ending_mdp()
    good = BEHAVE(mdp, tables(), 0.9)
    with pytest.raises(ValueError, match=r"distribution: got 0.75, takes a sum of one over the states"):
        population_data(mdp, jnp.full((S, A), 1 / (S * A)))
    with pytest.raises(ValueError, match=r"distribution: got \(4, 3\), takes \[S, A\] = \(4, 2\)"):
        population_data(mdp, jnp.full((S, 3), 1 / 12))
    with pytest.raises(ValueError, match=r"mdp.initial: got .*holds no transition"):
        population_data(mdp._replace(initial=jnp.full(S, 0.25)), good)
    with pytest.raises(ValueError, match=r"num_transitions: got 0"):
        sampled_data(jax.random.key(0), mdp, good, 0)
    with pytest.raises(ValueError, match=r"temperature: got 0.0, takes"):
        evaluation_problem(jax.random.key(0), mdp, 8, temperature=0.0)
    with pytest.raises(ValueError, match=r"uniform_share: got 0.0, takes"):
        evaluation_problem(jax.random.key(0), mdp, 8, uniform_share=0.0)
    numbers = jnp.arange(3)
    with pytest.raises(ValueError, match=r"observations: got \[2, 3, 3, 3, 3\]"):
        transition_data(numbers[:2], numbers, jnp.ones(3), numbers, numbers > 1, numbers)
    with pytest.raises(ValueError, match=r"initial_observations: got \[0\]"):
        transition_data(numbers, numbers, jnp.ones(3), numbers, numbers > 1, numbers[:0])
