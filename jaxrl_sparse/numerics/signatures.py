"""Path signatures: what a path did in which order, as the coefficients of its iterated integrals.

The signature of a piecewise linear path is the tensor product of those of its segments, `exp(D_t) = (1, D_t,
D_t (x) D_t / 2!, ...)` with the increments D_t (Chen's identity). Two levels say where the path went, `S1 = sum_t D_t`,
and which area it enclosed; it does not change when the path is moved or passed through at another pace.

A signature is kept as `levels`, a tuple: level k is a tensor of shape `[d] * k`, flat and row-major, `[d^k]`; level 0,
the constant 1, is left out. `signature_update` extends them by one increment, so that a rollout carries them and no
path is stored. All functions are those of one path; vmap them over many.

Source: Chen, "Iterated Path Integrals" (1977); Chevyrev and Kormilitzin, "A Primer on the Signature Method in Machine
Learning" (2016).
"""

from itertools import product
from math import factorial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxrl_sparse.base import is_count, require

MAX_DEPTH = 5

Levels = tuple[Float[Array, "_"], ...]


def signature(path: Float[Array, "T d"], depth: int, level_scaling: str = "none") -> Float[Array, "signature_size"]:
    """The signature of a whole path, `d + d^2 + ... + d^depth` numbers, level after level.

    Args:
      path: T points, at least one, of dimension d; straight lines join them.
      depth: static, from 1 to 5; the number of levels.
      level_scaling: see `flatten_levels`.

    Returns:
      Level k has the unit of the path to the k-th power.

    Raises:
      ValueError: if the path has no point or no dimension, or an argument is none of those above.
    """
    return flatten_levels(_levels_of(path, depth), level_scaling)


def log_signature(
    path: Float[Array, "T d"], depth: int, level_scaling: str = "none"
) -> Float[Array, "log_signature_size"]:
    """The logarithm of the signature, without what is redundant in it: its coefficients at the Lyndon words.

    The tensor logarithm of a signature is a Lie series, which its coefficients at the Lyndon words determine (a word is
    a Lyndon word if it comes before all its proper suffixes in the dictionary): this is the basis of words, not that of
    the Lyndon brackets, from which it differs, above level 2, by a triangular change with ones on the diagonal. They
    are `sum_k W(d, k)` numbers with Witt's `W`: 3 for d = 2 and depth 2, 6 for d = 3 and depth 2, 14 for d = 2 and
    depth 5. Depth 2 is the displacement and the areas `(S2_ij - S2_ji) / 2`, i < j, signed.

    Args:
      path: T points, at least one, of dimension d; straight lines join them.
      depth: static, from 1 to 5.
      level_scaling: see `flatten_levels`.

    Returns:
      Level after level, the words of a level as in a dictionary.

    Raises:
      ValueError: see `signature`.
    """
    return lyndon_coordinates(tensor_log(_levels_of(path, depth)), level_scaling)


def time_augmented(path: Float[Array, "T d"], duration: float | Float[Array, ""]) -> Float[Array, "T d_and_time"]:
    """Appends time as a last channel, `linspace(0, duration, T)`: the pace and the order of waiting then count.

    Args:
      path: T points.
      duration: how long the path took, as a share of the longest that there may be, in [0, 1].
    """
    times = duration * jnp.linspace(0.0, 1.0, path.shape[0], dtype=path.dtype)
    return jnp.concatenate([path, times[:, None].astype(path.dtype)], axis=1)


def signature_init(dimension: int, depth: int, dtype: DTypeLike = jnp.float32) -> Levels:
    """The levels of a path that has not moved: all zero.

    Args:
      dimension: d, static, at least 1.
      depth: static, from 1 to 5.
      dtype: static; that of the increments to come.

    Raises:
      ValueError: if an argument is none of those above.
    """
    require("dimension", dimension, is_count, "an integer of at least 1")
    require(
        "depth", depth, lambda number: is_count(number) and number <= MAX_DEPTH, f"an integer from 1 to {MAX_DEPTH}"
    )
    return tuple(jnp.zeros(dimension**level, dtype) for level in range(1, depth + 1))


