import copy
import pickle

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environments.probes import assert_trees_close
from gymnax.wrappers import LogWrapper

from jaxrl_sparse.environments.adapters.gymnax import GymnaxEnvironment
from jaxrl_sparse.environments.make import make
from jaxrl_sparse.environments.vectorized import vectorize


def test_steps_are_those_of_gymnax():
    ours, (theirs, params) = make("gymnax/CartPole-v1"), gymnax.make("CartPole-v1")
    assert ours.default_params == params and ours.num_actions == 2
    assert_trees_close(ours.reset(jax.random.key(0)), theirs.reset(jax.random.key(0)))
    _, state = ours.reset(jax.random.key(0))
    their_state = state
    ended = 0
    for t in range(25):
        key = jax.random.fold_in(jax.random.key(0), t)
        *outcome, info = ours.step(jax.random.clone(key), state, jnp.int32(1), params)
        *expected, their_info = theirs.step(key, their_state, jnp.int32(1), params)
        assert_trees_close((outcome, info["final_observation"]), (expected, their_info["final_observation"]))
        state, their_state = outcome[1], expected[1]
        ended += int(outcome[3])
    assert ended >= 2


@pytest.mark.parametrize("name", ["CartPole-v1", "UmbrellaChain-bsuite", "FrozenLake-misc", "MountainCar-v0"])
def test_types_are_strong_and_do_not_change_in_a_step(name):
    environment = make(f"gymnax/{name}")
    params = environment.default_params

    def first_and_second(reset_key, step_key):
        observation, state = environment.reset_env(reset_key, params)
        after, state_after, reward, terminated, _ = environment.step_env(step_key, state, jnp.int32(0), params)
        return (observation, state), (after, state_after), reward, terminated

    before, after, reward, terminated = jax.eval_shape(first_and_second, *jax.random.split(jax.random.key(0)))
    kinds = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree) for tree in (before, after)]
    assert kinds[0] == kinds[1]
    assert not any(leaf.weak_type for leaf in jax.tree.leaves((before, after)))
    assert (reward.dtype, terminated.dtype) == (jnp.float32, jnp.bool_)


def test_gymnax_pays_integers_or_weak_types_somewhere():
    """Why the adapter exists; where this fails, gymnax has been mended and the adapter can shrink."""
    environment, params = gymnax.make("UmbrellaChain-bsuite")
    _, state = environment.reset_env(jax.random.key(0), params)
    _, _, reward, _, _ = environment.step_env(jax.random.key(0), state, jnp.int32(0), params)
    assert isinstance(state.time, int) and jnp.asarray(reward).dtype != jnp.float32


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"]
)
def test_copies_are_alike(duplicate):
    environment = make("gymnax/CartPole-v1")
    twin = duplicate(environment)
    assert twin.name == "gymnax/CartPole-v1"
    assert_trees_close(twin.reset(jax.random.key(0)), environment.reset(jax.random.key(0)))


def test_vectorized_cart_pole_starts_anew():
    """In batches, reset rows hold gymnax's first states, uniform in [-.05, .05]^4, all different."""
    environment = make("gymnax/CartPole-v1")
    params = environment.default_params
    batch = vectorize(environment, 32)

    def play(key):
        _, states = batch.reset(key, params)

        def step(states, key):
            observations, states, _, terminated, _, info = batch.step(key, states, jnp.ones(32, jnp.int32), params)
            return states, (observations, terminated, states.time, info["final_observation"])

        return jax.lax.scan(step, states, jax.random.split(jax.random.fold_in(key, 1), 30))[1]

    observations, terminated, times, finals = map(np.asarray, jax.jit(play)(jax.random.key(0)))
    starts = observations[terminated]
    assert len(starts) > 64 and len(np.unique(starts, axis=0)) == len(starts)
    assert (np.abs(starts) <= 0.05).all() and (times[terminated] == 0).all()
    assert (np.abs(finals[terminated][:, 2]) > 0.2094).all()
    np.testing.assert_allclose(starts.mean(0), 0.0, atol=0.012)
    np.testing.assert_allclose(starts.std(0), 0.1 / np.sqrt(12), rtol=0.2)


def test_wrapped_environments_are_refused():
    with pytest.raises(
        ValueError, match="environment: got 'LogWrapper', takes a gymnax environment that is not wrapped"
    ):
        GymnaxEnvironment(LogWrapper(gymnax.make("CartPole-v1")[0]))
