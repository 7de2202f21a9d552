"""Rigid-body dynamics of Curling: an arm of two motorised links that pushes a ball about a walled table, seen from above.

The arm is described by its two joint angles, the ball by position and spin: u = (w0, w1, vx, vy, spin). A step of
dt = 1/60 s damps the ball, finds impulses for motors, joint limits and the contacts that are closed (`impulses.solve`),
and moves the bodies. A ball that would run deeper into something than Box2D's contact skin does so up to there,
bounces, and moves on for the rest of the step (`_move`), so that no speed carries it through a link or a wall.

Lengths are in metres, angles in radians from the upright arm, counter-clockwise; units are SI.

Source: the Box2D world of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021), and
Catto, "Iterative Dynamics with Temporal Coherence" (2005), whose model of contacts, friction and restitution this is.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float

from jaxrl_sparse.environments.base import EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.curling import impulses as contact_impulses

TIME_STEP = 1 / 60
# Walls are at +-WALL; the base joint of the arm is on the middle of the lower wall's axis.
WALL = 1.45
BASE_Y = -1.5
BALL_RADIUS = 0.15
HALF_WIDTH, HALF_LENGTH = 0.05, 0.5
# The first link turns about its end; the second is held 0.1 above its own, where the first one ends.
ELBOW = 2 * HALF_LENGTH
CENTER_BEYOND_ELBOW = 0.4
TIP_BEYOND_ELBOW = CENTER_BEYOND_ELBOW + HALF_LENGTH
JOINT_LIMITS = (0.4 * np.pi, 0.9 * np.pi)
LINK_DENSITIES = (5.0, 1.0)
# Box2D's skin about polygons, the depth that it leaves between bodies, and its slowest speed that bounces.
SKIN = 0.01
SLOP = 0.005
BOUNCE_SPEED = 1.0
# A fast ball runs 3 slops deep before it bounces, and a quarter of a slop beyond that goes unnoticed.
IMPACT_DEPTH = 3 * SLOP
UNNOTICED_DEPTH = SLOP / 4
# What of the depth beyond the slop a step takes back.
CORRECTION = 0.2

_AREA = 4 * HALF_WIDTH * HALF_LENGTH
LINK_MASSES = tuple(density * _AREA for density in LINK_DENSITIES)
# About the links' centres.
LINK_INERTIAS = tuple(mass * (4 * HALF_WIDTH**2 + 4 * HALF_LENGTH**2) / 12 for mass in LINK_MASSES)

# The contacts, in the order of all arrays below: of the ball with both links and with the walls to its side and ahead,
# of the second link's tip with these walls. What a contact's impulse does to the joints depends on the signs.
NUM_CONTACTS = 6
_WITH_BALL = np.array([1, 1, 1, 1, 0, 0], np.float32)
_WITH_BASE_JOINT = np.array([-1, -1, 0, 0, 1, 1], np.float32)
_WITH_ELBOW = np.array([0, -1, 0, 0, 1, 1], np.float32)
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


class _Pose(NamedTuple):
    """Directions (-sin, cos) in which the links point, and the elbow."""

    sin_0: Array
    cos_0: Array
    sin_1: Array
    cos_1: Array
    elbow_x: Array
    elbow_y: Array


class _Touch(NamedTuple):
    """Where two surfaces are nearest: the gap between them less the skins, the normal towards the ball, the point."""

    gap: Array
    normal_x: Array
    normal_y: Array
    x: Array
    y: Array


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

    Args:
      state: before the step.
      action: the speeds that the two motors are to keep, radians per second.
      params: physical constants.
    """
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, state.x.dtype), params)
    keep, keep_spin = 1 - TIME_STEP * params.linear_damping, 1 - TIME_STEP * params.angular_damping
    state = state.replace(
        time=state.time + 1,
        velocity_x=keep * state.velocity_x,
        velocity_y=keep * state.velocity_y,
        spin=keep_spin * state.spin,
    )
    pose = _pose(state.angle_0, state.angle_1)
    touches = (*_ball_and_links(state.x, state.y, pose), *_ball_and_walls(state.x, state.y), *_tip_and_walls(pose))
    state = _exchange_impulses(state, action, params, pose, touches)
    state = _move(state, params, touches[:2])
    return _take_back_depth(state)


