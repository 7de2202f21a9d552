"""Grids that hold the returns, and positions on them against numpy's interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_sparse.distributional.grids import (
    Grids,
    nearest,
    nearest_index,
    require_grids,
    require_uniform,
    return_grids,
    spacing,
    taps,
)
from jaxrl_sparse.finite.mdp import finite_mdp

seeds = st.integers(0, 2**31)
over_values = settings(max_examples=25, deadline=None)
GRID = np.linspace(-3, 4.5, 16).astype(np.float32)


def one_state(rewards, discount):
    """Its actions pay what `rewards` says, for ever."""
    return finite_mdp(np.ones((1, len(rewards), 1)), [rewards], discount)


@pytest.mark.parametrize(
    ("rewards", "discount", "num_steps", "spacing", "atoms", "stocks"),
    [
        # Returns of three steps are from -6 to 3.
        ((-2.0, 1.0), 1.0, 3, 1.0, (-6, 3), (-4, 7)),
        # 1 + 1/2 + 1/4 = 1.75, rounded up to two; nothing below zero. 1.5 / sqrt(1 - 1/4) = 1.7: two atoms at each end.
        ((1.0,), 0.5, 3, 1.0, (-2, 4), (-3, 1)),
        ((1.0,), 0.5, 3, 0.25, (-0.5, 2.25), (-2, 0.25)),
        # Nothing is ever paid: two atoms at least.
        ((0.0,), 1.0, 3, 1.0, (0, 1), (-2, 1)),
    ],
)
def test_grids_hold_the_returns_and_little_more(rewards, discount, num_steps, spacing, atoms, stocks):
    grids = return_grids(one_state(rewards, discount), spacing, num_steps)
    np.testing.assert_allclose((grids.atoms[0], grids.atoms[-1]), atoms, atol=1e-6)
    np.testing.assert_allclose((grids.stocks[0], grids.stocks[-1]), stocks, atol=1e-6)
    for grid in grids:
        np.testing.assert_allclose(np.diff(grid), spacing, rtol=1e-5)
    require_grids(one_state(rewards, discount), grids, num_steps)


@pytest.mark.parametrize("stocks_per_atom", [1, 3])
@pytest.mark.parametrize("margin", [None, 0.7])
def test_grids_are_aligned(stocks_per_atom, margin):
    """Zero is an atom, the negative of every atom a stock, and the margin is there on both sides."""
    mdp = one_state((-0.73, 1.1), 0.9)
    grids = return_grids(mdp, 0.1, 12, stocks_per_atom=stocks_per_atom, margin=margin)
    assert np.abs(grids.atoms).min() == 0
    # 1.5 / sqrt(1 - .9^2) = 3.4: four atoms at each end hold what projections spread, and need no stock.
    returns = np.asarray(grids.atoms)[4:-4]
    distances = np.abs(-returns[:, None] - np.asarray(grids.stocks)).min(-1)
    assert distances.max() < 1e-5
    beyond = 0.1 if margin is None else margin
    np.testing.assert_allclose(grids.stocks[-1] + returns[0], beyond, atol=1e-5)
    np.testing.assert_allclose(grids.stocks[0] + returns[-1], -beyond, atol=1e-5)
    np.testing.assert_allclose(np.diff(grids.stocks), 0.1 / stocks_per_atom, rtol=1e-3)


@pytest.mark.parametrize("through", [-2.5, 0.3, 7.0, -11.25])
def test_grids_go_through_a_stock_that_is_asked_for(through):
    mdp = one_state((-2.0, 1.0), 1.0)
    grids = return_grids(mdp, 0.5, 3, margin=12.0, through=through)
    assert np.abs(np.asarray(grids.stocks) - through).min() < 1e-5
    np.testing.assert_allclose(np.diff(grids.stocks), 0.5, rtol=1e-5)
    # The margin is kept, whichever way the grid is shifted.
    assert grids.stocks[0] <= -3 - 12 and grids.stocks[-1] >= 6 + 12
    np.testing.assert_allclose(grids.atoms, return_grids(mdp, 0.5, 3).atoms)


def test_a_spacing_that_the_precision_does_not_hold_is_refused():
    with pytest.raises(ValueError, match=r"spacing: got 1e-05, takes at least 0\.000\d+, what float32 tells apart"):
        return_grids(one_state((-2.0, 1.0), 1.0), 1e-5, 3)


def test_precision_is_that_of_the_process():
    with jax.enable_x64(True):
        grids = return_grids(one_state((0.1,), 0.9), 0.1, 5)
        assert grids.atoms.dtype == grids.stocks.dtype == jnp.float64
        np.testing.assert_allclose(np.diff(grids.atoms), 0.1, rtol=1e-13)


@given(seed=seeds)
@over_values
def test_taps_interpolate_as_numpy_does(seed):
    rng = np.random.default_rng(seed)
    positions, values = rng.uniform(-6, 8, 40).astype(np.float32), rng.normal(size=16)
    index, weight = taps(jnp.asarray(positions), jnp.asarray(GRID))
    assert index.min() >= 0
    assert index.max() <= 14
    ours = (1 - weight) * values[index] + weight * values[index + 1]
    np.testing.assert_allclose(ours, np.interp(positions, GRID, values), atol=1e-3)


@pytest.mark.parametrize("size", [2, 16, 401])
def test_points_belong_to_themselves_alone(size):
    """A law may jump from point to point: no rounding mixes it with its neighbour's."""
    grid = np.linspace(-7.3, 11.9, size).astype(np.float32)
    jittered = grid / np.float32(0.9) * np.float32(0.9)
    index, weight = taps(jnp.asarray(jittered), jnp.asarray(grid))
    np.testing.assert_array_equal(np.asarray(index) + np.asarray(weight), np.arange(size))


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_only_rounding_is_forgiven(precision):
    with jax.enable_x64(precision is np.float64):
        grid = jnp.arange(5, dtype=precision)
        off = 1e-3 if precision is np.float32 else 1e-9
        _, weight = taps(2 + jnp.array([off, -off], precision), grid)
        np.testing.assert_allclose(weight, [off, 1 - off], rtol=1e-6, atol=off * 1e-2)


