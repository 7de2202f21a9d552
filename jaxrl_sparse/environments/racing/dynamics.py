"""A miniature racing car in the coordinates of a track: a dynamic and a kinematic model, blended by the speed.

The state is `(s, d, mu, v_x, v_y, r)`: the distance along the centre line (m), the offset to its left (m), the heading
relative to it (rad), the velocity along and across the car (m/s), and the yaw rate (rad/s). The action is `(D, delta)`:
the duty cycle of the motor and the steering angle (rad), both in [-1, 1].

Source: Prajapat et al., "Submodular Reinforcement Learning" (ICLR 2024), published code; the car and its tyres
are after Liniger et al., "Optimization-Based Autonomous Racing of 1:43 Scale RC Cars" (2015).
"""

from collections.abc import Callable

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from jaxrl_sparse.base import PyTree

# Of a centre line's circle that the car is beyond the middle of, coordinates have no meaning; they stay finite.
LEAST_SCALE = 0.05
SLIP_EPSILON = 1e-5
CREEP_SPEED = 0.1

Curvature = Callable[[Float[Array, ""]], Float[Array, ""]]


@struct.dataclass
class CarConstants:
    """A 1:43 car; a pytree of floats, so that physics is swept.

    Attributes:
      motor: N per unit of D.
      motor_damping: N s/m per unit of D.
      rolling_resistance: N.
      drag: N s^2/m^2.
      rear_stiffness: B of the rear tyre.
      rear_shape: C of the rear tyre.
      rear_peak: D of the rear tyre, N.
      front_stiffness: B of the front tyre.
      front_shape: C of the front tyre.
      front_peak: D of the front tyre, N.
      mass: kg.
      inertia: about the vertical axis, kg m^2.
      front_length: from the centre of mass to the front axle, m.
      rear_length: to the rear axle, m.
      time_step: s.
      blend_start: speed up to which the car is kinematic, m/s.
      blend_width: from there to the speed from which it is dynamic, m/s.
    """

    motor: float | Array = 0.287
    motor_damping: float | Array = 0.054527
    rolling_resistance: float | Array = 0.051891
    drag: float | Array = 0.000348
    rear_stiffness: float | Array = 3.3852 / 1.2
    rear_shape: float | Array = 1.2691
    rear_peak: float | Array = 0.1737 * 1.2
    front_stiffness: float | Array = 2.579
    front_shape: float | Array = 1.2
    front_peak: float | Array = 1.05 * 0.192
    mass: float | Array = 0.041
    inertia: float | Array = 27.8e-6
    front_length: float | Array = 0.029
    rear_length: float | Array = 0.033
    time_step: float | Array = 0.03
    blend_start: float | Array = 0.3
    blend_width: float | Array = 0.2


def car_step(
    state: Float[Array, "6"], action: Float[Array, "2"], curvature: Curvature, car: CarConstants
) -> Float[Array, "6"]:
    """One time step of both models by Runge-Kutta of order 4, blended.

        next = l dynamic + (1 - l) kinematic,   l = clip((v_x - 0.3) / 0.2, 0, 1)

    Args:
      state: `[6]`.
      action: `[2]`, clipped to [-1, 1].
      curvature: of the centre line by the distance along it, 1/m, positive to the left.
      car: the constants.

    Returns:
      `[6]`.
    """
    duty, steering = jnp.clip(action, -1.0, 1.0)
    share = jnp.clip((state[3] - car.blend_start) / car.blend_width, 0.0, 1.0)
    dynamic = runge_kutta(lambda x: dynamic_rates(x, duty, steering, curvature, car), state, car.time_step)

    s, d, mu, v_x, v_y, _ = state
    slow = jnp.stack([s, d, mu, jnp.sqrt(v_x**2 + v_y**2)])
    slow = runge_kutta(lambda x: kinematic_rates(x, duty, steering, curvature, car), slow, car.time_step)
    slip = _kinematic_slip(steering, car)
    v_x, v_y = slow[3] * jnp.cos(slip), slow[3] * jnp.sin(slip)
    yaw_rate = v_x * jnp.tan(steering) / (car.front_length + car.rear_length)
    kinematic = jnp.concatenate([slow[:3], jnp.stack([v_x, v_y, yaw_rate])])
    # At a standstill the dynamic model may not be a number.
    return jnp.where(share > 0, share * dynamic + (1 - share) * kinematic, kinematic)


