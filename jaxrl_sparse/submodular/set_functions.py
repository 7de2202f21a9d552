"""Set functions of the states that an episode visits: the contract, and its modular members.

The return of an episode is F of the set of visited states instead of a sum of rewards. What a learner needs of F is its
marginal gain, F(s | A) = F(A u {s}) - F(A), whose sum along an episode telescopes:

    F(s_0, ..., s_H) = F({s_0}) + sum over t of F(s_{t+1} | {s_0, ..., s_t})

F is monotone if no gain is negative, and submodular if gains diminish: F(s | A) >= F(s | B) where A is within B.

Source: Prajapat et al., "Submodular Reinforcement Learning" (2024).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import ArrayLike

from jaxrl_sparse.base import PyTree, require
from jaxrl_sparse.submodular.tables import as_floats


class SetFunction(NamedTuple):
    """A set function that grows with an episode, as pure functions; vmap makes it many.

    Elements are int32 numbers from 0 to `ground_set_size` - 1, or floats where a factory says so. F of nothing is 0.

    Attributes:
      ground_set_size: N; None where the elements are no numbers of a finite set.
      init: `init() -> memory`, that of the empty set: a pytree of arrays, none of size zero.
      gain: `gain(memory, element) -> F(element | A)`, a scalar, where A is what the memory was given.
      add: `add(memory, element) -> memory`, that of A with the element.
      value: `value(elements [H, ...], mask=None) -> F`, a scalar: the definition, computed directly and not by gains;
        `mask` is `[H]` bool, and elements where it is false count as absent.
    """

    ground_set_size: int | None
    init: Callable[[], PyTree]
    gain: Callable[[PyTree, Array], Array]
    add: Callable[[PyTree, Array], PyTree]
    value: Callable[..., Array]


def modular(weights: ArrayLike) -> SetFunction:
    """The sum over all visits, with repetition: an ordinary additive return.

        F(s_0, ..., s_H) = sum over t of w(s_t)

    Args:
      weights: `[N]`, w of each element, in the reward's unit. Negative ones make F non-monotone.

    Raises:
      ValueError: if a weight is not finite, or the shape is another.
    """
    weights = as_floats("weights", weights, "N")

    def gain(memory: PyTree, element: Int[Array, ""]) -> Float[Array, ""]:
        del memory
        return weights[element]

    def value(elements: Int[Array, "H"], mask: Bool[Array, "H"] | None = None) -> Float[Array, ""]:
        return jnp.sum(weights[elements], where=mask)

    return SetFunction(weights.shape[0], _remember_nothing, gain, _forget, value)


def modular_surrogate(set_function: SetFunction) -> SetFunction:
    """What ModPO maximises in place of F: the sum of each visit's value on its own, with repetition.

        M(s_0, ..., s_H) = sum over t of F({s_t}),   every gain is F({s}) whatever was visited

    M is at least F where F is submodular; its gains do not see the history.

    Args:
      set_function: F.

    Source: Prajapat et al. (2024), the baseline ModPO.
    """

    def gain(memory: PyTree, element: Array) -> Float[Array, ""]:
        del memory
        return set_function.gain(set_function.init(), element)

    def value(elements: Array, mask: Bool[Array, "H"] | None = None) -> Float[Array, ""]:
        return jnp.sum(jax.vmap(lambda element: set_function.value(element[None]))(elements), where=mask)

    return SetFunction(set_function.ground_set_size, _remember_nothing, gain, _forget, value)


def singleton_values(set_function: SetFunction, elements: Array) -> Float[Array, "B"]:
    """`F({s})` of each element by itself; of first states this is the part of the return that no gain holds.

    Args:
      set_function: F.
      elements: `[B, ...]`.
    """
    return jax.vmap(set_function.gain, in_axes=(None, 0))(set_function.init(), elements)


def require_ground_set(set_function: SetFunction, num_elements: int) -> None:
    """Refuses a set function of other elements than those that an environment visits.

    Args:
      set_function: F.
      num_elements: of the environment: its cells, for one.

    Raises:
      ValueError: if F's ground set is finite and of another size.
    """
    require(
        "set_function",
        set_function.ground_set_size,
        lambda size: size is None or size == num_elements,
        f"a ground set of the environment's {num_elements} elements: make it from tables with as many rows",
    )


def _remember_nothing() -> PyTree:
    return ()


def _forget(memory: PyTree, element: Array) -> PyTree:
    del element
    return memory
