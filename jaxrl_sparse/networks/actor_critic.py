"""Networks of a policy and of its values: feed-forward, or with a memory of the episode."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require
from jaxrl_sparse.networks.distributions import PolicyHead
from jaxrl_sparse.networks.feedforward import Network
from jaxrl_sparse.numerics.masked_selection import where_rows


class ActorCritic(NamedTuple):
    """A policy and K values of a state, one for each stream of rewards, as four pure functions.

    Distributions are distrax's, of raw actions (see `distributions`); memories are zero where an episode starts.

    Attributes:
      init: `init(key, observations [B, ...]) -> params`.
      start: `start(num_environments) -> memory`, leaves `[B, ...]`, zeros; `()` of a feed-forward network.
      step: `step(params, memory, observations [B, ...]) -> (distribution [B], values [B, K], memory)`.
      unroll: `unroll(params, memory, observations [T, B, ...], dones [T, B]) -> (distribution, values [T, B, K])` from
        the memory before the first step; the memory starts anew after a step that is done.
      following: `following(params, memory, observations, next_observations, dones) -> values [T, B, K]` of what
        followed each step before any reset, with the memory of its own episode.
      to_action: from raw actions to those of the environment.
    """

    init: Callable[[PRNGKeyArray, PyTree], PyTree]
    start: Callable[[int], PyTree]
    step: Callable[[PyTree, PyTree, PyTree], tuple[Any, Array, PyTree]]
    unroll: Callable[[PyTree, PyTree, PyTree, Array], tuple[Any, Array]]
    following: Callable[[PyTree, PyTree, PyTree, PyTree, Array], Array]
    to_action: Callable[[Array], Array]


def feedforward_actor_critic(actor: Network, critic: Network, head: PolicyHead, num_values: int = 1) -> ActorCritic:
    """Two towers that share nothing: `head(actor(o))` and `W critic(o) + b`.

    Args:
      actor: from observations to features `[B, F]`.
      critic: alike.
      head: the family of the policy.
      num_values: K, at least 1.

    Raises:
      ValueError: if K is below 1.
    """
    require("num_values", num_values, is_count, "an integer of at least 1")
    end = nn.Dense(num_values)

    def init(key: PRNGKeyArray, observations: PyTree) -> PyTree:
        actor_key, head_key, critic_key, end_key = jax.random.split(key, 4)
        towers = {"actor": actor.init(actor_key, observations), "critic": critic.init(critic_key, observations)}
        return {
            **towers,
            "head": head.init(head_key, actor.apply(towers["actor"], observations)),
            "values": end.init(end_key, critic.apply(towers["critic"], observations)),
        }

    def values_of(params: PyTree, observations: PyTree) -> Float[Array, "N K"]:
        return end.apply(params["values"], critic.apply(params["critic"], observations))  # pyright: ignore[reportReturnType]

    def policy_of(params: PyTree, observations: PyTree) -> Any:
        return head.distribution(params["head"], actor.apply(params["actor"], observations))

    def step(params: PyTree, memory: PyTree, observations: PyTree) -> tuple[Any, Float[Array, "B K"], PyTree]:
        return policy_of(params, observations), values_of(params, observations), memory

    def unroll(
        params: PyTree, memory: PyTree, observations: PyTree, dones: Bool[Array, "T B"]
    ) -> tuple[Any, Float[Array, "T B K"]]:
        del memory
        rows, shape = _rows(observations), dones.shape
        features = actor.apply(params["actor"], rows).reshape(*shape, -1)
        return head.distribution(params["head"], features), values_of(params, rows).reshape(*shape, num_values)

    def following(
        params: PyTree, memory: PyTree, observations: PyTree, next_observations: PyTree, dones: Bool[Array, "T B"]
    ) -> Float[Array, "T B K"]:
        del memory, observations
        return values_of(params, _rows(next_observations)).reshape(*dones.shape, num_values)

    return ActorCritic(init, lambda num_environments: (), step, unroll, following, head.to_action)


def recurrent_actor_critic(
    encoder: Network, head: PolicyHead, num_values: int = 1, memory_size: int = 64, num_layers: int = 1
) -> ActorCritic:
    """A gated recurrent unit that policy and values share: `h_t = GRU(h_{t-1}, encoder(o_t))`, both read `h_t`.

    Args:
      encoder: from observations to features `[B, F]`.
      head: the family of the policy.
      num_values: K, at least 1.
      memory_size: width of each layer's memory.
      num_layers: of gated units, one above the other.

    Raises:
      ValueError: if a number is below 1.

    Source: Cho et al. (2014) for the unit.
    """
    for name, number in (("num_values", num_values), ("memory_size", memory_size), ("num_layers", num_layers)):
        require(name, number, is_count, "an integer of at least 1")
    cell, end = nn.GRUCell(memory_size), nn.Dense(num_values)

    def start(num_environments: int) -> PyTree:
        return jnp.zeros((num_environments, num_layers, memory_size))

    def init(key: PRNGKeyArray, observations: PyTree) -> PyTree:
        encoder_key, head_key, end_key, *cell_keys = jax.random.split(key, 3 + num_layers)
        encoded = {"encoder": encoder.init(encoder_key, observations)}
        features = encoder.apply(encoded["encoder"], observations)
        cells = []
        for cell_key in cell_keys:
            memory = jnp.zeros((features.shape[0], memory_size))
            cells.append(cell.init(cell_key, memory, features))
            features = memory
        return {
            **encoded,
            "cells": tuple(cells),
            "head": head.init(head_key, features),
            "values": end.init(end_key, features),
        }

    def remember(params: PyTree, memory: Array, encoded: Array) -> Array:
        layers, features = [], encoded
        for i, cell_params in enumerate(params["cells"]):
            features, _ = cell.apply(cell_params, memory[:, i], features)
            layers.append(features)
        return jnp.stack(layers, axis=1)

    def memories(params: PyTree, memory: Array, observations: PyTree, dones: Bool[Array, "T B"]) -> Array:
        """The memories `[T, B, L, H]` after each observation."""
        encoded = encoder.apply(params["encoder"], _rows(observations)).reshape(*dones.shape, -1)

        def one(memory, inputs):
            encoded, done = inputs
            memory = remember(params, memory, encoded)
            return where_rows(done, jnp.zeros_like(memory), memory), memory

        return jax.lax.scan(one, memory, (encoded, dones))[1]

    def read(params: PyTree, memory: Array) -> tuple[Any, Array]:
        top = memory[..., -1, :]
        return head.distribution(params["head"], top), end.apply(params["values"], top)  # pyright: ignore[reportReturnType]

    def step(params: PyTree, memory: PyTree, observations: PyTree) -> tuple[Any, Float[Array, "B K"], PyTree]:
        memory = remember(params, memory, encoder.apply(params["encoder"], observations))
        return *read(params, memory), memory

    def unroll(
        params: PyTree, memory: PyTree, observations: PyTree, dones: Bool[Array, "T B"]
    ) -> tuple[Any, Float[Array, "T B K"]]:
        return read(params, memories(params, memory, observations, dones))

    def following(
        params: PyTree, memory: PyTree, observations: PyTree, next_observations: PyTree, dones: Bool[Array, "T B"]
    ) -> Float[Array, "T B K"]:
        reached = memories(params, memory, observations, dones)
        encoded = encoder.apply(params["encoder"], _rows(next_observations))
        rows = remember(params, reached.reshape(-1, num_layers, memory_size), encoded)
        return read(params, rows.reshape(reached.shape))[1]

    return ActorCritic(init, start, step, unroll, following, head.to_action)


def observing(network: ActorCritic, view: Callable[[PyTree], PyTree]) -> ActorCritic:
    """The same network, which is shown `view(observations)`.

    Args:
      network: to be shown something else.
      view: of observations with any leading axes, such as `standardize` with the moments so far.
    """

    def step(params: PyTree, memory: PyTree, observations: PyTree) -> tuple[Any, Array, PyTree]:
        return network.step(params, memory, view(observations))

    def unroll(params: PyTree, memory: PyTree, observations: PyTree, dones: Array) -> tuple[Any, Array]:
        return network.unroll(params, memory, view(observations), dones)

    def following(params: PyTree, memory: PyTree, observations: PyTree, next_observations: PyTree, dones: Array):
        return network.following(params, memory, view(observations), view(next_observations), dones)

    def init(key: PRNGKeyArray, observations: PyTree) -> PyTree:
        return network.init(key, view(observations))

    return network._replace(init=init, step=step, unroll=unroll, following=following)


def of_vector(network: ActorCritic, unravel: Callable[[Array], PyTree]) -> ActorCritic:
    """The same network, whose parameters are one vector.

    Args:
      network: with parameters of any structure.
      unravel: from the vector to them, as `jax.flatten_util.ravel_pytree` makes it.
    """

    def step(vector: Array, memory: PyTree, observations: PyTree) -> tuple[Any, Array, PyTree]:
        return network.step(unravel(vector), memory, observations)

    def unroll(vector: Array, memory: PyTree, observations: PyTree, dones: Array) -> tuple[Any, Array]:
        return network.unroll(unravel(vector), memory, observations, dones)

    def following(
        vector: Array, memory: PyTree, observations: PyTree, next_observations: PyTree, dones: Array
    ) -> Array:
        return network.following(unravel(vector), memory, observations, next_observations, dones)

    return network._replace(step=step, unroll=unroll, following=following)


def _rows(observations: PyTree) -> PyTree:
    """`[T, B, ...]` as `[T B, ...]`."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), observations)
