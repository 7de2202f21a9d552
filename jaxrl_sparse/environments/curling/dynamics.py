"""Rigid-body dynamics of Curling: an arm of two motorised links that pushes a ball about a walled table.

The arm is described by its two joint angles, the ball by position and spin: u = (w0, w1, vx, vy, spin). A step of
dt = 1/60 s damps the ball, finds impulses for motors, joint limits and the contacts that are closed (`impulses.solve`),
and moves the bodies. A ball that would run deeper into something than Box2D's contact skin does so up to there,
bounces, and moves on for the rest of the step (`_move`), so that no speed carries it through a link or a wall.

Lengths are in metres, angles in radians from the upright arm, counter-clockwise; units are SI.

Source: the Box2D world of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021), and
Catto, "Iterative Dynamics with Temporal Coherence" (2005), whose model of contacts, friction and restitution this is.
"""

from dataclasses import replace
from functools import reduce
from operator import add
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float

from jaxrl_sparse.environments.base import EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.curling import impulses as contact_impulses
from jaxrl_sparse.environments.curling.contacts import (
    BALL_RADIUS,
    BASE_Y,
    CENTER_BEYOND_ELBOW,
    ELBOW,
    HALF_LENGTH,
    HALF_LENGTHS,
    HALF_WIDTH,
    HALF_WIDTHS,
    SKIN,
    WALL,
    Boxes,
    Touch,
    ball_and_boxes,
    elbow,
    obstacles,
    tip_and_walls,
)
from jaxrl_sparse.numerics.predicates import anywhere

TIME_STEP = 1 / 60
JOINT_LIMITS = (0.4 * np.pi, 0.9 * np.pi)
LINK_DENSITIES = (5.0, 1.0)
# Box2D's slowest approach that bounces, and the depth that it leaves between bodies.
BOUNCE_SPEED = 1.0
SLOP = 0.005
# A fast ball runs 3 slops deep before it bounces, and a quarter of a slop beyond that goes unnoticed.
IMPACT_DEPTH = 3 * SLOP
UNNOTICED_DEPTH = SLOP / 4
# Three quarters of what is beyond the slop is taken back twice before the ball bounces.
REST_DEPTH = SLOP + (IMPACT_DEPTH - SLOP) / 16
# What of the depth beyond the slop a correction takes back, and how many of them there are in a step.
CORRECTION = 0.2
CORRECTIONS = 2

_AREA = 4 * HALF_WIDTH * HALF_LENGTH
LINK_MASSES = tuple(density * _AREA for density in LINK_DENSITIES)
# About the links' centres.
LINK_INERTIAS = tuple(mass * (4 * HALF_WIDTH**2 + 4 * HALF_LENGTH**2) / 12 for mass in LINK_MASSES)

# Of what the ball may strike, in the order of `contacts.obstacles`; walls do not move.
_INVERSE_MASSES = np.array([1 / LINK_MASSES[0], 1 / LINK_MASSES[1], 0, 0], np.float32)
_INVERSE_INERTIAS = np.array([1 / LINK_INERTIAS[0], 1 / LINK_INERTIAS[1], 0, 0], np.float32)
_ON_BASE_JOINT = np.array([1, 1, 0, 0], np.float32)
_ON_ELBOW = np.array([0, 1, 0, 0], np.float32)
# All contacts: the ball's four, and those of the second link's tip with the side wall and the lower wall. The signs
# tell whether a joint's speed carries the contact's first body along its normal (the tip), or the second one.
NUM_CONTACTS = 6
_OF_BALL = np.array([1, 1, 1, 1, 0, 0], np.float32)
_AT_BASE_JOINT = np.concatenate([-_ON_BASE_JOINT, [1, 1]]).astype(np.float32)
_AT_ELBOW = np.concatenate([-_ON_ELBOW, [1, 1]]).astype(np.float32)
NO_IMPULSES = np.zeros((2, 2 + NUM_CONTACTS), np.float32)


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


class _ArmInertia(NamedTuple):
    """The arm's mass matrix and its inverse: kg m^2, and their inverse."""

    m_00: Array
    m_01: Array
    m_11: Array
    inverse_00: Array
    inverse_01: Array
    inverse_11: Array


