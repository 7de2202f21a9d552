"""The behaviour space of TAXONS and STAX: codes of an auto-encoder of the outcomes' images, trained as they come.

Source: Paolo et al., "Discovering and Exploiting Sparse Rewards in a Learned Behavior Space" (2024), in the authors'
published code.
"""

from math import inf
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrl_sparse.base import Metrics, config, is_count, require
from jaxrl_sparse.networks.autoencoder_training import AutoencoderState, describe_rows, fit, init_state
from jaxrl_sparse.networks.autoencoders import convolutional_autoencoder
from jaxrl_sparse.quality_diversity.behavior_spaces import BehaviorSpace, is_triangular
from jaxrl_sparse.quality_diversity.problems import Evaluation, Problem

# Rows that are described at a time.
MAX_BLOCK_SIZE = 256
TRAININGS = ("continue", "reset", "redraw", "never")


@config
class AutoencoderConfig:
    """Configuration of the behaviour space.

    The published size is `image_size=64, channels=(32, 64, 32, 16)`: its training costs 40 times as much, for a GPU.

    Attributes:
      image_size: pixels a side of the images.
      channels: of the encoder's convolutions, each of which halves the image.
      code_size: descriptors that one image gives.
      training: what happens at a training point: the auto-encoder is trained on; is trained from fresh weights
        ("reset"); gets fresh weights and is not trained ("redraw"); or nothing ("never").
      batch_size: images in a minibatch.
      max_epochs: of a training.
      patience: a training ends at this many validations in a row that are worse than the best.
      learning_rate: of Adam.
    """

    image_size: int = 16
    channels: tuple[int, ...] = (32, 16)
    code_size: int = 10
    training: Literal["continue", "reset", "redraw", "never"] = "continue"
    batch_size: int = 128
    max_epochs: int = 101
    patience: int = 4
    learning_rate: float = 1e-3


def learned_space(config: AutoencoderConfig, problem: Problem) -> BehaviorSpace:
    """Codes as descriptors, one after the other for F frames, and reconstruction errors, summed over them, as surprise.

    Training points come after 1, 3, 6, 10, ... chunks of exploration. Images are drawn from render states when they are
    needed and never stored. `learn` says: `autoencoder_epochs`, `autoencoder_training_loss`,
    `autoencoder_validation_loss` and `autoencoder_images` (trained on and validated with).

    Args:
      config: see `AutoencoderConfig`.
      problem: whose outcomes have images.

    Raises:
      ValueError: naming the field, if the problem has no `render`, an option is unknown, a number is below 1, the
        learning rate not positive, or the image cannot be halved for each of the channels.
    """
    _check(config, problem)
    autoencoder = convolutional_autoencoder(config.image_size, config.channels, config.code_size)
    render = problem.render
    assert render is not None

    def draw(render_state: Float[Array, "S"]) -> Float[Array, "H H 3"]:
        return render(render_state, config.image_size)

    def init(key: PRNGKeyArray) -> AutoencoderState:
        return init_state(autoencoder, key)

    def describe(state: AutoencoderState, evaluation: Evaluation, mask: Bool[Array, "B"]) -> Evaluation:
        # An emitter's few genomes must not cost as much as a block of an archive.
        block_size = min(MAX_BLOCK_SIZE, mask.shape[0])
        render_states = evaluation.render_states
        codes, surprises = describe_rows(autoencoder, draw, state.variables, render_states, mask, block_size)
        return evaluation._replace(descriptors=codes, surprises=surprises)

    def learn(
        key: PRNGKeyArray, state: AutoencoderState, render_states: Float[Array, "N F S"], mask: Bool[Array, "N"]
    ) -> tuple[AutoencoderState, Metrics]:
        init_key, fit_key = jax.random.split(key)
        if config.training in ("reset", "redraw"):
            state = init(init_key)
        num_frames = render_states.shape[1]
        images = jnp.repeat(mask, num_frames)
        metrics = {
            "autoencoder_epochs": jnp.int32(0),
            "autoencoder_training_loss": jnp.zeros(()),
            "autoencoder_validation_loss": jnp.zeros(()),
            "autoencoder_images": jnp.int32(0),
        }
        if config.training == "redraw":
            return state, metrics
        state, info = fit(
            autoencoder,
            draw,
            fit_key,
            state,
            render_states.reshape(-1, render_states.shape[-1]),
            images,
            learning_rate=config.learning_rate,
            batch_size=config.batch_size,
            max_epochs=config.max_epochs,
            patience=config.patience,
        )
        return state, {
            "autoencoder_epochs": info.num_epochs,
            "autoencoder_training_loss": info.training_loss,
            "autoencoder_validation_loss": info.validation_loss,
            "autoencoder_images": info.num_training_rows + info.num_validation_rows,
        }

    def is_due(chunks: Array) -> Bool[Array, ""]:
        return is_triangular(chunks) & (config.training != "never")

    return BehaviorSpace(init, describe, learn, is_due)


def _check(config: AutoencoderConfig, problem: Problem) -> None:
    require(
        "problem.render",
        problem.render,
        lambda render: render is not None,
        "a problem whose outcomes have images: that of a planar environment, or one with a render of its own",
    )
    require("training", config.training, TRAININGS.__contains__, " or ".join(TRAININGS))
    for field in ("image_size", "code_size", "batch_size", "max_epochs", "patience"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    require("learning_rate", config.learning_rate, lambda rate: 0 < rate < inf, "a finite number above 0")
