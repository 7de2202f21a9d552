import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.networks.feedforward import feedforward, flat_features


def layers(params):
    return [(np.asarray(params[name]["kernel"]), np.asarray(params[name]["bias"])) for name in sorted(params)]


def test_it_is_the_chain_of_matrix_products():
    network = feedforward((4, 3), 2, "tanh")
    inputs = jax.random.normal(jax.random.key(0), (5, 2, 3))
    params = jax.tree.map(lambda leaf: leaf + 0.1, network.init(jax.random.key(1), inputs))
    expected = np.asarray(inputs).reshape(5, 6)
    (w1, b1), (w2, b2), (w3, b3) = layers(params)
    expected = np.tanh(np.tanh(expected @ w1 + b1) @ w2 + b2) @ w3 + b3
    np.testing.assert_allclose(network.apply(params, inputs), expected, atol=1e-5)


def test_without_an_end_the_last_features_are_the_outputs():
    network = feedforward((4, 3))
    inputs = jax.random.normal(jax.random.key(0), (50, 6))
    params = network.init(jax.random.key(1), inputs)
    outputs = network.apply(params, inputs)
    assert outputs.shape == (50, 3) and outputs.min() == 0 and outputs.max() > 0


def test_the_first_weights_have_the_variance_that_is_promised():
    wide = jnp.zeros((1, 400))
    ends = [feedforward((), 300, final_scale=scale).init(jax.random.key(2), wide) for scale in (1.0, 0.1)]
    (whole, bias), (tenth, _) = (layers(end)[0] for end in ends)
    np.testing.assert_allclose(whole.var(), 1 / 400, rtol=0.02)
    np.testing.assert_allclose(tenth, 0.1 * whole, rtol=1e-5)
    assert not bias.any()


def test_rows_of_any_shape_and_dtype_are_flat():
    np.testing.assert_array_equal(flat_features(jnp.arange(3)), [[0], [1], [2]])
    assert flat_features(jnp.zeros((2, 3, 4), bool)).shape == (2, 12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: feedforward((0,)), "hidden_sizes: got"),
        (lambda: feedforward(()), "hidden_sizes: got"),
        (lambda: feedforward((3,), 0), "num_outputs: got 0"),
        (lambda: feedforward((3,), activation="rellu"), "activation: got 'rellu', takes one of relu"),
        (lambda: feedforward((3,), 1, final_scale=-1.0), "final_scale: got -1.0"),
    ],
)
def test_refuses_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
