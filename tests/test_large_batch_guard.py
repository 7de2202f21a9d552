"""jaxlib's fused reductions on CPUs: wrong rows from 32,768 on, for small matrix-vector products under vmap.

`jit(vmap(f))` over n rows, f a reduction of `M @ row`, is compared with numpy at batches of more than 32,768 rows; rows
of length 3 are those that were seen to fail, at 32,769 and 40,000 rows and not at 65,536.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

# The fusion that computes the wrong rows can be switched off: XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=-reduce.
FUSION_FLAG = "xla_cpu_experimental_ynn_fusion_type"

# 0.10.2 fails these, which is why the package does not install with it.
EVERYWHERE = {
    "sum of squares": (lambda matrix, row: jnp.sum((matrix @ row) ** 2), lambda rows: np.sum(rows**2, axis=1)),
    "norm": (lambda matrix, row: jnp.linalg.norm(matrix @ row), lambda rows: np.linalg.norm(rows, axis=1)),
    "product": (lambda matrix, row: matrix @ row, lambda rows: rows),
}
# Every jax before 0.11 fails these.
BEFORE_JAX_0_11 = {
    "sum": (lambda matrix, row: jnp.sum(matrix @ row), lambda rows: np.sum(rows, axis=1)),
    "largest": (lambda matrix, row: jnp.max(matrix @ row), lambda rows: np.max(rows, axis=1)),
}
# As a dot product of the whole batch the same numbers are right.
BATCHED = (lambda matrix, row: jnp.ones(3) @ (matrix @ row), lambda rows: np.sum(rows, axis=1))


def assert_equals_numpy(function, reference, num_rows):
    random = np.random.default_rng(0)
    matrix = random.normal(size=(3, 3)).astype(np.float32)
    rows = random.normal(size=(num_rows, 3)).astype(np.float32)
    ours = jax.jit(jax.vmap(function, in_axes=(None, 0)))(matrix, rows)
    expected = reference(rows.astype(np.float64) @ matrix.T.astype(np.float64))
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_rows", [32_769, 40_000])
@pytest.mark.parametrize("case", EVERYWHERE)
def test_large_batches_equal_numpy(case, num_rows):
    assert_equals_numpy(*EVERYWHERE[case], num_rows)


@pytest.mark.parametrize("num_rows", [32_769, 40_000])
@pytest.mark.parametrize("case", BEFORE_JAX_0_11)
@pytest.mark.xfail(
    jax.default_backend() == "cpu"
    and jax.__version_info__ < (0, 11)
    and FUSION_FLAG not in os.environ.get("XLA_FLAGS", ""),
    reason="jax before 0.11 computes these wrong on CPUs; reduce with a dot product, or switch the fusion off",
)
def test_large_batches_equal_numpy_from_jax_0_11_on(case, num_rows):
    assert_equals_numpy(*BEFORE_JAX_0_11[case], num_rows)


@pytest.mark.parametrize("num_rows", [32_769, 40_000])
def test_sums_as_dot_products_are_right_in_every_version(num_rows):
    assert_equals_numpy(*BATCHED, num_rows)
