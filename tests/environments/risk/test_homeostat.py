"""Steps by hand, and what staying in a cell returns."""

import numpy as np
import pytest
from environments.risk.returns import always, assert_mean, play

from jaxrl_sparse.environments.risk.homeostat import Homeostat
from jaxrl_sparse.finite.solvers import finite_horizon

ENVIRONMENT = Homeostat()
MDP = ENVIRONMENT.mdp
LEFT, STAY, RIGHT = range(3)


@pytest.mark.parametrize(
    ("cell", "action", "after", "rewards"),
    [
        (0, STAY, 0, [(1.5, -0.5), (-0.5, -0.5)]),
        (1, LEFT, 0, [(1.5, -0.5), (-0.5, -0.5)]),
        (4, RIGHT, 0, [(1.5, -0.5), (-0.5, -0.5)]),
        (0, LEFT, 4, [(-0.5, -0.5)] * 2),
        (0, RIGHT, 1, [(-0.5, -0.5)] * 2),
        (1, RIGHT, 2, [(-0.5, 0.5)] * 2),
        (2, STAY, 2, [(-0.5, 0.5)] * 2),
        (3, LEFT, 2, [(-0.5, 0.5)] * 2),
        (3, RIGHT, 4, [(-0.5, -0.5)] * 2),
    ],
)
def test_rows_and_rewards_by_hand(cell, action, after, rewards):
    np.testing.assert_array_equal(MDP.probabilities[cell, action], [0.5, 0.5])
    np.testing.assert_array_equal(MDP.successors[cell, action], after)
    np.testing.assert_array_equal(MDP.rewards[cell, action], rewards)


def test_facts():
    assert (ENVIRONMENT.num_rewards, ENVIRONMENT.horizon, ENVIRONMENT.num_actions) == (2, 100, 3)
    np.testing.assert_allclose(ENVIRONMENT.discount, 0.9, rtol=1e-6)
    assert not MDP.terminal.any() and int(MDP.initial.argmax()) == 0


def test_returns_of_staying():
    """In cell 0 need 1 gains 0.5 a step on average, and need 2 falls by 0.5."""
    trajectory = play(ENVIRONMENT, always(ENVIRONMENT, STAY), 1000)
    returns = np.asarray(trajectory.extras["reward_vector"]).sum(axis=0)
    assert_mean(returns[:, 0], 50.0)
    np.testing.assert_array_equal(returns[:, 1], -50)
    np.testing.assert_array_equal(trajectory.truncated[:, 0], np.arange(100) == 99)


def test_the_best_of_each_need():
    """Need 1 by staying, need 2 from the third step on: its cell is two steps away."""
    weights = 0.9 ** np.arange(10)
    for component, expected in enumerate((0.5 * weights.sum(), 0.5 * weights[1:].sum() - 0.5)):
        values = finite_horizon(MDP._replace(rewards=MDP.rewards[..., component]), 10).values
        np.testing.assert_allclose(values[0, 0], expected, rtol=1e-5)


def test_options():
    environment = Homeostat(discount=0.5, max_steps_in_episode=3)
    assert (environment.discount, environment.horizon) == (0.5, 3)
    with pytest.raises(ValueError, match=r"discount: got 2\.0"):
        Homeostat(discount=2.0)
