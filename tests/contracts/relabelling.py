"""A client of the contract: a replay learner whose batches are labelled by a reward that is still being learned."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.base import ENVIRONMENT_STEPS, Algorithm, RewardTransformation, Trajectory, config, require

SAME_INPUTS = True
NUM_UPDATES = 300
NUM_STATES, NUM_ACTIONS, BATCH = 4, 2, 8
# What nobody tells the learner but by samples: action 1 moves on along the ring and is paid for leaving state 3.
INPUTS = jnp.zeros((NUM_STATES, NUM_ACTIONS)).at[3, 1].set(1.0)


@config
class Config:
    capacity: int = 64
    learning_rate: float = 0.3
    discount: float = 0.5


SWEPT = (Config(), Config(discount=0.6))


def learned_reward(learning_rate):
    """A table of rewards, fitted to the rewards that are seen."""

    def predict(trajectory, table):
        return table[trajectory.observations, trajectory.actions]

    def update(trajectory, table):
        error = trajectory.rewards - predict(trajectory, table)
        table = table.at[trajectory.observations, trajectory.actions].add(learning_rate * error / BATCH)
        return predict(trajectory, table), table

    return RewardTransformation(lambda key, spec: jax.random.normal(key, (NUM_STATES, NUM_ACTIONS)), update, predict)


class State(NamedTuple):
    key: jax.Array
    replay: Trajectory
    reward: jax.Array
    q_values: jax.Array


def make(config, rewards):
    reward = learned_reward(config.learning_rate)
    require("reward", reward.relabel, lambda relabel: relabel is not None, "a transformation that can relabel")

    def experience(key, size):
        state_key, action_key = jax.random.split(key)
        states = jax.random.randint(state_key, (1, size), 0, NUM_STATES)
        actions = jax.random.randint(action_key, (1, size), 0, NUM_ACTIONS)
        flags = jnp.zeros((1, size), bool)
        return Trajectory(states, actions, rewards[states, actions], flags, flags, (states + actions) % NUM_STATES)

    def init(key):
        key, replay_key, reward_key, q_key = jax.random.split(key, 4)
        replay = experience(replay_key, config.capacity)
        return State(key, replay, reward.init(reward_key, replay), jax.random.normal(q_key, rewards.shape))

    def update(state, step):
        key, experience_key, sample_key = jax.random.split(state.key, 3)
        fresh = experience(experience_key, BATCH)
        _, reward_state = reward.update(fresh, state.reward)
        rows = (step * BATCH + jnp.arange(BATCH)) % config.capacity
        # Stored without its reward: only a relabelled one is right.
        fresh = fresh._replace(rewards=jnp.full_like(fresh.rewards, jnp.nan))
        replay = jax.tree.map(lambda all_rows, new: all_rows.at[:, rows].set(new), state.replay, fresh)
        sampled = jax.random.randint(sample_key, (BATCH,), 0, config.capacity)
        batch = jax.tree.map(lambda leaf: leaf[:, sampled], replay)
        targets = reward.relabel(batch, reward_state) + config.discount * state.q_values[batch.next_observations].max(
            -1
        )
        errors = targets - state.q_values[batch.observations, batch.actions]
        q_values = state.q_values.at[batch.observations, batch.actions].add(config.learning_rate * errors / 2)
        metrics = {ENVIRONMENT_STEPS: jnp.int32(BATCH), "error": jnp.mean(jnp.abs(errors))}
        return State(key, replay, reward_state, q_values), metrics

    def evaluate(state, key):
        return {"value": state.q_values[jax.random.randint(key, (), 0, NUM_STATES)].max()}

    return Algorithm(init, update, evaluate)


def check(config, rewards, state, evaluation):
    """The reward is the hidden table, the values are the ring's closed form."""
    np.testing.assert_allclose(state.reward, rewards, atol=0.05)
    paid = 1 / (1 - config.discount**NUM_STATES)
    optimal = np.array([paid * config.discount ** (3 - s) for s in range(NUM_STATES)])
    np.testing.assert_allclose(state.q_values.max(-1), optimal, atol=0.08)
    assert np.isclose(state.q_values.max(-1), evaluation["value"]).any()
