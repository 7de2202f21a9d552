"""An episode against closed forms, coverage, the vacuous constant, and the horizon."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.exploration.reward_free.hf_ucrl_rfe import HFUCRLRFEConfig, hf_ucrl_rfe
from jaxrl_sparse.exploration.reward_free.optimistic_values import Uncertain
from jaxrl_sparse.exploration.reward_free.oracles import Exploration, greedy_oracle
from jaxrl_sparse.exploration.reward_free.planning import random_rewards
from jaxrl_sparse.finite.episodes import sample_episodes
from jaxrl_sparse.finite.linear_mixtures import (
    episodic_mixture,
    hard_linear_mixture,
    linear_mixture,
    random_linear_mixture,
)
from jaxrl_sparse.training import train

MIXTURE = random_linear_mixture(jax.random.key(0), 3, 2, 2)
CONFIG = HFUCRLRFEConfig(horizon=3, num_episodes=50, beta_scale=0.002, num_moments=3, num_samples=4, num_rewards=8)


@functools.lru_cache
def compiled(fields):
    def one(scale, mixture, key):
        config = HFUCRLRFEConfig(**dict(fields), beta_scale=scale)
        algorithm = hf_ucrl_rfe(config, mixture)
        state, metrics = train(algorithm, algorithm.init(key), config.num_episodes)
        return state, metrics, algorithm.evaluate(state, jax.random.key(9))

    return jax.jit(jax.vmap(one, in_axes=(None, None, 0)), compiler_options=QUICK_TO_COMPILE)


def run(scale, mixture, num_seeds, **fields):
    keys = jax.random.split(jax.random.key(3), num_seeds)
    found = compiled(tuple(fields.items()))(jnp.float32(scale), mixture, keys)
    return jax.tree.map(np.asarray, (*found[0][1:], *found[1:]))


def test_one_moment_of_variance_one_is_plain_value_targeted_regression():
    """M = 1 has no next moment, and so the variance 1, which `gamma^2 ||phi||` is never above here.

    Successors are certain and theta has one dimension, so that `phi_V(s, a) = V(s')` for every V: targets are features.
    """
    kernels = np.array([[[1.0, 0], [0, 1]], [[0, 1], [1, 0]]])[..., None]
    with jax.enable_x64(True):
        mixture = linear_mixture(kernels, np.ones(1), norm_bound=1.0)
        config = HFUCRLRFEConfig(horizon=3, num_episodes=4, beta_scale=1e-3, num_moments=1, num_samples=4)
        algorithm = hf_ucrl_rfe(config, mixture)

        def episode(key):
            state, metrics = algorithm.update(algorithm.init(key), jnp.int32(0))
            return state.regression, metrics["uncertainty"]

        regression, _ = jax.jit(episode, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
        # Everything is determined: phi = y at each step, and so theta = (Sigma - lambda) / Sigma.
        precision = np.asarray(regression.precision)[:, 0, 0, 0]
        np.testing.assert_allclose(np.asarray(regression.theta)[:, 0, 0], (precision - 1) / precision, rtol=1e-10)
        assert (precision > 1).any()
        # Two of three steps have a next value, of at most 1.
        assert (precision <= 3).all()


def radius_by_hand(dimension, horizon, episode, bound, delta):
    """beta_k of the paper; `log(gamma^2 / alpha)` is not below zero here."""
    alpha, gamma, ridge = horizon**-0.5, dimension**-0.25, dimension / bound**2
    eta = math.log(1 + episode * horizon / (alpha**2 * dimension * ridge))
    tau = math.log(32 * (math.log(gamma**2 / alpha) + 1) * episode**2 * horizon**2 / delta)
    return 12 * math.sqrt(dimension * eta * tau) + 30 * tau / gamma**2 + math.sqrt(ridge) * bound


def norm(precision, phi):
    """`||phi||_{Sigma^-1}`."""
    return math.sqrt(phi @ np.linalg.solve(precision, phi))


def values_by_hand(kernels, theta, rewards, policy, precisions, beta):
    """Vhat and V, `[2, H + 1, S]`, with `precisions` those of the first moments of both."""
    values = np.zeros((2, len(rewards) + 1, len(kernels)))
    for h in reversed(range(len(rewards))):
        for s, a in np.ndindex(rewards.shape[1:]):
            phi_hat, phi = (kernels[s, a].T @ values[family, h + 1] for family in range(2))
            u = min(1, beta * norm(precisions[1], phi))
            q_hat = u + 2 * beta * norm(precisions[0], phi_hat) + phi_hat @ theta
            values[0, h, s] += policy[h, s, a] * min(1, max(0, q_hat))
            values[1, h, s] += policy[h, s, a] * min(1, max(0, rewards[h, s, a] + phi @ theta))
    return values


def weights_by_hand(phis, running, ended, thetas, beta, alpha, gamma):
    """HOME, sigma^2 of each moment and the number of its bound: the running uncertainty, the variance, the least."""
    unit, found = (lambda number: min(1, max(0, number))), []
    for m, phi in enumerate(phis):
        variance = 1.0
        if m + 1 < len(phis):
            variance = unit(phis[m + 1] @ thetas[m + 1]) - unit(phi @ thetas[m]) ** 2
            variance += unit(2 * beta * norm(ended[m], phi)) + unit(beta * norm(ended[m + 1], phis[m + 1]))
        bounds = gamma**2 * norm(running[m], phi), variance, alpha**2
        found.append((max(bounds), int(np.argmax(bounds))))
    return found


def loss_by_hand(kernels, true, theta, rewards, start):
    """`V* - V^pi` at the start, of the plan with theta, whose values are clipped to [0, 1]."""
    planned, earned, best = np.zeros((3, len(kernels)))
    for paid in rewards[::-1]:
        q_planned = np.clip(paid + np.einsum("sati,t,i->sa", kernels, planned, theta), 0, 1)
        q_earned, q_best = (paid + np.einsum("sati,t,i->sa", kernels, after, true) for after in (earned, best))
        earned = np.take_along_axis(q_earned, q_planned.argmax(-1)[:, None], 1)[:, 0]
        planned, best = q_planned.max(-1), q_best.max(-1)
    return best[start] - earned[start]


def test_an_evaluation_plans_with_the_tilde_estimate_and_with_the_oracles_model():
    """Estimates that are far from the truth, and so large that values are clipped."""
    with jax.enable_x64(True):
        mixture = random_linear_mixture(jax.random.key(5), 3, 2, 2)
        algorithm = hf_ucrl_rfe(dataclasses.replace(CONFIG, horizon=5), mixture)
        kernels, true = np.asarray(mixture.features), np.asarray(mixture.theta)
        thetas = np.array([[-1.0, 2], [2.5, -0.5], [0.2, -0.3]]) * np.linalg.norm(true)

        def evaluate(thetas, key):
            state = algorithm.init(jax.random.key(0))
            estimates = jnp.broadcast_to(thetas[:2, None], state.regression.theta.shape)
            state = state._replace(regression=state.regression._replace(theta=estimates), theta=thetas[2])
            return algorithm.evaluate(state, key)

        found = jax.jit(evaluate, compiler_options=QUICK_TO_COMPILE)(jnp.asarray(thetas), jax.random.key(4))
        rewards = np.asarray(random_rewards(jax.random.key(4), CONFIG.num_rewards, 5, 3, 2))
        losses = [[loss_by_hand(kernels, true, theta, paid, 0) for paid in rewards] for theta in thetas]
        for prefix, of_theta in (("", losses[1]), ("optimist_", losses[2])):
            np.testing.assert_allclose(found[f"{prefix}suboptimality_mean"], np.mean(of_theta), rtol=1e-10)
            np.testing.assert_allclose(found[f"{prefix}suboptimality_max"], np.max(of_theta), rtol=1e-10)
        assert len({round(np.mean(of_theta), 6) for of_theta in losses}) == 3


MOMENTS = 3
REPLAYED = HFUCRLRFEConfig(horizon=4, num_episodes=40, num_moments=MOMENTS, remembered_episodes=3, num_samples=4)


def learn_by_hand(kernels, values, episode, ended, thetas, sums, beta):
    """Sigma and b `[2, M, ...]` after an episode, and which bounds were the weights; not the last moment's."""
    precisions, sums, kinds = ended.copy(), sums.copy(), set()
    alpha, gamma = REPLAYED.horizon**-0.5, kernels.shape[-1] ** -0.25
    for h, s, a, following in zip(range(REPLAYED.horizon), *(np.asarray(at)[:, 0] for at in episode), strict=True):
        for family in range(2):
            powers = [values[family, h + 1] ** 2**m for m in range(MOMENTS)]
            phis = [kernels[s, a].T @ power for power in powers]
            running = precisions[family].copy()
            found = weights_by_hand(phis, running, ended[family], thetas[family], beta, alpha, gamma)
            for m, (weight, _) in enumerate(found):
                precisions[family, m] += np.outer(phis[m], phis[m]) / weight
                sums[family, m] += phis[m] * powers[m][following] / weight
            kinds |= {kind for _, kind in found[:-1]}
    return precisions, sums, kinds


