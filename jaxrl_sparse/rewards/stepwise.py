"""One rule with a memory of the episode, two uses: a reward transformation, and a view of it for the policy.

A rule is `step_fn(memory, transition) -> (reward, memory)` on one environment: marginal gains of a set function (the
memory is the set), a reward machine (its state), a return filter (the stock so far), a generated reward. Its memory
starts anew after the end of an episode, and only then: an episode that a chunk of experience cuts in two goes on with
the memory it had.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from jaxrl_sparse.base import PyTree, RewardTransformation, Trajectory, strong_types
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment
from jaxrl_sparse.environments.wrappers import Wrapper

StepFn = Callable[[PyTree, Trajectory], tuple[Array, PyTree]]


def stepwise(memory: PyTree, step_fn: StepFn, unshow: Callable[[PyTree], PyTree] | None = None) -> RewardTransformation:
    """Makes a transformation of a rule: `r_t, m_{t+1} = step_fn(m_t, transition_t)`, `m_0 = memory` in every episode.

    It has no `relabel`: its rewards depend on what came before in the episode.

    Args:
      memory: the memory at the start of an episode, a pytree of arrays of one environment.
      step_fn: `(memory, transition) -> (reward, memory)`; the transition is a `Trajectory` without its axes `[T, B]`.
      unshow: from what the policy saw to the observation that the rule reads. With `observe_memory`, whose
        observation is a pair, it is `lambda shown: shown[0]`; None where the rule reads the trajectory's observations
        as they are.

    Returns:
      A transformation whose state is the memory of each environment, leaves `[B, ...]`.
    """
    fresh = strong_types(memory)

    def init(key: PRNGKeyArray, spec: Trajectory) -> PyTree:
        del key
        num_environments = spec.rewards.shape[1]
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_environments, *leaf.shape)), fresh)

    def one_step(memory: PyTree, transition: Trajectory) -> tuple[PyTree, Array]:
        if unshow is not None:
            read = (unshow(transition.observations), unshow(transition.next_observations))
            transition = transition._replace(observations=read[0], next_observations=read[1])
        reward, memory = step_fn(memory, transition)
        return _unless(transition.dones, memory, fresh), reward

    def update(trajectory: Trajectory, state: PyTree) -> tuple[Array, PyTree]:
        state, rewards = jax.lax.scan(jax.vmap(one_step), state, trajectory)
        return rewards, state

    return RewardTransformation(init, update)


class MemoryState(NamedTuple):
    """State of `observe_memory`'s environment: the inner state, the last observation, and the memory of the episode."""

    inner: Any
    observation: Any
    memory: Any

    @property
    def time(self) -> Array:
        """Steps taken in the episode."""
        return self.inner.time


def observe_memory(
    environment: Environment,
    memory: PyTree,
    step_fn: StepFn,
    show: Callable[[PyTree, PyTree], PyTree] | None = None,
) -> Environment:
    """Makes the environment whose observation shows the memory that `stepwise(memory, step_fn)` holds at that step.

    Rewards stay those of the environment: the learner's transformation makes the others from the same rule.

    Args:
      environment: the environment to look at.
      memory: the memory at the start of an episode.
      step_fn: `(memory, transition) -> (reward, memory)`; its transition holds the inner environment's observations.
      show: `(observation, memory) -> observation`, what the policy sees; a pair by default.
    """
    return _MemoryEnvironment(environment, memory, step_fn, _pair if show is None else show)


def _pair(observation: PyTree, memory: PyTree) -> PyTree:
    return observation, memory


class _MemoryEnvironment(Wrapper):
    environment: Any

    def __init__(self, environment, memory, step_fn, show):
        super().__init__(environment)
        self.memory, self.step_fn, self.show = memory, step_fn, show

    def observation_space(self, params: Any) -> Any:
        """Unbounded boxes of the shapes that `show` returns: a memory has no bounds that could be known here."""
        observation, _ = jax.eval_shape(self.reset_env, jax.random.key(0), params)
        return jax.tree.map(
            lambda leaf: spaces.native(spaces.Box(-jnp.inf, jnp.inf, leaf.shape, leaf.dtype)), observation
        )

    # A planar environment's own methods read the state that it made.
    def descriptor(self, state: Any, params: Any) -> Array:
        return self.environment.descriptor(state.inner, params)

    def area(self, state: Any, params: Any) -> Array:
        return self.environment.area(state.inner, params)

    def render_state(self, state: Any, params: Any) -> Array:
        return self.environment.render_state(state.inner, params)

    def is_truncated(self, state: Any, params: Any) -> Array:
        return self.environment.is_truncated(state.inner, params)

    def reset_env(self, key: PRNGKeyArray, params: Any) -> tuple[Any, Any]:
        observation, inner = self.environment.reset_env(key, params)
        memory = strong_types(self.memory)
        return self.show(observation, memory), MemoryState(inner, observation, memory)

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, Array, Array, dict[str, Any]]:
        observation, inner, reward, terminated, info = self.environment.step_env(key, state.inner, action, params)
        truncated = self.environment.is_truncated(inner, params)
        transition = Trajectory(state.observation, action, reward, terminated, truncated, observation)
        _, memory = self.step_fn(state.memory, transition)
        return self.show(observation, memory), MemoryState(inner, observation, memory), reward, terminated, info


def _unless(ended: Array, memory: PyTree, fresh: PyTree) -> PyTree:
    return jax.tree.map(lambda old, new: jnp.where(ended, new, old), memory, fresh)
