"""Environments that live in a plane: what quality-diversity and the plots ask of them beyond stepping."""

import abc
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxrl_sparse.environments.base import Environment, ParamsT, StateT


class RewardArea(NamedTuple):
    """A rewarded region of the plane: a disc (`radius` set) or a rectangle (`size` set), in world units."""

    center: tuple[float, float]
    radius: float | None = None
    size: tuple[float, float] | None = None


class PlanarEnvironment(Environment[StateT, ParamsT]):
    """An `Environment` whose behaviour is a point in the plane, and which can be drawn.

    `descriptor_bounds` are `((low_x, low_y), (high_x, high_y))` of the ground-truth descriptor: the 50 x 50 grid of the
    coverage metric spans them. `world_bounds` are those of the square that `render` draws, and `reward_areas` are in
    world units. `image_y_axis_down` tells whether the world's y axis points down in the image.
    """

    descriptor_bounds: tuple[tuple[float, float], tuple[float, float]]
    world_bounds: tuple[tuple[float, float], tuple[float, float]]
    reward_areas: tuple[RewardArea, ...]
    image_y_axis_down: bool = False

    @abc.abstractmethod
    def descriptor(self, state: StateT, params: ParamsT) -> Float[Array, "2"]:
        """The ground-truth behaviour descriptor of an episode that ends in `state`."""

    def world_position(self, descriptor: Float[Array, "*batch 2"]) -> Float[Array, "*batch 2"]:
        """Maps descriptors to world units, where the reward areas are: for plots. The identity unless overridden."""
        return descriptor

    @abc.abstractmethod
    def area(self, state: StateT, params: ParamsT) -> Int[Array, ""]:
        """Index of the reward area that an episode which ends in `state` is paid for; -1 where none."""

    @abc.abstractmethod
    def render_state(self, state: StateT, params: ParamsT) -> Float[Array, "S"]:
        """The few numbers from which `render` draws: what is stored instead of images."""

    @abc.abstractmethod
    def render(self, render_state: Float[Array, "S"], size: int = 64) -> Float[Array, "{size} {size} 3"]:
        """The image of a state, in [0, 1], a pure function of `render_state`: `[size, size, 3]`, row 0 on top."""

    @abc.abstractmethod
    def scene(self, size: int = 256) -> Float[Array, "{size} {size} 3"]:
        """The image without robot: walls and reward areas, `[size, size, 3]` in [0, 1], the background of plots."""


def proximity_reward(
    position: Float[Array, "2"], reward_areas: tuple[RewardArea, ...]
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The reward of ending at distance d from the centre of a disc of radius R: (R - d) / R where d < R, otherwise 0.

    Args:
      position: in world units.
      reward_areas: discs, at least one; where they overlap, the one that pays most counts.

    Returns:
      The reward, in [0, 1], and the index of the disc; -1 where none.
    """
    centers = np.array([area.center for area in reward_areas], np.float32)
    radii = np.array([area.radius for area in reward_areas], np.float32)
    closeness = 1 - jnp.sqrt(jnp.sum((position - centers) ** 2, axis=1)) / radii
    reward = jnp.maximum(jnp.max(closeness), 0.0)
    return reward, jnp.where(reward > 0, jnp.argmax(closeness).astype(jnp.int32), -1)
