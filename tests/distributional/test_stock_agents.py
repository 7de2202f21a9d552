import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.base import Trajectory
from jaxrl_sparse.distributional.objectives import cvar, exponential, homeostasis, mean, target
from jaxrl_sparse.distributional.stock_agents import (
    StockAgentConfig,
    d_eta_n,
    evaluate_stocks,
)
from jaxrl_sparse.distributional.stock_learning import stock_edit, stock_reward, stock_torso, utility_score
from jaxrl_sparse.environments import make
from jaxrl_sparse.environments.risk import TargetGrid3, TwoStage
from jaxrl_sparse.environments.spaces import Box
from jaxrl_sparse.environments.stock import StockAugmented, StockObservation
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.mdp import finite_mdp
from jaxrl_sparse.learners.replay import Transitions, trajectory_of
from jaxrl_sparse.networks.scalar_embeddings import scalar_embedding
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
    ),
    num_atoms=16,
    hidden_sizes=(64,),
    num_knots=25,
    evaluation_stocks=(-3.0,),
    num_evaluation_episodes=2000,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [{}, {"edit_stocks": False}, {"head": "categorical", "num_atoms": 21}, {"head": "implicit"}, {"head": "expected"}],
    ids=["quantile", "unedited", "categorical", "implicit", "expected"],
)
def test_every_head_finds_the_policy_that_needs_the_stock(fields):
    # Risky after 0 and safe after 2: -E |G - 3| is -.75; whoever ignores the stock has at most -1.
    config = dataclasses.replace(SMALL, **fields)
    algorithm = d_eta_n(config, TwoStage(), target(3.0).utility)

    def run(key):
        state, _ = train(algorithm, algorithm.init(key), 800)
        return algorithm.evaluate(state, jax.random.key(5))

    metrics = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    # 2000 outcomes of a standard deviation of .83.
    np.testing.assert_allclose(metrics["utility"], -0.75, atol=0.08)
    np.testing.assert_allclose(metrics["utility(-3)"], metrics["utility"])


@pytest.mark.parametrize(
    ("objective", "discount"), [(cvar(0.1), 0.9), (target(0.0, 2.0), 0.8), (exponential(1.0), 1.0)]
)
def test_stock_rewards_telescope_to_the_gain_of_utility(objective, discount):
    rewards = jax.random.normal(jax.random.key(0), (5,))
    stocks = [jnp.float32(-0.3)]
    for reward in rewards:
        stocks.append((stocks[-1] + reward) / discount)
    stocks = jnp.stack(stocks)[:, None]
    seen, following = (StockObservation(jnp.zeros((5, 1)), part) for part in (stocks[:-1], stocks[1:]))
    nothing = jnp.zeros((5, 1), bool)
    trajectory = Trajectory(seen, nothing, rewards[:, None], nothing, nothing, following)
    transformation, utility = stock_reward(objective.utility, discount), objective.utility
    labelled, _ = transformation.update(trajectory, ())
    factor = discount ** (utility.degree or 0)
    gained = np.sum(factor ** np.arange(5) * labelled[:, 0])
    outcome = -0.3 + np.sum(discount ** np.arange(5) * np.asarray(rewards))
    expected = utility.f(jnp.float32(outcome)) - utility.f(jnp.float32(-0.3))
    np.testing.assert_allclose(gained, expected, atol=1e-5)
    assert transformation.relabel is not None
    np.testing.assert_array_equal(transformation.relabel(trajectory, ()), labelled)


def test_edited_stocks_follow_the_rewards_so_that_the_fixed_point_stays():
    rewards = jax.random.normal(jax.random.key(1), (500,))
    stock = jnp.zeros(500)
    batch = Transitions(
        StockObservation(jnp.zeros(500), stock), stock, rewards, stock > 0, StockObservation(jnp.ones(500), stock)
    )
    edited = stock_edit(6.0, 0.9)(jax.random.key(2), batch)
    np.testing.assert_allclose(0.9 * edited.next_observations.stock - edited.observations.stock, rewards, atol=1e-5)
    drawn = np.sort(edited.observations.stock)
    # Uniform by Kolmogorov and Smirnov, at a level of one in a thousand.
    assert np.abs(drawn - np.linspace(-6, 6, 500)).max() / 12 < 1.95 / np.sqrt(500)
    # The reward of the utility f(x) = x is the environment's own, whatever the stock: its values are a fixed point
    # with edited and unedited stocks alike.
    label = stock_reward(mean().utility, 0.9).relabel
    assert label is not None
    np.testing.assert_allclose(label(trajectory_of(edited), ())[0], rewards, atol=1e-5)


