"""PointMaze: a point in AntMaze's arena; the same walls, goals and scaling at a hundred-thousandth of the cost."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.ant_arena import (
    HALF_THICKNESS,
    HIGH,
    LOW,
    START_POSITION,
    AntArena,
    inner_wall_edges,
    scaled_position,
)
from jaxrl_sparse.environments.planar.base import proximity_reward

STEP_LENGTH = 0.6
MAX_STEPS = 200
DRAWN_RADIUS = 1.5


@struct.dataclass
class PointMazeState(EnvironmentState):
    """The point.

    Attributes:
      position: (x, y) in world units.
    """

    position: Float[Array, "2"]


class PointMaze(AntArena[PointMazeState, EnvironmentParams]):
    """A point that starts at (-25, -25) and moves for 200 steps by 0.6 times the action, clipped to [-1, 1]^2.

    It moves first along x, then along y, each time up to the first face of a wall: it slides along walls, and at no
    speed does it cross one. Both goals can be reached in about 110 steps. The observation is (p - 5) / 70, like the
    first two numbers of AntMaze's. Descriptor, goals and reward are those of `AntArena`. Nothing is random, no episode
    terminates.

    Source: arena, goals and scaling are those of AntMaze (see `AntArena`); the point is this library's.
    """

    @property
    def default_params(self) -> EnvironmentParams:
        """A time limit of 200 steps."""
        return EnvironmentParams(max_steps_in_episode=MAX_STEPS)

    def reset_env(self, key: PRNGKeyArray, params: EnvironmentParams) -> tuple[Float[Array, "2"], PointMazeState]:
        """The point at (-25, -25); the key is not used."""
        position = jnp.array(START_POSITION, jnp.float32)
        return scaled_position(position), PointMazeState(time=jnp.zeros((), jnp.int32), position=position)

    def step_env(
        self, key: PRNGKeyArray, state: PointMazeState, action: Float[Array, "2"], params: EnvironmentParams
    ) -> tuple[Float[Array, "2"], PointMazeState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step; the key is not used."""
        position = slide(state.position, STEP_LENGTH * jnp.clip(action, -1.0, 1.0))
        state = PointMazeState(time=state.time + 1, position=position)
        reward, _ = proximity_reward(position, self.reward_areas)
        reward = jnp.where(state.time == params.max_steps_in_episode, reward, 0.0)
        return scaled_position(position), state, reward, jnp.zeros((), bool), {}

    def observation_space(self, params: EnvironmentParams) -> Any:
        """The arena, scaled."""
        return spaces.native(spaces.Box(-0.5, 0.5, (2,)))

    def action_space(self, params: EnvironmentParams) -> Any:
        """Displacements, in units of 0.6."""
        return spaces.native(spaces.Box(-1.0, 1.0, (2,)))

    def descriptor(self, state: PointMazeState, params: EnvironmentParams) -> Float[Array, "2"]:
        """(p - 5) / 70."""
        return scaled_position(state.position)

    def area(self, state: PointMazeState, params: EnvironmentParams) -> Int[Array, ""]:
        """The goal that the point is near, -1 where none."""
        _, area = proximity_reward(state.position, self.reward_areas)
        return area

    def render_state(self, state: PointMazeState, params: EnvironmentParams) -> Float[Array, "2"]:
        """The position."""
        return state.position

    def render(self, render_state: Float[Array, "2"], size: int = 64) -> Float[Array, "{size} {size} 3"]:
        """A blue disc on the scene."""
        points = drawing.pixel_centers(self, size)
        radius = drawing.visible(self, size, DRAWN_RADIUS)
        robot = drawing.coverage(points, drawing.disc(points, render_state, radius))
        return drawing.paint(self.scene(size), robot, drawing.BLUE)


def slide(position: Float[Array, "2"], displacement: Float[Array, "2"]) -> Float[Array, "2"]:
    """Moves a point along x, then along y, up to the first face of a wall.

    Args:
      position: not inside of a wall; on a face it may be.
      displacement: of any length, in world units.

    Returns:
      The new position, not inside of a wall either.
    """
    x, y = position
    x = _move(x, displacement[0], y, 0)
    return jnp.stack([x, _move(y, displacement[1], x, 1)])


def _move(along: Float[Array, ""], by: Float[Array, ""], across: Float[Array, ""], axis: int) -> Float[Array, ""]:
    """The coordinate on one axis, after the way between the nearest walls on both sides of it."""
    low, high = inner_wall_edges()
    in_the_way = (across > low[:, 1 - axis]) & (across < high[:, 1 - axis])
    ceiling = jnp.min(jnp.where(in_the_way & (along <= low[:, axis]), low[:, axis], np.float32(HIGH - HALF_THICKNESS)))
    floor = jnp.max(jnp.where(in_the_way & (along >= high[:, axis]), high[:, axis], np.float32(LOW + HALF_THICKNESS)))
    return jnp.clip(along + by, floor, ceiling)
