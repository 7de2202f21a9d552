"""The best chance of a return by dynamic programming over round and winnings, and means by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from environments.risk.returns import always, assert_mean, returns_of
from scipy import stats

from jaxrl_sparse.environments.risk.gamble import Gamble
from jaxrl_sparse.finite.solvers import finite_horizon

ENVIRONMENT = Gamble()
MDP = ENVIRONMENT.mdp


def test_rows_and_rewards_by_hand():
    assert MDP.num_states == 11 and ENVIRONMENT.horizon == 10
    for s in range(10):
        np.testing.assert_allclose(MDP.probabilities[s], [[1, 0], [0.4, 0.6]], rtol=1e-6)
        np.testing.assert_array_equal(MDP.rewards[s], [[1, 1], [3, -1]])
        np.testing.assert_array_equal(MDP.successors[s], np.full((2, 2), s + 1))
    np.testing.assert_array_equal(MDP.terminal, np.arange(11) == 10)


def test_the_best_mean_is_safe():
    solution = finite_horizon(MDP, 10)
    np.testing.assert_allclose(solution.values[0, 0], 10.0, rtol=1e-6)
    np.testing.assert_array_equal(solution.actions[:, :10].diagonal(), 0)
    np.testing.assert_array_equal(returns_of(ENVIRONMENT, solution.actions, 20), 10.0)


def best_chance(target, left):
    """P(return >= target) from the arrays of the environment, as a recursion over what is still to be won."""
    chances = {won: float(won >= target) for won in range(-10, 31)}
    probabilities, rewards = np.asarray(MDP.probabilities[0], float), np.asarray(MDP.rewards[0], int)
    for n in range(left):
        reach = 10 - n
        chances = {
            won: max(probabilities[a] @ [chances[min(max(won + r, -10), 30)] for r in rewards[a]] for a in range(2))
            for won in range(-reach, 3 * reach + 1)
        }
    return chances[0]


@pytest.mark.parametrize(
    ("target", "chance"), [(10, 1.0), (12, 0.588307), (14, 0.336141), (16, 0.168030), (20, 0.034324), (24, 0.004391)]
)
def test_the_best_chances(target, chance):
    np.testing.assert_allclose(best_chance(target, 10), chance, atol=2e-6)


def test_returns_of_bets_are_binomial():
    returns = returns_of(ENVIRONMENT, always(ENVIRONMENT, 1), 4000)
    assert_mean(returns, 10 * (0.4 * 3 - 0.6))
    counts = np.bincount(((returns + 10) / 4).astype(int), minlength=11)
    expected = 4000 * stats.binom(10, 0.4).pmf(np.arange(11))
    assert stats.chisquare([*counts[:8], counts[8:].sum()], [*expected[:8], expected[8:].sum()]).pvalue > 1e-4


def test_options():
    environment = Gamble(num_rounds=3, win_probability=1.0)
    np.testing.assert_array_equal(returns_of(environment, jnp.ones((3, 4), jnp.int32), 5), 9.0)
    assert environment.state_names == ("round 1", "round 2", "round 3", "end")
    with pytest.raises(ValueError, match="num_rounds: got 0, takes an integer of at least 1"):
        Gamble(num_rounds=0)
    with pytest.raises(ValueError, match=r"win_probability: got 1.5, takes a number in \[0, 1\]"):
        Gamble(win_probability=1.5)
