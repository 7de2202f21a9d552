"""The scalar recursion against closed forms, distributional planning, and direct sums over outcomes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.distributional.grids import Grids
from jaxrl_sparse.distributional.objectives import (
    cvar,
    exponential,
    homeostasis,
    mean,
    piecewise_linear,
    reward_constraint,
)
from jaxrl_sparse.distributional.planning import value_iteration
from jaxrl_sparse.distributional.stock_value_iteration import interpolate_stock, lookup, stock_value_iteration
from jaxrl_sparse.environments.risk import Budget, Homeostat
from jaxrl_sparse.finite import solvers
from jaxrl_sparse.finite.mdp import finite_mdp

quick = partial(jax.jit, compiler_options=QUICK_TO_COMPILE)
STOCKS = jnp.linspace(-6, 6, 97)
SLOPES = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [3.0, 0.5]])


def dense(seed=0, discount=0.8):
    """Returns are in [-5, 5]."""
    rng = np.random.default_rng(seed)
    return finite_mdp(rng.dirichlet(np.ones(4), size=(4, 3)), rng.uniform(-1, 1, size=(4, 3)), discount)


def integers(seed=0):
    rng = np.random.default_rng(seed)
    rewards = rng.integers(-2, 3, size=(4, 2, 4))
    return finite_mdp(rng.dirichlet(np.ones(4), size=(4, 2)), rewards, 1.0, terminal=np.arange(4) == 3)


@quick
@partial(jax.vmap, in_axes=(None, 0))
def plan(mdp, slopes):
    return stock_value_iteration(mdp, STOCKS, piecewise_linear("swept", slopes[0], slopes[1]), 40)


def test_expected_returns_are_those_of_classic_value_iteration_at_every_stock():
    mdp = dense()
    ours = plan(mdp, SLOPES)
    classic = quick(lambda mdp: solvers.value_iteration(mdp, 40))(mdp)
    np.testing.assert_allclose(ours.values[1], classic.values[:, None] + STOCKS, atol=1e-4)
    np.testing.assert_array_equal(ours.actions[1], np.broadcast_to(classic.actions[:, None], (4, 97)))


def test_values_are_within_the_bounds_of_distributional_ones():
    """Both are off by rounding: laws by half an atom a sweep and a stock's spacing, values by half of the latter."""
    mdp, grids = dense(), Grids(STOCKS, jnp.linspace(-6, 6, 97))
    both = quick(lambda mdp: value_iteration(mdp, grids, cvar(0.5).utility, 40).values)
    spacing = 0.125
    bound = (spacing / 2 + 0.8 * spacing + 0.8 * spacing / 2) / (1 - 0.8)
    gaps = np.asarray(plan(mdp, SLOPES).values[0]) - np.asarray(both(mdp))
    assert np.abs(gaps).max() <= bound
    # In fact it is far less.
    assert np.abs(gaps).max() < 0.1 * bound


def test_values_are_those_of_distributional_planning_where_both_are_exact():
    mdp = integers()
    grids = Grids(jnp.arange(-14.0, 15.0), jnp.arange(-10.0, 11.0))

    @quick
    @partial(jax.vmap, in_axes=(None, 0))
    def both(mdp, slopes):
        utility = piecewise_linear("swept", slopes[0], slopes[1])
        return value_iteration(mdp, grids, utility, 5), stock_value_iteration(mdp, grids.stocks, utility, 5)

    by_laws, by_recursion = both(mdp, SLOPES)
    np.testing.assert_allclose(by_recursion.values, by_laws.values, atol=1e-4)
    np.testing.assert_array_equal(by_recursion.actions, by_laws.actions)
    np.testing.assert_allclose(by_recursion.residual, by_laws.residual, atol=1e-4)


def test_the_start_is_the_utility_and_a_terminal_state_keeps_it():
    """V = 0 satisfies the recursion as well: from there nothing would ever be found in a process that goes on."""
    mdp = dense()._replace(terminal=jnp.arange(4) == 2)
    values = np.asarray(plan(mdp, SLOPES).values)
    outcomes = np.asarray(STOCKS)
    for i, (left, right) in enumerate(np.asarray(SLOPES)):
        np.testing.assert_allclose(
            values[i, 2], left * np.minimum(outcomes, 0) + right * np.maximum(outcomes, 0), atol=1e-5
        )
    assert np.abs(values[0, 0, 0]) > 1


