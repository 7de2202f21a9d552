"""The search for the initial stock against the law that is achieved from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from distributional.histories import expectation, laws_of_all_policies, process_of, worst_share

from jaxrl_sparse.distributional.grids import Grids
from jaxrl_sparse.distributional.initial_stocks import optimize_initial_stock
from jaxrl_sparse.distributional.objectives import (
    cvar,
    homeostasis,
    mean,
    mean_cvar,
    optimistic_cvar,
    piecewise_linear,
    target,
)
from jaxrl_sparse.distributional.planning import value_iteration
from jaxrl_sparse.distributional.return_distributions import cvar as cvar_of
from jaxrl_sparse.finite.mdp import finite_mdp

# All returns of three steps of whole numbers up to three, and a margin.
GRIDS = Grids(jnp.arange(-10.0, 11.0), jnp.arange(-9.0, 10.0))
LEVELS = (0.05, 0.2, 0.5, 0.8, 1.0)
COUNT, NUM_STEPS = 12, 3


def batch_of_processes():
    rng = np.random.default_rng(0)
    rows, rewards = rng.dirichlet(np.ones(2), size=(COUNT, 2, 2)), rng.integers(-3, 4, size=(COUNT, 2, 2, 2))
    made = [finite_mdp(row, paid, 1.0) for row, paid in zip(rows, rewards, strict=True)]
    return made, jax.tree.map(lambda *leaves: jnp.stack(leaves), *made)


MDPS, BATCH = batch_of_processes()


@jax.jit
@jax.vmap
def plan(mdp, slopes):
    return value_iteration(mdp, GRIDS, piecewise_linear("swept", slopes[0], slopes[1]), NUM_STEPS)


def plans(left, right):
    return plan(BATCH, jnp.broadcast_to(jnp.array([left, right], jnp.float32), (COUNT, 2)))


def test_the_best_cvar_is_that_of_brute_force_and_of_the_law_from_the_chosen_stock():
    planned = plans(1.0, 0.0)
    for i, mdp in enumerate(MDPS):
        returns, probs = laws_of_all_policies(process_of(mdp), 0, NUM_STEPS)
        for tau in LEVELS:
            stock, value = optimize_initial_stock(planned.values[i, 0], GRIDS.stocks, cvar(tau))
            np.testing.assert_allclose(value, worst_share(returns, probs, tau).max(), atol=1e-4)
            column = int(np.flatnonzero(np.asarray(GRIDS.stocks) == float(stock))[0])
            law = np.asarray(planned.probs[i, 0, column], float).clip(0)
            np.testing.assert_allclose(cvar_of(jnp.asarray(law, jnp.float32), GRIDS.atoms, tau), value, atol=1e-3)
            # b = -c_0 is a tau-quantile of what is achieved: P(G < b) <= tau <= P(G <= b).
            atoms = np.asarray(GRIDS.atoms)
            assert law[atoms < -float(stock)].sum() <= tau + 1e-3
            assert law[atoms <= -float(stock)].sum() >= tau - 1e-3


def test_the_best_mixture_of_mean_and_cvar_is_that_of_brute_force():
    for tau, weight in ((0.2, 0.5), (0.5, 0.1)):
        objective = mean_cvar(tau, weight)
        values = plans(*objective.utility.slopes).values
        for i, mdp in enumerate(MDPS):
            returns, probs = laws_of_all_policies(process_of(mdp), 0, NUM_STEPS)
            mixed = weight * expectation(lambda x: x)(returns, probs) + (1 - weight) * worst_share(returns, probs, tau)
            value = optimize_initial_stock(values[i, 0], GRIDS.stocks, objective).value
            np.testing.assert_allclose(value, mixed.max(), atol=1e-4)


def test_the_optimistic_cvar_bounds_what_a_policy_reaches_and_mostly_is_it():
    values = plans(0.0, 1.0).values
    reached = []
    for i, mdp in enumerate(MDPS):
        returns, probs = laws_of_all_policies(process_of(mdp), 0, NUM_STEPS)
        for tau in LEVELS:
            value = float(optimize_initial_stock(values[i, 0], GRIDS.stocks, optimistic_cvar(tau)).value)
            best = -worst_share(-returns, probs, tau).min()
            assert value >= best - 1e-4
            reached.append(value <= best + 1e-4)
    assert np.mean(reached) > 0.8


def test_levels_order_the_values():
    """CVaR rises with its level to the mean, from where the optimistic one goes on as its level falls."""
    worst, best = plans(1.0, 0.0).values, plans(0.0, 1.0).values
    average = plans(1.0, 1.0).values
    for i in range(COUNT):
        rising = [float(optimize_initial_stock(worst[i, 0], GRIDS.stocks, cvar(tau)).value) for tau in LEVELS]
        falling = [
            float(optimize_initial_stock(best[i, 0], GRIDS.stocks, optimistic_cvar(tau)).value) for tau in LEVELS
        ]
        assert np.diff(rising).min() >= -1e-4
        assert np.diff(falling).max() <= 1e-4
        expected = optimize_initial_stock(average[i, 0], GRIDS.stocks, mean()).value
        np.testing.assert_allclose([rising[-1], falling[-1]], expected, atol=1e-4)


def test_a_search_by_hand():
    """b + F / tau of the stocks -2, -1, 0 is 2 - 3, 1 - 1, 0 - .2 at tau .5; of equal ones the largest stock is it."""
    stocks, values = jnp.array([-2.0, -1.0, 0.0]), jnp.array([-1.5, -0.5, -0.1])
    found = optimize_initial_stock(values, stocks, cvar(0.5))
    np.testing.assert_allclose((found.stock, found.value), (-1, 0), atol=1e-6)
    found = optimize_initial_stock(values, stocks, optimistic_cvar(0.5))
    np.testing.assert_allclose((found.stock, found.value), (-2, -1), atol=1e-6)
    tie = jnp.array([-2.0, -1.0 + 1e-7, -0.0])
    found = optimize_initial_stock(tie, stocks, cvar(1.0))
    np.testing.assert_allclose((found.stock, found.value), (0, 0), atol=1e-6)


def test_a_fixed_stock_is_interpolated():
    stocks, values = jnp.array([-2.0, -1.0, 0.0]), jnp.array([3.0, 1.0, 0.0])
    found = optimize_initial_stock(values, stocks, target(1.25))
    np.testing.assert_allclose((found.stock, found.value), (-1.25, 1.5))
    table = values[:, None] * jnp.array([1.0, 2.0])
    found = optimize_initial_stock(table, (stocks, jnp.array([0.0, 1.0])), homeostasis(-1.0, 0.5))
    np.testing.assert_allclose(found.stock, [-1, 0.5])
    np.testing.assert_allclose(found.value, 1.5)


def test_levels_and_stocks_are_swept():
    values = plans(1.0, 0.0).values[0, 0]
    levels = jnp.array(LEVELS)
    together = jax.jit(jax.vmap(lambda tau: optimize_initial_stock(values, GRIDS.stocks, cvar(tau))))(levels)
    for i, tau in enumerate(LEVELS):
        alone = optimize_initial_stock(values, GRIDS.stocks, cvar(tau))
        np.testing.assert_allclose(together.value[i], alone.value, atol=1e-5)
        np.testing.assert_array_equal(together.stock[i], alone.stock)


def test_what_a_grid_does_not_hold_is_refused():
    with pytest.raises(ValueError, match=r"initial_stock: got -11.0, takes a stock of the grid, in \[-10, 10\], or a"):
        optimize_initial_stock(jnp.zeros(21), GRIDS.stocks, target(11.0))
    with pytest.raises(ValueError, match=r"initial_stock: got 3.0, takes a stock of the grid, in \[0, 1\]"):
        optimize_initial_stock(jnp.zeros((2, 2)), (jnp.arange(2.0), jnp.arange(2.0)), homeostasis(0.5, 3.0))
    with pytest.raises(ValueError, match=r"stocks: got .*tuple.*, takes a single grid: the search is over scalars"):
        optimize_initial_stock(jnp.zeros((2, 2)), (jnp.arange(2.0), jnp.arange(2.0)), cvar(0.5))
