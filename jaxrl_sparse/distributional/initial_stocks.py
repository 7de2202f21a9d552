"""The outer step from the values of all initial stocks to an objective: which stock to start from, and its worth."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from jaxrl_sparse.base import require
from jaxrl_sparse.distributional.grids import TOLERANCE
from jaxrl_sparse.distributional.objectives import Objective
from jaxrl_sparse.distributional.stock_value_iteration import StockGrid, interpolate_stock


class InitialStock(NamedTuple):
    """Where a policy starts for an objective.

    Attributes:
      stock: c_0, a scalar or `[m]`.
      value: of the objective, in its unit.
    """

    stock: Float[Array, "..."]
    value: Float[Array, ""]


def optimize_initial_stock(values: Float[Array, "*sizes"], stocks: StockGrid, objective: Objective) -> InitialStock:
    """The initial stock of an objective and its value, from the values of all of them.

    A fixed stock is looked up by linear interpolation. Else the value is `extreme over b of b + F(-b) / level` over the
    grid's b = -c; at a CVaR's optimum b is a tau-quantile of the return that is achieved. Of equal ones the largest
    stock is taken.

    Args:
      values: `[C]`, `F(s_0, c)`, or `[C_1, ..., C_m]`; with an initial distribution its expectation.
      stocks: the grid, or the tuple of them.
      objective: whose utility the values are of.

    Raises:
      ValueError: if a fixed stock is beyond the grid, or if a search is asked for among vector stocks.
    """
    if objective.initial_stock is not None:
        stock = jnp.asarray(objective.initial_stock, values.dtype)
        require_held(stocks, stock)
        return InitialStock(stock, interpolate_stock(values, stocks, stock))
    require("stocks", type(stocks), lambda kind: kind is not tuple, "a single grid: the search is over scalars")
    assert not isinstance(stocks, tuple)
    totals = -stocks + values / objective.level
    best = jnp.min(totals) if objective.minimizes else jnp.max(totals)
    slack = 100 * jnp.finfo(values.dtype).eps * jnp.maximum(1, jnp.abs(best))
    last = values.shape[0] - 1 - jnp.argmax(jnp.abs(totals - best)[::-1] <= slack)
    return InitialStock(stocks[last], totals[last])


def require_held(stocks: StockGrid, stock: Array) -> None:
    """Refuses an initial stock that a grid does not hold.

    Raises:
      ValueError: naming the stock and the grid that would do.
    """
    for i, grid in enumerate(stocks if isinstance(stocks, tuple) else (stocks,)):
        if isinstance(grid, Tracer):
            return
        points = np.asarray(grid)
        low, high = float(points[0]), float(points[-1])
        slack = TOLERANCE * (float(points[1]) - low)
        require(
            "initial_stock",
            jnp.atleast_1d(stock)[i],
            lambda value, low=low, high=high, slack=slack: low - slack <= value <= high + slack,
            f"a stock of the grid, in [{low:.6g}, {high:.6g}], or a grid that holds it: return_grids takes a margin",
        )