def test_episodes_are_those_of_the_paper():
    """Four episodes in numpy, from `Sigma = lambda I` on, given what the oracle chose and where the episodes went.

    With the smaller radius theta* is soon outside, and the running uncertainty is the largest bound of a variance.
    """
    with jax.enable_x64(True):
        bound = 3.0
        mixture = random_linear_mixture(jax.random.key(5), 3, 2, 2)._replace(norm_bound=jnp.float64(bound))
        kernels, true = np.asarray(mixture.features), np.asarray(mixture.theta)
        dynamics, oracle = episodic_mixture(mixture, jnp.zeros((REPLAYED.horizon, 3, 2))), greedy_oracle(4, 4)

        @functools.partial(jax.jit, compiler_options=QUICK_TO_COMPILE)
        def update(scale, last_radius, state, step):
            """An update, and the oracle's choice and the episode with its keys."""
            _, oracle_key, episode_key = jax.random.split(jax.random.clone(state.key), 3)
            uncertain = Uncertain(mixture.features, *state.regression.root[:, 0], last_radius)
            estimates = state.regression.theta[:, 0]
            choice = oracle(oracle_key, Exploration(uncertain, state.confidence, estimates, mixture.initial_state))
            episode = sample_episodes(episode_key, dynamics, choice.values.policy, 1)
            algorithm = hf_ucrl_rfe(dataclasses.replace(REPLAYED, beta_scale=scale), mixture)
            went = (episode.states, episode.actions, episode.next_states)
            return algorithm.update(state, step), (choice.theta, choice.rewards, choice.values.policy), went

        kinds, covered = set(), []
        for scale in (1.2e-3, 1e-4):
            beta_of = lambda k, c=scale: c * radius_by_hand(2, REPLAYED.horizon, k, bound, REPLAYED.delta)  # noqa: E731
            state = hf_ucrl_rfe(REPLAYED, mixture).init(jax.random.key(1))
            precisions = np.tile(2 / bound**2 * np.eye(2), (2, 3, 1, 1))
            thetas, sums, ellipsoids = np.zeros((2, 3, 2)), np.zeros((2, 3, 2)), {}
            for step in range(4):
                (state, metrics), choice, went = update(scale, beta_of(40), state, jnp.int32(step))
                theta, rewards, policy = map(np.asarray, choice)
                values = values_by_hand(kernels, theta, rewards, policy, precisions[:, 0], beta_of(40))
                precisions, sums, of_episode = learn_by_hand(
                    kernels, values, went, precisions, thetas, sums, beta_of(step + 1)
                )
                thetas = np.linalg.solve(precisions, sums[..., None])[..., 0]
                ellipsoids[step % 3] = thetas, precisions / beta_of(step + 1) ** 2
                offsets = [(center - true, shape) for center, shape in ellipsoids.values()]
                covered.append(all(np.einsum("fmi,fmij,fmj->fm", v, e, v).max() <= 1 for v, e in offsets))
                kinds |= of_episode
                np.testing.assert_allclose(metrics["uncertainty"], values[0, 0, 0], rtol=1e-8)
                paid = rewards[np.arange(4), np.asarray(went[0])[:, 0], np.asarray(went[1])[:, 0]].sum()
                np.testing.assert_allclose(metrics["episode_return"], paid, rtol=1e-10)
                np.testing.assert_allclose(state.theta, theta, rtol=1e-10)
                np.testing.assert_allclose(state.regression.precision, precisions, rtol=1e-8, atol=1e-12)
                np.testing.assert_allclose(state.regression.theta, thetas, rtol=1e-6, atol=1e-12)
                assert bool(metrics["is_covered"]) == covered[-1]
            for place, (centers, shapes) in ellipsoids.items():
                np.testing.assert_allclose(state.confidence.centers[place], centers.reshape(-1, 2), rtol=1e-6)
                np.testing.assert_allclose(state.confidence.shapes[place], shapes.reshape(-1, 2, 2), rtol=1e-8)
        assert kinds == {0, 1, 2} and {True, False} == set(covered)


