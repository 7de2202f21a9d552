"""Closed tracks by closed splines, drawn from a key, with the published one's length, curvatures and widths."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import is_count, require

LENGTH = 16.4076
NUM_SAMPLES = 1000
# To the right and to the left, 1/m.
CURVATURE_BOUNDS = (-5.88, 5.33)
HALF_WIDTH_BOUNDS = (0.07, 0.30)
# Of the radius of the centre line, the most that a half width takes up: lines across the track must not meet.
WIDEST_IN_BEND = 0.8
NUM_CONTROL_POINTS = 14
FINE_SAMPLES = 8192
MOST_RELIEF = 0.9
BISECTIONS = 24


class Track(NamedTuple):
    """A closed track of N samples at equal distances, driven counterclockwise.

    Attributes:
      length: of the centre line, m.
      curvature: `[N]`, 1/m, positive to the left.
      half_width: `[N]`, from the centre line to either edge, m.
      center: `[N, 2]`, m.
      heading: `[N]`, of the centre line, rad, without jumps.
    """

    length: Float[Array, ""]
    curvature: Float[Array, "N"]
    half_width: Float[Array, "N"]
    center: Float[Array, "N 2"]
    heading: Float[Array, "N"]


def random_track(key: PRNGKeyArray, num_control_points: int = NUM_CONTROL_POINTS) -> Track:
    """A track around the origin that does not cross itself.

    The centre line is `r(phi) (cos phi, sin phi)` with r a closed cubic B-spline of J control radii `1 + e u_j`,
    u_j uniform in [-1, 1], scaled to a length of 16.4076 m. The relief e, at most 0.9, is the largest at which the
    curvature stays in [-5.88, 5.33] 1/m. The half width is a spline of J uniform numbers in [0.07, 0.3] m, 0.3 at the
    start, and at most 0.8 of the radius of a bend.

    Args:
      key: for the radii and the widths.
      num_control_points: J, at least 4.

    Returns:
      1,000 samples, 16.4 mm apart.

    Raises:
      ValueError: if J is below 4.
    """
    require("num_control_points", num_control_points, lambda n: is_count(n) and n >= 4, "an integer of at least 4")
    shape_key, width_key = jax.random.split(key)
    directions = jax.random.uniform(shape_key, (num_control_points,), minval=-1.0)
    angles = 2 * jnp.pi * jnp.arange(FINE_SAMPLES) / FINE_SAMPLES

    def outline(relief: Float[Array, ""]) -> tuple[Array, Array, Array]:
        """Radius, arc length up to each angle and at the end `[n + 1]`, and curvature, scaled to the length."""
        radius, slope, bend = _closed_spline(1 + relief * directions, angles)
        speed = jnp.sqrt(radius**2 + slope**2)
        steps = 0.5 * (speed + jnp.roll(speed, -1)) * (2 * jnp.pi / FINE_SAMPLES)
        arc = jnp.concatenate([jnp.zeros(1), jnp.cumsum(steps)])
        scale = LENGTH / arc[-1]
        curvature = (radius**2 + 2 * slope**2 - radius * bend) / speed**3
        return scale * radius, scale * arc, curvature / scale

    def is_gentle(relief: Float[Array, ""]) -> Array:
        curvature = outline(relief)[2]
        return jnp.all((curvature >= CURVATURE_BOUNDS[0]) & (curvature <= CURVATURE_BOUNDS[1]))

    def halve(bracket: tuple[Array, Array], _) -> tuple[tuple[Array, Array], None]:
        low, high = bracket
        middle = 0.5 * (low + high)
        gentle = is_gentle(middle)
        return (jnp.where(gentle, middle, low), jnp.where(gentle, high, middle)), None

    (relief, _), _ = jax.lax.scan(halve, (jnp.zeros(()), jnp.float32(MOST_RELIEF)), length=BISECTIONS)
    radius, arc, curvature = outline(relief)

    distances = LENGTH * jnp.arange(NUM_SAMPLES) / NUM_SAMPLES
    closed = lambda values: jnp.concatenate([values, values[:1]])  # noqa: E731
    at = jnp.interp(distances, arc, jnp.append(angles, 2 * jnp.pi))
    radius = jnp.interp(distances, arc, closed(radius))
    curvature = jnp.interp(distances, arc, closed(curvature))
    center = radius[:, None] * jnp.stack([jnp.cos(at), jnp.sin(at)], axis=-1)
    return Track(
        length=jnp.float32(LENGTH),
        curvature=curvature,
        half_width=_half_width(width_key, num_control_points, distances / LENGTH, curvature),
        center=center,
        heading=_heading(center),
    )


def circular_track(radius: float, half_width: float = HALF_WIDTH_BOUNDS[1]) -> Track:
    """A circle driven counterclockwise, with the closed forms `kappa = 1 / R` and `length = 2 pi R`.

    Args:
      radius: R, m, above the half width.
      half_width: m.

    Raises:
      ValueError: if the half width is not positive and below the radius.
    """
    require("half_width", half_width, lambda w: 0 < w < radius, f"a positive number below the radius, {radius}")
    angles = 2 * jnp.pi * jnp.arange(NUM_SAMPLES) / NUM_SAMPLES
    return Track(
        length=jnp.float32(2 * jnp.pi * radius),
        curvature=jnp.full(NUM_SAMPLES, 1 / radius),
        half_width=jnp.full(NUM_SAMPLES, half_width),
        center=radius * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1),
        heading=angles + jnp.pi / 2,
    )


def mirrored(track: Track) -> Track:
    """The track that a mirror shows: driven clockwise, each left turn a right one of the same length."""
    return track._replace(
        curvature=-track.curvature, center=track.center * jnp.array([1.0, -1.0]), heading=-track.heading
    )


def interpolate(samples: Float[Array, "N ..."], track: Track, s: Float[Array, ""]) -> Float[Array, "..."]:
    """A quantity of the track at a distance along it, linear between samples, periodic.

    Args:
      samples: `[N, ...]`, such as `track.curvature`.
      track: for the length.
      s: m.
    """
    number = samples.shape[0]
    place = s / track.length * number
    before = jnp.floor(place)
    share = place - before
    index = before.astype(jnp.int32)
    return (1 - share) * samples[index % number] + share * samples[(index + 1) % number]


def world_position(track: Track, s: Float[Array, ""], d: Float[Array, ""]) -> Float[Array, "2"]:
    """Where a point of the track's coordinates lies, for plots.

    Args:
      track: of N samples.
      s: distance along the centre line, m.
      d: offset to its left, m.

    Returns:
      `[2]`, m.
    """
    # Headings grow by a whole turn over the closing sample: the direction is what is interpolated.
    along = interpolate(jnp.stack([jnp.cos(track.heading), jnp.sin(track.heading)], axis=-1), track, s)
    along = along / jnp.linalg.norm(along)
    return interpolate(track.center, track, s) + d * jnp.stack([-along[1], along[0]])


def _closed_spline(
    controls: Float[Array, "J"], angles: Float[Array, "n"]
) -> tuple[Float[Array, "n"], Float[Array, "n"], Float[Array, "n"]]:
    """A closed uniform cubic B-spline over the circle: its value and both derivatives by the angle."""
    number = controls.shape[0]
    place = angles * (number / (2 * jnp.pi))
    before = jnp.floor(place)
    t = place - before
    index = before.astype(jnp.int32)
    p0, p1, p2, p3 = (controls[(index + offset) % number] for offset in (-1, 0, 1, 2))
    value = (1 - t) ** 3 * p0 + (3 * t**3 - 6 * t**2 + 4) * p1 + (-3 * t**3 + 3 * t**2 + 3 * t + 1) * p2 + t**3 * p3
    first = -((1 - t) ** 2) * p0 + (3 * t**2 - 4 * t) * p1 + (-3 * t**2 + 2 * t + 1) * p2 + t**2 * p3
    second = (1 - t) * p0 + (3 * t - 2) * p1 + (1 - 3 * t) * p2 + t * p3
    per_angle = number / (2 * jnp.pi)
    return value / 6, first / 2 * per_angle, second * per_angle**2


def _half_width(
    key: PRNGKeyArray, num_control_points: int, turns: Float[Array, "N"], curvature: Float[Array, "N"]
) -> Float[Array, "N"]:
    narrowest, widest = HALF_WIDTH_BOUNDS
    controls = jax.random.uniform(key, (num_control_points,), minval=narrowest, maxval=widest)
    # The spline's value at the start is made of the first control point and of its neighbours.
    controls = controls.at[jnp.array([-1, 0, 1])].set(widest)
    width, _, _ = _closed_spline(controls, 2 * jnp.pi * turns)
    return jnp.minimum(width, WIDEST_IN_BEND / jnp.maximum(jnp.abs(curvature), WIDEST_IN_BEND / widest))


def _heading(center: Float[Array, "N 2"]) -> Float[Array, "N"]:
    chords = jnp.roll(center, -1, axis=0) - jnp.roll(center, 1, axis=0)
    return jnp.unwrap(jnp.arctan2(chords[:, 1], chords[:, 0]))
