"""Where Curling's bodies touch, against samples of their outlines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.curling.contacts import ball_and_boxes, obstacles, tip_and_walls

COUNT = 200
SIDE = np.linspace(-1, 1, 2001)
OUTLINE = np.concatenate(
    [np.stack([0.05 * sign * np.ones_like(SIDE), 0.5 * SIDE], axis=1) for sign in (-1, 1)]
    + [np.stack([0.05 * SIDE, 0.5 * sign * np.ones_like(SIDE)], axis=1) for sign in (-1, 1)]
)


@pytest.fixture(scope="module")
def arms():
    """Random angles and balls, the touches of `ball_and_boxes` and `tip_and_walls`, and the links' frames."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(-1, 1, (COUNT, 2)) * [0.4 * np.pi, 0.9 * np.pi]
    balls = rng.uniform(-1.29, 1.29, (COUNT, 2))

    @jax.jit
    @jax.vmap
    def touches(angles, ball):
        boxes = obstacles(*angles, *ball)
        return ball_and_boxes(*ball, boxes), tip_and_walls(boxes)

    ball, tip = jax.tree.map(np.asarray, touches(jnp.asarray(angles, jnp.float32), jnp.asarray(balls, jnp.float32)))
    headings = np.cumsum(angles, axis=1)
    along = np.stack([-np.sin(headings), np.cos(headings)], axis=-1)
    across = np.stack([np.cos(headings), np.sin(headings)], axis=-1)
    elbows = [0, -1.5] + along[:, 0]
    centers = np.stack([[0, -1.5] + 0.5 * along[:, 0], elbows + 0.4 * along[:, 1]], axis=1)
    return balls, ball, tip, centers, along, across


def test_ball_and_links(arms):
    balls, touch, _, centers, along, across = arms
    inside = 0
    for n, ball in enumerate(balls):
        for link in range(2):
            points = centers[n, link] + OUTLINE @ np.stack([across[n, link], along[n, link]])
            distances = np.linalg.norm(points - ball, axis=1)
            normal = np.array([touch.normal_x[n, link], touch.normal_y[n, link]])
            contact = np.array([touch.x[n, link], touch.y[n, link]])
            sideways, lengthways = np.abs((ball - centers[n, link]) @ np.stack([across[n, link], along[n, link]], 1))
            if sideways < 0.05 and lengthways < 0.45:
                # The way out is through the nearer long side.
                inside += 1
                out = np.sign((ball - centers[n, link]) @ across[n, link]) * across[n, link]
                np.testing.assert_allclose(normal, out, atol=1e-5)
                np.testing.assert_allclose(touch.gap[n, link], sideways - 0.05 - 0.16, atol=1e-5)
            elif sideways > 0.05 or lengthways > 0.5:
                nearest = points[distances.argmin()]
                np.testing.assert_allclose(touch.gap[n, link], distances.min() - 0.16, atol=1e-4)
                np.testing.assert_allclose(normal, (ball - nearest) / distances.min(), atol=0.02)
                # The contact is halfway between the skin, 0.01 above the surface, and the ball.
                halfway = (nearest + 0.01 * normal + ball - 0.15 * normal) / 2
                np.testing.assert_allclose(contact, halfway, atol=1e-3)
    assert inside >= 3


def test_ball_and_walls(arms):
    balls, touch, *_ = arms
    np.testing.assert_allclose(touch.gap[:, 2:], 1.45 - 0.16 - np.abs(balls), atol=1e-6)
    np.testing.assert_allclose(touch.normal_x[:, 2:], np.stack([-np.sign(balls[:, 0]), 0 * balls[:, 0]], 1), atol=1e-6)
    np.testing.assert_allclose(touch.normal_y[:, 2:], np.stack([0 * balls[:, 1], -np.sign(balls[:, 1])], 1), atol=1e-6)
    np.testing.assert_allclose(touch.y[:, 2], balls[:, 1], atol=1e-5)
    np.testing.assert_allclose(touch.x[:, 3], balls[:, 0], atol=1e-5)


def test_tip_and_walls(arms):
    _, _, tip, centers, along, across = arms
    corners = np.stack([centers[:, 1] + 0.5 * along[:, 1] + side * 0.05 * across[:, 1] for side in (-1, 1)], axis=1)
    end = corners.mean(axis=1)
    nearest = 1.45 - np.max(corners[..., 0] * np.sign(end[:, :1]), axis=1)
    np.testing.assert_allclose(tip.gap[:, 0], nearest - 0.02, atol=1e-5)
    np.testing.assert_allclose(tip.gap[:, 1], 1.45 + corners[..., 1].min(axis=1) - 0.02, atol=1e-5)
    np.testing.assert_allclose(tip.normal_x[:, 0], -np.sign(end[:, 0]))
    np.testing.assert_allclose(tip.normal_y[:, 1], 1)
    touching = np.stack([tip.x, tip.y], axis=-1)
    distances = np.linalg.norm(touching[:, :, None] - corners[:, None], axis=-1).min(axis=-1)
    np.testing.assert_allclose(distances, 0, atol=1e-5)