@given(seed=seeds)
@over_values
def test_the_nearest_point_is_that_of_a_search(seed):
    positions = np.random.default_rng(seed).uniform(-4, 6, 40).astype(np.float32)
    distances = np.abs(positions[:, None] - GRID)
    index, weight = nearest(taps(jnp.asarray(positions), jnp.asarray(GRID)))
    for chosen in (nearest_index(jnp.asarray(positions), jnp.asarray(GRID)), index + weight.astype(int)):
        reached = np.take_along_axis(distances, np.asarray(chosen)[:, None], 1)[:, 0]
        # Of two that are equally near but for rounding either is right.
        np.testing.assert_allclose(reached, distances.min(-1), atol=1e-3)


def test_of_two_equally_near_points_the_lower_is_taken_whatever_rounding_says():
    grid = np.linspace(-1, 1, 21).astype(np.float32)
    middles = (grid[:-1] + grid[1:]) / 2
    for jitter in (-1e-7, 0, 1e-7):
        positions = jnp.asarray(middles + np.float32(jitter))
        np.testing.assert_array_equal(nearest_index(positions, jnp.asarray(grid)), np.arange(20))
        index, weight = nearest(taps(positions, jnp.asarray(grid)))
        np.testing.assert_array_equal(np.asarray(index) + np.asarray(weight), np.arange(20))


def test_spacing():
    np.testing.assert_allclose(spacing(jnp.asarray(GRID)), 0.5, rtol=1e-6)


MDP = one_state((-2.0, 1.0), 1.0)
GOOD = return_grids(MDP, 1.0, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: return_grids(MDP, 0.0, 3), "spacing: got 0.0, takes a finite number above 0"),
        (lambda: return_grids(MDP, float("inf"), 3), "spacing: got inf"),
        (lambda: return_grids(MDP, 1.0, 3, stocks_per_atom=0), "stocks_per_atom: got 0, takes an integer of at least"),
        (
            lambda: return_grids(finite_mdp(np.ones((1, 1, 1)), np.ones((1, 1, 1, 2)), 0.9), 1.0, 3),
            "mdp: got 2, takes scalar rewards; vectors have stock_value_iteration",
        ),
        (
            lambda: require_grids(MDP, GOOD._replace(atoms=jnp.arange(-5.0, 4)), 3),
            r"grids.atoms: got \(-5.0, 3.0\), takes a grid that covers \[-6, 3\]: returns lie in \[-6, 3\]",
        ),
        (
            lambda: require_grids(MDP, GOOD._replace(stocks=jnp.arange(-3.0, 6)), 3),
            r"grids.stocks: got \(-3.0, 5.0\), takes a grid that covers \[-3, 6\]: returns lie in \[-6, 3\]",
        ),
        # What three steps need is not enough for four.
        (lambda: require_grids(MDP, GOOD, 4), r"grids.atoms: got \(-6.0, 3.0\), takes a grid that covers \[-8, 4\]"),
        (
            lambda: require_uniform("atoms", jnp.array([0.0, 1.0, 2.5])),
            "grids.atoms: got .*, takes points in ascending order with equal spacing",
        ),
        (lambda: require_uniform("atoms", jnp.array([1.0, 0.0])), "grids.atoms: got"),
        (lambda: require_uniform("atoms", jnp.zeros(1)), r"grids.atoms: got \(1,\), takes at least two points"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_checks_are_made_inside_jit_of_what_is_concrete_and_left_out_of_what_is_not():
    small = GOOD._replace(atoms=jnp.arange(-5.0, 4))
    with pytest.raises(ValueError, match=r"grids\.atoms: got"):
        jax.jit(lambda x: (require_grids(MDP, small, 3), x)[1])(1.0)
    jax.jit(lambda grids: require_grids(MDP, Grids(*grids), 3))(tuple(small))
