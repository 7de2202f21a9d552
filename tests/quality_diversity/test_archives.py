import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxrl_sparse.quality_diversity.archives import append_random, archive_append, archive_init, archive_mask

BATCH, CAPACITY = 4, 10
append = jax.jit(archive_append)
append_two = jax.jit(append_random, static_argnames="num_additions")


def batch_of(values):
    values = jnp.asarray(values, jnp.float32)
    return {"pair": jnp.stack([values, 10 * values], axis=1), "number": jnp.arange(len(values), dtype=jnp.int32)}


@given(
    st.lists(
        st.lists(st.sampled_from([0.5, 1.5, -2.0, np.nan, np.inf]), min_size=BATCH, max_size=BATCH),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 2**20 - 1),
)
@example([[0.5, 1.5, np.nan, -2.0]] * 5, 2**20 - 1)
@settings(max_examples=25, deadline=None)
def test_equals_a_list(batches, mask_bits):
    archive = archive_init(batch_of([0.0] * BATCH), CAPACITY)
    kept, overflow, rejected = [], 0, 0
    for number, values in enumerate(batches):
        mask = [(mask_bits >> (BATCH * number + i)) & 1 == 1 for i in range(BATCH)]
        archive = append(archive, batch_of(values), jnp.array(mask))
        for i in range(BATCH):
            if mask[i] and not np.isfinite(values[i]):
                rejected += 1
            elif mask[i] and len(kept) == CAPACITY:
                overflow += 1
            elif mask[i]:
                kept.append((values[i], 10 * values[i], i))
    assert (int(archive.size), int(archive.overflow), int(archive.rejected)) == (len(kept), overflow, rejected)
    expected = np.zeros((CAPACITY, 3))
    expected[: len(kept)] = np.array(kept).reshape(-1, 3)
    np.testing.assert_array_equal(archive.entries["pair"], expected[:, :2])
    np.testing.assert_array_equal(archive.entries["number"], expected[:, 2])
    np.testing.assert_array_equal(archive_mask(archive), np.arange(CAPACITY) < len(kept))


def test_random_additions_are_uniform_distinct_and_finite():
    rows = batch_of([1.0, np.nan, 3.0, 4.0])
    empty = archive_init(rows, CAPACITY)
    keys = jax.random.split(jax.random.key(0), 3000)
    added = jax.jit(jax.vmap(lambda key: append_random(key, empty, rows, 2)))(keys)
    assert (np.asarray(added.size) == 2).all() and not np.asarray(added.rejected).any()
    pairs = np.sort(added.entries["number"][:, :2], axis=1)
    frequencies = [np.mean((pairs == pair).all(axis=1)) for pair in ([0, 2], [0, 3], [2, 3])]
    np.testing.assert_allclose(frequencies, 1 / 3, atol=4 * np.sqrt(2 / 9 / 3000))


def test_fewer_finite_rows_than_additions():
    rows = batch_of([np.nan, 2.0, np.inf, np.nan])
    archive = append_two(jax.random.key(0), archive_init(rows, CAPACITY), rows, num_additions=3)
    assert int(archive.size) == 1
    np.testing.assert_array_equal(archive.entries["pair"][0], [2.0, 20.0])


def test_five_additions_a_generation():
    rows = batch_of(np.arange(8.0))
    archive = archive_init(rows, 16)
    for generation in range(3):
        archive = append_two(jax.random.key(generation), archive, rows, num_additions=5)
        assert int(archive.size) == 5 * (generation + 1)


def test_refuses_no_capacity():
    with pytest.raises(ValueError, match="capacity: got 0, takes"):
        archive_init(batch_of([0.0]), 0)