@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_one_sweep_is_a_sum_over_outcomes(discount):
    """`max_a E f(c + R)`, whatever the discount, which the stock undoes, and however far the stock leaves the grid."""
    rng = np.random.default_rng(2)
    rewards = rng.uniform(-8, 8, size=(4, 3, 2))
    probabilities, successors = rng.dirichlet(np.ones(2), size=(4, 3)), rng.integers(4, size=(4, 3, 2))
    mdp = finite_mdp(probabilities, rewards, discount, successors=successors)
    # Zero is a stock, so that f is linear between neighbours.
    ours = quick(lambda mdp: stock_value_iteration(mdp, STOCKS, cvar(0.5).utility, 1))(mdp)
    outcomes = np.minimum(np.asarray(STOCKS)[:, None, None, None] + rewards, 0)
    expected = (outcomes * probabilities).sum(-1)
    np.testing.assert_allclose(ours.values, expected.max(-1).T, atol=1e-4)


def test_an_exponential_utility_multiplies():
    """gamma = 1, independent steps: `min over actions of E exp(-b R)` to the power of the number of steps."""
    b, num_steps = 0.4, 6
    probabilities = np.array([[[0.5, 0.5], [1.0, 0.0]]])
    rewards = np.array([[[-1.0, 2.0], [0.0, 0.0]]])
    mdp = finite_mdp(probabilities, rewards, 1.0, successors=np.zeros((1, 2, 2), int))
    stocks = jnp.arange(-13.0, 14.0)
    ours = quick(lambda mdp: stock_value_iteration(mdp, stocks, exponential(b).utility, num_steps))(mdp)
    factor = min((probabilities[0] * np.exp(-b * rewards[0])).sum(-1))
    inside = np.arange(7, 15)
    assert factor < 1
    expected = -np.exp(-b * np.asarray(stocks)[inside]) * factor**num_steps
    np.testing.assert_allclose(np.asarray(ours.values)[0, inside], expected, rtol=1e-4)


def test_actions_of_every_step_are_kept_in_the_order_of_the_steps():
    mdp = integers(3)
    stocks = jnp.arange(-14.0, 15.0)
    solve = lambda count: quick(  # noqa: E731
        lambda mdp: stock_value_iteration(mdp, stocks, cvar(0.5).utility, count, keep_actions=True)
    )(mdp)
    three, one = solve(3), solve(1)
    assert three.actions.shape == (3, 4, 29)
    np.testing.assert_array_equal(three.actions[-1], one.actions[0])
    last = quick(lambda mdp: stock_value_iteration(mdp, stocks, cvar(0.5).utility, 3))(mdp)
    np.testing.assert_array_equal(three.actions[0], last.actions)


# Vector stocks.
COST_STOCKS = jnp.arange(-10.0, 9.0)


def test_a_budget_is_planned_for_from_the_stock_of_the_cost_alone():
    """The reward's stock moves the value and never the action; a grid of two of its stocks is enough."""
    fine, coarse = (jnp.linspace(-16, 0, size) for size in (17, 2))
    mdp = Budget().mdp
    penalties = jnp.array([0.0, 0.5, 1.0, 2.0, 10.0])

    def solve(rewards):
        return quick(
            jax.vmap(
                lambda mdp, penalty: stock_value_iteration(
                    mdp, (rewards, COST_STOCKS), reward_constraint(2.0, penalty).utility, 8
                ),
                in_axes=(None, 0),
            )
        )(mdp, penalties)

    ours, short = solve(fine), solve(coarse)
    np.testing.assert_array_equal(ours.actions, np.broadcast_to(ours.actions[:, :, :1], ours.actions.shape))
    np.testing.assert_array_equal(short.actions[:, :, 0], ours.actions[:, :, 0])
    np.testing.assert_allclose(np.diff(ours.values, axis=2), 1, atol=1e-4)
    np.testing.assert_allclose(short.values[:, :, 1], ours.values[:, :, -1], atol=1e-4)
    # From c = (0, -2), the table of the environment.
    start = int(np.flatnonzero(np.asarray(COST_STOCKS) == -2)[0])
    np.testing.assert_allclose(
        ours.values[:, 0, -1, start], [16, 14.980469, 13.960938, 11.921875, 11.921875], atol=2e-5
    )


