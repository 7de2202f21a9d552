import jax
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from scipy import stats

from jaxrl_sparse.numerics.random_order import random_order


@pytest.mark.parametrize("size", [1, 2, 5, 64, 1000, 2**16, 2**16 + 1])
def test_every_index_comes_once(size):
    order = jax.jit(random_order, static_argnums=1, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0), size)
    np.testing.assert_array_equal(np.sort(order), np.arange(size))
    assert size < 5 or (np.asarray(order) != np.arange(size)).any()


def test_all_orders_are_equally_likely():
    """Of the 24 orders of four, by 24,000 draws."""
    draw = jax.jit(jax.vmap(lambda key: random_order(key, 4)), compiler_options=QUICK_TO_COMPILE)
    orders = np.asarray(draw(jax.random.split(jax.random.key(1), 24_000)))
    _, counts = np.unique(orders @ 4 ** np.arange(4), return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3


def test_where_an_index_comes_is_uniform():
    """Of 40 indices, the first's and the last's place, which ties and leftover bits would touch first."""
    draw = jax.jit(jax.vmap(lambda key: random_order(key, 40)), compiler_options=QUICK_TO_COMPILE)
    orders = np.asarray(draw(jax.random.split(jax.random.key(2), 20_000)))
    for index in (0, 39):
        places = np.bincount(np.nonzero(orders == index)[1], minlength=40)
        assert stats.chisquare(places).pvalue > 1e-3


def test_refuses_no_size():
    with pytest.raises(ValueError, match="size: got 0, takes an integer of at least 1"):
        random_order(jax.random.key(0), 0)
