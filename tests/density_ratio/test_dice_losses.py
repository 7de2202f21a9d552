"""The losses of DICE on tables and whole populations, in float64, against ratios from linear systems."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.dice_losses import (
    algae_dice_loss,
    algae_dice_saddle,
    discounts,
    dual_dice_loss,
    dual_dice_saddle,
    flow_gap,
    gen_dice_saddle,
    occupied_mass,
    power_pair,
)
from jaxrl_sparse.density_ratio.transition_data import population_data
from jaxrl_sparse.finite import expected_rewards, garnet, policy_evaluation, random_dense_mdp, transition_matrix

S, A, GAMMA = 5, 2, 0.8
EXPONENTS = (1.5, 2.0, 3.0)


class Ground:
    """An MDP, a target and a behaviour, and the ratio between them by numpy."""

    def __init__(self, ends=False, gamma=GAMMA, on_policy=False):
        with jax.enable_x64(True):
            mdp = (
                random_dense_mdp(jax.random.key(2), S, A, GAMMA) if ends else garnet(jax.random.key(2), S, A, 3, GAMMA)
            )
            mdp = mdp._replace(terminal=jnp.arange(S) == S - 1) if ends else mdp
            drawn = jax.random.normal(jax.random.key(3), (2, S, A))
            self.policy = jax.nn.softmax(drawn[0], axis=1)
            behaviour = self.policy if on_policy else jax.nn.softmax(drawn[1], axis=1)
            self.mdp, self.gamma = mdp, gamma
            occupancy = self.occupancy(behaviour)
            self.distribution = jnp.asarray(occupancy / occupancy.sum())
            self.occupied = self.occupancy(self.policy)
            self.ratio = jnp.asarray(self.occupied / np.where(self.distribution > 0, self.distribution, 1))
            self.data = population_data(mdp, self.distribution)
            self.discount_t = discounts(self.data.terminated, gamma)
            self.mass = occupied_mass(self.data.terminated, gamma)

    def occupancy(self, policy):
        """`d = (1 - gamma) beta pi + gamma P_pi^T d` over pairs that are not terminal, or what is stationary."""
        alive = ~np.asarray(self.mdp.terminal)
        policy = np.asarray(policy)
        forward = np.einsum("sat,tb->tbsa", transition_matrix(self.mdp), policy) * alive[:, None, None, None]
        forward = forward.reshape(S * A, S * A) * np.repeat(alive, A)
        first = (np.asarray(self.mdp.initial)[:, None] * policy).reshape(-1)
        if self.gamma < 1:
            flat = np.linalg.solve(np.eye(S * A) - self.gamma * forward, (1 - self.gamma) * first)
        else:
            values, vectors = np.linalg.eig(forward)
            flat = np.real(vectors[:, np.argmax(values.real)])
            flat /= flat.sum()
        return flat.reshape(S, A)

    def at(self, table):
        return table[self.data.observations, self.data.actions]

    def values(self, table):
        """`v_tm1`, `v_t`, `v_0` of a table."""
        means = jnp.sum(self.policy * table, axis=1)
        return self.at(table), means[self.data.next_observations], means[self.data.initial_observations]

    def expected(self, table):
        """The same with a row for each pair, and the mean over what follows: the losses' f is outside of it."""
        means = jnp.sum(self.policy * table, axis=1)
        following = transition_matrix(self.mdp) @ jnp.where(self.mdp.terminal, 0, means)
        return table.reshape(-1), following.reshape(-1), means

    def gap(self, ratio, table):
        v_tm1, v_t, v_0 = self.values(table)
        known = self.discount_t, v_0, self.gamma, self.data.weights, self.data.initial_weights
        return flow_gap(self.at(ratio), v_tm1, v_t, *known)


CONTINUING, ENDING = Ground(), Ground(ends=True)
STATIONARY, ON_POLICY = Ground(gamma=1.0), Ground(on_policy=True)


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


def softplus_ratio(table):
    return jax.nn.softplus(table + jnp.log(jnp.e - 1))


