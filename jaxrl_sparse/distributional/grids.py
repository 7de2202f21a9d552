"""The grids of stocks and return atoms that a tabular planner works on, and where a backup lands on them."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.finite.mdp import FiniteMDP, return_bounds

# Of a spacing: what rounding may move a point of a grid by.
TOLERANCE = 1e-3


class Grids(NamedTuple):
    """Uniform ascending grids.

    Attributes:
      stocks: c, `[C]`, in the return's unit. They have to cover [-g_max, -g_min], where [g_min, g_max] holds all
        returns: outside of it the sign of c + G is fixed, so that stocks may be clipped to it wherever a policy is
          looked up.
      atoms: z, `[N]`, covering [g_min, g_max].
    """

    stocks: Float[Array, "C"]
    atoms: Float[Array, "N"]


class Taps(NamedTuple):
    """Where positions fall on a uniform grid: between `lower` and `lower + 1`.

    Attributes:
      lower: int32 `[...]`, from 0 to size - 2.
      weight: `[...]`, of the upper neighbour.
    """

    lower: Int[Array, "..."]
    weight: Float[Array, "..."]


def return_grids(
    mdp: FiniteMDP,
    spacing: float,
    num_steps: int,
    *,
    stocks_per_atom: int = 1,
    margin: float | None = None,
    through: float = 0.0,
) -> Grids:
    """Aligned grids that hold every return of an MDP.

    Atoms are multiples of `spacing`, so that zero is one of them; stocks are the atoms' negatives, refined, with a
    margin on both sides. With integer rewards, gamma = 1 and spacing 1 planning is exact. With a discount every
    projection spreads a law, up to a deviation of `zeta / (2 sqrt(1 - gamma^2))`: three times that is added to the
    atoms at either end.

    Args:
      mdp: with scalar rewards.
      spacing: zeta, of the atoms, in the return's unit.
      num_steps: the horizon, or the number of sweeps.
      stocks_per_atom: stocks in an atom's spacing, at least 1.
      margin: stocks beyond the returns on either side, in the return's unit; None for one spacing. A utility that is
        not piecewise linear with its kink at zero is exact only on a grid that holds every stock that can be reached.
      through: a stock that is to be a point of the grid, which is shifted for it.

    Raises:
      ValueError: if an argument is out of range, or if the MDP's rewards are vectors.
    """
    require("spacing", spacing, lambda zeta: 0 < zeta < math.inf, "a finite number above 0")
    require("stocks_per_atom", stocks_per_atom, is_count, "an integer of at least 1")
    require("mdp", mdp.num_rewards, lambda m: m is None, "scalar rewards; vectors have stock_value_iteration")
    low, high = (float(bound) for bound in return_bounds(mdp, num_steps))
    dtype, gamma = mdp.rewards.dtype, float(mdp.discount)
    widest = max(abs(low), abs(high)) + (0 if margin is None else margin)
    least = widest * float(jnp.finfo(dtype).eps) / TOLERANCE
    require("spacing", spacing, lambda zeta: zeta >= least, f"at least {least:.3g}, what {dtype} tells apart")
    first, last = math.floor(low / spacing + TOLERANCE), math.ceil(high / spacing - TOLERANCE)
    last = max(last, first + 1)
    cells = 1 if margin is None else math.ceil(margin / spacing - TOLERANCE)
    fine = spacing / stocks_per_atom
    # Shifted by less than half a step, and a step longer for it on both sides.
    shift = through - fine * round(through / fine)
    more = 0 if abs(shift) < TOLERANCE * fine else 1
    refined = np.arange((-last - cells) * stocks_per_atom - more, (-first + cells) * stocks_per_atom + more + 1)
    spread = 0 if gamma == 1 else math.ceil(1.5 / math.sqrt(1 - gamma**2))
    atoms = np.arange(first - spread, last + spread + 1) * spacing
    return Grids(jnp.asarray(refined * fine + shift, dtype), jnp.asarray(atoms, dtype))


def require_grids(mdp: FiniteMDP, grids: Grids, num_steps: int) -> None:
    """Refuses grids that are not uniform, or that cannot hold the MDP's returns.

    Raises:
      ValueError: naming the grid, its ends, and those that would do.
    """
    leaves = (*jax.tree.leaves(mdp), *grids)
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        return
    # Inside jit as well, of what is no tracer.
    with jax.ensure_compile_time_eval():
        low, high = (float(bound) for bound in return_bounds(mdp, num_steps))
    for name, grid, needed in (("atoms", grids.atoms, (low, high)), ("stocks", grids.stocks, (-high, -low))):
        require_uniform(name, grid)
        points = np.asarray(grid)
        ends = (float(points[0]), float(points[-1]))
        slack = TOLERANCE * (ends[1] - ends[0]) / (len(points) - 1)
        require(
            f"grids.{name}",
            ends,
            lambda ends, needed=needed, slack=slack: ends[0] <= needed[0] + slack and ends[1] >= needed[1] - slack,
            f"a grid that covers [{needed[0]:.6g}, {needed[1]:.6g}]: returns lie in [{low:.6g}, {high:.6g}]",
        )


def require_uniform(name: str, grid: Any) -> None:
    """Refuses a grid that is not ascending with equal spacing.

    Raises:
      ValueError: naming the grid.
    """
    require(f"grids.{name}", jnp.shape(grid), lambda s: len(s) == 1 and s[0] >= 2, "at least two points, [size]")

    def is_uniform(points):
        gaps = np.diff(np.asarray(points, np.float64))
        return gaps.min() > 0 and np.ptp(gaps) <= TOLERANCE * gaps.mean()

    require(f"grids.{name}", grid, is_uniform, "points in ascending order with equal spacing")


def spacing(grid: Float[Array, "size"]) -> Float[Array, ""]:
    """The distance of two neighbours of a uniform grid."""
    return (grid[-1] - grid[0]) / (grid.shape[0] - 1)


def taps(positions: Float[Array, "..."], grid: Float[Array, "size"]) -> Taps:
    """The two neighbours of positions on a uniform grid, for linear interpolation; beyond it, the ends.

    Args:
      positions: `[...]`, in the grid's unit.
      grid: `[size]`, ascending with equal spacing.
    """
    size = grid.shape[0]
    cells = jnp.clip((positions - grid[0]) / spacing(grid), 0, size - 1)
    # A position on a point, but for rounding, belongs to that point alone: laws and policies may jump there.
    nearest_point = jnp.round(cells)
    cells = jnp.where(jnp.abs(cells - nearest_point) < rounding(grid), nearest_point, cells)
    index = jnp.minimum(jnp.floor(cells), size - 2).astype(jnp.int32)
    return Taps(index, (cells - index).astype(grid.dtype))


def nearest(tapped: Taps) -> Taps:
    """All weight to the nearer neighbour; the lower one of two equally near."""
    upper = tapped.weight > 0.5 + rounding(tapped.weight)
    return tapped._replace(weight=upper.astype(tapped.weight.dtype))


def nearest_index(positions: Float[Array, "..."], grid: Float[Array, "size"]) -> Int[Array, "..."]:
    """The number of the grid's point that is nearest to each position, ends included."""
    cells = jnp.clip((positions - grid[0]) / spacing(grid), 0, grid.shape[0] - 1)
    # As `nearest`: the lower one of two equally near.
    return jnp.ceil(cells - 0.5 - rounding(grid)).astype(jnp.int32).clip(0)


def rounding(points: Array) -> float:
    """Of a cell: what rounding may move a position by on a grid of hundreds of points; 1e-4 in float32."""
    return 1000 * float(jnp.finfo(points.dtype).eps)
