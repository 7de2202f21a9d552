"""Skills: a number that is drawn at the start of an episode, and that the policy sees in all of its observations."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import require
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment
from jaxrl_sparse.environments.wrappers import Wrapper


@struct.dataclass
class SkillState:
    """State of an environment with skills.

    Attributes:
      inner: of the environment.
      skill: int32 from 0 to Z - 1, the same for the whole episode.
    """

    inner: Any
    skill: Int[Array, ""]

    @property
    def time(self) -> Array:
        """Steps taken in the episode."""
        return self.inner.time


class SkillEnvironment(Wrapper):
    """Shows the policy which of Z skills the episode is of, as a one-hot vector behind its observation `[D + Z]`.

    Every reset draws a skill, all with the same probability. Rewards and dynamics know nothing of it.

    Args:
      environment: whose observations are vectors `[D]`.
      num_skills: Z, at least 2.

    Raises:
      ValueError: if Z is less than 2, or observations are no vectors.
    """

    environment: Any

    def __init__(self, environment: Environment[Any, Any], num_skills: int):
        require("num_skills", num_skills, lambda z: z >= 2, "an integer of at least 2")
        shape = environment.observation_space(environment.default_params).shape
        require("environment", shape, lambda shape: len(shape) == 1, "observations that are vectors")
        super().__init__(environment)
        self.num_skills = num_skills

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Any, Any]:
        """An episode of a skill that is drawn."""
        skill_key, reset_key = jax.random.split(key)
        skill = jax.random.randint(skill_key, (), 0, self.num_skills)
        observation, inner = self.environment.reset_env(reset_key, params)
        return self._show(observation, skill), SkillState(inner, skill)

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step of the wrapped environment; the skill stays."""
        observation, inner, reward, terminated, info = self.environment.step_env(key, state.inner, action, params)
        return self._show(observation, state.skill), SkillState(inner, state.skill), reward, terminated, info

    def is_truncated(self, state: Any, params: Any) -> Bool[Array, ""]:
        """Whether the wrapped environment's time limit is reached."""
        return self.environment.is_truncated(state.inner, params)

    def observation_space(self, params: Any) -> Any:
        """The wrapped environment's bounds, and 0 to 1 for the skills."""
        space = self.environment.observation_space(params)
        low, high = (
            jnp.broadcast_to(jnp.asarray(bound, jnp.float32), space.shape) for bound in (space.low, space.high)
        )
        ends = jnp.zeros(self.num_skills), jnp.ones(self.num_skills)
        low, high = (jnp.concatenate(parts) for parts in ((low, ends[0]), (high, ends[1])))
        return spaces.native(spaces.Box(low, high, (math.prod(space.shape) + self.num_skills,)))

    def _show(self, observation: Float[Array, "D"], skill: Int[Array, ""]) -> Float[Array, "E"]:
        return jnp.concatenate([observation, jax.nn.one_hot(skill, self.num_skills, dtype=observation.dtype)])


def split_skill(num_skills: int) -> Callable[[Array], tuple[Array, Array]]:
    """What `SkillEnvironment` showed, apart: `split(observations [..., D + Z]) -> (states [..., D], skills [...])`.

    Args:
      num_skills: Z.
    """

    def split(observations: Float[Array, "*batch D"]) -> tuple[Float[Array, "*batch E"], Int[Array, "*batch"]]:
        skills = jnp.argmax(observations[..., -num_skills:], axis=-1).astype(jnp.int32)
        return observations[..., :-num_skills], skills

    return split
