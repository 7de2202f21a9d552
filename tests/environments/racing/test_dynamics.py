"""Both models against formulas in numpy, scipy's integrator, closed forms, a mirror and the method's order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from jaxrl_sparse.environments.racing.dynamics import (
    CarConstants,
    car_step,
    dynamic_rates,
    kinematic_rates,
    runge_kutta,
)

CAR = CarConstants()
STRAIGHT = lambda s: jnp.zeros_like(s)  # noqa: E731
ONE_STEP = jax.jit(lambda state, action, kappa: car_step(state, action, lambda s: jnp.full_like(s, kappa), CAR))


def dynamic_by_hand(x, duty, delta, kappa):
    _, d, mu, vx, vy, r = x
    alpha_f = -np.arctan((0.029 * r + vy) / (vx + 1e-5)) + delta
    alpha_r = np.arctan((0.033 * r - vy) / (vx + 1e-5))
    f_fy = 1.05 * 0.192 * np.sin(1.2 * np.arctan(2.579 * alpha_f))
    f_ry = 0.1737 * 1.2 * np.sin(1.2691 * np.arctan(3.3852 / 1.2 * alpha_r))
    f_rx = 0.287 * duty - 0.054527 * vx * duty - 0.000348 * vx**2 - 0.051891
    s_rate = (vx * np.cos(mu) - vy * np.sin(mu)) / (1 - kappa * d)
    return np.array(
        [
            s_rate,
            vx * np.sin(mu) + vy * np.cos(mu),
            r - kappa * s_rate,
            (f_rx - f_fy * np.sin(delta) + 0.041 * vy * r) / 0.041,
            (f_ry + f_fy * np.cos(delta) - 0.041 * vx * r) / 0.041,
            (f_fy * 0.029 * np.cos(delta) - f_ry * 0.033) / 27.8e-6,
        ]
    )


def kinematic_by_hand(x, duty, delta, kappa):
    _, d, mu, v = x
    beta = np.arctan(0.033 * np.tan(delta) / 0.062)
    s_rate = v * np.cos(beta + mu) / (1 - kappa * d)
    if v <= 0.1:
        duty = max(duty, (0.051891 + 0.000348 * v**2) / (0.287 - 0.054527 * v))
    v_rate = (0.287 * duty - 0.054527 * v * duty - 0.051891 - 0.000348 * v**2) / 0.041
    return np.array([s_rate, v * np.sin(beta + mu), v * np.sin(beta) / 0.033 - kappa * s_rate, v_rate])


@pytest.mark.parametrize("seed", range(5))
def test_rates_are_those_by_hand(seed):
    rng = np.random.default_rng(seed)
    low, high = [0, -0.2, -0.5, 0.0, -0.4, -5], [16, 0.2, 0.5, 3.0, 0.4, 5]
    x, duty, delta, kappa = rng.uniform(low, high), rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-4, 4)
    slow = np.append(x[:3], rng.choice([0.03, 0.09, 0.2]))
    with jax.enable_x64(True):
        arguments = (jnp.asarray(duty), jnp.asarray(delta), lambda s: jnp.full_like(s, kappa), CAR)
        np.testing.assert_allclose(
            dynamic_rates(jnp.asarray(x), *arguments), dynamic_by_hand(x, duty, delta, kappa), rtol=1e-9
        )
        np.testing.assert_allclose(
            kinematic_rates(jnp.asarray(slow), *arguments),
            kinematic_by_hand(slow, duty, delta, kappa),
            rtol=1e-9,
            atol=1e-12,
        )


def test_a_straight_coast_down_has_its_closed_form():
    """m v' = -(C_r0 + C_r2 v^2): `v = q tan(arctan(v_0 / q) - q C_r2 t / m)`, `q = sqrt(C_r0 / C_r2)`."""
    state = jnp.array([0.0, 0.05, 0.0, 3.0, 0.0, 0.0])
    speeds = []
    for _ in range(50):
        state = ONE_STEP(state, jnp.zeros(2), 0.0)
        speeds.append(float(state[3]))
    ratio = np.sqrt(0.051891 / 0.000348)
    times = 0.03 * np.arange(1, 51)
    expected = ratio * np.tan(np.arctan(3 / ratio) - ratio * 0.000348 / 0.041 * times)
    np.testing.assert_allclose(speeds, expected, rtol=1e-5)
    # The way is the area under the speed; without steering the car keeps its line.
    np.testing.assert_allclose(state[0], 0.03 * (1.5 + sum(expected[:-1]) + expected[-1] / 2), rtol=1e-5)
    np.testing.assert_allclose(state[1:3], [0.05, 0], atol=1e-7)


def test_driving_straight_is_what_scipy_integrates():
    """From rest to the top speed through both models: they agree where nothing slips sideways."""
    steps, duty = 60, 0.7
    state = jnp.zeros(6)
    for _ in range(steps):
        state = ONE_STEP(state, jnp.array([duty, 0.0]), 0.0)
    solution = solve_ivp(
        lambda t, x: kinematic_by_hand([x[0], 0, 0, x[1]], duty, 0.0, 0.0)[[0, 3]],
        (0, 0.03 * steps),
        [0.0, 0.0],
        rtol=1e-9,
        atol=1e-10,
    )
    np.testing.assert_allclose(state[jnp.array([0, 3])], solution.y[:, -1], rtol=1e-3)