def advance(state: CurlingState, action: Float[Array, "2"], params: CurlingParams) -> CurlingState:
    """One step of 1/60 s.

    1. The ball slows down: v <- v (1 - c dt).
    2. u <- u + M^-1 J^T l: impulses l of motors, limits and closed contacts. A contact lets nothing approach, and makes
       a ball that approaches at v > 1 m/s leave at e v; its friction is at most mu times the normal impulse. A motor
       gives at most max_torque dt. The arm's centrifugal forces, far below what a motor can do, are left out.
    3. All bodies move by u dt, a ball that strikes something with a bounce in its course.
    4. Bodies that are too deep in one another are moved apart, without a change of speed.

    Args:
      state: before the step.
      action: the speeds that the two motors are to keep, radians per second.
      params: physical constants.
    """
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, state.x.dtype), params)
    keep, keep_spin = 1 - TIME_STEP * params.linear_damping, 1 - TIME_STEP * params.angular_damping
    state = replace(
        state,
        time=state.time + 1,
        velocity_x=keep * state.velocity_x,
        velocity_y=keep * state.velocity_y,
        spin=keep_spin * state.spin,
    )
    boxes = _obstacles(state)
    ball = ball_and_boxes(state.x, state.y, boxes)
    state = _exchange_impulses(state, action, params, boxes, _with_tip(ball, boxes))
    state = _move(state, params, ball.gap)
    return _take_back_depth(state, params)


def _obstacles(state: CurlingState) -> Boxes:
    return obstacles(state.angle_0, state.angle_1, state.x, state.y)


def _with_tip(ball: Touch, boxes: Boxes) -> Touch:
    return Touch(*(jnp.concatenate(pair) for pair in zip(ball, tip_and_walls(boxes), strict=True)))


def _arm_inertia(angle_1: Array) -> _ArmInertia:
    (mass_0, mass_1), (inertia_0, inertia_1) = LINK_MASSES, LINK_INERTIAS
    cross = mass_1 * ELBOW * CENTER_BEYOND_ELBOW * jnp.cos(angle_1)
    own = mass_1 * CENTER_BEYOND_ELBOW**2 + inertia_1
    m_00 = mass_0 * HALF_LENGTH**2 + inertia_0 + mass_1 * ELBOW**2 + own + 2 * cross
    m_01, m_11 = own + cross, jnp.full_like(cross, own)
    determinant = m_00 * m_11 - m_01 * m_01
    return _ArmInertia(m_00, m_01, m_11, m_11 / determinant, -m_01 / determinant, m_00 / determinant)


def _exchange_impulses(
    state: CurlingState, action: Float[Array, "2"], params: CurlingParams, boxes: Boxes, touch: Touch
) -> CurlingState:
    """The velocities that motors, joint limits and closed contacts agree on."""
    arm = _arm_inertia(state.angle_1)
    ball_mass, ball_inertia = _ball_inertia(params)
    speeds = (state.speed_0, state.speed_1, state.velocity_x, state.velocity_y, state.spin)
    jacobian = _jacobian(state, boxes, touch)
    responses = [
        arm.inverse_00 * jacobian[0] + arm.inverse_01 * jacobian[1],
        arm.inverse_01 * jacobian[0] + arm.inverse_11 * jacobian[1],
        jacobian[2] / ball_mass,
        jacobian[3] / ball_mass,
        jacobian[4] / ball_inertia,
    ]
    coupling = reduce(
        add, (row[:, :, None, None] * response for row, response in zip(jacobian, responses, strict=True))
    )
    velocities = reduce(add, (row * speed for row, speed in zip(jacobian, speeds, strict=True)))

    # A joint at a limit has no speed beyond it to strive for.
    angles, limits = jnp.stack([state.angle_0, state.angle_1]), np.array(JOINT_LIMITS, np.float32)
    at_upper, at_lower = angles >= limits, angles <= -limits
    target = jnp.where(at_upper, jnp.minimum(action, 0), jnp.where(at_lower, jnp.maximum(action, 0), action))
    approach = velocities[0, 2:]
    bounces = (approach < -BOUNCE_SPEED) & (_OF_BALL > 0)
    bounce = jnp.where(bounces, -params.ball_restitution * approach, 0)
    closed, most_motor = touch.gap <= 0, params.max_torque * TIME_STEP
    none, no_joint = jnp.zeros_like(touch.gap), jnp.zeros_like(target)
    rows = contact_impulses.Rows(
        coupling=coupling,
        velocities=velocities - _two_by_eight(target, bounce, no_joint, none),
        lower=_two_by_eight(no_joint - most_motor, none, jnp.where(at_upper, -jnp.inf, no_joint), none),
        upper=_two_by_eight(
            no_joint + most_motor, jnp.where(closed, jnp.inf, none), jnp.where(at_lower, jnp.inf, no_joint), none
        ),
        friction=jnp.concatenate([no_joint, jnp.where(closed, _friction(params), 0)]),
    )

    # What pushed in the last step is likely to go on; motors then need what is left to reach their speeds.
    limit, before = state.impulses[1, :2], state.impulses[:, 2:]
    kept = _two_by_eight(
        no_joint,
        jnp.where(closed, before[0], 0),
        jnp.where(at_upper | at_lower, limit, 0),
        jnp.where(closed, before[1], 0),
    )
    unmotorised = [speeds[joint] + jnp.sum(responses[joint] * kept) for joint in range(2)]
    motors = _motor_impulses(target[0] - unmotorised[0], target[1] - unmotorised[1], most_motor, arm)
    solution = contact_impulses.solve(rows, kept.at[0, :2].set(motors))
    speeds = [speed + jnp.sum(response * solution) for speed, response in zip(speeds, responses, strict=True)]
    return replace(_with_speeds(state, *speeds), impulses=solution)


