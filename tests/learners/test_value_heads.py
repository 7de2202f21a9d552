import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.learners.value_heads import (
    Law,
    averaged_law,
    categorical,
    categorical_loss,
    expected_value,
    greedy_weights,
    implicit_quantile,
    of_actions,
    quantile,
    value_loss,
)

FEATURES = jax.random.normal(jax.random.key(7), (3, 5))
ACTIONS = jnp.array([1, 0, 1])
TARGETS = Law(jnp.array([[1.0, 2.0], [0.0, 4.0], [-1.0, 0.5]]), jnp.full((1, 2), 0.5))


def linear(params, features):
    (layer,) = jax.tree.leaves(params, is_leaf=lambda node: isinstance(node, dict) and "kernel" in node)
    return np.asarray(features) @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])


def test_the_expected_value_is_regressed_on_the_mean_of_the_target():
    head = expected_value(output_scale=3.0)
    params = head.init(jax.random.key(0), FEATURES, 2)
    losses, values = head.loss(params, jax.random.key(1), FEATURES, ACTIONS, TARGETS)
    expected = 3 * linear(params, FEATURES)[np.arange(3), ACTIONS]
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_allclose(losses, (expected - [1.5, 2.0, -0.25]) ** 2 / 2, rtol=1e-5)
    law = head.law(params, jax.random.key(1), FEATURES)
    np.testing.assert_allclose(head.score(*law, None)[np.arange(3), ACTIONS], expected, rtol=1e-5)


def test_the_value_loss_is_hubers():
    np.testing.assert_allclose(value_loss(jnp.zeros(3), jnp.array([0.5, -2.0, 3.0]), 1.0), [0.125, 1.5, 2.5])
    np.testing.assert_allclose(value_loss(jnp.zeros(2), jnp.array([0.5, -2.0])), [0.125, 2.0])


def test_quantiles_meet_their_loss_by_hand():
    head = quantile(2, 0.0)
    params = head.init(jax.random.key(0), FEATURES, 2)
    chosen = linear(params, FEATURES).reshape(3, 2, 2)[np.arange(3), ACTIONS]
    losses, values = head.loss(params, jax.random.key(1), FEATURES, ACTIONS, TARGETS)
    d = np.asarray(TARGETS.atoms)[:, None, :] - chosen[:, :, None]
    by_hand = (np.abs(np.array([0.25, 0.75])[:, None] - (d < 0)) * np.abs(d)).mean(-1).sum(-1)
    np.testing.assert_allclose(losses, by_hand, rtol=1e-5)
    np.testing.assert_allclose(values, chosen.mean(-1), rtol=1e-5)


def test_categories_meet_the_cross_entropy_with_the_projection_by_hand():
    head = categorical(-1.0, 3.0, 5)
    params = head.init(jax.random.key(0), FEATURES, 2)
    logits = linear(params, FEATURES).reshape(3, 2, 5)[np.arange(3), ACTIONS]
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    # 4 lies beyond the last atom, .5 between two.
    projected = np.array([[0, 0, 0.5, 0.5, 0], [0, 0.5, 0, 0, 0.5], [0.5, 0.25, 0.25, 0, 0]])
    losses, values = head.loss(params, jax.random.key(1), FEATURES, ACTIONS, TARGETS)
    np.testing.assert_allclose(losses, -(projected * log_probabilities).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(values, np.exp(log_probabilities) @ np.arange(-1.0, 4.0), rtol=1e-4)
    np.testing.assert_allclose(categorical_loss(jnp.asarray(logits), jnp.asarray(projected)), losses, rtol=1e-5)


def test_implicit_quantiles_are_the_network_at_the_drawn_levels():
    head = implicit_quantile(6, 4, 3, embedding_size=8, kappa=1.0, hidden_sizes=())
    params = head.init(jax.random.key(0), FEATURES, 2)
    key = jax.random.key(5)
    taus = np.asarray(jax.random.uniform(jax.random.clone(key), (3, 3)))
    cosines = np.cos(np.pi * np.arange(8) * taus[..., None])
    phi = np.maximum(linear(params["embedding"], cosines), 0)
    expected = np.moveaxis(linear(params["outputs"], np.asarray(FEATURES)[:, None] * phi), 1, 2)
    np.testing.assert_allclose(head.law(params, key, FEATURES).atoms, expected, atol=1e-5)
    # Without a key the levels are the middles of equal shares, in every call.
    cosines = np.cos(np.pi * np.arange(8) * np.array([[1 / 6, 0.5, 5 / 6]] * 3)[..., None])
    phi = np.maximum(linear(params["embedding"], cosines), 0)
    expected = np.moveaxis(linear(params["outputs"], np.asarray(FEATURES)[:, None] * phi), 1, 2)
    np.testing.assert_allclose(head.law(params, None, FEATURES).atoms, expected, atol=1e-5)
    assert head.target_law is not None
    assert head.target_law(params, jax.random.key(6), FEATURES).atoms.shape == (3, 2, 4)


@pytest.mark.slow
def test_implicit_quantiles_learn_the_quantile_function_of_a_law():
    head = implicit_quantile(16, 8, 8, embedding_size=16, kappa=0.0, hidden_sizes=(32,))
    features = jnp.ones((1, 8))
    params = head.init(jax.random.key(0), features, 1)

    def step(params, key):
        level_key, sample_key = jax.random.split(key)
        samples = Law(jax.random.uniform(sample_key, (1, 64)) ** 2, jnp.full((1, 1), 1 / 64))
        gradient = jax.grad(lambda p: head.loss(p, level_key, features, jnp.zeros(1, int), samples)[0].sum())(params)
        return jax.tree.map(lambda p, g: p - 0.02 * g, params, gradient), None

    params, _ = jax.jit(lambda p: jax.lax.scan(step, p, jax.random.split(jax.random.key(1), 3000)))(params)
    key = jax.random.key(2)
    taus = np.asarray(jax.random.uniform(jax.random.clone(key), (1, 8)))
    # The quantile function of the square of a uniform number.
    np.testing.assert_allclose(head.law(params, key, features).atoms[0, 0], taus[0] ** 2, atol=0.08)


def test_greedy_weights_take_the_first_or_all_of_the_best():
    scores = jnp.array([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0], [3.0, 2.9999, 1.0]])
    np.testing.assert_array_equal(greedy_weights(scores), [[0, 1, 0], [1, 0, 0], [1, 0, 0]])
    averaged = greedy_weights(scores, average_ties=True)
    np.testing.assert_allclose(averaged, [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3], [1, 0, 0]])
    law = Law(jnp.arange(18.0).reshape(3, 3, 2), jnp.full((1, 1, 2), 0.5))
    np.testing.assert_allclose(averaged_law(law, averaged).atoms, [[3, 4], [8, 9], [12, 13]])
    np.testing.assert_allclose(of_actions(law.atoms, jnp.array([2, 0, 1])), [[4, 5], [6, 7], [14, 15]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: expected_value(0.0), "huber_delta: got 0.0"),
        (lambda: quantile(0), "num_quantiles: got 0"),
        (lambda: quantile(2, -1.0), "kappa: got -1.0"),
        (lambda: categorical(1.0, 1.0), "low, high: got"),
        (lambda: categorical(0.0, 1.0, 1), "num_atoms: got 1"),
        (lambda: implicit_quantile(0), "num_samples"),
    ],
)
def test_refuses_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
