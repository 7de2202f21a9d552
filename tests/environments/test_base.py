import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environments.probes import Counter, Drift, assert_trees_close


@pytest.fixture(scope="module")
def counter():
    return Counter()


def play(environment, actions):
    """Observations, rewards, both flags and final observations of one environment that starts anew by itself."""
    _, state = environment.reset(jax.random.key(0))
    rows = []
    for action in actions:
        observation, state, reward, terminated, truncated, info = environment.step(
            jax.random.key(0), state, jnp.float32(action)
        )
        rows.append((observation[0], reward, terminated, truncated, info["final_observation"][0], state.time))
    return np.array(rows, float).T


def test_step_resets_where_the_episode_ended(counter):
    #       terminates at 3 | cut after 3 steps | both at once: 3 at step 3 | goes on
    actions = [1, 2, 0, 1, 1, 1, 1, 1, 2]
    observations, rewards, terminated, truncated, final_observations, times = play(counter, actions)
    np.testing.assert_array_equal(rewards, [1, 3, 0, 1, 2, 1, 2, 3, 2])
    np.testing.assert_array_equal(final_observations, rewards)
    np.testing.assert_array_equal(terminated, [0, 1, 0, 0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(truncated, [0, 0, 0, 0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(observations, [1, 0, 0, 1, 0, 1, 2, 0, 2])
    np.testing.assert_array_equal(times, [1, 0, 1, 2, 0, 1, 2, 0, 1])


def test_info_repeats_the_flags(counter):
    _, state = counter.reset(jax.random.key(0))
    *_, terminated, truncated, info = counter.step(jax.random.key(0), state, jnp.float32(5))
    assert (bool(terminated), bool(truncated), float(info["discount"])) == (True, False, 0.0)
    assert info["terminated"] == terminated and info["truncated"] == truncated


def test_params_can_be_given_and_batched(counter):
    params = counter.default_params.replace(max_steps_in_episode=jnp.array([1, 2]))
    _, state = counter.reset(jax.random.key(0))
    *_, truncated, _ = jax.vmap(counter.step, in_axes=(None, None, None, 0))(
        jax.random.key(0), state, jnp.float32(1), params
    )
    np.testing.assert_array_equal(truncated, [True, False])


def test_step_and_reset_use_keys_of_their_own():
    environment = Drift()
    params = environment.default_params.replace(max_steps_in_episode=1)
    _, state = environment.reset(jax.random.key(0), params)
    observation, next_state, *_, info = environment.step(jax.random.key(5), state, jnp.zeros(2), params)
    step_key, reset_key = jax.random.split(jax.random.key(5))
    stepped, *_ = environment.step_env(step_key, state, jnp.zeros(2), params)
    assert_trees_close((observation, next_state), environment.reset_env(reset_key, params), rtol=1e-6)
    np.testing.assert_allclose(info["final_observation"], stepped, rtol=1e-6)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"]
)
def test_copies_step_alike(counter, duplicate):
    twin = duplicate(counter)
    assert twin.name == "Counter"
    np.testing.assert_array_equal(play(twin, [1, 2, 1]), play(counter, [1, 2, 1]))


def test_num_actions():
    assert Drift().num_actions == 2