def minimised(loss, start, num_steps=100):
    """For each exponent by Newton's method, damped: the primal losses are convex, and two of three not quadratic.

    `loss(table, exponent)`, with a table like `start`; `[3, S, A]`.
    """

    def minimise(exponent):
        def objective(flat):
            return loss(flat.reshape(start.shape), exponent)

        def step(flat, _):
            gradient, hessian = jax.grad(objective)(flat), jax.hessian(objective)(flat)
            direction = jnp.linalg.solve(hessian + 1e-10 * jnp.eye(flat.size), gradient)
            candidates = flat - 0.5 ** jnp.arange(12)[:, None] * direction
            scores = jax.vmap(objective)(candidates)
            return candidates[jnp.argmin(jnp.where(jnp.isnan(scores), jnp.inf, scores))], None

        return jax.lax.scan(step, start.reshape(-1), None, num_steps)[0].reshape(start.shape)

    return quick(jax.vmap(minimise))(jnp.array(EXPONENTS))


def saddle(objective, down, up, distribution, rate=0.3, num_steps=10_000):
    """Gradient descent and ascent with a look ahead (extragradient), tables in units of the data's distribution."""
    scale = jnp.where(distribution > 0, 1 / jnp.where(distribution > 0, distribution, 1), 0)

    def moved(players, gradients):
        def move(sign, leaf, gradient):
            return leaf + sign * rate * gradient * (scale if leaf.ndim else 1)

        return tuple(
            jax.tree.map(functools.partial(move, sign), player, gradient)
            for sign, player, gradient in zip((-1, 1), players, gradients, strict=True)
        )

    def step(players, _):
        ahead = moved(players, jax.grad(objective, (0, 1))(*players))
        return moved(players, jax.grad(objective, (0, 1))(*ahead)), None

    return jax.lax.scan(step, (down, up), None, num_steps)[0]


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_pairs_are_conjugate(exponent):
    with jax.enable_x64(True):
        pair = power_pair(exponent)
        grid, points = jnp.linspace(-30, 30, 600_001), jnp.linspace(-3, 3, 7)
        on_grid = jnp.stack([jnp.max(grid * y - pair.function(grid)) for y in points])
        np.testing.assert_allclose(pair.conjugate(points), on_grid, atol=1e-7)
        np.testing.assert_allclose(pair.derivative(points), jax.vmap(jax.grad(pair.function))(points), atol=1e-12)
        slopes = jax.vmap(jax.grad(pair.conjugate))(points)
        np.testing.assert_allclose(pair.conjugate_derivative(points), slopes, atol=1e-12)
        np.testing.assert_allclose(pair.conjugate_derivative(pair.derivative(points)), points, atol=1e-12)


def test_the_pairs_that_papers_name():
    x = jnp.array([-2.0, 0.0, 0.5])
    np.testing.assert_allclose(power_pair(2.0).function(x), x**2 / 2)
    np.testing.assert_allclose(power_pair(2.0).conjugate(x), x**2 / 2)
    np.testing.assert_allclose(power_pair(1.5).function(x), jnp.abs(x) ** 1.5 / 1.5, rtol=1e-6)
    np.testing.assert_allclose(power_pair(1.5).conjugate(x), jnp.abs(x) ** 3 / 3, rtol=1e-6)


def test_a_pair_needs_an_exponent_above_one():
    with pytest.raises(ValueError, match=r"exponent: got 1.0, takes a number above 1"):
        power_pair(1.0)


@pytest.mark.parametrize("ground", [CONTINUING, ENDING, STATIONARY], ids=["continuing", "ending", "stationary"])
def test_no_test_function_sees_the_exact_ratio(ground):
    with jax.enable_x64(True):
        tables = jax.random.normal(jax.random.key(0), (8, S, A))
        gaps = quick(jax.vmap(jax.vmap(ground.gap, in_axes=(None, 0)), in_axes=(0, None)))
        exact, of_ones = gaps(jnp.stack([ground.ratio, jnp.ones((S, A))]), tables)
        np.testing.assert_allclose(exact, 0, atol=1e-12)
        assert jnp.min(jnp.abs(of_ones)) > 1e-4
        np.testing.assert_allclose(jnp.sum(ground.data.weights * ground.mass * ground.at(ground.ratio)), 1, rtol=1e-9)


