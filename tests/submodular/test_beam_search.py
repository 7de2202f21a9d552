import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from submodular.grid_tables import TWO_ROOMS, block_footprint, successors, walkable_of

from jaxrl_sparse.submodular import (
    beam_search,
    capped_groups,
    coverage,
    enumerate_trajectories,
    facility_location,
    greedy,
    information_gain,
    modular,
    trajectory_values,
)
from jaxrl_sparse.submodular.beam_search import _best_distinct, _fingerprints


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


S, A, H = 7, 3, 6
TABLE = jnp.asarray(np.random.default_rng(0).integers(0, S, (S, A)), jnp.int32)
DRAW = np.random.default_rng(1)
SMALL = {
    "coverage": coverage(DRAW.random(20), DRAW.permuted(np.tile(np.arange(20), (S, 1)), axis=1)[:, :4]),
    "capped groups": capped_groups([0, 0, 1, 1, -1, 2, 2], [1, 2, 1]),
    "facility location": facility_location(DRAW.random((S, 4))),
    "information gain": information_gain(0.5 * np.eye(S) + 0.5, 0.1, H),
    "modular": modular(DRAW.normal(size=S)),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_beam_as_wide_as_all_trajectories_finds_the_best(name):
    set_function = SMALL[name]
    values = quick(lambda: trajectory_values(set_function, enumerate_trajectories(TABLE, 0, H)))()
    path = quick(lambda: beam_search(set_function, TABLE, 0, H, width=len(values)))()
    np.testing.assert_allclose(path.value, values.max(), rtol=1e-5)
    follow = [0]
    for action in np.asarray(path.actions):
        follow.append(int(TABLE[follow[-1], action]))
    np.testing.assert_array_equal(path.states, follow)
    np.testing.assert_allclose(path.value, quick(set_function.value)(path.states), rtol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_greedy_takes_the_largest_gain(name):
    set_function = SMALL[name]
    states = np.array(quick(lambda: greedy(set_function, TABLE, 0, H).states)())
    value = quick(set_function.value)
    for time in range(1, H):
        options = []
        for state in np.asarray(TABLE)[states[time - 1]]:
            instead = np.where(np.arange(H) == time, state, states)
            options.append(float(value(jnp.asarray(instead), jnp.arange(H) <= time)))
        np.testing.assert_allclose(value(jnp.asarray(states), jnp.arange(H) <= time), max(options), rtol=1e-5)


def test_greed_is_wrong_in_a_corridor():
    """One unit to the left of the start, three units two cells to its right."""
    corridor = jnp.array([[0, 1], [0, 2], [1, 3], [2, 3]])
    set_function = coverage([1.0, 0.0, 0.0, 3.0], np.arange(4)[:, None])
    assert quick(lambda: greedy(set_function, corridor, 1, 3))().value == 1
    path = quick(lambda: beam_search(set_function, corridor, 1, 3, width=2))()
    np.testing.assert_array_equal(path.states, [1, 2, 3])
    assert path.value == 3


def test_places_of_the_best_without_their_like():
    rng = np.random.default_rng(2)
    marks = rng.integers(0, 4, (60, 2)).astype(np.uint32)
    scores = rng.permutation(60).astype(np.float32)
    best = {}
    for place in np.argsort(-scores):
        best.setdefault(tuple(marks[place]), place)
    distinct = sorted(best.values(), key=lambda place: -scores[place])
    chosen = np.asarray(quick(lambda: _best_distinct(jnp.asarray(scores), jnp.asarray(marks), 60))())
    np.testing.assert_array_equal(chosen[: len(distinct)], distinct)
    np.testing.assert_array_equal(np.sort(chosen), np.arange(60))


def test_fingerprints_tell_rows_apart():
    """All sets of up to two bits of 96 in each of seven states, as the top bits of words too; and floats."""
    bits = np.concatenate([np.zeros((1, 96), bool), np.eye(96, dtype=bool)])
    pairs = np.unique((bits[:, None] | bits).reshape(-1, 96), axis=0)
    words = np.packbits(pairs, axis=1).view(np.uint32)
    states = np.repeat(np.arange(S, dtype=np.int32), len(words))
    rows = (jnp.asarray(states), jnp.asarray(np.tile(words, (S, 1))))
    fingerprints = quick(_fingerprints)
    marks = np.asarray(fingerprints(rows))
    assert len(np.unique(marks, axis=0)) == len(states)
    assert len(np.unique(marks[:, 0])) >= len(states) - 10
    np.testing.assert_array_equal(fingerprints(jax.tree.map(lambda leaf: leaf[::-1], rows)), marks[::-1])
    floats = jnp.asarray(np.random.default_rng(3).random((500, 3)), jnp.float32)
    assert len(np.unique(np.asarray(fingerprints(floats)), axis=0)) == 500


OPEN = np.ones((30, 30), bool)
LINE = np.linspace(-1, 1, 30)
ITEMS = np.full(105, -1)
ITEMS[np.random.default_rng(4).permutation(105)[:93]] = np.repeat(np.arange(6), [18, 14, 13, 16, 18, 14])
PUBLISHED = {
    "coverage": (OPEN, 34, 80, coverage(np.ones(900), block_footprint(OPEN)), 162.0, True),
    "bimodal": (
        OPEN,
        34,
        40,
        coverage((1 / (1 + np.exp(-np.outer(LINE, LINE)))).ravel(), block_footprint(OPEN)),
        51.449,
        False,
    ),
    "two rooms": (
        walkable_of(TWO_ROOMS),
        34,
        40,
        coverage(np.ones(98), block_footprint(walkable_of(TWO_ROOMS))),
        68.0,
        True,
    ),
    "items": (np.ones((7, 15), bool), 34, 40, capped_groups(ITEMS, [3, 2, 3, 4, 6, 3]), 21.0, True),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_optima_of_the_paper_are_attained(name):
    walkable, start, horizon, set_function, optimum, is_bound = PUBLISHED[name]
    table = successors(walkable)
    value = jax.jit(lambda: beam_search(set_function, table, start, horizon, width=1500).value)()
    # What is known of the bimodal field is rounded to three places.
    assert value == optimum if is_bound else value >= optimum - 5e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SMALL["coverage"], TABLE, 0, 1, 5), r"^horizon: got 1, takes an integer of at least 2"),
        ((SMALL["coverage"], TABLE, 0, H, 0), r"^width: got 0, takes an integer of at least 1"),
        ((SMALL["coverage"], TABLE[:5], 0, H, 5), r"^set_function: got 7, takes a ground set of the environment's 5"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        beam_search(*arguments)
