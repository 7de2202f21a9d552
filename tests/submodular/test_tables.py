import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.submodular.tables import as_floats, as_integers


def test_good_tables_keep_their_numbers():
    made = as_floats("weights", [[1, 2], [3, 4]], "N M", least=1)
    assert made.dtype == jnp.float32
    np.testing.assert_array_equal(made, [[1, 2], [3, 4]])
    made = as_integers("caps", np.array([0, 5]), "G", least=0)
    assert made.dtype == jnp.int32
    np.testing.assert_array_equal(made, [0, 5])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: as_floats("w", [1.0], "N M"), r"^w: got \(1,\), takes the shape \[N, M\]$"),
        (lambda: as_floats("w", np.zeros((0, 2)), "N M"), r"^w: got \(0, 2\), takes the shape"),
        (lambda: as_floats("w", [1.0, np.nan], "N"), r"^w: got nan, takes finite numbers$"),
        (lambda: as_floats("w", [1.0, -2.0], "N", least=0), r"^w: got -2.0, takes numbers of at least 0$"),
        (lambda: as_integers("n", [0, 3], "N", least=-1, most=2), r"^n: got 3, takes integers from -1 to 2$"),
        (lambda: as_integers("n", [-2, 1], "N", least=-1), r"^n: got -2, takes integers from -1"),
        (lambda: as_integers("n", [0.0], "N", least=0), r"^n: got 'float32', takes integers$"),
    ],
)
def test_bad_tables_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_tracers_are_not_looked_into():
    def made(table):
        return as_floats("w", table, "N", least=0), as_integers("n", table.astype(int), "N", least=0, most=1)

    floats, integers = jax.jit(made)(jnp.array([-1.0, 7.0]))
    np.testing.assert_array_equal(floats, [-1, 7])
    np.testing.assert_array_equal(integers, [-1, 7])
