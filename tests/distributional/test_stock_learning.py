import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.base import Trajectory
from jaxrl_sparse.distributional.objectives import cvar, exponential, mean, optimistic_cvar, probability, target
from jaxrl_sparse.distributional.stock_learning import stock_edit, stock_reward, stock_torso, utility_score
from jaxrl_sparse.environments.spaces import Box
from jaxrl_sparse.environments.stock import StockObservation
from jaxrl_sparse.learners.replay import Transitions, trajectory_of
from jaxrl_sparse.networks.scalar_embeddings import scalar_embedding


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


@pytest.mark.parametrize("objective", [mean(), cvar(0.1), optimistic_cvar(0.1), target(0.0)])
def test_stocks_beyond_the_bound_and_infinite_ones_pay_the_slope_of_the_utility(objective):
    stocks = jnp.array([[-math.inf, -1e30, -7.0, 7.0, 1e30, math.inf]])
    rewards = jax.random.uniform(jax.random.key(0), stocks.shape, minval=-1.0, maxval=1.0)
    nothing = jnp.zeros(stocks.shape, bool)
    seen, following = (StockObservation(nothing, part) for part in (stocks, (stocks + rewards) / 0.9))
    trajectory = Trajectory(seen, nothing, rewards, nothing, nothing, following)
    labelled, _ = stock_reward(objective.utility, 0.9, 5.0).update(trajectory, ())
    left, right = objective.utility.slopes
    np.testing.assert_allclose(labelled, np.array([[left] * 3 + [right] * 3]) * rewards, atol=1e-5)


def test_the_score_is_the_expected_utility_from_the_stock():
    seen = StockObservation(jnp.zeros(2), jnp.array([-1.0, 2.0]))
    atoms = jnp.array([[[0.0, 4.0]], [[-3.0, 1.0]]])
    scores = utility_score(target(0.0).utility)(atoms, jnp.array([[[0.25, 0.75]]]), seen)
    np.testing.assert_allclose(scores, [[-0.25 - 2.25], [-0.25 - 2.25]])


@pytest.mark.parametrize(
    ("objective", "below", "above"),
    [
        # Of 0 and 4 by halves against 1.5: the mean where the stock is beyond all returns, if there is a slope.
        (mean(), 0, 0),
        (target(0.0), 0, 1),
        (target(0.0, 2.0), 0, 1),
        (cvar(0.1), 0, None),
        (optimistic_cvar(0.1), None, 0),
        (probability(0.0), None, None),
    ],
)
@pytest.mark.parametrize("size", [7.0, 1e30, math.inf])
def test_actions_are_told_apart_however_large_the_stock(objective, below, above, size):
    seen = StockObservation(jnp.zeros(2), jnp.array([-size, size]))
    atoms = jnp.broadcast_to(jnp.array([[0.0, 4.0], [1.5, 1.5]]), (2, 2, 2))
    scores = utility_score(objective.utility, 5.0)(atoms, jnp.full((1, 1, 2), 0.5), seen)
    assert np.isfinite(scores).all()
    for row, best in zip(np.asarray(scores), (below, above), strict=True):
        assert np.ptp(row) == 0 if best is None else np.argmax(row) == best and np.ptp(row) > 0.1


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
