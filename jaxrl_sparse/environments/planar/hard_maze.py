"""HardMaze: a two-wheeled robot with lasers and bumpers in a maze whose goals lie behind dead ends."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Int32, PRNGKeyArray

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.base import PlanarEnvironment, RewardArea, proximity_reward
from jaxrl_sparse.environments.planar.hard_maze_map import (
    LASER_RANGE,
    UNITS_PER_PIXEL,
    MazeTables,
    first_hits,
    maze_tables,
    rim_offsets,
    wall_coverage,
)

WORLD_SIZE = 600.0
START_POSITION = (60.0, 450.0)
START_HEADING = np.pi / 4
MAX_STEPS = 2000
WHEEL_DISTANCE = 20.0
MAX_WHEEL_DISPLACEMENT = 4.0
LASER_ANGLES = (np.pi / 4, 0.0, -np.pi / 4)
GOAL_POSITIONS = ((60.0, 60.0), (100.0, 200.0))
GOAL_RADIUS = 50.0
# The published image draws the robot as a dot with a radius of 2 of its 200 pixels.
DRAWN_RADIUS = 2 * WORLD_SIZE / 200


@struct.dataclass
class HardMazeState(EnvironmentState):
    """The robot's pose; lengths in world units, y pointing down.

    Attributes:
      x: position of the centre.
      y: position of the centre.
      heading: in [-pi, pi], from +x towards +y.
      previous_x: `x` before the last step, where the reward is computed.
      previous_y: `y` before the last step.
      rounding_x: what float32 has cut off from `x` so far, for the next step to make up for.
      rounding_y: the same for `y`.
    """

    x: Float[Array, ""]
    y: Float[Array, ""]
    heading: Float[Array, ""]
    previous_x: Float[Array, ""]
    previous_y: Float[Array, ""]
    rounding_x: Float[Array, ""]
    rounding_y: Float[Array, ""]


@struct.dataclass
class HardMazeParams(EnvironmentParams):
    """What does not change in an episode.

    Attributes:
      tables: the maze.
    """

    tables: MazeTables


class HardMaze(PlanarEnvironment[HardMazeState, HardMazeParams]):
    """A robot with two wheels 20 units apart in a maze of 600 x 600 units, for 2,000 steps.

    An action is the displacement (left, right) of the wheels, clipped to [-4, 4]. With the turn
    alpha = (right - left) / 20 and the distance v = (left + right) / 2, the robot moves on an arc: by
    v sinc(alpha / 2) in the direction heading + alpha / 2, its heading by alpha. Where a wall pixel is within 3 pixels
    (of 3 units) of the centre's pixel, the position stays what it was and only the heading changes.

    The observation is the distance to the first wall at +45, 0 and -45 degrees from the heading, at most 100 units, and
    the left and the right bumper: 1 if the step has collided with a wall pixel within 90 degrees to that side of the
    heading, otherwise 0. A laser is the supercover line from the robot's pixel to that of the end of its range; its
    distance is from the robot to the centre of the pixel at which the step of the line that touches a wall arrives.

    The descriptor is the last position / 600. The last step pays (R - d) / R for the distance d < R = 50 between one
    of two goals and the position *before* that step, as published. Nothing is random, no episode terminates.

    Source: Lehman and Stanley, "Abandoning Objectives: Evolution through the Search for Novelty Alone" (2011), in the
    version of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021), whose published
    code runs Mouret's simulator libfastsim.
    """

    descriptor_bounds = ((0.0, 0.0), (1.0, 1.0))
    world_bounds = ((0.0, 0.0), (WORLD_SIZE, WORLD_SIZE))
    reward_areas = tuple(RewardArea(center, radius=GOAL_RADIUS) for center in GOAL_POSITIONS)
    image_y_axis_down = True

    @property
    def default_params(self) -> HardMazeParams:
        """A time limit of 2,000 steps, and the tables of the published maze."""
        return HardMazeParams(max_steps_in_episode=MAX_STEPS, tables=maze_tables())

    def reset_env(self, key: PRNGKeyArray, params: HardMazeParams) -> tuple[Float[Array, "5"], HardMazeState]:
        """The robot at (60, 450), heading 45 degrees down; the key is not used."""
        x, y = jnp.array(START_POSITION, jnp.float32)
        heading = jnp.array(START_HEADING, jnp.float32)
        zero = jnp.zeros((), jnp.float32)
        state = HardMazeState(
            time=jnp.zeros((), jnp.int32),
            x=x,
            y=y,
            heading=heading,
            previous_x=x,
            previous_y=y,
            rounding_x=zero,
            rounding_y=zero,
        )
        no_contacts = jnp.zeros((), jnp.int32)
        return _sense(params.tables, x, y, jnp.cos(heading), jnp.sin(heading), no_contacts), state

    def step_env(
        self, key: PRNGKeyArray, state: HardMazeState, action: Float[Array, "2"], params: HardMazeParams
    ) -> tuple[Float[Array, "5"], HardMazeState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step; the key is not used."""
        left, right = jnp.clip(action, -MAX_WHEEL_DISPLACEMENT, MAX_WHEEL_DISPLACEMENT)
        turn = (right - left) / WHEEL_DISTANCE
        cos_half, sin_half, sinc_half = _small_angle(turn / 2)
        cos_middle, sin_middle = jnp.cos(state.heading + turn / 2), jnp.sin(state.heading + turn / 2)
        chord = (left + right) / 2 * sinc_half
        next_x, rounding_x = _compensated_sum(state.x, state.rounding_x + chord * cos_middle)
        next_y, rounding_y = _compensated_sum(state.y, state.rounding_y + chord * sin_middle)

        contacts = params.tables.contacts[_pixel(next_y), _pixel(next_x)]
        # An action that is not a number shows in the position: it must not pass for a robot that stands still.
        moves = (contacts == 0) | jnp.isnan(next_x)
        x, y = jnp.where(moves, next_x, state.x), jnp.where(moves, next_y, state.y)
        heading = state.heading + turn
        heading = jnp.where(jnp.abs(heading) > np.pi, heading - jnp.sign(heading) * (2 * np.pi), heading)
        observation = _sense(
            params.tables,
            x,
            y,
            cos_middle * cos_half - sin_middle * sin_half,
            sin_middle * cos_half + cos_middle * sin_half,
            contacts,
        )
        state = HardMazeState(
            time=state.time + 1,
            x=x,
            y=y,
            heading=heading,
            previous_x=state.x,
            previous_y=state.y,
            rounding_x=jnp.where(moves, rounding_x, state.rounding_x),
            rounding_y=jnp.where(moves, rounding_y, state.rounding_y),
        )
        reward, _ = self._reward(state)
        reward = jnp.where(state.time == params.max_steps_in_episode, reward, 0.0)
        return observation, state, reward, jnp.zeros((), bool), {}

    def observation_space(self, params: HardMazeParams) -> Any:
        """Three distances in [0, 100], two bumpers in {0, 1}."""
        high = np.array([LASER_RANGE, LASER_RANGE, LASER_RANGE, 1.0, 1.0], np.float32)
        return spaces.native(spaces.Box(np.zeros(5, np.float32), high, (5,)))

    def action_space(self, params: HardMazeParams) -> Any:
        """Displacements of the left and the right wheel, in world units."""
        return spaces.native(spaces.Box(-MAX_WHEEL_DISPLACEMENT, MAX_WHEEL_DISPLACEMENT, (2,)))

    def descriptor(self, state: HardMazeState, params: HardMazeParams) -> Float[Array, "2"]:
        """The position / 600."""
        return jnp.stack([state.x, state.y]) / WORLD_SIZE

    def world_position(self, descriptor: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
        """600 times the descriptor."""
        return descriptor * WORLD_SIZE

    def area(self, state: HardMazeState, params: HardMazeParams) -> Int[Array, ""]:
        """The goal that the robot was near before the last step, -1 where none."""
        _, area = self._reward(state)
        return area

    def render_state(self, state: HardMazeState, params: HardMazeParams) -> Float[Array, "2"]:
        """The position."""
        return jnp.stack([state.x, state.y])

    def render(self, render_state: Float[Array, "2"], size: int = 64) -> Float[Array, "{size} {size} 3"]:
        """The robot as a blue dot on the scene."""
        points = drawing.pixel_centers(self, size)
        robot = drawing.coverage(points, drawing.disc(points, render_state, DRAWN_RADIUS))
        return drawing.paint(self.scene(size), robot, drawing.BLUE)

    def scene(self, size: int = 256) -> Float[Array, "{size} {size} 3"]:
        """Walls in black and goals in red on white."""
        walls = jnp.asarray(wall_coverage(size), jnp.float32)
        image = drawing.paint(drawing.blank(size), walls, drawing.BLACK)
        return drawing.paint_reward_areas(image, drawing.pixel_centers(self, size), self)

    def _reward(self, state: HardMazeState) -> tuple[Float[Array, ""], Int[Array, ""]]:
        return proximity_reward(jnp.stack([state.previous_x, state.previous_y]), self.reward_areas)


def _pixel(coordinate: Float[Array, "*lasers"]) -> Int32[Array, "*lasers"]:
    return jnp.floor(coordinate / UNITS_PER_PIXEL + 0.5).astype(jnp.int32)


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


def _sense(
    tables: MazeTables,
    x: Float[Array, ""],
    y: Float[Array, ""],
    cos_heading: Float[Array, ""],
    sin_heading: Float[Array, ""],
    contacts: Int32[Array, ""],
) -> Float[Array, "5"]:
    """Three lasers and two bumpers; `contacts` are the bits of the wall pixels that the step has run into."""
    cos, sin = np.cos(LASER_ANGLES).astype(np.float32), np.sin(LASER_ANGLES).astype(np.float32)
    end_x = x + LASER_RANGE * (cos_heading * cos - sin_heading * sin)
    end_y = y + LASER_RANGE * (sin_heading * cos + cos_heading * sin)
    rows, columns = first_hits(tables, _pixel(y), _pixel(x), _pixel(end_y), _pixel(end_x))
    distances = jnp.sqrt((x - UNITS_PER_PIXEL * columns) ** 2 + (y - UNITS_PER_PIXEL * rows) ** 2)

    touched = (contacts >> np.arange(len(rim_offsets()), dtype=np.int32)) & 1 == 1
    row, column = rim_offsets().astype(np.float32).T
    ahead = column * cos_heading + row * sin_heading > 0
    to_the_right = row * cos_heading - column * sin_heading
    left_bumper = jnp.any(touched & ahead & (to_the_right < 0))
    right_bumper = jnp.any(touched & ahead & (to_the_right > 0))
    bumpers = jnp.stack([left_bumper, right_bumper]).astype(jnp.float32)
    return jnp.concatenate([jnp.minimum(distances, LASER_RANGE), bumpers])
