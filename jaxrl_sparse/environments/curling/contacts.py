"""Where Curling's bodies are, and where they touch: a ball, two links, four walls.

Every obstacle of the ball is a box: the links, and of the walls the one to its side and the one above or below it.
Lengths are in metres, angles in radians, counter-clockwise from upright; y points up on the table.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Walls are at +-WALL; the base joint of the arm is on the middle of the lower wall's axis.
WALL = 1.45
BASE_Y = -1.5
BALL_RADIUS = 0.15
HALF_WIDTH, HALF_LENGTH = 0.05, 0.5
# The first link turns about its end; the second is held 0.1 above its own, where the first one ends.
ELBOW = 2 * HALF_LENGTH
CENTER_BEYOND_ELBOW = 0.4
TIP_BEYOND_ELBOW = CENTER_BEYOND_ELBOW + HALF_LENGTH
# Box2D's skin about polygons: surfaces touch that far from the drawn ones.
SKIN = 0.01
# The obstacles' half sizes: both links, the wall to the ball's side, the wall above or below it.
HALF_WIDTHS = np.array([HALF_WIDTH, HALF_WIDTH, -BASE_Y - WALL, -BASE_Y - WALL], np.float32)
HALF_LENGTHS = np.array([HALF_LENGTH, HALF_LENGTH, -BASE_Y, -BASE_Y], np.float32)
# Which of them turn about the base joint, and which about the elbow.
ON_BASE_JOINT = np.array([1, 1, 0, 0], np.float32)
ON_ELBOW = np.array([0, 1, 0, 0], np.float32)


class Boxes(NamedTuple):
    """Boxes: their centres, and the sine and cosine of the angle from upright to their longer axis."""

    x: Float[Array, "*boxes"]
    y: Float[Array, "*boxes"]
    sin: Float[Array, "*boxes"]
    cos: Float[Array, "*boxes"]


class Touch(NamedTuple):
    """Where two surfaces are nearest.

    Attributes:
      gap: the distance between them less their skins, metres; negative where they overlap.
      normal_x: the unit vector at which the first body is pushed: out of the box, or out of the wall.
      normal_y: likewise.
      x: of the contact: halfway between the ball and the box's skin, or the corner of the link's tip.
      y: likewise.
    """

    gap: Float[Array, "*boxes"]
    normal_x: Float[Array, "*boxes"]
    normal_y: Float[Array, "*boxes"]
    x: Float[Array, "*boxes"]
    y: Float[Array, "*boxes"]


def obstacles(angle_0: Float[Array, ""], angle_1: Float[Array, ""], x: Float[Array, ""], y: Float[Array, ""]) -> Boxes:
    """The four boxes that the ball may run into: both links, the wall to its side, the wall above or below it.

    Args:
      angle_0: of the first link.
      angle_1: of the second link relative to the first.
      x: of the ball.
      y: of the ball.
    """
    angles = jnp.stack([angle_0, angle_0 + angle_1])
    sin, cos = jnp.sin(angles), jnp.cos(angles)
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    side, level = jnp.where(x < 0, -one, one), jnp.where(y < 0, -one, one)
    center_x = [-HALF_LENGTH * sin[0], -ELBOW * sin[0] - CENTER_BEYOND_ELBOW * sin[1], -BASE_Y * side, zero]
    center_y = [HALF_LENGTH * cos[0] + BASE_Y, ELBOW * cos[0] + CENTER_BEYOND_ELBOW * cos[1] + BASE_Y]
    return Boxes(
        x=jnp.stack(center_x),
        y=jnp.stack([*center_y, zero, -BASE_Y * level]),
        sin=jnp.stack([sin[0], sin[1], zero, one]),
        cos=jnp.stack([cos[0], cos[1], one, zero]),
    )


def elbow(boxes: Boxes) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The second joint, (x, y), of `obstacles`."""
    return -ELBOW * boxes.sin[0], BASE_Y + ELBOW * boxes.cos[0]


def ball_and_boxes(
    x: Float[Array, ""],
    y: Float[Array, ""],
    boxes: Boxes,
    half_widths: Float[Array | np.ndarray, "*boxes"] = HALF_WIDTHS,
    half_lengths: Float[Array | np.ndarray, "*boxes"] = HALF_LENGTHS,
) -> Touch:
    """The ball at (x, y) and each box; where its centre is inside of one, the way out is through a long side."""
    along = boxes.cos * (y - boxes.y) - boxes.sin * (x - boxes.x)
    across = boxes.cos * (x - boxes.x) + boxes.sin * (y - boxes.y)
    nearest_along = jnp.clip(along, -half_lengths, half_lengths)
    nearest_across = jnp.clip(across, -half_widths, half_widths)
    beyond_along, beyond_across = along - nearest_along, across - nearest_across
    distance = jnp.sqrt(beyond_along * beyond_along + beyond_across * beyond_across)
    inside = distance < 1e-6
    side = jnp.where(across < 0, -1, 1).astype(along.dtype)
    unit = 1 / jnp.where(inside, 1, distance)
    normal_along = jnp.where(inside, 0, beyond_along * unit)
    normal_across = jnp.where(inside, side, beyond_across * unit)
    nearest_across = jnp.where(inside, side * half_widths, nearest_across)
    distance = jnp.where(inside, side * across - half_widths, distance)
    gap = distance - (BALL_RADIUS + SKIN)
    normal_x = boxes.cos * normal_across - boxes.sin * normal_along
    normal_y = boxes.sin * normal_across + boxes.cos * normal_along
    lift = SKIN + gap / 2
    return Touch(
        gap=gap,
        normal_x=normal_x,
        normal_y=normal_y,
        x=boxes.x + boxes.cos * nearest_across - boxes.sin * nearest_along + lift * normal_x,
        y=boxes.y + boxes.sin * nearest_across + boxes.cos * nearest_along + lift * normal_y,
    )


def tip_and_walls(boxes: Boxes) -> Touch:
    """The corners of the second link's end that are nearest to a side wall and to the lower wall, `[2]`."""
    sin, cos = boxes.sin[1], boxes.cos[1]
    tip_x, tip_y = boxes.x[1] - HALF_LENGTH * sin, boxes.y[1] + HALF_LENGTH * cos
    side, zero = jnp.sign(tip_x), jnp.zeros_like(tip_x)
    corners = HALF_WIDTH * jnp.stack([jnp.sign(side * cos), -jnp.sign(sin)])
    x, y = tip_x + corners * cos, tip_y + corners * sin
    return Touch(
        gap=WALL - 2 * SKIN - jnp.stack([side * x[0], -y[1]]),
        normal_x=jnp.stack([-side, zero]),
        normal_y=jnp.stack([zero, zero + 1]),
        x=x,
        y=y,
    )
