"""The natural policy gradient: ascent in the metric of the policy's distributions, not of its parameters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Float

from jaxrl_sparse.base import PyTree, is_count, require

# Of the gradient's norm: what is left below it is rounding, and going on would divide by it.
_SOLVED = 1e-6


def natural_gradient(
    gradient: PyTree,
    log_probs: Callable[[PyTree], Float[Array, "..."]],
    params: PyTree,
    num_iterations: int = 20,
    damping: float | Array = 1e-3,
) -> PyTree:
    """`(G + damping I)^-1 gradient` by conjugate gradients, with the Fisher matrix of actions that the policy drew,

        G = mean_n g_n g_n^T,    g_n = grad log pi(a_n | s_n)

    It is the direction in which the policy improves most for the Kullback-Leibler divergence that it moves by, and does
    not depend on how the policy is parametrised (without damping).

    Args:
      gradient: of the objective, shaped as the parameters.
      log_probs: from parameters to log pi of the N drawn actions, `[...]`.
      params: where.
      num_iterations: static; the most steps of conjugate gradients, at least 1; as many as parameters make it exact.
      damping: added to G's diagonal, at least 0.

    Raises:
      ValueError: if a number is out of range.

    Source: Kakade, "A Natural Policy Gradient" (NeurIPS 2001); Prajapat et al., "Submodular Reinforcement Learning"
    (ICLR 2024), whose abstract derives it for SubPO.
    """
    require("num_iterations", num_iterations, is_count, "an integer of at least 1")
    require("damping", damping, lambda number: number >= 0, "a number of at least 0")

    def damped(vector: PyTree) -> PyTree:
        product = fisher_product(log_probs, params, vector)
        return jax.tree.map(lambda a, b: a + damping * b, product, vector)

    return cg(damped, gradient, tol=_SOLVED, maxiter=num_iterations)[0]


def fisher_product(log_probs: Callable[[PyTree], Float[Array, "..."]], params: PyTree, vector: PyTree) -> PyTree:
    """`G v = mean_n g_n (g_n . v)`, by one forward and one backward pass; G itself is never made.

    Args:
      log_probs: from parameters to log pi of the drawn actions, `[...]`.
      params: where.
      vector: v, shaped as the parameters.
    """
    values, along = jax.jvp(log_probs, (params,), (vector,))
    _, back = jax.vjp(log_probs, params)
    return back(along / values.size)[0]


def trust_region_step(
    direction: PyTree, log_probs: Callable[[PyTree], Float[Array, "..."]], params: PyTree, divergence: float | Array
) -> Float[Array, ""]:
    """The step length whose divergence is about `kappa`: `sqrt(2 kappa / x^T G x)`.

    Args:
      direction: x, a natural gradient.
      log_probs: from parameters to log pi of the drawn actions.
      params: where.
      divergence: kappa, in nats.
    """
    product = fisher_product(log_probs, params, direction)
    squared = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(direction), jax.tree.leaves(product), strict=True))
    # A direction of no divergence moves nothing, however long the step.
    return jnp.where(squared > 0, jnp.sqrt(2 * divergence / jnp.where(squared > 0, squared, 1.0)), 0.0)
