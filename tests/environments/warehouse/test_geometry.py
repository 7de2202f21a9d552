import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.warehouse.geometry import free_cells, free_interval, is_blocked, ray_distances
from jaxrl_sparse.environments.warehouse.scenes import SCENES

ANGLES = 2 * np.pi * np.arange(16) / 16
DIRECTIONS = jnp.asarray(np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1), jnp.float32)
NO_BOX = jnp.full((1, 4), -5.0)
ROOM = SCENES["complex-static"].room
SHELVES = jnp.asarray(ROOM.shelves, jnp.float32)


def test_an_empty_square_from_its_centre():
    distances = ray_distances(jnp.array([3.0, 3.0]), DIRECTIONS, NO_BOX, 6.0)
    expected = 3 / np.maximum(np.abs(np.cos(ANGLES)), np.abs(np.sin(ANGLES)))
    np.testing.assert_allclose(distances, expected, rtol=1e-5)
    np.testing.assert_allclose(distances[jnp.array([0, 2, 4])], [3, 3 * np.sqrt(2), 3], rtol=1e-6)


def test_a_box_ahead_beside_behind_and_around():
    box = jnp.array([[2.0, 0.5, 3.0, 1.5]])
    rays = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    np.testing.assert_allclose(ray_distances(jnp.array([1.0, 1.0]), rays, box, 4.0), [1, 1, 3, 3.75], rtol=1e-6)
    # From its other side, along its side, and from within, where it does not count.
    np.testing.assert_allclose(ray_distances(jnp.array([3.5, 1.0]), rays[1:2], box, 4.0), [0.5], rtol=1e-6)
    np.testing.assert_allclose(ray_distances(jnp.array([1.0, 1.6]), rays[:1], box, 4.0), [3.0], rtol=1e-6)
    np.testing.assert_allclose(ray_distances(jnp.array([2.5, 1.0]), rays[:1], box, 4.0), [1.5], rtol=1e-6)


def free_points(number, margin, seed=0):
    points = np.random.default_rng(seed).uniform(margin, ROOM.size - margin, (8 * number, 2))
    beyond = np.maximum(ROOM.shelves[:, :2] - points[:, None], points[:, None] - ROOM.shelves[:, 2:])
    return points[np.linalg.norm(np.maximum(beyond, 0), axis=2).min(axis=1) > margin][:number]


def test_rays_against_a_march_in_small_steps():
    """Along the ray until a point is in a box or out of the room."""
    origins = free_points(20, 0.01)
    distances = jax.vmap(ray_distances, in_axes=(0, None, None, None))(
        jnp.asarray(origins, jnp.float32), DIRECTIONS, SHELVES, ROOM.size
    )
    steps = np.arange(0, 45, 0.005)
    points = origins[:, None, None] + steps[:, None] * np.asarray(DIRECTIONS, np.float64)[None, :, None]
    x, y = points[..., 0, None], points[..., 1, None]
    x_low, y_low, x_high, y_high = ROOM.shelves.T
    met = ((x_low < x) & (x < x_high) & (y_low < y) & (y < y_high)).any(-1)
    met |= (points < 0).any(-1) | (points > ROOM.size).any(-1)
    marched = steps[met.argmax(axis=-1)]
    # A ray that grazes a corner may step over it.
    assert np.mean(np.abs(distances - marched) < 0.01) > 0.99
    assert len(origins) == 20 and np.all(marched > 0)


def test_a_disc_is_blocked_where_a_point_of_it_is_taken():
    points = np.random.default_rng(1).uniform(0, ROOM.size, (400, 2))
    blocked = jax.vmap(lambda point: is_blocked(point, 0.5, SHELVES, ROOM.size))(jnp.asarray(points, jnp.float32))
    angles = np.linspace(0, 2 * np.pi, 400)
    rim = points[:, None] + 0.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    disc = np.concatenate([rim, 0.5 * rim + 0.5 * points[:, None], points[:, None]], axis=1)
    x, y = disc[..., 0, None], disc[..., 1, None]
    x_low, y_low, x_high, y_high = ROOM.shelves.T
    taken = ((x_low < x) & (x < x_high) & (y_low < y) & (y < y_high)).any((1, 2))
    taken |= ((disc < 0) | (disc > ROOM.size)).any((1, 2))
    assert np.mean(np.asarray(blocked) == taken) > 0.99 and 0.2 < taken.mean() < 0.8


@pytest.mark.parametrize("scene", ["simple-static", "complex-static"])
def test_free_cells_are_all_that_is_free_and_no_more(scene):
    room = SCENES[scene].room
    cells = free_cells(room.shelves, room.size, 0.75)
    points = np.random.default_rng(2).uniform(0, room.size, (4000, 2))
    inside = ((cells[:, :2] < points[:, None]) & (points[:, None] < cells[:, 2:])).all(-1).sum(-1)
    beyond = np.maximum(room.shelves[:, :2] - points[:, None], points[:, None] - room.shelves[:, 2:]).max(-1)
    free = (beyond > 0.75).all(-1) & (points > 0.75).all(-1) & (points < room.size - 0.75).all(-1)
    np.testing.assert_array_equal(inside, free)


def test_a_square_is_pushed_up_to_what_is_in_its_way():
    boxes = jnp.array([[1.0, 4.0, 2.0, 6.0], [7.0, 5.5, 8.0, 7.0], [9.0, 0.0, 9.5, 4.0]])
    for y, expected in ((5.2, (2.5, 6.5)), (6.3, (2.5, 6.5)), (8.0, (0.5, 9.5)), (2.0, (0.5, 8.5)), (4.7, (2.5, 9.5))):
        interval = free_interval(jnp.array([5.0, y]), 0.5, boxes, 10.0)
        np.testing.assert_allclose(interval, expected, rtol=1e-6)
    np.testing.assert_allclose(free_interval(jnp.array([9.0, 6.0]), 0.5, boxes, 10.0), (8.5, 9.5), rtol=1e-6)