SHORT = {"horizon": 4, "num_episodes": 30, "num_samples": 8, "num_rewards": 16, "remembered_episodes": 30}


@pytest.mark.slow
def test_the_papers_radius_covers_and_says_nothing():
    _, confidence, _, metrics, _ = run(1.0, MIXTURE, 8, **SHORT)
    np.testing.assert_array_equal(metrics["is_covered"], 1.0)
    np.testing.assert_array_equal(metrics["uncertainty"], 1.0)
    # The paper's log2(7 K H) moments, two families of each, and an ellipsoid of each episode.
    assert confidence.shapes.shape[1:3] == (30, 2 * 10)
    assert (np.abs(confidence.shapes).max((-1, -2)) > 0).all()
    assert run(3e-4, MIXTURE, 8, **SHORT)[3]["uncertainty"][:, -1].max() < 1


def test_what_left_the_set_of_all_episodes_never_comes_back():
    covered = [run(scale, MIXTURE, 8, **SHORT)[3]["is_covered"] for scale in (1e-2, 2e-3, 1e-3, 3e-4)]
    assert (np.diff(covered, axis=-1) <= 0).all()
    assert (np.diff(np.mean(covered, axis=(1, 2))) <= 0).all()
    assert np.mean(covered[0]) > np.mean(covered[-1])


