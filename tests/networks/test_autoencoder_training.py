"""The loop of training is seen through an auto-encoder that writes down what it is given, and the numbers of a real
one are those of PyTorch."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks.sines import sine_images, sine_variables

from jaxrl_sparse.networks.autoencoder_training import (
    EarlyStopping,
    _shuffle_first,
    describe_rows,
    early_stopping,
    fit,
    init_state,
)
from jaxrl_sparse.networks.autoencoders import Autoencoder, AutoencoderVariables, convolutional_autoencoder

CAPACITY, BATCH, MAX_EPOCHS = 40, 4, 9
LOG_LENGTH = MAX_EPOCHS * CAPACITY // BATCH


def render_number(render_state):
    """An image of one pixel, whose colour is the number of the row."""
    return jnp.broadcast_to(render_state, (1, 1, 3))


def diary():
    """Statistics are the rows of each minibatch so far, their number, and the validation loss after each minibatch."""

    def init(key):
        del key
        script = jnp.zeros(LOG_LENGTH + 1)
        log = jnp.full((LOG_LENGTH, BATCH), -1.0)
        return AutoencoderVariables(jnp.float32(0.0), (log, jnp.int32(0), script))

    def reconstruct_in_training(variables, images, weights):
        log, place, script = variables.statistics
        rows = jnp.where(weights > 0.0, images[:, 0, 0, 0], -1.0)
        reconstructions = jnp.zeros_like(images) + variables.parameters
        return reconstructions, (log.at[place].set(rows), place + 1, script)

    def decode(variables, codes):
        _, place, script = variables.statistics
        return codes[:, None, None, :] + jnp.sqrt(script[place])

    def encode(variables, images):
        del variables
        return images[:, 0, 0, :]

    return Autoencoder(init, encode, decode, reconstruct_in_training, image_size=1, code_size=3)


def diary_state(losses_after_epochs=(), num_batches=1):
    """`losses_after_epochs[e]` is the validation loss after epoch e, counted from 0, of `num_batches` minibatches."""
    state = init_state(diary(), jax.random.key(0))
    log, place, script = state.variables.statistics
    for epoch, loss in enumerate(losses_after_epochs):
        script = script.at[(epoch + 1) * num_batches].set(loss)
    return state._replace(variables=state.variables._replace(statistics=(log, place, script)))


def rows_at(places):
    """Row number i + 1 at the i-th of the places, NaN elsewhere."""
    render_states = np.full((CAPACITY, 1), np.nan, np.float32)
    render_states[places, 0] = 1.0 + np.arange(len(places))
    return jnp.asarray(render_states), jnp.asarray(np.isin(np.arange(CAPACITY), places))


def minibatches(state, num_batches):
    """Rows by epoch: a list of lists of minibatches, without padding."""
    log, place, _ = state.variables.statistics
    batches = [[int(row) for row in batch if row >= 0.0] for batch in np.asarray(log[: int(place)])]
    return [batches[i : i + num_batches] for i in range(0, len(batches), num_batches)]


def fit_diary_once(key, state, render_states, mask, learning_rate):
    return fit(
        diary(),
        render_number,
        key,
        state,
        render_states,
        mask,
        learning_rate=learning_rate,
        batch_size=BATCH,
        max_epochs=MAX_EPOCHS,
    )


@pytest.fixture(scope="module")
def fit_diary():
    compiled = jax.jit(fit_diary_once)
    return lambda *arguments, learning_rate=1e-3: compiled(*arguments, learning_rate)


def test_every_epoch_has_each_training_row_once_in_a_new_order(fit_diary):
    state, info = fit_diary(jax.random.key(3), diary_state(), *rows_at([0, 1, 5, 7, 8, 20, 21, 22, 30, 33, 39]))
    # A fifth of 11 rows is held out, and 9 rows make minibatches of 4, 4 and 1.
    epochs = minibatches(state, 3)
    training_rows = {row for batch in epochs[0] for row in batch}
    assert len(training_rows) == 9 and training_rows < set(range(1, 12))
    for batches in epochs:
        assert [len(batch) for batch in batches] == [4, 4, 1]
        assert {row for batch in batches for row in batch} == training_rows
    assert len({str(batches) for batches in epochs}) == MAX_EPOCHS == len(epochs) == int(info.num_epochs)
    assert (int(info.num_training_rows), int(info.num_validation_rows)) == (9, 2)
    assert int(state.optimizer_state.count) == 3 * MAX_EPOCHS


def test_the_losses_are_means_over_the_rows(fit_diary):
    """With a learning rate next to nothing the reconstruction stays 0, and errors are the squares of the numbers."""
    script = np.full(MAX_EPOCHS, 0.25)
    state, info = fit_diary(jax.random.key(5), diary_state(script, 3), *rows_at(np.arange(11)), learning_rate=1e-9)
    rows = [row for batch in minibatches(state, 3)[0] for row in batch]
    np.testing.assert_allclose(info.training_loss, np.mean(np.square(rows)), rtol=1e-5)
    np.testing.assert_allclose(info.validation_loss, 0.25, rtol=1e-5)


def test_the_split_and_the_order_come_from_the_key(fit_diary):
    rows = rows_at(np.arange(11))
    runs = [fit_diary(jax.random.key(seed), diary_state(), *rows) for seed in (1, 1, 2, 3)]
    jax.tree.map(np.testing.assert_array_equal, runs[0], runs[1])
    held_out = [set(range(1, 12)) - {row for batch in minibatches(run[0], 3)[0] for row in batch} for run in runs]
    assert len({str(held) for held in held_out[1:]}) > 1


def test_where_the_valid_rows_are_does_not_matter(fit_diary):
    scattered = np.array([2, 3, 11, 12, 13, 19, 25, 38, 39])
    runs = [fit_diary(jax.random.key(1), diary_state(), *rows_at(places)) for places in (scattered, np.arange(9))]
    jax.tree.map(np.testing.assert_array_equal, *runs)
    assert np.isfinite(runs[0][1].training_loss)


@pytest.mark.parametrize(("num_rows", "num_training"), [(0, 0), (1, 1), (4, 4), (5, 4), (40, 32)])
def test_few_rows_and_all_rows(fit_diary, num_rows, num_training):
    before = diary_state()
    state, info = fit_diary(jax.random.key(0), before, *rows_at(np.arange(num_rows)))
    num_batches = math.ceil(num_training / BATCH)
    assert int(info.num_epochs) == (MAX_EPOCHS if num_rows else 0)
    assert (int(info.num_training_rows), int(info.num_validation_rows)) == (num_training, num_rows - num_training)
    assert int(state.optimizer_state.count) == num_batches * MAX_EPOCHS
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state, info)))
    if num_rows == 0:
        jax.tree.map(np.testing.assert_array_equal, state, before)


def published_epochs(losses, max_epochs, interval=1, patience=4):
    """Epochs, and the last validation loss, as the published loop counts them: from 1, and with the first left out."""
    best, worse, last = np.inf, 0, 0.0
    for epoch in range(1, max_epochs + 1):
        if epoch % interval or epoch == 1:
            continue
        last = losses[epoch - 1]
        if last > best:
            worse += 1
            if worse == patience:
                return epoch, last
        else:
            best, worse = last, 0
    return max_epochs, last


LOSSES = st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0]), min_size=MAX_EPOCHS, max_size=MAX_EPOCHS)


@given(losses=LOSSES)
@settings(max_examples=40, deadline=None)
def test_training_stops_where_the_published_loop_stops(fit_diary, losses):
    _, info = fit_diary(jax.random.key(0), diary_state(losses, 3), *rows_at(np.arange(11)))
    epochs, last = published_epochs(losses, MAX_EPOCHS)
    assert int(info.num_epochs) == epochs
    np.testing.assert_allclose(info.validation_loss, last, rtol=1e-4)


def test_members_of_a_vmapped_batch_are_what_they_are_alone(fit_diary):
    """Different rows, epochs and times: the members differ in all that the loops depend on."""
    growing, falling = 1.0 + np.arange(MAX_EPOCHS), 10.0 - np.arange(MAX_EPOCHS)
    cases = [
        (diary_state(growing, 3), *rows_at(np.arange(11))),
        (diary_state(falling, 8), *rows_at(np.arange(40))),
        (diary_state(), *rows_at([])),
        (diary_state(growing, 1), *rows_at([7, 8, 20, 30, 31])),
    ]
    batched = jax.jit(jax.vmap(fit_diary_once, in_axes=(0, 0, 0, 0, None)))
    stacked = jax.tree.map(lambda *row: jnp.stack(row), *cases)
    together = batched(jax.random.split(jax.random.key(0), 4), *stacked, 1e-3)
    # Whether an epoch has a validation is one branch for all members.
    assert "cond[" in str(jax.make_jaxpr(batched)(jax.random.split(jax.random.key(0), 4), *stacked, 1e-3))
    np.testing.assert_array_equal(together[1].num_epochs, [6, 9, 0, 6])
    for member, case in enumerate(cases):
        own = jax.tree.map(lambda leaf: leaf[member], together)  # noqa: B023
        alone = fit_diary(jax.random.split(jax.random.key(0), 4)[member], *case)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), own, alone)


def test_interval_patience_and_share_of_the_validation():
    losses = np.array([9.0, 1.0, 9.0, 2.0, 0.5, 3.0, 9.0, 9.0, 9.0])
    changed = {"validation_interval": 2, "patience": 2, "validation_share": 0.5}
    run = jax.jit(partial(fit, diary(), render_number, batch_size=BATCH, max_epochs=MAX_EPOCHS, **changed))
    _, info = run(jax.random.key(0), diary_state(losses, 2), *rows_at(np.arange(11)))
    assert (int(info.num_training_rows), int(info.num_validation_rows)) == (6, 5)
    assert (int(info.num_epochs), float(info.validation_loss)) == (6, pytest.approx(3.0, rel=1e-4))
    assert published_epochs(losses, MAX_EPOCHS, interval=2, patience=2) == (6, 3.0)


def test_early_stopping_counts_a_nan_as_worse_and_an_equal_loss_as_no_worse():
    stopping = EarlyStopping(jnp.float32(jnp.inf), jnp.int32(0))
    seen = []
    for loss in (2.0, 3.0, jnp.nan, 2.0, 2.5, jnp.nan, 4.0):
        stopping, stop = early_stopping(stopping, jnp.float32(loss), 3)
        seen.append((float(stopping.best), int(stopping.num_worse), bool(stop)))
    assert [worse for _, worse, _ in seen] == [0, 1, 2, 0, 1, 2, 3]
    assert [stop for *_, stop in seen] == [False] * 6 + [True] and {best for best, *_ in seen} == {2.0}


def test_a_shuffle_is_uniform_and_leaves_the_rest(monkeypatch):
    """With three or four places in use few are sorted, with five all six are."""
    monkeypatch.setattr("jaxrl_sparse.networks.autoencoder_training._FEW_PLACES", 4)
    rows, num_keys = np.arange(10, 16), 2400
    shuffle = jax.jit(jax.vmap(_shuffle_first, in_axes=(0, None, None)))
    for count in (3, 4, 5):
        orders = np.asarray(shuffle(jax.random.split(jax.random.key(count), num_keys), rows, count))
        np.testing.assert_array_equal(np.sort(orders[:, :count]), np.tile(rows[:count], (num_keys, 1)))
        np.testing.assert_array_equal(orders[:, count:], np.tile(rows[count:], (num_keys, 1)))
        found, numbers = np.unique(orders, axis=0, return_counts=True)
        expected = num_keys / math.factorial(count)
        assert len(found) == math.factorial(count)
        # Pearson's statistic, whose mean is the number of permutations less 1.
        assert np.sum((numbers - expected) ** 2 / expected) < 2.0 * len(found)


def shifted():
    """Codes are the colours of one pixel; the reconstruction is off by half of the first of them."""

    def decode(variables, codes):
        del variables
        return codes[:, None, None, :] + 0.5 * codes[:, :1, None, None]

    return diary()._replace(decode=decode)


def test_rows_are_described_frame_after_frame():
    """Any mask, NaN in rows that are not valid, three frames, and blocks that the rows do not fill."""
    rng = np.random.default_rng(0)
    render_states = rng.uniform(size=(11, 3, 3)).astype(np.float32)
    blocks = []

    def render(render_state):
        jax.debug.callback(lambda: blocks.append(1))
        return render_state[None, None, :]

    @jax.jit
    def run(render_states, mask):
        return describe_rows(shifted(), render, diary_state().variables, render_states, mask, block_size=2)

    for valid in ([], [4], [0, 1, 2], [1, 5, 6, 7, 10], np.arange(11)):
        mask = np.isin(np.arange(11), valid)
        blocks.clear()
        codes, surprises = run(np.where(mask[:, None, None], render_states, np.nan), mask)
        np.testing.assert_array_equal(codes, np.where(mask[:, None], render_states.reshape(11, 9), 0.0))
        frame_errors = (0.5 * render_states[:, :, 0]) ** 2
        np.testing.assert_allclose(surprises, np.where(mask, frame_errors.sum(axis=1), 0.0), rtol=1e-5)
        jax.effects_barrier()
        assert len(blocks) == math.ceil(len(valid) / 2)


def exact():
    """An auto-encoder that forgets nothing: codes are the pixels."""

    def encode(variables, images):
        del variables
        return images.reshape(len(images), -1)

    def decode(variables, codes):
        del variables
        return codes.reshape(-1, 2, 2, 3)

    return diary()._replace(encode=encode, decode=decode, image_size=2, code_size=12)


def render_row(render_state):
    """Two by two pixels that are curves of two numbers."""
    phases = jnp.arange(12.0).reshape(2, 2, 3)
    return 0.5 + 0.5 * jnp.sin(phases * render_state[0] + render_state[1])


def test_what_is_reconstructed_exactly_surprises_nobody():
    """Surprise is exactly 0; a decoder that is off in one pixel makes it the square of that, shared by all numbers."""
    render_states = np.random.default_rng(0).uniform(size=(5, 2, 2)).astype(np.float32)
    mask, variables = np.arange(5) != 3, diary_state().variables

    def off_in_one_pixel(variables, codes):
        return exact().decode(variables, codes).at[:, 1, 0, 2].add(0.25)

    @jax.jit
    def run(render_states, mask):
        autoencoders = exact(), exact()._replace(decode=off_in_one_pixel)
        described = [describe_rows(a, render_row, variables, render_states, mask, block_size=2) for a in autoencoders]
        return jax.vmap(jax.vmap(render_row))(render_states), *described

    images, (codes, surprises), (_, surprises_when_off) = run(render_states, mask)
    np.testing.assert_array_equal(surprises, np.zeros(5))
    np.testing.assert_allclose(codes, np.where(mask[:, None], images.reshape(5, 24), 0.0), rtol=1e-6)
    np.testing.assert_allclose(surprises_when_off, np.where(mask, 2 * 0.25**2 / 12, 0.0), rtol=1e-5)


def test_permuting_what_is_stored_permutes_codes_and_surprises():
    autoencoder, num_rows = convolutional_autoencoder(2, (4,), 3), 11
    variables = jax.tree.map(jnp.asarray, sine_variables(autoencoder))
    rng = np.random.default_rng(1)
    render_states = rng.uniform(size=(num_rows, 2, 2)).astype(np.float32)
    mask, order = np.isin(np.arange(num_rows), [0, 2, 3, 5, 6, 9, 10]), rng.permutation(num_rows)
    assert (mask != mask[order]).any()

    @jax.jit
    def run(render_states, mask):
        return describe_rows(autoencoder, render_row, variables, render_states, mask, block_size=2)

    codes, surprises = run(render_states, mask)
    permuted_codes, permuted_surprises = run(render_states[order], mask[order])
    # Rows differ, so that only their own codes and surprises are right.
    assert len(np.unique(np.round(codes[mask], 3), axis=0)) == len(np.unique(np.round(surprises[mask], 4))) == 7
    np.testing.assert_allclose(permuted_codes, codes[order], atol=1e-6)
    np.testing.assert_allclose(permuted_surprises, surprises[order], rtol=1e-5)
    np.testing.assert_allclose(permuted_surprises.sum() / mask.sum(), surprises[mask].mean(), rtol=1e-6)


# Losses of ten steps of Adam at a rate of 0.003 on six images in one minibatch, codes of the first image and errors of
# all after five and ten of them, by PyTorch 2.13 in float64, from the same variables.
TORCH_LOSSES = {5: 0.2911685, 10: 0.271143}
TORCH_CODES = {5: [-0.112699, 1.22822, -0.473643], 10: [0.451126, 0.92295, -1.006912]}
TORCH_ERRORS = {
    5: [0.2697769, 0.2813614, 0.2954658, 0.2748303, 0.2667412, 0.2763709],
    10: [0.2635458, 0.2703704, 0.271363, 0.2787065, 0.2441388, 0.274358],
}


@pytest.mark.slow
def test_training_equals_torch_and_goes_on_where_it_stopped():
    """Six rows in two orders among ten places; Adam's moments are those of one training of ten steps."""
    autoencoder, images = convolutional_autoencoder(8, (4,), 3), jnp.asarray(sine_images(6, 8))
    variables = jax.tree.map(jnp.asarray, sine_variables(autoencoder))
    state = init_state(autoencoder._replace(init=lambda _: variables), jax.random.key(0))
    places = np.array([[0, 1, 2, 3, 4, 5], [9, 2, 4, 8, 1, 5]])
    render_states = np.full((2, 10, 1), np.nan, np.float32)
    for member in range(2):
        render_states[member, places[member], 0] = np.arange(6)
    mask = np.isfinite(render_states[..., 0])

    def render(render_state):
        return images[jnp.nan_to_num(render_state[0]).astype(jnp.int32)] + 0.0 * render_state[0]

    @jax.jit
    @jax.vmap
    def run(key, state, render_states, mask):
        schedule = {"learning_rate": 0.003, "max_epochs": 5, "validation_share": 0.0}
        state, info = fit(autoencoder, render, key, state, render_states, mask, **schedule)
        frames = render_states[:, None]
        return state, info, describe_rows(autoencoder, render, state.variables, frames, mask, block_size=4)

    keys = jax.random.split(jax.random.key(1), (2, 2))
    states = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), state)
    for num_steps, step_keys in zip((5, 10), keys, strict=True):
        states, info, (codes, surprises) = run(step_keys, states, render_states, mask)
        np.testing.assert_allclose(info.training_loss, [TORCH_LOSSES[num_steps]] * 2, rtol=1e-4)
        for member in range(2):
            own = places[member]
            np.testing.assert_allclose(codes[member, own[0]], TORCH_CODES[num_steps], atol=1e-3)
            np.testing.assert_allclose(surprises[member, own], TORCH_ERRORS[num_steps], rtol=1e-3)
            others = np.setdiff1d(np.arange(10), own)
            assert (np.asarray(codes[member, others]) == 0.0).all()
            assert (np.asarray(surprises[member, others]) == 0.0).all()


