"""Tracks: their length, turning and closure by finite differences, the published ranges, the circle's closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.racing.track import (
    circular_track,
    interpolate,
    mirrored,
    random_track,
    world_position,
)

LENGTH, SPACING = 16.4076, 16.4076 / 1000
SEEDS = range(6)


@pytest.fixture(scope="module")
def tracks():
    keys = jax.vmap(jax.random.key)(jnp.arange(len(SEEDS)))
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(random_track), compiler_options=QUICK_TO_COMPILE)(keys))


def test_samples_are_equally_far_apart_and_the_line_is_closed(tracks):
    closed = np.concatenate([tracks.center, tracks.center[:, :1]], axis=1)
    chords = np.linalg.norm(np.diff(closed, axis=1), axis=-1)
    # A chord of a bend is shorter than its arc, by at most a thousandth here.
    np.testing.assert_allclose(chords, SPACING, rtol=2e-3)
    np.testing.assert_allclose(chords.sum(axis=1), LENGTH, rtol=1e-3)
    np.testing.assert_allclose(tracks.length, LENGTH)


def test_curvature_is_the_heading_by_the_distance(tracks):
    """One turn in all, and dheading / ds at each sample."""
    np.testing.assert_allclose(tracks.curvature.mean(axis=1) * LENGTH, 2 * np.pi, rtol=1e-3)
    by_difference = (np.roll(tracks.heading, -1, axis=1) - np.roll(tracks.heading, 1, axis=1)) / (2 * SPACING)
    np.testing.assert_allclose(by_difference[:, 1:-1], tracks.curvature[:, 1:-1], rtol=0.06, atol=0.1)
    chords = np.roll(tracks.center, -1, axis=1) - np.roll(tracks.center, 1, axis=1)
    np.testing.assert_allclose(np.cos(tracks.heading), chords[..., 0] / np.linalg.norm(chords, axis=-1), atol=1e-4)


def test_curvatures_and_widths_are_in_the_published_ranges(tracks):
    curvature, width = tracks.curvature, tracks.half_width
    assert (curvature >= -5.88).all() and (curvature <= 5.33).all()
    # The relief is the largest possible: each track has a bend at a bound.
    severity = np.maximum(curvature.max(axis=1) / 5.33, -curvature.min(axis=1) / 5.88)
    np.testing.assert_allclose(severity, 1, atol=0.02)
    assert (width >= 0.07).all() and (width <= 0.3 + 1e-6).all()
    assert (width * np.abs(curvature) <= 0.8 + 1e-5).all()
    assert (width[:, 0] > 0.1).all()
    assert (width.min(axis=1) < 0.15).all() and (width.max(axis=1) > 0.25).all()


def test_a_track_goes_once_around_and_does_not_cross_itself(tracks):
    bearing = np.unwrap(np.arctan2(tracks.center[..., 1], tracks.center[..., 0]), axis=1)
    assert (np.diff(bearing, axis=1) > 0).all()
    np.testing.assert_allclose(bearing[:, -1] - bearing[:, 0], 2 * np.pi, rtol=0.01)
    assert np.linalg.norm(tracks.center, axis=-1).min() > 0.1


def test_seeds_differ(tracks):
    assert len({round(float(curvature[0]), 4) for curvature in tracks.curvature}) == len(SEEDS)


def test_interpolation_is_linear_and_periodic():
    track = circular_track(2.0)
    samples = jnp.sin(2 * jnp.pi * jnp.arange(1000) / 1000)
    s = jnp.array([0.0, 0.37, 5.0, -0.2, 4 * np.pi - 1e-3, 4 * np.pi + 0.37])
    values = jax.vmap(lambda s: interpolate(samples, track, s))(s)
    np.testing.assert_allclose(values, np.sin(s / 2), atol=2e-5)
    spacing = 4 * np.pi / 1000
    middle = interpolate(samples, track, jnp.float32(20.5 * spacing))
    np.testing.assert_allclose(middle, (samples[20] + samples[21]) / 2, rtol=1e-4)


def test_a_circle_in_the_world():
    """d to the left of a circle driven counterclockwise is nearer to its middle."""
    track = circular_track(2.0, 0.2)
    for s, d in ((0.0, 0.0), (1.3, 0.1), (12.0, -0.15), (12.56, 0.1)):
        expected = (2 - d) * np.array([np.cos(s / 2), np.sin(s / 2)])
        np.testing.assert_allclose(world_position(track, jnp.float32(s), jnp.float32(d)), expected, atol=1e-4)
    np.testing.assert_allclose(track.curvature, 0.5)


def test_a_mirrored_track():
    track = mirrored(circular_track(2.0))
    np.testing.assert_allclose(track.curvature, -0.5)
    position = world_position(track, jnp.float32(1.3), jnp.float32(-0.1))
    np.testing.assert_allclose(position, 1.9 * np.array([np.cos(0.65), -np.sin(0.65)]), atol=1e-4)


def test_refusals():
    with pytest.raises(ValueError, match="num_control_points: got 3, takes an integer of at least 4"):
        random_track(jax.random.key(0), 3)
    with pytest.raises(ValueError, match=r"half_width: got 2.0, takes a positive number below the radius, 1.0"):
        circular_track(1.0, 2.0)
