"""The identity `c_0 + G_0 = gamma^t (c_t + G_t)` on random episodes, and what a stock must leave alone."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from environments.probes import Counter, Drift, assert_trees_close

from jaxrl_sparse.environments.make import make
from jaxrl_sparse.environments.rollouts import rollout, start_rollout
from jaxrl_sparse.environments.stock import StockAugmented, StockObservation, stock_update
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.environments.wrappers import TimeLimit
from jaxrl_sparse.finite.mdp import finite_mdp

RANDOM = np.random.default_rng(0)
NUM_ENVIRONMENTS = 8


def random_rewards(*shape):
    """Four states that lead anywhere, and random rewards of a shape."""
    table = RANDOM.dirichlet(np.ones(4), size=(4, 2))
    return TabularEnvironment(finite_mdp(table, RANDOM.normal(size=(4, 2, 4, *shape)), 0.9), 6)


def play(environment, num_steps, actions_below=2, info_entries=(), dtype=jnp.int32):
    """A rollout of a batch with random actions."""
    vectorized, params = vectorize(environment, NUM_ENVIRONMENTS), environment.default_params

    def policy(key, observations):
        return jax.random.randint(key, (NUM_ENVIRONMENTS,), 0, actions_below).astype(dtype), {}

    def run(key):
        state = start_rollout(vectorized, key, params)
        return rollout(vectorized, policy, num_steps, state, params, info_entries)[0]

    return jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(7))


def assert_identity(trajectory, rewards, discount, **tolerances):
    """Along every whole episode of a rollout; returns how many there were.

    From the first stock and the rewards alone: gamma^t (c_t + G_t) is the same for all t, G by backward summation.
    """
    stocks, next_stocks = np.asarray(trajectory.observations.stock), np.asarray(trajectory.next_observations.stock)
    dones, rewards = np.asarray(trajectory.dones), np.asarray(rewards, np.float64)
    count = 0
    for row in range(dones.shape[1]):
        ends = np.flatnonzero(dones[:, row])
        for start, end in zip([0, *(ends[:-1] + 1)], ends, strict=True):
            following = np.zeros(rewards.shape[2:])
            outcomes = [discount ** (end + 1 - start) * next_stocks[end, row]]
            for t in range(end, start - 1, -1):
                following = rewards[t, row] + discount * following
                outcomes.append(discount ** (t - start) * (stocks[t, row] + following))
            np.testing.assert_allclose(outcomes, np.broadcast_to(outcomes[-1], np.shape(outcomes)), **tolerances)
            count += 1
    return count


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_identity_on_random_episodes(discount):
    trajectory = play(StockAugmented(random_rewards(), discount, -2.0, 3.0), 20)
    assert assert_identity(trajectory, trajectory.rewards, discount, atol=1e-5) == 3 * NUM_ENVIRONMENTS
    assert np.abs(np.diff(trajectory.observations.stock, axis=0)).min() > 1e-6


def test_identity_of_vector_rewards():
    environment = StockAugmented(random_rewards(3), 0.9, (-1.0, 0.0, 2.0), (1.0, 0.0, 3.0))
    trajectory = play(environment, 20, info_entries=("reward_vector",))
    assert trajectory.observations.stock.shape == (20, NUM_ENVIRONMENTS, 3)
    vectors = trajectory.extras["reward_vector"]
    assert assert_identity(trajectory, vectors, 0.9, atol=1e-5) == 3 * NUM_ENVIRONMENTS
    first = np.asarray(trajectory.observations.stock[0])
    assert (first >= [-1, 0, 2]).all() and (first <= [1, 0, 3]).all() and (first[:, 1] == 0).all()
    np.testing.assert_array_equal(trajectory.rewards, vectors[..., 0])


def test_identity_on_gymnax_cartpole():
    trajectory = play(StockAugmented(make("gymnax/CartPole-v1"), 0.95, -20.0, 0.0), 60)
    assert assert_identity(trajectory, trajectory.rewards, 0.95, atol=1e-4) >= NUM_ENVIRONMENTS
    assert trajectory.observations.observation.shape == (60, NUM_ENVIRONMENTS, 4)


@pytest.mark.parametrize("outside", [False, True])
def test_identity_within_another_time_limit(outside):
    inner = random_rewards()
    limited = (
        TimeLimit(StockAugmented(inner, 0.9, 0.0, 1.0), 4)
        if outside
        else StockAugmented(TimeLimit(inner, 4), 0.9, 0.0, 1.0)
    )
    trajectory = play(limited, 8)
    np.testing.assert_array_equal(trajectory.truncated[:, 0], [0, 0, 0, 1, 0, 0, 0, 1])
    assert assert_identity(trajectory, trajectory.rewards, 0.9, atol=1e-5) == 2 * NUM_ENVIRONMENTS


def test_a_time_limit_outside_limits_a_gymnax_environment_inside():
    trajectory = play(TimeLimit(StockAugmented(make("gymnax/CartPole-v1"), 1.0, 0.0, 0.0), 3), 6)
    np.testing.assert_array_equal(trajectory.truncated[:, 0], [0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(trajectory.next_observations.stock[:, 0], [1, 2, 3, 1, 2, 3])


def test_an_episode_starts_with_a_fresh_stock_and_the_final_observation_holds_the_old_one():
    trajectory = play(StockAugmented(random_rewards(), 0.9, 100.0, 200.0), 12)
    stocks, final = trajectory.observations.stock, trajectory.next_observations.stock
    np.testing.assert_array_equal(trajectory.dones[:, 0], [0, 0, 0, 0, 0, 1] * 2)
    expected = np.asarray(stock_update(stocks[5], trajectory.rewards[5], 0.9))
    np.testing.assert_allclose(final[5], expected, rtol=1e-6)
    # Six steps at 0.9 double a stock: one that was not drawn anew would be above 180.
    first = np.asarray(stocks[jnp.array([0, 6])])
    assert (first >= 100).all() and (first <= 200).all() and len(np.unique(first)) == 2 * NUM_ENVIRONMENTS
    assert first[0].min() < 150 < first[0].max()


def test_bounds_that_are_equal_give_exactly_that_stock():
    trajectory = play(StockAugmented(random_rewards(), 0.9, -0.1, -0.1), 7)
    np.testing.assert_array_equal(trajectory.observations.stock[jnp.array([0, 6])], np.float32(-0.1))


def test_the_stock_leaves_the_environments_course_alone():
    inner = Drift()
    environment = StockAugmented(inner, 0.5, 0.0, 1.0)
    _, state = environment.reset_env(jax.random.key(0), environment.default_params)
    action = jnp.zeros(2)
    ours = environment.step_env(jax.random.key(1), state, action, environment.default_params)
    expected = inner.step_env(jax.random.key(1), state.inner, action, inner.default_params)
    assert_trees_close((ours[0].observation, ours[1].inner, *ours[2:]), expected)
    assert int(ours[1].time) == 1


def test_stock_update_by_hand():
    np.testing.assert_allclose(stock_update(jnp.float32(1.0), jnp.float32(0.5), 0.75), 2.0)
    np.testing.assert_array_equal(stock_update(jnp.array([1.0, -1.0]), jnp.array([0.0, 3.0]), 0.5), [2, 4])


def test_discount_and_bounds_are_leaves_that_are_swept():
    environment = StockAugmented(Counter(), 1.0, 0.0, 0.0)
    params = environment.default_params

    def stock_after_one(discount, stock):
        swept = params.replace(discount=discount, low=stock, high=stock)
        _, state = environment.reset_env(jax.random.key(0), swept)
        return environment.step_env(jax.random.key(0), state, jnp.float32(1.0), swept)[1].stock

    stocks = jax.vmap(stock_after_one)(jnp.array([1.0, 0.5]), jnp.array([0.0, 3.0]))
    np.testing.assert_array_equal(stocks, [1, 8])
    longer = params.replace(max_steps_in_episode=9, low=-1.0)
    assert (longer.max_steps_in_episode, longer.inner.max_steps_in_episode, longer.low) == (9, 9, -1.0)


def test_spaces():
    environment = StockAugmented(random_rewards(3), 0.9, 0.0, 1.0)
    space = environment.observation_space(environment.default_params)
    assert isinstance(space, StockObservation)
    assert (space.observation.shape, space.stock.shape) == ((4,), (3,))
    assert environment.num_actions == 2 and environment.num_rewards == 3


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_are_the_same_environment(duplicate):
    environment = StockAugmented(Counter(), 0.9, 0.0, 1.0)
    assert duplicate(environment).default_params == environment.default_params


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.0, 1.0), r"discount: got 0.0, takes a number in \(0, 1\]"),
        ((1.1, 0.0, 1.0), "discount: got 1.1"),
        ((0.9, (0.0, 1.0), 1.0), r"low: got \(0.0, 1.0\), takes a finite number"),
        ((0.9, 0.0, np.inf), "high: got inf, takes a finite number"),
        ((0.9, 2.0, 1.0), r"low: got \(2.0, 1.0\), takes at most `high`"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        StockAugmented(Counter(), *arguments)


def test_bounds_of_vectors_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"low: got .*, takes a finite number, or 3 of them"):
        StockAugmented(random_rewards(3), 0.9, (0.0, 1.0), 1.0)
