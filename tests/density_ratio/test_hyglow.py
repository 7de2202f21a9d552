"""Constants by hand, what they are worth at sizes that can be run, and what offline data change."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.classes import function_class, model_class, residuals
from jaxrl_sparse.density_ratio.constants import penalty
from jaxrl_sparse.density_ratio.h2o import offline_policy
from jaxrl_sparse.density_ratio.hyglow import HyGlowConfig, hybrid_clip_rate, hyglow, hyglow_planner
from jaxrl_sparse.density_ratio.mabo_cr import hybrid_weights, mabo_cr_planner, single_layer_losses
from jaxrl_sparse.density_ratio.offline_data import (
    covering_distribution,
    sample_offline_data,
)
from jaxrl_sparse.density_ratio.weights import explicit_class
from jaxrl_sparse.finite import (
    backward_induction,
    clip_weights,
    combination_lock,
    combination_locks,
    episodic_mdp,
    expected_counts,
    occupancy,
)
from jaxrl_sparse.training import train

# Five layers, 32 codes; the coverability of the codes' policies is the same in each of the locks.
COVERABILITY = 2.8
LOCKS = combination_locks(5)
MODELS = model_class(LOCKS)
LOCK = jax.tree.map(lambda leaf: leaf[0b10110], LOCKS)
CONFIG = HyGlowConfig(scale=0.01, num_rounds=400, delta=0.1)
WRONG = 1 - backward_induction(LOCK).actions


def test_the_clip_rate_of_the_paper():
    log_term = math.log(32 * 1024 / 0.1)
    expected = math.sqrt((1 + COVERABILITY) / (400 * 25 * log_term))
    np.testing.assert_allclose(hybrid_clip_rate(1.0, COVERABILITY, 400, 5, log_term), expected, rtol=1e-6)
    # Four times the rounds, half of it; data that cover the optimum ten times worse add to the coverability.
    np.testing.assert_allclose(hybrid_clip_rate(1.0, COVERABILITY, 1600, 5, log_term), expected / 2, rtol=1e-6)
    np.testing.assert_allclose(
        hybrid_clip_rate(10.0, COVERABILITY, 400, 5, log_term), expected * (12.8 / 3.8) ** 0.5, rtol=1e-6
    )
    # T H^2 is more than an int32 holds, and L an array.
    rate = hybrid_clip_rate(1.0, COVERABILITY, 4_000_000, 50, jnp.float32(log_term))
    np.testing.assert_allclose(rate, expected / 1000, rtol=1e-6)


@pytest.mark.parametrize("weights", ["strong", "bounded-signed"])
def test_a_configuration_is_mabo_cr_with_its_constants(weights):
    """The same losses as with gamma by hand, on counts of which nothing is zero."""
    nu = jnp.full((5, 2, 2), 0.25)
    counts = expected_counts(LOCK, nu, 90.0)
    # Of all bounded weights a grid of T values for each state and action is counted.
    log_weights = math.log(1024) if weights == "strong" else 4 * math.log(400)
    rate = math.sqrt((2.0 + COVERABILITY) / (400 * 25 * (math.log(32 / 0.1) + log_weights)))
    config = dataclasses.replace(CONFIG, weights=weights, concentrability=2.0)

    def losses():
        planners = hyglow_planner(config, MODELS, nu), mabo_cr_planner(MODELS, rate, 0.01, weights, nu)
        return [planner.plan(counts, planner.init(LOCK), jnp.int32(0))[2]["loss"] for planner in planners]

    got, expected = jax.jit(losses, compiler_options=QUICK_TO_COMPILE)()
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.fixture(scope="module")
def is_optimal():
    """Whether the policies of 64 rounds were, of 12 seeds each: c = .01 with data of three qualities, and c = 1."""

    def run(key, scale, quality):
        data_key, run_key = jax.random.split(key)
        data = sample_offline_data(data_key, LOCK, covering_distribution(LOCK, quality, WRONG), 64)
        algorithm = hyglow(dataclasses.replace(CONFIG, scale=scale), MODELS, LOCK, data)
        return train(algorithm, algorithm.init(run_key), 64)[1]["is_optimal"]

    of_cells = jax.vmap(jax.vmap(run, in_axes=(0, None, None)), in_axes=(None, 0, 0))
    cells = jnp.array([0.01, 0.01, 0.01, 1.0]), jnp.array([1.0, 0.3, 0.0, 1.0])
    return jax.jit(of_cells, compiler_options=QUICK_TO_COMPILE)(jax.random.split(jax.random.key(0), 12), *cells)


@pytest.mark.slow
def test_the_better_offline_data_cover_the_fewer_online_episodes_go_wrong(is_optimal):
    full, some, useless = np.sum(1 - is_optimal[:3], axis=2).mean(axis=1)
    # Each of the 32 codes in turn would take 22 episodes until the right one.
    assert full < some < useless < 15
    assert full <= 2


@pytest.mark.slow
def test_constants_of_the_paper_do_not_find_the_code(is_optimal):
    """c = 1: the right code is played in turn with others to the end, although the data show it in every round."""
    assert np.mean(is_optimal[3]) < 0.1 and np.mean(is_optimal[3, :, 32:]) < 0.1


def test_constants_of_the_paper_tell_nothing_apart_at_test_size():
    """Not even all data of the last round as they are in expectation; those of 10,000 rounds would."""
    nu = occupancy(LOCK, backward_induction(LOCK).actions)

    def losses(num_rounds):
        number = 2.0 * num_rounds
        clip = number * hybrid_clip_rate(1.0, COVERABILITY, num_rounds, 5, math.log(32 * 1024 / 0.1))
        counts = expected_counts(LOCK, nu, number)
        weights = clip_weights(hybrid_weights(MODELS, jnp.zeros(32), number, nu), clip)
        means = residuals(counts, MODELS.functions) / number
        return single_layer_losses(means, counts.visits / number, weights, penalty(1.0, clip))

    few, many = jax.jit(lambda: (losses(400), losses(10_000)), compiler_options=QUICK_TO_COMPILE)()
    assert np.ptp(few) == 0
    assert np.argmin(many) == 0b10110 and np.sort(many)[1] > 0.2


def test_online_episodes_refute_what_offline_data_cannot():
    """The optimal arm alone is in the data: a function that promises more of the other fits them as well as Q*."""
    bandit = episodic_mdp(np.ones((1, 1, 2, 1)), [[[0.6, 0.2]]])
    functions = function_class([[[[0.6, 0.9]]], [[[0.6, 0.2]]]])
    nu = jnp.array([[[1.0, 0.0]]])
    # One weight each for the two arms.
    classes = explicit_class(functions, jnp.eye(2).reshape(2, 1, 1, 2))
    config = HyGlowConfig(weights="explicit", scale=0.001, clip_rate=0.2)

    def run(data_key, key):
        data = sample_offline_data(data_key, bandit, nu, 30)
        algorithm = hyglow(config, classes, bandit, data)
        is_optimal = train(algorithm, algorithm.init(key), 20)[1]["is_optimal"]
        return offline_policy(hyglow_planner(config, classes, nu), bandit, data), is_optimal

    offline, is_optimal = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(1), jax.random.key(2))
    assert offline.item() == 1
    np.testing.assert_array_equal(is_optimal, [0] + [1] * 19)


@pytest.mark.slow
def test_who_expects_nothing_is_refuted_by_rewards_alone():
    """Why data must cover the optimum: a function that is zero is right about all that pays nothing."""
    values = jnp.concatenate([jnp.zeros((1, 5, 2, 2)), MODELS.functions.values])
    config = dataclasses.replace(CONFIG, weights="bounded-signed")

    def run(key, quality):
        data_key, run_key = jax.random.split(key)
        data = sample_offline_data(data_key, LOCK, covering_distribution(LOCK, quality, WRONG), 64)
        algorithm = hyglow(config, function_class(values), LOCK, data)
        state, metrics = train(algorithm, algorithm.init(run_key), 64)
        return state.memory.inner.plays[0], metrics["is_optimal"]

    of_cells = jax.vmap(jax.vmap(run, in_axes=(0, None)), in_axes=(None, 0))
    compiled = jax.jit(of_cells, compiler_options=QUICK_TO_COMPILE)
    plays_of_nothing, is_optimal = compiled(jax.random.split(jax.random.key(3), 12), jnp.array([1.0, 0.0]))
    assert np.mean(plays_of_nothing[0]) < 5 and np.mean(is_optimal[0]) > 0.9
    assert np.mean(plays_of_nothing[1]) > 60 and np.mean(is_optimal[1]) < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_rounds": 0}, "num_rounds: got 0, takes an integer of at least 1"),
        ({"delta": 1.0}, r"delta: got 1\.0, takes a number in \(0, 1\)"),
        ({"concentrability": 0.5}, r"concentrability: got 0\.5, takes a number of at least 1"),
        ({"scale": 0.0}, r"scale: got 0\.0, takes a number above 0"),
        ({"clip_rate": -1.0}, r"clip_rate: got -1\.0, takes a number above 0"),
        ({"weights": "weak"}, "weights: got 'weak', takes one of"),
        ({"memory_limit": -1}, "memory_limit: got -1"),
    ],
)
def test_refuses_bad_configurations(change, message):
    with pytest.raises(ValueError, match=message):
        hyglow(dataclasses.replace(CONFIG, **change), MODELS, LOCK, None)


def test_refuses_another_process():
    short = combination_lock(jnp.array([1, 0]))
    with pytest.raises(ValueError, match=r"distribution: got \(2, 2, 2\)"):
        hyglow_planner(CONFIG, MODELS, jnp.full((2, 2, 2), 0.25))
    with pytest.raises(ValueError, match=r"mdp\.rewards: got"):
        hyglow(CONFIG, MODELS, short, None)