@pytest.mark.slow
def test_the_error_does_not_grow_with_the_horizon():
    """Total reward 1, the first step decides: `V* - V^pi` after 100 episodes, H from 5 to 80, within a log factor."""
    losses = []
    for horizon in (5, 20, 80):
        hard = hard_linear_mixture(jnp.array([1.0, -1, 1]), 1 / 18, horizon)
        fields = {"horizon": horizon, "num_episodes": 100, "num_samples": 16, "num_rewards": 64}
        losses.append(run(1e-3, hard.mixture, 8, **fields)[-1]["suboptimality_mean"].mean())
    assert losses[2] <= losses[0] * np.log(80) / np.log(5) + 2e-3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"horizon": 0}, "horizon: got 0, takes an integer of at least 1"),
        ({"beta_scale": 0.0}, "beta_scale: got 0.0, takes a number above 0"),
        ({"num_moments": 0}, "num_moments: got 0, takes an integer of at least 1"),
        ({"num_samples": 1}, "num_samples: got 1, takes an integer of at least 2"),
        ({"oracle": "exact"}, "oracle: got 'exact', takes one of greedy, enumerate, gradient, uniform"),
        ({"oracle": "enumerate", "horizon": 9}, r"oracle=enumerate: A\^\(S H\) policies: got 134217728, takes at most"),
    ],
)
def test_what_is_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        hf_ucrl_rfe(dataclasses.replace(CONFIG, **fields), MIXTURE)
