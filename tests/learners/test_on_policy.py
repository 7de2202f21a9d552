"""Learners by the current policy on processes whose values and policies are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.base import RewardStream
from jaxrl_sparse.environments.tabular import TabularEnvironment, TabularParams
from jaxrl_sparse.finite.mdp import FiniteMDP, finite_mdp
from jaxrl_sparse.learners.on_policy import OnPolicyConfig, learning_rate
from jaxrl_sparse.learners.policy_gradient import PolicyGradientConfig, policy_gradient
from jaxrl_sparse.learners.policy_networks import PolicyNetworkConfig, policy_network
from jaxrl_sparse.learners.ppo import PPOConfig, ppo
from jaxrl_sparse.rewards import identity, scale
from jaxrl_sparse.training import train

GAMMA, END = 0.9, 3
FRAME = OnPolicyConfig(
    num_environments=16,
    num_steps=16,
    learning_rate=1e-2,
    learning_rate_end=1e-4,
    learning_rate_steps=16 * 16 * 150,
    num_evaluation_episodes=4,
    max_evaluation_steps=5,
)
SMALL = PolicyNetworkConfig(hidden_sizes=(16,))
PPO = PPOConfig(learner=FRAME, network=SMALL, entropy_coefficient=0.0, num_minibatches=2)
ACTOR_CRITIC = PolicyGradientConfig(learner=FRAME, network=SMALL, entropy_coefficient=0.0, value_coefficient=1.0)


def process(moves, initial=(1.0, 0.0, 0.0, 0.0)):
    """Four states and two actions, the last state terminal; `moves[s] = [(next state, reward) of each action]`."""
    successors, rewards = np.full((4, 2, 1), END), np.zeros((4, 2, 1))
    for state, outcomes in moves.items():
        for action, (following, reward) in enumerate(outcomes):
            successors[state, action, 0], rewards[state, action, 0] = following, reward
    terminal = np.arange(4) == END
    return finite_mdp(
        np.ones((4, 2, 1)), rewards, GAMMA, terminal=terminal, initial=np.array(initial), successors=successors
    )


EVEN = (0.5, 0.5, 0.0, 0.0)
# The five probes, and a sixth whose episodes only the time limit ends: each with its optimal values, by what was seen
# so far in the episode, and the actions that a first state asks for.
PROBES = {
    "a constant reward": (process({0: [(END, 1)] * 2}), {(0,): 1.0}, {}),
    "a reward that is observed": (process({0: [(END, -1)] * 2, 1: [(END, 1)] * 2}, EVEN), {(0,): -1.0, (1,): 1.0}, {}),
    "a delayed reward": (process({0: [(1, 0)] * 2, 1: [(END, 1)] * 2}), {(0,): GAMMA, (0, 1): 1.0}, {}),
    "a reward of the action": (process({0: [(END, -1), (END, 1)]}), {(0,): 1.0}, {0: 1}),
    "a reward of both": (
        process({0: [(END, 1), (END, -1)], 1: [(END, -1), (END, 1)]}, EVEN),
        {(0,): 1.0, (1,): 1.0},
        {0: 0, 1: 1},
    ),
    "a reward for ever": (process({0: [(0, 1)] * 2}), {(0,): 1 / (1 - GAMMA)}, {}),
}
MDPS: FiniteMDP = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(mdp for mdp, _, _ in PROBES.values()))
# Of 16 steps three episodes and a bit: chunks cut them.
PARAMS = TabularParams(max_steps_in_episode=jnp.full(len(PROBES), 5), mdp=MDPS)
ENVIRONMENT = TabularEnvironment(PROBES["a constant reward"][0], max_steps_in_episode=5)


def learnt(factory, config, num_updates):
    """Of one learner on all probes: values by what was seen, action probabilities, metrics and evaluations."""

    def run(key, params):
        algorithm = factory(config, ENVIRONMENT, params)
        state, metrics = train(algorithm, algorithm.init(key), num_updates)
        network = policy_network(config.network, ENVIRONMENT, params)
        distribution, values, memory = network.step(state.params, network.start(4), jnp.eye(4))
        _, later, _ = network.step(state.params, memory, jnp.tile(jnp.eye(4)[1], (4, 1)))
        found = {(0,): values[0, 0], (1,): values[1, 0], (0, 1): later[0, 0]}
        return found, distribution.probs, metrics, algorithm.evaluate(state, jax.random.key(9))

    keys = jax.random.split(jax.random.key(0), len(PROBES))
    return jax.jit(jax.vmap(run), compiler_options=QUICK_TO_COMPILE)(keys, PARAMS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factory", "config", "num_updates"),
    [
        (ppo, PPO, 150),
        (ppo, dataclasses.replace(PPO, network=PolicyNetworkConfig(hidden_sizes=(8,), memory_size=8)), 150),
        (policy_gradient, ACTOR_CRITIC, 600),
        (policy_gradient, dataclasses.replace(ACTOR_CRITIC, baseline="none"), 600),
    ],
    ids=["ppo", "ppo with a memory", "actor-critic", "reinforce"],
)
def test_probes_have_their_values_and_policies(factory, config, num_updates):
    values, probabilities, metrics, evaluation = learnt(factory, config, num_updates)
    for i, (name, (_, expected, actions)) in enumerate(PROBES.items()):
        for seen, value in expected.items():
            np.testing.assert_allclose(values[seen][i], value, atol=0.1 * max(1, value / 5), err_msg=name)
        for state, action in actions.items():
            assert probabilities[i, state, action] > 0.95, name
    # Five steps of 1, whatever is done; and the episodes of two steps.
    np.testing.assert_allclose(evaluation["return"][-1], 5)
    np.testing.assert_allclose(evaluation["discounted_return"][2], GAMMA)
    np.testing.assert_allclose(evaluation["episode_length"][2], 2)
    np.testing.assert_allclose(metrics["episode_return"][-1, -1], 5)


@pytest.mark.slow
def test_streams_have_a_value_each_and_an_endless_one_does_not_end():
    """Of one reward a step and ends after one step: 1 where it ends, 1 / (1 - gamma) where the stream goes on."""
    streams = {
        "endless": RewardStream(scale(2.0), 0.5, episodic=False),
        "episodic": RewardStream(identity(), 0.9),
    }
    frame = dataclasses.replace(FRAME, num_environments=4, learning_rate=3e-2, learning_rate_steps=4 * 16 * 60)
    config = dataclasses.replace(ACTOR_CRITIC, learner=frame)
    params = jax.tree.map(lambda leaf: leaf[0], PARAMS)

    @jax.jit
    def run(key):
        algorithm = policy_gradient(config, ENVIRONMENT, params, streams)
        state, metrics = train(algorithm, algorithm.init(key), 60)
        network = policy_network(config.network, ENVIRONMENT, params, 2)
        return network.step(state.params, (), jnp.eye(4)[:1])[1][0], metrics

    values, metrics = run(jax.random.key(1))
    np.testing.assert_allclose(values, [2 / (1 - 0.5), 1.0], atol=0.1)
    assert float(metrics["reward(endless)"][-1]) == 2.0 and float(metrics["reward(episodic)"][-1]) == 1.0


def test_the_rate_falls_with_environment_steps():
    rates = [float(learning_rate(FRAME, jnp.int32(step))) for step in (0, 75, 150, 1000)]
    np.testing.assert_allclose(rates, [1e-2, (1e-2 + 1e-4) / 2, 1e-4, 1e-4], rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_environments": 0}, "num_environments: got 0"),
        ({"num_steps": 2.0}, "num_steps: got 2.0"),
        ({"trace_decay": 1.5}, "trace_decay: got 1.5"),
        ({"discount": -0.1}, "discount: got -0.1"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"max_gradient_norm": 0.0}, "max_gradient_norm: got 0.0"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    config = dataclasses.replace(ACTOR_CRITIC, learner=dataclasses.replace(FRAME, **fields))
    with pytest.raises(ValueError, match=message):
        policy_gradient(config, ENVIRONMENT, ENVIRONMENT.default_params)
