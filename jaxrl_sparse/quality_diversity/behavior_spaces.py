"""Behaviour spaces that a search learns while it goes: the slot that TAXONS and STAX fill."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrl_sparse.base import Metrics
from jaxrl_sparse.numerics.predicates import anywhere
from jaxrl_sparse.quality_diversity.problems import Evaluation


class BehaviorSpace(NamedTuple):
    """Descriptors and surprises of evaluations, made from what their images show.

    Attributes:
      init: `init(key) -> state`, a pytree of arrays.
      describe: `describe(state, evaluation, mask[B]) -> evaluation`, with descriptors `[B, D]` and surprises `[B]` put
        in; rows that the mask leaves out may hold anything, also afterwards.
      learn: `learn(key, state, render_states[N, F, S], mask[N]) -> (state, metrics)`.
      is_due: `is_due(chunks) -> bool`, whether to learn after that many chunks of exploration; all searches of a sweep
        explore alike, or pay for one another's learning.
    """

    init: Callable[[PRNGKeyArray], Any]
    describe: Callable[[Any, Evaluation, Bool[Array, "B"]], Evaluation]
    learn: Callable[[PRNGKeyArray, Any, Float[Array, "N F S"], Bool[Array, "N"]], tuple[Any, Metrics]]
    is_due: Callable[[Array], Array]


class Stored(NamedTuple):
    """Evaluations that a search keeps, leaves `[N, ...]`, and which of the rows hold one."""

    evaluation: Evaluation
    mask: Bool[Array, "N"]


def described(space: BehaviorSpace, state: Any, stored: list[Stored]) -> list[Evaluation]:
    """Describes all that a search keeps anew, in one pass."""
    everything = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *stored)
    evaluation = space.describe(state, *everything)
    ends, start = [], 0
    for part in stored:
        stop = start + part.mask.shape[0]
        ends.append(jax.tree.map(lambda leaf, a=start, b=stop: leaf[a:b], evaluation))
        start = stop
    return ends


def learn_from(
    space: BehaviorSpace, key: PRNGKeyArray, state: Any, stored: list[Stored], num_seen: int
) -> tuple[Any, list[Evaluation], Metrics]:
    """Learns from some of what a search keeps, and describes all of it anew.

    Args:
      space: that learns.
      key: of the learning.
      state: of the space.
      stored: all that the search keeps.
      num_seen: how many of these parts, the first ones, are learned from.

    Returns:
      The new state of the space, the evaluations of all parts, and the metrics of the learning.
    """
    seen = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *stored[:num_seen])
    state, metrics = space.learn(key, state, seen.evaluation.render_states, seen.mask)
    return state, described(space, state, stored), metrics


def learn_where_due(
    is_due: Bool[Array, ""], learn: Callable[[Any], tuple[Any, Metrics]], state: Any
) -> tuple[Any, Metrics]:
    """Learns where it is due: when it is for one seed of a sweep all pass through it, and only that one changes.

    Args:
      is_due: whether to learn.
      learn: `learn(state) -> (state, metrics)`.
      state: of the search.

    Returns:
      The new state and the metrics, which are 0 where nothing was learned.
    """
    spec = jax.eval_shape(learn, state)[1]
    unchanged = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), spec)
    learned = jax.lax.cond(anywhere(is_due), learn, lambda state: (state, unchanged), state)
    return jax.tree.map(partial(jnp.where, is_due), learned, (state, unchanged))


def is_triangular(number: Array) -> Bool[Array, ""]:
    """Whether a count is 1, 3, 6, 10, ...: 8 n + 1 is then an odd square.

    The published schedule trains after one chunk, then after two more, then after three more.
    """
    root = jnp.sqrt(8.0 * number + 1.0)
    nearest = jnp.round(root).astype(jnp.int32)
    return (nearest * nearest == 8 * number + 1) & (number > 0)
