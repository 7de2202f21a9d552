"""RedundantArm: an arm of 20 joints in a walled square that must reach without touching itself or a wall."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.base import PlanarEnvironment, RewardArea, proximity_reward

NUM_JOINTS = 20
SEGMENT_LENGTH = 0.05
BASE_POSITION = (0.5, 0.5)
BASE_ANGLE = np.pi / 2
MAX_STEPS = 100
SUBSTEPS = 2
SUBSTEP_DURATION = 0.01
# Joints closer to one another than this, |dx| + |dy|, collide.
MIN_JOINT_DISTANCE = 0.0475
# (x, y, width, height) of the walls: four spikes that point from the middle of each side to the centre.
WALLS = (
    (0.49, 0.0, 0.02, 0.2),
    (0.49, 0.8, 0.02, 0.2),
    (0.0, 0.49, 0.2, 0.02),
    (0.8, 0.49, 0.2, 0.02),
)
GOAL_POSITIONS = ((0.25, 0.25), (0.85, 0.85), (0.25, 0.90))
GOAL_RADIUS = 0.05
# The published image draws the arm 3 of its 400 pixels wide.
DRAWN_HALF_WIDTH = 1.5 / 400


@struct.dataclass
class RedundantArmState(EnvironmentState):
    """The pose of the arm and its speed.

    Attributes:
      angles: of each segment relative to the one before, radians.
      speeds: of the angles, radians per second.
      collided: whether the arm has stopped, for good, before a collision.
    """

    angles: Float[Array, "joints"]
    speeds: Float[Array, "joints"]
    collided: Bool[Array, ""]


class RedundantArm(PlanarEnvironment[RedundantArmState, EnvironmentParams]):
    """An arm of 20 segments of length 0.05, rooted in the middle of the unit square, driven by angular accelerations.

    The arm starts as a spiral at rest. A control step is two substeps of dt = 0.01: w' = w + a dt / 2 and
    angle' = angle + w' dt for every joint, if that is legal; otherwise the arm stays where it is and the episode
    terminates. It is illegal where a joint is outside [0, 1)^2 or strictly inside one of four walls, where two of the
    21 joints are closer than 0.0475 in |dx| + |dy|, or where half the distance that the end effector would move plus
    the last joint's w (radians per second: mixed units, as published) exceeds 1.

    The observation is angle / pi; the action a is clipped to [-1, 1]^20. The end effector is the descriptor. At the
    end of the episode it is paid (R - d) / R for its distance d < R = 0.05 from one of three goals, whether a collision
    or the time limit of 100 steps ended it. Nothing is random.

    Args:
      reward_on_timeout: False leaves episodes that reach the time limit unpaid, as the published code does; the
        published results cannot come from that.

    Source: Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021), in the authors'
    published code.
    """

    descriptor_bounds = ((0.0, 0.0), (1.0, 1.0))
    world_bounds = ((0.0, 0.0), (1.0, 1.0))
    reward_areas = tuple(RewardArea(center, radius=GOAL_RADIUS) for center in GOAL_POSITIONS)

    def __init__(self, reward_on_timeout: bool = True):
        self.reward_on_timeout = reward_on_timeout

    @property
    def default_params(self) -> EnvironmentParams:
        """A time limit of 100 steps."""
        return EnvironmentParams(max_steps_in_episode=MAX_STEPS)

    def reset_env(
        self, key: PRNGKeyArray, params: EnvironmentParams
    ) -> tuple[Float[Array, "joints"], RedundantArmState]:
        """The spiral, at rest: angles that fall evenly from pi / 5 to pi / 20; the key is not used."""
        angles = jnp.asarray(np.linspace(np.pi / 5, np.pi / 20, NUM_JOINTS), jnp.float32)
        state = RedundantArmState(
            time=jnp.zeros((), jnp.int32),
            angles=angles,
            speeds=jnp.zeros(NUM_JOINTS, jnp.float32),
            collided=jnp.zeros((), bool),
        )
        return angles / np.pi, state

    def step_env(
        self,
        key: PRNGKeyArray,
        state: RedundantArmState,
        action: Float[Array, "joints"],
        params: EnvironmentParams,
    ) -> tuple[Float[Array, "joints"], RedundantArmState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One control step; the key is not used."""
        accelerations = jnp.clip(action, -1.0, 1.0)
        angles, speeds, collided = state.angles, state.speeds, state.collided
        end_effector = joint_positions(angles)[-1]
        for _ in range(SUBSTEPS):
            angles, speeds, end_effector, collided = _substep(angles, speeds, end_effector, collided, accelerations)
        time = state.time + 1
        ends = collided | (time == params.max_steps_in_episode) if self.reward_on_timeout else collided
        reward, _ = proximity_reward(end_effector, self.reward_areas)
        reward = jnp.where(ends & ~state.collided, reward, 0.0)
        state = RedundantArmState(time=time, angles=angles, speeds=speeds, collided=collided)
        return angles / np.pi, state, reward, collided, {}

    def observation_space(self, params: EnvironmentParams) -> Any:
        """Angles in units of pi: within 100 steps no joint turns by more than 1.01 radians."""
        return spaces.native(spaces.Box(-1.0, 1.0, (NUM_JOINTS,)))

    def action_space(self, params: EnvironmentParams) -> Any:
        """Angular accelerations, radians per second squared."""
        return spaces.native(spaces.Box(-1.0, 1.0, (NUM_JOINTS,)))

    def descriptor(self, state: RedundantArmState, params: EnvironmentParams) -> Float[Array, "2"]:
        """The end effector's position."""
        return joint_positions(state.angles)[-1]

    def area(self, state: RedundantArmState, params: EnvironmentParams) -> Int[Array, ""]:
        """The goal that the end effector is at and that is paid, -1 where none."""
        _, area = proximity_reward(joint_positions(state.angles)[-1], self.reward_areas)
        return area if self.reward_on_timeout else jnp.where(state.collided, area, -1)

    def render_state(self, state: RedundantArmState, params: EnvironmentParams) -> Float[Array, "joints"]:
        """The angles."""
        return state.angles

    def render(self, render_state: Float[Array, "joints"], size: int = 64) -> Float[Array, "{size} {size} 3"]:
        """The arm as a thin black line on the scene, y pointing up."""
        points, half_width = drawing.pixel_centers(self, size), drawing.visible(self, size, DRAWN_HALF_WIDTH)
        arm = drawing.line(points, joint_positions(render_state), half_width)
        return drawing.paint(self.scene(size), arm, drawing.BLACK)

    def scene(self, size: int = 256) -> Float[Array, "{size} {size} 3"]:
        """Walls in black and goals in red on white."""
        points = drawing.pixel_centers(self, size)
        image = drawing.blank(size)
        for x, y, width, height in WALLS:
            wall = drawing.rectangle(points, (x + width / 2, y + height / 2), (width, height))
            image = drawing.paint(image, drawing.coverage(points, wall), drawing.BLACK)
        return drawing.paint_reward_areas(image, points, self)


