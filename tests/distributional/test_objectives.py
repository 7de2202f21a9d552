"""Utilities against what is claimed of them, and objectives against the functionals of a law that they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from distributional.histories import expectation, worst_share

from jaxrl_sparse.distributional.objectives import (
    INADMISSIBLE,
    OBJECTIVES,
    cvar,
    exponential,
    from_utility,
    homeostasis,
    mean,
    mean_cvar,
    optimistic_cvar,
    parse_objective,
    probability,
    require_admissible,
    reward_constraint,
    signed_power,
    target,
)

# Outcomes around zero, and by how much they are scaled.
OUTCOMES = np.random.default_rng(0).normal(scale=3.0, size=400).astype(np.float32)
SCALES = (0.3, 0.9, 1.0, 4.0)
SCALARS = {
    "mean": mean(),
    "target": target(2.0),
    "squared target": target(2.0, 2.0),
    "cvar": cvar(0.2),
    "optimistic cvar": optimistic_cvar(0.2),
    "mean-cvar": mean_cvar(0.25, 0.4),
    "probability": probability(1.5),
    "signed root": signed_power(0.5, 1.0),
    "signed identity": signed_power(1.0),
}
VECTORS = {
    "constraint": reward_constraint(2.0, 3.0),
    "homeostasis": homeostasis(1.0, -2.0, 0.5),
    "squared homeostasis": homeostasis(1.0, -2.0, power=2.0),
}
FORMULAS = {
    "mean": lambda x: x,
    "target": lambda x: -np.abs(x),
    "squared target": lambda x: -(x**2),
    "cvar": lambda x: np.minimum(x, 0),
    "optimistic cvar": lambda x: np.maximum(x, 0),
    # (1 - .4) / .25 + .4 and .4.
    "mean-cvar": lambda x: 2.8 * np.minimum(x, 0) + 0.4 * np.maximum(x, 0),
    "probability": lambda x: x >= 0,
    "signed root": lambda x: np.sign(x) * np.sqrt(np.abs(x)),
    "signed identity": lambda x: x,
    "constraint": lambda x: x[..., 0] - 3 * np.maximum(x[..., 1], 0),
    "homeostasis": lambda x: -np.abs(x).sum(-1),
    "squared homeostasis": lambda x: -(x**2).sum(-1),
}
ALL = SCALARS | VECTORS


def outcomes_for(utility):
    m = utility.num_components
    return OUTCOMES if m is None else OUTCOMES[: 120 * m].reshape(-1, m)


@pytest.mark.parametrize("name", ALL)
def test_utilities_are_their_formulas(name):
    utility = ALL[name].utility
    outcomes = outcomes_for(utility)
    np.testing.assert_allclose(utility.f(jnp.asarray(outcomes)), FORMULAS[name](outcomes), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_degrees_are_true(name):
    utility = ALL[name].utility
    assert utility.is_gamma_indifferent
    outcomes = jnp.asarray(outcomes_for(utility))
    for scale in SCALES:
        np.testing.assert_allclose(
            utility.f(scale * outcomes), scale**utility.degree * utility.f(outcomes), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", ALL)
def test_lipschitz_constants_are_the_least(name):
    utility = ALL[name].utility
    outcomes = outcomes_for(utility).astype(np.float64)
    # Close pairs, in the directions of the signs too, where the constants of vectors are attained.
    steps = np.random.default_rng(1).normal(size=outcomes.shape) * 0.01
    if utility.num_components is not None:
        steps[1::2] = 0.01 * np.sign(outcomes[1::2])
        if name == "constraint":
            steps[1::2] = (-0.01, 0.03)
    near_zero = outcomes * 1e-3
    ratios = []
    for start in (outcomes, near_zero, 100 * outcomes):
        gaps = np.abs(FORMULAS[name](start + steps).astype(float) - FORMULAS[name](start).astype(float))
        ratios.append(gaps / np.sqrt((steps**2).reshape(len(steps), -1).sum(-1)))
    steepest = np.max(ratios)
    if np.isinf(float(utility.lipschitz)):
        assert steepest > 10
    else:
        np.testing.assert_allclose(steepest, float(utility.lipschitz), rtol=1e-4)


@pytest.mark.parametrize("name", SCALARS)
def test_slopes_are_those_of_the_function(name):
    utility = SCALARS[name].utility
    linear_on_both_sides = name in ("mean", "target", "cvar", "optimistic cvar", "mean-cvar")
    assert (utility.slopes is not None) == linear_on_both_sides
    if utility.slopes is not None:
        left, right = utility.slopes
        np.testing.assert_allclose(
            utility.f(jnp.asarray(OUTCOMES)),
            left * np.minimum(OUTCOMES, 0) + right * np.maximum(OUTCOMES, 0),
            rtol=1e-5,
        )


def value_of(objective, returns, probs):
    """The objective of one law by its definition; a search goes over all atoms, where a piecewise linear one ends."""

    def expected(stock):
        return float(expectation(lambda x: np.asarray(objective.utility.f(jnp.asarray(x))))(stock + returns, probs))

    if objective.initial_stock is not None:
        return expected(objective.initial_stock)
    totals = [b + expected(-b) / objective.level for b in returns]
    return min(totals) if objective.minimizes else max(totals)


@pytest.mark.parametrize("seed", range(3))
def test_objectives_are_the_functionals_they_are_named_for(seed):
    rng = np.random.default_rng(seed)
    returns = rng.normal(scale=2.0, size=9).astype(np.float32)
    probs = rng.dirichlet(np.ones(9))
    average = (returns * probs).sum()
    for tau in (0.1, 0.35, 1.0):
        lower, upper = worst_share(returns, probs, tau), -worst_share(-returns, probs, tau)
        np.testing.assert_allclose(value_of(cvar(tau), returns, probs), lower, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(value_of(optimistic_cvar(tau), returns, probs), upper, rtol=1e-4, atol=1e-5)
        mixed = 0.3 * average + 0.7 * lower
        np.testing.assert_allclose(value_of(mean_cvar(tau, 0.3), returns, probs), mixed, rtol=1e-4, atol=1e-5)
    for objective, expected in (
        (mean(), average),
        (target(1.0), -(probs * np.abs(returns - 1)).sum()),
        (target(1.0, 2.0), -(probs * (returns - 1) ** 2).sum()),
        (probability(0.5), probs[returns >= 0.5].sum()),
        (probability(float(returns[4])), probs[returns >= returns[4]].sum()),
        (signed_power(0.5, 1.0), (probs * np.sign(returns - 1) * np.sqrt(np.abs(returns - 1))).sum()),
        (exponential(0.5), -(probs * np.exp(-0.5 * returns)).sum()),
        (exponential(-0.5), (probs * np.exp(0.5 * returns)).sum()),
        (from_utility(lambda x: jnp.minimum(x, 1)), (probs * np.minimum(returns, 1)).sum()),
    ):
        np.testing.assert_allclose(value_of(objective, returns, probs), expected, rtol=1e-4, atol=1e-5)


def test_a_discount_turns_preferences_of_those_utilities_alone_that_have_no_degree():
    """A gamble and a small gain: at their full size a capped or exponential utility takes the gain, at a fifth not."""
    lotteries, probs = np.array([[4.0, -1.0], [1.0, 0.4]]), np.full((2, 2), 0.5)

    def prefers_the_gamble(f, scale):
        gamble, gain = expectation(f)(scale * lotteries, probs)
        return bool(gamble > gain)

    for f in (lambda x: np.minimum(x, 1), lambda x: np.asarray(exponential(1.0).utility.f(jnp.asarray(x)))):
        assert [prefers_the_gamble(f, scale) for scale in (1.0, 0.2)] == [False, True]
    for name in SCALARS:
        assert prefers_the_gamble(FORMULAS[name], 1.0) == prefers_the_gamble(FORMULAS[name], 0.2)


def test_what_is_not_indifferent_to_gamma_needs_gamma_one():
    for utility in (exponential(1.0).utility, from_utility(lambda x: jnp.minimum(x, 1)).utility):
        require_admissible(utility, 1.0)
        with pytest.raises(ValueError, match=r"discount: got 0.5, takes 1: .* is not indifferent to gamma"):
            require_admissible(utility, 0.5)
    require_admissible(from_utility(jnp.abs, degree=1.0).utility, 0.5)
    for discount in (0.0, 1.5):
        with pytest.raises(ValueError, match=rf"discount: got {discount}, takes a number in \(0, 1\]"):
            require_admissible(mean().utility, discount)
    # Inside jit nothing is checked.
    jax.jit(lambda gamma: require_admissible(exponential(1.0).utility, gamma))(0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mean", mean()),
        (" cvar(0.1) ", cvar(0.1)),
        ("target(-5)", target(-5.0)),
        ("target(3, 2)", target(3.0, 2.0)),
        ("optimistic-cvar(.25)", optimistic_cvar(0.25)),
        ("mean-cvar(0.2, 0.5)", mean_cvar(0.2, 0.5)),
        ("probability(12)", probability(12.0)),
        ("signed-power", signed_power()),
        ("exponential(1e-1)", exponential(0.1)),
        ("reward-constraint(2, 10)", reward_constraint(2.0, 10.0)),
        ("homeostasis(1, -2)", homeostasis(1.0, -2.0)),
    ],
)
def test_texts_are_read(text, expected):
    objective = parse_objective(text)
    # Functions are made anew; everything else is equal.
    assert objective._replace(utility=None) == expected._replace(utility=None)
    assert objective.utility._replace(f=None) == expected.utility._replace(f=None)
    outcomes = jnp.asarray(outcomes_for(expected.utility))
    np.testing.assert_array_equal(objective.utility.f(outcomes), expected.utility.f(outcomes))


@pytest.mark.parametrize("name", INADMISSIBLE)
def test_inadmissible_functionals_are_refused_with_the_reason(name):
    reason = "indifferent to gamma" if name == "capped" else "not indifferent to mixtures"
    with pytest.raises(ValueError, match=f"objective: got '{name}\\(0.3\\)', takes .*{name} it cannot: .*{reason}"):
        parse_objective(f"{name}(0.3)")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parse_objective("cva(0.1)"), r"objective: got 'cva', takes one of cvar\(tau\), "),
        (lambda: parse_objective("cvar 0.1"), r"objective: got 'cvar 0.1', takes NAME or NAME\(NUMBER"),
        (lambda: parse_objective("cvar"), r"objective: got 'cvar', takes cvar\(tau\) with finite numbers"),
        (lambda: parse_objective("cvar(a)"), r"got 'cvar\(a\)', takes cvar\(tau\) with finite numbers"),
        (lambda: parse_objective("target(1, 2, 3)"), r"takes target\(x, power\) with finite numbers"),
        (lambda: parse_objective("cvar(2)"), r"tau: got 2.0, takes a number in \(0, 1\]"),
        (lambda: cvar(0.0), r"tau: got 0.0, takes a number in \(0, 1\]"),
        (lambda: optimistic_cvar(1.1), "tau: got 1.1"),
        (lambda: mean_cvar(0.0, 0.5), "tau: got 0.0"),
        (lambda: mean_cvar(0.5, -0.1), r"weight: got -0.1, takes a number in \[0, 1\]"),
        (lambda: target(1.0, 0.0), "power: got 0.0, takes a number above 0"),
        (lambda: signed_power(-1.0), "power: got -1.0"),
        (lambda: exponential(0.0), "b: got 0.0, takes a number other than 0"),
        (lambda: reward_constraint(1.0, -1.0), "penalty: got -1.0, takes a number of at least 0"),
        (lambda: homeostasis(), r"deficits: got \(\), takes one number for each need"),
        (lambda: homeostasis(1.0, power=0.0), "power: got 0.0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_every_name_is_read_by_its_own_factory():
    examples = {"homeostasis": "homeostasis(1)", "signed-power": "signed-power(0.5)", "mean": "mean"}
    for name, factory in OBJECTIVES.items():
        text = examples.get(name, f"{name}({'0.5, 0.5' if name in ('mean-cvar', 'reward-constraint') else '0.5'})")
        assert parse_objective(text).name.startswith(name), factory
