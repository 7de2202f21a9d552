"""The arena of AntMaze: walls, goals and scaling, for the ant and for the point that stands in for it."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrl_sparse.environments.base import ParamsT, StateT
from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.base import PlanarEnvironment, RewardArea

LOW, HIGH = -30.0, 40.0
CENTER, SIZE = (LOW + HIGH) / 2, HIGH - LOW
HALF_THICKNESS = 0.3
START_POSITION = (-25.0, -25.0)
GOAL_POSITIONS = ((35.0, -25.0), (-25.0, 35.0))
GOAL_RADIUS = 3.0
# Centre and half of the size along x and y.
INNER_WALLS = (
    ((-15.0, 20.0), (HALF_THICKNESS, 17.0)),
    ((-3.0, -15.0), (13.0, HALF_THICKNESS)),
    ((10.0, -15.0), (HALF_THICKNESS, 15.0)),
)
OUTER_WALLS = (
    ((LOW, CENTER), (HALF_THICKNESS, SIZE / 2 + HALF_THICKNESS)),
    ((HIGH, CENTER), (HALF_THICKNESS, SIZE / 2 + HALF_THICKNESS)),
    ((CENTER, LOW), (SIZE / 2 + HALF_THICKNESS, HALF_THICKNESS)),
    ((CENTER, HIGH), (SIZE / 2 + HALF_THICKNESS, HALF_THICKNESS)),
)


class AntArena(PlanarEnvironment[StateT, ParamsT]):
    """A square of 70 x 70 units around (5, 5), with three inner walls and two goals.

    The descriptor is (p - 5) / 70 of the last position p. The last step pays (3 - d) / 3 for the distance d < 3 to one
    of the goals. The way to goal 0, (35, -25), leads out of the pocket below the horizontal wall and around the
    vertical one; goal 1, (-25, 35), lies straight ahead of the start (-25, -25) in the direction of +y.

    Source: Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021), in the authors'
    published code.
    """

    descriptor_bounds = ((-0.5, -0.5), (0.5, 0.5))
    world_bounds = ((LOW, LOW), (HIGH, HIGH))
    reward_areas = tuple(RewardArea(center, radius=GOAL_RADIUS) for center in GOAL_POSITIONS)

    def world_position(self, descriptor: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
        """70 times the descriptor + 5."""
        return SIZE * descriptor + CENTER

    def scene(self, size: int = 256) -> Float[Array, "{size} {size} 3"]:
        """Walls in black and goals in red on white."""
        points = drawing.pixel_centers(self, size)
        free = SIZE - 2 * HALF_THICKNESS
        distance = -drawing.rectangle(points, (CENTER, CENTER), (free, free))
        for center, half_size in INNER_WALLS:
            distance = jnp.minimum(distance, drawing.rectangle(points, center, (2 * half_size[0], 2 * half_size[1])))
        image = drawing.paint(drawing.blank(size), drawing.coverage(points, distance), drawing.BLACK)
        return drawing.paint_reward_areas(image, points, self)


def scaled_position(position: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
    """(p - 5) / 70: in [-1/2, 1/2]^2 within the arena."""
    return (position - CENTER) / SIZE


def inner_wall_edges() -> tuple[np.ndarray, np.ndarray]:
    """The lower left and the upper right corners of the inner walls, float32 `[3, 2]` each."""
    centers, half_sizes = np.array(INNER_WALLS).transpose(1, 0, 2)
    return (centers - half_sizes).astype(np.float32), (centers + half_sizes).astype(np.float32)