def joint_positions(angles: Float[Array, "joints"]) -> Float[Array, "joints+1 2"]:
    """The joints (x, y) from the base to the end effector: segment i points at pi / 2 + angles[0] + ... + angles[i]."""
    return jnp.stack(_joints(angles), axis=1)


def collides(x: Float[Array, "joints"], y: Float[Array, "joints"]) -> Bool[Array, ""]:
    """Whether a joint is outside the arena, inside a wall or at another joint."""
    outside = jnp.any((x < 0) | (x >= 1) | (y < 0) | (y >= 1))
    low_x, low_y, width, height = np.array(WALLS, np.float32).T[..., None]
    in_wall = (x > low_x) & (x < low_x + width) & (y > low_y) & (y < low_y + height)
    distances = jnp.abs(x[:, None] - x) + jnp.abs(y[:, None] - y)
    too_close = (distances < MIN_JOINT_DISTANCE) & ~np.eye(len(x), dtype=bool)
    return outside | jnp.any(in_wall) | jnp.any(too_close)


def _joints(angles: Float[Array, "joints"]) -> tuple[Float[Array, "joints+1"], Float[Array, "joints+1"]]:
    headings = BASE_ANGLE + jnp.cumsum(angles)
    segments = SEGMENT_LENGTH * jnp.stack([jnp.cos(headings), jnp.sin(headings)])
    joints = jnp.cumsum(jnp.concatenate([np.array(BASE_POSITION, np.float32)[:, None], segments], axis=1), axis=1)
    return joints[0], joints[1]


def _substep(
    angles: Float[Array, "joints"],
    speeds: Float[Array, "joints"],
    end_effector: Float[Array, "2"],
    collided: Bool[Array, ""],
    accelerations: Float[Array, "joints"],
) -> tuple[Float[Array, "joints"], Float[Array, "joints"], Float[Array, "2"], Bool[Array, ""]]:
    next_speeds = speeds + 0.5 * accelerations * SUBSTEP_DURATION
    next_angles = angles + next_speeds * SUBSTEP_DURATION
    x, y = _joints(next_angles)
    next_end_effector = jnp.stack([x[-1], y[-1]])
    too_fast = jnp.linalg.norm(next_end_effector - end_effector) / 2 + speeds[-1] > 1
    collided = collided | too_fast | collides(x, y)
    return (
        jnp.where(collided, angles, next_angles),
        jnp.where(collided, speeds, next_speeds),
        jnp.where(collided, end_effector, next_end_effector),
        collided,
    )
