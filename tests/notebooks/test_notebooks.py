"""The notebooks run from the first cell to the last, at a small size."""

import pathlib

import nbclient
import nbformat
import pytest

NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"
# What replaces a notebook's cell of parameters.
SMALL = {
    "density_ratios": "NUM_ROUNDS, NUM_CASES, NUM_TRANSITIONS, NUM_UPDATES, NUM_EPISODES = 10, 2, 200, 4, 5",
    "quality_diversity": "NUM_CHUNKS = NUM_GENERATIONS = NUM_SEEDS = 2; MAX_STEPS, IMAGE_SIZE, CHANNELS = 60, 8, (4,)",
    "submodular": "NUM_EPOCHS, NUM_TRAJECTORIES, NUM_SEEDS, BEAM_WIDTH = 3, 50, 2, 20",
    "return_distributions": "NUM_GARNETS, NUM_SWEEPS, ENVIRONMENT_STEPS, NUM_EPISODES = 3, 10, 4_000, 100",
}


def test_no_notebook_is_left_out():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
# The kernel's own, of its event loop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_notebook_runs_and_stores_no_output(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    parameters = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    assert len(parameters) == 1
    parameters[0].source = SMALL[name]
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": NOTEBOOKS}}).execute()
    pictures = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3
