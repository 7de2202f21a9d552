"""Stock-augmented environments: a stock beside the state, in which the past return is kept as the future sees it.

    c' = (c + r) / gamma,  so that at any time t of an episode  c_0 + G_0 = gamma^t (c_t + G_t)

and a policy of (state, stock) can pursue any objective of c_0 + G_0 that is indifferent to gamma.

Source: Bauerle and Ott, "Markov Decision Processes with Average-Value-at-Risk Criteria" (2011), section 3; Avila Pires
et al., "Optimizing Return Distributions with Distributional Dynamic Programming" (JMLR 2025), section 3.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrl_sparse.base import PyTree, require
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment
from jaxrl_sparse.environments.wrappers import Wrapper


class StockObservation(NamedTuple):
    """What a stock-augmented policy sees.

    Attributes:
      observation: that of the environment.
      stock: c in the reward's unit, float32; a scalar, or `[m]` where the environment pays vectors.
    """

    observation: PyTree
    stock: Float[Array, "..."]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StockParams:
    """Parameters of a stock-augmented environment; all of them leaves.

    Attributes:
      inner: those of the environment.
      discount: gamma in (0, 1], per step.
      low: the least first stock, in the reward's unit; a scalar or `[m]`.
      high: the largest first stock; where it is `low`, every episode starts with exactly this stock.
    """

    inner: Any
    discount: Any
    low: Any
    high: Any

    @property
    def max_steps_in_episode(self) -> Any:
        """The environment's own time limit, in steps."""
        return self.inner.max_steps_in_episode

    def replace(self, **changes: Any) -> "StockParams":
        """These parameters with some of them changed; `max_steps_in_episode` is changed in `inner`."""
        if "max_steps_in_episode" in changes:
            inner = changes.pop("inner", self.inner)
            changes["inner"] = inner.replace(max_steps_in_episode=changes.pop("max_steps_in_episode"))
        return dataclasses.replace(self, **changes)


@struct.dataclass
class StockState:
    """State of a stock-augmented environment.

    Attributes:
      inner: that of the environment.
      stock: c, float32; a scalar or `[m]`.
    """

    inner: Any
    stock: Float[Array, "..."]

    @property
    def time(self) -> Any:
        """Steps taken since the reset."""
        return self.inner.time


class StockAugmented(Wrapper):
    """An environment whose state and observation have a stock, `c' = (c + r) / gamma`, and whose rewards stay.

    The first stock of an episode is uniform in `[low, high]`; where the environment pays vectors (its `num_rewards` is
    m, and its info has a `reward_vector`), it is `[m]`, each component between its own bounds. A step gives the
    environment the key that it got, so that the environment's own course does not depend on the stock. `TimeLimit`
    stands inside or outside of it alike.

    Args:
      environment: whose parameters have `max_steps_in_episode`.
      discount: gamma in (0, 1], per step.
      low: the least first stock, in the reward's unit; a scalar, or `[m]` for vectors.
      high: the largest first stock, likewise.

    Raises:
      ValueError: if gamma is outside (0, 1], if the bounds do not fit the reward's shape, or if `low` is above `high`.
    """

    def __init__(self, environment: Environment[Any, Any], discount: Any, low: Any, high: Any):
        super().__init__(environment)
        require("discount", discount, lambda gamma: 0 < float(gamma) <= 1, "a number in (0, 1]")
        num_rewards = getattr(environment, "num_rewards", None)
        self.stock_shape: tuple[int, ...] = () if num_rewards is None else (num_rewards,)
        for argument, bound in (("low", low), ("high", high)):
            require(
                argument,
                bound,
                lambda b: np.shape(b) in ((), self.stock_shape) and bool(np.isfinite(np.asarray(b)).all()),
                f"a finite number, or {self.stock_shape[0]} of them" if self.stock_shape else "a finite number",
            )
        require("low", (low, high), lambda bounds: bool(np.all(np.less_equal(*bounds))), "at most `high`")
        self.bounds = (discount, low, high)

    @property
    def default_params(self) -> StockParams:
        """The environment's own, with discount and bounds as given at construction."""
        return StockParams(self.environment.default_params, *self.bounds)

    def reset_env(self, key: PRNGKeyArray, params: StockParams) -> tuple[StockObservation, StockState]:
        """Starts an episode of the environment with a fresh stock."""
        reset_key, stock_key = jax.random.split(key)
        observation, inner = self.environment.reset_env(reset_key, params.inner)
        low, high = (jnp.broadcast_to(jnp.float32(bound), self.stock_shape) for bound in (params.low, params.high))
        stock = jax.random.uniform(stock_key, self.stock_shape, jnp.float32, low, high)
        return StockObservation(observation, stock), StockState(inner, stock)

    def step_env(
        self, key: PRNGKeyArray, state: StockState, action: Any, params: StockParams
    ) -> tuple[StockObservation, StockState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step of the environment, after which its reward is in the stock."""
        observation, inner, reward, terminated, info = self.environment.step_env(key, state.inner, action, params.inner)
        paid = info["reward_vector"] if self.stock_shape else reward
        stock = stock_update(state.stock, paid, params.discount).astype(jnp.float32)
        return StockObservation(observation, stock), StockState(inner, stock), reward, terminated, info

    def is_truncated(self, state: StockState, params: StockParams) -> Bool[Array, ""]:
        """Whether the environment's time limit is reached."""
        return self.environment.is_truncated(state.inner, params.inner)

    def observation_space(self, params: StockParams) -> Any:
        """A `StockObservation` of spaces; the stock's is unbounded."""
        stock = spaces.native(spaces.Box(-jnp.inf, jnp.inf, self.stock_shape))
        return StockObservation(self.environment.observation_space(params.inner), stock)

    def action_space(self, params: StockParams) -> Any:
        """The environment's own."""
        return self.environment.action_space(params.inner)


def stock_update(
    stock: Float[Array, "..."], reward: Float[Array, "..."], discount: float | Float[Array, "..."]
) -> Float[Array, "..."]:
    """The next stock, `c' = (c + r) / gamma`: what was paid, in the unit of the next step's return.

    Args:
      stock: c, any shape.
      reward: r, of a shape that broadcasts with it.
      discount: gamma in (0, 1], per step.
    """
    return (stock + reward) / discount
