"""Spaces of observations, actions and descriptors: gymnax's attributes and methods without importing gymnax."""

import dataclasses
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Discrete:
    """The integers `0 .. n - 1`, as int32 scalars."""

    n: int

    shape: tuple[int, ...] = ()
    dtype: Any = jnp.int32

    def sample(self, key: PRNGKeyArray) -> Array:
        """One integer, uniformly."""
        return jax.random.randint(key, (), 0, self.n, dtype=self.dtype)

    def contains(self, x: Any) -> Array:
        """Whether `x` is one of the integers; a bool scalar."""
        return jnp.logical_and(jnp.asarray(x) >= 0, jnp.asarray(x) < self.n)


@dataclasses.dataclass(frozen=True)
class Box:
    """Arrays of one shape between bounds, both included; the bounds broadcast to the shape."""

    low: Any
    high: Any
    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    def sample(self, key: PRNGKeyArray) -> Array:
        """One array, uniformly; the bounds must be finite."""
        return jax.random.uniform(key, self.shape, self.dtype, self.low, self.high)

    def contains(self, x: Any) -> Array:
        """Whether every element of `x` is within the bounds; a bool scalar."""
        return jnp.logical_and(jnp.all(x >= self.low), jnp.all(x <= self.high))


Space = Discrete | Box


def native(space: Space) -> Any:
    """The space as gymnax's own class once gymnax is imported, itself before.

    gymnax's wrappers ask `isinstance(space, gymnax.environments.spaces.Box)`. Whoever uses them has imported gymnax;
    everybody else is spared its import (3 s and the plotting libraries). Both forms have the same attributes and
    methods.
    """
    gymnax_spaces = sys.modules.get("gymnax.environments.spaces")
    if gymnax_spaces is None:
        return space
    if isinstance(space, Discrete):
        return gymnax_spaces.Discrete(space.n)
    return gymnax_spaces.Box(space.low, space.high, space.shape, space.dtype)


def size_of(space: Any) -> int:
    """Elements of a point of a box, or choices of a discrete space: the width of a network's end."""
    return int(space.n) if hasattr(space, "n") else int(np.prod(space.shape))
