"""Bitmaps of walls, and what wheels, bumpers and lasers ask of them, answered beforehand for every pixel.

The tables are numpy and computed once for a bitmap. Bitmaps are bool `[row, column]`, row 0 on top, true where there is
wall. The centre of a pixel lies at (x, y) = (3 column, 3 row) in world units, so that a coordinate x is in column
floor(x / 3 + 1/2).

Source: Mouret's simulator libfastsim, which the publications on HardMaze and CollectBall run.
"""

from functools import cache

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int8, Int16, Int32, UInt8

UNITS_PER_PIXEL = 3.0
ROBOT_RADIUS = 10.0
LASER_RANGE = 100.0

_RADIUS_PIXELS = round(ROBOT_RADIUS / UNITS_PER_PIXEL)
_RANGE_PIXELS = LASER_RANGE / UNITS_PER_PIXEL
# Both ends of a ray are rounded to pixels, by up to a half each.
_REACH = int(_RANGE_PIXELS + 1)
# The pixel of a ray that hits no wall: beyond the range.
_NO_HIT = 127


@struct.dataclass
class OccupancyTables:
    """A bitmap as the simulator asks for it: a step of the robot is a few look-ups.

    Attributes:
      contacts: for every pixel of the robot's centre, which pixels under its rim are walls: bit i is that at offset
        `rim_offsets()[i]`. Zero where the robot fits.
      rays: the number of the ray whose last pixel is at an offset `[row, column]` from the robot's, with offset 0 in
        the middle of the table; -1 where no ray ends.
      free_steps: for every pixel of the robot's centre and every ray, the number of its steps before it meets a wall.
      ray_rows: for every ray and step, the row at which the ray is, as an offset from the robot's.
      ray_columns: the same for the column. Both are beyond the range after the last step.
    """

    contacts: Int32[Array, "rows columns"]
    rays: Int16[Array, "window window"]
    free_steps: UInt8[Array, "rows columns rays"]
    ray_rows: Int8[Array, "rays steps"]
    ray_columns: Int8[Array, "rays steps"]


def occupancy_tables(walls: np.ndarray) -> OccupancyTables:
    """The tables of a bitmap as jax arrays (22 MB for 200 x 200 pixels): part of an environment's parameters.

    Args:
      walls: bool `[rows, columns]`; what is beyond its borders counts as wall.
    """
    return OccupancyTables(*(jnp.asarray(table) for table in _tables(walls.shape, walls.tobytes())))


def pixel_of(coordinate: Float[Array, "*lasers"]) -> Int32[Array, "*lasers"]:
    """The column of an x coordinate, or the row of a y coordinate: floor(coordinate / 3 + 1/2)."""
    return jnp.floor(coordinate / UNITS_PER_PIXEL + 0.5).astype(jnp.int32)


def first_hits(
    tables: OccupancyTables,
    row: Int32[Array, ""],
    column: Int32[Array, ""],
    end_rows: Int32[Array, "lasers"],
    end_columns: Int32[Array, "lasers"],
) -> tuple[Int32[Array, "lasers"], Int32[Array, "lasers"]]:
    """Where lasers meet the first wall.

    Args:
      tables: of the bitmap.
      row: of the robot's pixel.
      column: of the robot's pixel.
      end_rows: of the last pixels of the lasers.
      end_columns: of the last pixels of the lasers.

    Returns:
      Rows and columns of the pixels at which the lasers stop; far out of range where they meet nothing.
    """
    center = tables.rays.shape[0] // 2
    rays = tables.rays[end_rows - row + center, end_columns - column + center].astype(jnp.int32)
    steps = tables.free_steps[row, column, rays].astype(jnp.int32)
    return row + tables.ray_rows[rays, steps], column + tables.ray_columns[rays, steps]


def wall_coverage(walls: np.ndarray, size: int) -> np.ndarray:
    """A square bitmap resized to `[size, size]` by averaging over areas: the share of each pixel that is wall.

    World coordinate 0 is the middle of the bitmap's first pixels; the last ones are stretched to the world's end.
    """
    pixels = len(walls)
    edges = np.clip(np.arange(pixels + 1) - 0.5, 0.0, None)
    edges[-1] = pixels
    low = np.arange(size)[:, None] * (pixels / size)
    high = low + pixels / size
    overlap = np.clip(np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1]), 0.0, None)
    weights = overlap * (size / pixels)
    return weights @ walls @ weights.T


