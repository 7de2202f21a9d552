import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from environments.probes import Counter

from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.environments.wrappers import DiscreteActions
from jaxrl_sparse.finite.mdp import finite_mdp
from jaxrl_sparse.learners.q_learning import (
    QLearningConfig,
    epsilon_greedy,
    exploration_rate,
    learning_rate,
    q_learning,
)
from jaxrl_sparse.learners.temporal_difference import action_scores
from jaxrl_sparse.learners.value_heads import expected_value
from jaxrl_sparse.networks.feedforward import Network
from jaxrl_sparse.rewards import chain, scale, stepwise
from jaxrl_sparse.training import train

# Tabular: the features are the one-hot observation itself.
IDENTITY = Network(lambda key, inputs: jnp.zeros(1), lambda params, inputs: inputs)
SMALL = QLearningConfig(
    num_environments=4,
    num_steps=2,
    num_gradient_steps=2,
    batch_size=16,
    replay_capacity=256,
    learning_starts=32,
    discount=0.5,
    learning_rate=0.05,
    epsilon_end=1.0,
    target_period=1,
    target_step_size=0.3,
    num_evaluation_episodes=3,
    max_evaluation_steps=5,
)


def one_state(terminal):
    """One state that pays 1: either it goes on for ever and is cut in every step, or it ends."""
    return TabularEnvironment(
        finite_mdp(np.ones((2, 1, 1)), np.ones((2, 1)), 0.5, terminal=[False, True], successors=[[[terminal]], [[1]]]),
        max_steps_in_episode=1,
    )


def learned_values(environment, num_updates=400, config=SMALL, **options):
    algorithm = q_learning(config, environment, environment.default_params, IDENTITY, expected_value(), **options)

    def run(key):
        state, metrics = train(algorithm, algorithm.init(key), num_updates)
        observations = jnp.eye(environment.mdp.num_states)
        return (
            action_scores(state.params, jax.random.key(9), observations, IDENTITY, expected_value()),
            metrics,
            algorithm.evaluate(state, jax.random.key(8)),
        )

    return jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))


@pytest.mark.slow
@pytest.mark.parametrize(("terminal", "value"), [(0, 2.0), (1, 1.0)])
def test_a_time_limit_is_bootstrapped_and_an_end_is_not(terminal, value):
    values, metrics, evaluation = learned_values(one_state(terminal))
    np.testing.assert_allclose(values[0, 0], value, atol=1e-3)
    assert metrics["environment_steps"].tolist() == [8] * 400
    assert metrics["episodes"].tolist() == [8] * 400 and (metrics["episode_return"] == 1).all()
    # Four updates collect the 32 transitions: the fourth is the first that learns.
    assert (metrics["loss"][:3] == 0).all() and metrics["loss"][3] > 0
    assert float(evaluation["return"]) == 1 and float(evaluation["episode_length"]) == 1


@pytest.mark.slow
def test_the_optimal_values_of_a_ring_and_relabelled_rewards():
    # Action 1 moves on along four states and is paid for leaving the last, action 0 stays.
    following = np.stack([np.arange(4), (np.arange(4) + 1) % 4], 1)[..., None]
    mdp = finite_mdp(np.ones((4, 2, 1)), np.eye(4)[3][:, None] * [0, 1], 0.5, successors=following)
    values, _, evaluation = learned_values(TabularEnvironment(mdp, 7), 600, reward=chain(scale(2.0), scale(5.0)))
    best = 10 / (1 - 0.5**4) * 0.5 ** (3 - np.arange(4))
    # Moving on is right everywhere; staying costs one discount.
    np.testing.assert_allclose(values, np.stack([best / 2, best], 1), atol=0.02)
    # The environment's own reward, paid after four steps.
    np.testing.assert_allclose([evaluation["return"], evaluation["discounted_return"]], [1.0, 0.5**3])


@pytest.mark.slow
def test_two_calls_are_one_and_seeds_are_rows_of_a_vmap():
    environment = one_state(0)
    algorithm = q_learning(SMALL, environment, environment.default_params, IDENTITY, expected_value())
    keys = jax.random.split(jax.random.key(3), 2)

    def whole(key):
        return train(algorithm, algorithm.init(key), 8)[0]

    def halves(key):
        state, _ = train(algorithm, algorithm.init(key), 4)
        return train(algorithm, state, 4, step=4)[0]

    rows = jax.jit(jax.vmap(whole))(jax.random.clone(keys))
    for i, run in enumerate((whole, halves)):
        state = jax.jit(run)(keys[i])
        np.testing.assert_allclose(
            state.params.head["layers_0"]["kernel"], rows.params.head["layers_0"]["kernel"][i], rtol=1e-5
        )


def test_one_draw_explores_with_the_right_share_and_evenly():
    scores = jnp.tile(jnp.array([0.0, 1.0, 0.0]), (30_000, 1))
    counts = np.bincount(epsilon_greedy(jax.random.key(0), scores, 0.3), minlength=3)
    np.testing.assert_allclose(counts / 30_000, [0.1, 0.8, 0.1], atol=0.01)
    assert (epsilon_greedy(jax.random.key(1), scores, 0.0) == 1).all()
    assert set(np.unique(epsilon_greedy(jax.random.key(2), scores, 1.0))) == {0, 1, 2}


def test_exploration_falls_linearly_in_environment_steps():
    config = QLearningConfig(num_environments=10, epsilon_steps=100, epsilon_start=1.0, epsilon_end=0.2)
    rates = [float(exploration_rate(config, jnp.int32(step))) for step in (0, 5, 10, 99)]
    np.testing.assert_allclose(rates, [1.0, 0.6, 0.2, 0.2], rtol=1e-6)


def test_the_learning_rate_falls_likewise_or_is_constant():
    falling = QLearningConfig(num_environments=10, learning_rate=0.5, learning_rate_end=0.1, learning_rate_steps=40)
    rates = [float(learning_rate(falling, jnp.int32(step))) for step in (0, 2, 4, 9)]
    np.testing.assert_allclose(rates, [0.5, 0.3, 0.1, 0.1], rtol=1e-6)
    assert float(learning_rate(QLearningConfig(learning_rate=0.5), jnp.int32(10**6))) == 0.5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_environments": 0}, "num_environments: got 0"),
        ({"batch_size": 10**6}, "batch_size: got 1000000, takes at most"),
        ({"learning_starts": -1}, "learning_starts: got -1"),
        ({"discount": 1.5}, "discount: got 1.5"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"max_gradient_norm": 0.0}, "max_gradient_norm: got 0.0"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    environment = one_state(0)
    config = dataclasses.replace(SMALL, **fields)
    with pytest.raises(ValueError, match=message):
        q_learning(config, environment, environment.default_params, IDENTITY, expected_value())


def test_refuses_rewards_with_a_memory_and_continuous_actions():
    environment = one_state(0)
    head, params = expected_value(), environment.default_params
    remembering = stepwise(jnp.zeros(()), lambda memory, row: (row.rewards, memory))
    assert remembering.relabel is None
    with pytest.raises(ValueError, match="reward: got None, takes a transformation that can relabel"):
        q_learning(SMALL, environment, params, IDENTITY, head, reward=remembering)
    with pytest.raises(ValueError, match="takes an environment with discrete actions"):
        q_learning(SMALL, Counter(), Counter().default_params, IDENTITY, head)
    q_learning(SMALL, DiscreteActions(Counter(), [0.0, 1.0]), Counter().default_params, IDENTITY, head)
