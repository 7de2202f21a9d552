"""The published instances of submodular grid worlds: maps, and the arrays of the set functions on them.

An instance says on which map, from where and for how long one walks, and carries what the set function of its objective
is made of; the set functions themselves are elsewhere. Random instances are functions of a key, and of one size they
are stacked and vmapped over.

Source: Prajapat et al., "Submodular Reinforcement Learning" (ICLR 2024), and its published code, whose stored instances
were drawn without a seed: these are the same in law alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpy.typing import ArrayLike

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.environments.grids.gaussian_process import (
    OBSERVATION_NOISE,
    cell_points,
    draw,
    matern_covariance,
    observed_points,
    posterior_covariance,
)
from jaxrl_sparse.environments.grids.grid_walk import require_horizon, require_start

ROWS = COLUMNS = 30
START = 34
COVERAGE_HORIZON, HORIZON = 80, 40
# Width of the block of cells that one visit covers: 2 is the published "small" one, 3 the "large" one.
BLOCK = 2
TWO_ROOMS = (
    "....######....",
    "....######....",
    "......S.......",
    "..............",
    "....######....",
    "....######....",
    "....######....",
)
ITEM_ROWS, ITEM_COLUMNS = 7, 15
ITEMS = ("watermelon", "strawberries", "apple", "banana", "oranges", "pineapple")
ITEM_CELLS = (18, 14, 13, 16, 18, 14)
ITEM_CAPS = (3, 2, 3, 4, 6, 3)
DENSITY_OFFSET = 3.0
ENTROPY_OBSERVATIONS = 5
ENTROPY_JITTER = 1e-6
NUM_NESTS = 200
NEST_BANDWIDTH = 1.0


@struct.dataclass
class GridInstance:
    """A map and a set function's arrays; N cells, M items, K cells in a footprint, G groups.

    Attributes:
      objective: static; "coverage": the sum of the weights of the items that are in the footprint of a visited cell;
        "items": the sum over groups of the number of distinct visited cells of the group, at most its cap;
        "information": `0.5 log det(I + K_tau / noise_variance)` of the visited cells, repeats included.
      horizon: static; H, the number of states of a walk.
      walkable: `[rows, columns]` bool.
      start: int32, the first cell.
      upper_bound: float32, what no walk exceeds; attained on the coverage, two-room and item instances.
      weights: `[M]` float32, of "coverage"; the items are the cells.
      footprint: `[N, K]` int32, the items that a visit covers, padded with -1; of "coverage".
      group_of_cell: `[N]` int32, -1 for none; of "items".
      caps: `[G]` int32; of "items".
      covariance: `[N, N]` float32; of "information".
      noise_variance: sigma^2, float32; of "information".
    """

    objective: str = struct.field(pytree_node=False)
    horizon: int = struct.field(pytree_node=False)
    walkable: Bool[Array, "rows columns"]
    start: Int[Array, ""]
    upper_bound: Float[Array, ""]
    weights: Float[Array, "M"] | None = None
    footprint: Int[Array, "N K"] | None = None
    group_of_cell: Int[Array, "N"] | None = None
    caps: Int[Array, "G"] | None = None
    covariance: Float[Array, "N N"] | None = None
    noise_variance: Float[Array, ""] | None = None


def coverage_instance(
    weights: ArrayLike | None = None,
    walkable: ArrayLike | None = None,
    start: int = START,
    horizon: int = COVERAGE_HORIZON,
    block: int = BLOCK,
) -> GridInstance:
    """Covered cells: by default the constant coverage of an open map of 30 x 30 cells, H = 80, whose optimum is 162.

    A move uncovers at most a row of its block, so that `b^2 + b (H - 1)` cells, and no more than there are, can be
    covered; the bound is the sum of as many of the largest weights.

    Args:
      weights: `[N]`, not negative, of each cell; None for 1.
      walkable: `[rows, columns]` bool; None for an open map of 30 x 30.
      start: the first cell.
      horizon: H, at least 2.
      block: b, the width of the block of cells that a visit covers, see `block_footprint`.

    Raises:
      ValueError: if the horizon is below 2, a weight is negative, or the start is no walkable cell.
    """
    require_horizon(horizon)
    walkable = np.ones((ROWS, COLUMNS), bool) if walkable is None else walkable
    require_start(start, walkable)
    cells = jnp.asarray(walkable, bool)
    values = jnp.ones(cells.size) if weights is None else jnp.asarray(weights, jnp.float32).reshape(-1)
    require("weights", values.shape, lambda shape: shape == (cells.size,), f"one for each of {cells.size} cells")
    require("weights", jnp.min(values), lambda least: least >= 0, "no negative number")
    values = jnp.where(cells.reshape(-1), values, 0.0)
    most = min(block**2 + block * (horizon - 1), cells.size)
    return GridInstance(
        objective="coverage",
        horizon=horizon,
        walkable=cells,
        start=jnp.int32(start),
        upper_bound=jnp.sum(jnp.sort(values)[-most:]),
        weights=values,
        footprint=block_footprint(cells, block),
    )


def bimodal_instance(
    rows: int = ROWS, columns: int = COLUMNS, start: int = START, horizon: int = HORIZON
) -> GridInstance:
    """Coverage weighted by two hills in opposite corners, `1 / (1 + exp(-x_r y_c))` with x, y = linspace(-1, 1).

    The best walk that is known covers 51.449 at the published size.
    """
    x, y = jnp.linspace(-1, 1, rows), jnp.linspace(-1, 1, columns)
    return coverage_instance(jax.nn.sigmoid(x[:, None] * y), np.ones((rows, columns), bool), start, horizon)


def density_instance(
    key: PRNGKeyArray, rows: int = ROWS, columns: int = COLUMNS, start: int = START, horizon: int = HORIZON
) -> GridInstance:
    """Coverage weighted by a draw of a Gaussian process plus 3, conditioned on a zero at one uniform point.

    Where a draw falls below -3, which one in thousands does, its minimum takes the place of -3.

    Args:
      key: for the point and the draw.
      rows: of cells.
      columns: of cells.
      start: the first cell.
      horizon: H, at least 2.
    """
    point_key, draw_key = jax.random.split(key)
    observed = observed_points(point_key, 1)
    field = draw(draw_key, posterior_covariance(cell_points(rows, columns), observed))
    weights = field + jnp.maximum(DENSITY_OFFSET, -jnp.min(field))
    return coverage_instance(weights, np.ones((rows, columns), bool), start, horizon)


def biodiversity_instance(
    key: PRNGKeyArray, rows: int = ROWS, columns: int = COLUMNS, start: int = START, horizon: int = HORIZON
) -> GridInstance:
    """Coverage weighted by a density of nests; a stand-in for the published map of gorilla nests, which is not public.

    The nests are a log-Gaussian Cox process that has 200 of them: each lies in cell c with the chance `softmax(g)_c`,
    with g a draw of the Gaussian process of `density_instance` without its observation. The weight of a cell is the sum
    over nests of a Gaussian kernel of width 1 cell, divided by its mean over cells.

    Args:
      key: for the field and the nests.
      rows: of cells.
      columns: of cells.
      start: the first cell.
      horizon: H, at least 2.
    """
    field_key, nest_key = jax.random.split(key)
    points = cell_points(rows, columns)
    log_rates = draw(field_key, matern_covariance(points, points))
    cells = jax.random.categorical(nest_key, log_rates, shape=(NUM_NESTS,))
    nests = jnp.zeros(rows * columns).at[cells].add(1)
    down, across = (_kernel(size) for size in (rows, columns))
    density = down @ nests.reshape(rows, columns) @ across
    return coverage_instance(density / jnp.mean(density), np.ones((rows, columns), bool), start, horizon)


def two_rooms_instance(horizon: int = HORIZON, block: int = BLOCK) -> GridInstance:
    """Coverage of two rooms of 7 x 4 cells and the corridor between them; all 68 cells can be covered in 40 states."""
    letters = np.array([list(line) for line in TWO_ROOMS])
    (start,) = np.flatnonzero(letters == "S")
    return coverage_instance(None, letters != "#", int(start), horizon, block)


def item_collection_instance(key: PRNGKeyArray, horizon: int = HORIZON) -> GridInstance:
    """Six kinds of items in 93 of 7 x 15 cells, of each of which a few distinct ones are wanted; the optimum is 21.

    Watermelon, strawberries, apple, banana, oranges and pineapple lie in 18, 14, 13, 16, 18 and 14 cells, and 3, 2, 3,
    4, 6 and 3 are wanted; the cells are the first of a uniform permutation, cut into the groups.

    Args:
      key: for the permutation.
      horizon: H, at least 2.
    """
    require_horizon(horizon)
    num_cells = ITEM_ROWS * ITEM_COLUMNS
    groups = jnp.asarray(np.repeat(np.arange(len(ITEMS)), ITEM_CELLS), jnp.int32)
    where = jax.random.permutation(key, num_cells)[: len(groups)]
    return GridInstance(
        objective="items",
        horizon=horizon,
        walkable=jnp.ones((ITEM_ROWS, ITEM_COLUMNS), bool),
        start=jnp.int32(START),
        upper_bound=jnp.float32(min(sum(ITEM_CAPS), horizon)),
        group_of_cell=jnp.full(num_cells, -1, jnp.int32).at[where].set(groups),
        caps=jnp.array(ITEM_CAPS, jnp.int32),
    )


def entropy_instance(
    key: PRNGKeyArray, rows: int = ROWS, columns: int = COLUMNS, start: int = START, horizon: int = HORIZON
) -> GridInstance:
    """D-design: what noisy measurements at the visited cells tell of a Gaussian process.

    The covariance is conditioned on five points uniform in [0, 10]^2, with 1e-6 on the diagonal; the noise's variance
    is 1e-3. The bound is H times the most that one cell tells, `0.5 log(1 + K(s, s) / noise_variance)`.

    Args:
      key: for the points.
      rows: of cells.
      columns: of cells.
      start: the first cell.
      horizon: H, at least 2.
    """
    require_horizon(horizon)
    walkable = np.ones((rows, columns), bool)
    require_start(start, walkable)
    points = cell_points(rows, columns)
    covariance = posterior_covariance(points, observed_points(key, ENTROPY_OBSERVATIONS))
    covariance = (covariance + ENTROPY_JITTER * jnp.eye(len(points))).astype(jnp.float32)
    most = 0.5 * horizon * jnp.log1p(jnp.max(jnp.diagonal(covariance)) / OBSERVATION_NOISE)
    return GridInstance(
        objective="information",
        horizon=horizon,
        walkable=jnp.asarray(walkable),
        start=jnp.int32(start),
        upper_bound=most,
        covariance=covariance,
        noise_variance=jnp.float32(OBSERVATION_NOISE),
    )


def block_footprint(walkable: ArrayLike, block: int = BLOCK) -> Int[Array, "N K"]:
    """The cells that a visit covers: the block of b x b cells right and down of it, itself included.

    Args:
      walkable: `[rows, columns]` bool; walls, and what is over the border, are covered by nobody.
      block: b, at least 1.

    Returns:
      `[N, b^2]` int32, row by row of the block, -1 where there is no cell to cover.

    Raises:
      ValueError: if b is below 1.
    """
    require("block", block, is_count, "an integer of at least 1")
    walkable = jnp.asarray(walkable, bool)
    rows, columns = walkable.shape
    row, column = jnp.divmod(jnp.arange(rows * columns, dtype=jnp.int32)[:, None], columns)
    down, right = jnp.divmod(jnp.arange(block**2, dtype=jnp.int32), block)
    row, column = row + down, column + right
    cells = row * columns + column
    is_there = (row < rows) & (column < columns)
    free = walkable.reshape(-1)[jnp.where(is_there, cells, 0)]
    return jnp.where(is_there & free, cells, -1)


def _kernel(size: int) -> Float[Array, "N N"]:
    places = jnp.arange(size)
    return jnp.exp(-0.5 * ((places[:, None] - places) / NEST_BANDWIDTH) ** 2)