def signature_update(levels: Levels, increment: Float[Array, "d"]) -> Levels:
    """Extends a path by a straight line: `S (x) exp(D)`.

    By Horner's rule, level n is `S_n + (S_{n-1} + ... (S_2 + (S_1 + D/n) (x) D/(n-1)) (x) ... ) (x) D`: one product a
    level in place of n.

    Args:
      levels: of the path so far.
      increment: D, the next point minus the last one.
    """
    extended = []
    for level in range(1, len(levels) + 1):
        total = increment / level
        for below in range(1, level):
            total = _outer(levels[below - 1] + total, increment / (level - below))
        extended.append(levels[level - 1] + total)
    return tuple(extended)


def signature_product(first: Levels, second: Levels) -> Levels:
    """The levels of a path followed by another: Chen's identity, `sum_k first_k (x) second_{n-k}` at level n.

    Args:
      first: levels of the first path.
      second: of the second, as many; it need not begin where the first ends.
    """
    return tuple(
        first[level] + second[level] + sum(_outer(first[k], second[level - 1 - k]) for k in range(level))
        for level in range(len(first))
    )


def tensor_log(levels: Levels) -> Levels:
    """`log(1 + x) = x - x^2 / 2 + x^3 / 3 - ...`, with x the levels; powers beyond the depth are zero."""
    # Horner's rule: x - x (x/2 - x (x/3 - ...)).
    rest = tuple(jnp.zeros_like(level) for level in levels)
    for power in range(len(levels), 0, -1):
        raised = _product_without_units(levels, rest)
        rest = tuple(first / power - second for first, second in zip(levels, raised, strict=True))
    return rest


def tensor_exp(levels: Levels) -> Levels:
    """`exp(x) - 1 = x + x^2 / 2! + x^3 / 3! + ...`, with x the levels: the inverse of `tensor_log`."""
    rest = tuple(jnp.zeros_like(level) for level in levels)
    for power in range(len(levels), 0, -1):
        raised = _product_without_units(levels, rest)
        rest = tuple((first + second) / power for first, second in zip(levels, raised, strict=True))
    return rest


def flatten_levels(levels: Levels, level_scaling: str = "none") -> Float[Array, "signature_size"]:
    """All levels in one vector.

    Args:
      levels: of a signature or its logarithm.
      level_scaling: static; "none", as published: level n is of the order of (the path's length)^n / n!, so that the
        first levels of a short path and the last ones of a long path dominate any distance. "factorial" multiplies
        level n by n!.

    Raises:
      ValueError: if `level_scaling` is neither.
    """
    return jnp.concatenate([level * scale for level, scale in zip(levels, _scales(levels, level_scaling), strict=True)])


def lyndon_coordinates(levels: Levels, level_scaling: str = "none") -> Float[Array, "log_signature_size"]:
    """The coefficients at the Lyndon words.

    Args:
      levels: of a tensor logarithm.
      level_scaling: see `flatten_levels`.

    Raises:
      ValueError: if `level_scaling` is neither "none" nor "factorial".
    """
    dimension = levels[0].shape[0]
    scales = _scales(levels, level_scaling)
    coordinates = [
        level[_lyndon_words(dimension, length)] * scale
        for length, (level, scale) in enumerate(zip(levels, scales, strict=True), start=1)
    ]
    return jnp.concatenate(coordinates)


def _levels_of(path: Float[Array, "T d"], depth: int) -> Levels:
    require("path", path.shape, lambda shape: min(shape) >= 1, "a point of one dimension at least")
    start = signature_init(path.shape[1], depth, path.dtype)
    levels, _ = jax.lax.scan(lambda levels, step: (signature_update(levels, step), None), start, jnp.diff(path, axis=0))
    return levels


def _product_without_units(first: Levels, second: Levels) -> Levels:
    """The product of two series without a constant."""
    return tuple(
        sum((_outer(first[k], second[level - 1 - k]) for k in range(level)), jnp.zeros_like(first[level]))
        for level in range(len(first))
    )


def _outer(first: Float[Array, "m"], second: Float[Array, "n"]) -> Float[Array, "m_times_n"]:
    return (first[:, None] * second).reshape(-1)


def _scales(levels: Levels, level_scaling: str) -> list[int]:
    require("level_scaling", level_scaling, ("none", "factorial").__contains__, "none or factorial")
    return [factorial(level) if level_scaling == "factorial" else 1 for level in range(1, len(levels) + 1)]


def _lyndon_words(dimension: int, length: int) -> np.ndarray:
    """Places of the Lyndon words of a length in its flat level."""
    words = product(range(dimension), repeat=length)
    return np.array([place for place, word in enumerate(words) if all(word < word[cut:] for cut in range(1, length))])
