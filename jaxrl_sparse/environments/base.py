"""The environment contract: gymnax 1.0's interface on a base class that does not import gymnax."""

import abc
from functools import partial
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import PyTree
from jaxrl_sparse.environments import spaces


@struct.dataclass
class EnvironmentState:
    """What changes in an episode; environments add their fields.

    Attributes:
      time: steps taken since the reset, int32.
    """

    time: Int[Array, ""]


@struct.dataclass
class EnvironmentParams:
    """What does not change in an episode; a pytree of leaves, so that physics is vmapped and swept.

    Attributes:
      max_steps_in_episode: the time limit, in steps.
    """

    max_steps_in_episode: int | Array


# Unbound: the states and parameters of gymnax, brax and of wrappers are no subclasses of ours.
StateT = TypeVar("StateT")
ParamsT = TypeVar("ParamsT")


class Environment(abc.ABC, Generic[StateT, ParamsT]):
    """A single environment as pure functions of (key, state, action, params); vmap makes it many.

    An environment implements `default_params`, `reset_env`, `step_env`, `observation_space` and `action_space`;
    `reset` and the auto-resetting `step` follow. It is stateless and hashable by identity, so that it can be a static
    argument, and survives `copy.deepcopy` and `pickle`.
    """

    @property
    def name(self) -> str:
        """The name of its class."""
        return type(self).__name__

    @property
    @abc.abstractmethod
    def default_params(self) -> ParamsT:
        """The published constants."""

    @abc.abstractmethod
    def reset_env(self, key: PRNGKeyArray, params: ParamsT) -> tuple[PyTree, StateT]:
        """Starts an episode: `(observation, state)`."""

    @abc.abstractmethod
    def step_env(
        self, key: PRNGKeyArray, state: StateT, action: PyTree, params: ParamsT
    ) -> tuple[PyTree, StateT, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step without reset: `(observation, state, reward, terminated, info)`; the flag knows no time limit."""

    @abc.abstractmethod
    def observation_space(self, params: ParamsT) -> Any:
        """The space of one observation."""

    @abc.abstractmethod
    def action_space(self, params: ParamsT) -> Any:
        """The space of one action."""

    @property
    def num_actions(self) -> int:
        """Number of discrete actions, or of components of a continuous one."""
        return spaces.size_of(self.action_space(self.default_params))

    def is_truncated(self, state: Any, params: Any) -> Bool[Array, ""]:
        """Whether the time limit is reached: `time >= max_steps_in_episode`."""
        return state.time >= params.max_steps_in_episode

    @partial(jax.jit, static_argnames=("self",))
    def reset(self, key: PRNGKeyArray, params: ParamsT | None = None) -> tuple[PyTree, StateT]:
        """Starts an episode: `(observation, state)`; with the default parameters where none are given."""
        return self.reset_env(key, self.default_params if params is None else params)

    @partial(jax.jit, static_argnames=("self",))
    def step(
        self, key: PRNGKeyArray, state: StateT, action: PyTree, params: ParamsT | None = None
    ) -> tuple[PyTree, StateT, Float[Array, ""], Bool[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step, and a fresh episode where this one ended.

        Returns:
          `(observation, state, reward, terminated, truncated, info)`. Observation and state are those of the next
          episode where this one ended; `info["final_observation"]` is always the observation before the reset, the
          one to bootstrap from after a truncation; `info` repeats both flags, and holds the
          `discount`, 1 - terminated, which knows no time limit.
        """
        params = self.default_params if params is None else params
        step_key, reset_key = jax.random.split(key)
        stepped_observation, stepped_state, reward, terminated, info = self.step_env(step_key, state, action, params)
        truncated = self.is_truncated(stepped_state, params)
        fresh_observation, fresh_state = self.reset_env(reset_key, params)
        observation, state = jax.tree.map(
            partial(jnp.where, jnp.logical_or(terminated, truncated)),
            (fresh_observation, fresh_state),
            (stepped_observation, stepped_state),
        )
        info = {
            "discount": 1.0 - jnp.asarray(terminated, jnp.float32),
            **info,
            "terminated": terminated,
            "truncated": truncated,
            "final_observation": stepped_observation,
        }
        return observation, state, reward, terminated, truncated, info
