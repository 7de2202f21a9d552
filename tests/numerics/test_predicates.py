import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.numerics.predicates import anywhere


@pytest.mark.parametrize("flags", [[False, False], [True, False], [[False], [True]], True, False])
def test_without_vmap_it_is_any(flags):
    assert bool(anywhere(jnp.array(flags))) == np.any(flags)


def test_under_vmaps_it_is_any_of_all_rows():
    flags = jnp.zeros((2, 3, 4), bool).at[1, 2, 0].set(True)
    seen = jax.vmap(jax.vmap(lambda row: (anywhere(row), jnp.any(row))))(flags)
    np.testing.assert_array_equal(seen[0], np.ones((2, 3)))
    np.testing.assert_array_equal(seen[1], np.any(flags, axis=-1))
    assert not jax.vmap(anywhere)(jnp.zeros((3, 2), bool)).any()


def test_a_vmapped_loop_stays_one_loop_and_its_branch_a_branch():
    """Counts to limits of its rows; the counter of the loop is not batched, so that `cond` on it remains."""

    def count(limit):
        def body(carry):
            time, total = carry
            total = jnp.where(time < limit, total + 1, total)
            return time + 1, jax.lax.cond(time % 2 == 0, lambda x: x, lambda x: x + 0, total)

        return jax.lax.while_loop(lambda carry: anywhere(carry[0] < limit), body, (jnp.int32(0), jnp.int32(0)))

    time, total = jax.jit(jax.vmap(count))(jnp.array([2, 5, 0]))
    np.testing.assert_array_equal(total, [2, 5, 0])
    np.testing.assert_array_equal(time, [5, 5, 5])
    assert "cond[" in str(jax.make_jaxpr(jax.vmap(count))(jnp.array([2, 5, 0])))
