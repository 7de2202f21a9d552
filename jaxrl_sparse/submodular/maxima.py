"""Set functions made of maxima: the furthest point reached, and how well each client's best facility serves it."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import ArrayLike

from jaxrl_sparse.submodular.set_functions import SetFunction
from jaxrl_sparse.submodular.tables import as_floats


def max_progress() -> SetFunction:
    """The furthest point reached: going back and forth pays nothing, going on pays what was won.

        F(A) = max(0, max over s in A of s)

    Elements are positions along a track, float scalars, in the unit that the reward then has; those behind the
    origin count as 0.

    Returns:
      A set function of no finite ground set; its memory is the furthest position, a scalar.

    Source: Prajapat et al., "Submodular Reinforcement Learning" (2024), the car racing task.
    """

    def init() -> Float[Array, ""]:
        return jnp.zeros(())

    def gain(memory: Float[Array, ""], element: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.maximum(element - memory, 0)

    def add(memory: Float[Array, ""], element: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.maximum(memory, element)

    def value(elements: Float[Array, "H"], mask: Bool[Array, "H"] | None = None) -> Float[Array, ""]:
        return jnp.max(elements, initial=0, where=mask)

    return SetFunction(None, init, gain, add, value)


def facility_location(similarity: ArrayLike) -> SetFunction:
    """How well the visited elements represent all clients, each by the one that is closest to it.

        F(A) = sum over clients m of max(0, max over s in A of similarity(s, m))

    Args:
      similarity: `[N, M]`, of each element to each client, non-negative, in the reward's unit.

    Returns:
      A set function of N elements; its memory is `[M]`, each client's best so far.

    Raises:
      ValueError: if a similarity is negative, or the shape is wrong.

    Source: Krause and Golovin, "Submodular Function Maximization" (2014).
    """
    similarity = as_floats("similarity", similarity, "N M", least=0)
    num_elements, num_clients = similarity.shape

    def init() -> Float[Array, "M"]:
        return jnp.zeros(num_clients, similarity.dtype)

    def gain(memory: Float[Array, "M"], element: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.sum(jnp.maximum(similarity[element] - memory, 0))

    def add(memory: Float[Array, "M"], element: Int[Array, ""]) -> Float[Array, "M"]:
        return jnp.maximum(memory, similarity[element])

    def value(elements: Int[Array, "H"], mask: Bool[Array, "H"] | None = None) -> Float[Array, ""]:
        where = None if mask is None else mask[:, None]
        return jnp.sum(jnp.max(similarity[elements], axis=0, initial=0, where=where))

    return SetFunction(num_elements, init, gain, add, value)