def test_needs_that_do_not_touch_each_other_are_planned_for_one_by_one():
    """With one action there is nothing to weigh: the value of two needs is the sum of those of each."""
    mdp = Homeostat().mdp
    still = jax.tree.map(lambda leaf: leaf[:, 1:2] if leaf.ndim > 1 else leaf, mdp)
    # Draining is -.5 a step: returns are in [-5, 15]; stocks that are drained stay on the grid's line outside of it.
    stocks = jnp.linspace(-16, 8, 49)
    both = quick(lambda mdp: stock_value_iteration(mdp, (stocks, stocks), homeostasis(0.0, 0.0).utility, 30))(still)
    target = piecewise_linear("target", 1.0, -1.0)
    parts = [
        quick(lambda mdp: stock_value_iteration(mdp, stocks, target, 30))(still._replace(rewards=still.rewards[..., i]))
        for i in range(2)
    ]
    expected = parts[0].values[:, :, None] + parts[1].values[:, None, :]
    np.testing.assert_allclose(both.values, expected, atol=2e-3)


def test_vector_stocks_of_one_component_are_scalar_ones():
    mdp = integers(5)
    stocks = jnp.arange(-14.0, 15.0)
    scalar = quick(lambda mdp: stock_value_iteration(mdp, stocks, piecewise_linear("target", 1.0, -1.0), 5))(mdp)
    vector = quick(lambda mdp: stock_value_iteration(mdp, (stocks,), homeostasis(0.0).utility, 5))(
        mdp._replace(rewards=mdp.rewards[..., None])
    )
    np.testing.assert_allclose(vector.values, scalar.values, atol=1e-5)
    np.testing.assert_array_equal(vector.actions, scalar.actions)


def test_tables_are_interpolated_and_looked_up():
    first, second = jnp.linspace(0, 2, 5), jnp.linspace(-1, 1, 3)
    # Bilinear functions are kept by bilinear interpolation.
    table = 2 * first[:, None] - 3 * second + first[:, None] * second + 1
    for a, b in ((0.3, 0.4), (1.9, -0.7), (0.5, 0.0)):
        np.testing.assert_allclose(
            interpolate_stock(table, (first, second), jnp.array([a, b])), 2 * a - 3 * b + a * b + 1, rtol=1e-5
        )
    np.testing.assert_allclose(interpolate_stock(first**2, first, jnp.float32(1.25)), (1 + 1.5**2) / 2)
    # Clipped to the ends.
    np.testing.assert_allclose(interpolate_stock(first**2, first, jnp.float32(7.0)), 4)
    states = jnp.array([1, 0, 1], jnp.int32)
    entries = jnp.arange(30).reshape(2, 5, 3)
    held = jnp.array([[0.2, 0.6], [1.8, -9.0], [9.0, 0.4]])
    np.testing.assert_array_equal(lookup(entries, (first, second), states, held), [15 + 2, 12, 15 + 12 + 1])
    np.testing.assert_array_equal(lookup(entries[..., 0], first, states, held[:, 0]), [15, 12, 15 + 12])


VECTORS = finite_mdp([[[1.0]]], np.ones((1, 1, 1, 2)), 0.9)
SCALARS = finite_mdp([[[1.0]]], [[1.0]], 0.9)
GRID = jnp.linspace(-1, 1, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: stock_value_iteration(VECTORS, GRID, mean().utility, 5),
            "mdp: got 2, takes rewards of scalars, as the stocks",
        ),
        (
            lambda: stock_value_iteration(VECTORS, (GRID,) * 3, homeostasis(1.0, 1.0, 1.0).utility, 5),
            "mdp: got 2, takes rewards of 3 components, as the stocks",
        ),
        (
            lambda: stock_value_iteration(VECTORS, (GRID, GRID), mean().utility, 5),
            "utility: got None, takes outcomes of 2 components",
        ),
        (
            lambda: stock_value_iteration(SCALARS, GRID, homeostasis(1.0, 1.0).utility, 5),
            "utility: got 2, takes outcomes of scalars",
        ),
        (lambda: stock_value_iteration(SCALARS, GRID, exponential(1.0).utility, 5), "discount: got 0.89.*, takes 1"),
        (lambda: stock_value_iteration(SCALARS, GRID, mean().utility, 0), "num_sweeps: got 0"),
        (
            lambda: stock_value_iteration(SCALARS, jnp.array([0.0, 1.0, 3.0]), mean().utility, 5),
            r"grids.stocks\[0\]: got .*, takes points in ascending order",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
