"""A robot with two wheels, three lasers and two bumpers among the walls of a bitmap: HardMaze's and CollectBall's."""

import abc
import dataclasses
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int32

from jaxrl_sparse.environments.base import EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.base import PlanarEnvironment
from jaxrl_sparse.environments.planar.occupancy import (
    LASER_RANGE,
    UNITS_PER_PIXEL,
    OccupancyTables,
    first_hits,
    pixel_of,
    rim_offsets,
    wall_coverage,
)

WORLD_SIZE = 600.0
WHEEL_DISTANCE = 20.0
MAX_WHEEL_DISPLACEMENT = 4.0
LASER_ANGLES = (np.pi / 4, 0.0, -np.pi / 4)


@struct.dataclass
class RobotState(EnvironmentState):
    """The robot's pose; lengths in world units, y pointing down.

    Attributes:
      x: position of the centre.
      y: position of the centre.
      heading: in [-pi, pi], from +x towards +y.
      rounding_x: what float32 has cut off from `x` so far, for the next step to make up for.
      rounding_y: the same for `y`.
    """

    x: Float[Array, ""]
    y: Float[Array, ""]
    heading: Float[Array, ""]
    rounding_x: Float[Array, ""]
    rounding_y: Float[Array, ""]


@struct.dataclass
class WheeledRobotParams(EnvironmentParams):
    """What does not change in an episode.

    Attributes:
      tables: the walls.
    """

    tables: OccupancyTables


class Bearings(NamedTuple):
    """What the sensors need of a step.

    Attributes:
      cos_heading: of the heading after the step.
      sin_heading: of the heading after the step.
      contacts: bit i is set where the step has run into the wall pixel at offset `rim_offsets()[i]`.
    """

    cos_heading: Float[Array, ""]
    sin_heading: Float[Array, ""]
    contacts: Int32[Array, ""]


RobotStateT = TypeVar("RobotStateT", bound=RobotState)


