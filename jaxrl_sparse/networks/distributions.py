"""Distributions over actions, for policies: heads from features to distrax distributions.

What is drawn, stored and asked for its probability is a *raw* action: an index, or a real number before any bound. The
environment is given `to_action(raw)`. So a bounded action has no probability that is NaN at its bound, and a ratio of
two policies needs no Jacobian: that of the bound is the same for both.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import PyTree, require, require_known
from jaxrl_sparse.networks.feedforward import scaled_normal

BOUNDS = ("tanh", "clip")


class PolicyHead(NamedTuple):
    """A family of distributions over actions, as three pure functions.

    Attributes:
      init: `init(key, features [B, F]) -> params`; of the features only the shape counts.
      distribution: `distribution(params, features [..., F])`, a distrax distribution of raw actions, batch shape
        `[...]`: it has `sample(seed=key)`, `log_prob(raw)`, `entropy()` and `mode()`.
      to_action: from raw actions `[..., *action]` to those of the environment.
    """

    init: Callable[[PRNGKeyArray, Array], PyTree]
    distribution: Callable[[PyTree, Array], Any]
    to_action: Callable[[Array], Array]


def policy_head(action_space: Any, bound: str = "tanh", initial_log_std: float | Array = 0.0) -> PolicyHead:
    """The head that fits a space of actions: `categorical_head` for n actions, `gaussian_head` for a box.

    Args:
      action_space: with `n`, or with `low`, `high` and `shape`.
      bound: of a Gaussian.
      initial_log_std: of a Gaussian.

    Raises:
      ValueError: if the space is neither; as the two heads.
    """
    if hasattr(action_space, "n"):
        return categorical_head(int(action_space.n))
    takes = "discrete actions, or a box of them"
    require("action_space", action_space, lambda space: hasattr(space, "low") and hasattr(space, "high"), takes)
    return gaussian_head(action_space, bound, initial_log_std)


def categorical_head(num_actions: int, final_scale: float = 0.01) -> PolicyHead:
    """Action i with probability `softmax(W x + b)_i`.

    Args:
      num_actions: at least 1.
      final_scale: of the first weights: near 0, all actions are equally likely at first.
    """
    require("num_actions", num_actions, lambda number: number >= 1, "an integer of at least 1")
    layer = nn.Dense(num_actions, kernel_init=scaled_normal(final_scale))

    def distribution(params: PyTree, features: Float[Array, "... F"]) -> Any:
        return categorical_of(_apply(layer, params, features))

    return PolicyHead(layer.init, distribution, lambda raw: raw)


def categorical_of(logits: Float[Array, "... A"]) -> Any:
    """distrax's categorical distribution, which normalises its logits once.

    distrax's own normalises them again for the entropy, and asks of every draw whether all probabilities are finite:
    for a policy of a few actions that takes longer than its last layer.
    """
    return _categorical_class()(logits=logits)


@functools.cache
def _categorical_class() -> Any:
    """One class for all: a distribution is a pytree, and two of different classes are different trees."""
    # Imported here: it takes as long as the rest of the library.
    import distrax

    class Categorical(distrax.Categorical):
        """With log probabilities in place of logits."""

        def _sample_n(self, key: PRNGKeyArray, n: int) -> Array:
            return jax.random.categorical(key, self.logits, shape=(n, *self.logits.shape[:-1]))

        def entropy(self) -> Array:
            probs = jnp.exp(self.logits)
            # What cannot happen adds nothing, and has no gradient that is NaN.
            return -jnp.sum(probs * jnp.where(probs > 0, self.logits, 0.0), axis=-1)

    return Categorical


def gaussian_head(
    action_space: Any, bound: str = "tanh", initial_log_std: float | Array = 0.0, final_scale: float = 0.01
) -> PolicyHead:
    """Independent Gaussians `N(W x + b, diag(sigma^2))` of raw actions, sigma a parameter and no function of the state.

    Raw actions u become actions of the box [l, h]: `l + (h - l) (tanh u + 1) / 2` with the bound "tanh", and
    `min(max(m + u (h - l) / 2, l), h)` with "clip", m the middle. The distribution's entropy and mode are those of u.

    Args:
      action_space: a box with finite bounds, of one axis or none.
      bound: "tanh" or "clip".
      initial_log_std: the first log sigma, of u.
      final_scale: of the first weights: near 0, means are in the middle of the box at first.

    Raises:
      ValueError: if the bound is unknown, or if the space is discrete or unbounded.
    """
    require_known("bound", bound, BOUNDS, BOUNDS)
    takes = "a box: a Gaussian has no discrete actions; use categorical_head"
    require("action_space", action_space, lambda space: hasattr(space, "low"), takes)
    shape = tuple(action_space.shape)
    require("action_space", shape, lambda s: len(s) <= 1, "actions of one axis or none")
    low, high = np.broadcast_to(action_space.low, shape), np.broadcast_to(action_space.high, shape)
    takes = "finite bounds; clip or squash what has none"
    require("action_space", (low, high), lambda ends: np.isfinite(ends).all() and (ends[0] < ends[1]).all(), takes)
    middle, half = jnp.asarray((low + high) / 2, jnp.float32), jnp.asarray((high - low) / 2, jnp.float32)
    num_components = int(np.prod(shape))
    layer = nn.Dense(num_components, kernel_init=scaled_normal(final_scale))

    def init(key: PRNGKeyArray, features: Float[Array, "B F"]) -> PyTree:
        return {"mean": layer.init(key, features), "log_std": jnp.full(num_components, initial_log_std)}

    def distribution(params: PyTree, features: Float[Array, "... F"]) -> Any:
        import distrax

        means = _apply(layer, params["mean"], features)
        return distrax.MultivariateNormalDiag(means, jnp.broadcast_to(jnp.exp(params["log_std"]), means.shape))

    def to_action(raw: Array) -> Array:
        raw = raw.reshape(*raw.shape[:-1], *shape)
        return middle + half * (jnp.tanh(raw) if bound == "tanh" else jnp.clip(raw, -1.0, 1.0))

    return PolicyHead(init, distribution, to_action)


def _apply(layer: nn.Dense, params: PyTree, features: Float[Array, "... F"]) -> Float[Array, "... out"]:
    return layer.apply(params, features)  # pyright: ignore[reportReturnType]
