"""Rigid-body dynamics of Curling: an arm of two motorised links that pushes a ball about a walled table.

The arm is described by its two joint angles, the ball by position and spin: u = (w0, w1, vx, vy, spin). A step of
dt = 1/60 s damps the ball, finds impulses for motors, joint limits and the contacts that are closed (`impulses.solve`),
and moves the bodies. A ball that would run deeper into something than Box2D's contact skin does so up to there,
bounces, and moves on for the rest of the step (`impacts.move`): no speed carries it through a link or a wall.

Lengths are in metres, angles in radians from the upright arm, counter-clockwise; units are SI.

Source: the Box2D world of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021), and
Catto, "Iterative Dynamics with Temporal Coherence" (2005), whose model of contacts, friction and restitution this is.
"""

from dataclasses import replace
from functools import reduce
from operator import add

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrl_sparse.environments.curling import impulses as contact_impulses
from jaxrl_sparse.environments.curling.bodies import (
    BOUNCE_SPEED,
    IMPACT_DEPTH,
    JOINT_LIMITS,
    SLOP,
    TIME_STEP,
    ArmInertia,
    CurlingParams,
    CurlingState,
    arm_inertia,
    ball_inertia,
    obstacles_of,
)
from jaxrl_sparse.environments.curling.contacts import (
    BALL_RADIUS,
    BASE_Y,
    ON_BASE_JOINT,
    ON_ELBOW,
    SKIN,
    WALL,
    Boxes,
    Touch,
    ball_and_boxes,
    elbow,
    tip_and_walls,
)
from jaxrl_sparse.environments.curling.impacts import move

# What of the depth beyond the slop a correction takes back, and how many of them there are in a step.
CORRECTION = 0.2
CORRECTIONS = 2

# All contacts: the ball's four, and those of the second link's tip with the side wall and the lower wall. The signs
# tell whether a joint's speed carries the contact's first body along its normal (the tip), or the second one.
NUM_CONTACTS = 6
_OF_BALL = np.array([1, 1, 1, 1, 0, 0], np.float32)
_AT_BASE_JOINT = np.concatenate([-ON_BASE_JOINT, [1, 1]]).astype(np.float32)
_AT_ELBOW = np.concatenate([-ON_ELBOW, [1, 1]]).astype(np.float32)
NO_IMPULSES = np.zeros((2, 2 + NUM_CONTACTS), np.float32)


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
    boxes = obstacles_of(state)
    ball = ball_and_boxes(state.x, state.y, boxes)
    state = _exchange_impulses(state, action, params, boxes, _with_tip(ball, boxes))
    state = move(state, params, ball.gap)
    return _take_back_depth(state, params)


def _with_tip(ball: Touch, boxes: Boxes) -> Touch:
    return Touch(*(jnp.concatenate(pair) for pair in zip(ball, tip_and_walls(boxes), strict=True)))


def _exchange_impulses(
    state: CurlingState, action: Float[Array, "2"], params: CurlingParams, boxes: Boxes, touch: Touch
) -> CurlingState:
    """The velocities that motors, joint limits and closed contacts agree on."""
    arm = arm_inertia(state.angle_1)
    ball_mass, ball_moment = ball_inertia(params)
    speeds = (state.speed_0, state.speed_1, state.velocity_x, state.velocity_y, state.spin)
    jacobian = _jacobian(state, boxes, touch)
    responses = [
        arm.inverse_00 * jacobian[0] + arm.inverse_01 * jacobian[1],
        arm.inverse_01 * jacobian[0] + arm.inverse_11 * jacobian[1],
        jacobian[2] / ball_mass,
        jacobian[3] / ball_mass,
        jacobian[4] / ball_moment,
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


def _motor_impulses(lack_0: Array, lack_1: Array, most: Array | float, arm: ArmInertia) -> Float[Array, "2"]:
    """What motors give to make up for a lack of speed: M lack where they are strong enough, nearly so elsewhere."""
    motor_0 = jnp.clip(arm.m_00 * lack_0 + arm.m_01 * lack_1, -most, most)
    motor_1 = jnp.clip(arm.m_01 * lack_0 + arm.m_11 * lack_1, -most, most)
    for _ in range(2):
        rest = lack_1 - arm.inverse_01 * motor_0 - arm.inverse_11 * motor_1
        motor_1 = jnp.clip(motor_1 + rest / arm.inverse_11, -most, most)
        rest = lack_0 - arm.inverse_00 * motor_0 - arm.inverse_01 * motor_1
        motor_0 = jnp.clip(motor_0 + rest / arm.inverse_00, -most, most)
    return jnp.stack([motor_0, motor_1])


def _take_back_depth(state: CurlingState, params: CurlingParams) -> CurlingState:
    """Moves bodies that are too deep in one another apart, without a change of speed; the walls have the last word."""
    ball_mass, _ = ball_inertia(params)
    x, y, angle_0, angle_1 = state.x, state.y, state.angle_0, state.angle_1
    arm = arm_inertia(angle_1)
    boxes = obstacles_of(state)
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
