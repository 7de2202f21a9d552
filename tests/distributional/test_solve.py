import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.distributional.objectives import cvar, exponential, parse_objective, probability, target
from jaxrl_sparse.distributional.solve import solve
from jaxrl_sparse.environments.risk import Budget, Gamble, Homeostat, RiskyCorridor, TargetGrid3, TwoStage
from jaxrl_sparse.finite import finite_mdp


def solved(environment, text, **options):
    mdp = environment.mdp
    horizon = environment.horizon if float(mdp.discount) == 1 else None
    return solve(mdp, parse_objective(text), horizon, **options)


@pytest.mark.parametrize(
    ("text", "value", "stock"),
    [
        ("mean", 2.5, 0.0),
        ("cvar(0.5)", 1.5, -3.0),
        # -E |G - 2.5|: every return is at least .5 off, safe steps give 1 or 3.
        ("target(2.5)", -1.0, -2.5),
        # -E (G - 1.5)^2 of the returns 1 and 3, an even chance each: (.25 + 2.25) / 2.
        ("target(1.5, 2)", -1.25, -1.5),
        # Asked for 40 where at most 5 can be had, and for -3: as much, and as little, as there is on average.
        ("target(40)", -37.5, -40.0),
        ("target(-3)", -5.0, 3.0),
    ],
)
def test_two_stages(text, value, stock):
    solution = solved(TwoStage(), text)
    assert float(solution.value) == pytest.approx(value, abs=1e-5)
    assert float(solution.initial_stock) == stock
    assert float(solution.probs.sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_stocks_between_returns_lose_nothing():
    # Returns of the gamble are even: above 10.5 is above 12.
    assert float(solved(Gamble(), "probability(10.5)").value) == pytest.approx(0.588307, abs=1e-5)
    # Costs are whole: a budget of 1.5 is one of 1, of which each fast step has an even chance: two fast steps at most.
    whole, between = (solved(Budget(), f"reward-constraint({limit}, 10)") for limit in (1, 1.5))
    assert float(whole.value) <= float(between.value)
    stocks = np.asarray(between.stocks[1])
    assert np.abs(stocks - -1.5).min() < 1e-6


@pytest.mark.slow
def test_endless_problems_have_stationary_policies_and_horizons_have_none():
    endless = solve(TargetGrid3().mdp, target(5.0))
    assert endless.actions.shape == endless.values.shape
    # The optimum is zero, which half an atom's spacing over 1 - gamma bounds from below.
    zeta = float(endless.atoms[1] - endless.atoms[0])
    assert -zeta / 2 / 0.1 <= float(endless.value) <= 1e-4
    short = solve(TargetGrid3().mdp, target(5.0), 3, spacing=0.1)
    assert short.actions.shape == (3, *short.values.shape)
    # One way to the corner takes two steps, which pays .9 + .81 in three.
    assert float(short.value) == pytest.approx(-(5 - 0.9 - 0.81), abs=0.06)


def test_vectors_have_no_law_and_a_grid_for_each_need():
    solution = solve(Homeostat().mdp, parse_objective("homeostasis(1, -2)"), spacing=1.0)
    assert solution.probs is None and solution.atoms is None
    assert solution.values.shape == (5, *(len(grid) for grid in solution.stocks))
    assert -3 < float(solution.value) < -1


@pytest.mark.parametrize(
    ("environment", "objective", "options", "message"),
    [
        (TwoStage(), cvar(0.5), {}, "num_steps: got None, takes an integer of at least 1: without a discount"),
        (
            TargetGrid3(),
            probability(5.0),
            {},
            "num_steps: got None, .* this utility has guarantees for a horizon alone",
        ),
        (TwoStage(), cvar(0.5), {"num_steps": 0}, "num_steps: got 0, takes an integer of at least 1"),
        (TwoStage(), cvar(0.5), {"num_steps": 2, "spacing": -1.0}, "spacing: got -1.0, takes a finite number above 0"),
        (TargetGrid3(), exponential(1.0), {}, "discount: got .*, takes 1: exponential is not indifferent"),
        (RiskyCorridor(), exponential(0.5), {"num_steps": 20}, "utility: got 'exponential', takes one that is finite"),
        (TwoStage(), parse_objective("homeostasis(1, 2)"), {"num_steps": 2}, "of 2 components, takes one of 1"),
        (
            RiskyCorridor(),
            cvar(0.1),
            {"num_steps": 20, "memory_limit": 10**6},
            r"memory_limit: got 1000000, takes at least \d+ bytes for 269 atoms; \d+ atoms would fit",
        ),
        (
            Budget(),
            parse_objective("reward-constraint(2, 10)"),
            {"num_steps": 8, "memory_limit": 10**4},
            "memory_limit",
        ),
    ],
)
def test_refusals(environment, objective, options, message):
    with pytest.raises(ValueError, match=message):
        solve(environment.mdp, objective, **options)


def test_a_discount_near_one_is_no_endless_computation():
    mdp = finite_mdp(jnp.ones((1, 1, 1)), jnp.ones((1, 1)), 0.99999)
    with pytest.raises(ValueError, match=r"num_steps: got None, takes .* for ever is 9\d+ sweeps with this discount"):
        solve(mdp, cvar(0.5))