def test_a_turn_is_what_scipy_integrates():
    """A gentle turn of the dynamic model, whose yaw is stiff: a step of 0.03 s is near the method's limit."""
    with jax.enable_x64(True):
        state, action = jnp.array([0.0, 0.0, 0.0, 2.0, 0.0, 0.0]), jnp.array([0.4, 0.05])
        rates = lambda x: dynamic_rates(x, action[0], action[1], lambda s: jnp.full_like(s, 0.5), CAR)  # noqa: E731
        short = jax.jit(lambda x: jax.lax.fori_loop(0, 100, lambda _, x: runge_kutta(rates, x, 3e-3), x))(state)
    solution = solve_ivp(
        lambda t, x: dynamic_by_hand(x, 0.4, 0.05, 0.5), (0, 0.3), np.asarray(state), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(short, solution.y[:, -1], rtol=1e-4, atol=1e-6)


def test_the_method_is_of_order_four():
    """Half the step, a sixteenth of the error."""
    with jax.enable_x64(True):
        state = jnp.array([0.0, 0.02, 0.05, 2.0, 0.05, 0.5])
        action = jnp.array([0.5, 0.1])
        rates = lambda x: dynamic_rates(x, *action, lambda s: 0.5 + 0.1 * jnp.sin(s), CAR)  # noqa: E731

        def run(number):
            return jax.lax.fori_loop(0, number, lambda _, x: runge_kutta(rates, x, 0.06 / number), state)

        exact = run(4096)
        errors = [float(jnp.linalg.norm(run(number) - exact)) for number in (16, 32, 64)]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(orders, 4, atol=0.3)


def test_a_slow_car_turns_on_its_circle():
    """At a constant speed below 0.3 m/s: a circle of radius `l_r / sin(beta)`, followed for one second."""
    delta, speed = 0.3, 0.25
    duty = (0.051891 + 0.000348 * speed**2) / (0.287 - 0.054527 * speed)
    beta = np.arctan(0.033 * np.tan(delta) / 0.062)
    state, steps = jnp.array([0.0, 0.0, 0.0, speed * np.cos(beta), speed * np.sin(beta), 0.0]), 20
    for _ in range(steps):
        state = ONE_STEP(state, jnp.array([duty, delta]), 0.0)
    radius = 0.033 / np.sin(beta)
    angle = speed * 0.03 * steps / radius
    np.testing.assert_allclose(np.hypot(state[0], state[1]), 2 * radius * np.sin(angle / 2), rtol=1e-4)
    np.testing.assert_allclose(state[2], angle, rtol=1e-4)
    np.testing.assert_allclose(
        state[3:6],
        [speed * np.cos(beta), speed * np.sin(beta), speed * np.cos(beta) * np.tan(delta) / 0.062],
        rtol=1e-4,
    )


def test_a_track_of_that_circle_is_followed():
    delta, speed = 0.3, 0.25
    duty = (0.051891 + 0.000348 * speed**2) / (0.287 - 0.054527 * speed)
    beta = np.arctan(0.033 * np.tan(delta) / 0.062)
    state = jnp.array([0.0, 0.0, -beta, speed * np.cos(beta), speed * np.sin(beta), 0.0])
    for _ in range(40):
        state = ONE_STEP(state, jnp.array([duty, delta]), np.sin(beta) / 0.033)
    np.testing.assert_allclose(state[:3], [speed * 0.03 * 40, 0.0, -beta], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("speed", [0.2, 0.4, 1.5])
def test_a_mirror_turns_left_into_right(speed):
    sign = jnp.array([1.0, -1, -1, 1, -1, -1])
    state, action = jnp.array([1.0, 0.1, -0.2, speed, 0.1, 1.5]), jnp.array([0.6, 0.3])
    mirrored = ONE_STEP(sign * state, action * jnp.array([1.0, -1.0]), -1.5)
    np.testing.assert_allclose(mirrored, sign * ONE_STEP(state, action, 1.5), rtol=1e-5, atol=1e-6)


def test_both_models_are_blended():
    """All kinematic at 0.3 m/s, half of each at 0.4, all dynamic at 0.5: linear in the share."""
    action = jnp.array([0.5, 0.2])

    def step(speed, **changes):
        state = jnp.array([0.0, 0.05, 0.1, speed, 0.02, 0.3])
        return np.asarray(car_step(state, action, STRAIGHT, CAR.replace(**changes)))

    kinematic = step(0.4, blend_start=1.0)
    dynamic = step(0.4, blend_start=-1.0)
    assert np.abs(kinematic - dynamic).max() > 1e-2
    np.testing.assert_allclose(step(0.4), 0.5 * (kinematic + dynamic), rtol=1e-5)
    np.testing.assert_allclose(step(0.3), step(0.3, blend_start=1.0), rtol=1e-6)
    np.testing.assert_allclose(step(0.5), step(0.5, blend_start=-1.0), rtol=1e-5)


def test_a_car_at_rest_does_not_roll_back():
    state = jnp.zeros(6)
    for action in ([0.0, 0.0], [-1.0, 0.5], [-1.0, -1.0]):
        np.testing.assert_allclose(ONE_STEP(state, jnp.array(action), 2.0), state, atol=1e-7)


def test_actions_are_clipped():
    state = jnp.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(
        ONE_STEP(state, jnp.array([7.0, -3.0]), 0.1), ONE_STEP(state, jnp.array([1.0, -1.0]), 0.1)
    )


def test_beyond_the_middle_of_a_bend_all_stays_finite():
    state = jnp.array([0.0, 0.2, 0.3, 1.0, 0.0, 0.0])
    assert np.isfinite(ONE_STEP(state, jnp.array([1.0, 0.5]), 5.0)).all()
