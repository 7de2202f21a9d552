import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.distributional.objectives import cvar, exponential, homeostasis, mean, optimistic_cvar, target
from jaxrl_sparse.distributional.stock_agents import StockAgentConfig, d_eta_n, evaluate_stocks, greedy_outcomes
from jaxrl_sparse.environments import make
from jaxrl_sparse.environments.risk import Budget, TargetGrid3, TwoStage
from jaxrl_sparse.environments.stock import StockAugmented
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.mdp import finite_mdp
from jaxrl_sparse.training import train

BASE = StockAgentConfig()
SMALL = dataclasses.replace(
    BASE,
    learner=dataclasses.replace(
        BASE.learner,
        num_environments=32,
        batch_size=128,
        replay_capacity=4096,
        learning_starts=256,
        epsilon_steps=8000,
        learning_rate=3e-3,
        learning_rate_end=1e-4,
        learning_rate_steps=25_000,
        num_evaluation_episodes=2000,
    ),
    num_atoms=16,
    hidden_sizes=(64,),
    num_knots=25,
)


def payer(discount, num_steps):
    """One state that pays 1 in every step."""
    return TabularEnvironment(finite_mdp(np.ones((1, 1, 1)), np.ones((1, 1)), discount), num_steps)


# Pays 0 or 2 by halves, once.
COIN = TabularEnvironment(
    finite_mdp(
        np.full((2, 1, 2), 0.5),
        np.array([[[0.0, 2.0]], [[0.0, 0.0]]]),
        1.0,
        terminal=[False, True],
        successors=np.ones((2, 1, 2), int),
    ),
    1,
)


def untrained(config, environment, objective):
    """The metrics of an agent that has learnt nothing, which is no matter where there is nothing to choose."""
    algorithm = d_eta_n(config, environment, objective)

    def run(key):
        init_key, evaluation_key = jax.random.split(key)
        return algorithm.evaluate(algorithm.init(init_key), evaluation_key)

    return jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [{}, {"edit_stocks": False}, {"head": "categorical", "num_atoms": 21}, {"head": "implicit"}, {"head": "expected"}],
    ids=["quantile", "unedited", "categorical", "implicit", "expected"],
)
def test_every_head_finds_the_policy_that_needs_the_stock(fields):
    # Risky after 0 and safe after 2: -E |G - 3| is -.75; whoever ignores the stock has at most -1.
    config = dataclasses.replace(SMALL, evaluation_stocks=(-3.0, -1.0), **fields)
    algorithm = d_eta_n(config, TwoStage(), target(3.0).utility)

    def run(key):
        state, _ = train(algorithm, algorithm.init(key), 800)
        return algorithm.evaluate(state, jax.random.key(5))

    metrics = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    # 2000 outcomes of a standard deviation of .83.
    np.testing.assert_allclose(metrics["utility(-3)"], -0.75, atol=0.08)
    np.testing.assert_allclose(metrics["utility"], (metrics["utility(-3)"] + metrics["utility(-1)"]) / 2, rtol=1e-5)


@pytest.mark.slow
def test_a_searched_stock_reaches_the_value_of_the_objective():
    algorithm = d_eta_n(SMALL, TwoStage(), cvar(0.5))

    def run(key):
        state, _ = train(algorithm, algorithm.init(key), 800)
        return algorithm.evaluate(state, jax.random.key(5))

    metrics = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    # The mean of the worse half is 1.5, and 1 for whoever ignores the stock.
    np.testing.assert_allclose(metrics["value"], 1.5, atol=0.06)
    np.testing.assert_allclose(metrics["initial_stock"], -3.0, atol=0.3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "stock", "value", "utility"),
    [
        # The worse three quarters are 0 and half of the 2, the better ones the other way round.
        (cvar(0.75), -2.0, 2 / 3, -1.0),
        (optimistic_cvar(0.75), 0.0, 4 / 3, 1.0),
        (target(1.0), -1.0, -1.0, -1.0),
    ],
)
def test_values_and_initial_stocks_of_objectives(objective, stock, value, utility):
    metrics = untrained(SMALL, COIN, objective)
    # At least 2000 tosses.
    found = metrics["initial_stock"], metrics["value"], metrics["utility"]
    np.testing.assert_allclose(found, (stock, value, utility), atol=0.1)


