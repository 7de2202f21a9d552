import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.environments.curling.bodies import CurlingParams, arm_inertia, ball_inertia, drift
from jaxrl_sparse.environments.curling.contacts import elbow, obstacles
from jaxrl_sparse.environments.curling.curling import Curling

ANGLES = np.array([-2.5, -1.0, 0.0, 0.3, 1.7], np.float32)


def test_inertia_of_the_arm_is_that_of_its_moving_links():
    # Kinetic energy by the velocities of the links' centres, which numerical differences of the drawing give.
    step = 1e-2

    def centers(angle_0, angle_1):
        boxes = obstacles(jnp.float32(angle_0), jnp.float32(angle_1), jnp.float32(1), jnp.float32(1))
        return np.array([[boxes.x[0], boxes.y[0]], [boxes.x[1], boxes.y[1]]], float)

    masses, inertias = np.array([0.5, 0.1]), np.array([0.5, 0.1]) * (0.1**2 + 1) / 12
    for angle_1 in ANGLES:
        arm = arm_inertia(jnp.float32(angle_1))
        matrix = np.array([[arm.m_00, arm.m_01], [arm.m_01, arm.m_11]], float)
        inverse = np.array([[arm.inverse_00, arm.inverse_01], [arm.inverse_01, arm.inverse_11]], float)
        np.testing.assert_allclose(matrix @ inverse, np.eye(2), atol=1e-5)
        for speeds in np.array([[1.0, 0.0], [0.0, 1.0], [0.7, -1.3]]):
            ends = [centers(*(np.array([0.2, angle_1]) + side * step * speeds)) for side in (-1, 1)]
            velocities = (ends[1] - ends[0]) / (2 * step)
            spins = np.array([speeds[0], speeds.sum()])
            energy = np.sum(masses * np.sum(velocities**2, axis=1) + inertias * spins**2)
            np.testing.assert_allclose(speeds @ matrix @ speeds, energy, rtol=1e-3)


def test_ball_is_a_disc():
    mass, inertia = ball_inertia(CurlingParams(max_steps_in_episode=1, ball_density=2.0))
    np.testing.assert_allclose(mass, 2 * np.pi * 0.15**2, rtol=1e-6)
    np.testing.assert_allclose(inertia, mass * 0.15**2 / 2, rtol=1e-6)


def test_bodies_left_alone_keep_their_speeds_and_the_elbow_its_place():
    environment = Curling()
    _, state = environment.reset_env(jax.random.key(0), environment.default_params)
    speeds = {"speed_0": 0.4, "speed_1": -0.8, "velocity_x": 1.5, "velocity_y": -2.0, "spin": 3.0}
    state = state.replace(**{name: jnp.float32(value) for name, value in speeds.items()})
    after = drift(state, 0.5)
    moved = [after.angle_0, after.angle_1, after.x, after.y]
    np.testing.assert_allclose(moved, [0.2, -0.4, -0.5 + 0.75, 0.2 - 1.0], atol=1e-6)
    for name, value in speeds.items():
        assert float(getattr(after, name)) == np.float32(value)
    # Both links meet where the first one ends.
    boxes = obstacles(after.angle_0, after.angle_1, after.x, after.y)
    np.testing.assert_allclose(elbow(boxes), [-np.sin(0.2), -1.5 + np.cos(0.2)], atol=1e-6)
