"""Curling's bodies: their state, the constants that can be swept, what they weigh, and how they move when left alone.

Lengths are in metres, angles in radians from the upright arm, counter-clockwise; units are SI.

Source: the Box2D world of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021).
"""

from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from jaxrl_sparse.environments.base import EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.curling.contacts import (
    BALL_RADIUS,
    CENTER_BEYOND_ELBOW,
    ELBOW,
    HALF_LENGTH,
    HALF_WIDTH,
    Boxes,
    obstacles,
)

TIME_STEP = 1 / 60
JOINT_LIMITS = (0.4 * np.pi, 0.9 * np.pi)
LINK_DENSITIES = (5.0, 1.0)
_AREA = 4 * HALF_WIDTH * HALF_LENGTH
LINK_MASSES = tuple(density * _AREA for density in LINK_DENSITIES)
# About the links' centres.
LINK_INERTIAS = tuple(mass * (4 * HALF_WIDTH**2 + 4 * HALF_LENGTH**2) / 12 for mass in LINK_MASSES)
# Box2D's slowest approach that bounces, and the depth that it leaves between bodies.
BOUNCE_SPEED = 1.0
SLOP = 0.005
# A fast ball runs 3 slops deep before it bounces.
IMPACT_DEPTH = 3 * SLOP


@struct.dataclass
class CurlingState(EnvironmentState):
    """Arm and ball.

    Attributes:
      angle_0: of the first link, radians, counter-clockwise from upright.
      angle_1: of the second link relative to the first.
      speed_0: of `angle_0`, radians per second.
      speed_1: of `angle_1`.
      x: of the ball's centre, metres.
      y: likewise.
      velocity_x: of the ball, metres per second.
      velocity_y: likewise.
      spin: of the ball, radians per second.
      impulses: of the last step, where the next one's solution starts: motors and normals, then limits and friction.
    """

    angle_0: Float[Array, ""]
    angle_1: Float[Array, ""]
    speed_0: Float[Array, ""]
    speed_1: Float[Array, ""]
    x: Float[Array, ""]
    y: Float[Array, ""]
    velocity_x: Float[Array, ""]
    velocity_y: Float[Array, ""]
    spin: Float[Array, ""]
    impulses: Float[Array, "2 8"]


@struct.dataclass
class CurlingParams(EnvironmentParams):
    """The physical constants, all floats: they can be swept and randomised.

    Attributes:
      ball_density: kg per square metre.
      ball_restitution: e; an impact faster than 1 m/s returns e times its speed, a slower one sticks.
      ball_friction: of the ball; two surfaces rub with the root of the product of their coefficients.
      link_friction: of the links.
      wall_friction: of the walls.
      linear_damping: c, per second: v <- v (1 - c dt) in every step.
      angular_damping: of the ball's spin, likewise.
      max_torque: of each motor, newton metres.
    """

    ball_density: float | Array = 1.0
    ball_restitution: float | Array = 0.9
    ball_friction: float | Array = 0.9
    link_friction: float | Array = 0.9
    wall_friction: float | Array = 0.2
    linear_damping: float | Array = 1.1
    angular_damping: float | Array = 2.0
    max_torque: float | Array = 100.0


class ArmInertia(NamedTuple):
    """The arm's mass matrix M, in kg m^2, and its inverse."""

    m_00: Array
    m_01: Array
    m_11: Array
    inverse_00: Array
    inverse_01: Array
    inverse_11: Array


def arm_inertia(angle_1: Float[Array, ""]) -> ArmInertia:
    """M of the two links about the joints: the elbow's angle alone changes it."""
    (mass_0, mass_1), (inertia_0, inertia_1) = LINK_MASSES, LINK_INERTIAS
    cross = mass_1 * ELBOW * CENTER_BEYOND_ELBOW * jnp.cos(angle_1)
    own = mass_1 * CENTER_BEYOND_ELBOW**2 + inertia_1
    m_00 = mass_0 * HALF_LENGTH**2 + inertia_0 + mass_1 * ELBOW**2 + own + 2 * cross
    m_01, m_11 = own + cross, jnp.full_like(cross, own)
    determinant = m_00 * m_11 - m_01 * m_01
    return ArmInertia(m_00, m_01, m_11, m_11 / determinant, -m_01 / determinant, m_00 / determinant)


def ball_inertia(params: CurlingParams) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mass, kg, and moment of inertia, kg m^2, of the ball: a disc."""
    mass = jnp.asarray(params.ball_density) * (np.pi * BALL_RADIUS**2)
    return mass, mass * (BALL_RADIUS**2 / 2)


def drift(state: CurlingState, duration: Array | float) -> CurlingState:
    """All bodies after so many seconds at their speeds, whatever is in their way."""
    return replace(
        state,
        angle_0=state.angle_0 + duration * state.speed_0,
        angle_1=state.angle_1 + duration * state.speed_1,
        x=state.x + duration * state.velocity_x,
        y=state.y + duration * state.velocity_y,
    )


def obstacles_of(state: CurlingState) -> Boxes:
    """The four boxes that the ball may run into, see `contacts.obstacles`."""
    return obstacles(state.angle_0, state.angle_1, state.x, state.y)