def test_greedy_outcomes_are_of_any_stock_and_of_the_same_draws():
    config = dataclasses.replace(SMALL, learner=dataclasses.replace(SMALL.learner, num_evaluation_episodes=50))
    stocks = jnp.array([-1.0, 3.5])

    def run(key):
        init_key, episodes_key = jax.random.split(key)
        state = d_eta_n(config, COIN, mean()).init(init_key)
        return greedy_outcomes(config, COIN, mean().utility, state, episodes_key, stocks)

    outcomes = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    returns = outcomes - stocks[:, None]
    assert returns.shape == (2, 50) and set(np.unique(returns)) == {0.0, 2.0}
    np.testing.assert_array_equal(returns[0], returns[1])


@pytest.mark.parametrize(("given", "value"), [(None, -(1 + 0.9 + 0.81)), (0.5, -1.75)])
def test_a_given_discount_goes_before_that_of_the_process(given, value):
    learner = dataclasses.replace(SMALL.learner, discount=given, num_evaluation_episodes=1)
    metrics = untrained(dataclasses.replace(SMALL, learner=learner), payer(0.9, 3), target(0.0))
    np.testing.assert_allclose(metrics["value"], value, rtol=1e-6)


# The stock of the long episode leaves float32 on its way.
@pytest.mark.parametrize(("discount", "num_steps", "discounted"), [(0.5, 3, 1.75), (0.9, 1000, 10.0)])
def test_outcomes_are_first_stocks_plus_returns(discount, num_steps, discounted):
    environment = StockAugmented(payer(discount, num_steps), discount, -1.0, 1.0)
    outcomes = evaluate_stocks(
        lambda observations: jnp.zeros(observations.stock.shape, jnp.int32),
        environment,
        environment.default_params,
        jax.random.key(0),
        jnp.array([-4.0, 0.25]),
        2,
        num_steps,
    )
    np.testing.assert_allclose(outcomes, [[discounted - 4] * 2, [discounted + 0.25] * 2], rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "objective", "message"),
    [
        ({"head": "quantiles"}, cvar(0.1), "head: got 'quantiles', takes one of quantile"),
        ({"num_atoms": 1}, cvar(0.1), "num_atoms: got 1"),
        ({"return_scale": -1.0}, cvar(0.1), "return_scale: got -1.0"),
        ({"learner": dataclasses.replace(BASE.learner, num_evaluation_episodes=0)}, mean(), "evaluation_episodes: got"),
        ({"evaluation_stocks": ()}, cvar(0.1), "evaluation_stocks: got"),
        ({}, homeostasis(1.0, 2.0), "utility: got 'homeostasis', takes one of scalar outcomes"),
    ],
)
def test_refuses_bad_configurations(fields, objective, message):
    with pytest.raises(ValueError, match=message):
        d_eta_n(dataclasses.replace(BASE, **fields), TwoStage(), objective)


def test_refuses_rewards_that_are_vectors():
    with pytest.raises(ValueError, match="environment: got 'Budget', takes one with scalar rewards"):
        d_eta_n(BASE, Budget(), target(0.0))


def test_refuses_utilities_that_are_not_indifferent_to_gamma():
    with pytest.raises(ValueError, match=r"discount: got 0\.899999976.*, takes 1: exponential is not indifferent"):
        d_eta_n(BASE, TargetGrid3(), exponential(1.0).utility)
    cart_pole = make("gymnax/CartPole-v1")
    with pytest.raises(ValueError, match="return_scale: got None, takes a number above 0; only an environment with"):
        d_eta_n(BASE, cart_pole, target(0.0).utility)
    scaled = dataclasses.replace(BASE, return_scale=500.0)
    with pytest.raises(ValueError, match=r"discount: got 0\.99, takes 1: exponential"):
        d_eta_n(scaled, cart_pole, exponential(1.0))
    undiscounted = dataclasses.replace(BASE.learner, discount=1.0)
    d_eta_n(dataclasses.replace(scaled, learner=undiscounted), cart_pole, exponential(1.0))