def _pose(angle_0: Array, angle_1: Array) -> _Pose:
    heading = angle_0 + angle_1
    sin_0, cos_0 = jnp.sin(angle_0), jnp.cos(angle_0)
    return _Pose(sin_0, cos_0, jnp.sin(heading), jnp.cos(heading), -ELBOW * sin_0, BASE_Y + ELBOW * cos_0)


def _arm_inertia(angle_1: Array) -> _ArmInertia:
    (mass_0, mass_1), (inertia_0, inertia_1) = LINK_MASSES, LINK_INERTIAS
    cross = mass_1 * ELBOW * CENTER_BEYOND_ELBOW * jnp.cos(angle_1)
    own = mass_1 * CENTER_BEYOND_ELBOW**2 + inertia_1
    m_00 = mass_0 * HALF_LENGTH**2 + inertia_0 + mass_1 * ELBOW**2 + own + 2 * cross
    m_01, m_11 = own + cross, jnp.full_like(cross, own)
    determinant = m_00 * m_11 - m_01 * m_01
    return _ArmInertia(m_00, m_01, m_11, m_11 / determinant, -m_01 / determinant, m_00 / determinant)


def _centers(pose: _Pose) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    return (
        (-HALF_LENGTH * pose.sin_0, BASE_Y + HALF_LENGTH * pose.cos_0),
        (pose.elbow_x - CENTER_BEYOND_ELBOW * pose.sin_1, pose.elbow_y + CENTER_BEYOND_ELBOW * pose.cos_1),
    )


def _ball_and_links(x: Array, y: Array, pose: _Pose) -> tuple[_Touch, _Touch]:
    center_0, center_1 = _centers(pose)
    return (
        _disc_and_link(x, y, *center_0, pose.sin_0, pose.cos_0),
        _disc_and_link(x, y, *center_1, pose.sin_1, pose.cos_1),
    )


def _disc_and_link(x: Array, y: Array, center_x: Array, center_y: Array, sin: Array, cos: Array) -> _Touch:
    """The ball and a link; for a ball whose centre is inside of the link, the way out is through the nearer side."""
    along, across = cos * (y - center_y) - sin * (x - center_x), cos * (x - center_x) + sin * (y - center_y)
    nearest_along, nearest_across = jnp.clip(along, -HALF_LENGTH, HALF_LENGTH), jnp.clip(across, -HALF_WIDTH, HALF_WIDTH)
    beyond_along, beyond_across = along - nearest_along, across - nearest_across
    distance = jnp.sqrt(beyond_along * beyond_along + beyond_across * beyond_across)
    inside = distance < 1e-6
    side = jnp.where(across < 0, -1.0, 1.0).astype(x.dtype)
    unit = 1 / jnp.where(inside, 1, distance)
    normal_along = jnp.where(inside, 0, beyond_along * unit)
    normal_across = jnp.where(inside, side, beyond_across * unit)
    nearest_across = jnp.where(inside, side * HALF_WIDTH, nearest_across)
    distance = jnp.where(inside, side * across - HALF_WIDTH, distance)
    return _Touch(
        gap=distance - (BALL_RADIUS + SKIN),
        normal_x=cos * normal_across - sin * normal_along,
        normal_y=sin * normal_across + cos * normal_along,
        x=center_x + cos * nearest_across - sin * nearest_along,
        y=center_y + sin * nearest_across + cos * nearest_along,
    )


def _ball_and_walls(x: Array, y: Array) -> tuple[_Touch, _Touch]:
    reach = WALL - BALL_RADIUS - SKIN
    side_x, side_y, zero = jnp.sign(x), jnp.sign(y), jnp.zeros_like(x)
    return (
        _Touch(reach - jnp.abs(x), -side_x, zero, side_x * WALL, y),
        _Touch(reach - jnp.abs(y), zero, -side_y, x, side_y * WALL),
    )


