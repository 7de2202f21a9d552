import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from submodular.grid_tables import TWO_ROOMS, block_footprint, walkable_of

from jaxrl_sparse.submodular import capped_groups, coverage, grid_mask

OPEN = np.ones((30, 30), bool)


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


GRID = coverage(np.ones(900), block_footprint(OPEN))
GRID_VALUE = quick(GRID.value)


def gains_of(set_function, elements):
    def step(memory, element):
        return set_function.add(memory, element), set_function.gain(memory, element)

    return quick(lambda visits: jax.lax.scan(step, set_function.init(), visits)[1])(jnp.asarray(elements))


def staircase(steps):
    """Right and down in turn, from the start of the paper."""
    row, column, cells = 1, 4, [34]
    for step in range(steps):
        row, column = row + step % 2, column + 1 - step % 2
        cells.append(30 * row + column)
    return jnp.array(cells)


def test_walks_without_overlap_cover_two_cells_a_move():
    straight = jnp.arange(34, 34 + 20)
    for walk in (straight, staircase(19)):
        gains = np.asarray(gains_of(GRID, walk))
        np.testing.assert_array_equal(gains, [4] + [2] * (len(walk) - 1))
        assert GRID_VALUE(walk) == 4 + 2 * (len(walk) - 1)
    assert GRID_VALUE(jnp.full(20, 34)) == 4


def test_footprints_are_cut_at_border_and_walls():
    assert GRID_VALUE(jnp.array([899])) == 1
    assert GRID_VALUE(jnp.array([29])) == 2
    np.testing.assert_array_equal(gains_of(GRID, [899, 29, 869]), [1, 2, 1])
    walkable = walkable_of(TWO_ROOMS)
    rooms = coverage(np.ones(98), block_footprint(walkable))
    assert quick(rooms.value)(jnp.flatnonzero(walkable)) == walkable.sum() == 68
    # Above the wall, to its left: two of the four cells are walls.
    assert quick(rooms.value)(jnp.array([3 * 14 + 4])) == 2


def test_weights_are_of_items_and_footprints_may_be_large():
    large = coverage(np.arange(900.0), block_footprint(OPEN, size=3))
    assert quick(large.value)(jnp.array([0, 1])) == sum(range(4)) + sum(range(30, 34)) + sum(range(60, 64))
    np.testing.assert_array_equal(gains_of(large, [0, 1, 0]), [3 * (1 + 31 + 61), 3 + 33 + 63, 0])


def test_tables_may_be_inputs_of_a_compiled_function():
    weights = np.random.default_rng(0).random(900).astype(np.float32)
    footprint, walk = block_footprint(OPEN), staircase(10)

    @quick
    def total(weights, footprint):
        made = coverage(weights, footprint)
        return jnp.sum(
            jax.lax.scan(lambda memory, s: (made.add(memory, s), made.gain(memory, s)), made.init(), walk)[1]
        )

    expected = weights[sorted({item for cell in np.asarray(walk) for item in footprint[cell]})].sum()
    np.testing.assert_allclose(total(weights, footprint), expected, rtol=1e-5)
    swept = jax.vmap(total, in_axes=(0, None))(jnp.stack([weights, 2 * weights]), footprint)
    np.testing.assert_allclose(swept, [expected, 2 * expected], rtol=1e-5)


def test_groups_are_capped():
    set_function = capped_groups([0, 0, 0, 1, 1, -1], [2, 1])
    np.testing.assert_array_equal(gains_of(set_function, [0, 0, 5, 1, 2, 4, 3, 0]), [1, 0, 0, 1, 0, 1, 0, 0])
    assert quick(set_function.value)(jnp.arange(6)) == 3
    # All cells of the paper's item collection.
    sizes, caps = [18, 14, 13, 16, 18, 14], [3, 2, 3, 4, 6, 3]
    groups = np.full(105, -1)
    groups[:93] = np.repeat(np.arange(6), sizes)
    everything = np.random.default_rng(0).permutation(105)
    assert np.asarray(gains_of(capped_groups(groups, caps), everything)).sum() == 21


def test_a_map_is_marked_in_blocks():
    """The ant's arena, against a mask in numpy."""
    arena = grid_mask((100, 100), (-20.0, -20.0), (20.0, 20.0), block=(5, 5), unit=0.1)
    positions = np.random.default_rng(1).uniform(-20.5, 20.5, (60, 2)).astype(np.float32)
    positions[:30] *= 0.1
    mask, expected = np.zeros((100, 100), bool), []
    for x, y in positions:
        before = mask.sum()
        row, column = (int(np.floor((np.float32(c) + 20) / 0.4)) for c in (x, y))
        mask[max(row, 0) : max(row + 5, 0), max(column, 0) : max(column + 5, 0)] = True
        expected.append(0.1 * (mask.sum() - before))
    np.testing.assert_allclose(gains_of(arena, positions), expected, rtol=1e-6)
    np.testing.assert_allclose(quick(arena.value)(jnp.asarray(positions)), 0.1 * mask.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: coverage([1.0, -1.0], [[0]]), r"^weights: got -1.0, takes numbers of at least 0$"),
        (lambda: coverage([1.0, 1.0], [[2]]), r"^footprint: got 2, takes integers from -1 to 1$"),
        (lambda: coverage([1.0, 1.0], [[0, 1], [1, 1]]), r"^footprint: got \[1\], takes rows without an item that is"),
        (lambda: capped_groups([0, 2], [1, 1]), r"^group_of_element: got 2, takes integers from -1 to 1$"),
        (lambda: capped_groups([0], [-1]), r"^caps: got -1, takes integers from 0"),
        (
            lambda: grid_mask((5, 0), (0.0, 0.0), (1.0, 1.0)),
            r"^num_cells: got \(5, 0\), takes two integers of at least 1$",
        ),
        (
            lambda: grid_mask((5, 5), (0.0, 0.0), (1.0, 0.0)),
            r"^low, high: got .* takes two corners, the second above",
        ),
        (lambda: grid_mask((5, 5), (0.0, 0.0), (1.0, 1.0), unit=-1.0), r"^unit: got -1.0, takes a finite number"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
