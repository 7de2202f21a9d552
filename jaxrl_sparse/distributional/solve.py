"""The best policy for an objective on a finite MDP in one call: grids, planning, the search for the initial stock."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.distributional.grids import return_grids
from jaxrl_sparse.distributional.initial_stocks import optimize_initial_stock
from jaxrl_sparse.distributional.objectives import Objective, require_admissible
from jaxrl_sparse.distributional.planning import finite_horizon, value_iteration
from jaxrl_sparse.distributional.stock_value_iteration import StockGrid, interpolate_stock, stock_value_iteration
from jaxrl_sparse.finite.mdp import FiniteMDP, return_bounds

# Atoms that hold the returns where no spacing is given and rewards are not whole numbers.
DEFAULT_CELLS = 100
# What may be left of the returns' range after the last sweep of a discounted problem.
DEFAULT_REMAINDER = 1e-4


class Solution(NamedTuple):
    """The optimum of an objective.

    Attributes:
      value: of the objective, in its unit.
      initial_stock: c_0, where the policy starts; a scalar or `[m]`.
      stocks: the grid that the policy is looked up on, or the tuple of them.
      values: `[S, C]` or `[S, C_1, ..., C_m]`, the expected utility from every state and stock.
      actions: int32, `[S, C]` for a discounted problem, with a leading axis `[T]` for one of T steps.
      atoms: `[N]`; None for vector rewards.
      probs: `[N]`, the law of the return from `mdp.initial` and c_0; None for vector rewards.
    """

    value: Float[Array, ""]
    initial_stock: Float[Array, "..."]
    stocks: StockGrid
    values: Float[Array, "S ..."]
    actions: Int[Array, "..."]
    atoms: Float[Array, "N"] | None
    probs: Float[Array, "N"] | None


def solve(
    mdp: FiniteMDP,
    objective: Objective,
    num_steps: int | None = None,
    *,
    spacing: float | None = None,
    memory_limit: int | None = None,
) -> Solution:
    """Plans for an objective, from the MDP's initial distribution.

    With gamma = 1 the problem has `num_steps` steps and the policy depends on the step; below 1 it goes on for ever,
    and the policy is stationary. Scalar rewards go through distributional value iteration, vector rewards through the
    scalar recursion on a grid of vector stocks. Exact where gamma is 1 and rewards are multiples of the spacing.

    Args:
      mdp: concrete; S, A, B.
      objective: such as `cvar(0.1)`.
      num_steps: the horizon, which gamma = 1 needs; below 1 the number of sweeps, None for as many as leave 1e-4 of the
        returns' range.
      spacing: of atoms and stocks, in the return's unit; None for 1 where that is exact, else a 100th of the range of
        the returns.
      memory_limit: as of `value_iteration`.

    Returns:
      The solution.

    Raises:
      ValueError: if the horizon is needed and not given, or as `value_iteration` and `optimize_initial_stock`.
    """
    require_admissible(objective.utility, mdp.discount)
    gamma = float(mdp.discount)
    endless = gamma < 1
    require("num_steps", num_steps, lambda t: is_count(t) or (t is None and endless), "an integer of at least 1")
    if num_steps is None:
        num_steps = math.ceil(math.log(DEFAULT_REMAINDER) / math.log(gamma))
    low, high = (np.atleast_1d(np.asarray(bound, np.float64)) for bound in return_bounds(mdp, num_steps))
    spacing = _spacing(mdp, float((high - low).max())) if spacing is None else spacing
    margin = max(spacing, _margin(objective, low, high))
    if mdp.num_rewards is not None:
        return _solve_vectors(mdp, objective, num_steps, endless, spacing, margin, low, high)
    grids = return_grids(mdp, spacing, num_steps, margin=margin)
    plan_for = value_iteration if endless else finite_horizon
    plan = plan_for(mdp, grids, objective.utility, num_steps, memory_limit=memory_limit)
    stock, value = optimize_initial_stock(mdp.initial @ plan.values, grids.stocks, objective)
    laws = jnp.einsum("s,scn->cn", mdp.initial, plan.probs)
    law = interpolate_stock(laws, grids.stocks, stock)
    return Solution(value, stock, grids.stocks, plan.values, plan.actions, grids.atoms, law)


def _solve_vectors(mdp, objective, num_steps, endless, spacing, margin, low, high) -> Solution:
    grids = tuple(
        jnp.asarray(np.arange(math.floor(-(h + margin) / spacing), math.ceil((margin - l) / spacing) + 1) * spacing)
        for l, h in zip(low, high, strict=True)  # noqa: E741
    )
    grids = tuple(grid.astype(mdp.rewards.dtype) for grid in grids)
    plan = stock_value_iteration(mdp, grids, objective.utility, num_steps, keep_actions=not endless)
    expected = jnp.tensordot(mdp.initial, plan.values, axes=1)
    stock, value = optimize_initial_stock(expected, grids, objective)
    return Solution(value, stock, grids, plan.values, plan.actions, None, None)


def _spacing(mdp: FiniteMDP, width: float) -> float:
    rewards = np.asarray(mdp.rewards)
    whole = float(mdp.discount) == 1 and bool((rewards == np.round(rewards)).all())
    return 1.0 if whole else max(width, 1e-6) / DEFAULT_CELLS


def _margin(objective: Objective, low: np.ndarray, high: np.ndarray) -> float:
    """How far beyond the returns' negatives stocks have to reach: for a fixed c_0, and for a curved utility."""
    utility = objective.utility
    curved = utility.slopes is None and utility.degree not in (0, 1)
    width = float((high - low).max()) if curved else 0.0
    if objective.initial_stock is None:
        return width
    stock = np.atleast_1d(np.asarray(objective.initial_stock, np.float64))
    if stock.shape != low.shape:
        raise ValueError(f"objective: got {objective.name} of {stock.size} components, takes one of {low.size}")
    return width + float(np.maximum(np.maximum(-high - stock, stock + low), 0).max())