def test_an_episode_that_ended_is_not_one_that_was_cut():
    terminated = jnp.array([False, True])
    np.testing.assert_allclose(discounts(terminated, 0.9), [0.9, 0.0])
    np.testing.assert_allclose(occupied_mass(terminated, 0.9), [1.0, 10.0], rtol=1e-6)
    np.testing.assert_allclose(occupied_mass(terminated[:1], 1.0), [1.0])
    with jax.enable_x64(True):
        # Bootstrapped over the end, the exact ratio would be seen.
        v_tm1, v_t, v_0 = ENDING.values(jnp.ones((S, A)))
        known = jnp.full_like(v_t, GAMMA), v_0, GAMMA, ENDING.data.weights, ENDING.data.initial_weights
        assert abs(flow_gap(ENDING.at(ENDING.ratio), v_tm1, v_t, *known)) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("ground", [CONTINUING, ENDING], ids=["continuing", "ending"])
def test_dual_dice_without_its_dual(ground):
    with jax.enable_x64(True):
        weights = ground.distribution.reshape(-1)

        def loss(nu, exponent):
            nu_tm1, nu_t, nu_0 = ground.expected(nu)
            known = jnp.full(S * A, GAMMA), nu_0, GAMMA, power_pair(exponent), weights, ground.mdp.initial
            return dual_dice_loss(nu_tm1, nu_t, *known)

        start = 0.1 * jax.random.normal(jax.random.key(0), (S, A)) * (ground.distribution > 0)
        for exponent, nu in zip(EXPONENTS, minimised(loss, start), strict=True):
            nu_tm1, nu_t, _ = ground.expected(nu)
            assert_ratio(ground, power_pair(exponent).derivative(nu_tm1 - GAMMA * nu_t).reshape(S, A))


@pytest.mark.parametrize("ground", [CONTINUING, ENDING, ON_POLICY], ids=["continuing", "ending", "on-policy"])
def test_dual_dice(ground):
    with jax.enable_x64(True):

        def solve(exponent):
            def objective(nu, zeta):
                nu_tm1, nu_t, nu_0 = ground.values(nu)
                known = ground.discount_t, nu_0, GAMMA, power_pair(exponent)
                weights = ground.data.weights, ground.data.initial_weights
                return dual_dice_saddle(ground.at(zeta), nu_tm1, nu_t, *known, *weights)

            # The curvature of f*(y) = y^3 / 3 grows with the ratio.
            return saddle(objective, jnp.zeros((S, A)), jnp.ones((S, A)), ground.distribution, 0.15, 30_000)

        _, ratios = quick(jax.vmap(solve))(jnp.array([1.5, 2.0]))
        for ratio in ratios:
            assert_ratio(ground, ratio)


@pytest.mark.parametrize(
    "ground",
    [CONTINUING, ENDING, ON_POLICY, STATIONARY],
    ids=["continuing", "ending", "on-policy", "stationary"],
)
def test_gen_dice(ground):
    with jax.enable_x64(True):

        def objective(w, test):
            f_tm1, f_t, f_0 = ground.values(test["f"])
            known = ground.discount_t, f_0, test["u"], ground.gamma, 1.0, ground.mass
            weights = ground.data.weights, ground.data.initial_weights
            return gen_dice_saddle(ground.at(softplus_ratio(w)), f_tm1, f_t, *known, *weights)

        start = jnp.zeros((S, A)), {"f": jnp.zeros((S, A)), "u": jnp.zeros(())}
        # The mass of episodes that end weighs their last transition by 1 / (1 - gamma).
        w, test = quick(lambda *start: saddle(objective, *start, ground.distribution, rate=0.1))(*start)
        assert_ratio(ground, softplus_ratio(w))
        np.testing.assert_allclose(test["u"], 0, atol=1e-3)


def test_gen_dice_measures_by_chi_square():
    """The maximum over f is `sum of (T - d)^2 / d`, T the flow into a pair; the one over u is half a square."""
    with jax.enable_x64(True):
        ratio = jax.random.uniform(jax.random.key(1), (S, A), minval=0.5, maxval=2)
        occupied = np.asarray(ratio * CONTINUING.distribution)
        policy, initial = np.asarray(CONTINUING.policy), np.asarray(CONTINUING.mdp.initial)
        into = np.einsum("sa,sat->t", occupied, transition_matrix(CONTINUING.mdp))
        flow = ((1 - GAMMA) * initial + GAMMA * into)[:, None] * policy
        f_tm1, f_t, f_0 = CONTINUING.values(jnp.asarray(2 * (flow / occupied - 1)))
        surplus = occupied.sum() - 1
        weights = CONTINUING.data.weights, CONTINUING.data.initial_weights
        known = CONTINUING.discount_t, f_0, jnp.asarray(surplus), GAMMA, 3.0, CONTINUING.mass
        reached = gen_dice_saddle(CONTINUING.at(ratio), f_tm1, f_t, *known, *weights)
        np.testing.assert_allclose(reached, ((flow - occupied) ** 2 / occupied).sum() + 1.5 * surplus**2, rtol=1e-9)


