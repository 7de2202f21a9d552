"""Point2D: a point that walks in a square with four small rewarded boxes; the cheapest planar environment."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.base import PlanarEnvironment, RewardArea

STEP_LENGTH = 0.05
MAX_STEPS = 50
# (low_x, high_x, low_y, high_y), edges included.
REWARD_BOXES = (
    (0.75, 0.8, 0.75, 0.8),
    (-0.98, -0.93, 0.9, 0.95),
    (0.0, 0.05, -0.75, -0.7),
    (-0.75, -0.7, -0.05, 0.0),
)
DRAWN_RADIUS = 0.05


@struct.dataclass
class Point2DState(EnvironmentState):
    """The point, and the box that pays it.

    Attributes:
      position: (x, y) in [-1, 1]^2.
      area: index of the first box that the point was in, -1 so far.
    """

    position: Float[Array, "2"]
    area: Int[Array, ""]


class Point2D(PlanarEnvironment[Point2DState, EnvironmentParams]):
    """A point that starts at the origin and walks for 50 steps: p <- clip(p + a / 20, -1, 1).

    Each of four boxes of side 0.05 pays 1 for every step that ends inside of it, but only the box that was entered
    first in the episode. The observation is p; the action a is clipped to [-1, 1]^2. The descriptor is the last p.
    Nothing is random, no episode terminates.

    Source: the Walker2D of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021), in
    the authors' published code.
    """

    descriptor_bounds = ((-1.0, -1.0), (1.0, 1.0))
    world_bounds = ((-1.0, -1.0), (1.0, 1.0))
    reward_areas = tuple(
        RewardArea(((low_x + high_x) / 2, (low_y + high_y) / 2), size=(high_x - low_x, high_y - low_y))
        for low_x, high_x, low_y, high_y in REWARD_BOXES
    )

    @property
    def default_params(self) -> EnvironmentParams:
        """A time limit of 50 steps."""
        return EnvironmentParams(max_steps_in_episode=MAX_STEPS)

    def reset_env(self, key: PRNGKeyArray, params: EnvironmentParams) -> tuple[Float[Array, "2"], Point2DState]:
        """The point at the origin; the key is not used."""
        position = jnp.zeros(2, jnp.float32)
        return position, Point2DState(
            time=jnp.zeros((), jnp.int32), position=position, area=jnp.full((), -1, jnp.int32)
        )

    def step_env(
        self, key: PRNGKeyArray, state: Point2DState, action: Float[Array, "2"], params: EnvironmentParams
    ) -> tuple[Float[Array, "2"], Point2DState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step; the key is not used."""
        position = jnp.clip(state.position + STEP_LENGTH * jnp.clip(action, -1.0, 1.0), -1.0, 1.0)
        low_x, high_x, low_y, high_y = np.array(REWARD_BOXES, np.float32).T
        x, y = position
        inside = (x >= low_x) & (x <= high_x) & (y >= low_y) & (y <= high_y)
        area = jnp.where((state.area < 0) & jnp.any(inside), jnp.argmax(inside).astype(jnp.int32), state.area)
        reward = ((area >= 0) & inside[area]).astype(jnp.float32)
        state = Point2DState(time=state.time + 1, position=position, area=area)
        return position, state, reward, jnp.zeros((), bool), {}

    def observation_space(self, params: EnvironmentParams) -> Any:
        """The square."""
        return spaces.native(spaces.Box(-1.0, 1.0, (2,)))

    def action_space(self, params: EnvironmentParams) -> Any:
        """Displacements, in units of 1/20."""
        return spaces.native(spaces.Box(-1.0, 1.0, (2,)))

    def descriptor(self, state: Point2DState, params: EnvironmentParams) -> Float[Array, "2"]:
        """The position."""
        return state.position

    def area(self, state: Point2DState, params: EnvironmentParams) -> Int[Array, ""]:
        """The first box that was entered, -1 where none."""
        return state.area

    def render_state(self, state: Point2DState, params: EnvironmentParams) -> Float[Array, "2"]:
        """The position."""
        return state.position

    def render(self, render_state: Float[Array, "2"], size: int = 64) -> Float[Array, "{size} {size} 3"]:
        """A blue disc on the scene."""
        points = drawing.pixel_centers(self, size)
        radius = drawing.visible(self, size, DRAWN_RADIUS)
        robot = drawing.coverage(points, drawing.disc(points, render_state, radius))
        return drawing.paint(self.scene(size), robot, drawing.BLUE)

    def scene(self, size: int = 256) -> Float[Array, "{size} {size} 3"]:
        """The four boxes in red on white."""
        return drawing.paint_reward_areas(drawing.blank(size), drawing.pixel_centers(self, size), self)
