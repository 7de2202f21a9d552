"""A process that forgets: its submodular objective is DR-submodular in the policy, and ascent comes with guarantees.

In an eps-bandit the action j leads to the element j with probability 1 - eps from everywhere, and to a uniformly drawn
one else, so that a policy is a distribution for each of T steps. It is given here as `[T, N]` with rows that sum to at
most 1; what a row lacks is the probability that its step counts for nothing. With q_t(s) = (1 - eps) x_t(s) + eps / N,

    J(x) = E[F(s_1, ..., s_T)],   s_t ~ q_t independently,

is multilinear in the rows, monotone, and its second derivatives are at most 0 where F is monotone submodular.

Source: Prajapat et al., "Submodular Reinforcement Learning" (2024), its eps-bandits; Bian et al., "Guaranteed
Non-convex Optimization: Submodular Maximization over Continuous Domains" (2017).
"""

import functools

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.submodular.set_functions import SetFunction

MOST_SEQUENCES = 2**22


def sequence_values(set_function: SetFunction, num_elements: int, num_steps: int) -> Float[Array, "..."]:
    """F of everything that can happen in T steps.

    Args:
      set_function: F.
      num_elements: N, static.
      num_steps: T, static.

    Returns:
      `[N + 1, ..., N + 1]`, T axes: along each, the element of that step, and last the step that counts for nothing.

    Raises:
      ValueError: if a number is less than 1, or there are more than 2^22 sequences.
    """
    require("num_elements", num_elements, is_count, "an integer of at least 1")
    require("num_steps", num_steps, is_count, "an integer of at least 1")
    shape = (num_elements + 1,) * num_steps
    require("num_steps", (num_elements + 1) ** num_steps, lambda n: n <= MOST_SEQUENCES, "at most 2^22 sequences")
    sequences = jnp.indices(shape).reshape(num_steps, -1).T
    counted = sequences < num_elements
    return jax.vmap(set_function.value)(jnp.where(counted, sequences, 0), counted).reshape(shape)


def expected_bandit_value(
    policy: Float[Array, "T N"], values: Float[Array, "..."], slip: float | Array = 0.0
) -> Float[Array, ""]:
    """J of a policy, exactly.

    Args:
      policy: `[T, N]`, non-negative, rows that sum to at most 1.
      values: from `sequence_values`, T axes.
      slip: eps in [0, 1].

    Returns:
      J, in F's unit.

    Raises:
      ValueError: if eps is outside [0, 1].
    """
    require("slip", slip, lambda probability: 0 <= probability <= 1, "a probability")
    reached = (1 - slip) * policy + slip / policy.shape[1]
    outcomes = jnp.concatenate([reached, (1 - slip) * (1 - jnp.sum(policy, axis=1, keepdims=True))], axis=1)
    return functools.reduce(lambda rest, row: jnp.tensordot(row, rest, axes=1), outcomes, values)


def continuous_greedy(
    values: Float[Array, "..."], slip: float | Array = 0.0, num_iterations: int = 100
) -> Float[Array, "T N"]:
    """Frank-Wolfe from nothing: K times, a K-th of the best action of each step by the gradient.

        x <- x + 1 / K onehot(argmax over s of dJ / dx_t(s)),   for all t

    J of the result is at least (1 - 1/e) of the optimum, but for O(1 / K).

    Args:
      values: from `sequence_values`, T axes.
      slip: eps in [0, 1).
      num_iterations: K, static, at least 1.

    Returns:
      The policy, `[T, N]`, rows that sum to 1.

    Raises:
      ValueError: if K is less than 1.

    Source: Bian et al. (2017), the Frank-Wolfe variant.
    """
    require("num_iterations", num_iterations, is_count, "an integer of at least 1")
    ascent = jax.grad(expected_bandit_value)

    def step(policy: Float[Array, "T N"], _: None) -> tuple[Float[Array, "T N"], None]:
        best = jnp.argmax(ascent(policy, values, slip), axis=1)
        return policy + jax.nn.one_hot(best, policy.shape[1], dtype=policy.dtype) / num_iterations, None

    nothing = jnp.zeros((values.ndim, values.shape[0] - 1), values.dtype)
    return jax.lax.scan(step, nothing, length=num_iterations)[0]


def projected_ascent(
    values: Float[Array, "..."],
    slip: float | Array = 0.0,
    step_size: float | Array = 0.1,
    num_iterations: int = 200,
) -> Float[Array, "T N"]:
    """Gradient ascent from the uniform policy, projected row by row onto the simplex.

    Wherever it comes to rest J is at least half the optimum.

    Args:
      values: from `sequence_values`, T axes.
      slip: eps in [0, 1).
      step_size: per iteration, in the inverse of F's unit; at most the inverse of J's smoothness.
      num_iterations: static, at least 1.

    Returns:
      The policy, `[T, N]`, rows that sum to 1.

    Raises:
      ValueError: if there is no iteration, or the step size is not above 0.

    Source: Hassani, Soltanolkotabi and Karbasi, "Gradient Methods for Submodular Maximization" (2017).
    """
    require("num_iterations", num_iterations, is_count, "an integer of at least 1")
    require("step_size", step_size, lambda size: size > 0, "a number above 0")
    ascent, project = jax.grad(expected_bandit_value), jax.vmap(optax.projections.projection_simplex)

    def step(policy: Float[Array, "T N"], _: None) -> tuple[Float[Array, "T N"], None]:
        return project(policy + step_size * ascent(policy, values, slip)), None

    shape = (values.ndim, values.shape[0] - 1)
    return jax.lax.scan(step, jnp.full(shape, 1 / shape[1], values.dtype), length=num_iterations)[0]
