import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.submodular import (
    coverage,
    enumerate_trajectories,
    facility_location,
    information_gain,
    modular,
    modular_surrogate,
    total_curvature,
    trajectory_values,
)

N = 5
DRAW = np.random.default_rng(0)
POINTS = DRAW.random((N, 2))
KERNEL = 0.5 * np.exp(-2 * np.linalg.norm(POINTS[:, None] - POINTS, axis=-1) ** 2)
CASES = {
    "coverage": coverage(DRAW.random(12), DRAW.permuted(np.tile(np.arange(12), (N, 1)), axis=1)[:, :3]),
    "facility location": facility_location(DRAW.random((N, 6))),
    "information gain": information_gain(KERNEL, 0.4, N),
    "modular": modular(np.arange(1.0, N + 1)),
}


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


def curvature_of(set_function, elements):
    return float(quick(lambda visits: total_curvature(set_function, visits))(elements))


def values_by_hand(set_function):
    """F by definition of tuples of distinct elements, padded to one shape with an element that does not count."""
    value = quick(set_function.value)
    return lambda elements: padded(value, elements)


def padded(value, elements):
    mask = np.arange(N) < len(elements)
    filled = np.resize(np.array([*elements, 0]), N) * mask
    return float(value(jnp.asarray(filled, jnp.int32), jnp.asarray(mask)))


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_least_share_over_all_subsets(name):
    set_function = CASES[name]
    value, shares = values_by_hand(set_function), []
    for size in range(N):
        for subset in itertools.combinations(range(N), size):
            before = value(subset)
            for element in set(range(N)) - set(subset):
                alone = value([element])
                shares.append((value([*subset, element]) - before) / alone)
    curvature = curvature_of(set_function, jnp.arange(N))
    np.testing.assert_allclose(curvature, 1 - min(shares), atol=1e-5)
    assert curvature == pytest.approx(0, abs=1e-6) if name == "modular" else 0.05 < curvature < 1 + 1e-6


def test_a_second_visit_to_a_covered_cell_is_worthless():
    identity = coverage(np.ones(N), np.arange(N)[:, None])
    assert curvature_of(identity, jnp.arange(N)) == 0
    assert curvature_of(identity, jnp.repeat(jnp.arange(N), 2)) == 1


def test_worthless_elements_are_left_out():
    some = coverage([0.0, 1.0, 2.0], np.arange(3)[:, None])
    assert curvature_of(some, jnp.arange(3)) == 0
    assert curvature_of(modular(np.zeros(3)), jnp.arange(3)) == 0


def test_who_maximises_the_sum_has_the_promised_share_of_the_optimum():
    """A measured process whose visits of all times are the ground set, on every trajectory of a small problem."""
    horizon = 5
    set_function = information_gain(KERNEL, 0.8, horizon)
    table = jnp.asarray(DRAW.integers(0, N, (N, 3)), jnp.int32)
    curvature = curvature_of(set_function, jnp.repeat(jnp.arange(N), horizon))
    assert 0.1 < curvature < 0.95

    @quick
    def values_and_sums():
        trajectories = enumerate_trajectories(table, 0, horizon)
        return [trajectory_values(f, trajectories) for f in (set_function, modular_surrogate(set_function))]

    values, sums = map(np.asarray, values_and_sums())
    assert (values <= sums + 1e-5).all() and (values >= (1 - curvature) * sums - 1e-5).all()
    assert values[sums.argmax()] >= (1 - curvature) * values.max()
