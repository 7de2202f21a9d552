"""Environments made of environments: the base that forwards, a finite set of actions, another time limit."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpy.typing import ArrayLike

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment


class Wrapper(Environment[Any, Any]):
    """Forwards everything to another environment; a wrapper overrides what it changes.

    It is an `Environment` itself: `step`, with reset, `final_observation` and both flags, follows from the methods
    below, so that a wrapper changes `step_env` and never has to repeat it. What this library's environments have beyond
    that interface (`descriptor`, `render`) is forwarded as an attribute. Copies and pickles like any object.

    Attributes:
      environment: the wrapped one.
    """

    def __init__(self, environment: Environment[Any, Any]):
        self.environment = environment

    def __getattr__(self, name: str) -> Any:
        # copy and pickle ask an object for its special methods before it has attributes: forwarding these recurses for
        # ever.
        if name.startswith("__") or "environment" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getattr(self.environment, name)

    @property
    def name(self) -> str:
        """The name of the wrapped environment."""
        return self.environment.name

    @property
    def default_params(self) -> Any:
        """The parameters of the wrapped environment."""
        return self.environment.default_params

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Any, Any]:
        """Starts an episode of the wrapped environment."""
        return self.environment.reset_env(key, params)

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step of the wrapped environment, without reset."""
        return self.environment.step_env(key, state, action, params)

    def is_truncated(self, state: Any, params: Any) -> Bool[Array, ""]:
        """Whether the wrapped environment's time limit is reached."""
        return self.environment.is_truncated(state, params)

    def observation_space(self, params: Any) -> Any:
        """The space of one observation of the wrapped environment."""
        return self.environment.observation_space(params)

    def action_space(self, params: Any) -> Any:
        """The space of one action of the wrapped environment."""
        return self.environment.action_space(params)


class DiscreteActions(Wrapper):
    """A continuous environment with N actions: the integer i stands for the row `actions[i]`.

    Args:
      environment: whose actions are arrays of the shape of a row.
      actions: `[N, ...]`, within the environment's action space.

    Raises:
      ValueError: if the rows are not of the action space's shape or outside of it.
    """

    def __init__(self, environment: Environment[Any, Any], actions: ArrayLike):
        super().__init__(environment)
        space = environment.action_space(environment.default_params)
        table = np.asarray(actions, np.dtype(space.dtype))
        require(
            "actions",
            table.shape,
            lambda shape: len(shape) >= 1 and shape[0] >= 1 and shape[1:] == tuple(space.shape),
            f"the shape (N, *{tuple(space.shape)})",
        )
        require("actions", actions, lambda _: bool(space.contains(table)), "rows within the environment's action space")
        self.actions = table

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Int[Array, ""], params: Any
    ) -> tuple[Any, Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step with `actions[action]`, without reset."""
        return self.environment.step_env(key, state, jnp.asarray(self.actions)[action], params)

    def action_space(self, params: Any) -> Any:
        """The integers 0 to N - 1."""
        return spaces.native(spaces.Discrete(len(self.actions)))


class TimeLimit(Wrapper):
    """Truncates episodes after `max_steps`, or where the wrapped environment does so before.

    Args:
      environment: whose parameters have `max_steps_in_episode`.
      max_steps: at least 1.

    Raises:
      ValueError: if `max_steps` is less than 1.
    """

    def __init__(self, environment: Environment[Any, Any], max_steps: int):
        require("max_steps", max_steps, is_count, "an integer of at least 1")
        super().__init__(environment)
        self.max_steps = max_steps

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step of the wrapped environment, which pays at the earlier limit what it pays at its own."""
        return self.environment.step_env(key, state, action, self._limited(params))

    def is_truncated(self, state: Any, params: Any) -> Bool[Array, ""]:
        """Whether `max_steps` steps were taken, or the wrapped environment's own limit is reached."""
        return self.environment.is_truncated(state, self._limited(params))

    def _limited(self, params: Any) -> Any:
        return params.replace(max_steps_in_episode=jnp.minimum(params.max_steps_in_episode, self.max_steps))
