"""How far a set function is from a modular one: its curvature, and the bounds that follow."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.submodular.set_functions import SetFunction


def total_curvature(set_function: SetFunction, elements: Array) -> Float[Array, ""]:
    """The largest share of its own worth that an element can lose by what was visited before.

        c = 1 - min over s and A without s of F(s | A) / F({s}) = 1 - min over s of F(s | V - s) / F({s})

    for a monotone submodular F: gains are least after all others. c is 0 where F is modular, 1 where some element can
    become worthless, and (1 - c) sum F({s}) <= F(A) <= sum F({s}): who maximises the sum has at least (1 - c) of the
    optimum. Elements that are worth nothing by themselves are left out.

    Args:
      set_function: F, monotone and submodular.
      elements: `[N, ...]`, V; visits at different times are different elements, so that a cell stands there once for
        each time at which it can be visited.

    Returns:
      c, in [0, 1] but for rounding; 0 where no element is worth anything.

    Source: Conforti and Cornuejols, "Submodular Set Functions, Matroids and the Greedy Algorithm" (1984).
    """
    others = ~jnp.eye(elements.shape[0], dtype=bool)
    last_gains = set_function.value(elements) - jax.vmap(set_function.value, in_axes=(None, 0))(elements, others)
    alone = jax.vmap(lambda element: set_function.value(element[None]))(elements)
    shares = jnp.where(alone > 0, last_gains / jnp.where(alone > 0, alone, 1), 1)
    return 1 - jnp.min(shares)
