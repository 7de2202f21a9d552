"""Likelihoods against a product over transitions, and the model that they choose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.h2o import hybrid_learning
from jaxrl_sparse.density_ratio.maximum_likelihood import log_likelihoods, maximum_likelihood_planner
from jaxrl_sparse.finite import (
    backward_induction,
    combination_lock,
    combination_locks,
    count_transitions,
    no_transitions,
    random_episodic_mdp,
    sample_episodes,
)
from jaxrl_sparse.training import train

# Three where everything may happen, and one where every action leads to two of the three states alone.
DENSE = jax.vmap(lambda key: random_episodic_mdp(key, 2, 3, 2))(jax.random.split(jax.random.key(0), 3))
SPARSE = random_episodic_mdp(jax.random.key(9), 2, 3, 2, 2)
MODELS = jax.tree.map(lambda leaf, one: jnp.concatenate([leaf, one[None]]), DENSE, SPARSE)
TRUE = jax.tree.map(lambda leaf: leaf[2], MODELS)


def test_likelihoods_are_products_over_transitions():
    def measured(key):
        episodes = sample_episodes(key, TRUE, jnp.full((2, 3, 2), 0.5), 30)
        counts = count_transitions(no_transitions(TRUE), episodes)
        return episodes, log_likelihoods(counts, MODELS, 0.5)

    episodes, got = jax.jit(measured, compiler_options=QUICK_TO_COMPILE)(jax.random.key(1))
    states, actions, rewards, following = (np.asarray(leaf) for leaf in episodes)
    layers = np.arange(2)[:, None]
    expected = []
    for transitions, means in zip(np.asarray(MODELS.transitions), np.asarray(MODELS.rewards), strict=True):
        with np.errstate(divide="ignore"):
            logs = np.log(transitions[layers, states, actions, following])
        expected.append(np.sum(logs - (rewards - means[layers, states, actions]) ** 2 / (2 * 0.5**2)))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    # What the last model rules out has happened.
    np.testing.assert_array_equal(np.isneginf(got), [False, False, False, True])
    assert np.argmax(got) == 2


def test_hybrid_learning_finds_the_model():
    """Without offline data too: a wrong code is refuted by an episode of its own policy."""
    lock = combination_lock(jnp.array([1, 1, 0]))
    algorithm = hybrid_learning(maximum_likelihood_planner(combination_locks(3), 0.1), lock, None)

    def run(key):
        state, metrics = train(algorithm, algorithm.init(key), 40)
        return state.memory, metrics

    plays, metrics = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(2))
    assert int(jnp.argmax(plays)) == 0b110 and float(jnp.sum(plays)) == 40
    np.testing.assert_array_equal(metrics["is_optimal"][-20:], 1)
    assert float(metrics["policy_return"][-1]) == pytest.approx(float(backward_induction(lock).values[0, 0]))
    # Nothing is likelier than anything before there are data; then the first model is taken.
    assert float(metrics["log_likelihood"][0]) == 0


def test_refuses_bad_input():
    with pytest.raises(ValueError, match=r"reward_deviation: got 0\.0, takes a number above 0"):
        maximum_likelihood_planner(MODELS, 0.0)
    with pytest.raises(ValueError, match=r"mdp\.rewards: got"):
        maximum_likelihood_planner(MODELS).init(combination_lock(jnp.array([1, 1])))
