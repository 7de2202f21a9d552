"""Returns of many episodes of one action everywhere, or of one action by the time."""

import jax
import jax.numpy as jnp
import numpy as np
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.rollouts import rollout, start_rollout
from jaxrl_sparse.environments.vectorized import vectorize


def play(environment, actions, num_episodes, seed=0):
    """A trajectory `[T, B]` of policies `actions[T, S]`, from the first step on."""
    vectorized, params = vectorize(environment, num_episodes), environment.default_params
    info_entries = () if environment.num_rewards is None else ("reward_vector",)

    def run(key, actions):
        def step(state, actions):
            def policy(key, observations):
                return actions[jnp.argmax(observations, axis=-1)], {}

            trajectory, state = rollout(vectorized, policy, 1, state, params, info_entries)
            return state, jax.tree.map(lambda leaf: leaf[0], trajectory)

        return jax.lax.scan(step, start_rollout(vectorized, key, params), actions)[1]

    return jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(seed), actions)


def returns_of(environment, actions, num_episodes, seed=0):
    """`[B]` undiscounted returns of the first episodes of a batch."""
    trajectory = play(environment, actions, num_episodes, seed)
    ended_before = np.cumsum(trajectory.dones, axis=0) - trajectory.dones > 0
    return np.where(ended_before, 0, trajectory.rewards).sum(axis=0)


def always(environment, action):
    """`[T, S]`: the same action for ever."""
    return jnp.full((environment.horizon, environment.mdp.num_states), action, jnp.int32)


def assert_mean(returns, expected):
    """Within four standard errors."""
    np.testing.assert_allclose(returns.mean(), expected, atol=4 * returns.std() / np.sqrt(len(returns)) + 1e-5)