def test_outcomes_are_first_stocks_plus_returns():
    mdp = finite_mdp(np.ones((1, 1, 1)), np.ones((1, 1)), 0.5)
    environment = StockAugmented(TabularEnvironment(mdp, 3), 0.5, -1.0, 1.0)
    outcomes = evaluate_stocks(
        lambda observations: jnp.zeros(observations.stock.shape, jnp.int32),
        environment,
        environment.default_params,
        jax.random.key(0),
        jnp.array([-4.0, 0.25]),
        2,
        10,
    )
    np.testing.assert_allclose(outcomes, [[-2.25] * 2, [2.0] * 2], rtol=1e-6)


def test_the_score_is_the_expected_utility_from_the_stock():
    seen = StockObservation(jnp.zeros(2), jnp.array([-1.0, 2.0]))
    atoms = jnp.array([[[0.0, 4.0]], [[-3.0, 1.0]]])
    scores = utility_score(target(0.0).utility)(atoms, jnp.array([[[0.25, 0.75]]]), seen)
    np.testing.assert_allclose(scores, [[-0.25 - 2.25], [-0.25 - 2.25]])


@pytest.mark.parametrize("shape", [(5,), (8, 8, 2)])
def test_torsos_see_observation_and_stock_and_no_further_than_the_bound(shape):
    torso = stock_torso(Box(0, 1, shape), scalar_embedding("hat", 9), 10.0, (6,), 4)
    seen = StockObservation(jax.random.uniform(jax.random.key(0), (4, *shape)), jnp.array([-3.0, 5.0, 12.0, 99.0]))
    params = jax.jit(torso.init, compiler_options=QUICK_TO_COMPILE)(jax.random.key(1), seen)
    apply = jax.jit(torso.apply, compiler_options=QUICK_TO_COMPILE)
    features = apply(params, seen)
    alike = StockObservation(jnp.broadcast_to(seen.observation[:1], seen.observation.shape), seen.stock)
    same_state = apply(params, alike)
    np.testing.assert_allclose(same_state[2], same_state[3])
    assert not np.allclose(same_state[0], same_state[1]) and not np.allclose(features[1], same_state[1])


@pytest.mark.parametrize(
    ("fields", "utility", "message"),
    [
        ({"head": "quantiles"}, cvar(0.1).utility, "head: got 'quantiles', takes one of quantile"),
        ({"num_atoms": 1}, cvar(0.1).utility, "num_atoms: got 1"),
        ({"return_scale": -1.0}, cvar(0.1).utility, "return_scale: got -1.0"),
        ({"evaluation_stocks": ()}, cvar(0.1).utility, "evaluation_stocks: got"),
        ({}, homeostasis(1.0, 2.0).utility, "utility: got 'homeostasis', takes one of scalar outcomes"),
    ],
)
def test_refuses_bad_configurations(fields, utility, message):
    with pytest.raises(ValueError, match=message):
        d_eta_n(dataclasses.replace(BASE, **fields), TwoStage(), utility)


def test_gamma_is_that_of_the_process_where_there_is_one():
    with pytest.raises(ValueError, match=r"discount: got 0\.899999976.*, takes 1: exponential is not indifferent"):
        d_eta_n(BASE, TargetGrid3(), exponential(1.0).utility)
    cart_pole = make("gymnax/CartPole-v1")
    undiscounted = dataclasses.replace(BASE, return_scale=500.0)
    with pytest.raises(ValueError, match="return_scale: got None, takes a number above 0; only an environment with"):
        d_eta_n(BASE, cart_pole, target(0.0).utility)
    discounted = dataclasses.replace(undiscounted, learner=dataclasses.replace(BASE.learner, discount=0.9))
    with pytest.raises(ValueError, match=r"discount: got 0\.9, takes 1: exponential"):
        d_eta_n(discounted, cart_pole, exponential(1.0).utility)