def _tip_and_walls(pose: _Pose) -> tuple[_Touch, _Touch]:
    """The corners of the second link's end that are nearest to a side wall and to the lower wall."""
    tip_x = pose.elbow_x - TIP_BEYOND_ELBOW * pose.sin_1
    tip_y = pose.elbow_y + TIP_BEYOND_ELBOW * pose.cos_1
    side, zero = jnp.sign(tip_x), jnp.zeros_like(tip_x)
    corner = HALF_WIDTH * jnp.sign(side * pose.cos_1)
    side_x, side_y = tip_x + corner * pose.cos_1, tip_y + corner * pose.sin_1
    corner = -HALF_WIDTH * jnp.sign(pose.sin_1)
    low_x, low_y = tip_x + corner * pose.cos_1, tip_y + corner * pose.sin_1
    return (
        _Touch(WALL - 2 * SKIN - side * side_x, -side, zero, side_x, side_y),
        _Touch(low_y + WALL - 2 * SKIN, zero, zero + 1, low_x, low_y),
    )


def _exchange_impulses(
    state: CurlingState, action: Float[Array, "2"], params: CurlingParams, pose: _Pose, touches: tuple[_Touch, ...]
) -> CurlingState:
    """The velocities that motors, joint limits and closed contacts agree on."""
    touch = _Touch(*(jnp.stack(leaves) for leaves in zip(*touches, strict=True)))
    arm = _arm_inertia(state.angle_1)
    ball_mass, ball_inertia = _ball_inertia(params)
    speeds = (state.speed_0, state.speed_1, state.velocity_x, state.velocity_y, state.spin)

    # Rows of J, one array of [normals and motors, friction and limits] for each of the five speeds.
    along_x = jnp.stack([touch.normal_x, -touch.normal_y])
    along_y = jnp.stack([touch.normal_y, touch.normal_x])
    joint_rows = [np.eye(2, dtype=np.float32)[i] for i in range(2)] + [np.zeros(2, np.float32)] * 3
    contact_rows = [
        _WITH_BASE_JOINT * (touch.x * along_y - (touch.y - BASE_Y) * along_x),
        _WITH_ELBOW * ((touch.x - pose.elbow_x) * along_y - (touch.y - pose.elbow_y) * along_x),
        _WITH_BALL * along_x,
        _WITH_BALL * along_y,
        _WITH_BALL * ((touch.x - state.x) * along_y - (touch.y - state.y) * along_x),
    ]
    jacobian = [
        jnp.concatenate([jnp.broadcast_to(jnp.asarray(joint, rows.dtype), (2, 2)), rows], axis=1)
        for joint, rows in zip(joint_rows, contact_rows, strict=True)
    ]
    responses = [
        arm.inverse_00 * jacobian[0] + arm.inverse_01 * jacobian[1],
        arm.inverse_01 * jacobian[0] + arm.inverse_11 * jacobian[1],
        jacobian[2] / ball_mass,
        jacobian[3] / ball_mass,
        jacobian[4] / ball_inertia,
    ]
    coupling = sum(row[:, :, None, None] * response for row, response in zip(jacobian, responses, strict=True))
    velocities = sum(row * speed for row, speed in zip(jacobian, speeds, strict=True))

    # A joint at a limit has no speed beyond it to strive for.
    angles = jnp.stack([state.angle_0, state.angle_1])
    limits = np.array(JOINT_LIMITS, np.float32)
    at_upper, at_lower = angles >= limits, angles <= -limits
    target = jnp.where(at_upper, jnp.minimum(action, 0), jnp.where(at_lower, jnp.maximum(action, 0), action))
    approach = velocities[0, 2:]
    bounces = (approach < -BOUNCE_SPEED) & (_WITH_BALL > 0)
    bounce = jnp.where(bounces, -params.ball_restitution * approach, 0)
    wanted = jnp.stack([jnp.concatenate([target, bounce]), jnp.zeros(2 + NUM_CONTACTS, bounce.dtype)])

    closed = touch.gap <= 0
    most_motor = jnp.broadcast_to(params.max_torque * TIME_STEP, (2,))
    none = jnp.zeros(NUM_CONTACTS, touch.gap.dtype)
    lower = [-most_motor, none, jnp.where(at_upper, -jnp.inf, 0), none]
    upper = [most_motor, jnp.where(closed, jnp.inf, 0), jnp.where(at_lower, jnp.inf, 0), none]
    grip_link = jnp.sqrt(params.ball_friction * params.link_friction)
    grip_wall = jnp.sqrt(params.ball_friction * params.wall_friction)
    grip_tip = jnp.sqrt(params.link_friction * params.wall_friction)
    grip = jnp.stack([grip_link, grip_link, grip_wall, grip_wall, grip_tip, grip_tip])
    rows = contact_impulses.Rows(
        coupling=coupling,
        velocities=velocities - wanted,
        lower=_two_by_eight(lower),
        upper=_two_by_eight(upper),
        friction=jnp.concatenate([jnp.zeros(2, grip.dtype), jnp.where(closed, grip, 0)]),
    )
    before = state.impulses[:, 2:]
    held = jnp.where(at_upper | at_lower, state.impulses[1, :2], 0)
    kept = [jnp.zeros(2, held.dtype), jnp.where(closed, before[0], 0), held, jnp.where(closed, before[1], 0)]
    start = _two_by_eight(kept)
    free = [speeds[i] + jnp.sum(responses[i] * start) for i in range(2)]
    motors = _motor_impulses(free, target, most_motor[0], arm)
    solution = contact_impulses.solve(rows, start.at[0, :2].set(motors))
    speeds = [speed + jnp.sum(response * solution) for speed, response in zip(speeds, responses, strict=True)]
    return _with_speeds(state, *speeds).replace(impulses=solution)


