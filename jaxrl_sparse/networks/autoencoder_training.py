"""Training of auto-encoders inside jit, on images that are drawn when they are needed and never stored."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require
from jaxrl_sparse.networks.autoencoders import Autoencoder, AutoencoderVariables, reconstruction_errors
from jaxrl_sparse.numerics.predicates import anywhere

# As many places are sorted where no more are in use. Sorting a whole archive of 165,000 places takes 27 ms on a CPU, as
# long as a training step or two on images of 16 x 16 pixels, and an epoch may have ten of these.
_FEW_PLACES = 4096

Render = Callable[[Array], Array]


class AutoencoderState(NamedTuple):
    """What training changes.

    Attributes:
      variables: of the auto-encoder.
      optimizer_state: Adam's moments and count.
    """

    variables: AutoencoderVariables
    optimizer_state: optax.OptState


class FitInfo(NamedTuple):
    """What happened in a training.

    Attributes:
      num_epochs: epochs that were run.
      num_training_rows: rows that were trained on.
      num_validation_rows: rows that were held out.
      training_loss: mean over the training rows of their errors, each as it was in its minibatch of the last epoch; 0
        where there were no rows.
      validation_loss: the last one, mean over the validation rows; 0 where there was no validation.
    """

    num_epochs: Int[Array, ""]
    num_training_rows: Int[Array, ""]
    num_validation_rows: Int[Array, ""]
    training_loss: Float[Array, ""]
    validation_loss: Float[Array, ""]


class EarlyStopping(NamedTuple):
    """Memory of the rule that ends a training.

    Attributes:
      best: the smallest validation loss.
      num_worse: validations in a row that were worse than it.
    """

    best: Float[Array, ""]
    num_worse: Int[Array, ""]


def init_state(autoencoder: Autoencoder, key: PRNGKeyArray) -> AutoencoderState:
    """An untrained auto-encoder, and an optimiser without a past."""
    variables = autoencoder.init(key)
    return AutoencoderState(variables, optax.scale_by_adam().init(variables.parameters))


def fit(
    autoencoder: Autoencoder,
    render: Render,
    key: PRNGKeyArray,
    state: AutoencoderState,
    render_states: Float[Array, "N S"],
    mask: Bool[Array, "N"],
    *,
    learning_rate: float | Float[Array, ""] = 1e-3,
    batch_size: int = 128,
    max_epochs: int = 101,
    validation_share: float = 0.2,
    validation_interval: int = 1,
    patience: int = 4,
) -> tuple[AutoencoderState, FitInfo]:
    """Trains by Adam on the mean squared error of reconstructions, until it grows on rows that are held out.

    The loss of a minibatch is the mean over its images of `mean((x - x_hat)^2)` over pixels and channels; the last
    minibatch of an epoch holds what is left. The valid rows come into random order, the first `validation_share` of
    them are held out, the others are shuffled anew for each epoch. After every `validation_interval`-th epoch but the
    first the loss of the held out rows is taken, in evaluation mode, and `early_stopping` decides. What was learned
    after the best validation is kept.

    Time follows the number of valid rows and not N; which places the valid rows have does not matter, their order
    does. Without a valid row nothing changes; where the held out rows are none, all epochs are run. A row that renders
    to NaN makes the losses NaN.

    Under `vmap`, rows of the batch that have finished wait for the others.

    Args:
      autoencoder: what to train.
      render: `render(render_state[S]) -> image[H, H, 3]`, values in [0, 1].
      key: for the split and the shuffles.
      state: as `init_state` or an earlier training left it.
      render_states: what the images are functions of.
      mask: which rows are valid.
      learning_rate: of Adam; it may be a tracer.
      batch_size: images in a minibatch.
      max_epochs: at least 1. Those of STAX count from 0 to 100; TAXONS as first published has 5, and no validation.
      validation_share: in [0, 1), static.
      validation_interval: in epochs.
      patience: at least 1.

    Returns:
      The new state and what happened.

    Raises:
      ValueError: if a number is out of range.

    Source: Paolo et al., "Discovering and Exploiting Sparse Rewards in a Learned Behavior Space" (2024), in the
    authors' published code; Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015).
    """
    for name, number in (
        ("batch_size", batch_size),
        ("max_epochs", max_epochs),
        ("validation_interval", validation_interval),
        ("patience", patience),
    ):
        require(name, number, is_count, "an integer of at least 1")
    require("learning_rate", learning_rate, lambda rate: 0.0 < rate < float("inf"), "a finite number above 0")
    require("validation_share", validation_share, lambda share: 0.0 <= share < 1.0, "a number in [0, 1)")
    split_key, epochs_key = jax.random.split(key)
    num_rows = jnp.sum(mask, dtype=jnp.int32)
    num_validation = jnp.floor(validation_share * num_rows.astype(jnp.float32)).astype(jnp.int32)
    num_training = num_rows - num_validation
    # The training rows come first, then those that are held out, then places without a row.
    rows = _shuffle_first(split_key, _valid_rows(mask), num_rows)

    def draw(places: Int[Array, "B"], used: Bool[Array, "B"], order: Int[Array, "N"]) -> Float[Array, "B H H 3"]:
        images = jax.vmap(render)(render_states[order[places]]).astype(jnp.float32)
        # What is not used may be NaN, and NaN times a weight of zero is NaN.
        return jnp.where(used[:, None, None, None], images, 0.0)

    def run_epoch(loop: _Training) -> _Training:
        running = ~loop.finished
        order = _shuffle_first(jax.random.fold_in(epochs_key, loop.epoch), rows, num_training)

        def train(carry: tuple, places: Int[Array, "B"], used: Bool[Array, "B"]) -> tuple:
            state, total = carry
            new_state, errors = _train_step(autoencoder, state, draw(places, used, order), used, learning_rate)
            # A minibatch without a row is one that only another member of a vmapped batch has.
            state = jax.tree.map(lambda new, old: jnp.where(used[0], new, old), new_state, state)
            return state, total + jnp.sum(errors, where=used)

        end = jnp.where(running, num_training, 0)
        state, total = _over_blocks(train, (loop.state, jnp.float32(0.0)), jnp.zeros_like(end), end, batch_size)
        epoch = loop.epoch + 1
        loop = loop._replace(
            epoch=epoch,
            state=state,
            finished=jnp.logical_or(loop.finished, epoch == max_epochs),
            num_epochs=loop.num_epochs + running.astype(jnp.int32),
            training_loss=jnp.where(running, total / jnp.maximum(num_training, 1), loop.training_loss),
        )
        if validation_share == 0.0:
            return loop
        validates = jnp.logical_and(epoch % validation_interval == 0, epoch > 1)
        return jax.lax.cond(validates, validate, lambda loop, running: loop, loop, running)

    def validate(loop: _Training, running: Bool[Array, ""]) -> _Training:
        def add_errors(total: Float[Array, ""], places: Int[Array, "B"], used: Bool[Array, "B"]) -> Float[Array, ""]:
            images = draw(places, used, rows)
            errors = reconstruction_errors(images, autoencoder.reconstruct(loop.state.variables, images))
            return total + jnp.sum(errors, where=used)

        end = jnp.where(running, num_rows, num_training)
        total = _over_blocks(add_errors, jnp.float32(0.0), num_training, end, batch_size)
        loss = total / jnp.maximum(num_validation, 1)
        stopping, stop = early_stopping(loop.stopping, loss, patience)
        seen = end > num_training
        return loop._replace(
            stopping=jax.tree.map(lambda new, old: jnp.where(seen, new, old), stopping, loop.stopping),
            finished=jnp.logical_or(loop.finished, jnp.logical_and(seen, stop)),
            validation_loss=jnp.where(seen, loss, loop.validation_loss),
        )

    loop = jax.lax.while_loop(
        lambda loop: anywhere(~loop.finished),
        run_epoch,
        _Training(
            epoch=jnp.int32(0),
            state=state,
            stopping=EarlyStopping(best=jnp.float32(jnp.inf), num_worse=jnp.int32(0)),
            finished=num_training == 0,
            num_epochs=jnp.int32(0),
            training_loss=jnp.float32(0.0),
            validation_loss=jnp.float32(0.0),
        ),
    )
    info = FitInfo(loop.num_epochs, num_training, num_validation, loop.training_loss, loop.validation_loss)
    return loop.state, info


def early_stopping(
    stopping: EarlyStopping, loss: Float[Array, ""], patience: int
) -> tuple[EarlyStopping, Bool[Array, ""]]:
    """Takes note of a validation loss, and tells whether it is the `patience`-th in a row above the smallest one.

    A loss that equals the smallest is none of these, a NaN is one.
    """
    improved = loss <= stopping.best
    num_worse = jnp.where(improved, 0, stopping.num_worse + 1)
    return EarlyStopping(jnp.where(improved, loss, stopping.best), num_worse), num_worse >= patience


def describe_rows(
    autoencoder: Autoencoder,
    render: Render,
    variables: AutoencoderVariables,
    render_states: Float[Array, "N F S"],
    mask: Bool[Array, "N"],
    block_size: int = 256,
) -> tuple[Float[Array, "N D"], Float[Array, "N"]]:
    """Behaviour descriptors and surprises of rows of F frames each, in blocks of rows.

    The descriptor is the codes of the frames, one after the other; the surprise is the sum over the frames of
    `mean((x - x_hat)^2)` over pixels and channels. Time follows the number of valid rows and not N.

    Args:
      autoencoder: what encodes and reconstructs, in evaluation mode.
      render: `render(render_state[S]) -> image[H, H, 3]`, values in [0, 1].
      variables: of the auto-encoder.
      render_states: what the images are functions of.
      mask: which rows are valid.
      block_size: rows in a block; their F images each are in memory at a time.

    Returns:
      Descriptors `[N, F code_size]` and surprises `[N]`, both 0 where a row is not valid.

    Raises:
      ValueError: if `block_size` is below 1.

    Source: as `fit`.
    """
    require("block_size", block_size, is_count, "an integer of at least 1")
    num_rows, num_frames, _ = render_states.shape
    rows = _valid_rows(mask)

    def describe(carry: tuple, places: Int[Array, "B"], used: Bool[Array, "B"]) -> tuple:
        codes, surprises = carry
        chosen = jnp.where(used, rows[places], num_rows)
        frames = render_states[chosen].reshape(block_size * num_frames, -1)
        images = jax.vmap(render)(frames).astype(jnp.float32)
        block_codes = autoencoder.encode(variables, images)
        errors = reconstruction_errors(images, autoencoder.decode(variables, block_codes))
        codes = codes.at[chosen].set(block_codes.reshape(block_size, -1), mode="drop")
        surprises = surprises.at[chosen].set(jnp.sum(errors.reshape(block_size, -1), axis=-1), mode="drop")
        return codes, surprises

    codes = jnp.zeros((num_rows, num_frames * autoencoder.code_size), jnp.float32)
    surprises = jnp.zeros(num_rows, jnp.float32)
    end = jnp.sum(mask, dtype=jnp.int32)
    return _over_blocks(describe, (codes, surprises), jnp.zeros_like(end), end, block_size)


class _Training(NamedTuple):
    """The loop over epochs; `epoch` is the loop's own, and is not batched where the others are."""

    epoch: Int[Array, ""]
    state: AutoencoderState
    stopping: EarlyStopping
    finished: Bool[Array, ""]
    num_epochs: Int[Array, ""]
    training_loss: Float[Array, ""]
    validation_loss: Float[Array, ""]


