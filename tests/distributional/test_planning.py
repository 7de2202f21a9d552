"""Planners against closed forms, classic dynamic programming, Monte Carlo, and what any optimum has to obey."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from scipy import stats

from jaxrl_sparse.distributional.grids import Grids, return_grids
from jaxrl_sparse.distributional.initial_stocks import optimize_initial_stock
from jaxrl_sparse.distributional.objectives import (
    Utility,
    cvar,
    exponential,
    homeostasis,
    mean,
    mean_cvar,
    piecewise_linear,
    probability,
)
from jaxrl_sparse.distributional.planning import (
    finite_horizon,
    make_backup,
    policy_evaluation,
    policy_iteration,
    value_iteration,
)
from jaxrl_sparse.distributional.return_distributions import mean as mean_of
from jaxrl_sparse.distributional.return_distributions import variance
from jaxrl_sparse.distributional.stock_rollouts import rollout_stock_policy
from jaxrl_sparse.environments.risk import Gamble
from jaxrl_sparse.finite import solvers
from jaxrl_sparse.finite.mdp import FiniteMDP, finite_mdp

quick = partial(jax.jit, compiler_options=QUICK_TO_COMPILE)
NUM_STATES, NUM_ACTIONS, NUM_SWEEPS, DISCOUNT = 6, 3, 60, 0.9
# min(x, 0), x, -|x| and one with a slope of its own on either side.
SLOPES = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [3.0, 0.5]], np.float32)


def dense(seed=0):
    """Returns are in [-10, 10]."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.ones(NUM_STATES), size=(NUM_STATES, NUM_ACTIONS))
    return finite_mdp(rows, rng.uniform(-1, 1, size=(NUM_STATES, NUM_ACTIONS)), DISCOUNT)


def integers(seed=0):
    """Four states, the last of which ends; every outcome pays a whole number from -2 to 2; undiscounted."""
    rng = np.random.default_rng(seed)
    rows, rewards = rng.dirichlet(np.ones(4), size=(4, 2)), rng.integers(-2, 3, size=(4, 2, 4))
    return finite_mdp(rows, rewards, 1.0, terminal=np.arange(4) == 3)


# Atoms are the negatives of stocks, which go two units further.
GRIDS = Grids(jnp.linspace(-12, 12, 49), jnp.linspace(-10, 10, 41))
WHOLE = Grids(jnp.arange(-14.0, 15.0), jnp.arange(-10.0, 11.0))
NUM_STEPS = 5


@quick
def plan(mdp, grids, slopes):
    return value_iteration(mdp, grids, piecewise_linear("swept", slopes[0], slopes[1]), NUM_SWEEPS)


@quick
@partial(jax.vmap, in_axes=(None, None, 0))
def plan_whole(mdp, grids, slopes):
    return value_iteration(mdp, grids, piecewise_linear("swept", slopes[0], slopes[1]), NUM_STEPS)


