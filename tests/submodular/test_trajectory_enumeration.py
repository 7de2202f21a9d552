import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from submodular.grid_tables import block_footprint, successors

from jaxrl_sparse.submodular import coverage, enumerate_trajectories, expected_value, trajectory_values


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


GRID = np.ones((2, 3), bool)
TABLE, START, HORIZON = successors(GRID), 1, 4
COVERAGE = coverage(np.arange(1.0, 7.0), block_footprint(GRID))
TRAJECTORIES = quick(lambda: enumerate_trajectories(TABLE, START, HORIZON))()
VALUES = quick(lambda: trajectory_values(COVERAGE, TRAJECTORIES))()

# Cells 0 to 3 from left to right: one unit to the left of the start 1, three units two cells to its right.
CORRIDOR, CORRIDOR_START = jnp.array([[0, 1], [0, 2], [1, 3], [2, 3]]), 1
CORRIDOR_COVERAGE = coverage([1.0, 0.0, 0.0, 3.0], np.arange(4)[:, None])


def walk(actions):
    states = [START]
    for action in actions:
        states.append(int(TABLE[states[-1], action]))
    return states


def test_all_sequences_are_there_in_order():
    sequences = list(itertools.product(range(5), repeat=HORIZON - 1))
    np.testing.assert_array_equal(TRAJECTORIES.actions, sequences)
    np.testing.assert_array_equal(TRAJECTORIES.states, [walk(actions) for actions in sequences])


def by_hand(logits):
    """Objective and gradient by the likelihood ratio, in float64."""
    logits = np.broadcast_to(np.asarray(logits, float), (HORIZON - 1, 6, 5))
    policy = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    objective, gradient = 0.0, np.zeros(policy.shape)
    for actions, value in zip(np.asarray(TRAJECTORIES.actions), np.asarray(VALUES), strict=True):
        steps = list(zip(range(HORIZON - 1), walk(actions), actions, strict=False))
        probability = np.prod([policy[step] for step in steps])
        objective += probability * value
        for time, state, action in steps:
            gradient[time, state] += probability * value * (np.eye(5)[action] - policy[time, state])
    return objective, gradient


@pytest.mark.parametrize("knows_time", [True, False])
def test_objective_and_gradient_are_exact(knows_time):
    shape = (HORIZON - 1, 6, 5) if knows_time else (6, 5)
    logits = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    objective, gradient = quick(jax.value_and_grad(expected_value))(logits, TRAJECTORIES, VALUES)
    expected, expected_gradient = by_hand(logits)
    np.testing.assert_allclose(objective, expected, rtol=1e-5)
    expected_gradient = expected_gradient if knows_time else expected_gradient.sum(0)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(quick(expected_value)(logits, TRAJECTORIES, jnp.ones(125)), 1, rtol=1e-6)


def test_the_gradient_looks_ahead_where_greed_is_wrong():
    """Left pays at once, right pays more a step later."""
    trajectories = quick(lambda: enumerate_trajectories(CORRIDOR, CORRIDOR_START, 3))()
    values = quick(lambda: trajectory_values(CORRIDOR_COVERAGE, trajectories))()
    np.testing.assert_array_equal(values, [1, 1, 0, 3])
    gradient = quick(jax.grad(expected_value))(jnp.zeros((2, 4, 2)), trajectories, values)
    left, right = gradient[0, CORRIDOR_START]
    # Half the difference of the means 1 and 1.5, by the probability of either.
    np.testing.assert_allclose([left, right], [-0.125, 0.125], atol=1e-6)


@pytest.mark.parametrize(
    ("horizon", "message"),
    [
        (1, r"^horizon: got 1, takes an integer of at least 2"),
        (11, r"^horizon: got 9765625, takes one of at most 2\^22"),
    ],
)
def test_bad_horizons_are_refused(horizon, message):
    with pytest.raises(ValueError, match=message):
        enumerate_trajectories(TABLE, START, horizon)
