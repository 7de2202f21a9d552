"""Every algorithm of the catalogue keeps the contract: each is compiled once at toy size, and all is asked of that."""

import dataclasses

import jax
import pytest
from contracts import two_cells

from jaxrl_sparse.base import ENVIRONMENT_STEPS, EVALUATIONS
from jaxrl_sparse.runner import catalogue, checkpoints

# Not too small: loops of a few iterations are unrolled, which compiles for longer than it saves.
# Of each algorithm: the environment, static fields of toy size, a float to sweep, and the leaves that its key draws.
TOYS = {
    "novelty-search": (
        "point-2d",
        {"population_size": 16, "num_neighbors": 2, "archive_additions": 2, "archive_capacity": 64},
        {"mutation_sigma": 0.5},
        (".key", ".population.genomes", ".population.evaluation.ground_truth"),
    ),
    "map-elites": (
        "point-2d",
        {"population_size": 16, "batch_size": 16, "grid_shape": (8, 8)},
        {"mutation_sigma": 0.5},
        (".key", ".archive.entries.genomes", ".archive.entries.evaluation.ground_truth"),
    ),
    "random-search": (
        "point-2d",
        {"population_size": 16, "archive_additions": 2, "archive_capacity": 64},
        {"genome_bound": 0.5},
        (".key", ".population.genomes", ".population.evaluation.ground_truth"),
    ),
}
KEYS = two_cells.seeds(3)


def test_no_algorithm_is_left_out():
    assert set(TOYS) == set(catalogue.ALGORITHMS)


@pytest.fixture(scope="module", params=TOYS)
def toy(request):
    environment, static_fields, swept, random_parts = TOYS[request.param]
    system, task = catalogue.bind(request.param, environment, (), (4,))
    config = system.config(**static_fields)
    configs = (config, dataclasses.replace(config, **swept))
    return two_cells.TwoCells(task.make, configs, task.inputs), config, system, task, random_parts


def test_contract(toy, tmp_path):
    cells, config, system, task, random_parts = toy
    two_cells.assert_keys_reach_every_random_part(cells, random_parts)
    two_cells.assert_equal_keys_make_equal_cells(cells, 6)
    two_cells.assert_swept_floats_matter(cells, 6)
    state, metrics = two_cells.assert_swapped_cells_swap_results(cells, KEYS, 6)
    two_cells.assert_state_can_be_saved(state)
    two_cells.assert_evaluation_is_held_out(cells, state)

    def save(state):
        checkpoints.save(tmp_path, state, 5, {EVALUATIONS: 1}, {"toy": True})

    def load(like):
        restored, _ = checkpoints.restore(tmp_path, jax.eval_shape(lambda: like), {"toy": True})
        # Restored arrays are committed to their device, for which the chunk would be compiled again.
        return two_cells.unplain(jax.tree.leaves(two_cells.plain(restored)), like)

    two_cells.assert_resumed_equals_uninterrupted(cells, KEYS, 8, save, load)
    # Ten chunks and more, other lengths, steps, keys and floats: still the one executable.
    two_cells.assert_never_retraced(cells)

    # The words that the shell acts upon: the headline, and counts of one update that agree with what the budget check
    # says.
    assert system.headline in metrics
    spent = metrics[system.budget_word][0].tolist()
    assert spent[0] == task.smallest_budget(config) > spent[1] == spent[5] > 0
    assert metrics[ENVIRONMENT_STEPS][0].tolist() == [
        50 * evaluations for evaluations in metrics[EVALUATIONS][0].tolist()
    ]
