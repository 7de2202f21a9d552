"""AlgaeDICE against a convex program over occupancies, which knows neither saddle points nor policies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.algae_dice import AlgaeDiceConfig, algae_dice, learnt_policy
from jaxrl_sparse.density_ratio.saddle_points import SaddlePointConfig, on_features, table
from jaxrl_sparse.density_ratio.transition_data import (
    behaviour_distribution,
    evaluation_problem,
    policy_occupancy,
    population_data,
)
from jaxrl_sparse.finite import (
    expected_rewards,
    policy_evaluation,
    policy_iteration,
    random_dense_mdp,
    transition_matrix,
)
from jaxrl_sparse.networks.feedforward import feedforward
from jaxrl_sparse.training import train

S, A, GAMMA = 4, 2, 0.8
MDP = random_dense_mdp(jax.random.key(22), S, A, GAMMA)
CERTAIN = MDP._replace(probabilities=jax.nn.one_hot(jnp.array([[1, 3], [2, 0], [0, 3], [3, 1]]), S))
PROBLEM = evaluation_problem(jax.random.key(21), MDP, 300, temperature=0.5)
WHOLE = SaddlePointConfig(batch_size=None, descent_rate=1e-2, ascent_rate=1e-2)


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


BEHAVE = quick(lambda mdp: behaviour_distribution(mdp, PROBLEM.behaviour, GAMMA))
POPULATION = quick(population_data)


def solved(make, num_updates=100):
    """The state, its evaluation and the last objective."""
    algorithm = make()

    def run(key, evaluation_key):
        state, metrics = train(algorithm, algorithm.init(key), num_updates)
        return state, algorithm.evaluate(state, evaluation_key), metrics["objective"][-1]

    return quick(run)(jax.random.key(0), jax.random.key(1))


def regularised_optimum(mdp, distribution, alpha):
    """`max over d of E_d[r] - alpha / 2 E_D[(d / d^D)^2]` over occupancies d: the value, and d.

    By the convex dual in a function V of states, in which non-negativity of d is a positive part, and no policy occurs.
    """
    transitions, rewards = np.asarray(transition_matrix(mdp), float), np.asarray(expected_rewards(mdp), float)
    distribution = np.asarray(distribution, float)
    initial = np.asarray(mdp.initial, float)

    def occupied(values):
        return distribution * np.maximum((rewards + GAMMA * transitions @ values - values[:, None]) / alpha, 0)

    def dual(values):
        ratio = occupied(values) / distribution
        d = occupied(values)
        slope = (1 - GAMMA) * initial + GAMMA * np.einsum("sa,sat->t", d, transitions) - d.sum(1)
        return (1 - GAMMA) * initial @ values + alpha / 2 * (distribution * ratio**2).sum(), slope

    found = scipy.optimize.minimize(dual, np.zeros(S), jac=True, method="BFGS", options={"gtol": 1e-9})
    return found.fun, occupied(found.x)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "mdp"), [("saddle", MDP), ("primal", CERTAIN)], ids=["saddle", "primal"])
def test_the_learnt_policy_is_that_of_the_convex_program(form, mdp):
    distribution, alpha = BEHAVE(mdp), 1.0
    data = POPULATION(mdp, distribution)
    state, figures, objective = solved(
        lambda: algae_dice(AlgaeDiceConfig(solver=WHOLE, alpha=alpha, form=form), data, mdp)
    )
    best, occupied = regularised_optimum(mdp, distribution, alpha)
    np.testing.assert_allclose(occupied.sum(), 1, atol=1e-6)
    np.testing.assert_allclose(objective, best, atol=1e-3)
    learnt = learnt_policy(state, table(S, A))(jnp.arange(S))
    np.testing.assert_allclose(learnt, occupied / occupied.sum(1, keepdims=True), atol=2e-2)
    np.testing.assert_allclose(policy_occupancy(mdp, learnt, GAMMA), occupied, atol=5e-3)
    assert figures["weight_error"] < 1e-2
    np.testing.assert_allclose(figures["value"], (occupied * expected_rewards(mdp)).sum(), atol=2e-3)


@pytest.mark.slow
def test_the_less_it_pays_for_leaving_the_data_the_nearer_it_is_to_the_optimum():
    data = POPULATION(MDP, PROBLEM.distribution)
    best = (1 - GAMMA) * policy_iteration(MDP).values[0]

    def value(alpha):
        algorithm = algae_dice(AlgaeDiceConfig(solver=WHOLE, alpha=alpha), data, MDP)
        state, _ = train(algorithm, algorithm.init(jax.random.key(0)), 100)
        return algorithm.evaluate(state, jax.random.key(1))["value"]

    values = quick(jax.vmap(value))(jnp.array([10.0, 1.0, 0.1]))
    of_data = jnp.sum(data.weights * data.rewards)
    assert of_data < values[0] < values[1] < values[2] < best + 1e-6
    np.testing.assert_allclose(values[2], best, atol=1e-3)
    assert best - values[0] > 0.05


def test_a_given_policy_is_evaluated():
    data = POPULATION(MDP, PROBLEM.distribution)
    config = AlgaeDiceConfig(solver=WHOLE, alpha=1.0)
    _, figures, objective = solved(lambda: algae_dice(config, data, MDP, PROBLEM.policy))
    exact = (1 - GAMMA) * policy_evaluation(MDP, PROBLEM.policy)[0]
    ratio = policy_occupancy(MDP, PROBLEM.policy, GAMMA) / PROBLEM.distribution
    np.testing.assert_allclose(figures["value_estimate"], exact, atol=2e-3)
    np.testing.assert_allclose(figures["value"], exact, rtol=1e-4)
    assert figures["weight_error"] < 5e-3
    np.testing.assert_allclose(objective, exact - jnp.sum(PROBLEM.distribution * ratio**2) / 2, atol=2e-3)


@pytest.mark.slow
def test_networks_learn_a_policy_from_a_sample():
    network = on_features(feedforward((32,), A, activation="tanh"), jnp.eye(S))
    solver = SaddlePointConfig(descent_rate=1e-3, ascent_rate=1e-3)
    data = evaluation_problem(jax.random.key(31), MDP, 3000, temperature=0.5).data
    config = AlgaeDiceConfig(solver=solver, policy_rate=3e-4)
    _, figures, _ = solved(lambda: algae_dice(config, data, MDP, network=network), 200)
    best = (1 - GAMMA) * policy_iteration(MDP).values[0]
    # Of what the data falls short of the optimum a tenth.
    assert best - figures["value"] < 0.1 * (best - jnp.mean(data.rewards))


def test_bad_input_is_refused():
    data = PROBLEM.data
    with pytest.raises(ValueError, match=r"alpha: got 0.0, takes a number above 0"):
        algae_dice(AlgaeDiceConfig(alpha=0.0), data, MDP)
    with pytest.raises(ValueError, match=r"policy_rate: got 0.0, takes a number above 0"):
        algae_dice(AlgaeDiceConfig(policy_rate=0.0), data, MDP)
    with pytest.raises(ValueError, match=r"form: got 'dual', takes one of"):
        algae_dice(AlgaeDiceConfig(form="dual"), data, MDP)
    with pytest.raises(ValueError, match=r"discount: got 1.0, takes a number in \[0, 1\)"):
        algae_dice(AlgaeDiceConfig(solver=SaddlePointConfig(discount=1.0)), data, MDP)
    with pytest.raises(ValueError, match=r"network: got None, takes a network, where there is neither"):
        algae_dice(AlgaeDiceConfig(solver=SaddlePointConfig(discount=0.9)), data, None)
