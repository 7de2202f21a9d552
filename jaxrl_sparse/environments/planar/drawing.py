"""Images of planar worlds from signed distances: shapes as pure functions, edges blended over one pixel."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrl_sparse.environments.planar.base import PlanarEnvironment

Color = tuple[float, float, float]
WHITE: Color = (1.0, 1.0, 1.0)
BLACK: Color = (0.0, 0.0, 0.0)
RED: Color = (1.0, 0.0, 0.0)
BLUE: Color = (0.0, 0.0, 1.0)
# Pixels a side of the published images.
PUBLISHED_SIZE = 64


def pixel_centers(environment: PlanarEnvironment, size: int) -> Float[Array, "{size} {size} 2"]:
    """World coordinates (x, y) of the centres of an image's pixels, `[row, column, 2]`, row 0 on top."""
    (low_x, low_y), (high_x, high_y) = environment.world_bounds
    steps = (np.arange(size) + 0.5) / size
    x, y = low_x + steps * (high_x - low_x), low_y + steps * (high_y - low_y)
    if not environment.image_y_axis_down:
        y = y[::-1]
    return jnp.asarray(np.stack(np.meshgrid(x, y), axis=-1), jnp.float32)


def visible(environment: PlanarEnvironment, size: int, half_width: float) -> float:
    """Half the width at which something that moves is drawn: its own, but at least a pixel on smaller images.

    What is thinner than two pixels slips between their centres: it flickers as it moves, and neither the distance
    between two images nor a gradient tells where it is. Images of the published size and above show it as it is.

    Args:
      environment: whose world is drawn.
      size: pixels a side.
      half_width: in units of the world.
    """
    (low_x, _), (high_x, _) = environment.world_bounds
    return half_width if size >= PUBLISHED_SIZE else max(half_width, (high_x - low_x) / size)


def blank(size: int, color: Color = WHITE) -> Float[Array, "{size} {size} 3"]:
    """An image of one colour."""
    return jnp.broadcast_to(jnp.array(color, jnp.float32), (size, size, 3))


def paint(
    image: Float[Array, "size size 3"], coverage: Float[Array, "size size"], color: Color
) -> Float[Array, "size size 3"]:
    """Lays a colour over an image: `image + coverage (color - image)`."""
    return image + coverage[..., None] * (jnp.array(color, jnp.float32) - image)


def coverage(points: Float[Array, "size size 2"], distance: Float[Array, "size size"]) -> Float[Array, "size size"]:
    """How much of each pixel a shape covers: 1 from half a pixel inside of its edge, 0 from half a pixel outside.

    Args:
      points: the centres of the pixels.
      distance: signed distance of the centres from the edge, negative inside.
    """
    pixel = points[0, 1, 0] - points[0, 0, 0]
    return jnp.clip(0.5 - distance / pixel, 0.0, 1.0)


def disc(
    points: Float[Array, "size size 2"], center: Float[Array, "2"] | tuple[float, float], radius: float
) -> Float[Array, "size size"]:
    """Signed distance from a disc: `|p - center| - radius`."""
    return jnp.linalg.norm(points - jnp.asarray(center, jnp.float32), axis=-1) - radius


def rectangle(
    points: Float[Array, "size size 2"], center: tuple[float, float], extent: tuple[float, float]
) -> Float[Array, "size size"]:
    """Signed distance from a rectangle with sides along the axes; `extent` are its width and height."""
    beyond = jnp.abs(points - np.array(center, np.float32)) - np.array(extent, np.float32) / 2
    return jnp.linalg.norm(jnp.maximum(beyond, 0.0), axis=-1) + jnp.minimum(jnp.max(beyond, axis=-1), 0.0)


def polyline(
    points: Float[Array, "size size 2"], vertices: Float[Array, "N 2"], half_width: float
) -> Float[Array, "size size"]:
    """Signed distance from a line of N - 1 straight pieces with round ends."""
    starts, pieces = vertices[:-1], vertices[1:] - vertices[:-1]
    offsets = points[:, :, None, :] - starts
    squared_lengths = jnp.maximum(jnp.sum(pieces**2, axis=-1), jnp.finfo(jnp.float32).tiny)
    along = jnp.clip(jnp.sum(offsets * pieces, axis=-1) / squared_lengths, 0.0, 1.0)
    nearest = jnp.linalg.norm(offsets - along[..., None] * pieces, axis=-1)
    return jnp.min(nearest, axis=-1) - half_width


def line(
    points: Float[Array, "size size 2"], vertices: Float[Array, "N 2"], half_width: float
) -> Float[Array, "size size"]:
    """How much of each pixel a line of N - 1 straight pieces covers: at most the line's share of a pixel's width."""
    pixel = points[0, 1, 0] - points[0, 0, 0]
    return jnp.minimum(coverage(points, polyline(points, vertices, half_width)), 2 * half_width / pixel)


def paint_reward_areas(
    image: Float[Array, "size size 3"], points: Float[Array, "size size 2"], environment: PlanarEnvironment
) -> Float[Array, "size size 3"]:
    """Lays the reward areas over an image in red."""
    for area in environment.reward_areas:
        if area.radius is not None:
            distance = disc(points, area.center, area.radius)
        else:
            assert area.size is not None
            distance = rectangle(points, area.center, area.size)
        image = paint(image, coverage(points, distance), RED)
    return image