@cache
def rim_offsets() -> np.ndarray:
    """Offsets (row, column) of the 28 pixels within 3 pixels of the robot's centre, by which it touches walls.

    Its own pixel is not among them: a step crosses less than two pixels, so that another one touches first.
    """
    row, column = np.mgrid[-_RADIUS_PIXELS : _RADIUS_PIXELS + 1, -_RADIUS_PIXELS : _RADIUS_PIXELS + 1]
    squared = row**2 + column**2
    rim = (squared > 0) & (squared <= _RADIUS_PIXELS**2)
    return np.stack([row[rim], column[rim]], axis=1)


def supercover_line(row: int, column: int) -> list[list[tuple[int, int]]]:
    """The pixels that the segment from the centre of pixel (0, 0) to the centre of pixel (row, column) touches.

    One list for every step along the longer axis; its last element is the pixel at which the step arrives, the others
    are those that it crosses on the way: both pixels beside it where the segment passes exactly through a corner.

    Source: E. Dedu, "Bresenham-based supercover line algorithm".
    """
    steep = abs(row) > abs(column)
    longer, shorter = (abs(row), abs(column)) if steep else (abs(column), abs(row))
    steps = [[(0, 0)]]
    j, height = 0, longer  # the segment crosses column i's middle at height / (2 longer) above row j's lower edge
    for i in range(1, longer + 1):
        crossed = []
        before, height = height, height + 2 * shorter
        if height > 2 * longer:
            j, height = j + 1, height - 2 * longer
            if before + height <= 2 * longer:
                crossed.append((i, j - 1))
            if before + height >= 2 * longer:
                crossed.append((i - 1, j))
        steps.append([*crossed, (i, j)])
    down, right = (-1 if row < 0 else 1), (-1 if column < 0 else 1)
    return [[(down * i, right * j) if steep else (down * j, right * i) for i, j in step] for step in steps]


@cache
def _tables(shape: tuple[int, int], bitmap: bytes) -> tuple[np.ndarray, ...]:
    walls = np.frombuffer(bitmap, bool).reshape(shape)
    ends = _ray_ends()
    rays = np.full((2 * _REACH + 1, 2 * _REACH + 1), -1, np.int16)
    rays[ends[:, 0] + _REACH, ends[:, 1] + _REACH] = np.arange(len(ends))

    lines = [supercover_line(row, column) for row, column in ends.tolist()]
    arrivals = np.full((len(lines), max(map(len, lines)) + 1, 2), _NO_HIT, np.int8)
    for ray, line in enumerate(lines):
        arrivals[ray, : len(line)] = [step[-1] for step in line]
    return _contacts(walls), rays, _free_steps(walls, lines), arrivals[..., 0], arrivals[..., 1]


def _contacts(walls: np.ndarray) -> np.ndarray:
    rows, columns = walls.shape
    padded = np.pad(walls, _RADIUS_PIXELS, constant_values=True)
    contacts = np.zeros(walls.shape, np.int32)
    for bit, (row, column) in enumerate(rim_offsets() + _RADIUS_PIXELS):
        contacts |= padded[row : row + rows, column : column + columns].astype(np.int32) << bit
    return contacts


def _ray_ends() -> np.ndarray:
    """Offsets (row, column) at which a ray may end, in the order of their angles: neighbours in the world are
    neighbours in memory.
    """
    row, column = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1]
    # Both ends are within half a pixel of the true ones: the circle of the range crosses the square of half-width 1.
    nearest = np.hypot(np.maximum(np.abs(row) - 1, 0), np.maximum(np.abs(column) - 1, 0))
    farthest = np.hypot(np.abs(row) + 1, np.abs(column) + 1)
    possible = (nearest <= _RANGE_PIXELS) & (farthest >= _RANGE_PIXELS)
    ends = np.stack([row[possible], column[possible]], axis=1)
    return ends[np.argsort(np.arctan2(ends[:, 0], ends[:, 1]), kind="stable")]


def _free_steps(walls: np.ndarray, lines: list[list[list[tuple[int, int]]]]) -> np.ndarray:
    rows, columns = walls.shape
    free = np.pad(~walls, _REACH, constant_values=False)
    free_steps = np.zeros((len(lines), rows, columns), np.uint8)
    for line, steps in zip(lines, free_steps, strict=True):
        unbroken = np.ones((rows, columns), bool)
        for step in line:
            for row, column in step:
                top, left = _REACH + row, _REACH + column
                unbroken &= free[top : top + rows, left : left + columns]
            steps += unbroken
    # The rays of one pixel side by side: a robot that turns stays within a few lines of cache.
    return np.ascontiguousarray(free_steps.transpose(1, 2, 0))
