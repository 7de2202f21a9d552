"""Five clients prove the contracts: swept over two cells and a float, saved, resumed, evaluated with a held-out key."""

import jax
import numpy as np
import pytest
from contracts import evolution, marginal_gains, planning, preference, relabelling, two_cells

CLIENTS = [evolution, marginal_gains, planning, preference, relabelling]
KEYS = two_cells.seeds(42)


@pytest.fixture(scope="module", params=CLIENTS, ids=lambda client: client.__name__.split(".")[-1])
def client(request):
    return request.param


@pytest.fixture(scope="module")
def cells(client):
    return two_cells.TwoCells(client.make, client.SWEPT, client.INPUTS, client.SAME_INPUTS)


@pytest.fixture(scope="module")
def finished(client, cells):
    return cells.run(KEYS, client.NUM_UPDATES)


def test_it_learns_what_it_should(client, cells, finished):
    state, _, evaluation = finished
    two_cells.assert_state_can_be_saved(state)
    for index, config in enumerate(client.SWEPT):
        inputs = client.INPUTS if client.SAME_INPUTS else two_cells.cell(client.INPUTS, index)
        client.check(config, inputs, two_cells.cell(state, index), two_cells.cell(evaluation, index))


def test_cells_are_independent(cells):
    two_cells.assert_equal_keys_make_equal_cells(cells, 6)
    two_cells.assert_swapped_cells_swap_results(cells, KEYS, 6)
    two_cells.assert_swept_floats_matter(cells, 6)


def test_saved_and_resumed(cells, tmp_path):
    def save(state):
        np.savez(tmp_path / "state.npz", *jax.tree.leaves(two_cells.plain(state)))

    def load(like):
        leaves = np.load(tmp_path / "state.npz").values()
        return two_cells.unplain(leaves, like)

    two_cells.assert_resumed_equals_uninterrupted(cells, KEYS, 8, save, load)


def test_evaluated_with_a_held_out_key(cells, finished):
    state, _, _ = finished
    figures = [two_cells.assert_evaluation_is_held_out(cells, state)]
    figures += [cells.go_on(state, 0, 0, evaluation_keys=two_cells.seeds(seed))[2] for seed in range(8)]
    # Other keys draw other episodes, pairs, starts.
    drawn = {tuple(np.ravel(value).tolist()) for figure in figures for value in two_cells.plain(figure).values()}
    assert len(drawn) > 1


def test_never_traced_again(cells, finished):
    two_cells.assert_never_retraced(cells)


@pytest.mark.parametrize("index", [0, 1])
def test_a_cell_equals_a_single_run(client, cells, index):
    swept, _, _ = cells.run(KEYS, two_cells.MAX_UPDATES)
    inputs = client.INPUTS if client.SAME_INPUTS else two_cells.cell(client.INPUTS, index)
    single = two_cells.single_run(client.make, client.SWEPT[index], inputs, KEYS[index])
    two_cells.assert_close(two_cells.cell(swept, index), single)
