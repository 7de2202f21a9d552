"""Fitted Q iteration of an episodic MDP, one backward pass of regressions, and Hy-Q, its hybrid form."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import Algorithm, Metrics, PyTree, config, require
from jaxrl_sparse.density_ratio.classes import FunctionClass, require_layers
from jaxrl_sparse.density_ratio.h2o import hybrid_learning
from jaxrl_sparse.density_ratio.offline_data import OfflineData
from jaxrl_sparse.finite.episodes import TransitionCounts
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.episodic_solvers import greedy_actions
from jaxrl_sparse.learners.episodic_planning import Planner

_PRECISE = jax.lax.Precision.HIGHEST


@config
class HyQConfig:
    """Configuration of `hy_q`.

    Attributes:
      unvisited_value: what tables say of an action that was never tried, in the unit of returns: any number minimises
        the squares there. 0 is the least of all solutions; the largest return makes the method optimistic. A finite
        class of functions has its own opinion, and this plays no part.
    """

    unvisited_value: float = 0.0


def hy_q(
    config: HyQConfig,
    mdp: EpisodicMDP,
    offline_data: OfflineData | None,
    functions: FunctionClass | None = None,
) -> Algorithm:
    """Hy-Q: H2O with fitted Q iteration; one update is one episode.

    It needs completeness: the backup of a function of layer h + 1 must be one of layer h, as it is for tables. Metrics
    and `evaluate` are those of `hybrid_learning`.

    Args:
      config: see `HyQConfig`.
      mdp: the true one, that the episodes are of.
      offline_data: N transitions of each layer; None for the control that learns online alone.
      functions: N members for each layer; None for tables.

    Raises:
      ValueError: if shapes disagree or `unvisited_value` is no finite number.

    Source: Song, Zhou, Sekhari, Bagnell, Krishnamurthy and Sun, "Hybrid RL: Using Both Offline and Online Data Can Make
    RL Efficient" (ICLR 2023), Algorithm 1, with its data in the proportions of H2O.
    """
    require("unvisited_value", config.unvisited_value, lambda value: math.isfinite(value), "a finite number")
    if functions is not None:
        require_layers("mdp.rewards", mdp.rewards.shape, functions)
    planner = fitted_q_planner(functions, config.unvisited_value)
    return hybrid_learning(planner, mdp, offline_data)


def fitted_q_planner(functions: FunctionClass | None = None, unvisited_value: float | Array = 0.0) -> Planner:
    """Fitted Q iteration as an offline method: counts to the greedy policy; it remembers nothing.

    Args:
      functions: N members for each layer; None for tables.
      unvisited_value: see `fitted_q_tables`.
    """

    def plan(counts: TransitionCounts, memory: PyTree, step: Int[Array, ""]) -> tuple[Array, PyTree, Metrics]:
        del step
        if functions is None:
            q_values = fitted_q_tables(counts, unvisited_value)
        else:
            q_values, _ = fitted_q_in_class(counts, functions)
        return greedy_actions(q_values), memory, {}

    return Planner(lambda _: jnp.zeros(()), plan)


def fitted_q_tables(counts: TransitionCounts, unvisited_value: float | Array = 0.0) -> Float[Array, "H S A"]:
    """Least squares over all tables, from the last layer to the first:

        f_h(s, a) = mean over the data of (s, a) in layer h of  r + max over a' of f_{h+1}(s', a'),   f_H = 0

    Args:
      counts: of H layers.
      unvisited_value: of actions that were never tried.

    Returns:
      `[H, S, A]`, f.
    """

    def regress(values, layer):
        visits, targets = _targets(layer, values)
        q_values = jnp.where(visits > 0, targets, unvisited_value).astype(targets.dtype)
        return jnp.max(q_values, axis=-1), q_values

    _, q_values = jax.lax.scan(regress, jnp.zeros_like(counts.rewards[0, :, 0]), counts, reverse=True)
    return q_values


def fitted_q_in_class(
    counts: TransitionCounts, functions: FunctionClass
) -> tuple[Float[Array, "H S A"], Int[Array, "H"]]:
    """Least squares over a finite class of each layer, from the last to the first:

        f_h = argmin over g in F_h of  sum over the data of (g(s, a) - r - max over a' of f_{h+1}(s', a'))^2,   f_H = 0

    Of functions that fit equally well that of the lowest number is taken.

    Args:
      counts: of H layers.
      functions: F_h is `functions.values[:, h]`, and f may be of another member in each layer.

    Returns:
      `[H, S, A]`, f, and `[H]` int32, the member of each layer.
    """

    def regress(values, layer):
        of_layer, members = layer
        visits, targets = _targets(of_layer, values)
        # Squares about the means of the targets: what is left of the sum is the same for all members.
        misfits = jnp.einsum("sa,nsa->n", visits, (members - targets) ** 2, precision=_PRECISE)
        best = jnp.argmin(misfits).astype(jnp.int32)
        return jnp.max(members[best], axis=-1), (members[best], best)

    start = jnp.zeros_like(functions.values[0, 0, :, 0])
    _, fitted = jax.lax.scan(regress, start, (counts, jnp.moveaxis(functions.values, 0, 1)), reverse=True)
    return fitted


def _targets(layer: TransitionCounts, values: Float[Array, "S"]) -> tuple[Float[Array, "S A"], Float[Array, "S A"]]:
    """How often each action was tried, and the mean of `r + V(s')` there; 0 where it never was."""
    visits = jnp.sum(layer.transitions, axis=-1)
    sums = layer.rewards + jnp.matmul(layer.transitions, values, precision=_PRECISE)
    return visits, jnp.where(visits > 0, sums / jnp.where(visits > 0, visits, 1), 0)
