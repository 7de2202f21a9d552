"""Impacts in the course of a step, by themselves; `test_dynamics` has them in whole steps and against Box2D."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.curling.bodies import IMPACT_DEPTH, TIME_STEP, CurlingParams
from jaxrl_sparse.environments.curling.contacts import ball_and_boxes, obstacles
from jaxrl_sparse.environments.curling.curling import Curling
from jaxrl_sparse.environments.curling.impacts import REST_DEPTH, move

# Where a ball's surface and a wall's skin touch.
TOUCHING = 1.45 - 0.15 - 0.01


@pytest.fixture(scope="module")
def moved():
    """One step of movement of a ball, `(x, y, velocity_x, velocity_y, spin)` a row, beside the upright arm at rest."""
    environment = Curling()
    _, rest = environment.reset_env(jax.random.key(0), environment.default_params)

    @jax.jit
    @jax.vmap
    def one(row, restitution):
        names = ("x", "y", "velocity_x", "velocity_y", "spin")
        state = rest.replace(**dict(zip(names, row, strict=True)))
        gaps = ball_and_boxes(state.x, state.y, obstacles(state.angle_0, state.angle_1, state.x, state.y)).gap
        params = CurlingParams(max_steps_in_episode=500, ball_restitution=restitution)
        after = move(state, params, gaps)
        return jnp.stack([getattr(after, name) for name in (*names, "speed_0", "speed_1")])

    def run(rows, restitution=0.9):
        padded = np.zeros((4, 5), np.float32)
        padded[: len(rows)] = rows
        return np.asarray(one(padded, np.full(4, restitution, np.float32)))[: len(rows)]

    return run


def test_free_ball_moves_by_its_velocity(moved):
    row = [0.6, 0.3, 2.0, -1.0, 4.0]
    np.testing.assert_allclose(moved([row])[0], [0.6 + 2 / 60, 0.3 - 1 / 60, 2, -1, 4, 0, 0], atol=1e-6)


@pytest.mark.parametrize("restitution", [0.0, 0.4, 0.9])
def test_fast_ball_turns_back_in_the_course_of_the_step(moved, restitution):
    speeds = np.array([3.0, 6.0, 12.0])
    rows = [[TOUCHING - 0.02, 0.8, speed, 0.0, 0.0] for speed in speeds]
    after = moved(rows, restitution)
    np.testing.assert_allclose(after[:, 2], -restitution * speeds, rtol=1e-5, atol=1e-5)
    # Up to the impact's depth, lifted to the rest depth, and back for what is left of the step.
    left = TIME_STEP - (0.02 + IMPACT_DEPTH) / speeds
    np.testing.assert_allclose(after[:, 0], TOUCHING + REST_DEPTH - restitution * speeds * left, atol=1e-5)


def test_slow_ball_sticks_and_does_not_bounce(moved):
    # Below 1 m/s, and deep enough in the wall to hit the impact's depth in this step.
    after = moved([[TOUCHING + 0.01, 0.8, 0.9, 0.0, 0.0]])[0]
    np.testing.assert_allclose(after[2], 0.0, atol=1e-6)
    np.testing.assert_allclose(after[0], TOUCHING + REST_DEPTH, atol=1e-5)


def test_friction_grips_the_rim_or_slides_at_its_most(moved):
    lever, inertia, grip = 0.15 - REST_DEPTH / 2, 0.15**2 / 2, np.sqrt(0.9 * 0.2)
    cases = np.array([[3.0, 0.5, 0.0], [3.0, 9.0, 0.0], [6.0, -2.0, 40.0]])
    after = moved([[TOUCHING - 0.02, 0.8, *case] for case in cases])
    for (vx, vy, spin), row in zip(cases, after, strict=True):
        slip = vy + spin * lever
        impulse = np.clip(-slip / (1 + lever**2 / inertia), -grip * 1.9 * vx, grip * 1.9 * vx)
        np.testing.assert_allclose(row[2:5], [-0.9 * vx, vy + impulse, spin + lever * impulse / inertia], rtol=1e-3)


def test_struck_link_is_a_body_of_its_own_and_its_joints_take_their_share(moved):
    # A ball against the middle of the first link: two free bodies, of which the link keeps what its joint lets it.
    mass, speed = np.pi * 0.15**2, 4.0
    after = moved([[0.05 + 0.15 + 0.01 + 0.02, -1.0, -speed, 0.0, 0.0]])[0]
    push = 1.9 * speed / (1 / mass + 1 / 0.5)
    np.testing.assert_allclose(after[2], -speed + push / mass, rtol=1e-3)
    # About the base joint the push has a lever of half a link; M from the velocities of the centres, upright.
    matrix = np.array([[0.5 * 0.25 + 0.1 * 1.4**2, 0.1 * 1.4 * 0.4], [0.1 * 1.4 * 0.4, 0.1 * 0.4**2]])
    matrix += np.array([[0.6, 0.1], [0.1, 0.1]]) * 1.01 / 12
    np.testing.assert_allclose(after[5:], np.linalg.solve(matrix, [0.5 * push, 0.0]), rtol=1e-2)
