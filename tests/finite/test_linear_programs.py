"""Programs against recursions, enumeration and what they must hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from finite.enumeration import deterministic_policies

from jaxrl_sparse.finite.episodic import EpisodicMDP, episodic_mdp
from jaxrl_sparse.finite.episodic_solvers import backward_induction, expected_return, max_reachability, occupancy
from jaxrl_sparse.finite.linear_programs import best_occupancy, coverability_program, value_bounds

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.dirichlet(np.ones(3), size=(3, 3, 2))
PAID = RANDOM.normal(size=(3, 3, 2))
INITIAL = RANDOM.dirichlet(np.ones(3))
POLICY = RANDOM.dirichlet(np.ones(2), size=(3, 3))
with jax.enable_x64(True):
    MDP = episodic_mdp(ROWS, PAID, INITIAL, dtype=jnp.float64)


def test_the_best_occupancy_is_that_of_an_optimal_policy():
    with jax.enable_x64(True):
        solution = backward_induction(MDP)
        expected, visits = expected_return(MDP, solution.actions), occupancy(MDP, solution.actions)
    found = best_occupancy(MDP)
    np.testing.assert_allclose(found.value, expected, rtol=1e-9)
    np.testing.assert_allclose(found.occupancy, visits, atol=1e-9)


def test_the_largest_probability_of_being_somewhere():
    with jax.enable_x64(True):
        reachable = np.asarray(max_reachability(MDP))
    for h, s in np.ndindex(3, 3):
        target = np.zeros((3, 3, 2))
        target[h, s, 1] = 1
        np.testing.assert_allclose(best_occupancy(MDP, target).value, reachable[h, s], atol=1e-9)


def test_data_of_one_policy_cover_that_policy_alone():
    """And the more a ratio may be, the better the best policy that is covered, up to the optimum."""
    with jax.enable_x64(True):
        data = np.asarray(occupancy(MDP, jnp.asarray(POLICY)))
        value = float(expected_return(MDP, jnp.asarray(POLICY)))
        optimum = float(expected_return(MDP, backward_induction(MDP).actions))
    alone = best_occupancy(MDP, largest=data * (1 + 1e-9))
    np.testing.assert_allclose(alone.value, value, atol=1e-6)
    np.testing.assert_allclose(alone.occupancy, data, atol=1e-6)
    values = []
    for bound in (1.2, 1.5, 2.0, 1000.0):
        found = best_occupancy(MDP, largest=bound * data)
        assert (found.occupancy <= bound * data + 1e-9).all()
        values.append(found.value)
    assert (np.diff([value, *values]) > 1e-3).all()
    np.testing.assert_allclose(values[-1], optimum, rtol=1e-9)


def test_the_covered_optimum_is_the_best_of_all_mixtures_of_policies():
    """The polytope's other description: weights of the 2^6 policies of two layers, by brute force over a fine grid."""
    rows, paid = ROWS[:2, :, :, :], PAID[:2]
    with jax.enable_x64(True):
        mdp = episodic_mdp(rows, paid, INITIAL, dtype=jnp.float64)
        policies = jnp.asarray(deterministic_policies(2, 3, 2))
        visits = np.asarray(jax.vmap(occupancy, (None, 0))(mdp, policies))
    bound = 1.5 * visits.mean(0)
    found = best_occupancy(mdp, largest=bound)
    from scipy.optimize import linprog

    weights = linprog(
        -np.einsum("nhsa,hsa->n", visits, paid),
        visits.reshape(len(visits), -1).T,
        bound.ravel(),
        np.ones((1, len(visits))),
        [1],
    )
    np.testing.assert_allclose(found.value, -weights.fun, rtol=1e-9)


def test_the_coverability_of_two_policies():
    """They part in one layer: 1 where they are together, 2 where they are never both."""
    together, apart = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 1.0]])
    value, distribution = coverability_program([[together, together], [together, apart]])
    np.testing.assert_allclose(value, 2, rtol=1e-9)
    np.testing.assert_allclose(distribution, [together, (together + apart) / 2], atol=1e-9)


