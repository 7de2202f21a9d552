"""Rewards by hand, and the extremes of the returns that can be generated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environments.risk.returns import play

from jaxrl_sparse.environments.risk.target_grid import TargetGrid3
from jaxrl_sparse.environments.stock import StockAugmented
from jaxrl_sparse.finite.mdp import return_bounds
from jaxrl_sparse.finite.solvers import finite_horizon, policy_iteration

ENVIRONMENT = TargetGrid3()
MDP = ENVIRONMENT.mdp
CENTRE = 4
STAY, UP, RIGHT, DOWN, LEFT = range(5)


def step(environment, cell, action):
    _, state = environment.reset_env(jax.random.key(0), environment.default_params)
    _, state, reward, terminated, _ = environment.step_env(
        jax.random.key(0), state.replace(state=jnp.int32(cell)), jnp.int32(action), environment.default_params
    )
    return int(state.state), float(reward), bool(terminated)


@pytest.mark.parametrize(
    ("cell", "action", "expected"),
    [
        (CENTRE, STAY, (4, 0.0, False)),
        (CENTRE, UP, (1, 0.0, False)),
        (1, LEFT, (0, 1.0, False)),
        (0, STAY, (0, 1.0, False)),
        (0, UP, (0, 1.0, False)),
        (0, RIGHT, (1, 0.0, False)),
        (5, DOWN, (8, -1.0, False)),
        (7, RIGHT, (8, -1.0, False)),
        (8, STAY, (8, -1.0, False)),
    ],
)
def test_steps_by_hand(cell, action, expected):
    assert step(ENVIRONMENT, cell, action) == expected


def test_it_starts_in_the_centre_and_nothing_is_random():
    np.testing.assert_array_equal(MDP.initial, np.eye(9)[CENTRE])
    assert MDP.num_outcomes == 1 and not MDP.terminal.any()
    assert (ENVIRONMENT.horizon, ENVIRONMENT.state_names[CENTRE]) == (80, "(1,1)")


@pytest.mark.slow
def test_the_best_return_is_nine():
    """The first step cannot pay: 0 + 0.9 (1 + 0.9 + ...) = 9; and -9 by symmetry."""
    np.testing.assert_allclose(policy_iteration(MDP).values[CENTRE], 0.9 / (1 - 0.9), rtol=1e-5)
    opposite = MDP._replace(rewards=-MDP.rewards)
    np.testing.assert_allclose(policy_iteration(opposite).values[CENTRE], 9.0, rtol=1e-5)
    low, high = return_bounds(MDP, 200)
    np.testing.assert_allclose((low, high), (-10, 10), rtol=1e-5)


def test_a_rollout_of_the_best_policy_returns_what_the_horizon_says():
    """The rest after 80 steps is 10 gamma^80; the stock that started at -9 has the same gap."""
    solution = finite_horizon(MDP, 80)
    trajectory = play(ENVIRONMENT, solution.actions, 2)
    returns = 0.9 ** np.arange(80) @ np.asarray(trajectory.rewards, float)
    np.testing.assert_allclose(returns, solution.values[0, CENTRE], rtol=1e-5)
    np.testing.assert_allclose(returns, 9 - 10 * 0.9**80, rtol=1e-5)
    np.testing.assert_array_equal(trajectory.truncated[:, 0], np.arange(80) == 79)
    assert not trajectory.terminated.any()


def test_the_stock_of_a_generated_return():
    """From c_0 = -0.9, one stay in the paying corner in the second step ends at a stock of zero."""
    environment = StockAugmented(ENVIRONMENT, ENVIRONMENT.discount, -0.9, -0.9)
    params = environment.default_params
    _, state = environment.reset_env(jax.random.key(0), params)
    stocks = []
    for action in (UP, LEFT, RIGHT):
        _, state, _, _, _ = environment.step_env(jax.random.key(0), state, jnp.int32(action), params)
        stocks.append(float(state.stock))
    np.testing.assert_allclose(stocks, [-1, 0, 0], atol=1e-6)


def test_options():
    environment = TargetGrid3(discount=0.5, max_steps_in_episode=7)
    assert (environment.discount, environment.horizon) == (0.5, 7)
    with pytest.raises(ValueError, match=r"discount: got 0\.0"):
        TargetGrid3(discount=0.0)
    with pytest.raises(ValueError, match="max_steps_in_episode: got 0"):
        TargetGrid3(max_steps_in_episode=0)