def _jacobian(state: CurlingState, boxes: Boxes, touch: Touch) -> list[Float[Array, "2 8"]]:
    """dv/du of all rows v: [motors, normals] and [limits, tangents], for each of the five speeds u."""
    elbow_x, elbow_y = elbow(boxes)
    along_x = jnp.stack([touch.normal_x, -touch.normal_y])
    along_y = jnp.stack([touch.normal_y, touch.normal_x])
    contacts = [
        _AT_BASE_JOINT * (touch.x * along_y - (touch.y - BASE_Y) * along_x),
        _AT_ELBOW * ((touch.x - elbow_x) * along_y - (touch.y - elbow_y) * along_x),
        _OF_BALL * along_x,
        _OF_BALL * along_y,
        _OF_BALL * ((touch.x - state.x) * along_y - (touch.y - state.y) * along_x),
    ]
    joints = np.zeros((5, 2, 2), np.float32)
    joints[0, :, 0] = joints[1, :, 1] = 1
    return [
        jnp.concatenate([joint.astype(rows.dtype), rows], axis=1) for joint, rows in zip(joints, contacts, strict=True)
    ]


def _friction(params: CurlingParams) -> Float[Array, "6"]:
    link = jnp.sqrt(params.ball_friction * params.link_friction)
    wall = jnp.sqrt(params.ball_friction * params.wall_friction)
    tip = jnp.sqrt(params.link_friction * params.wall_friction)
    return jnp.stack([link, link, wall, wall, tip, tip])


def _two_by_eight(motors: Array, normals: Array, limits: Array, tangents: Array) -> Float[Array, "2 8"]:
    return jnp.concatenate([motors, normals, limits, tangents]).reshape(2, 2 + NUM_CONTACTS)


def _with_speeds(
    state: CurlingState, speed_0: Array, speed_1: Array, velocity_x: Array, velocity_y: Array, spin: Array
) -> CurlingState:
    return replace(state, speed_0=speed_0, speed_1=speed_1, velocity_x=velocity_x, velocity_y=velocity_y, spin=spin)


def _motor_impulses(lack_0: Array, lack_1: Array, most: Array | float, arm: _ArmInertia) -> Float[Array, "2"]:
    """What motors give to make up for a lack of speed: M lack where they are strong enough, nearly so elsewhere."""
    motor_0 = jnp.clip(arm.m_00 * lack_0 + arm.m_01 * lack_1, -most, most)
    motor_1 = jnp.clip(arm.m_01 * lack_0 + arm.m_11 * lack_1, -most, most)
    for _ in range(2):
        rest = lack_1 - arm.inverse_01 * motor_0 - arm.inverse_11 * motor_1
        motor_1 = jnp.clip(motor_1 + rest / arm.inverse_11, -most, most)
        rest = lack_0 - arm.inverse_00 * motor_0 - arm.inverse_01 * motor_1
        motor_0 = jnp.clip(motor_0 + rest / arm.inverse_00, -most, most)
    return jnp.stack([motor_0, motor_1])