def _two_by_eight(pieces: list[Array]) -> Float[Array, "2 8"]:
    return jnp.concatenate(pieces).reshape(2, 2 + NUM_CONTACTS)


def _with_speeds(
    state: CurlingState, speed_0: Array, speed_1: Array, velocity_x: Array, velocity_y: Array, spin: Array
) -> CurlingState:
    return state.replace(speed_0=speed_0, speed_1=speed_1, velocity_x=velocity_x, velocity_y=velocity_y, spin=spin)


def _motor_impulses(
    speeds: list[Array], target: Float[Array, "2"], most: Array, arm: _ArmInertia
) -> Float[Array, "2"]:
    """What the motors would give without further contacts: exactly M (target - speeds) where they are strong enough."""
    lack_0, lack_1 = target[0] - speeds[0], target[1] - speeds[1]
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
    return state.replace(
        angle_0=state.angle_0 + duration * state.speed_0,
        angle_1=state.angle_1 + duration * state.speed_1,
        x=state.x + duration * state.velocity_x,
        y=state.y + duration * state.velocity_y,
    )


def _move(state: CurlingState, params: CurlingParams, before: tuple[_Touch, ...]) -> CurlingState:
    """Moves all bodies for one step; a ball that runs into something bounces in its course.

    The instant of an impact is found by linear interpolation of the gap. In that instant the link is a body of its own:
    its joints take back their share in the next step, as they do in Box2D.
    """
    after = _drift(state, TIME_STEP)
    at_end = _ball_and_links(after.x, after.y, _pose(after.angle_0, after.angle_1))
    shares = [_share(old.gap, new.gap) for old, new in zip(before, at_end, strict=True)]
    for position, velocity in ((state.x, state.velocity_x), (state.y, state.velocity_y)):
        gap = WALL - BALL_RADIUS - SKIN - jnp.sign(velocity) * position
        shares.append(_share(gap, gap - jnp.abs(velocity) * TIME_STEP))
    share = jnp.minimum(jnp.minimum(shares[0], shares[1]), jnp.minimum(shares[2], shares[3]))
    hits = share <= 1
    on_link_0 = hits & (shares[0] == share)
    on_link_1 = hits & ~on_link_0 & (shares[1] == share)
    on_side = hits & ~on_link_0 & ~on_link_1 & (shares[2] == share)

    there = _drift(state, jnp.minimum(share, 1) * TIME_STEP)
    pose = _pose(there.angle_0, there.angle_1)
    touches = (
        *_ball_and_links(there.x, there.y, pose),
        _wall_ahead(there, jnp.sign(state.velocity_x), 0),
        _wall_ahead(there, 0, jnp.sign(state.velocity_y)),
    )
    touch = _Touch(*(_choose((on_link_0, on_link_1, on_side), leaves) for leaves in zip(*touches, strict=True)))
    bounced = _bounce(there, params, pose, touch, on_link_0, on_link_1)
    bounced = _drift(bounced, (1 - share) * TIME_STEP)
    return jax.tree.map(lambda hit, free: jnp.where(hits, hit, free), bounced, after)


