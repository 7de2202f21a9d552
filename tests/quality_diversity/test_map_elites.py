import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quality_diversity.planes import plane

from jaxrl_sparse.quality_diversity.kinematic_arm import arm_problem
from jaxrl_sparse.quality_diversity.map_elites import MapElitesConfig, discoveries, map_elites

TOY = {"population_size": 8, "batch_size": 6, "mutation_sigma": 0.7, "qd_score_offset": 10.0}


def grid_cell(genome):
    column, row = np.clip(np.floor((genome + 5.0) / 10.0 * [4, 3]), 0, [3, 2]).astype(int)
    return 3 * column + row


def sequential_map_elites(seen, cell_of, broken):
    """The elites after these generations, each of which keeps the fittest, the first among equals."""
    elites = {}
    for genome in np.concatenate(seen):
        cell = cell_of(genome)
        if not broken(genome) and (cell not in elites or genome[0] > elites[cell][0]):
            elites[cell] = genome
    return elites


@pytest.mark.slow
@pytest.mark.parametrize(("variation", "tessellation"), [("gaussian", "grid"), ("iso_line", "cvt")])
def test_generations_by_sequential_insertion(variation, tessellation):
    seen = []
    config = MapElitesConfig(**TOY, grid_shape=(4, 3), num_centroids=7, variation=variation, tessellation=tessellation)
    algorithm = map_elites(config, plane(lambda genomes: genomes[:, 1] < -1.5, seen.append))
    state = jax.jit(algorithm.init)(jax.random.key(1))
    update = jax.jit(algorithm.update)
    for generation in range(3):
        key_before = state.key
        state, metrics = jax.block_until_ready(update(state, jnp.int32(generation)))
        assert state.key != key_before
        costs = (int(metrics["evaluations"]), int(metrics["environment_steps"]))
        assert costs == ((14, 42) if generation == 0 else (6, 18))
    jax.effects_barrier()

    def nearest_centroid(genome):
        return int(np.argmin(((np.asarray(state.centroids) - genome) ** 2).sum(axis=1)))

    cell_of, num_cells = (grid_cell, 12) if tessellation == "grid" else (nearest_centroid, 7)
    assert state.archive.fitnesses.shape == (num_cells,)
    elites = sequential_map_elites(seen, cell_of, lambda genome: genome[1] < -1.5)
    expected = np.zeros((num_cells, 2))
    expected[list(elites)] = list(elites.values())
    np.testing.assert_array_equal(state.archive.entries.genomes, expected)
    assert int(metrics["archive_size"]) == len(elites)
    np.testing.assert_allclose(metrics["archive_coverage"], len(elites) / num_cells)
    np.testing.assert_allclose(metrics["qd_score"], sum(genome[0] + 10.0 for genome in elites.values()), rtol=1e-5)
    assert int(metrics["rejected"]) == sum(genome[1] < -1.5 for genome in np.concatenate(seen))
    assert int(discoveries(state).mask.sum()) == len(elites) + 2

    # The plane is deterministic: evaluated again, every elite returns to its cell.
    again = jax.jit(algorithm.evaluate)(state, jax.random.key(5))
    for name in ("archive_size", "archive_coverage", "qd_score"):
        np.testing.assert_allclose(again[name], metrics[name])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"population_size": 0}, "population_size: got 0"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"num_centroids": 0}, "num_centroids: got 0"),
        ({"grid_shape": (0, 50)}, r"grid_shape: got \(0, 50\), takes 2 integers"),
        ({"grid_shape": (100_000, 100_000)}, r"grid_shape: got .* takes fewer than 2,147,483,648 cells; the cells of"),
        ({"grid_shape": (50,)}, r"grid_shape: got \(50,\), takes 2 integers"),
        ({"tessellation": "hexagons"}, "tessellation: got 'hexagons', takes grid or cvt"),
        ({"variation": "none"}, "variation: got 'none', takes gaussian or iso_line"),
        ({"mutation_sigma": -1.0}, "mutation_sigma: got -1.0"),
        ({"line_sigma": -1.0}, "line_sigma: got -1.0"),
        ({"genome_bound": 0.0}, "genome_bound: got 0.0"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        map_elites(MapElitesConfig(**fields), plane())


@pytest.mark.parametrize(
    "bounds", [None, ((0.0,), (1.0,)), ((0.0, 1.0), (1.0, 0.0)), ((0.0, 0.5), (1.0, 0.5)), ((0.0, 0.0), (1.0, np.nan))]
)
def test_refuses_a_problem_without_bounds_of_its_descriptors(bounds):
    with pytest.raises(
        ValueError, match=r"problem\.descriptor_bounds: got .* takes \(lows, highs\) of the descriptors, 2"
    ):
        map_elites(MapElitesConfig(), arm_problem(8)._replace(descriptor_bounds=bounds))


def test_a_cvt_does_not_ask_for_a_grid():
    ten = arm_problem(8)._replace(descriptor_size=10, descriptor_bounds=((0.0,) * 10, (1.0,) * 10))
    map_elites(MapElitesConfig(tessellation="cvt"), ten)
    with pytest.raises(ValueError, match=r"grid_shape: got \(50, 50\), takes 10 integers"):
        map_elites(MapElitesConfig(), ten)