@pytest.mark.slow
def test_codes_of_discs_tell_where_the_disc_is():
    """Images with two factors: a linear map from the codes of half of them finds the places of the other half."""
    size, num_images = 16, 300
    pixels = (np.arange(size, dtype=np.float32) + 0.5) / size

    def render(center):
        distance = jnp.hypot(pixels[None, :] - center[0], pixels[:, None] - center[1])
        return jnp.broadcast_to(jnp.clip(0.5 - (distance - 0.2) * size, 0.0, 1.0)[..., None], (size, size, 3))

    autoencoder = convolutional_autoencoder(size, (32, 16))
    centers = np.random.default_rng(0).uniform(0.2, 0.8, (num_images, 2)).astype(np.float32)
    everywhere = np.ones(num_images, bool)
    before = init_state(autoencoder, jax.random.key(1))
    after, info = jax.jit(partial(fit, autoencoder, render))(jax.random.key(2), before, centers, everywhere)
    describe = jax.jit(partial(describe_rows, autoencoder, render))
    codes, surprises = describe(after.variables, centers[:, None], everywhere)
    _, surprises_before = describe(before.variables, centers[:, None], everywhere)
    assert np.mean(surprises) < 0.1 * np.mean(surprises_before)
    np.testing.assert_allclose(info.validation_loss, np.mean(surprises), rtol=0.3)
    inputs = np.concatenate([codes, np.ones((num_images, 1))], axis=1)
    known, asked = slice(0, num_images // 2), slice(num_images // 2, None)
    predictions = inputs[asked] @ np.linalg.lstsq(inputs[known], centers[known])[0]
    residuals = np.mean((predictions - centers[asked]) ** 2, axis=0)
    assert (1.0 - residuals / np.var(centers[asked], axis=0) > 0.9).all()


def test_refuses_blocks_of_no_rows():
    render_states, mask = rows_at([0])
    with pytest.raises(ValueError, match="block_size: got 0, takes"):
        describe_rows(diary(), render_number, diary_state().variables, render_states[:, None], mask, block_size=0)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("batch_size", 0),
        ("max_epochs", 0),
        ("validation_interval", 0),
        ("patience", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("validation_share", 1.0),
        ("validation_share", -0.1),
    ],
)
def test_refuses_bad_arguments(argument, value):
    arguments = (diary(), render_number, jax.random.key(0), diary_state(), *rows_at([0]))
    with pytest.raises(ValueError, match=f"{argument}: got {value}, takes"):
        fit(*arguments, **{argument: value})