def _share(before: Array, after: Array) -> Array:
    """The share of the step after which a gap is as deep as an impact is; infinite where it is not."""
    room = before + IMPACT_DEPTH
    hits = (room > 0) & (after + IMPACT_DEPTH < -UNNOTICED_DEPTH)
    return jnp.where(hits, room / jnp.where(hits, before - after, 1), jnp.inf)


def _choose(conditions: tuple[Array, ...], leaves: tuple[Array, ...]) -> Array:
    *firsts, last = leaves
    for condition, leaf in zip(conditions[::-1], firsts[::-1], strict=True):
        last = jnp.where(condition, leaf, last)
    return last


def _wall_ahead(state: CurlingState, side_x: Array | int, side_y: Array | int) -> _Touch:
    normal_x, normal_y = -side_x + 0 * state.x, -side_y + 0 * state.y
    return _Touch(0 * state.x, normal_x, normal_y, state.x - BALL_RADIUS * normal_x, state.y - BALL_RADIUS * normal_y)


def _bounce(
    state: CurlingState,
    params: CurlingParams,
    pose: _Pose,
    touch: _Touch,
    on_link_0: Bool[Array, ""],
    on_link_1: Bool[Array, ""],
) -> CurlingState:
    """One impact of the ball, in closed form: it sticks to the surface, or slides on it with friction at its most."""
    ball_mass, ball_inertia = _ball_inertia(params)
    (center_0_x, center_0_y), (center_1_x, center_1_y) = _centers(pose)
    on_link = on_link_0 | on_link_1
    inverse_mass = 1 / ball_mass + jnp.where(on_link_0, 1 / LINK_MASSES[0], 0) + jnp.where(on_link_1, 1 / LINK_MASSES[1], 0)
    inverse_inertia = jnp.where(on_link_0, 1 / LINK_INERTIAS[0], jnp.where(on_link_1, 1 / LINK_INERTIAS[1], 0))
    arm_x, arm_y = touch.x - state.x, touch.y - state.y
    lever_x = touch.x - jnp.where(on_link_0, center_0_x, center_1_x)
    lever_y = touch.y - jnp.where(on_link_0, center_0_y, center_1_y)
    base_speed = jnp.where(on_link, state.speed_0, 0)
    elbow_speed = jnp.where(on_link_1, state.speed_1, 0)
    from_base_x, from_base_y = touch.x, touch.y - BASE_Y
    from_elbow_x, from_elbow_y = touch.x - pose.elbow_x, touch.y - pose.elbow_y
    slip_x = state.velocity_x - state.spin * arm_y + base_speed * from_base_y + elbow_speed * from_elbow_y
    slip_y = state.velocity_y + state.spin * arm_x - base_speed * from_base_x - elbow_speed * from_elbow_x

    normal_x, normal_y = touch.normal_x, touch.normal_y
    approach = slip_x * normal_x + slip_y * normal_y
    slide = slip_y * normal_x - slip_x * normal_y
    ball_n, ball_t = arm_x * normal_y - arm_y * normal_x, arm_x * normal_x + arm_y * normal_y
    link_n, link_t = lever_x * normal_y - lever_y * normal_x, lever_x * normal_x + lever_y * normal_y
    k_nn = inverse_mass + ball_n * ball_n / ball_inertia + link_n * link_n * inverse_inertia
    k_nt = ball_n * ball_t / ball_inertia + link_n * link_t * inverse_inertia
    k_tt = inverse_mass + ball_t * ball_t / ball_inertia + link_t * link_t * inverse_inertia
    change = -approach * (1 + jnp.where(approach < -BOUNCE_SPEED, params.ball_restitution, 0))

    determinant = k_nn * k_tt - k_nt * k_nt
    along_n = (k_tt * change + k_nt * slide) / determinant
    along_t = (-k_nt * change - k_nn * slide) / determinant
    grip = jnp.sqrt(params.ball_friction * jnp.where(on_link, params.link_friction, params.wall_friction))
    slides = jnp.abs(along_t) > grip * along_n
    direction = jnp.sign(along_t)
    sliding_n = change / (k_nn + grip * direction * k_nt)
    along_n = jnp.where(slides, sliding_n, along_n)
    along_t = jnp.where(slides, grip * direction * sliding_n, along_t)

    impulse_x, impulse_y = along_n * normal_x - along_t * normal_y, along_n * normal_y + along_t * normal_x
    arm = _arm_inertia(state.angle_1)
    torque_0 = -jnp.where(on_link, from_base_x * impulse_y - from_base_y * impulse_x, 0)
    torque_1 = -jnp.where(on_link_1, from_elbow_x * impulse_y - from_elbow_y * impulse_x, 0)
    return _with_speeds(
        state,
        state.speed_0 + arm.inverse_00 * torque_0 + arm.inverse_01 * torque_1,
        state.speed_1 + arm.inverse_01 * torque_0 + arm.inverse_11 * torque_1,
        state.velocity_x + impulse_x / ball_mass,
        state.velocity_y + impulse_y / ball_mass,
        state.spin + (arm_x * impulse_y - arm_y * impulse_x) / ball_inertia,
    )


