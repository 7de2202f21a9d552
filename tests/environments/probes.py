"""Tiny environments whose episodes can be computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment, EnvironmentParams, EnvironmentState


@struct.dataclass
class CounterState(EnvironmentState):
    count: jax.Array


class Counter(Environment[CounterState, EnvironmentParams]):
    """Counts from 0; `count += action`, reward = count, terminated from 3 on, cut after 3 steps. It draws nothing."""

    @property
    def default_params(self):
        return EnvironmentParams(max_steps_in_episode=3)

    def reset_env(self, key, params):
        state = CounterState(time=jnp.zeros((), jnp.int32), count=jnp.zeros(()))
        return state.count[None], state

    def step_env(self, key, state, action, params):
        state = CounterState(time=state.time + 1, count=state.count + action)
        terminated = state.count >= 3
        return state.count[None], state, state.count, terminated, {"discount": 1.0 - terminated}

    def observation_space(self, params):
        return spaces.native(spaces.Box(-jnp.inf, jnp.inf, (1,)))

    def action_space(self, params):
        return spaces.native(spaces.Box(-9.0, 9.0, ()))


@struct.dataclass
class DriftParams(EnvironmentParams):
    noise: float | jax.Array


@struct.dataclass
class DriftState(EnvironmentState):
    start: jax.Array
    position: jax.Array


class Drift(Environment[DriftState, DriftParams]):
    """A point that starts anywhere in the unit square and drifts; beyond x = 1.2 the episode terminates."""

    @property
    def default_params(self):
        return DriftParams(max_steps_in_episode=4, noise=0.3)

    def reset_env(self, key, params):
        start = jax.random.uniform(key, (2,))
        return start, DriftState(time=jnp.zeros((), jnp.int32), start=start, position=start)

    def step_env(self, key, state, action, params):
        position = state.position + action + params.noise * jax.random.normal(key, (2,))
        terminated = position[0] > 1.2
        info = {"discount": 1.0 - terminated, "travelled": jnp.sum((position - state.start) ** 2)}
        return position, state.replace(time=state.time + 1, position=position), position[0], terminated, info

    def observation_space(self, params):
        return spaces.native(spaces.Box(-jnp.inf, jnp.inf, (2,)))

    def action_space(self, params):
        return spaces.native(spaces.Box(-1.0, 1.0, (2,)))

    def descriptor(self, state, params):
        """Not of the interface: wrappers must forward it."""
        return state.position - state.start


def assert_trees_close(ours, expected, **tolerances):
    """`np.testing.assert_allclose` on every leaf of two trees of one structure; exact without tolerances."""
    tolerances = tolerances or {"rtol": 0, "atol": 0}
    assert jax.tree.structure(ours) == jax.tree.structure(expected)
    for (path, leaf), other in zip(jax.tree.leaves_with_path(ours), jax.tree.leaves(expected), strict=True):
        leaf, other = jnp.asarray(leaf), jnp.asarray(other)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf, other = jax.random.key_data(leaf), jax.random.key_data(other)
        np.testing.assert_allclose(leaf, other, err_msg=jax.tree_util.keystr(path), **tolerances)
