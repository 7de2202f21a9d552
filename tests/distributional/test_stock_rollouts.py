"""Episodes of stock policies: the identity of the stock at all times, exact laws, and whose turn it is."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.distributional.objectives import reward_constraint
from jaxrl_sparse.distributional.stock_rollouts import rollout_stock_policy
from jaxrl_sparse.distributional.stock_value_iteration import stock_value_iteration
from jaxrl_sparse.environments.risk import Budget
from jaxrl_sparse.finite.mdp import finite_mdp

quick = partial(jax.jit, compiler_options=QUICK_TO_COMPILE)
STOCKS = jnp.linspace(-4, 4, 17)
BATCH, NUM_STEPS = 500, 12


def process(kind="outcomes", discount=0.8, seed=0):
    """Five states, the last of which ends; dense, or with two outcomes of each action."""
    rng = np.random.default_rng(seed)
    width = 5 if kind == "dense" else 2
    rewards = rng.uniform(-1, 1, size=(5, 3) if kind == "dense" else (5, 3, 2))
    return finite_mdp(
        rng.dirichlet(np.ones(width), size=(5, 3)),
        rewards,
        discount,
        terminal=np.arange(5) == 4,
        initial=[0.5, 0.25, 0.25, 0, 0],
        successors=None if kind == "dense" else rng.integers(5, size=(5, 3, 2)),
    )


roll = quick(partial(rollout_stock_policy, stocks=STOCKS, num_steps=NUM_STEPS))
ACTIONS = jnp.asarray(np.random.default_rng(1).integers(3, size=(5, 17)), jnp.int32)


@pytest.mark.parametrize("discount", [1.0, 0.9, 0.5])
@pytest.mark.parametrize("kind", ["dense", "outcomes"])
def test_the_stock_keeps_the_outcome_at_every_length(kind, discount):
    """`gamma^T c_T = c_0 + G`, whenever the episode ended."""
    initial = jnp.linspace(-5, 5, BATCH)
    episodes = roll(jax.random.key(0), process(kind, discount), ACTIONS, initial_stocks=initial)
    lengths = np.asarray(episodes.lengths)
    assert lengths.min() < NUM_STEPS / 2 < lengths.max() == NUM_STEPS
    np.testing.assert_allclose(discount**lengths * np.asarray(episodes.stocks), episodes.outcomes, atol=1e-4)
    np.testing.assert_allclose(episodes.outcomes, initial + episodes.returns, atol=1e-6)
    assert (np.asarray(episodes.terminated) | (lengths == NUM_STEPS)).all()
    assert (np.asarray(episodes.terminated)[lengths < NUM_STEPS]).all()


def test_a_prescribed_course_by_hand():
    """0 -> 1 -> 2 -> end, rewards 1, 2, 4 at gamma 1/2: G = 1 + 1 + 1, stocks c, 2(c + 1), 2(2c + 4), 2(4c + 12)."""
    successors = np.array([1, 2, 3, 3])[:, None, None]
    mdp = finite_mdp(
        np.ones((4, 1, 1)), [[1.0], [2.0], [4.0], [9.0]], 0.5, terminal=np.arange(4) == 3, successors=successors
    )
    initial = jnp.array([-3.0, 0.0, 1.0])
    episodes = rollout_stock_policy(jax.random.key(0), mdp, jnp.zeros((4, 17), jnp.int32), STOCKS, initial, 6)
    np.testing.assert_array_equal(episodes.returns, 3)
    np.testing.assert_array_equal(episodes.outcomes, initial + 3)
    np.testing.assert_array_equal(episodes.stocks, 8 * initial + 24)
    np.testing.assert_array_equal(episodes.lengths, 3)
    assert episodes.terminated.all()
    # Cut after two steps, gamma^2 of what is left is not paid.
    cut = rollout_stock_policy(jax.random.key(0), mdp, jnp.zeros((4, 17), jnp.int32), STOCKS, initial, 2)
    np.testing.assert_array_equal(cut.returns, 2)
    assert not cut.terminated.any()


def test_the_policy_sees_the_exact_stock_rounded_and_clipped():
    """One state; the action is the number of the stock that was seen, and the reward tells the action."""
    mdp = finite_mdp(np.ones((1, 17, 1)), np.arange(17.0)[None] / 16, 0.5)
    actions = jnp.arange(17, dtype=jnp.int32)[None]
    initial = jnp.array([-9.0, -3.3, -0.2, 0.26, 9.0])
    episodes = rollout_stock_policy(jax.random.key(0), mdp, actions, STOCKS, initial, 3)
    expected = []
    for stock in np.asarray(initial, float):
        total = 0.0
        for t in range(3):
            seen = np.abs(np.asarray(STOCKS) - stock).argmin()
            total += 0.5**t * seen / 16
            stock = (stock + seen / 16) / 0.5
        expected.append(total)
    np.testing.assert_allclose(episodes.returns, expected, atol=1e-6)


def test_actions_of_every_step_are_taken_in_turn():
    mdp = finite_mdp(np.ones((1, 3, 1)), [[0.0, 1.0, 10.0]], 1.0)
    by_step = jnp.broadcast_to(jnp.array([2, 0, 1, 1], jnp.int32)[:, None, None], (4, 1, 17))
    initial = jnp.zeros(2)
    episodes = rollout_stock_policy(
        jax.random.key(0), mdp._replace(discount=jnp.float32(0.5)), by_step, STOCKS, initial, 4
    )
    np.testing.assert_allclose(episodes.returns, 10 + 0.25 + 0.125)


def test_outcomes_and_first_states_have_their_probabilities():
    rng = np.random.default_rng(2)
    probabilities = np.array([0.5, 0.0, 0.3, 0.2, 0.0])
    mdp = finite_mdp(
        np.broadcast_to(probabilities, (3, 1, 5)),
        # Every first state and outcome has a reward of its own.
        10.0 * np.arange(3)[:, None, None] + np.arange(5.0),
        1.0,
        initial=[0.25, 0.0, 0.75],
        successors=rng.integers(3, size=(3, 1, 5)),
    )
    count = 40_000
    returns = quick(
        lambda key: rollout_stock_policy(key, mdp, jnp.zeros((3, 17), jnp.int32), STOCKS, jnp.zeros(count), 1).returns
    )(jax.random.key(3))
    rewards = 10.0 * np.arange(3)[:, None] + np.arange(5.0)
    expected = np.array([0.25, 0.0, 0.75])[:, None] * probabilities
    frequencies = (np.asarray(returns)[:, None, None] == rewards).mean(0)
    assert (np.abs(frequencies - expected) <= 5 * np.sqrt(expected * (1 - expected) / count)).all()


def test_an_outcome_that_cannot_happen_never_does_although_the_others_fall_short_of_one():
    """The sum is .999992, as by rounding: the rest belongs to the last outcome that can happen."""
    weights = np.array([0.5, 0.499992, 0.0])
    mdp = finite_mdp(weights[None, None], [[[0.0, 1.0, 7.0]]], 1.0, successors=np.zeros((1, 1, 3), int))
    count = 2_000_000
    returns = jax.jit(
        lambda key: rollout_stock_policy(key, mdp, jnp.zeros((1, 17), jnp.int32), STOCKS, jnp.zeros(count), 1).returns
    )(jax.random.key(4))
    assert float(returns.max()) == 1


def test_keys_decide():
    first, again, other = (
        roll(jax.random.key(seed), process(), ACTIONS, initial_stocks=jnp.zeros(9)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.returns, again.returns)
    assert (np.asarray(first.returns) != np.asarray(other.returns)).any()


def test_vector_stocks_are_kept_one_by_one():
    """The best of the budget: fast until two costs are paid, then slow."""
    mdp = Budget().mdp
    grids = (jnp.arange(-16.0, 1.0), jnp.arange(-10.0, 9.0))
    plan = quick(
        lambda mdp: stock_value_iteration(mdp, grids, reward_constraint(2.0, 10.0).utility, 8, keep_actions=True)
    )(mdp)
    count = 20_000
    initial = jnp.broadcast_to(jnp.array([0.0, -2.0]), (count, 2))
    episodes = quick(lambda key: rollout_stock_policy(key, mdp, plan.actions, grids, initial, 8))(jax.random.key(5))
    np.testing.assert_allclose(episodes.stocks, episodes.outcomes, atol=1e-5)
    np.testing.assert_allclose(episodes.outcomes, initial + episodes.returns, atol=1e-5)
    earned, spent = np.asarray(episodes.returns).T
    assert spent.max() == 2
    assert abs(earned.mean() - 11.921875) <= 5 * earned.std() / np.sqrt(count)
    assert episodes.terminated.all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: rollout_stock_policy(jax.random.key(0), process(), ACTIONS, STOCKS, jnp.zeros(2), 0),
            "num_steps: got 0, takes an integer of at least 1",
        ),
        (
            lambda: rollout_stock_policy(
                jax.random.key(0), process(), jnp.zeros((3, 5, 17), jnp.int32), STOCKS, jnp.zeros(2), 4
            ),
            r"actions: got \(3, 5, 17\), takes \[S, \*C\], or \[4, S, \*C\] with the actions of every step",
        ),
        (
            lambda: rollout_stock_policy(
                jax.random.key(0), process(), jnp.zeros(5, jnp.int32), STOCKS, jnp.zeros(2), 4
            ),
            r"actions: got \(5,\), takes",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
