"""Vhat and V against loops in float64, their bounds, and the greedy policy."""

import jax
import jax.numpy as jnp
import numpy as np
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.exploration.reward_free.optimistic_values import Uncertain, greedy_values, optimistic_values

HORIZON, STATES, ACTIONS, FEATURES = 3, 3, 2, 2


def problem(seed, beta):
    rng = np.random.default_rng(seed)
    features = rng.random((STATES, ACTIONS, STATES, FEATURES)) / STATES
    roots = rng.normal(size=(2, FEATURES, FEATURES))
    rewards = rng.random((HORIZON, STATES, ACTIONS)) / HORIZON
    policy = rng.dirichlet(np.ones(ACTIONS), (HORIZON, STATES))
    return Uncertain(*map(jnp.asarray, (features, *roots, beta))), np.array([0.9, -0.3]), rewards, policy


def by_loops(uncertain, theta, rewards, policy):
    features, hat, tilde, beta = map(np.asarray, uncertain)
    optimistic, plain = np.zeros((HORIZON + 1, STATES)), np.zeros((HORIZON + 1, STATES))
    for h in reversed(range(HORIZON)):
        for s in range(STATES):
            for a in range(ACTIONS):
                mean, best = features[s, a].T @ plain[h + 1], features[s, a].T @ optimistic[h + 1]
                u = min(1, beta * np.linalg.norm(tilde.T @ mean))
                q_hat = u + 2 * beta * np.linalg.norm(hat.T @ best) + best @ theta
                optimistic[h, s] += policy[h, s, a] * min(1, max(0, q_hat))
                plain[h, s] += policy[h, s, a] * min(1, max(0, rewards[h, s, a] + mean @ theta))
    return optimistic, plain


def compiled(f):
    return jax.jit(f, compiler_options=QUICK_TO_COMPILE)


def test_values_are_those_of_the_paper_and_stay_between_zero_and_one():
    with jax.enable_x64(True):
        run = compiled(optimistic_values)
        for seed, beta in enumerate([0.1, 0.5, 3.0]):
            uncertain, theta, rewards, policy = problem(seed, beta)
            found = run(uncertain, *map(jnp.asarray, (theta, rewards, policy)))
            optimistic, plain = by_loops(uncertain, theta, rewards, policy)
            np.testing.assert_allclose(found.uncertainty, optimistic, rtol=1e-10, atol=1e-13)
            np.testing.assert_allclose(found.plain, plain, rtol=1e-10, atol=1e-13)
            assert (found.uncertainty >= 0).all()
            assert (found.uncertainty <= 1).all()


def test_a_huge_radius_makes_everything_uncertain_but_the_last_step():
    with jax.enable_x64(True):
        uncertain, *given = problem(0, 1e6)
        found = compiled(optimistic_values)(uncertain, *map(jnp.asarray, given))
        np.testing.assert_allclose(found.uncertainty[:-2], 1, rtol=1e-12)
        np.testing.assert_array_equal(found.uncertainty[-2:], 0.0)


def test_greedy_values_are_those_of_its_policy_and_each_layer_is_its_best():
    with jax.enable_x64(True):
        uncertain, theta, rewards, _ = problem(3, 0.2)
        given = tuple(map(jnp.asarray, (theta, rewards)))
        greedy = compiled(greedy_values)(uncertain, *given)
        run = compiled(optimistic_values)
        again = run(uncertain, *given, greedy.policy)
        np.testing.assert_allclose(again.uncertainty, greedy.uncertainty, rtol=1e-12)
        np.testing.assert_allclose(again.plain, greedy.plain, rtol=1e-12)
        # What a layer leads to is settled before it: no other action of one layer and state is better there.
        for h in range(HORIZON):
            for s in range(STATES):
                other = greedy.policy.at[h, s].set(1 - greedy.policy[h, s])
                assert run(uncertain, *given, other).uncertainty[h, s] <= greedy.uncertainty[h, s] + 1e-12
        np.testing.assert_array_equal(greedy.policy[-1].argmax(-1), rewards[-1].argmax(-1))