class WheeledRobotEnvironment(PlanarEnvironment[RobotStateT, WheeledRobotParams]):
    """A world of 600 x 600 units with walls from a bitmap; the descriptor is the position / 600."""

    descriptor_bounds = ((0.0, 0.0), (1.0, 1.0))
    world_bounds = ((0.0, 0.0), (WORLD_SIZE, WORLD_SIZE))
    image_y_axis_down = True

    @abc.abstractmethod
    def walls(self) -> np.ndarray:
        """The bitmap, bool `[200, 200]`, true where there is wall."""

    def descriptor(self, state: RobotStateT, params: WheeledRobotParams) -> Float[Array, "2"]:
        """The position / 600."""
        return jnp.stack([state.x, state.y]) / WORLD_SIZE

    def world_position(self, descriptor: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
        """600 times the descriptor."""
        return descriptor * WORLD_SIZE

    def scene(self, size: int = 256) -> Float[Array, "{size} {size} 3"]:
        """Walls in black and reward areas in red on white."""
        walls = jnp.asarray(wall_coverage(self.walls(), size), jnp.float32)
        image = drawing.paint(drawing.blank(size), walls, drawing.BLACK)
        return drawing.paint_reward_areas(image, drawing.pixel_centers(self, size), self)


def drive(
    tables: OccupancyTables, state: RobotStateT, displacements: Float[Array, "2"]
) -> tuple[RobotStateT, Bearings]:
    """One step of the wheels: an arc, unless it ends at a wall.

    With the turn alpha = (right - left) / 20 and the distance v = (left + right) / 2, the robot moves by
    v sinc(alpha / 2) in the direction heading + alpha / 2, its heading by alpha. Where a wall pixel is within 3 pixels
    of the new centre's pixel, the position stays what it was and only the heading changes.

    Args:
      tables: the walls.
      state: the pose before the step.
      displacements: of the left and the right wheel in world units, clipped to [-4, 4].

    Returns:
      The state with the new pose, and what `sense` needs.
    """
    left, right = jnp.clip(displacements, -MAX_WHEEL_DISPLACEMENT, MAX_WHEEL_DISPLACEMENT)
    turn = (right - left) / WHEEL_DISTANCE
    cos_half, sin_half, sinc_half = _small_angle(turn / 2)
    cos_middle, sin_middle = jnp.cos(state.heading + turn / 2), jnp.sin(state.heading + turn / 2)
    chord = (left + right) / 2 * sinc_half
    next_x, rounding_x = _compensated_sum(state.x, state.rounding_x + chord * cos_middle)
    next_y, rounding_y = _compensated_sum(state.y, state.rounding_y + chord * sin_middle)

    contacts = tables.contacts[pixel_of(next_y), pixel_of(next_x)]
    # An action that is not a number shows in the position: it must not pass for a robot that stands still.
    moves = (contacts == 0) | jnp.isnan(next_x)
    heading = state.heading + turn
    heading = jnp.where(jnp.abs(heading) > np.pi, heading - jnp.sign(heading) * (2 * np.pi), heading)
    state = dataclasses.replace(
        state,
        x=jnp.where(moves, next_x, state.x),
        y=jnp.where(moves, next_y, state.y),
        heading=heading,
        rounding_x=jnp.where(moves, rounding_x, state.rounding_x),
        rounding_y=jnp.where(moves, rounding_y, state.rounding_y),
    )
    return state, Bearings(
        cos_middle * cos_half - sin_middle * sin_half, sin_middle * cos_half + cos_middle * sin_half, contacts
    )


def bearings_at_rest(state: RobotState) -> Bearings:
    """What `sense` needs of a robot that has not moved yet."""
    return Bearings(jnp.cos(state.heading), jnp.sin(state.heading), jnp.zeros((), jnp.int32))


def sense(tables: OccupancyTables, state: RobotState, bearings: Bearings) -> Float[Array, "5"]:
    """Three lasers and two bumpers.

    Returns:
      The distance to the first wall at +45, 0 and -45 degrees from the heading, at most 100 units; then the left and
      the right bumper: 1 if the step has run into a wall pixel within 90 degrees to that side of the heading, otherwise
      0. A laser is the supercover line from the robot's pixel to that of the end of its range; its distance is from the
      robot to the centre of the pixel at which the step of the line that touches a wall arrives.
    """
    x, y = state.x, state.y
    cos_heading, sin_heading, contacts = bearings
    cos, sin = np.cos(LASER_ANGLES).astype(np.float32), np.sin(LASER_ANGLES).astype(np.float32)
    end_x = x + LASER_RANGE * (cos_heading * cos - sin_heading * sin)
    end_y = y + LASER_RANGE * (sin_heading * cos + cos_heading * sin)
    rows, columns = first_hits(tables, pixel_of(y), pixel_of(x), pixel_of(end_y), pixel_of(end_x))
    distances = jnp.sqrt((x - UNITS_PER_PIXEL * columns) ** 2 + (y - UNITS_PER_PIXEL * rows) ** 2)

    touched = (contacts >> np.arange(len(rim_offsets()), dtype=np.int32)) & 1 == 1
    row, column = rim_offsets().astype(np.float32).T
    ahead = column * cos_heading + row * sin_heading > 0
    to_the_right = row * cos_heading - column * sin_heading
    left_bumper = jnp.any(touched & ahead & (to_the_right < 0))
    right_bumper = jnp.any(touched & ahead & (to_the_right > 0))
    bumpers = jnp.stack([left_bumper, right_bumper]).astype(jnp.float32)
    return jnp.concatenate([jnp.minimum(distances, LASER_RANGE), bumpers])


def _compensated_sum(total: Float[Array, ""], term: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The sum, and what rounding has cut off from it: added to the next term, 2,000 roundings do not add up."""
    new_total = total + term
    return new_total, term - (new_total - total)


def _small_angle(angle: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """cos, sin and sinc by their series: exact to float32 for |angle| <= 1/5, and sinc needs no case at 0."""
    squared = angle * angle
    sinc = 1 - squared / 6 * (1 - squared / 20 * (1 - squared / 42))
    cos = 1 - squared / 2 * (1 - squared / 12 * (1 - squared / 30))
    return cos, angle * sinc, sinc