def test_expected_returns_are_those_of_classic_value_iteration_at_every_stock():
    mdp = dense()
    ours = plan(mdp, GRIDS, jnp.asarray(SLOPES[1]))
    classic = quick(lambda mdp: solvers.value_iteration(mdp, NUM_SWEEPS))(mdp)
    np.testing.assert_allclose(ours.values, classic.values[:, None] + GRIDS.stocks, atol=1e-4)
    np.testing.assert_array_equal(ours.actions, np.broadcast_to(classic.actions[:, None], (NUM_STATES, 49)))
    # The projection keeps the mean.
    np.testing.assert_allclose(mean_of(ours.probs, GRIDS.atoms), ours.values - GRIDS.stocks, atol=1e-3)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_scaled_rewards_and_stocks_scale_the_values_and_leave_the_actions(scale):
    mdp = integers()
    once = plan_whole(mdp, WHOLE, jnp.asarray(SLOPES))
    scaled = plan_whole(
        mdp._replace(rewards=scale * mdp.rewards), Grids(*(scale * grid for grid in WHOLE)), jnp.asarray(SLOPES)
    )
    np.testing.assert_allclose(scaled.values, scale * once.values, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(scaled.actions, once.actions)


def test_other_degrees_scale_by_their_power():
    """-x^2, sign(x) sqrt|x| and 1{x >= 0}, as one utility whose parts are switched on one at a time."""
    degrees = jnp.array([2.0, 0.5, 0.0])

    @quick
    @partial(jax.vmap, in_axes=(None, None, 0, 0))
    def plan(mdp, grids, part, degree):
        def f(x):
            return part[0] * -(x**2) + part[1] * jnp.sign(x) * jnp.sqrt(jnp.abs(x)) + part[2] * (x >= 0)

        return value_iteration(mdp, grids, Utility("parts", f, degree, float("inf")), NUM_STEPS)

    mdp = integers()
    once = plan(mdp, WHOLE, jnp.eye(3), degrees)
    twice = plan(mdp._replace(rewards=2 * mdp.rewards), Grids(*(2 * grid for grid in WHOLE)), jnp.eye(3), degrees)
    factors = np.array([4.0, np.sqrt(2), 1.0])[:, None, None]
    np.testing.assert_allclose(twice.values, factors * once.values, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(twice.probs, once.probs, atol=1e-4)
    np.testing.assert_array_equal(twice.actions, once.actions)


def test_a_shortfall_is_risk_neutral_below_all_returns_and_nothing_above_them():
    mdp = dense()
    ours = plan(mdp, GRIDS, jnp.asarray(SLOPES[0]))
    neutral = plan(mdp, GRIDS, jnp.asarray(SLOPES[1]))
    below, above = np.asarray(GRIDS.stocks) < -10, np.asarray(GRIDS.stocks) > 10
    np.testing.assert_array_equal(ours.actions[:, below], neutral.actions[:, below])
    np.testing.assert_allclose(ours.values[:, below], neutral.values[:, below], atol=1e-4)
    np.testing.assert_allclose(ours.values[:, above], 0, atol=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_values_are_lipschitz_in_the_stock_and_rise_where_the_utility_does(seed):
    values = np.asarray(plan_whole(integers(seed), WHOLE, jnp.asarray(SLOPES)).values)
    slopes = np.diff(values, axis=-1)
    for i, (left, right) in enumerate(SLOPES):
        assert np.abs(slopes[i]).max() <= max(abs(left), abs(right)) + 1e-5
        if right >= 0:
            assert slopes[i].min() >= -1e-5
    # -|x| falls somewhere.
    assert slopes[2].min() < -0.9


def test_values_are_the_expected_utilities_of_the_laws():
    """All laws are of mass one, and the values are theirs; in float64's absence to five digits."""
    ours = plan_whole(integers(), WHOLE, jnp.asarray(SLOPES))
    probs = np.asarray(ours.probs, float)
    np.testing.assert_allclose(probs.sum(-1), 1, atol=1e-5)
    assert probs.min() > -1e-4
    outcomes = np.asarray(WHOLE.stocks)[:, None] + np.asarray(WHOLE.atoms)
    for i, (left, right) in enumerate(SLOPES):
        utilities = left * np.minimum(outcomes, 0) + right * np.maximum(outcomes, 0)
        np.testing.assert_allclose(ours.values[i], (probs[i] * utilities).sum(-1), atol=1e-4)


def test_the_gap_to_the_optimum_shrinks_with_the_discount():
    """`max |F_n - F*| <= L gamma^n r_max / (1 - gamma)` after every sweep."""

    @quick
    def values_by_sweep(mdp):
        backup = make_backup(mdp, GRIDS, cvar(0.5).utility, 150)

        def sweep(laws, _):
            laws, values, _ = backup.sweep(laws)
            return laws, values

        return jax.lax.scan(sweep, backup.start()[0], length=150)[1]

    values = np.asarray(values_by_sweep(dense()))
    gaps = np.abs(values - values[-1]).max((1, 2))[:60]
    bounds = 0.9 ** np.arange(1, 61) * 1.0 / (1 - 0.9)
    assert (gaps <= bounds).all()
    # The bound is of the right order: it is used up to a twentieth at least at the start.
    assert gaps[0] > bounds[0] / 20


# Two outcomes of a single action, in one state; one compilation.
@quick
def law_of_two_outcomes(rewards, discount, grids):
    mdp = finite_mdp(
        jnp.full((1, 1, 2), 0.5), rewards[None, None], discount, successors=jnp.zeros((1, 1, 2), jnp.int32)
    )
    actions = jnp.zeros((1, 2), jnp.int32)
    return policy_evaluation(mdp, grids, mean().utility, actions, 60, form="categorical").probs[0, 0]


def test_halved_coins_have_the_uniform_law():
    atoms = jnp.linspace(0, 2, 65)
    law = np.asarray(law_of_two_outcomes(jnp.array([0.0, 1.0]), jnp.float32(0.5), Grids(jnp.array([-2.0, 0.0]), atoms)))
    np.testing.assert_allclose(law @ atoms, 1, atol=1e-5)
    # As measured with numpy; a projection spreads, so that 1/3 is exceeded.
    np.testing.assert_allclose(variance(jnp.asarray(law), atoms), 0.333496, atol=2e-6)
    cdf = law.cumsum()
    gap = max(np.abs(cdf - atoms / 2).max(), np.abs(cdf - law - atoms / 2).max())
    np.testing.assert_allclose(gap, 0.0078, atol=1e-4)


def test_thirds_have_the_law_of_cantor():
    atoms = jnp.linspace(0, 3, 65)
    law = law_of_two_outcomes(jnp.array([0.0, 2.0]), jnp.float32(1 / 3), Grids(jnp.array([-3.0, 0.0]), atoms))
    np.testing.assert_allclose(law @ atoms, 1.5, atol=1e-5)
    # The last projection alone spreads by zeta^2 / 4 at most, all of them by a geometric series.
    spread = float(variance(law, atoms)) - 1.125
    assert 0 <= spread <= (3 / 64) ** 2 / 4 / (1 - 1 / 9)
    # Nothing is won between one and two.
    between = (np.asarray(atoms) > 1.1) & (np.asarray(atoms) < 1.9)
    assert np.asarray(law)[between].sum() < 1e-5


def test_a_sure_reward_has_a_sure_return():
    atoms = jnp.linspace(0, 2, 65)
    law = law_of_two_outcomes(jnp.ones(2), jnp.float32(0.5), Grids(jnp.array([-2.0, 0.0]), atoms))
    np.testing.assert_allclose(law, np.arange(65) == 64, atol=1e-5)


@pytest.mark.slow
def test_normal_rewards_have_normal_returns():
    """`R ~ N(m, s^2)`: `G ~ N(m / (1 - gamma), s^2 / (1 - gamma^2))`; rewards are 200 equally likely ones."""
    location, scale, discount, spacing = 0.3, 0.8, 0.6, 0.1
    levels = (np.arange(200) + 0.5) / 200
    rewards = stats.norm.ppf(levels, location, scale)
    mdp = finite_mdp(
        np.full((1, 1, 200), 1 / 200), rewards[None, None], discount, successors=np.zeros((1, 1, 200), int)
    )
    grids = return_grids(mdp, spacing, 40)
    actions = jnp.zeros((1, len(grids.stocks)), jnp.int32)
    evaluate = quick(lambda mdp: policy_evaluation(mdp, grids, mean().utility, actions, 40, form="categorical"))
    law = np.asarray(evaluate(mdp).probs[0, 0], float)
    exact = stats.norm(location / (1 - discount), scale / np.sqrt(1 - discount**2))
    np.testing.assert_allclose(law @ grids.atoms, exact.mean(), atol=1e-3)
    # What the rewards lack of a normal variance, and what projections add.
    variance_of_rewards, gained = rewards.var() / (1 - discount**2), spacing**2 / 4 / (1 - discount**2)
    assert -1e-3 <= law @ (grids.atoms - law @ grids.atoms) ** 2 - variance_of_rewards <= gained + 1e-3
    sample = exact.ppf((np.arange(4000) + 0.5) / 4000)
    rewards_off = stats.wasserstein_distance(rewards, stats.norm.ppf((np.arange(4000) + 0.5) / 4000, location, scale))
    off = stats.wasserstein_distance(grids.atoms, sample, law)
    assert off <= (spacing / 2 + rewards_off) / (1 - discount)


def test_variances_are_those_of_the_variance_equation():
    """`Var(s) = E[(R + gamma V(S') - V(s))^2] + gamma^2 E Var(S')`, and what projections add to it."""
    rng = np.random.default_rng(3)
    rows, rewards = rng.dirichlet(np.ones(4), size=(4, 2)), rng.uniform(-1, 1, size=(4, 2, 4))
    mdp = finite_mdp(rows, rewards, 0.8)
    policy = np.array([0, 1, 1, 0])
    chain, paid = rows[np.arange(4), policy], rewards[np.arange(4), policy]
    means = np.linalg.solve(np.eye(4) - 0.8 * chain, (chain * paid).sum(-1))
    errors = (chain * (paid + 0.8 * means - means[:, None]) ** 2).sum(-1)
    variances = np.linalg.solve(np.eye(4) - 0.8**2 * chain, errors)
    grids = Grids(jnp.linspace(-5, 5, 5), jnp.linspace(-5, 5, 201))
    actions = jnp.broadcast_to(jnp.asarray(policy, jnp.int32)[:, None], (4, 5))
    evaluate = quick(lambda mdp: policy_evaluation(mdp, grids, mean().utility, actions, 80, form="categorical"))
    ours = evaluate(mdp)
    np.testing.assert_allclose(ours.values, means[:, None] + grids.stocks, atol=1e-4)
    spread = np.asarray(variance(ours.probs, grids.atoms)) - variances[:, None]
    assert (spread >= -1e-4).all()
    assert (spread <= 0.05**2 / 4 / (1 - 0.8**2) + 1e-4).all()


def test_evaluated_laws_are_those_of_episodes():
    mdp = integers(4)
    actions = jnp.asarray(np.random.default_rng(5).integers(2, size=(4, 29)), jnp.int32)
    evaluated = quick(lambda mdp: policy_evaluation(mdp, WHOLE, cvar(0.5).utility, actions, NUM_STEPS))(mdp)
    count, column = 20_000, 12
    episodes = quick(
        lambda key: rollout_stock_policy(
            key, mdp, actions, WHOLE.stocks, jnp.full(count, WHOLE.stocks[column]), NUM_STEPS
        )
    )(jax.random.key(0))
    frequencies = (np.asarray(episodes.returns)[:, None] == np.asarray(WHOLE.atoms)).mean(0)
    probs = np.asarray(evaluated.probs[0, column], float).clip(0)
    assert (np.abs(frequencies - probs) <= 5 * np.sqrt(probs / count) + 1e-4).all()
    worth = np.minimum(np.asarray(episodes.outcomes), 0)
    assert abs(worth.mean() - evaluated.values[0, column]) <= 5 * worth.std() / np.sqrt(count)


@pytest.mark.slow
def test_policy_iteration_rises_to_the_optimum():
    mdp = Gamble().mdp
    grids = return_grids(mdp, 1.0, 10)
    utility = piecewise_linear("target", 1.0, -1.0)
    best = quick(lambda mdp: value_iteration(mdp, grids, utility, 10))(mdp)

    def improved(count):
        # Evaluation is exact after ten sweeps: a round leads to the next.
        return quick(lambda mdp: policy_iteration(mdp, grids, utility, count, 10))(mdp)

    plans = [improved(count) for count in (1, 2, 30)]
    gains = np.diff([np.asarray(plan.values) for plan in plans], axis=0)
    assert gains.min() >= -1e-5
    # The first policy is not the best, and the last one stands before all iterations are done.
    assert gains[0].max() > 0.1
    np.testing.assert_allclose(plans[-1].values, best.values, atol=1e-5)
    np.testing.assert_allclose(plans[-1].residual, 0, atol=1e-5)
    assert 2 * 11 < int(plans[-1].num_sweeps) < 30 * 11
    assert int(plans[0].num_sweeps) == 11


def test_a_horizon_has_the_values_of_as_many_sweeps_and_the_actions_of_each():
    mdp, utility = integers(1), cvar(0.5).utility
    planned = quick(lambda mdp: finite_horizon(mdp, WHOLE, utility, NUM_STEPS))(mdp)
    swept = plan_whole(mdp, WHOLE, jnp.asarray(SLOPES))
    np.testing.assert_allclose(planned.values, swept.values[0], atol=1e-5)
    np.testing.assert_allclose(planned.probs, swept.probs[0], atol=1e-4)
    np.testing.assert_array_equal(planned.actions[0], swept.actions[0])
    # With one step left the reward alone counts.
    one = quick(lambda mdp: finite_horizon(mdp, WHOLE, utility, 1))(mdp)
    np.testing.assert_array_equal(planned.actions[-1], one.actions[0])
    outcomes = np.minimum(np.asarray(WHOLE.stocks)[:, None, None, None] + np.asarray(mdp.rewards), 0)
    worth = (np.asarray(mdp.probabilities) * outcomes).sum(-1)[:, :3]
    np.testing.assert_allclose(one.values[:3], worth.max(-1).T, atol=1e-5)
    # Followed step by step, the actions are worth what is promised.
    count, column = 20_000, 13
    episodes = quick(
        lambda key: rollout_stock_policy(
            key, mdp, planned.actions, WHOLE.stocks, jnp.full(count, WHOLE.stocks[column]), NUM_STEPS
        )
    )(jax.random.key(1))
    achieved = np.minimum(np.asarray(episodes.outcomes), 0)
    assert abs(achieved.mean() - planned.values[0, column]) <= 5 * achieved.std() / np.sqrt(count)


@pytest.mark.parametrize(
    ("num_sweeps", "tolerance", "expected"),
    # A sweep n adds 2^-(n - 1): looked at after 10 sweeps it is 2^-9 = .00195, after 20 2^-19.
    [(40, 0.001, 20), (40, 0.002, 10), (25, 0.001, 15), (25, 0.0, 25), (7, 0.0, 7)],
)
def test_a_tolerance_ends_the_sweeps(num_sweeps, tolerance, expected):
    mdp = finite_mdp(np.ones((1, 1, 1)), [[1.0]], 0.5)
    grids = Grids(jnp.linspace(-2, 0, 3), jnp.linspace(0, 2, 3))
    ours = quick(lambda mdp: value_iteration(mdp, grids, mean().utility, num_sweeps, tolerance=tolerance))(mdp)
    assert int(ours.num_sweeps) == expected
    np.testing.assert_allclose(ours.residual, 0.5 ** (expected - 1), atol=1e-6)
    np.testing.assert_allclose(ours.values[0], grids.stocks + 2 - 0.5 ** (expected - 1), atol=1e-5)


@pytest.mark.parametrize(("form", "limit"), [("integrated", 300_000), ("categorical", 300_000)])
def test_blocks_give_the_same_numbers(form, limit):
    mdp = dense()
    solve = lambda mdp, limit: value_iteration(  # noqa: E731
        mdp, GRIDS, cvar(0.5).utility, 10, form=form, memory_limit=limit
    )
    whole, blocks = (quick(partial(solve, limit=limit))(mdp) for limit in (None, limit))
    np.testing.assert_allclose(blocks.values, whole.values, atol=1e-5)
    np.testing.assert_allclose(blocks.probs, whole.probs, atol=1e-4)
    np.testing.assert_array_equal(blocks.actions, whole.actions)


def hundred_states(num_stocks, num_atoms):
    """Shapes of a dense process of a hundred states and four actions, and of its grids."""

    def shape(*sizes):
        return jax.ShapeDtypeStruct(sizes, jnp.float32)

    ends = jax.ShapeDtypeStruct((100,), jnp.bool_)
    mdp = FiniteMDP(shape(100, 4, 100), shape(100, 4, 1), shape(), ends, shape(100))
    return mdp, Grids(shape(num_stocks), shape(num_atoms))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["integrated", "categorical"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_memory_limit_is_kept(form, share):
    """In what XLA sets aside, for the least limit without blocks and for half of it."""
    limit = int(share * 8 * 4 * 100 * 51 * 51)

    def solve(mdp, grids):
        return value_iteration(mdp, grids, piecewise_linear("target", 1.0, -1.0), 10, form=form, memory_limit=limit)

    analysis = jax.jit(solve).lower(*hundred_states(51, 51)).compile().memory_analysis()
    assert analysis is not None
    assert limit / 5 < analysis.temp_size_in_bytes <= limit


def test_too_little_memory_is_refused_with_the_atoms_that_would_fit():
    mdp = dense()
    with pytest.raises(
        ValueError, match=r"memory_limit: got 60000, takes at least .* 41 atoms; (\d+) atoms"
    ) as refused:
        value_iteration(mdp, GRIDS, cvar(0.5).utility, 10, memory_limit=60_000)
    fitting = int(str(refused.value).split(";")[1].split()[0])
    assert 2 <= fitting < 41
    coarse = GRIDS._replace(atoms=jnp.linspace(-10, 10, fitting))
    make_backup(mdp, coarse, cvar(0.5).utility, 10, memory_limit=60_000)
    finer = GRIDS._replace(atoms=jnp.linspace(-10, 10, fitting + 1))
    with pytest.raises(ValueError, match="memory_limit: got 60000"):
        make_backup(mdp, finer, cvar(0.5).utility, 10, memory_limit=60_000)


def test_batches_of_processes_and_of_risk_are_planned_as_each():
    mdps = [dense(seed) for seed in range(2)]
    levels = jnp.array([[0.1, 0.0], [0.5, 0.3], [1.0, 0.9]])

    def solve(mdp, level):
        objective = mean_cvar(level[0], level[1])
        values = value_iteration(mdp, GRIDS, objective.utility, 20).values
        return optimize_initial_stock(values[0], GRIDS.stocks, objective)

    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *mdps)
    together = quick(jax.vmap(jax.vmap(solve, (None, 0)), (0, None)))(batch, levels)
    alone = quick(solve)
    for i, j in np.ndindex(2, 3):
        stock, value = alone(mdps[i], levels[j])
        np.testing.assert_allclose(together.value[i, j], value, atol=1e-4)
        np.testing.assert_allclose(together.stock[i, j], stock, atol=1e-5)


def test_what_is_concrete_is_checked_inside_jit_as_well():
    mdp, narrow = dense(), GRIDS._replace(atoms=jnp.linspace(-3, 3, 13))
    with pytest.raises(ValueError, match=r"grids\.atoms: got"):
        jax.jit(lambda tau: value_iteration(mdp, narrow, cvar(tau).utility, 10))(0.5)


GAMBLE = Gamble().mdp
GAMBLE_GRIDS = return_grids(GAMBLE, 1.0, 10)
UTILITY = cvar(0.5).utility


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: value_iteration(dense(), GRIDS, exponential(1.0).utility, 10),
            "discount: got 0.89.*, takes 1: exponential is not indifferent to gamma",
        ),
        (
            lambda: value_iteration(GAMBLE._replace(discount=jnp.float32(1.5)), GAMBLE_GRIDS, UTILITY, 10),
            r"discount: got 1.5, takes a number in \(0, 1\]",
        ),
        (
            lambda: value_iteration(GAMBLE, GAMBLE_GRIDS._replace(atoms=jnp.arange(-10.0, 30)), UTILITY, 10),
            r"grids.atoms: got \(-10.0, 29.0\), takes a grid that covers \[-10, 30\]",
        ),
        (
            lambda: finite_horizon(GAMBLE, GAMBLE_GRIDS._replace(stocks=jnp.arange(-9.0, 30)), UTILITY, 10),
            r"grids.stocks: got \(-9.0, 29.0\), takes a grid that covers \[-30, 10\]",
        ),
        (
            lambda: value_iteration(GAMBLE, GAMBLE_GRIDS._replace(atoms=jnp.array([-10.0, 0.0, 30.0])), UTILITY, 10),
            "grids.atoms: got .*, takes points in ascending order with equal spacing",
        ),
        (lambda: value_iteration(GAMBLE, GAMBLE_GRIDS, UTILITY, 0), "num_sweeps: got 0, takes an integer of at least"),
        (
            lambda: value_iteration(GAMBLE, GAMBLE_GRIDS, UTILITY, 10, form="quantile"),
            "form: got 'quantile', takes one of integrated, categorical, or None",
        ),
        (
            lambda: value_iteration(GAMBLE, GAMBLE_GRIDS, probability(3.0).utility, 10, form="integrated"),
            "utility: got 'probability', takes a piecewise linear one",
        ),
        (
            lambda: finite_horizon(GAMBLE, GAMBLE_GRIDS, UTILITY, 10, stock_rounding="up"),
            "stock_rounding: got 'up', takes one of linear, nearest",
        ),
        (
            lambda: value_iteration(GAMBLE, GAMBLE_GRIDS, homeostasis(1.0, 2.0).utility, 10),
            "utility: got 2, takes a utility of scalars; vectors have stock_value_iteration",
        ),
        (
            lambda: value_iteration(finite_mdp([[[1.0]]], np.ones((1, 1, 1, 2)), 0.9), GAMBLE_GRIDS, UTILITY, 10),
            "mdp: got 2, takes scalar rewards",
        ),
        (lambda: policy_iteration(GAMBLE, GAMBLE_GRIDS, UTILITY, 0, 5), "num_iterations: got 0"),
        (lambda: policy_iteration(GAMBLE, GAMBLE_GRIDS, UTILITY, 3, 0), "num_sweeps: got 0"),
        (
            lambda: policy_evaluation(GAMBLE, GAMBLE_GRIDS, UTILITY, jnp.zeros((11, 43), jnp.int32), 0),
            "num_sweeps: got 0",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
@pytest.mark.parametrize(
    "utility",
    [cvar(0.1).utility, piecewise_linear("target", 1.0, -1.0), probability(1.0).utility],
    ids=lambda u: u.name,
)
def test_a_plan_takes_the_memory_of_its_laws_and_of_all_actions_laws(utility):
    """4 (S C N + S A C N) bytes and a tenth, the plan itself included, whichever form the utility has."""
    plan = jax.jit(lambda mdp, grids: value_iteration(mdp, grids, utility, 12))
    analysis = plan.lower(*hundred_states(101, 51)).compile().memory_analysis()
    assert analysis is not None
    laws = 4 * 100 * 101 * 51
    taken = analysis.temp_size_in_bytes + analysis.output_size_in_bytes
    assert taken <= 1.1 * laws * (1 + 4), taken / laws