def _train_step(
    autoencoder: Autoencoder,
    state: AutoencoderState,
    images: Float[Array, "B H H 3"],
    used: Bool[Array, "B"],
    learning_rate: float | Float[Array, ""],
) -> tuple[AutoencoderState, Float[Array, "B"]]:
    parameters, statistics = state.variables
    weights = used.astype(jnp.float32)

    def loss(parameters: PyTree) -> tuple[Float[Array, ""], tuple[Float[Array, "B"], PyTree]]:
        variables = AutoencoderVariables(parameters, statistics)
        reconstructions, seen = autoencoder.reconstruct_in_training(variables, images, weights)
        errors = reconstruction_errors(images, reconstructions)
        return jnp.sum(weights * errors) / jnp.maximum(jnp.sum(weights), 1.0), (errors, seen)

    gradients, (errors, statistics) = jax.grad(loss, has_aux=True)(parameters)
    directions, optimizer_state = optax.scale_by_adam().update(gradients, state.optimizer_state)
    rate = jnp.asarray(learning_rate, jnp.float32)
    parameters = jax.tree.map(lambda parameter, direction: parameter - rate * direction, parameters, directions)
    return AutoencoderState(AutoencoderVariables(parameters, statistics), optimizer_state), errors


def _over_blocks(
    body: Callable[[PyTree, Array, Array], PyTree],
    carry: PyTree,
    start: Int[Array, ""],
    stop: Int[Array, ""],
    block_size: int,
) -> PyTree:
    """`carry = body(carry, places[block_size], used[block_size])` over the places start, ..., stop - 1.

    Places from `stop` on are not used. Under `vmap` the body is called for members that have no place left: it must
    then return the carry as it is.
    """

    def step(loop: tuple) -> tuple:
        block, carry = loop
        places = start + block * block_size + jnp.arange(block_size, dtype=jnp.int32)
        return block + 1, body(carry, places, places < stop)

    def is_left(loop: tuple) -> Bool[Array, ""]:
        return anywhere(start + loop[0] * block_size < stop)

    return jax.lax.while_loop(is_left, step, (jnp.int32(0), carry))[1]


def _valid_rows(mask: Bool[Array, "N"]) -> Int[Array, "N"]:
    """The indices of the valid rows in ascending order, then zeros."""
    return jnp.nonzero(mask, size=len(mask), fill_value=0)[0].astype(jnp.int32)


def _shuffle_first(key: PRNGKeyArray, rows: Int[Array, "N"], count: Int[Array, ""]) -> Int[Array, "N"]:
    """Brings the first `count` rows into random order; the others stay where they are."""
    lots = jnp.where(jnp.arange(len(rows)) < count, jax.random.uniform(key, rows.shape, jnp.float32), jnp.inf)

    def sort(size: int) -> Int[Array, "N"]:
        _, front = jax.lax.sort((lots[:size], rows[:size]), num_keys=1, is_stable=True)
        return jnp.concatenate([front, rows[size:]])

    if len(rows) <= _FEW_PLACES:
        return sort(len(rows))
    return jax.lax.cond(anywhere(count > _FEW_PLACES), lambda: sort(len(rows)), lambda: sort(_FEW_PLACES))
