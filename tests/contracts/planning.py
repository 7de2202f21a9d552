"""A client of the contract: a planner swept over Markov decision processes that come as inputs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.base import Algorithm, config

SAME_INPUTS = False
NUM_UPDATES = 80


class Mdp(NamedTuple):
    transitions: jax.Array  # [S, A, S]
    rewards: jax.Array  # [S, A]


def random_mdp(key, num_states=5, num_actions=3):
    transition_key, reward_key = jax.random.split(key)
    logits = jax.random.normal(transition_key, (num_states, num_actions, num_states))
    return Mdp(jax.nn.softmax(2 * logits), jax.random.uniform(reward_key, (num_states, num_actions)))


INPUTS = jax.vmap(random_mdp)(jax.random.split(jax.random.key(5), 2))


@config
class Config:
    discount: float = 0.8


SWEPT = (Config(), Config(discount=0.7))


def make(config, mdp):
    def backup(values):
        return mdp.rewards + config.discount * mdp.transitions @ values

    def init(key):
        return {"values": jax.random.normal(key, mdp.rewards.shape[:1])}

    def update(state, step):
        values = jnp.max(backup(state["values"]), axis=-1)
        return {"values": values}, {"residual": jnp.max(jnp.abs(values - state["values"]))}

    def evaluate(state, key):
        start = jax.random.randint(key, (), 0, mdp.rewards.shape[0])
        return {"value": state["values"][start]}

    return Algorithm(init, update, evaluate)


def check(config, mdp, state, evaluation):
    """The values solve the linear system of their greedy policy, and no action improves on them."""
    transitions, rewards = np.asarray(mdp.transitions, np.float64), np.asarray(mdp.rewards, np.float64)
    greedy = np.argmax(rewards + config.discount * transitions @ np.asarray(state["values"]), axis=-1)
    rows = np.arange(len(greedy))
    values = np.linalg.solve(np.eye(len(greedy)) - config.discount * transitions[rows, greedy], rewards[rows, greedy])
    np.testing.assert_allclose(state["values"], values, rtol=1e-5)
    np.testing.assert_allclose((rewards + config.discount * transitions @ values).max(-1), values)
    assert np.isclose(values, evaluation["value"]).any()
