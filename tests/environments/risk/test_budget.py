"""Rows by hand, means, and the constrained optimum by a recursion over step and cost."""

import functools

import numpy as np
import pytest
from environments.risk.returns import always, assert_mean, play

from jaxrl_sparse.environments.risk.budget import Budget
from jaxrl_sparse.finite.solvers import finite_horizon

ENVIRONMENT = Budget()
MDP = ENVIRONMENT.mdp


def test_rows_and_rewards_by_hand():
    assert (MDP.num_states, MDP.num_rewards, ENVIRONMENT.horizon, ENVIRONMENT.num_rewards) == (9, 2, 8, 2)
    for s in range(8):
        np.testing.assert_array_equal(MDP.probabilities[s], [[1, 0], [0.5, 0.5]])
        np.testing.assert_array_equal(MDP.rewards[s], [[[1, 0], [1, 0]], [[2, 0], [2, 1]]])
        np.testing.assert_array_equal(MDP.successors[s], np.full((2, 2), s + 1))
    np.testing.assert_array_equal(MDP.terminal, np.arange(9) == 8)


@pytest.mark.parametrize(("action", "reward", "cost"), [(0, 8, 0), (1, 16, 4)])
def test_both_returns_of_episodes(action, reward, cost):
    trajectory = play(ENVIRONMENT, always(ENVIRONMENT, action), 2000)
    returns = np.asarray(trajectory.extras["reward_vector"]).sum(axis=0)
    np.testing.assert_array_equal(returns[:, 0], reward)
    assert_mean(returns[:, 1], cost)
    np.testing.assert_array_equal(trajectory.rewards.sum(axis=0), reward)
    np.testing.assert_array_equal(trajectory.terminated[:, 0], np.arange(8) == 7)


def test_each_component_has_its_own_optimum():
    for component, expected in enumerate((16.0, 4.0)):
        values = finite_horizon(MDP._replace(rewards=MDP.rewards[..., component]), 8).values
        np.testing.assert_allclose(values[0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("penalty", "expected"), [(0, 16.0), (0.5, 14.980469), (1, 13.960938), (2, 11.921875), (10, 11.921875)]
)
def test_the_constrained_optimum(penalty, expected):
    probabilities, rewards = np.asarray(MDP.probabilities[0]), np.asarray(MDP.rewards[0], int)

    @functools.cache
    def best(left, cost):
        if left == 0:
            return -penalty * max(cost - 2, 0)
        return max(
            sum(
                probabilities[a, b] * (rewards[a, b, 0] + best(left - 1, cost + int(rewards[a, b, 1])))
                for b in range(2)
            )
            for a in range(2)
        )

    np.testing.assert_allclose(best(8, 0), expected, atol=1e-6)


def test_options():
    assert Budget(num_steps=3).mdp.num_states == 4
    with pytest.raises(ValueError, match="num_steps: got 0, takes an integer of at least 1"):
        Budget(num_steps=0)
