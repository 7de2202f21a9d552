"""CollectBall: a two-wheeled robot that carries balls home, seeing them as lights."""

import dataclasses
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.base import RewardArea
from jaxrl_sparse.environments.planar.occupancy import LASER_RANGE, occupancy_tables
from jaxrl_sparse.environments.planar.wheeled_robot import (
    MAX_WHEEL_DISPLACEMENT,
    WORLD_SIZE,
    RobotState,
    WheeledRobotEnvironment,
    WheeledRobotParams,
    bearings_at_rest,
    drive,
    sense,
)

PIXELS = 200
BORDER_PIXELS = 3
NEST_POSITION = (100.0, 500.0)
# Published as 45 and passed as degrees where the simulator takes radians: 58.3 degrees.
START_HEADING = 45.0 - 14 * np.pi
MAX_STEPS = 2000
BALL_POSITIONS = ((75.0, 75.0), (75.0, 540.0), (225.0, 540.0), (450.0, 450.0), (450.0, 75.0), (225.0, 225.0))
REACH = 10.0
WHEEL_GAIN = 2.0
LIGHT_SENSOR_RANGE = np.deg2rad(50)
# The published image draws discs with radii of 10 and 5 of its pixels.
DRAWN_ROBOT_RADIUS = 10 * WORLD_SIZE / PIXELS
DRAWN_BALL_RADIUS = 5 * WORLD_SIZE / PIXELS
GREEN: drawing.Color = (0.0, 0.6, 0.0)


@struct.dataclass
class CollectBallState(RobotState):
    """The robot's pose, and what became of the balls.

    Attributes:
      balls: where the balls lie, in world units: a ball that is held where it was picked up, one that was collected at
        the nest.
      held: number of the ball that the robot holds, -1 where none.
      collected: which balls were released at the nest.
    """

    balls: Float[Array, "6 2"]
    held: Int[Array, ""]
    collected: Bool[Array, "6"]


