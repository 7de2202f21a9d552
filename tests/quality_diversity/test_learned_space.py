import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quality_diversity.planes import individuals_of, picture, plane

from jaxrl_sparse.networks.autoencoder_training import fit, init_state
from jaxrl_sparse.networks.autoencoders import convolutional_autoencoder
from jaxrl_sparse.quality_diversity.learned_space import AutoencoderConfig, learned_space

TOY = AutoencoderConfig(image_size=8, channels=(4,), code_size=2, batch_size=16, max_epochs=2)
GENOMES = np.random.default_rng(0).uniform(-4.0, 4.0, (20, 2)).astype(np.float32)
MASK = np.arange(20) % 5 != 0


def same(first, second):
    return all((a == b).all() for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def learned(training):
    """The state before a training point and after it, metrics, and what the fit alone makes of the same key."""
    config = dataclasses.replace(TOY, training=training)
    space = learned_space(config, plane())
    autoencoder = convolutional_autoencoder(8, (4,), 2)

    @jax.jit
    def run(init_key, learn_key, fit_key, fresh_key, render_states):
        before = space.init(init_key)
        after, metrics = space.learn(learn_key, before, render_states, jnp.asarray(MASK))
        start = init_state(autoencoder, fresh_key) if training == "reset" else before
        expected, _ = fit(
            autoencoder,
            lambda s: picture(s, 8),
            fit_key,
            start,
            render_states[:, 0],
            jnp.asarray(MASK),
            batch_size=16,
            max_epochs=2,
        )
        return before, after, metrics, expected

    learn_key = jax.random.key(1)
    fresh_key, fit_key = jax.random.split(jax.random.clone(learn_key))
    return run(jax.random.key(0), learn_key, fit_key, fresh_key, GENOMES[:, None])


@pytest.mark.slow
@pytest.mark.parametrize("training", ["continue", "reset"])
def test_a_training_is_the_fit_on_what_is_valid(training):
    before, after, metrics, expected = learned(training)
    assert same(after, expected) and not same(after, before)
    assert int(metrics["autoencoder_images"]) == MASK.sum() and int(metrics["autoencoder_epochs"]) == 2


@pytest.mark.slow
def test_what_is_drawn_anew_has_fresh_weights_and_learned_nothing():
    before, after, metrics, _ = learned("redraw")
    assert not same(after.variables, before.variables)
    assert float(after.optimizer_state.count) == 0 and int(metrics["autoencoder_epochs"]) == 0


def test_codes_of_frames_stand_side_by_side_and_their_errors_add_up():
    space = learned_space(TOY, plane())
    evaluation = individuals_of(GENOMES).evaluation
    twice = evaluation._replace(render_states=jnp.stack([GENOMES, GENOMES[::-1]], axis=1))

    @jax.jit
    def describe(key):
        state = space.init(key)
        everybody = jnp.ones(20, bool)
        return space.describe(state, evaluation, everybody), space.describe(state, twice, everybody)

    one, two = describe(jax.random.key(0))
    codes, errors = np.asarray(one.descriptors), np.asarray(one.surprises)
    np.testing.assert_allclose(two.descriptors, np.concatenate([codes, codes[::-1]], axis=1), atol=1e-6)
    np.testing.assert_allclose(two.surprises, errors + errors[::-1], rtol=1e-5)
    np.testing.assert_array_equal(two.ground_truth, evaluation.ground_truth)


def test_training_points_are_triangular_unless_there_are_none():
    chunks = jnp.arange(30)
    for training, expected in (("continue", [1, 3, 6, 10, 15, 21, 28]), ("never", [])):
        space = learned_space(dataclasses.replace(TOY, training=training), plane())
        np.testing.assert_array_equal(np.flatnonzero(jax.vmap(space.is_due)(chunks)), expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"training": "sometimes"}, "training: got 'sometimes', takes continue or reset or redraw or never"),
        ({"image_size": 10, "channels": (4, 4)}, "image_size: got 10"),
        ({"channels": ()}, "channels: got"),
        ({"max_epochs": 0}, "max_epochs: got 0"),
        ({"learning_rate": -1.0}, "learning_rate: got -1.0"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        learned_space(dataclasses.replace(TOY, **fields), plane())
