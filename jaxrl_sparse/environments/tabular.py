"""Finite MDPs as environments: the arrays are the parameters, so that they are stacked, vmapped and swept."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment, EnvironmentParams, EnvironmentState
from jaxrl_sparse.finite.mdp import FiniteMDP, successor_table
from jaxrl_sparse.numerics.inverse_cdf import cumulative_weights, index_below


@struct.dataclass
class TabularParams(EnvironmentParams):
    """The process, and its time limit.

    Attributes:
      mdp: S states, A actions, B outcomes; scalar rewards, or vectors of m.
    """

    mdp: FiniteMDP


@struct.dataclass
class TabularState(EnvironmentState):
    """Where the process is.

    Attributes:
      state: number of the state, int32 from 0 to S - 1.
    """

    state: Int[Array, ""]


class TabularEnvironment(Environment[TabularState, TabularParams]):
    """A finite MDP that is stepped: s' and r are those of an outcome drawn from `probabilities[s, a]`.

    An episode starts in a state drawn from `initial` and terminates in a terminal state, which is never left and pays
    nothing. The observation is the state as a one-hot vector `[S]`, float32. Where rewards are vectors, the scalar
    reward is their first component and `info["reward_vector"]` is the whole, `[m]` float32. A step makes one draw, and
    none where actions have a single outcome.

    The process that is stepped is `params.mdp`; the one given here is the default, and says how many states and
    actions there are and whether rewards are vectors.

    Args:
      mdp: from `finite_mdp` or a generator.
      max_steps_in_episode: the time limit, at least 1.
      state_names: S words for people; by default the numbers.
      action_names: A words for people; by default the numbers.

    Raises:
      ValueError: if the time limit is less than 1, or if there are not as many names as states or actions.
    """

    def __init__(
        self,
        mdp: FiniteMDP,
        max_steps_in_episode: int,
        *,
        state_names: Sequence[str] | None = None,
        action_names: Sequence[str] | None = None,
    ):
        require("max_steps_in_episode", max_steps_in_episode, is_count, "an integer of at least 1")
        self.mdp = mdp
        self.max_steps_in_episode = max_steps_in_episode
        self.state_names = _names("state_names", state_names, mdp.num_states)
        self.action_names = _names("action_names", action_names, mdp.num_actions)

    @property
    def default_params(self) -> TabularParams:
        """The process and the time limit given at construction."""
        return TabularParams(max_steps_in_episode=self.max_steps_in_episode, mdp=self.mdp)

    @property
    def horizon(self) -> int:
        """The most steps of an episode."""
        return self.max_steps_in_episode

    @property
    def discount(self) -> float:
        """gamma of the process given at construction."""
        return float(self.mdp.discount)

    @property
    def num_rewards(self) -> int | None:
        """m where rewards are vectors, None where they are scalars."""
        return self.mdp.num_rewards

    def reset_env(self, key: PRNGKeyArray, params: TabularParams) -> tuple[Float[Array, "S"], TabularState]:
        """A state drawn from the initial distribution."""
        state = _draw(key, params.mdp.initial)
        return _one_hot(state, params.mdp), TabularState(time=jnp.zeros((), jnp.int32), state=state)

    def step_env(
        self, key: PRNGKeyArray, state: TabularState, action: Int[Array, ""], params: TabularParams
    ) -> tuple[Float[Array, "S"], TabularState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One outcome of the action; `info` holds `reward_vector` where rewards are vectors."""
        mdp, here = params.mdp, state.state
        outcome = _draw(key, mdp.probabilities[here, action]) if mdp.num_outcomes > 1 else 0
        ended = mdp.terminal[here]
        following = jnp.where(ended, here, successor_table(mdp)[here, action, outcome])
        paid = mdp.rewards[here, action, 0 if mdp.rewards_are_shared else outcome].astype(jnp.float32)
        paid = jnp.where(ended, 0.0, paid)
        vector = mdp.num_rewards is not None
        reward, info = (paid[0], {"reward_vector": paid}) if vector else (paid, {})
        state = TabularState(time=state.time + 1, state=following)
        return _one_hot(following, mdp), state, reward, mdp.terminal[following], info

    def observation_space(self, params: TabularParams) -> Any:
        """The unit cube `[S]`."""
        return spaces.native(spaces.Box(0.0, 1.0, (params.mdp.num_states,)))

    def action_space(self, params: TabularParams) -> Any:
        """The integers 0 to A - 1."""
        return spaces.native(spaces.Discrete(params.mdp.num_actions))


def _draw(key: PRNGKeyArray, weights: Float[Array, "N"]) -> Int[Array, ""]:
    return index_below(jax.random.uniform(key, dtype=weights.dtype), cumulative_weights(weights))


def _one_hot(state: Int[Array, ""], mdp: FiniteMDP) -> Float[Array, "S"]:
    return jax.nn.one_hot(state, mdp.num_states, dtype=jnp.float32)


def _names(argument: str, names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    names = tuple(map(str, range(count) if names is None else names))
    require(argument, names, lambda words: len(words) == count, f"{count} words")
    return names
