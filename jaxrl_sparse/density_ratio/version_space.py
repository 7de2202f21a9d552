"""Version spaces of GLOW: the functions whose reweighted Bellman errors are small in every layer.

    error(f, h) = sup over w in W_h of Ehat_{D_h}[w Dhat_h f - alpha w^2]
    F_t = { f : error(f, h) <= beta for all h }

Source: the GLOW paper's algorithm 1 (Amortila, Foster, Jiang, Sekhari and Xie, "Harnessing Density Ratios for Online
Reinforcement Learning", ICLR 2024).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl_sparse.base import require

_PRECISE = jax.lax.Precision.HIGHEST
# Values this close to the best are ties: what rounding tells apart is not told apart.
TIE = 1e-6


def version_space(errors: Float[Array, "N H"], beta: float | Array) -> Bool[Array, "N"]:
    """Which functions are left: those whose error is at most beta in every layer.

    Args:
      errors: by function and layer, in units of the return.
      beta: the slack.
    """
    return jnp.all(errors <= beta, axis=-1)


def least_violation(errors: Float[Array, "N H"]) -> Bool[Array, "N"]:
    """The functions of the smallest largest error, what is left where a version space is empty; never none.

    Args:
      errors: by function and layer.
    """
    worst = jnp.max(errors, axis=-1)
    return worst <= jnp.min(worst) + TIE


def weighted_bellman_errors(
    residual_means: Float[Array, "N H S A"],
    frequencies: Array,
    weights: Array,
    alpha: float | Array,
    memory_limit: int = 0,
) -> Float[Array, "N H"]:
    """`max over w of sum over s, a of w res - alpha w^2 freq`, by function and layer, over a finite class of weights.

    The maximum over w is taken for each layer by itself: the class of a layer is what its members are there.

    Args:
      residual_means: `residuals(counts, functions) / n`, the empirical mean of the residual, split by state and action.
      frequencies: `[H, S, A]`, visits / n.
      weights: `[W, H, S, A]`, already clipped.
      alpha: the penalty of large weights, in units of the return.
      memory_limit: bytes; above it the table `[N, W, H]` is made in pieces of that size, with the same result. 0 for
        no limit. Static.

    Raises:
      ValueError: if shapes disagree, or the limit is negative.
    """
    num_functions, *layers = residual_means.shape
    require("frequencies", frequencies.shape, lambda s: s == tuple(layers), f"the residuals' shape {tuple(layers)}")
    require("weights", weights.shape, lambda s: s[1:] == tuple(layers), f"the residuals' layers {tuple(layers)}")
    require("memory_limit", memory_limit, lambda b: isinstance(b, int) and b >= 0, "an integer of at least 0")
    horizon, num_weights = layers[0], weights.shape[0]
    # The penalty does not depend on the function: as a second half of the inner product it costs no pass of its own.
    penalties = jnp.broadcast_to(-alpha * frequencies, residual_means.shape)
    features = jnp.concatenate([_by_layer(residual_means), _by_layer(penalties)], axis=-1)

    def largest(chunk: Float[Array, "C H S A"]) -> Float[Array, "H N"]:
        values = _by_layer(chunk)
        moments = jnp.concatenate([values, values**2], axis=-1)
        return jnp.max(jnp.einsum("hwk,hnk->hwn", moments, features, precision=_PRECISE), axis=1)

    chunk_size = _chunk_size(num_functions * horizon * weights.dtype.itemsize, num_weights, memory_limit)
    if chunk_size == num_weights:
        return largest(weights).T
    num_chunks = -(-num_weights // chunk_size)
    # A weight twice does not change the maximum.
    padded = jnp.concatenate(
        [weights, jnp.broadcast_to(weights[:1], (num_chunks * chunk_size - num_weights, *weights.shape[1:]))]
    )
    chunks = padded.reshape(num_chunks, chunk_size, *weights.shape[1:])
    return jnp.max(jax.lax.map(largest, chunks), axis=0).T


def bounded_bellman_errors(
    residual_means: Float[Array, "N H S A"],
    frequencies: Array,
    bound: float | Array,
    alpha: float | Array,
    signed: bool = True,
) -> Float[Array, "N H"]:
    """The same supremum over *all* weights `|w| <= g` (signed), or `0 <= w <= g`: a Huber function of the residuals.

        sum over s, a of  delta^2 / (4 alpha m)       where |delta| <= 2 alpha g m
                          g |delta| - alpha g^2 m     elsewhere

    with delta the mean residual of the pair and m its frequency. Without signs only positive residuals count.

    Args:
      residual_means: delta.
      frequencies: `[H, S, A]`, m.
      bound: g, above 0.
      alpha: above 0.
      signed: static.

    Raises:
      ValueError: if shapes disagree.
    """
    layers = residual_means.shape[1:]
    require("frequencies", frequencies.shape, lambda s: s == layers, f"the residuals' shape {layers}")
    sizes = jnp.abs(residual_means) if signed else jnp.maximum(residual_means, 0)
    is_inner = sizes <= 2 * alpha * bound * frequencies
    # What was never visited has no residual: its quotient is 0/0, and zero.
    quotients = sizes**2 / (4 * alpha * jnp.where(frequencies > 0, frequencies, 1))
    return jnp.sum(jnp.where(is_inner, quotients, bound * sizes - alpha * bound**2 * frequencies), axis=(2, 3))


def optimistic_member(
    members: Bool[Array, "N"], optimism: Float[Array, "N"], plays: Float[Array, "N"]
) -> Int[Array, ""]:
    """The member of the largest value; of several, that which was played least; of these, that of the lowest number.

    Playing ties in turn keeps the choice a function of the data, and does not prefer the first of many candidates that
    nothing tells apart yet.

    Args:
      members: which may be chosen; at least one.
      optimism: `E f_0(s_0, pi_f)` of each.
      plays: how often each was chosen.
    """
    best = jnp.max(jnp.where(members, optimism, -jnp.inf))
    is_tied = members & (optimism >= best - TIE)
    return jnp.argmin(jnp.where(is_tied, plays, jnp.inf)).astype(jnp.int32)


def _by_layer(table: Float[Array, "N H S A"]) -> Float[Array, "H N K"]:
    num, horizon, *pairs = table.shape
    return jnp.swapaxes(table.reshape(num, horizon, pairs[0] * pairs[1]), 0, 1)


def _chunk_size(bytes_each: int, count: int, memory_limit: int) -> int:
    return count if memory_limit == 0 else max(1, min(count, memory_limit // bytes_each))
