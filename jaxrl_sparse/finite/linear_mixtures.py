"""Linear mixture MDPs: known kernels, unknown weights; the setting of provable reward-free exploration.

    P(s' | s, a) = <phi(s' | s, a), theta>,   phi_V(s, a) = sum over s' of phi(s' | s, a) V(s'),
    [P V](s, a) = <phi_V(s, a), theta>,   ||phi_V(s, a)|| <= 1 for every V: S -> [0, 1],   ||theta|| <= B

One kernel serves all steps and every episode starts in one state.

Source: Zhou, Gu and Szepesvari, "Nearly Minimax Optimal Reinforcement Learning for Linear Mixture Markov Decision
Processes" (2021); Zhang, Zhou and Gu, "Reward-Free Model-Based Reinforcement Learning with Linear Function
Approximation" (2021).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import ArrayLike

from jaxrl_sparse.base import require
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.generators import random_rows, require_sizes
from jaxrl_sparse.finite.mdp import ROW_TOLERANCE, require_distributions

# Vertices of the box of value functions are enumerated up to this number of states.
MOST_ENUMERATED_STATES = 12
_PRECISE = jax.lax.Precision.HIGHEST


class LinearMixture(NamedTuple):
    """A linear mixture MDP without rewards, over S states, A actions and d features. Make it with `linear_mixture`.

    A pytree of arrays: stack it and vmap over it.

    Attributes:
      features: `[S, A, S, d]`, `phi(s' | s, a)`, the next state on the third axis.
      theta: `[d]`, the true weights.
      initial_state: int32, s_1.
      norm_bound: B, a bound of `||theta||` that a learner is told.
    """

    features: Float[Array, "S A S d"]
    theta: Float[Array, "d"]
    initial_state: Int[Array, ""]
    norm_bound: Float[Array, ""]

    @property
    def num_states(self) -> int:
        """S."""
        return self.features.shape[-4]

    @property
    def num_actions(self) -> int:
        """A."""
        return self.features.shape[-3]

    @property
    def dimension(self) -> int:
        """d."""
        return self.features.shape[-1]


class HardLinearMixture(NamedTuple):
    """An instance of a lower bound with what is best in it; see `hard_linear_mixture`.

    Attributes:
      mixture: 3 states, 2^(d-1) actions.
      rewards: `[H, 3, A]`.
      optimal_value: `V*_1(s_1)`.
      optimal_action: int32, the one that is best in the first step; no later action matters.
    """

    mixture: LinearMixture
    rewards: Float[Array, "H S A"]
    optimal_value: Float[Array, ""]
    optimal_action: Int[Array, ""]


def linear_mixture(
    features: ArrayLike,
    theta: ArrayLike,
    initial_state: int = 0,
    norm_bound: float | Array | None = None,
    *,
    dtype: Any = None,
) -> LinearMixture:
    """Makes a `LinearMixture`, and refuses one that is none.

    Args:
      features: `[S, A, S, d]`; signed ones are allowed. That `||phi_V|| <= 1` is checked exactly where none is negative
        or there are at most 12 states, and else by a bound that is never too small.
      theta: `[d]`.
      initial_state: s_1, from 0 to S - 1.
      norm_bound: B, at least `||theta||`; None for `||theta||` itself.
      dtype: of the floats; by default float64 where 64-bit types are enabled, else float32.

    Raises:
      ValueError: naming what is wrong with it: shapes, a row of probabilities with a negative number or another sum
        than one (which, and its sum), features that are too large, a bound that is too small.
    """
    dtype = jnp.result_type(float) if dtype is None else dtype
    table, weights = jnp.asarray(features, dtype), jnp.asarray(theta, dtype)
    require(
        "features",
        table.shape,
        lambda shape: len(shape) == 4 and min(shape) >= 1 and shape[0] == shape[2],
        "the shape [S, A, S, d]",
    )
    require("theta", weights.shape, lambda shape: shape == table.shape[3:], f"the shape {table.shape[3:]}")
    require("initial_state", initial_state, lambda s: 0 <= int(s) < table.shape[0], f"0 to {table.shape[0] - 1}")
    bound = jnp.linalg.norm(weights) if norm_bound is None else jnp.asarray(norm_bound, dtype)
    mixture = LinearMixture(table, weights, jnp.asarray(initial_state, jnp.int32), bound)
    if not any(isinstance(leaf, Tracer) for leaf in mixture):
        kernels, true = np.asarray(table, np.float64), np.asarray(weights, np.float64)
        rows = kernels @ true
        # A mixture of terms of either sign is exact to rounding only.
        rows = np.where((rows < 0) & (rows > -ROW_TOLERANCE), 0, rows)
        require_distributions("transition_probabilities", rows)
        largest = float(_largest_value_features(kernels).max())
        require(
            "features",
            largest,
            lambda norm: norm <= 1 + ROW_TOLERANCE,
            f"||phi_V|| of at most 1; divide features and multiply theta by {largest:.6g}",
        )
        norm = float(np.linalg.norm(true))
        require(
            "norm_bound", float(bound), lambda b: b >= norm * (1 - ROW_TOLERANCE), f"at least ||theta||, {norm:.6g}"
        )
    return mixture


def random_linear_mixture(
    key: PRNGKeyArray, num_states: int, num_actions: int, dimension: int, num_successors: int | None = None
) -> LinearMixture:
    """A mixture of d random kernels, with weights that are uniform in the simplex.

    Kernels divided by `sqrt(d)` make features, for which `||phi_V|| <= 1`; weights times `sqrt(d)` are theta, of which
    `||theta|| <= sqrt(d) = B`. Any theta that is `sqrt(d)` times a member of the simplex makes probabilities.

    Args:
      key: for everything.
      num_states: S, static. Episodes start in state 0.
      num_actions: A, static.
      dimension: d, static.
      num_successors: how many states an action may lead to in one kernel, a uniform subset; None for all. With fewer
        the kernels differ more.

    Raises:
      ValueError: if an argument is out of range.
    """
    require_sizes(num_states=num_states, num_actions=num_actions, dimension=dimension)
    kernel_key, weight_key = jax.random.split(key)
    kernels = random_rows(kernel_key, (num_states, num_actions, dimension), num_states, num_successors)
    scale = jnp.sqrt(jnp.asarray(dimension, kernels.dtype))
    weights = random_rows(weight_key, (), dimension)
    return LinearMixture(jnp.swapaxes(kernels, 2, 3) / scale, scale * weights, jnp.int32(0), scale)


def hard_linear_mixture(signs: Array, gap: float | Array, horizon: int) -> HardLinearMixture:
    """The family of the lower bound: one first action of many is best, by little, and its d - 1 signs must be learned.

    State 0 leads to state 2 with probability `1/6 + gap <signs, a>` and else to state 1, for actions a in
    `{-1, 1}^(d-1)`; states 1 and 2 are absorbing and each step in state 2 is paid `1/H`. Action n has the sign -1 where
    the binary digit of n is 0, the first sign the highest digit. Then

        V* = (1/6 + (d - 1) gap) (H - 1)/H,   with the action a = signs

    and in the lower bound `gap = sqrt((1/6)/K) / (4 sqrt(2))` for K episodes.

    Args:
      signs: `[d - 1]`, each -1 or 1.
      gap: Delta, with `0 <= (d - 1) gap <= 1/6`.
      horizon: H, static.

    Returns:
      The instance; its norm bound is `sqrt(12/11)` for all signs and gaps.

    Raises:
      ValueError: if an argument is out of range.

    Source: Zhang, Zhou and Gu (2021), lower bound; Zhou, Gu and Szepesvari (2021), section 5.
    """
    require_sizes(horizon=horizon)
    require("signs", signs, lambda s: s.ndim == 1 and s.size >= 1 and bool((np.abs(s) == 1).all()), "[d-1] of -1 and 1")
    count = signs.shape[0]
    require("gap", gap, lambda g: 0 <= count * float(g) <= 1 / 6 + 1e-9, f"0 to {1 / (6 * count):.6g}, 1/(6 (d-1))")
    dtype = jnp.result_type(float)
    digits = jnp.arange(2**count)[:, None] >> jnp.arange(count - 1, -1, -1)
    actions = 2 * (digits & 1).astype(dtype) - 1
    # The largest ||phi_V|| is 1: of a V that is one everywhere, and of one that is zero in state 2 alone.
    scale = jnp.sqrt(jnp.asarray(11 / 36 / count, dtype))
    first, rest = jnp.ones((len(actions), 1), dtype), scale * actions
    to_good = jnp.concatenate([first / 6, rest], axis=1)
    to_bad = jnp.concatenate([first * 5 / 6, -rest], axis=1)
    features = jnp.zeros((3, len(actions), 3, count + 1), dtype)
    features = features.at[0, :, 1].set(to_bad).at[0, :, 2].set(to_good).at[1, :, 1, 0].set(1).at[2, :, 2, 0].set(1)
    theta = jnp.concatenate([jnp.ones(1, dtype), gap * signs.astype(dtype) / scale])
    mixture = LinearMixture(features, theta, jnp.int32(0), jnp.sqrt(jnp.asarray(12 / 11, dtype)))
    rewards = jnp.zeros((horizon, 3, len(actions)), dtype).at[:, 2].set(1 / horizon)
    best = jnp.sum((signs > 0).astype(jnp.int32) << jnp.arange(count - 1, -1, -1), dtype=jnp.int32)
    return HardLinearMixture(
        mixture, rewards, (1 / 6 + count * jnp.asarray(gap, dtype)) * (horizon - 1) / horizon, best
    )


def transition_probabilities(mixture: LinearMixture) -> Float[Array, "S A S"]:
    """`P(s' | s, a) = <phi(s' | s, a), theta>`."""
    return jnp.matmul(mixture.features, mixture.theta, precision=_PRECISE)


def episodic_mixture(mixture: LinearMixture, rewards: Float[Array, "H S A"]) -> EpisodicMDP:
    """The episodic MDP of a mixture and rewards: the same kernel in all H layers.

    Args:
      mixture: of S states and A actions.
      rewards: `[H, S, A]`; in this setting the sum over any path is in [0, 1].
    """
    layer = jnp.maximum(transition_probabilities(mixture), 0)
    initial = jax.nn.one_hot(mixture.initial_state, mixture.num_states, dtype=layer.dtype)
    return EpisodicMDP(jnp.broadcast_to(layer, (rewards.shape[0], *layer.shape)), rewards, initial)


def value_features(features: Float[Array, "S A S d"], values: Float[Array, "*batch S"]) -> Float[Array, "*batch S A d"]:
    """`phi_V(s, a) = sum over s' of phi(s' | s, a) V(s')`, of one value function `[S]` or of many."""
    return jnp.einsum("sati,...t->...sai", features, values, precision=_PRECISE)


def _largest_value_features(features: np.ndarray) -> np.ndarray:
    """`max over V: S -> [0, 1] of ||phi_V(s, a)||`, `[S, A]`; it is convex in V, and so largest at a corner of the box.

    Without negative features it is that of V = 1. With many states it is bounded coordinate by coordinate.
    """
    num_states = features.shape[0]
    if (features >= 0).all():
        return np.linalg.norm(features.sum(2), axis=-1)
    if num_states <= MOST_ENUMERATED_STATES:
        corners = (np.arange(2**num_states)[:, None] >> np.arange(num_states)) & 1
        return np.max([np.linalg.norm(np.einsum("sati,t->sai", features, v), axis=-1) for v in corners], axis=0)
    return np.linalg.norm(np.maximum(np.maximum(features, 0).sum(2), np.maximum(-features, 0).sum(2)), axis=-1)
