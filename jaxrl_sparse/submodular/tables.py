"""The tables that set functions are made of: turned into arrays of one type, refused where they cannot be meant."""

from math import inf

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from jaxrl_sparse.base import require


def as_floats(argument: str, table: ArrayLike, axes: str, least: float | int = -inf) -> Float[Array, "..."]:
    """A table of weights, float64 where 64-bit types are enabled and else float32.

    Args:
      argument: its name.
      table: the numbers; a tracer is not looked into.
      axes: names of the axes, "N M"; each has at least one row.
      least: the smallest number allowed.

    Raises:
      ValueError: naming the argument, if it has other axes, a number that is not finite or one below `least`.
    """
    made = jnp.asarray(table, jnp.result_type(float))
    _require_axes(argument, made, axes)
    if not isinstance(made, Tracer):
        numbers = np.asarray(made)
        require(argument, float(np.abs(numbers).max()), np.isfinite, "finite numbers")
        require(argument, float(numbers.min()), lambda lowest: lowest >= least, f"numbers of at least {least:g}")
    return made


def as_integers(argument: str, table: ArrayLike, axes: str, least: int, most: float | int = inf) -> Int[Array, "..."]:
    """A table of numbers of things, int32.

    Args:
      argument: its name.
      table: the numbers; a tracer is not looked into.
      axes: names of the axes, "N K"; each has at least one row.
      least: the smallest number allowed.
      most: the largest number allowed.

    Raises:
      ValueError: naming the argument, if it has other axes, a number that is no integer, or one out of range.
    """
    made = jnp.asarray(table)
    _require_axes(argument, made, axes)
    require(argument, made.dtype.name, lambda name: jnp.issubdtype(name, jnp.integer), "integers")
    if not isinstance(made, Tracer):
        # By numpy: inside jit even a known array's smallest number would be a tracer.
        numbers = np.asarray(made)
        for number in (int(numbers.min()), int(numbers.max())):
            require(argument, number, lambda n: least <= n <= most, f"integers from {least} to {most}")
    return made.astype(jnp.int32)


def _require_axes(argument: str, made: Array, axes: str) -> None:
    names = axes.split()
    require(
        argument,
        made.shape,
        lambda shape: len(shape) == len(names) and min(shape) >= 1,
        f"the shape [{', '.join(names)}]",
    )
