"""A square room with boxes in it: how far a ray goes, whether a disc fits, and what is free.

Lengths are in metres. The room is [0, size]^2; a box is (low x, low y, high x, high y), its sides along the axes.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

# In the place of a direction's component that is nearly zero: the quotients by it stay finite.
_LEAST_COMPONENT = 1e-9


def ray_distances(
    origin: Float[Array, "2"], directions: Float[Array, "K 2"], boxes: Float[Array, "R 4"], size: float | Array
) -> Float[Array, "K"]:
    """How far each ray goes before it meets a box or a wall.

    A ray `o + t d` is between the two x-planes of a box for t in [t_x1, t_x2], and between the y-planes for t in
    [t_y1, t_y2]; it meets the box at `t = max(t_x1, t_y1)` if that is not above `min(t_x2, t_y2)` nor below zero, and
    leaves the room at `min(t_x2, t_y2)` of the room. A ray that starts within a box goes through it.

    Args:
      origin: o, within the room.
      directions: d, unit vectors.
      boxes: R of them, which may overlap.
      size: of the room.

    Source: Kay and Kajiya, "Ray Tracing Complex Scenes" (SIGGRAPH 1986): slabs.
    """
    tiny = jnp.abs(directions) < _LEAST_COMPONENT
    inverse = 1.0 / jnp.where(tiny, _LEAST_COMPONENT, directions)
    # The plane that a ray meets first is the lower one where it goes up.
    ascends = inverse > 0
    x_low, y_low, x_high, y_high = boxes.T - origin[jnp.array([0, 1, 0, 1])][:, None]
    inverse_x, inverse_y = inverse[:, :1], inverse[:, 1:]
    enters_x = jnp.where(ascends[:, :1], x_low, x_high) * inverse_x
    enters_y = jnp.where(ascends[:, 1:], y_low, y_high) * inverse_y
    leaves_x = jnp.where(ascends[:, :1], x_high, x_low) * inverse_x
    leaves_y = jnp.where(ascends[:, 1:], y_high, y_low) * inverse_y
    enters, leaves = jnp.maximum(enters_x, enters_y), jnp.minimum(leaves_x, leaves_y)
    nearest = jnp.min(jnp.where((enters <= leaves) & (enters >= 0), enters, jnp.inf), axis=1, initial=jnp.inf)
    walls = jnp.min((jnp.where(ascends, size, 0.0) - origin) * inverse, axis=1)
    return jnp.minimum(nearest, walls)


def is_blocked(
    center: Float[Array, "2"], radius: float, boxes: Float[Array, "R 4"], size: float | Array
) -> Bool[Array, ""]:
    """Whether a disc reaches into a box or a wall: whether the point of it that is nearest is closer than the radius.

    Args:
      center: of the disc.
      radius: of the disc.
      boxes: R of them.
      size: of the room.
    """
    beyond = jnp.maximum(jnp.maximum(boxes[:, :2] - center, center - boxes[:, 2:]), 0.0)
    meets_box = jnp.any(jnp.sum(beyond**2, axis=1) < radius**2)
    return meets_box | jnp.any((center < radius) | (center > size - radius))


def free_interval(
    center: Float[Array, "2"], margin: float, boxes: Float[Array, "R 4"], size: float | Array
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How far a square may be pushed along x from where it is before it meets a box or a wall.

    Args:
      center: of the square, which is free.
      margin: half its side.
      boxes: R of them.
      size: of the room.

    Returns:
      The least and the largest x of the centre.
    """
    x, y = center
    in_its_way = (boxes[:, 1] - margin < y) & (y < boxes[:, 3] + margin)
    before, after = boxes[:, 2] + margin, boxes[:, 0] - margin
    low = jnp.max(jnp.where(in_its_way & (before <= x), before, margin), initial=margin)
    high = jnp.min(jnp.where(in_its_way & (after >= x), after, size - margin), initial=jnp.inf)
    return low, jnp.minimum(high, size - margin)


def free_cells(boxes: np.ndarray, size: float, margin: float) -> np.ndarray:
    """The places where a square is free of boxes and walls, as rectangles that do not overlap.

    The lines along the sides of boxes that are wider by the margin cut the room into a grid, whose cells are free or
    not as a whole.

    Args:
      boxes: `[R, 4]`.
      size: of the room.
      margin: half the square's side.

    Returns:
      `[K, 4]`, like boxes, of the square's centres.
    """
    wide = boxes + margin * np.array([-1, -1, 1, 1])
    lines = [
        np.unique(np.clip([margin, size - margin, *wide[:, axis], *wide[:, axis + 2]], margin, size - margin))
        for axis in (0, 1)
    ]
    low_x, low_y = (grid.ravel() for grid in np.meshgrid(lines[0][:-1], lines[1][:-1], indexing="ij"))
    high_x, high_y = (grid.ravel() for grid in np.meshgrid(lines[0][1:], lines[1][1:], indexing="ij"))
    x, y = (low_x + high_x)[:, None] / 2, (low_y + high_y)[:, None] / 2
    taken = (wide[:, 0] < x) & (x < wide[:, 2]) & (wide[:, 1] < y) & (y < wide[:, 3])
    return np.stack([low_x, low_y, high_x, high_y], axis=1)[~taken.any(axis=1)]
