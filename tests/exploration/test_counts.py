import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rewards.experience import experience, label, pieces

from jaxrl_sparse.exploration import box_cells, count_bonus, hash_cells

CELLS = box_cells((-2.0, -2.0), (2.0, 2.0), (3, 4))


def cell_of(observations):
    return CELLS(observations[..., :2])


def test_bonuses_by_hand_and_cuts_change_nothing():
    trajectory = experience(0, 30, 5)
    cells = np.asarray(cell_of(trajectory.next_observations))
    counts, expected = np.zeros(12, int), np.zeros(cells.shape)
    for step, row in enumerate(cells):
        np.add.at(counts, row, 1)
        expected[step] = 1 / np.sqrt(counts[row])
    for parts in ([trajectory], pieces(trajectory, 1, 17)):
        labels, state = label(count_bonus(cell_of, 12), *parts)
        np.testing.assert_allclose(labels, expected, rtol=1e-6)
        np.testing.assert_array_equal(state, counts)
    assert counts.max() > 5 and (counts == 0).sum() < 6


def test_relabel_counts_nothing_and_bounds_what_was_never_visited():
    trajectory = experience(1, 10, 2)
    bonus = count_bonus(cell_of, 12)
    _, state = label(bonus, trajectory)
    cells = np.asarray(cell_of(trajectory.next_observations))
    np.testing.assert_allclose(bonus.relabel(trajectory, state), 1 / np.sqrt(np.asarray(state)[cells]), rtol=1e-6)
    np.testing.assert_array_equal(bonus.relabel(trajectory, jnp.zeros(12, jnp.int32)), 1.0)


def test_cells_of_a_box_are_numpys_histogram():
    points = np.random.default_rng(0).uniform((-1, 0, 2), (1, 5, 3), (2000, 3))
    cell_of = box_cells((-1.0, 0.0, 2.0), (1.0, 5.0, 3.0), (4, 5, 3))
    histogram, _ = np.histogramdd(points, (4, 5, 3), ((-1, 1), (0, 5), (2, 3)))
    cells = np.asarray(cell_of(jnp.asarray(points, jnp.float32)))
    np.testing.assert_array_equal(np.bincount(cells, minlength=60), histogram.ravel())
    outside = jnp.array([[-9.0, 9.0, 2.5], [9.0, -9.0, 9.0]])
    np.testing.assert_array_equal(cell_of(outside), [4 * 3 + 1, 3 * 15 + 2])


def test_hashes_are_the_signs_of_projections():
    inputs = jax.random.normal(jax.random.key(4), (50, 2, 6))
    hashed = hash_cells(jax.random.key(3), 6, 5)
    cells = np.asarray(hashed(inputs))
    signs = np.asarray(inputs) @ np.asarray(jax.random.normal(jax.random.key(3), (6, 5))) > 0
    np.testing.assert_array_equal(cells, signs @ (2 ** np.arange(5)))
    np.testing.assert_array_equal(hashed(3 * inputs), cells)
    # Opposite points have no bit in common.
    np.testing.assert_array_equal(hashed(-inputs), 31 - cells)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^num_cells: got 0, takes an integer of at least 1$"):
        count_bonus(cell_of, 0)
    with pytest.raises(ValueError, match=r"^num_bits: got 25, takes an integer from 1 to 24$"):
        hash_cells(jax.random.key(0), 3, 25)
    with pytest.raises(ValueError, match=r"^low, high: got .*, takes 2 bounds each$"):
        box_cells((0.0,), (1.0,), (2, 2))
    with pytest.raises(ValueError, match=r"^low, high: got .*, takes bounds in ascending order$"):
        box_cells((0.0, 1.0), (1.0, 1.0), (2, 2))
    with pytest.raises(ValueError, match=r"^shape: got \(2, 0\), takes numbers of at least 1$"):
        box_cells((0.0, 1.0), (1.0, 2.0), (2, 0))