def dynamic_rates(
    state: Float[Array, "6"],
    duty: Float[Array, ""],
    steering: Float[Array, ""],
    curvature: Curvature,
    car: CarConstants,
) -> Float[Array, "6"]:
    """The rates of change of a car whose tyres slip, `F = D sin(C arctan(B alpha))`, per second.

        s' = (v_x cos mu - v_y sin mu) / (1 - kappa d),   d' = v_x sin mu + v_y cos mu,   mu' = r - kappa s'
        v_x' = (F_rx - F_fy sin delta + m v_y r) / m,   v_y' = (F_ry + F_fy cos delta - m v_x r) / m
        r' = (F_fy l_f cos delta - F_ry l_r) / I

    Args:
      state: `[6]`.
      duty: D in [-1, 1].
      steering: delta, rad.
      curvature: see `car_step`.
      car: the constants.

    Returns:
      `[6]`.
    """
    s, d, mu, v_x, v_y, yaw_rate = state
    forward = v_x + SLIP_EPSILON
    front_slip = -jnp.arctan((car.front_length * yaw_rate + v_y) / forward) + steering
    rear_slip = jnp.arctan((car.rear_length * yaw_rate - v_y) / forward)
    front = car.front_peak * jnp.sin(car.front_shape * jnp.arctan(car.front_stiffness * front_slip))
    rear = car.rear_peak * jnp.sin(car.rear_shape * jnp.arctan(car.rear_stiffness * rear_slip))
    drive = (car.motor - car.motor_damping * v_x) * duty - car.drag * v_x**2 - car.rolling_resistance
    kappa = curvature(s)
    along = (v_x * jnp.cos(mu) - v_y * jnp.sin(mu)) / _scale(kappa, d)
    return jnp.stack(
        [
            along,
            v_x * jnp.sin(mu) + v_y * jnp.cos(mu),
            yaw_rate - kappa * along,
            (drive - front * jnp.sin(steering)) / car.mass + v_y * yaw_rate,
            (rear + front * jnp.cos(steering)) / car.mass - v_x * yaw_rate,
            (front * car.front_length * jnp.cos(steering) - rear * car.rear_length) / car.inertia,
        ]
    )


def kinematic_rates(
    state: Float[Array, "4"],
    duty: Float[Array, ""],
    steering: Float[Array, ""],
    curvature: Curvature,
    car: CarConstants,
) -> Float[Array, "4"]:
    """The rates of change of a car that goes where its wheels point, per second.

        s' = v cos(beta + mu) / (1 - kappa d),   d' = v sin(beta + mu),   mu' = v sin(beta) / l_r - kappa s'
        v' = (C_m1 D - C_m2 v D - C_r0 - C_r2 v^2) / m,   beta = arctan(l_r tan(delta) / (l_f + l_r))

    Up to 0.1 m/s the motor at least makes up for the resistance, so that a car at rest does not roll back.

    Args:
      state: `[4]`, `(s, d, mu, v)`.
      duty: D in [-1, 1].
      steering: delta, rad.
      curvature: see `car_step`.
      car: the constants.

    Returns:
      `[4]`.
    """
    s, d, mu, speed = state
    slip = _kinematic_slip(steering, car)
    kappa = curvature(s)
    along = speed * jnp.cos(slip + mu) / _scale(kappa, d)
    resistance = car.rolling_resistance + car.drag * speed**2
    force = car.motor - car.motor_damping * speed
    duty = jnp.where(speed <= CREEP_SPEED, jnp.maximum(duty, resistance / force), duty)
    return jnp.stack(
        [
            along,
            speed * jnp.sin(slip + mu),
            speed * jnp.sin(slip) / car.rear_length - kappa * along,
            (force * duty - resistance) / car.mass,
        ]
    )


def runge_kutta(rates: Callable[[PyTree], PyTree], state: Float[Array, "N"], duration: float | Array) -> Array:
    """One step of the classic method of order 4.

    Args:
      rates: `rates(state) -> d state / dt`.
      state: `[N]`.
      duration: of the step, s.

    Returns:
      `[N]`.
    """
    first = rates(state)
    second = rates(state + duration / 2 * first)
    third = rates(state + duration / 2 * second)
    fourth = rates(state + duration * third)
    return state + duration / 6 * (first + 2 * second + 2 * third + fourth)


def _kinematic_slip(steering: Float[Array, ""], car: CarConstants) -> Float[Array, ""]:
    return jnp.arctan(car.rear_length * jnp.tan(steering) / (car.front_length + car.rear_length))


def _scale(kappa: Float[Array, ""], d: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.maximum(1 - kappa * d, LEAST_SCALE)
