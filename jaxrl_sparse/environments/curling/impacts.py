"""Impacts of Curling's ball: a ball that strikes something bounces in the course of its step.

A ball that would run deeper into something than `IMPACT_DEPTH` does so up to there, bounces, and moves on for the rest
of the step, so that no speed carries it through a link or a wall.

Source: Catto, "Iterative Dynamics with Temporal Coherence" (2005), for friction and restitution; the depths are Box2D's
continuous collision's.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxrl_sparse.environments.curling.bodies import (
    BOUNCE_SPEED,
    IMPACT_DEPTH,
    LINK_INERTIAS,
    LINK_MASSES,
    SLOP,
    TIME_STEP,
    CurlingParams,
    CurlingState,
    arm_inertia,
    ball_inertia,
    drift,
    obstacles_of,
)
from jaxrl_sparse.environments.curling.contacts import (
    BALL_RADIUS,
    BASE_Y,
    HALF_LENGTHS,
    HALF_WIDTHS,
    ON_BASE_JOINT,
    ON_ELBOW,
    ball_and_boxes,
    elbow,
)
from jaxrl_sparse.numerics.predicates import anywhere

# What a ball runs deeper than an impact by a quarter of a slop goes unnoticed.
UNNOTICED_DEPTH = SLOP / 4
# Three quarters of what is beyond the slop is taken back twice before the ball bounces.
REST_DEPTH = SLOP + (IMPACT_DEPTH - SLOP) / 16
# Of what the ball may strike, in the order of `contacts.obstacles`; walls do not move.
_INVERSE_MASSES = np.array([1 / LINK_MASSES[0], 1 / LINK_MASSES[1], 0, 0], np.float32)
_INVERSE_INERTIAS = np.array([1 / LINK_INERTIAS[0], 1 / LINK_INERTIAS[1], 0, 0], np.float32)


def move(state: CurlingState, params: CurlingParams, gaps: Float[Array, "4"]) -> CurlingState:
    """Moves all bodies for one step; a ball that runs into something bounces in its course.

    The instant of an impact is found by linear interpolation of the gap. In that instant the link is a body of its own:
    its joints take back their share in the next step, as they do in Box2D.
    """
    after = drift(state, TIME_STEP)
    gaps_after = ball_and_boxes(after.x, after.y, obstacles_of(after)).gap
    room = gaps + IMPACT_DEPTH
    hits = (room > 0) & (gaps_after + IMPACT_DEPTH < -UNNOTICED_DEPTH)
    # The share of the step before the impact.
    shares = jnp.where(hits, room / jnp.where(hits, gaps - gaps_after, 1), 1)
    first = jnp.min(shares)
    hit = jnp.any(hits)
    # Of two surfaces that are struck in one instant, the first in order.
    struck = hits & (np.arange(4) == jnp.argmin(jnp.where(hits, shares, jnp.inf)))

    def run_into() -> CurlingState:
        there = _bounce(drift(state, first * TIME_STEP), params, struck)
        there = drift(there, (1 - first) * TIME_STEP)
        return jax.tree.map(lambda bounced, free: jnp.where(hit, bounced, free), there, after)

    return jax.lax.cond(anywhere(hit), run_into, lambda: after)


def _bounce(state: CurlingState, params: CurlingParams, struck: Bool[Array, "4"]) -> CurlingState:
    """One impact of the ball, in closed form: it sticks to the surface, or slides on it with friction at its most.

    Before, both bodies are lifted out of one another to `REST_DEPTH`, each by the share of its inverse mass.
    """

    def chosen(leaf: Array | np.ndarray) -> Array:
        return jnp.sum(jnp.where(struck, leaf, 0))

    boxes = obstacles_of(state)
    box = jax.tree.map(chosen, boxes)
    touch = ball_and_boxes(state.x, state.y, box, chosen(HALF_WIDTHS), chosen(HALF_LENGTHS))
    normal_x, normal_y = touch.normal_x, touch.normal_y
    elbow_x, elbow_y = elbow(boxes)
    on_base_joint, on_elbow = chosen(ON_BASE_JOINT), chosen(ON_ELBOW)
    from_base_x, from_base_y = on_base_joint * touch.x, on_base_joint * (touch.y - BASE_Y)
    from_elbow_x, from_elbow_y = on_elbow * (touch.x - elbow_x), on_elbow * (touch.y - elbow_y)
    ball_lever = BALL_RADIUS - REST_DEPTH / 2
    link_x, link_y = touch.x - box.x, touch.y - box.y
    link_n, link_t = link_x * normal_y - link_y * normal_x, link_x * normal_x + link_y * normal_y

    ball_mass, ball_moment = ball_inertia(params)
    inverse_mass, inverse_inertia = 1 / ball_mass + chosen(_INVERSE_MASSES), chosen(_INVERSE_INERTIAS)
    k_nn = inverse_mass + link_n * link_n * inverse_inertia
    k_nt = link_n * link_t * inverse_inertia
    k_tt = inverse_mass + ball_lever * ball_lever / ball_moment + link_t * link_t * inverse_inertia

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

    arm = arm_inertia(state.angle_1)

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
        spin=state.spin - ball_lever * along_t / ball_moment,
    )
