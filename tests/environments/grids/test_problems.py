"""Each problem walks on the map of its instance."""

import inspect

import jax
import numpy as np
import pytest

from jaxrl_sparse.environments.grids import problems
from jaxrl_sparse.environments.grids.instances import coverage_instance
from jaxrl_sparse.environments.make import make

PUBLISHED = {
    "coverage-grid": ("coverage", (30, 30), 80, (1, 4)),
    "bimodal-grid": ("coverage", (30, 30), 40, (1, 4)),
    "two-rooms": ("coverage", (7, 14), 40, (2, 6)),
    "item-collection": ("items", (7, 15), 40, (2, 4)),
    "entropy-grid": ("information", (30, 30), 40, (1, 4)),
}
DRAWN = {
    "density-grid": ("coverage", (30, 30), 40, (1, 4)),
    "biodiversity-grid": ("coverage", (30, 30), 40, (1, 4)),
}


@pytest.mark.parametrize("name", [*PUBLISHED, *(pytest.param(name, marks=pytest.mark.slow) for name in DRAWN)])
def test_sizes_starts_and_horizons(name):
    objective, shape, horizon, (row, column) = {**PUBLISHED, **DRAWN}[name]
    environment = make(name)
    instance = environment.instance
    assert (instance.objective, instance.horizon, environment.horizon) == (objective, horizon, horizon)
    np.testing.assert_array_equal(environment.walkable, instance.walkable)
    observation, _ = environment.reset(jax.random.key(0))
    assert environment.walkable.shape == shape and int(observation.cell) == row * shape[1] + column
    assert environment.default_params.max_steps_in_episode == horizon - 1
    sizes = {
        "coverage": lambda: (instance.weights.size, len(instance.footprint)),
        "items": lambda: (instance.group_of_cell.size, environment.num_cells),
        "information": lambda: instance.covariance.shape,
    }
    assert sizes[objective]() == (environment.num_cells, environment.num_cells)


def test_options_reach_the_walk_and_the_instance():
    environment = make("two-rooms", horizon=12, slip=0.1, shown="raw")
    assert (environment.horizon, environment.instance.horizon, environment.slip, environment.shown) == (
        12,
        12,
        0.1,
        "raw",
    )
    first, again, other = (make("item-collection", seed=seed).instance.group_of_cell for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    with pytest.raises(ValueError, match="horizon: got 1, takes an integer of at least 2"):
        make("coverage-grid", horizon=1)


def test_any_instance_is_an_environment():
    environment = problems.SubmodularGrid(coverage_instance(np.arange(6), np.ones((2, 3)), start=4, horizon=3))
    assert (environment.num_cells, environment.start, environment.horizon) == (6, 4, 3)
    np.testing.assert_array_equal(environment.instance.weights, np.arange(6))


def test_every_problem_takes_what_the_others_take():
    """A sweep over problems names its options once."""
    classes = [
        made for _, made in inspect.getmembers(problems, inspect.isclass) if made.__module__ == problems.__name__
    ]
    assert len(classes) == 8
    for made in classes:
        assert {"slip", "shown"} <= set(inspect.signature(made).parameters)