class CollectBall(WheeledRobotEnvironment[CollectBallState]):
    """HardMaze's robot in an arena of 600 x 600 units, for 2,000 steps: six balls are to be carried to the nest.

    An action is (left, right, hold): the wheels are displaced by twice its first numbers, clipped to [-4, 4], and
    move the robot as `wheeled_robot.drive` says. The robot starts on the nest at (100, 500). While hold > 0 and the
    robot holds no ball, it picks up the first ball within 10 units; as soon as hold <= 0 it releases the one that it
    holds. A ball released within 10 units of the nest pays 1 and is gone; any other lies where it was released, to be
    picked up again. Both look at the position *before* the step, as published.

    The observation is the lasers' distances / 100, the left and the right bumper (see `wheeled_robot.sense`), four
    light sensors, and 1 while a ball is held. A light sensor is 1 if a light of its kind is in its sector of 50
    degrees at any distance, otherwise 0: balls that lie in the arena to the left and to the right of the heading,
    then the nest to the left and to the right. What was picked up or released in a step shows in the sensors after
    the next one.

    The descriptor is the last position / 600; the only reward area is the nest. Nothing is random, no episode
    terminates.

    Two things are a reconstruction, because the published arena and sensor files could not be read. The arena is a
    plain square with a border of 3 pixels: nothing in it hides a light. The sectors of the light sensors, whose width
    is published, lie side by side: [-50, 0] and [0, 50] degrees, both ends included.

    Source: Doncieux and Mouret, "Behavioral diversity measures for Evolutionary Robotics" (CEC 2010), in the version of
    the published code of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021).
    """

    reward_areas = (RewardArea(NEST_POSITION, radius=REACH),)

    @property
    def default_params(self) -> WheeledRobotParams:
        """A time limit of 2,000 steps, and the tables of the arena."""
        return WheeledRobotParams(max_steps_in_episode=MAX_STEPS, tables=occupancy_tables(self.walls()))

    def walls(self) -> np.ndarray:
        """The border of the arena: our reconstruction, see above."""
        return arena_walls()

    def reset_env(self, key: PRNGKeyArray, params: WheeledRobotParams) -> tuple[Float[Array, "10"], CollectBallState]:
        """The robot on the nest, all balls in their places; the key is not used."""
        x, y = jnp.array(NEST_POSITION, jnp.float32)
        zero = jnp.zeros((), jnp.float32)
        state = CollectBallState(
            time=jnp.zeros((), jnp.int32),
            x=x,
            y=y,
            heading=jnp.array(START_HEADING, jnp.float32),
            rounding_x=zero,
            rounding_y=zero,
            balls=jnp.array(BALL_POSITIONS, jnp.float32),
            held=jnp.full((), -1, jnp.int32),
            collected=jnp.zeros(len(BALL_POSITIONS), bool),
        )
        bearings = bearings_at_rest(state)
        touch = sense(params.tables, state, bearings)
        return _observation(touch, _lights(state, bearings.cos_heading, bearings.sin_heading), state.held), state

    def step_env(
        self, key: PRNGKeyArray, state: CollectBallState, action: Float[Array, "3"], params: WheeledRobotParams
    ) -> tuple[Float[Array, "10"], CollectBallState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step; the key is not used."""
        moved, bearings = drive(params.tables, state, WHEEL_GAIN * action[:2])
        touch = sense(params.tables, moved, bearings)
        lights = _lights(moved, bearings.cos_heading, bearings.sin_heading)

        position = jnp.stack([state.x, state.y])
        numbers = np.arange(len(BALL_POSITIONS), dtype=np.int32)
        hold = action[2] > 0
        within_reach = jnp.sum((state.balls - position) ** 2, axis=1) < REACH**2
        within_reach &= ~state.collected
        picks_up = hold & (state.held < 0) & jnp.any(within_reach)
        releases = ~hold & (state.held >= 0)
        nest = np.array(NEST_POSITION, np.float32)
        pays = releases & (jnp.sum((position - nest) ** 2) < REACH**2)
        released = releases & (numbers == state.held)
        held = jnp.where(picks_up, jnp.argmax(within_reach).astype(jnp.int32), jnp.where(releases, -1, state.held))

        state = dataclasses.replace(
            moved,
            time=state.time + 1,
            balls=jnp.where(released[:, None], jnp.where(pays, nest, position), state.balls),
            held=held,
            collected=state.collected | (released & pays),
        )
        observation = _observation(touch, lights, held)
        return observation, state, pays.astype(jnp.float32), jnp.zeros((), bool), {}

    def observation_space(self, params: WheeledRobotParams) -> Any:
        """Three distances in [0, 1]; bumpers, light sensors and the held ball in {0, 1}."""
        return spaces.native(spaces.Box(0.0, 1.0, (10,)))

    def action_space(self, params: WheeledRobotParams) -> Any:
        """Half the displacements of the left and the right wheel, in world units, and whether to hold."""
        wheel = MAX_WHEEL_DISPLACEMENT / WHEEL_GAIN
        high = np.array([wheel, wheel, 1.0], np.float32)
        return spaces.native(spaces.Box(-high, high, (3,)))

    def area(self, state: CollectBallState, params: WheeledRobotParams) -> Int[Array, ""]:
        """0, the nest, if a ball was released there; -1 otherwise."""
        return jnp.where(jnp.any(state.collected), 0, -1).astype(jnp.int32)

    def render_state(self, state: CollectBallState, params: WheeledRobotParams) -> Float[Array, "14"]:
        """The position of the robot, then those of the balls; a ball that is held is where the robot is."""
        position = jnp.stack([state.x, state.y])
        is_held = np.arange(len(BALL_POSITIONS), dtype=np.int32) == state.held
        return jnp.concatenate([position, jnp.where(is_held[:, None], position, state.balls).reshape(-1)])

    def render(self, render_state: Float[Array, "14"], size: int = 64) -> Float[Array, "{size} {size} 3"]:
        """The robot as a blue disc and the balls as green ones on the scene."""
        points = drawing.pixel_centers(self, size)
        robot, *balls = render_state.reshape(-1, 2)
        discs = [(robot, DRAWN_ROBOT_RADIUS, drawing.BLUE), *((ball, DRAWN_BALL_RADIUS, GREEN) for ball in balls)]
        image = self.scene(size)
        for center, radius, color in discs:
            disc = drawing.disc(points, center, drawing.visible(self, size, radius))
            image = drawing.paint(image, drawing.coverage(points, disc), color)
        return image


@cache
def arena_walls() -> np.ndarray:
    """The bitmap, bool `[200, 200]`: a border of 3 pixels, as thick as HardMaze's."""
    inside = np.zeros((PIXELS - 2 * BORDER_PIXELS, PIXELS - 2 * BORDER_PIXELS), bool)
    walls = np.pad(inside, BORDER_PIXELS, constant_values=True)
    walls.flags.writeable = False
    return walls


def _lights(state: CollectBallState, cos_heading: Float[Array, ""], sin_heading: Float[Array, ""]) -> Float[Array, "4"]:
    """Whether balls, then the nest, are seen to the left and to the right."""
    lies = ~state.collected & (np.arange(len(BALL_POSITIONS), dtype=np.int32) != state.held)
    lights = jnp.concatenate([state.balls, np.array([NEST_POSITION], np.float32)])
    x, y = lights[:, 0] - state.x, lights[:, 1] - state.y
    ahead, to_the_right = x * cos_heading + y * sin_heading, y * cos_heading - x * sin_heading
    # Without arc tangents: within 50 degrees of the heading the side is at most tan(50 degrees) times the way ahead.
    in_front = jnp.abs(to_the_right) <= np.float32(np.tan(LIGHT_SENSOR_RANGE)) * ahead
    left, right = in_front & (to_the_right <= 0), in_front & (to_the_right >= 0)
    seen = jnp.stack([jnp.any(left[:-1] & lies), jnp.any(right[:-1] & lies), left[-1], right[-1]])
    return seen.astype(jnp.float32)


def _observation(touch: Float[Array, "5"], lights: Float[Array, "4"], held: Int[Array, ""]) -> Float[Array, "10"]:
    return jnp.concatenate([touch[:3] / LASER_RANGE, touch[3:], lights, (held >= 0).astype(jnp.float32)[None]])
