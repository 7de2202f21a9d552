import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_sparse.numerics.running_moments import initial_moments, standardize, update_moments


@given(st.integers(0, 2**31), st.floats(-50, 50), st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_batches_merge_to_the_moments_of_all(seed, centre, spread):
    parts = np.random.default_rng(seed).normal(centre, spread, (3, 5, 2, 4)).astype(np.float32)
    moments = initial_moments({"x": jax.ShapeDtypeStruct((4,), jnp.float32)})
    for part in parts:
        moments = update_moments(moments, {"x": jnp.asarray(part)})
    assert float(moments.num_samples) == 30
    np.testing.assert_allclose(moments.mean["x"], parts.mean((0, 1, 2)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(moments.variance["x"], parts.var((0, 1, 2)), rtol=1e-3)


def test_a_small_spread_around_a_large_mean_survives_a_long_stream():
    """Sums of squares would be lost in float32: 1e4^2 has a last digit of 8."""
    rng = np.random.default_rng(0)
    stream = (1e4 + rng.normal(0, 1, (400, 256))).astype(np.float32)

    def merge(moments, part):
        return update_moments(moments, part), None

    moments, _ = jax.lax.scan(merge, initial_moments(jnp.zeros(())), jnp.asarray(stream))
    np.testing.assert_allclose(moments.variance, stream.astype(np.float64).var(), rtol=0.01)


def test_standardized_by_nothing_is_unchanged_and_cut_at_the_bound():
    values = jnp.array([[-3.0, 0.5], [2.0, 9.0]])
    np.testing.assert_allclose(standardize(initial_moments(jnp.zeros(2)), values), values, rtol=1e-6)
    moments = update_moments(initial_moments(jnp.zeros(2)), values)
    shown = np.asarray(standardize(moments, values))
    np.testing.assert_allclose(shown, [[-1, -1], [1, 1]], rtol=1e-5)
    np.testing.assert_allclose(standardize(moments, values, bound=0.5), shown / 2, rtol=1e-5)
