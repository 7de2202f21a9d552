"""What holds of every set function, whatever it counts; and the modular ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_sparse.submodular import (
    capped_groups,
    coverage,
    facility_location,
    grid_mask,
    information_gain,
    log_determinant,
    max_progress,
    modular,
    modular_surrogate,
    require_ground_set,
    singleton_values,
)

N, H = 6, 7
DRAW = np.random.default_rng(0)
NUMBERS = jnp.arange(N)
FOOTPRINT = np.array([[0, 1, 2], [2, 3, -1], [-1, -1, -1], [40, 3, 0], [5, -1, 40], [33, 32, 31]])
COVARIANCE = 0.7 * np.exp(-0.5 * np.subtract.outer(np.arange(N), np.arange(N)) ** 2)
UNIT_COVERAGE = coverage(np.ones(41), FOOTPRINT)

# The function and its ground set.
CASES = {
    "coverage": (UNIT_COVERAGE, NUMBERS),
    "weighted coverage": (coverage(DRAW.random(41), FOOTPRINT), NUMBERS),
    "capped groups": (capped_groups([0, 0, 0, 1, -1, 1], [2, 1]), NUMBERS),
    "grid mask": (
        grid_mask((5, 40), (0.0, 0.0), (5.0, 40.0), block=(2, 3)),
        jnp.asarray(DRAW.random((N, 2)) * [5, 40]),
    ),
    "facility location": (facility_location(DRAW.random((N, 9))), NUMBERS),
    "max progress": (max_progress(), jnp.asarray(DRAW.normal(size=N), jnp.float32)),
    "information gain": (information_gain(COVARIANCE, 0.1, H), NUMBERS),
    "log-determinant": (log_determinant(COVARIANCE, 0.1, H, bonus=0.4), NUMBERS),
    "modular": (modular([0.5, -1.0, 2.0, 0.0, 3.0, 1.0]), NUMBERS),
    "modular surrogate": (modular_surrogate(UNIT_COVERAGE), NUMBERS),
}
INTEGER_VALUED = {"coverage", "capped groups", "grid mask", "modular surrogate"}
NOT_MONOTONE = {"log-determinant", "modular"}
BLIND_TO_REPETITION = set(CASES) - {"information gain", "log-determinant", "modular", "modular surrogate"}


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


def followed(set_function, ground, numbers, mask, last):
    """Gains along a masked episode, its value by definition, and the gain of one more element."""

    def step(memory, visit):
        number, present = visit
        gain = jnp.where(present, set_function.gain(memory, ground[number]), 0)
        added = set_function.add(memory, ground[number])
        return jax.tree.map(lambda new, old: jnp.where(present, new, old), added, memory), gain

    memory, gains = jax.lax.scan(step, set_function.init(), (numbers, mask))
    # The memory is full after H visits: one more gain is asked for where at least one was left out.
    return gains, set_function.value(ground[numbers], mask), set_function.gain(memory, ground[last])


FOLLOW = {name: quick(lambda *visits, case=case: followed(*case, *visits)) for name, case in CASES.items()}
VALUE = {name: quick(lambda numbers, case=case: case[0].value(case[1][numbers])) for name, case in CASES.items()}

episodes = st.lists(st.integers(0, N - 1), min_size=H, max_size=H).map(jnp.array)
masks = st.lists(st.booleans(), min_size=H, max_size=H).map(lambda flags: jnp.array(flags))
every_case = pytest.mark.parametrize("name", CASES)
of_episodes = settings(max_examples=25, deadline=None)


def assert_same(name, got, expected):
    if name in INTEGER_VALUED:
        np.testing.assert_array_equal(got, expected)
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5)


@every_case
@given(numbers=episodes, mask=masks, last=st.integers(0, N - 1))
@of_episodes
def test_gains_telescope_to_the_value(name, numbers, mask, last):
    gains, value, _ = FOLLOW[name](numbers, mask, last)
    assert_same(name, jnp.sum(gains), value)
    if name not in NOT_MONOTONE:
        assert (gains >= 0).all()
    gains, value, _ = FOLLOW[name](numbers, jnp.ones(H, bool), last)
    assert_same(name, value, VALUE[name](numbers))
    assert_same(name, jnp.sum(gains), value)


@every_case
@given(numbers=episodes, larger=masks, kept=masks, last=st.integers(0, N - 1))
@of_episodes
def test_returns_diminish(name, numbers, larger, kept, last):
    larger = larger.at[0].set(False)
    smaller = larger & kept
    assert FOLLOW[name](numbers, smaller, last)[2] >= FOLLOW[name](numbers, larger, last)[2] - 1e-5


@every_case
@given(numbers=episodes, order=st.permutations(range(H)))
@of_episodes
def test_order_does_not_matter_and_repetition_where_it_should_not(name, numbers, order):
    value = VALUE[name](numbers)
    assert_same(name, VALUE[name](numbers[jnp.array(order)]), value)
    if name in BLIND_TO_REPETITION:
        # The same set, its first element as often as there are places left.
        distinct = np.unique(np.asarray(numbers))
        padded = np.concatenate([np.full(H - len(distinct), distinct[0]), distinct])
        assert_same(name, VALUE[name](jnp.asarray(padded)), value)
        _, _, again = FOLLOW[name](numbers, jnp.ones(H, bool).at[0].set(False), int(numbers[-1]))
        assert again == 0


def test_repeated_visits_to_a_noisy_measurement_count():
    once = VALUE["information gain"](jnp.arange(H) % 2)
    twice, _, again = FOLLOW["information gain"](jnp.zeros(H, int), jnp.arange(H) < 2, 0)
    assert twice[1] > 0 and again > 0 and once > twice.sum()


@every_case
def test_singletons_are_the_gains_of_the_empty_set(name):
    set_function, ground = CASES[name]
    value = quick(set_function.value)
    alone = [value(ground[number][None]) for number in range(N)]
    got = quick(lambda elements: singleton_values(set_function, elements))(ground)
    np.testing.assert_allclose(got, alone, rtol=1e-5, atol=1e-6)
    assert jax.tree.all(jax.tree.map(lambda leaf: leaf.size > 0, set_function.init()))


def test_modular_sums_are_blind_to_history():
    visits = jnp.array([0, 0, 3, 0, 1, 2, 2])
    # Sizes of the footprints 0 and 1 are 3 and 2, of 2 it is 0, of 3 it is 3.
    assert VALUE["modular surrogate"](visits) == 3 * 3 + 3 + 2
    assert VALUE["coverage"](visits) == 5
    gains, _, _ = FOLLOW["modular surrogate"](visits, jnp.ones(H, bool), 0)
    np.testing.assert_array_equal(gains, [3, 3, 3, 3, 2, 0, 0])
    assert VALUE["modular"](visits) == 3 * 0.5 + 0.0 - 1.0 + 4.0


def test_a_ground_set_of_another_size_is_refused():
    require_ground_set(UNIT_COVERAGE, N)
    require_ground_set(max_progress(), 17)
    with pytest.raises(ValueError, match=r"^set_function: got 6, takes a ground set of the environment's 7 elements"):
        require_ground_set(UNIT_COVERAGE, 7)
