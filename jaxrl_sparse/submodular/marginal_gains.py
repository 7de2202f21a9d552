"""Marginal gains as rewards: what turns any learner of returns into one of a set function."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import PyTree, RewardTransformation, Trajectory
from jaxrl_sparse.rewards.stepwise import StepFn, stepwise
from jaxrl_sparse.submodular.set_functions import SetFunction, require_ground_set


def marginal_gains(
    set_function: SetFunction,
    element_of: Callable[[PyTree], Array],
    unshow: Callable[[PyTree], PyTree] | None = None,
    num_elements: int | None = None,
) -> RewardTransformation:
    """Pays each step what its next state adds to the episode: `r_t = F(s_{t+1} | s_0, ..., s_t)`.

    The undiscounted rewards of an episode sum to F(episode) - F({s_0}), and `singleton_values` gives F({s_0}). The
    rewards are as they are: where F is not monotone some are negative, and `num_negative_gains` counts them. It has no
    `relabel`, its rewards depend on the history.

    Args:
      set_function: F.
      element_of: from the observation of a state to the element that it is.
      unshow: see `rewards.stepwise`: where the policy is shown the memory too, takes the observation from what it saw.
      num_elements: N that the environment visits; None if it is not to be compared with F's ground set.

    Returns:
      A transformation whose state is the memory of each environment, leaves `[B, ...]`.

    Raises:
      ValueError: if F's ground set is finite and not of N elements.

    Source: Prajapat et al., "Submodular Reinforcement Learning" (2024), the policy gradient theorem and algorithm 1.
    """
    if num_elements is not None:
        require_ground_set(set_function, num_elements)
    return stepwise(*gain_rule(set_function, element_of), unshow)


def gain_rule(set_function: SetFunction, element_of: Callable[[PyTree], Array]) -> tuple[PyTree, StepFn]:
    """The rule behind `marginal_gains`, which `observe_memory` takes too.

    Before the step from s_t the memory holds s_0 to s_{t-1}, and s_t is added in the step: an episode's memory is
    empty when it starts, wherever it starts.

    Args:
      set_function: F.
      element_of: from the observation of a state to the element that it is.

    Returns:
      The memory at the start of an episode, and `step_fn(memory, transition) -> (gain, memory)`.
    """

    def step_fn(memory: PyTree, transition: Trajectory) -> tuple[Array, PyTree]:
        memory = set_function.add(memory, element_of(transition.observations))
        return set_function.gain(memory, element_of(transition.next_observations)), memory

    return set_function.init(), step_fn


def num_negative_gains(gains: Float[Array, "..."]) -> Int[Array, ""]:
    """How many gains are negative or NaN: none, for a monotone F whose memory was large enough.

    Args:
      gains: of any shape.
    """
    return jnp.sum(~(gains >= 0), dtype=jnp.int32)
