"""The discount of a learner: where it comes from, and returns that are discounted by it."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float

from jaxrl_sparse.base import PyTree, require
from jaxrl_sparse.environments.rollouts import Transition

# Of an environment that has no discount of its own.
USUAL_DISCOUNT = 0.99


def discount_of(given: float | Array | None, environment: Any, params: PyTree) -> float | Array:
    """gamma of a learner on an environment, per step.

    The number that is given; where it is None, that of the finite MDP in the environment's parameters, else the
    environment's own `discount`, else 0.99.

    Args:
      given: in [0, 1], or None.
      environment: with or without a `discount`.
      params: of the environment, with or without an `mdp`.

    Raises:
      ValueError: if the given number is outside [0, 1].
    """
    # An array inside jit is compared to a tracer, a Python number is not.
    takes = "a number in [0, 1], or None"
    require("discount", given, lambda gamma: gamma is None or 0 <= float(gamma) <= 1, takes)
    if given is not None:
        return given
    if hasattr(params, "mdp"):
        return params.mdp.discount
    return getattr(environment, "discount", USUAL_DISCOUNT)


def discounted_sum(discount: float | Array) -> Callable[[Float[Array, "B"], Transition], Float[Array, "B"]]:
    """An `accumulate` of `run_episodes` that makes `sum_t gamma^t r_t` of each row; it starts from zeros `[B]`.

    Args:
      discount: gamma in [0, 1], per step.
    """

    def accumulate(so_far: Float[Array, "B"], transition: Transition) -> Float[Array, "B"]:
        return so_far + discount**transition.time * transition.rewards

    return accumulate
