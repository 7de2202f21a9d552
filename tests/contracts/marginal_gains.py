"""A client of the contract: a policy gradient on marginal gains, with episodes that chunks of experience cut."""

from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_sparse.base import ENVIRONMENT_STEPS, Algorithm, Trajectory, config, trajectory_spec
from jaxrl_sparse.environments import rollouts, spaces
from jaxrl_sparse.environments.base import Environment, EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.rewards import stepwise

SAME_INPUTS = True
NUM_UPDATES = 41
NUM_CELLS = 6
INPUTS = EnvironmentParams(max_steps_in_episode=jnp.int32(5))


@config
class Config:
    num_environments: int = 32
    steps_per_update: int = 3  # Does not divide the episode's five steps: chunks cut episodes.
    learning_rate: float = 4.0


SWEPT = (Config(), Config(learning_rate=2.0))


@struct.dataclass
class LineState(EnvironmentState):
    cell: jax.Array


class Line(Environment[LineState, EnvironmentParams]):
    """Cells in a row, from the leftmost: action 0 stays, action 1 moves to the right. It pays nothing by itself."""

    default_params = INPUTS

    def reset_env(self, key, params):
        return jnp.int32(0), LineState(time=jnp.int32(0), cell=jnp.int32(0))

    def step_env(self, key, state, action, params):
        state = LineState(time=state.time + 1, cell=jnp.minimum(state.cell + action, NUM_CELLS - 1))
        return state.cell, state, jnp.float32(0), jnp.bool_(False), {"discount": jnp.float32(1)}

    def observation_space(self, params):
        return spaces.Discrete(NUM_CELLS)

    def action_space(self, params):
        return spaces.Discrete(2)


def coverage_gain(visited, transition):
    return 1.0 - visited[transition.next_observations], visited.at[transition.next_observations].set(1.0)


class State(NamedTuple):
    rollout: Any
    reward: Any
    logits: jax.Array


def loss_fn(logits, trajectory, rewards, baseline):
    """REINFORCE on marginal gains, whose sum over an episode is the coverage: `-mean((gain - baseline) log pi)`."""
    log_probs = distrax.Categorical(logits[trajectory.observations]).log_prob(trajectory.actions)
    return -jnp.mean((rewards - baseline) * log_probs)


def make(config, params):
    environments = vectorize(Line(), config.num_environments)
    reward = stepwise(jnp.zeros(NUM_CELLS).at[0].set(1.0), coverage_gain)

    def init(key):
        rollout_key, reward_key, logits_key = jax.random.split(key, 3)
        start = rollouts.start_rollout(environments, rollout_key, params)
        flags, nothing = jnp.zeros((1, config.num_environments), bool), start.observations[None]
        spec = trajectory_spec(Trajectory(nothing, nothing, nothing.astype(float), flags, flags, nothing))
        return State(start, reward.init(reward_key, spec), 0.1 * jax.random.normal(logits_key, (NUM_CELLS, 2)))

    def update(state, step):
        def policy(key, observations):
            return distrax.Categorical(state.logits[observations]).sample(seed=key), {}

        trajectory, rollout = rollouts.rollout(environments, policy, config.steps_per_update, state.rollout, params)
        gains, memory = reward.update(trajectory, state.reward)
        gradient = jax.grad(loss_fn)(state.logits, trajectory, gains, jnp.mean(gains))
        metrics = {ENVIRONMENT_STEPS: jnp.int32(gains.size), "mean_gain": jnp.mean(gains)}
        return State(rollout, memory, state.logits - config.learning_rate * gradient), metrics

    def evaluate(state, key):
        moves = distrax.Categorical(state.logits).sample(seed=key, sample_shape=(64,))
        return {"probability_to_move": jnp.mean(moves[:, :-1])}

    return Algorithm(init, update, evaluate)


def check(config, params, state, evaluation):
    """It moves on everywhere; what the memory holds is what the unfinished episode has visited, across chunks."""
    assert evaluation["probability_to_move"] > 0.9
    time, cell = np.asarray(state.rollout.states.time), np.asarray(state.rollout.states.cell)
    np.testing.assert_array_equal(time, np.full_like(time, NUM_UPDATES * config.steps_per_update % 5))
    np.testing.assert_array_equal(state.reward, np.arange(NUM_CELLS) <= cell[:, None])
