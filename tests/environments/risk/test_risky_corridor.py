"""Steps by hand, and the laws of the straight way and of the detour."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environments.risk.returns import always, assert_mean, play, returns_of
from scipy import stats

from jaxrl_sparse.environments.risk.risky_corridor import RiskyCorridor
from jaxrl_sparse.finite.solvers import finite_horizon

ENVIRONMENT = RiskyCorridor()
MDP = ENVIRONMENT.mdp
UP, RIGHT, DOWN, LEFT = range(4)
CELLS = {name: number for number, name in enumerate(ENVIRONMENT.state_names)}
START, GOAL = CELLS["(3,0)"], CELLS["(3,5)"]
# Up, five times right, down.
DETOUR = jnp.zeros((20, 24), jnp.int32).at[1:6].set(RIGHT).at[6].set(DOWN)


@pytest.mark.parametrize(
    ("cell", "action", "after", "probabilities", "rewards"),
    [
        ("(3,0)", UP, "(2,0)", [1, 0], [-2, -12]),
        ("(3,0)", RIGHT, "(3,1)", [0.95, 0.05], [-2, -12]),
        ("(3,0)", DOWN, "(3,0)", [1, 0], [-2, -12]),
        ("(3,2)", DOWN, "(3,2)", [0.95, 0.05], [-2, -12]),
        ("(2,4)", DOWN, "(3,4)", [0.95, 0.05], [-2, -12]),
        ("(3,4)", RIGHT, "(3,5)", [1, 0], [28, 18]),
        ("(2,5)", DOWN, "(3,5)", [1, 0], [28, 18]),
        ("(0,0)", LEFT, "(0,0)", [1, 0], [-2, -12]),
        ("(0,3)", UP, "(0,3)", [1, 0], [-2, -12]),
    ],
)
def test_rows_and_rewards_by_hand(cell, action, after, probabilities, rewards):
    s = CELLS[cell]
    np.testing.assert_array_equal(MDP.successors[s, action], CELLS[after])
    np.testing.assert_allclose(MDP.probabilities[s, action], probabilities, rtol=1e-6)
    np.testing.assert_array_equal(MDP.rewards[s, action], rewards)


def test_start_goal_and_limit():
    np.testing.assert_array_equal(MDP.initial, np.eye(24)[START])
    np.testing.assert_array_equal(MDP.terminal, np.arange(24) == GOAL)
    assert (ENVIRONMENT.horizon, ENVIRONMENT.discount) == (20, 1.0)


def test_the_best_mean_goes_straight():
    solution = finite_horizon(MDP, 20)
    np.testing.assert_allclose(solution.values[0, START], 18.0, rtol=1e-5)
    np.testing.assert_array_equal(solution.actions[0, [18, 19, 20, 21, 22]], RIGHT)
    assert_mean(returns_of(ENVIRONMENT, solution.actions, 2000), 18.0)


def test_the_law_of_the_straight_way_is_binomial():
    returns = returns_of(ENVIRONMENT, always(ENVIRONMENT, RIGHT), 4000)
    accidents = ((20 - returns) / 10).astype(int)
    law = stats.binom(4, 0.05).pmf(np.arange(5))
    np.testing.assert_allclose(law[:4], [0.8145, 0.1715, 0.0135, 0.0005], atol=5e-5)
    shares = np.bincount(accidents, minlength=5) / 4000
    np.testing.assert_array_less(np.abs(shares - law), 4 * np.sqrt(law * (1 - law) / 4000) + 1e-3)


def test_the_detour_is_safe():
    np.testing.assert_array_equal(returns_of(ENVIRONMENT, DETOUR, 50), 16.0)


def test_who_stays_is_truncated():
    trajectory = play(ENVIRONMENT, jnp.zeros((20, 24), jnp.int32), 1)
    np.testing.assert_array_equal(trajectory.truncated[:, 0], np.arange(20) == 19)
    assert not trajectory.terminated.any() and float(trajectory.rewards.sum()) == -40


@pytest.mark.parametrize(("hazard", "expected"), [(0.0, 20.0), (0.1, 16.0), (0.2, 16.0)])
def test_the_best_mean_of_other_hazards(hazard, expected):
    """20 - 40 hazard along the bottom, 16 around it."""
    np.testing.assert_allclose(finite_horizon(RiskyCorridor(hazard).mdp, 20).values[0, START], expected, rtol=1e-5)


def test_the_hazard_is_swept_in_the_parameters():
    params = ENVIRONMENT.default_params
    straight = jnp.array([1.0, 0.0])

    def reward(share):
        rows = MDP.probabilities.at[START, RIGHT].set(share * straight + (1 - share) * straight[::-1])
        _, state = ENVIRONMENT.reset_env(jax.random.key(0), params)
        swept = params.replace(mdp=MDP._replace(probabilities=rows))
        return ENVIRONMENT.step_env(jax.random.key(1), state, jnp.int32(RIGHT), swept)[2]

    np.testing.assert_array_equal(jax.vmap(reward)(jnp.array([1.0, 0.0])), [-2, -12])


def test_refusals():
    with pytest.raises(ValueError, match=r"hazard: got -0.1, takes a number in \[0, 1\]"):
        RiskyCorridor(hazard=-0.1)
