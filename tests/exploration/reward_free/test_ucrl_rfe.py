"""An episode against loops in float64, coverage, the vacuous constants, and exploration that beats chance."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.exploration.reward_free.constants import BernsteinRadii, ucrl_rfe_plus_radii, ucrl_rfe_radius
from jaxrl_sparse.exploration.reward_free.regression import Regression
from jaxrl_sparse.exploration.reward_free.ucrl_rfe import (
    UCRLRFEConfig,
    bernstein_variances,
    exploration_bonus,
    ucrl_rfe,
    ucrl_rfe_plus,
)
from jaxrl_sparse.finite.linear_mixtures import linear_mixture, random_linear_mixture
from jaxrl_sparse.training import train

MIXTURE = random_linear_mixture(jax.random.key(0), 3, 2, 2)
CONFIG = UCRLRFEConfig(horizon=4, num_episodes=50, beta_scale=0.05, num_rewards=16)


def chain(num_actions=4, dimension=4):
    """A walk of three known steps, each by one action of four, to a gamble whose odds are unknown."""
    rng = np.random.default_rng(3)
    kernels = np.zeros((6, num_actions, 6, dimension))
    for state, action in enumerate(rng.integers(num_actions, size=3)):
        kernels[state, :, 0] = 1
        kernels[state, action, 0], kernels[state, action, state + 1] = 0, 1
    for action in range(num_actions):
        kernels[3, action, 4] = rng.permutation(np.arange(dimension) % 2)
        kernels[3, action, 5] = 1 - kernels[3, action, 4]
    kernels[4:, :, 0] = 1
    return linear_mixture(kernels / dimension**0.5, dimension**0.5 * rng.dirichlet(np.ones(dimension)))


CHAIN = chain()
LONG = UCRLRFEConfig(horizon=6, num_episodes=60, num_rewards=64)


@functools.lru_cache
def compiled(make, exploration):
    """Twenty times three episodes of eight seeds, with an evaluation after each three; floats are arguments."""

    def one(scale, key):
        algorithm = make(dataclasses.replace(LONG, beta_scale=scale, exploration=exploration), CHAIN)

        def chunk(state, step):
            state, metrics = train(algorithm, state, 3, step)
            return state, (metrics, algorithm.evaluate(state, jax.random.key(9)))

        return jax.lax.scan(chunk, algorithm.init(key), 3 * jnp.arange(20))[1]

    return jax.jit(jax.vmap(one, in_axes=(None, 0)), compiler_options=QUICK_TO_COMPILE)


def history(make, scale, exploration="optimistic"):
    """Metrics `[8, 20, 3]` and evaluations `[8, 20]`."""
    keys = jax.random.split(jax.random.key(2), 8)
    return jax.tree.map(np.asarray, compiled(make, exploration)(jnp.float32(scale), keys))


def test_bonus_by_hand():
    bonus = exploration_bonus(jnp.array([[0.5, 0.01]]), 3.0, 4)
    np.testing.assert_allclose(bonus[:, 0], [[1, 0.045], [1, 0.03], [0.75, 0.015], [0, 0]], rtol=1e-6)


def test_bernstein_weights_by_hand():
    """H = 2, d = 1: Vbar = .9 * 2 - .8^2, E = min(4, 4 * 3 * .1 * .8) + min(4, 5 * .2 * 2)."""
    regression = Regression(jnp.array([[1.0], [0.9]]), jnp.array([[[0.1]], [[0.2]]]), jnp.ones((2, 1, 1)))
    mean = jnp.array([[[0.8], [2.0]], [[3.0], [2.0]], [[0.1], [9.0]]])
    radii = BernsteinRadii(*map(jnp.float32, (1.0, 3.0, 5.0)))
    found = bernstein_variances(regression, mean, radii, 2)
    np.testing.assert_allclose(found, [1.8 - 0.64 + 0.96 + 2, 4, 4 - 0.01 + 0.12 + 4], rtol=1e-5)


@pytest.mark.parametrize("make", [ucrl_rfe, ucrl_rfe_plus])
def test_the_first_episode_in_closed_form(make):
    """Nothing is known yet, so that u = (H - 1 - h) on all states, and features and targets depend on h alone."""
    with jax.enable_x64(True):
        mixture = random_linear_mixture(jax.random.key(0), 3, 2, 2)
        algorithm = make(CONFIG, mixture)
        learn = jax.jit(lambda key: algorithm.update(algorithm.init(key), jnp.int32(0))[0])
        regression = jax.tree.map(np.asarray, learn(jax.random.key(0)).regression)
        bound, remaining = float(mixture.norm_bound), np.arange(3, -1, -1)
        ones = np.asarray(mixture.features).sum(2)[0, 0]
        variances = np.ones(4)
        if make is ucrl_rfe_plus:
            radii = ucrl_rfe_plus_radii(2, 4, 50, bound, CONFIG.delta)
            check, tilde = CONFIG.beta_scale * float(radii.check), CONFIG.beta_scale * float(radii.tilde)
            width = bound * np.linalg.norm(ones)
            error = np.minimum(16, 8 * check * width * remaining) + np.minimum(16, tilde * width * remaining**2)
            variances = np.maximum(16 / 2, error)
        for family, weights in enumerate([1 / variances, np.ones(4)][: len(regression.theta)]):
            count = np.sum(weights * remaining ** (2 * (family + 1)))
            precision = bound**-2 * np.eye(2) + count * np.outer(ones, ones)
            np.testing.assert_allclose(regression.precision[family], precision, rtol=1e-9)
            np.testing.assert_allclose(regression.theta[family], np.linalg.solve(precision, count * ones), rtol=1e-8)


def test_the_papers_radius_covers_and_says_nothing():
    """All values stay at their largest, H, for all episodes; so do plans, which lose as much as at the start."""
    metrics, evaluations = history(ucrl_rfe, 1.0)
    np.testing.assert_array_equal(metrics["is_covered"], 1.0)
    np.testing.assert_array_equal(metrics["exploration_value"], 6.0)
    assert evaluations["suboptimality_mean"][:, -1].mean() > 0.7 * evaluations["suboptimality_mean"][:, 0].mean()
    assert float(ucrl_rfe_radius(4, 6, 60, 2.0, 0.1)) > 7 * 6


@pytest.mark.slow
@pytest.mark.parametrize(("make", "scale"), [(ucrl_rfe, 0.05), (ucrl_rfe_plus, 0.002)])
def test_a_scaled_radius_finds_what_uniform_actions_rarely_see(make, scale):
    metrics, evaluations = history(make, scale)
    uniform, of_uniform = history(ucrl_rfe, 0.05, "uniform")
    assert metrics["theta_error"][:, -1].mean() < 0.6 * uniform["theta_error"][:, -1].mean()
    assert evaluations["suboptimality_mean"][:, -1].mean() < 0.6 * of_uniform["suboptimality_mean"][:, -1].mean()
    assert evaluations["suboptimality_mean"][:, -1].mean() < 0.3 * evaluations["suboptimality_mean"][:, 0].mean()
    assert metrics["exploration_value"][:, -1].mean() < 0.7 * metrics["exploration_value"][:, 0].mean()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"horizon": 0}, "horizon: got 0, takes an integer of at least 1"),
        ({"beta_scale": -1.0}, "beta_scale: got -1.0, takes a number of at least 0"),
        ({"delta": 1.0}, r"delta: got 1.0, takes a number in \(0, 1\)"),
        ({"exploration": "random"}, "exploration: got 'random', takes one of optimistic, uniform"),
        ({"num_rewards": 0}, "num_rewards: got 0, takes an integer of at least 1"),
    ],
)
def test_what_is_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ucrl_rfe(UCRLRFEConfig(**fields), MIXTURE)
