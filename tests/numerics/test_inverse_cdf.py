import jax
import jax.numpy as jnp
import numpy as np
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.numerics.inverse_cdf import cumulative_weights, index_below


def draw(weights, uniforms):
    inverse = jax.jit(lambda w, u: index_below(u, cumulative_weights(w)), compiler_options=QUICK_TO_COMPILE)
    return np.asarray(inverse(weights, uniforms))


def test_no_weight_of_zero_is_drawn_where_sums_go_astray():
    """Sums of many terms are made in parts: some grow where a weight is zero, and some fall.

    Uniform numbers are chosen for which the plain inverse CDF draws what cannot happen.
    """
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(1000), size=400).astype(np.float32)
    weights[rng.random(weights.shape) < 0.4] = 0
    sums = np.asarray(jnp.cumsum(jnp.asarray(weights), axis=-1))
    grows = (np.diff(sums, axis=-1) > 0) & (weights[:, 1:] == 0)
    rows, places = np.nonzero(grows)
    assert len(rows) > 10, "the sums are exact here: nothing to test"
    uniforms = sums[rows, places] / sums[rows, -1]
    drawn = np.asarray(draw(jnp.asarray(weights[rows]), jnp.asarray(uniforms)))
    assert (weights[rows, drawn] > 0).all()
    # And at both ends.
    ends = jnp.array([0.0, 1 - 2**-24], jnp.float32)
    np.testing.assert_array_equal(draw(jnp.array([[0.0, 0.4, 0.6, 0.0]] * 2), ends), [1, 2])


def test_draws_are_the_inverse_of_the_distribution_function():
    weights = jnp.array([[0.25, 0.0, 0.5, 0.25]] * 5)
    uniforms = jnp.array([0.0, 0.24, 0.25, 0.74, 0.76])
    np.testing.assert_array_equal(draw(weights, uniforms), [0, 0, 2, 2, 3])
    # Weights need not sum to one.
    np.testing.assert_array_equal(draw(4 * weights, uniforms), [0, 0, 2, 2, 3])
