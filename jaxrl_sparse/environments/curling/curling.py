"""Curling: an arm of two links that strikes a ball into one of two goals on a walled table."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.curling.bodies import CurlingParams, CurlingState
from jaxrl_sparse.environments.curling.contacts import (
    BALL_RADIUS,
    BASE_Y,
    ELBOW,
    HALF_WIDTH,
    TIP_BEYOND_ELBOW,
    WALL,
)
from jaxrl_sparse.environments.curling.dynamics import NO_IMPULSES, advance
from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.base import PlanarEnvironment, RewardArea

START_POSITION = (-0.5, 0.2)
MAX_STEPS = 500
GOALS = (RewardArea((0.8, 0.8), radius=0.4), RewardArea((0.8, -0.8), radius=0.2))
WALL_COLOR = (150 / 255, 150 / 255, 150 / 255)
LINK_COLOR = (100 / 255, 100 / 255, 100 / 255)


class Curling(PlanarEnvironment[CurlingState, CurlingParams]):
    """An arm of two links with motors and a ball on a table of 2.9 x 2.9 m, for 500 steps of 1/60 s.

    The action, clipped to [-1, 1]^2, is the speed in radians per second that each motor is to keep, counter-clockwise;
    at the second joint it is that of the second link relative to the first. The observation is
    (x, y, angle_0, angle_1, speed_0, speed_1): the ball's position in metres, the joints' angles and their speeds. The
    ball starts at rest, to the left of the upright arm, slows down by itself, and bounces off links and walls. Nothing
    is random, no episode terminates.

    The descriptor is the ball's last position. The last step pays (R - d) / R for its distance d < R from the centre of
    the first goal that it lies in: (0.8, 0.8), R = 0.4, or (0.8, -0.8), R = 0.2.

    Source: Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021), whose published code
    runs Box2D. The dynamics are those of `dynamics.advance`, and agree with Box2D as far as the tests say.
    """

    descriptor_bounds = ((-1.35, -1.35), (1.35, 1.35))
    world_bounds = ((-1.5, -1.5), (1.5, 1.5))
    reward_areas = GOALS

    @property
    def default_params(self) -> CurlingParams:
        """A time limit of 500 steps, and the published physical constants."""
        return CurlingParams(max_steps_in_episode=MAX_STEPS)

    def reset_env(self, key: PRNGKeyArray, params: CurlingParams) -> tuple[Float[Array, "6"], CurlingState]:
        """The ball at (-0.5, 0.2) and the arm upright, both at rest; the key is not used."""
        zero = jnp.zeros((), jnp.float32)
        state = CurlingState(
            time=jnp.zeros((), jnp.int32),
            angle_0=zero,
            angle_1=zero,
            speed_0=zero,
            speed_1=zero,
            x=zero + START_POSITION[0],
            y=zero + START_POSITION[1],
            velocity_x=zero,
            velocity_y=zero,
            spin=zero,
            impulses=jnp.asarray(NO_IMPULSES),
        )
        return _observe(state), state

    def step_env(
        self, key: PRNGKeyArray, state: CurlingState, action: Float[Array, "2"], params: CurlingParams
    ) -> tuple[Float[Array, "6"], CurlingState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step of 1/60 s; the key is not used."""
        state = advance(state, jnp.clip(action, -1.0, 1.0).astype(state.x.dtype), params)
        reward, _ = _paid(state)
        reward = jnp.where(state.time == params.max_steps_in_episode, reward, 0.0)
        return _observe(state), state, reward, jnp.zeros((), bool), {}

    def observation_space(self, params: CurlingParams) -> Any:
        """Positions in metres, angles in radians and their speeds; nothing but the walls and limits bounds them."""
        return spaces.native(spaces.Box(-np.inf, np.inf, (6,)))

    def action_space(self, params: CurlingParams) -> Any:
        """Speeds that the motors are to keep, radians per second."""
        return spaces.native(spaces.Box(-1.0, 1.0, (2,)))

    def descriptor(self, state: CurlingState, params: CurlingParams) -> Float[Array, "2"]:
        """The ball's position."""
        return jnp.stack([state.x, state.y])

    def area(self, state: CurlingState, params: CurlingParams) -> Int[Array, ""]:
        """The first goal that the ball lies in, -1 where none."""
        _, area = _paid(state)
        return area

    def render_state(self, state: CurlingState, params: CurlingParams) -> Float[Array, "4"]:
        """The ball's position and the joints' angles."""
        return jnp.stack([state.x, state.y, state.angle_0, state.angle_1])

    def render(self, render_state: Float[Array, "4"], size: int = 64) -> Float[Array, "{size} {size} 3"]:
        """The arm in dark grey and the ball in blue on the scene, y pointing up."""
        points = drawing.pixel_centers(self, size)
        image = self.scene(size)
        for link in _links(render_state[2], render_state[3]):
            covered = drawing.coverage(points, drawing.polyline(points, link, HALF_WIDTH))
            image = drawing.paint(image, covered, LINK_COLOR)
        ball = drawing.disc(points, render_state[:2], BALL_RADIUS)
        return drawing.paint(image, drawing.coverage(points, ball), drawing.BLUE)

    def scene(self, size: int = 256) -> Float[Array, "{size} {size} 3"]:
        """Goals in red and walls in light grey on white."""
        points = drawing.pixel_centers(self, size)
        image = drawing.paint_reward_areas(drawing.blank(size), points, self)
        walls = -drawing.rectangle(points, (0.0, 0.0), (2 * WALL, 2 * WALL))
        return drawing.paint(image, drawing.coverage(points, walls), WALL_COLOR)


def _observe(state: CurlingState) -> Float[Array, "6"]:
    return jnp.stack([state.x, state.y, state.angle_0, state.angle_1, state.speed_0, state.speed_1])


def _paid(state: CurlingState) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """Reward and number of the first goal that the ball lies in."""
    centers = np.array([goal.center for goal in GOALS], np.float32)
    radii = np.array([goal.radius for goal in GOALS], np.float32)
    rewards = 1 - jnp.hypot(state.x - centers[:, 0], state.y - centers[:, 1]) / radii
    inside = rewards >= 0
    first = jnp.argmax(inside).astype(jnp.int32)
    found = jnp.any(inside)
    return jnp.where(found, rewards[first], 0.0), jnp.where(found, first, -1)


def _links(angle_0: Float[Array, ""], angle_1: Float[Array, ""]) -> tuple[Float[Array, "2 2"], Float[Array, "2 2"]]:
    """The ends (x, y) of both links' middle lines."""
    base = jnp.array([0.0, BASE_Y], jnp.float32)
    heading = angle_0 + angle_1
    along_0 = jnp.stack([-jnp.sin(angle_0), jnp.cos(angle_0)])
    along_1 = jnp.stack([-jnp.sin(heading), jnp.cos(heading)])
    elbow = base + ELBOW * along_0
    return jnp.stack([base, elbow]), jnp.stack(
        [elbow - (ELBOW - TIP_BEYOND_ELBOW) * along_1, elbow + TIP_BEYOND_ELBOW * along_1]
    )