def _take_back_depth(state: CurlingState) -> CurlingState:
    """Moves bodies that are too deep in one another apart, without a change of speed; the walls have the last word."""
    pose = _pose(state.angle_0, state.angle_1)
    arm = _arm_inertia(state.angle_1)
    angle_0, angle_1 = state.angle_0, state.angle_1
    for touch in _tip_and_walls(pose):
        lever_0 = touch.x * touch.normal_y - (touch.y - BASE_Y) * touch.normal_x
        lever_1 = (touch.x - pose.elbow_x) * touch.normal_y - (touch.y - pose.elbow_y) * touch.normal_x
        turn_0 = arm.inverse_00 * lever_0 + arm.inverse_01 * lever_1
        turn_1 = arm.inverse_01 * lever_0 + arm.inverse_11 * lever_1
        give = lever_0 * turn_0 + lever_1 * turn_1
        push = _excess(touch.gap) / jnp.maximum(give, 1e-6)
        angle_0, angle_1 = angle_0 + push * turn_0, angle_1 + push * turn_1
    x, y = state.x, state.y
    for link in range(2):
        touch = _ball_and_links(x, y, pose)[link]
        push = _excess(touch.gap)
        x, y = x + push * touch.normal_x, y + push * touch.normal_y
    side, lower = _ball_and_walls(x, y)
    x, y = x + _excess(side.gap) * side.normal_x, y + _excess(lower.gap) * lower.normal_y
    return state.replace(angle_0=angle_0, angle_1=angle_1, x=x, y=y)


def _excess(gap: Array) -> Array:
    """How far to move apart: a fifth of what is beyond the slop, and all of what is deeper than an impact."""
    return jnp.maximum(CORRECTION * jnp.maximum(-gap - SLOP, 0), -gap - IMPACT_DEPTH + CORRECTION * (IMPACT_DEPTH - SLOP))
