import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments import make
from jaxrl_sparse.environments.grids.grid_walk import GridWalk, next_cells
from jaxrl_sparse.environments.grids.instances import coverage_instance
from jaxrl_sparse.environments.grids.problems import SubmodularGrid
from jaxrl_sparse.submodular import SubPOConfig, grid_set_function, grid_subpo, grid_walks

CONFIG = SubPOConfig(num_trajectories=4, hidden_sizes=(4,), num_evaluation_episodes=4)
HORIZON, START = 5, 3
WEIGHTS = np.arange(1.0, 13.0)
MAP = np.ones((3, 4), bool)
SMALL = SubmodularGrid(coverage_instance(WEIGHTS, MAP, START, HORIZON))


def covered(walk):
    """The weights of the blocks of 2 x 2 that a walk covers, cut at the border."""
    cells = {(r, c) for cell in walk for r in (cell // 4, cell // 4 + 1) for c in (cell % 4, cell % 4 + 1)}
    return float(sum(WEIGHTS[4 * r + c] for r, c in cells if r < 3 and c < 4))


def test_walks_are_moves_on_the_map_and_what_is_reported_is_what_they_cover():
    algorithm = grid_subpo(CONFIG, SMALL, SMALL.default_params)

    def run(key):
        state = algorithm.init(key)
        walks = grid_walks(CONFIG, SMALL, SMALL.default_params, state, jax.random.key(5), 4)
        return walks, algorithm.evaluate(state, jax.random.key(5))

    walks, evaluation = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    walks = np.asarray(walks)
    assert walks.shape == (HORIZON, 4) and (walks[0] == START).all()
    assert len(np.unique(walks, axis=1).T) > 1
    successors = np.asarray(next_cells(MAP))
    for before, after in itertools.pairwise(walks):
        assert (successors[before] == after[:, None]).any(axis=1).all()
    # The same key draws the same walks.
    values = [covered(walk) for walk in walks.T]
    np.testing.assert_allclose(evaluation["return"], np.mean(values), rtol=1e-6)
    np.testing.assert_allclose(evaluation["largest_return"], max(values), rtol=1e-6)


@pytest.mark.parametrize("name", ["coverage-grid", "two-rooms", "item-collection"])
def test_the_set_function_of_a_published_instance_is_of_the_cells_of_its_map(name):
    environment = make(name)
    assert grid_set_function(environment.instance).ground_set_size == environment.num_cells


def test_refuses_params_and_instances_of_other_maps():
    other = SubmodularGrid(coverage_instance(None, np.ones((3, 5), bool), START, HORIZON))
    with pytest.raises(ValueError, match=r"^set_function: got 12, takes a ground set of the environment's 15 elements"):
        grid_subpo(CONFIG, SMALL, other.default_params)
    patched = SubmodularGrid(dataclasses.replace(SMALL.instance, walkable=jnp.ones((3, 5), bool)))
    with pytest.raises(ValueError, match=r"^set_function: got 12, takes a ground set of the environment's 15 elements"):
        grid_subpo(CONFIG, patched, patched.default_params)


def test_refuses_an_environment_without_a_set_function():
    walk = GridWalk(MAP, START, HORIZON)
    with pytest.raises(ValueError, match=r"^environment: got .*, takes a grid world with a set function"):
        grid_subpo(CONFIG, walk, walk.default_params)
