"""The value function about whose mean a state and action tell the most: a convex maximisation over a box.

    max over f: S -> [0, 1] of ||phi_f(s, a)||_{Sigma^-1},   phi_f(s, a) = sum over s' of phi(s' | s, a) f(s')

A convex function is largest at a corner of the box, so that f is an indicator of states. "vertices" tries all `2^S`.
"signs" maximises `||R^T phi_f||_1` instead, with `Sigma^-1 = R R^T`, which is exact with `2^d` patterns of signs: for
each of them the best f is one where its weight is positive. As `||y||_2 <= ||y||_1 <= sqrt(d) ||y||_2`, the value of
its f is at least the maximum over `sqrt(d)`.

Source: Zhang, Zhou and Gu (2021), section 4 and its remark on the l1 norm.
"""

import jax.numpy as jnp
from jax.lax import Precision
from jaxtyping import Array, Float

from jaxrl_sparse.base import require
from jaxrl_sparse.exploration.reward_free.regression import uncertainty
from jaxrl_sparse.finite.linear_mixtures import value_features

INNER_MAXIMA = ("vertices", "signs")
MOST_PATTERN_BITS = 12


def largest_uncertainty(
    features: Float[Array, "S A S d"], root: Float[Array, "d d"], inner_maximum: str
) -> tuple[Float[Array, "S A"], Float[Array, "S A S"]]:
    """What is not known about the best-chosen mean of each state and action.

    Args:
      features: `[S, A, S, d]`.
      root: R with `Sigma^-1 = R R^T`.
      inner_maximum: "vertices", for S up to 12, or "signs", for d up to 12.

    Returns:
      `[S, A]`, the maximum: of the l2 norm for "vertices", of the l1 norm, never below it, for "signs", so that a bonus
      made of either is no too small; and `[S, A, S]`, the f in {0, 1} that attains it. For f: S -> [0, c] multiply both
      by c.

    Raises:
      ValueError: if the method is unknown, or there are more than 2^12 patterns.
    """
    require("inner_maximum", inner_maximum, lambda name: name in INNER_MAXIMA, f"one of {', '.join(INNER_MAXIMA)}")
    num_states, _, _, dimension = features.shape
    bits, of = (num_states, "states") if inner_maximum == "vertices" else (dimension, "features")
    require(
        f"inner_maximum={inner_maximum}: number of {of}",
        bits,
        lambda count: count <= MOST_PATTERN_BITS,
        f"at most {MOST_PATTERN_BITS}",
    )
    patterns = ((jnp.arange(2**bits)[:, None] >> jnp.arange(bits)) & 1).astype(features.dtype)
    if inner_maximum == "vertices":
        scores = uncertainty(root, value_features(features, patterns))
        best = jnp.argmax(scores, axis=0)
        return jnp.max(scores, axis=0), patterns[best]
    whitened = jnp.einsum("sati,ij->satj", features, root, precision=Precision.HIGHEST)
    weights = jnp.einsum("satj,nj->nsat", whitened, 2 * patterns - 1, precision=Precision.HIGHEST)
    scores = jnp.sum(jnp.maximum(weights, 0), axis=-1)
    best = jnp.argmax(scores, axis=0)
    chosen = jnp.take_along_axis(weights, best[None, :, :, None], axis=0)[0]
    return jnp.max(scores, axis=0), (chosen > 0).astype(features.dtype)
