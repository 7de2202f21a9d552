"""Features of an environment's observations, whatever their shape."""

from typing import Any

from jaxrl_sparse.base import require
from jaxrl_sparse.networks.convolutional import Render, nature_torso, rendered
from jaxrl_sparse.networks.feedforward import Network, feedforward


def torso_for(
    observation_space: Any,
    hidden_sizes: tuple[int, ...],
    image_features: int,
    render: Render | None = None,
    activation: str = "relu",
) -> Network:
    """A perceptron for observations of two axes or fewer, DQN's convolutions for images `[H, W, C]`.

    Args:
      observation_space: of one observation.
      hidden_sizes: of the perceptron.
      image_features: of the convolutions.
      render: from an observation to the image that the convolutions are to see; None where there is nothing to draw.
      activation: of the perceptron.

    Raises:
      ValueError: if observations have another number of axes, or a width is below 1.
    """
    if render is not None:
        return rendered(nature_torso(image_features), render)
    shape = tuple(observation_space.shape)
    require("observations", shape, lambda s: len(s) <= 3, "at most three axes, those of images [H, W, C]")
    return nature_torso(image_features) if len(shape) == 3 else feedforward(hidden_sizes, activation=activation)


def render_of(environment: Any) -> Render | None:
    """What draws the observations of an environment that hands out what an image is made of, see `PongScore`.

    A replay then holds a few bytes for each observation, and the network draws the batches that it learns from.
    """
    return environment.render if getattr(environment, "observes_compact", False) else None
