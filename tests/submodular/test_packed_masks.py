import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.submodular.packed_masks import cardinality, contains, num_words, pack


@pytest.mark.parametrize("size", [1, 31, 32, 33, 100])
def test_bits_are_those_of_the_mask(size):
    mask = np.random.default_rng(size).random((5, size)) < 0.5
    words = pack(jnp.asarray(mask))
    assert words.shape == (5, num_words(size))
    for row, packed in zip(mask, np.asarray(words), strict=True):
        number = sum(1 << int(place) for place in np.flatnonzero(row))
        assert sum(int(word) << 32 * place for place, word in enumerate(packed)) == number
        np.testing.assert_array_equal(contains(jnp.asarray(packed), jnp.arange(size)), row)
        assert cardinality(jnp.asarray(packed)) == row.sum()