def _ball_inertia(params: CurlingParams) -> tuple[Array, Array]:
    mass = jnp.asarray(params.ball_density) * (np.pi * BALL_RADIUS**2)
    return mass, mass * (BALL_RADIUS**2 / 2)


def _drift(state: CurlingState, duration: Array | float) -> CurlingState:
    return replace(
        state,
        angle_0=state.angle_0 + duration * state.speed_0,
        angle_1=state.angle_1 + duration * state.speed_1,
        x=state.x + duration * state.velocity_x,
        y=state.y + duration * state.velocity_y,
    )


def _move(state: CurlingState, params: CurlingParams, gaps: Float[Array, "4"]) -> CurlingState:
    """Moves all bodies for one step; a ball that runs into something bounces in its course.

    The instant of an impact is found by linear interpolation of the gap. In that instant the link is a body of its own:
    its joints take back their share in the next step, as they do in Box2D.
    """
    after = _drift(state, TIME_STEP)
    gaps_after = ball_and_boxes(after.x, after.y, _obstacles(after)).gap
    room = gaps + IMPACT_DEPTH
    hits = (room > 0) & (gaps_after + IMPACT_DEPTH < -UNNOTICED_DEPTH)
    # The share of the step before the impact.
    shares = jnp.where(hits, room / jnp.where(hits, gaps - gaps_after, 1), 1)
    first = jnp.min(shares)
    hit = jnp.any(hits)
    # Of two surfaces that are struck in one instant, the first in order.
    struck = hits & (np.arange(4) == jnp.argmin(jnp.where(hits, shares, jnp.inf)))

    def run_into() -> CurlingState:
        there = _bounce(_drift(state, first * TIME_STEP), params, struck)
        there = _drift(there, (1 - first) * TIME_STEP)
        return jax.tree.map(lambda bounced, free: jnp.where(hit, bounced, free), there, after)

    return jax.lax.cond(anywhere(hit), run_into, lambda: after)


def _bounce(state: CurlingState, params: CurlingParams, struck: Bool[Array, "4"]) -> CurlingState:
    """One impact of the ball, in closed form: it sticks to the surface, or slides on it with friction at its most.

    Before, both bodies are lifted out of one another to `REST_DEPTH`, each by the share of its inverse mass.
    """

    def chosen(leaf: Array | np.ndarray) -> Array:
        return jnp.sum(jnp.where(struck, leaf, 0))

    boxes = _obstacles(state)
    box = jax.tree.map(chosen, boxes)
    touch = ball_and_boxes(state.x, state.y, box, chosen(HALF_WIDTHS), chosen(HALF_LENGTHS))
    normal_x, normal_y = touch.normal_x, touch.normal_y
    elbow_x, elbow_y = elbow(boxes)
    on_base_joint, on_elbow = chosen(_ON_BASE_JOINT), chosen(_ON_ELBOW)
    from_base_x, from_base_y = on_base_joint * touch.x, on_base_joint * (touch.y - BASE_Y)
    from_elbow_x, from_elbow_y = on_elbow * (touch.x - elbow_x), on_elbow * (touch.y - elbow_y)
    ball_lever = BALL_RADIUS - REST_DEPTH / 2
    link_x, link_y = touch.x - box.x, touch.y - box.y
    link_n, link_t = link_x * normal_y - link_y * normal_x, link_x * normal_x + link_y * normal_y

    ball_mass, ball_inertia = _ball_inertia(params)
    inverse_mass, inverse_inertia = 1 / ball_mass + chosen(_INVERSE_MASSES), chosen(_INVERSE_INERTIAS)
    k_nn = inverse_mass + link_n * link_n * inverse_inertia
    k_nt = link_n * link_t * inverse_inertia
    k_tt = inverse_mass + ball_lever * ball_lever / ball_inertia + link_t * link_t * inverse_inertia

    slip_x = state.velocity_x + state.speed_0 * from_base_y + state.speed_1 * from_elbow_y
    slip_y = state.velocity_y - state.speed_0 * from_base_x - state.speed_1 * from_elbow_x
    approach = slip_x * normal_x + slip_y * normal_y
    slide = slip_y * normal_x - slip_x * normal_y - state.spin * ball_lever
    change = -approach * (1 + jnp.where(approach < -BOUNCE_SPEED, params.ball_restitution, 0))
    determinant = k_nn * k_tt - k_nt * k_nt
    along_n = (k_tt * change + k_nt * slide) / determinant
    along_t = (-k_nt * change - k_nn * slide) / determinant
    grip = jnp.sqrt(params.ball_friction * jnp.where(on_base_joint > 0, params.link_friction, params.wall_friction))
    slides = jnp.abs(along_t) > grip * along_n
    direction = jnp.sign(along_t)
    sliding_n = change / (k_nn + grip * direction * k_nt)
    along_n = jnp.where(slides, sliding_n, along_n)
    along_t = jnp.where(slides, grip * direction * sliding_n, along_t)

    arm = _arm_inertia(state.angle_1)

    def to_joints(push_x: Array, push_y: Array) -> tuple[Array, Array]:
        torque_0 = from_base_y * push_x - from_base_x * push_y
        torque_1 = from_elbow_y * push_x - from_elbow_x * push_y
        return (
            arm.inverse_00 * torque_0 + arm.inverse_01 * torque_1,
            arm.inverse_01 * torque_0 + arm.inverse_11 * torque_1,
        )

    lift = jnp.maximum(-touch.gap - REST_DEPTH, 0) / k_nn
    turn_0, turn_1 = to_joints(lift * normal_x, lift * normal_y)
    impulse_x, impulse_y = along_n * normal_x - along_t * normal_y, along_n * normal_y + along_t * normal_x
    kick_0, kick_1 = to_joints(impulse_x, impulse_y)
    return replace(
        state,
        angle_0=state.angle_0 + turn_0,
        angle_1=state.angle_1 + turn_1,
        x=state.x + lift * normal_x / ball_mass,
        y=state.y + lift * normal_y / ball_mass,
        speed_0=state.speed_0 + kick_0,
        speed_1=state.speed_1 + kick_1,
        velocity_x=state.velocity_x + impulse_x / ball_mass,
        velocity_y=state.velocity_y + impulse_y / ball_mass,
        spin=state.spin - ball_lever * along_t / ball_inertia,
    )


