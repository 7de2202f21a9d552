"""The table of the docstring, from the four outcomes of each policy there is."""

import itertools

import numpy as np
import pytest
from environments.risk.returns import always, assert_mean, returns_of

from jaxrl_sparse.environments.risk.two_stage import TwoStage
from jaxrl_sparse.finite.solvers import finite_horizon

ENVIRONMENT = TwoStage()
MDP = ENVIRONMENT.mdp


def test_rows_and_rewards_by_hand():
    np.testing.assert_array_equal(MDP.probabilities, np.full((3, 2, 2), 0.5))
    np.testing.assert_array_equal(MDP.rewards[0], [[0, 2], [0, 2]])
    np.testing.assert_array_equal(MDP.rewards[1], [[1, 1], [0, 3]])
    np.testing.assert_array_equal(np.unique(MDP.successors[0]), [1])
    np.testing.assert_array_equal(np.unique(MDP.successors[1]), [2])
    np.testing.assert_array_equal(MDP.terminal, [False, False, True])
    assert (ENVIRONMENT.horizon, ENVIRONMENT.discount) == (2, 1.0)


def test_the_best_mean():
    solution = finite_horizon(MDP, 2)
    assert float(solution.values[0, 0]) == 2.5
    assert ENVIRONMENT.action_names[int(solution.actions[1, 1])] == "risky"
    assert_mean(returns_of(ENVIRONMENT, solution.actions, 4000), 2.5)


def test_laws_of_the_two_policies():
    safe, risky = (returns_of(ENVIRONMENT, always(ENVIRONMENT, action), 4000) for action in (0, 1))
    for returns, support in ((safe, [1, 3]), (risky, [0, 2, 3, 5])):
        values, counts = np.unique(returns, return_counts=True)
        np.testing.assert_array_equal(values, support)
        np.testing.assert_allclose(counts / 4000, 1 / len(support), atol=0.035)


def cvar(returns, level):
    """The mean of the worst share of four equally likely returns."""
    shares = np.clip(4 * level - np.arange(4), 0, 1)
    return shares @ np.sort(returns) / (4 * level)


OBJECTIVES = {
    "mean": (np.mean, 2.5, 2.5),
    "CVaR .5": (lambda returns: cvar(returns, 0.5), 1.5, 1.0),
    "CVaR .75": (lambda returns: cvar(returns, 0.75), 2.0, 5 / 3),
    "P(G >= 3)": (lambda returns: np.mean(returns >= 3), 0.75, 0.5),
    "-E abs(G - 3)": (lambda returns: -np.mean(np.abs(returns - 3)), -0.75, -1.0),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_table(name):
    """A policy with the stock is one action after 0 and one after 2; without it they are the same."""
    objective, best, best_without = OBJECTIVES[name]
    first, second = np.asarray(MDP.rewards[0, 0]), np.asarray(MDP.rewards[1])
    worth = {
        actions: objective(np.concatenate([first[i] + second[actions[i]] for i in range(2)]))
        for actions in itertools.product(range(2), repeat=2)
    }
    np.testing.assert_allclose(max(worth.values()), best, rtol=1e-6)
    np.testing.assert_allclose(max(worth[a, a] for a in range(2)), best_without, rtol=1e-6)
    if name == "P(G >= 3)":
        assert worth[1, 0] == best