@pytest.mark.parametrize("ground", [CONTINUING, ENDING], ids=["continuing", "ending"])
def test_algae_dice_of_a_policy_is_its_value_less_the_divergence(ground):
    with jax.enable_x64(True):
        weights, alpha = ground.distribution.reshape(-1), 0.7
        rewards, gamma_t = expected_rewards(ground.mdp).reshape(-1), jnp.full(S * A, GAMMA)

        def loss(nu, exponent):
            nu_tm1, nu_t, nu_0 = ground.expected(nu)
            known = gamma_t, nu_0, GAMMA, alpha, power_pair(exponent), weights, ground.mdp.initial
            return algae_dice_loss(nu_tm1, nu_t, rewards, *known)

        start = 0.1 * jax.random.normal(jax.random.key(0), (S, A)) * (ground.distribution > 0)
        for exponent, nu in zip(EXPONENTS, minimised(loss, start), strict=True):
            pair = power_pair(exponent)
            nu_tm1, nu_t, _ = ground.expected(nu)
            assert_ratio(ground, pair.conjugate_derivative((rewards + GAMMA * nu_t - nu_tm1) / alpha).reshape(S, A))
            divergence = jnp.sum(ground.distribution * pair.function(ground.ratio))
            np.testing.assert_allclose(loss(nu, exponent), exact_value(ground) - alpha * divergence, atol=1e-6)


@pytest.mark.parametrize("ground", [CONTINUING, ENDING, ON_POLICY], ids=["continuing", "ending", "on-policy"])
def test_algae_dice(ground):
    with jax.enable_x64(True):

        def objective(nu, zeta):
            nu_tm1, nu_t, nu_0 = ground.values(nu)
            known = ground.data.rewards, ground.discount_t, nu_0, GAMMA, 0.7, power_pair(2.0)
            weights = ground.data.weights, ground.data.initial_weights
            return algae_dice_saddle(ground.at(zeta), nu_tm1, nu_t, *known, *weights)

        start = jnp.zeros((S, A)), jnp.ones((S, A))
        _, ratio = quick(lambda *start: saddle(objective, *start, ground.distribution))(*start)
        assert_ratio(ground, ratio)


def test_equal_weights_are_none():
    with jax.enable_x64(True):
        numbers = jax.random.normal(jax.random.key(0), (5, 6))
        equal = jnp.full(6, 1 / 6)
        known = jnp.full(6, 0.9), numbers[4], 0.9
        for loss, extra in ((dual_dice_saddle, (power_pair(2.0),)), (gen_dice_saddle, (jnp.asarray(0.3),))):
            arguments = numbers[0] ** 2, numbers[1], numbers[2], known[0], known[1]
            arguments += (*extra, 0.9, 2.0) if loss is gen_dice_saddle else (0.9, *extra)
            weighted = loss(*arguments, weights=equal, initial_weights=equal)
            np.testing.assert_allclose(loss(*arguments), weighted, rtol=1e-12)


def exact_value(ground):
    """`(1 - gamma) V^pi`, or the mean reward: not by the ratio, but by the values."""
    if ground.gamma == 1:
        return float(jnp.sum(jnp.asarray(ground.occupied) * expected_rewards(ground.mdp)))
    return (1 - ground.gamma) * ground.mdp.initial @ policy_evaluation(ground.mdp, ground.policy)


def assert_ratio(ground, ratio):
    covered = np.asarray(ground.distribution) > 0
    np.testing.assert_allclose(np.asarray(ratio)[covered], ground.ratio[covered], atol=1e-3)
    estimate = jnp.sum(ground.data.weights * ground.at(ratio) * ground.data.rewards)
    np.testing.assert_allclose(estimate, exact_value(ground), atol=1e-3)
    if ground is ON_POLICY:
        np.testing.assert_allclose(ratio, 1, atol=1e-3)
