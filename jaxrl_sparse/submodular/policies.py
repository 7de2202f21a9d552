"""Policies of SubPO: of the state alone, or of all states of the episode so far."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import PyTree, require
from jaxrl_sparse.networks.distributions import PolicyHead
from jaxrl_sparse.networks.feedforward import ACTIVATIONS, feedforward, scaled_normal


class EpisodePolicy(NamedTuple):
    """A policy of episodes that all start at the first step of a trajectory, as pure functions.

    Attributes:
      init: `init(key, features [B, F]) -> params`.
      start: `start(num_trajectories) -> memory`, before the first state.
      step: `step(params, memory, features [B, F]) -> (distribution [B], memory)`.
      unroll: `unroll(params, features [T, B, F]) -> distribution [T, B]`, the same all at once.
      to_action: from what the distribution draws to the environment's actions.
    """

    init: Callable[[PRNGKeyArray, Array], PyTree]
    start: Callable[[int], PyTree]
    step: Callable[[PyTree, PyTree, Array], tuple[Any, PyTree]]
    unroll: Callable[[PyTree, Array], Any]
    to_action: Callable[[Array], Array]


def markov_policy(
    head: PolicyHead, hidden_sizes: tuple[int, ...] = (64, 32), activation: str = "tanh"
) -> EpisodePolicy:
    """pi(a | s): SubPO-M, and with the time among the features pi^h(a | s).

    Args:
      head: the family of distributions.
      hidden_sizes: of the perceptron before it.
      activation: of its layers.
    """
    torso = feedforward(hidden_sizes, activation=activation)

    def init(key: PRNGKeyArray, features: Float[Array, "B F"]) -> PyTree:
        torso_key, head_key = jax.random.split(key)
        params = torso.init(torso_key, features)
        return {"torso": params, "head": head.init(head_key, torso.apply(params, features))}

    def policy(params: PyTree, features: Array) -> Any:
        rows = torso.apply(params["torso"], features.reshape(-1, features.shape[-1]))
        return head.distribution(params["head"], rows.reshape(*features.shape[:-1], -1))

    def step(params: PyTree, memory: PyTree, features: Float[Array, "B F"]) -> tuple[Any, PyTree]:
        return policy(params, features), memory

    return EpisodePolicy(init, lambda num_trajectories: (), step, policy, head.to_action)


def history_policy(
    head: PolicyHead, horizon: int, hidden_sizes: tuple[int, ...] = (64, 32), activation: str = "tanh"
) -> EpisodePolicy:
    """pi(a | s_0, ..., s_h): SubPO-NM.

    The first layer is linear in all states, those to come being zero, so that it needs no history but a sum:

        z_h = b + sum_{k <= h} W_k x_k,    one matrix W_k for each place in the episode

    Args:
      head: the family of distributions.
      horizon: the most states of an episode from which it acts.
      hidden_sizes: of the perceptron; its first layer is the one above.
      activation: of its layers.

    Raises:
      ValueError: if there is no hidden layer.

    Source: the published code, which pads the states to come with -1; here they are 0.
    """
    require("hidden_sizes", hidden_sizes, lambda sizes: len(sizes) >= 1, "at least one layer, which holds the history")
    width, activate = hidden_sizes[0], ACTIVATIONS[activation]
    rest = markov_policy(head, hidden_sizes[1:], activation) if len(hidden_sizes) > 1 else None

    def init(key: PRNGKeyArray, features: Float[Array, "B F"]) -> PyTree:
        first_key, rest_key = jax.random.split(key)
        # As many inputs as the whole history has.
        weights = scaled_normal(1.0)(first_key, (horizon * features.shape[-1], width))
        params = {"places": weights.reshape(horizon, features.shape[-1], width), "bias": jnp.zeros(width)}
        hidden = jnp.zeros((features.shape[0], width))
        return {**params, "rest": head.init(rest_key, hidden) if rest is None else rest.init(rest_key, hidden)}

    def read(params: PyTree, summed: Array) -> Any:
        hidden = activate(summed + params["bias"])
        return head.distribution(params["rest"], hidden) if rest is None else rest.unroll(params["rest"], hidden)

    def start(num_trajectories: int) -> PyTree:
        return jnp.zeros((num_trajectories, width)), jnp.zeros(num_trajectories, jnp.int32)

    def step(params: PyTree, memory: PyTree, features: Float[Array, "B F"]) -> tuple[Any, PyTree]:
        summed, place = memory
        # All rows are at the same place of their episodes.
        summed = summed + features @ params["places"][place[0]]
        return read(params, summed), (summed, place + 1)

    def unroll(params: PyTree, features: Float[Array, "T B F"]) -> Any:
        parts = jnp.einsum("tbf,tfw->tbw", features, params["places"][: features.shape[0]])
        return read(params, jnp.cumsum(parts, axis=0))

    return EpisodePolicy(init, start, step, unroll, head.to_action)
