import dataclasses

import jax
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.mdp import finite_mdp
from jaxrl_sparse.learners.deep_q_networks import (
    C51Config,
    DQNConfig,
    IQNConfig,
    QRDQNConfig,
    c51,
    dqn,
    iqn,
    qr_dqn,
)
from jaxrl_sparse.learners.q_learning import QLearningConfig
from jaxrl_sparse.rewards import scale
from jaxrl_sparse.training import train

LEARNER = QLearningConfig(
    num_environments=8,
    num_gradient_steps=2,
    batch_size=32,
    replay_capacity=512,
    learning_starts=64,
    discount=0.5,
    learning_rate=3e-3,
    epsilon_end=1.0,
    target_period=1,
    target_step_size=0.1,
    num_evaluation_episodes=2,
)
# State 0: stay for 1, or be paid 0 or 6 by chance and end; staying is worth 2, ending 3.
GAMBLE = TabularEnvironment(
    finite_mdp(
        np.full((2, 2, 2), 0.5),
        [[[1, 1], [0, 6]], [[0, 0], [0, 0]]],
        0.5,
        terminal=[False, True],
        successors=[[[0, 0], [1, 1]], [[1, 1], [1, 1]]],
    ),
    max_steps_in_episode=4,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "config"),
    [
        (dqn, DQNConfig(learner=dataclasses.replace(LEARNER, double_q=True), hidden_sizes=(32,), huber_delta=5.0)),
        (qr_dqn, QRDQNConfig(learner=LEARNER, hidden_sizes=(32,), num_quantiles=8, kappa=0.0)),
        (c51, C51Config(learner=LEARNER, hidden_sizes=(32,), low=-1.0, high=14.0, num_atoms=31)),
        (iqn, IQNConfig(learner=LEARNER, hidden_sizes=(32,), output_sizes=(16,), embedding_size=8)),
    ],
    ids=["dqn", "qr_dqn", "c51", "iqn"],
)
def test_each_agent_takes_the_larger_expectation_and_knows_the_value(make, config):
    algorithm = make(config, GAMBLE, GAMBLE.default_params, scale(2.0))

    def run(key):
        state, metrics = train(algorithm, algorithm.init(key), 600)
        return metrics, algorithm.evaluate(state, jax.random.key(1))

    metrics, evaluation = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    # Ending at once is greedy. Both actions are tried alike: the values 2 + 3 and 6, of doubled rewards, in the mean.
    assert float(evaluation["episode_length"]) == 1
    np.testing.assert_allclose(metrics["value"][-100:].mean(), 5.5, atol=0.4)


def test_refuses_what_the_parts_refuse():
    params = GAMBLE.default_params
    with pytest.raises(ValueError, match="low, high"):
        c51(C51Config(low=1.0, high=0.0), GAMBLE, params)
    with pytest.raises(ValueError, match="num_steps: got 0"):
        dqn(DQNConfig(learner=dataclasses.replace(LEARNER, num_steps=0)), GAMBLE, params)
