"""HardMaze: a two-wheeled robot with lasers and bumpers in a maze whose goals lie behind dead ends."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.planar import drawing, hard_maze_map
from jaxrl_sparse.environments.planar.base import RewardArea, proximity_reward
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

START_POSITION = (60.0, 450.0)
START_HEADING = np.pi / 4
MAX_STEPS = 2000
GOAL_POSITIONS = ((60.0, 60.0), (100.0, 200.0))
GOAL_RADIUS = 50.0
# The published image draws the robot as a dot with a radius of 2 of its 200 pixels.
DRAWN_RADIUS = 2 * WORLD_SIZE / 200


@struct.dataclass
class HardMazeState(RobotState):
    """The robot's pose, and where the reward is computed.

    Attributes:
      previous_x: `x` before the last step.
      previous_y: `y` before the last step.
    """

    previous_x: Float[Array, ""]
    previous_y: Float[Array, ""]


class HardMaze(WheeledRobotEnvironment[HardMazeState]):
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

    reward_areas = tuple(RewardArea(center, radius=GOAL_RADIUS) for center in GOAL_POSITIONS)

    @property
    def default_params(self) -> WheeledRobotParams:
        """A time limit of 2,000 steps, and the tables of the published maze."""
        return WheeledRobotParams(max_steps_in_episode=MAX_STEPS, tables=occupancy_tables(self.walls()))

    def walls(self) -> np.ndarray:
        """The published maze."""
        return hard_maze_map.walls()

    def reset_env(self, key: PRNGKeyArray, params: WheeledRobotParams) -> tuple[Float[Array, "5"], HardMazeState]:
        """The robot at (60, 450), heading 45 degrees down; the key is not used."""
        x, y = jnp.array(START_POSITION, jnp.float32)
        zero = jnp.zeros((), jnp.float32)
        state = HardMazeState(
            time=jnp.zeros((), jnp.int32),
            x=x,
            y=y,
            heading=jnp.array(START_HEADING, jnp.float32),
            rounding_x=zero,
            rounding_y=zero,
            previous_x=x,
            previous_y=y,
        )
        return sense(params.tables, state, bearings_at_rest(state)), state

    def step_env(
        self, key: PRNGKeyArray, state: HardMazeState, action: Float[Array, "2"], params: WheeledRobotParams
    ) -> tuple[Float[Array, "5"], HardMazeState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step; the key is not used."""
        moved, bearings = drive(params.tables, state, action)
        observation = sense(params.tables, moved, bearings)
        state = dataclasses.replace(moved, time=state.time + 1, previous_x=state.x, previous_y=state.y)
        reward, _ = self._reward(state)
        reward = jnp.where(state.time == params.max_steps_in_episode, reward, 0.0)
        return observation, state, reward, jnp.zeros((), bool), {}

    def observation_space(self, params: WheeledRobotParams) -> Any:
        """Three distances in [0, 100], two bumpers in {0, 1}."""
        high = np.array([LASER_RANGE, LASER_RANGE, LASER_RANGE, 1.0, 1.0], np.float32)
        return spaces.native(spaces.Box(np.zeros(5, np.float32), high, (5,)))

    def action_space(self, params: WheeledRobotParams) -> Any:
        """Displacements of the left and the right wheel, in world units."""
        return spaces.native(spaces.Box(-MAX_WHEEL_DISPLACEMENT, MAX_WHEEL_DISPLACEMENT, (2,)))

    def area(self, state: HardMazeState, params: WheeledRobotParams) -> Int[Array, ""]:
        """The goal that the robot was near before the last step, -1 where none."""
        _, area = self._reward(state)
        return area

    def render_state(self, state: HardMazeState, params: WheeledRobotParams) -> Float[Array, "2"]:
        """The position."""
        return jnp.stack([state.x, state.y])

    def render(self, render_state: Float[Array, "2"], size: int = 64) -> Float[Array, "{size} {size} 3"]:
        """The robot as a blue dot on the scene."""
        points = drawing.pixel_centers(self, size)
        radius = drawing.visible(self, size, DRAWN_RADIUS)
        robot = drawing.coverage(points, drawing.disc(points, render_state, radius))
        return drawing.paint(self.scene(size), robot, drawing.BLUE)

    def _reward(self, state: HardMazeState) -> tuple[Float[Array, ""], Int[Array, ""]]:
        return proximity_reward(jnp.stack([state.previous_x, state.previous_y]), self.reward_areas)
