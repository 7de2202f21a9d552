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
# Bytes that planning may take where no limit is given.
DEFAULT_MEMORY = 8 * 2**30
# Sweeps of a discounted problem that is planned for ever.
MOST_SWEEPS = 100_000
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

    A problem of `num_steps` steps has a policy that depends on the step; without them, and with gamma below 1, it goes
    on for ever and the policy is stationary, as near to the optimum as `planning` says. Scalar rewards go through
    distributional value iteration, vector rewards through the scalar recursion on a grid of vector stocks. Exact where
    gamma is 1 and rewards are multiples of the spacing.

    Args:
      mdp: concrete; S, A, B.
      objective: such as `cvar(0.1)`.
      num_steps: the horizon, which gamma = 1 needs, and a utility that is not Lipschitz; None for ever: as many sweeps
        as leave 1e-4 of the returns' range.
      spacing: of atoms and stocks, in the return's unit; None for 1 where that is exact, else a 100th of the range of
        the returns.
      memory_limit: as of `value_iteration`; None for 8 GiB.

    Returns:
      The solution.

    Raises:
      ValueError: if the horizon is needed and not given, or as `value_iteration` and `optimize_initial_stock`.
    """
    require_admissible(objective.utility, mdp.discount)
    gamma = float(mdp.discount)
    require("spacing", spacing, lambda zeta: zeta is None or 0 < zeta < math.inf, "a finite number above 0, or None")
    endless = num_steps is None
    num_steps = _sweeps_for_ever(objective, gamma) if num_steps is None else num_steps
    require("num_steps", num_steps, is_count, "an integer of at least 1")
    memory_limit = DEFAULT_MEMORY if memory_limit is None else memory_limit
    low, high = (np.atleast_1d(np.asarray(bound, np.float64)) for bound in return_bounds(mdp, num_steps))
    spacing = _spacing(mdp, float((high - low).max())) if spacing is None else spacing
    margin = max(spacing, _margin(objective, low, high))
    if mdp.num_rewards is not None:
        return _solve_vectors(mdp, objective, num_steps, endless, spacing, margin, low, high, memory_limit)
    # c_0 is made a point of the grid where grids are exact; a discount moves stocks between points all the same.
    through = 0.0 if gamma < 1 or objective.initial_stock is None else float(objective.initial_stock)
    grids = return_grids(mdp, spacing, num_steps, margin=margin, through=through)
    plan_for = value_iteration if endless else finite_horizon
    plan = plan_for(mdp, grids, objective.utility, num_steps, memory_limit=memory_limit)
    stock, value = optimize_initial_stock(mdp.initial @ plan.values, grids.stocks, objective)
    laws = jnp.einsum("s,scn->cn", mdp.initial, plan.probs)
    law = interpolate_stock(laws, grids.stocks, stock)
    return Solution(value, stock, grids.stocks, plan.values, plan.actions, grids.atoms, law)


def _sweeps_for_ever(objective: Objective, gamma: float) -> int:
    takes = "an integer of at least 1: "
    require("num_steps", None, lambda _: gamma < 1, takes + "without a discount there is nothing else to end it")
    lipschitz = objective.utility.lipschitz < math.inf
    require("num_steps", None, lambda _: lipschitz, takes + "this utility has guarantees for a horizon alone")
    sweeps = math.ceil(math.log(DEFAULT_REMAINDER) / math.log(gamma))
    require(
        "num_steps", None, lambda _: sweeps <= MOST_SWEEPS, f"{takes}for ever is {sweeps} sweeps with this discount"
    )
    return sweeps


def _solve_vectors(mdp, objective, num_steps, endless, spacing, margin, low, high, memory_limit) -> Solution:
    first, last = np.floor(-(high + margin) / spacing) - 1, np.ceil((margin - low) / spacing) + 1
    # What stands side by side: values before and after, those of every action, and actions of every step.
    tables = mdp.num_actions + 4 + (0 if endless else num_steps)
    needed = int(mdp.rewards.dtype.itemsize * mdp.num_states * float(np.prod(last - first + 1)) * tables)
    takes = f"at least {needed} bytes for a spacing of {spacing:g}, or a larger spacing"
    require("memory_limit", memory_limit, lambda limit: limit >= needed, takes)
    stocks = np.asarray(objective.initial_stock, np.float64)
    # As for scalars.
    shifts = (stocks - spacing * np.round(stocks / spacing)) * (float(mdp.discount) == 1)
    grids = tuple(
        jnp.asarray(np.arange(a, b + 1) * spacing + shift, mdp.rewards.dtype)
        for a, b, shift in zip(first, last, shifts, strict=True)
    )
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
