"""Descriptors of the whole path of an episode: positions at several times, and path signatures, by name.

Source: the chapter on signatures of Paolo's thesis, "Learning in Sparse Rewards Settings through Quality-Diversity
Algorithms" (2021), in the authors' published code.
"""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.environments.rollouts import Transition
from jaxrl_sparse.numerics.signatures import (
    MAX_DEPTH,
    flatten_levels,
    lyndon_coordinates,
    signature_init,
    signature_update,
    tensor_log,
)
from jaxrl_sparse.quality_diversity.problems import PathDescriptor

NAMES = "final, samples-N, signature-N, time-signature-N, log-signature-N or time-log-signature-N, such as signature-2"


class SampleCarry(NamedTuple):
    """`samples[B, N, 2]`, and the steps that they are taken after, `[N]`."""

    samples: Float[Array, "B N 2"]
    last_steps: Int[Array, "N"]


class SignatureCarry(NamedTuple):
    """Signature levels so far, `[B, d^n]` each, the positions that they end at, and 1 over the most steps."""

    levels: Any
    positions: Float[Array, "B 2"]
    time_step: Float[Array, ""]


def path_descriptor(name: str) -> PathDescriptor | None:
    """A descriptor by its name.

    `final` (None: the last position), `samples-5`, `signature-2`, `time-signature-5`, `log-signature-3`,
    `time-log-signature-2`.

    Raises:
      ValueError: if there is none of that name, or its number is out of range.
    """
    if name == "final":
        return None
    match = re.fullmatch(r"(samples|(time-)?(log-)?signature)-(\d+)", str(name))
    require("descriptor", name, lambda _: match is not None, NAMES)
    assert match is not None
    number = int(match[4])
    if match[1] == "samples":
        return sampled_positions(number)
    return signature_descriptor(number, time_augmented=bool(match[2]), logarithm=bool(match[3]))


def sampled_positions(num_samples: int) -> PathDescriptor:
    """N positions of the path, after the steps `ceil(i (T - 1) / N)`, i = 1 .. N, counted from 0; `[2 N]` numbers.

    T is the most steps of an episode; one that ends earlier stays at its last position. `sampled_positions(1)` is the
    last position. These are the steps of the published images. The published positions are those after the steps
    `floor(i (n - 1) / N)` of the n that an episode has had, which its end alone tells: in episodes of T steps they are
    at most one step apart from these.

    Args:
      num_samples: N, at least 1.

    Raises:
      ValueError: if `num_samples` is below 1.
    """
    require("num_samples", num_samples, is_count, "an integer of at least 1")

    def init(positions: Float[Array, "B 2"], time_limit: Int[Array, ""]) -> SampleCarry:
        numbers = jnp.arange(1, num_samples + 1, dtype=jnp.int32)
        samples = jnp.broadcast_to(positions[:, None], (positions.shape[0], num_samples, 2))
        return SampleCarry(samples, -(-numbers * (time_limit - 1) // num_samples))

    def update(carry: SampleCarry, positions: Float[Array, "B 2"], transition: Transition) -> SampleCarry:
        following = transition.active[:, None] & (transition.time <= carry.last_steps)
        return carry._replace(samples=jnp.where(following[..., None], positions[:, None], carry.samples))

    def describe(carry: SampleCarry) -> Float[Array, "B D"]:
        return carry.samples.reshape(carry.samples.shape[0], -1)

    return PathDescriptor(2 * num_samples, init, update, describe)


def signature_descriptor(
    depth: int,
    time_augmented: bool = False,
    logarithm: bool = False,
    level_scaling: str = "none",
) -> PathDescriptor:
    """The signature of the path up to a depth, or its logarithm in the basis of Lyndon words.

    The path is piecewise linear through x_0, ..., x_n, for an episode of n steps. With time, the third channel is
    t / T, where T is the most steps of an episode: the pace then counts, which signatures do not see.

    Args:
      depth: from 1 to 5.
      time_augmented: whether time is a channel.
      logarithm: whether to take the log-signature, which has fewer numbers and the same information.
      level_scaling: "none", as published, or "factorial", level n times n!: see `numerics.signatures.flatten_levels`.

    Raises:
      ValueError: if `depth` or `level_scaling` is none of those.
    """
    require("depth", depth, lambda number: is_count(number) and number <= MAX_DEPTH, f"1 to {MAX_DEPTH}")
    require("level_scaling", level_scaling, ("none", "factorial").__contains__, "none or factorial")
    dimension = 3 if time_augmented else 2

    def flatten(levels: Any) -> Float[Array, "D"]:
        if logarithm:
            return lyndon_coordinates(tensor_log(levels), level_scaling)
        return flatten_levels(levels, level_scaling)

    def init(positions: Float[Array, "B 2"], time_limit: Int[Array, ""]) -> SignatureCarry:
        levels = tuple(
            jnp.zeros((positions.shape[0], *level.shape), jnp.float32) for level in signature_init(dimension, depth)
        )
        return SignatureCarry(levels, positions, 1.0 / time_limit.astype(jnp.float32))

    def update(carry: SignatureCarry, positions: Float[Array, "B 2"], transition: Transition) -> SignatureCarry:
        increments = positions - carry.positions
        if time_augmented:
            steps = jnp.broadcast_to(carry.time_step, (positions.shape[0], 1))
            increments = jnp.concatenate([increments, steps], axis=-1)
        # A path that stands still keeps its signature: rows whose episode has ended.
        increments = jnp.where(transition.active[:, None], increments, 0.0)
        return SignatureCarry(jax.vmap(signature_update)(carry.levels, increments), positions, carry.time_step)

    def describe(carry: SignatureCarry) -> Float[Array, "B D"]:
        return jax.vmap(flatten)(carry.levels)

    size = jax.eval_shape(flatten, signature_init(dimension, depth)).shape[0]
    return PathDescriptor(size, init, update, describe)