def _take_back_depth(state: CurlingState, params: CurlingParams) -> CurlingState:
    """Moves bodies that are too deep in one another apart, without a change of speed; the walls have the last word."""
    ball_mass, _ = _ball_inertia(params)
    x, y, angle_0, angle_1 = state.x, state.y, state.angle_0, state.angle_1
    arm = _arm_inertia(angle_1)
    boxes = _obstacles(state)
    elbow_x, elbow_y = elbow(boxes)
    ball = ball_and_boxes(x, y, boxes)
    touch = _with_tip(ball, boxes)
    lever_0 = _AT_BASE_JOINT * (touch.x * touch.normal_y - (touch.y - BASE_Y) * touch.normal_x)
    lever_1 = _AT_ELBOW * ((touch.x - elbow_x) * touch.normal_y - (touch.y - elbow_y) * touch.normal_x)
    turn_0 = arm.inverse_00 * lever_0 + arm.inverse_01 * lever_1
    turn_1 = arm.inverse_01 * lever_0 + arm.inverse_11 * lever_1
    give = _OF_BALL / ball_mass
    ease = 1 / jnp.maximum(lever_0 * turn_0 + lever_1 * turn_1 + give, 1e-6)
    gaps = touch.gap
    for _ in range(CORRECTIONS):
        push = _excess(gaps) * ease
        back_0, back_1 = jnp.sum(push * turn_0), jnp.sum(push * turn_1)
        back_x, back_y = jnp.sum(push * give * touch.normal_x), jnp.sum(push * give * touch.normal_y)
        angle_0, angle_1, x, y = angle_0 + back_0, angle_1 + back_1, x + back_x, y + back_y
        ball_back = _OF_BALL * (touch.normal_x * back_x + touch.normal_y * back_y)
        gaps = gaps + ball_back + lever_0 * back_0 + lever_1 * back_1
    reach = WALL - BALL_RADIUS - SKIN + IMPACT_DEPTH
    return replace(
        state,
        angle_0=angle_0,
        angle_1=angle_1,
        x=jnp.clip(x, -reach, reach),
        y=jnp.clip(y, -reach, reach),
    )


def _excess(gap: Array) -> Array:
    """How far to move apart: a fifth of what is beyond the slop, and all of what is deeper than an impact."""
    return jnp.maximum(
        CORRECTION * jnp.maximum(-gap - SLOP, 0), -gap - IMPACT_DEPTH + CORRECTION * (IMPACT_DEPTH - SLOP)
    )
