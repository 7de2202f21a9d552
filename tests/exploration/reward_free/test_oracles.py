"""Oracles against brute force, and models that stay in their set."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.exploration.reward_free.confidence import ConfidenceSet, contains, everything
from jaxrl_sparse.exploration.reward_free.optimistic_values import Uncertain, optimistic_values
from jaxrl_sparse.exploration.reward_free.oracles import (
    Exploration,
    enumerating_oracle,
    gradient_oracle,
    greedy_oracle,
    number_of_policies,
    sample_models,
    uniform_oracle,
)
from jaxrl_sparse.finite.linear_mixtures import random_linear_mixture

HORIZON, STATES, ACTIONS, FEATURES = 2, 2, 2, 2
SHAPE = (HORIZON, STATES, ACTIONS)
MIXTURE = random_linear_mixture(jax.random.key(0), STATES, ACTIONS, FEATURES)


def problem(confidence=None):
    roots = jnp.array([[[0.5, 0.1], [0.0, 0.3]], [[0.2, 0.0], [0.1, 0.6]]])
    confidence = everything(1, 2, FEATURES, jnp.dtype("float32")) if confidence is None else confidence
    uncertain = Uncertain(MIXTURE.features, roots[0], roots[1], jnp.float32(0.4))
    return Exploration(uncertain, confidence, jnp.array([[0.8, 0.6], [0.5, 0.9]]), jnp.int32(0))


BALLS = ConfidenceSet(jnp.array([[[0.7, 0.7], [0.6, 0.8]]]), jnp.broadcast_to(jnp.eye(2) * 9, (1, 2, 2, 2)))


ENUMERATE, GREEDY, UNIFORM = enumerating_oracle(HORIZON, 8), greedy_oracle(HORIZON, 8), uniform_oracle(HORIZON)
compiled = functools.cache(functools.partial(jax.jit, compiler_options=QUICK_TO_COMPILE))


def run(oracle, seed=1, confidence=None):
    return compiled(oracle)(jax.random.key(seed), problem(confidence))


def test_enumeration_finds_the_best_policy_and_indicator_for_its_model():
    choice = run(ENUMERATE)
    indicators = jnp.eye(8).reshape(8, *SHAPE)
    actions = np.array(list(itertools.product(range(ACTIONS), repeat=HORIZON * STATES))).reshape(-1, HORIZON, STATES)
    policies = jax.nn.one_hot(jnp.asarray(actions), ACTIONS)
    over_rewards = jax.vmap(optimistic_values, in_axes=(None, None, 0, None))
    over_all = jax.vmap(over_rewards, in_axes=(None, None, None, 0))
    scores = []
    for theta in problem().estimates:
        values = jax.jit(over_all)(problem().uncertain, theta, indicators, policies)
        scores.append(float(values.uncertainty[:, :, 0, 0].max()))
    best = float(choice.values.uncertainty[0, 0])
    assert best >= max(scores) - 1e-6
    assert len(actions) == number_of_policies(*SHAPE) == 16
    again = jax.jit(optimistic_values)(problem().uncertain, choice.theta, choice.rewards, choice.values.policy)
    np.testing.assert_allclose(again.uncertainty[0, 0], best, rtol=1e-5)


@pytest.mark.parametrize("seed", [1, 2])
def test_of_the_same_draws_enumeration_makes_the_most(seed):
    """Greedy pairs and policies are among those that are enumerated."""
    best = float(run(ENUMERATE, seed).values.uncertainty[0, 0])
    greedy = float(run(GREEDY, seed).values.uncertainty[0, 0])
    assert 0.7 * best < greedy <= best * (1 + 1e-5)
    assert float(run(UNIFORM, seed).values.uncertainty[0, 0]) < greedy


def test_gradients_improve_on_their_starts():
    def found(rate):
        return gradient_oracle(HORIZON, 8, 200, rate)(jax.random.key(1), problem()).values.uncertainty[0, 0]

    run_with = jax.jit(found, compiler_options=QUICK_TO_COMPILE)
    assert float(run_with(0.1)) > 1.5 * float(run_with(1e-6))
    assert float(run_with(0.1)) > 0.9 * float(run(ENUMERATE).values.uncertainty[0, 0])


@pytest.mark.parametrize(
    "oracle", [ENUMERATE, GREEDY, gradient_oracle(HORIZON, 4, 5, 0.3)], ids=["enumerate", "greedy", "gradient"]
)
def test_choices_are_in_the_set_and_in_the_class(oracle):
    choice = run(oracle, confidence=BALLS)
    assert bool(choice.is_plausible)
    assert bool(contains(BALLS, choice.theta))
    assert (np.asarray(choice.rewards) >= 0).all()
    assert np.asarray(choice.rewards).max((1, 2)).sum() <= 1 + 1e-5
    np.testing.assert_allclose(np.asarray(choice.values.policy).sum(-1), 1, rtol=1e-5)


def test_an_empty_set_is_reported_and_still_explored():
    apart = BALLS._replace(centers=jnp.array([[[10.0, 0], [0, 10]]]))
    choice = run(GREEDY, confidence=apart)
    assert not bool(choice.is_plausible)
    assert float(choice.values.uncertainty[0, 0]) > 0


def test_models_are_the_estimates_and_points_of_the_boundary():
    free, bound = problem(), problem(BALLS)
    models = np.asarray(sample_models(jax.random.key(3), free, 40))
    np.testing.assert_array_equal(models[:2], free.estimates)
    for family, root in enumerate([free.uncertain.hat_root, free.uncertain.tilde_root]):
        u = np.linalg.solve(np.asarray(root), (models[2 + family :: 2] - np.asarray(free.estimates[family])).T)
        np.testing.assert_allclose(np.linalg.norm(u, axis=0), 0.4, rtol=1e-4)
    cut = sample_models(jax.random.key(3), bound, 40)
    assert bool(jax.vmap(contains, in_axes=(None, 0))(BALLS, cut)[::2].all())
    assert not bool(jax.vmap(contains, in_axes=(None, 0))(BALLS, jnp.asarray(models)).all())


def test_the_control_is_uniform():
    choice = run(UNIFORM)
    np.testing.assert_allclose(choice.values.policy, 1 / ACTIONS)
    np.testing.assert_array_equal(choice.theta, problem().estimates[0])
