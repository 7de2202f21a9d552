"""gymnax's environments on this library's base class."""

from typing import Any

import jax.numpy as jnp
from gymnax import registration
from gymnax.environments import environment as gymnax_environment
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrl_sparse.base import require, require_known, strong_types
from jaxrl_sparse.environments.base import Environment
from jaxrl_sparse.environments.options import parameter_names, require_options


class GymnaxEnvironment(Environment[Any, Any]):
    """A gymnax environment with float32 rewards and with dtypes that are the same before and after a step.

    gymnax has the interface already. Some of its environments pay in int32, and their first states hold Python
    integers: a state that changes its abstract value in the first step makes a second call compile again. gymnax's
    wrappers are refused: they override `step` alone, which nothing here calls; wrap this environment in them instead.

    Args:
      environment: a gymnax environment.
      name: by default `gymnax/` and the environment's own name.

    Raises:
      ValueError: if `environment` is wrapped.
    """

    def __init__(self, environment: Any, name: str | None = None):
        require(
            "environment",
            type(environment).__name__,
            lambda _: isinstance(environment, gymnax_environment.Environment),
            "a gymnax environment that is not wrapped",
        )
        self.environment = environment
        self._name = f"gymnax/{environment.name}" if name is None else name

    @property
    def name(self) -> str:
        """`gymnax/<id>`."""
        return self._name

    @property
    def default_params(self) -> Any:
        """gymnax's parameters."""
        return self.environment.default_params

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Any, Any]:
        """Starts an episode."""
        return strong_types(self.environment.reset_env(key, params))

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step, without reset."""
        observation, state, reward, terminated, info = strong_types(
            self.environment.step_env(key, state, action, params)
        )
        return observation, state, reward.astype(jnp.float32), terminated.astype(bool), info

    def is_truncated(self, state: Any, params: Any) -> Bool[Array, ""]:
        """Whether the time limit is reached."""
        return jnp.asarray(self.environment.is_truncated(state, params), bool)

    def observation_space(self, params: Any) -> Any:
        """gymnax's space of one observation."""
        return self.environment.observation_space(params)

    def action_space(self, params: Any) -> Any:
        """gymnax's space of one action."""
        return self.environment.action_space(params)


def make_gymnax(environment_id: str, **options: Any) -> GymnaxEnvironment:
    """An environment that is registered with gymnax.

    Args:
      environment_id: such as `CartPole-v1`.
      **options: of gymnax's constructor, such as `size` of `DeepSea-bsuite`.

    Raises:
      ValueError: if the id or an option is unknown.
    """
    registered = registration.registered_envs
    require_known("gymnax environment", environment_id, registered, registered)
    require_options(options, parameter_names(registration._registry[environment_id]))
    environment, _ = registration.make(environment_id, **options)
    return GymnaxEnvironment(environment, f"gymnax/{environment_id}")
