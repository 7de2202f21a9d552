import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.submodular import (
    continuous_greedy,
    coverage,
    expected_bandit_value,
    facility_location,
    projected_ascent,
    sequence_values,
)


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


N, T = 4, 3
DRAW = np.random.default_rng(0)
# The element 0 covers most, and is what the best three do not contain.
ITEMS = np.array([[0, 1, 2, 3], [0, 1, 4, -1], [2, 3, 5, -1], [6, -1, -1, -1]])
CASES = {
    "coverage": coverage(np.ones(7), ITEMS),
    "weighted": coverage(DRAW.random(7), ITEMS),
    "facilities": facility_location(DRAW.random((N, 5))),
}
VALUES = {name: quick(lambda case=case: sequence_values(case, N, T))() for name, case in CASES.items()}
every_case = pytest.mark.parametrize("name", CASES)
QUICK = {function: quick(function) for function in (expected_bandit_value, continuous_greedy, projected_ascent)}


@every_case
@pytest.mark.parametrize("slip", [0.0, 0.3])
def test_the_objective_is_an_expectation(name, slip):
    """Over every outcome, in numpy; rows that sum to less than 1 leave steps that count for nothing."""
    policy = DRAW.dirichlet(np.ones(N + 1), size=T)[:, :N]
    reached = np.append((1 - slip) * policy + slip / N, (1 - slip) * (1 - policy.sum(1, keepdims=True)), axis=1)
    value_of, expected = quick(CASES[name].value), 0.0
    for outcome in itertools.product(range(N + 1), repeat=T):
        elements = jnp.array([element % N for element in outcome])
        value = value_of(elements, jnp.array([element < N for element in outcome]))
        expected += np.prod(reached[np.arange(T), list(outcome)]) * float(value)
    got = QUICK[expected_bandit_value](jnp.asarray(policy, jnp.float32), VALUES[name], slip)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@every_case
def test_it_is_monotone_with_diminishing_returns(name):
    hessian, gradient = quick(jax.hessian(expected_bandit_value)), quick(jax.grad(expected_bandit_value))
    for seed in range(5):
        policy = jnp.asarray(np.random.default_rng(seed).dirichlet(np.ones(N + 1), size=T)[:, :N], jnp.float32)
        curvatures = hessian(policy, VALUES[name], 0.2)
        assert curvatures.max() <= 1e-6
        assert curvatures.min() < -1e-3
        np.testing.assert_allclose(curvatures[jnp.arange(T), :, jnp.arange(T)], 0, atol=1e-6)
        assert gradient(policy, VALUES[name], 0.2).min() >= -1e-6


@every_case
@pytest.mark.parametrize("slip", [0.0, 0.3])
@pytest.mark.parametrize(("ascend", "share"), [(continuous_greedy, 1 - 1 / np.e), (projected_ascent, 0.5)])
def test_ascent_has_its_share_of_the_optimum(name, slip, ascend, share):
    values = VALUES[name]
    pure = jnp.eye(N)[jnp.array(list(itertools.product(range(N), repeat=T)))]
    optimum = jax.vmap(QUICK[expected_bandit_value], in_axes=(0, None, None))(pure, values, slip).max()
    policy = QUICK[ascend](values, slip)
    np.testing.assert_allclose(policy.sum(1), 1, atol=1e-5)
    assert policy.min() >= 0
    got = QUICK[expected_bandit_value](policy, values, slip)
    assert share * optimum <= got <= optimum * (1 + 1e-5)
    uniform = QUICK[expected_bandit_value](jnp.full((T, N), 1 / N), values, slip)
    assert got > uniform


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^num_steps: got 9765625, takes at most 2\^22 sequences$"):
        sequence_values(CASES["coverage"], N, 10)
    with pytest.raises(ValueError, match=r"^num_iterations: got 0, takes an integer of at least 1$"):
        continuous_greedy(VALUES["coverage"], num_iterations=0)
    with pytest.raises(ValueError, match=r"^step_size: got 0.0, takes a number above 0$"):
        projected_ascent(VALUES["coverage"], step_size=0.0)