def test_exact_transitions_leave_one_value():
    with jax.enable_x64(True):
        value = float(expected_return(MDP, jnp.asarray(POLICY)))
        best = float(expected_return(MDP, backward_induction(MDP).actions))
        worst = float(expected_return(MDP, backward_induction(MDP._replace(rewards=-MDP.rewards)).actions))
    np.testing.assert_allclose(value_bounds(ROWS, ROWS, PAID, INITIAL, POLICY), (value, value), atol=1e-8)
    np.testing.assert_allclose(value_bounds(ROWS, ROWS, PAID, INITIAL), (worst, best), atol=1e-8)


def extreme_row(lower, upper, values):
    """The row within intervals that has the largest mean of the values: what may be left goes to the best first."""
    row = lower.copy()
    for state in np.argsort(-values):
        row[state] += min(upper[state] - lower[state], 1 - row.sum())
    return row


def robust_values(lower, upper, policy, sign):
    """Dynamic programming over models: each row is chosen by itself. The largest value; with sign -1 the least."""
    values = np.zeros(3)
    for h in reversed(range(3)):
        rows = np.array([[extreme_row(lower[h, s, a], upper[h, s, a], values) for a in range(2)] for s in range(3)])
        q_values = sign * PAID[h] + rows @ values
        values = q_values.max(-1) if policy is None else (policy[h] * q_values).sum(-1)
    return sign * INITIAL @ values


@pytest.mark.parametrize("policy", [POLICY, None])
@pytest.mark.parametrize("width", [0.02, 0.2, 1.0])
def test_value_bounds_are_those_of_robust_dynamic_programming(width, policy):
    lower, upper = np.maximum(ROWS - width, 0), np.minimum(ROWS + width, 1)
    low, high = value_bounds(lower, upper, PAID, INITIAL, policy)
    np.testing.assert_allclose(low, robust_values(lower, upper, policy, -1), atol=1e-8)
    np.testing.assert_allclose(high, robust_values(lower, upper, policy, 1), atol=1e-8)
    assert low < high


def test_models_within_the_intervals_have_values_within_the_bounds():
    lower, upper = np.maximum(ROWS - 0.1, 0), np.minimum(ROWS + 0.1, 1)
    low, high = value_bounds(lower, upper, PAID, INITIAL, POLICY)
    rng = np.random.default_rng(1)
    models = []
    while len(models) < 50:
        rows = ROWS + 0.3 * rng.uniform() * (rng.dirichlet(np.ones(3), size=ROWS.shape[:3]) - ROWS)
        if ((lower <= rows) & (rows <= upper)).all():
            models.append(rows)
    with jax.enable_x64(True):
        value = jax.jit(
            jax.vmap(lambda rows: expected_return(EpisodicMDP(rows, MDP.rewards, MDP.initial), jnp.asarray(POLICY))),
            compiler_options=QUICK_TO_COMPILE,
        )
        values = np.asarray(value(jnp.asarray(np.stack(models))))
    assert (values >= low - 1e-9).all() and (values <= high + 1e-9).all() and np.ptp(values) > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_occupancy(MDP, np.zeros((3, 3))), r"rewards: got \(3, 3\), takes the shape \(3, 3, 2\)"),
        (
            lambda: best_occupancy(MDP, largest=np.full((3, 3, 2), 0.1)),
            "largest: got 0.6.*, takes layers that some policy's occupancy is below",
        ),
        (lambda: coverability_program(np.zeros((3, 3, 2))), r"occupancies: got .*, takes the shape \[N, H, S, A\]"),
        (lambda: value_bounds(ROWS, ROWS, PAID[0], INITIAL), r"rewards: got \(3, 2\), takes the shape \[H, S, A\]"),
        (lambda: value_bounds(ROWS[:2], ROWS, PAID, INITIAL), r"lower: got \(2, 3, 2, 3\), takes the shape"),
        (
            lambda: value_bounds(ROWS, ROWS - 0.1, PAID, INITIAL),
            r"lower, upper\[\d, \d, \d\]: got .*, takes intervals that hold",
        ),
        (
            lambda: value_bounds(ROWS / 3, ROWS / 2, PAID, INITIAL),
            r"lower, upper\[\d, \d, \d\]: got .*, takes intervals that hold",
        ),
        (lambda: value_bounds(ROWS, ROWS, PAID, INITIAL, POLICY[0]), r"policy: got \(3, 2\), takes the shape"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
