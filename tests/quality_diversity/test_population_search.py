import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quality_diversity.planes import plane

from jaxrl_sparse.quality_diversity.archives import archive_append
from jaxrl_sparse.quality_diversity.population_search import discoveries, start_search
from jaxrl_sparse.quality_diversity.problems import Individuals

# The last is broken; the first two share a cell of 0.2 x 0.2.
GENOMES = np.array([[-1.05, 2.05], [-1.06, 2.06], [0.5, 0.5], [1.5, -4.0], [3.0, 3.0]], np.float32)


@pytest.fixture(scope="module")
def start():
    problem = plane(broken=lambda genomes: genomes[:, 0] > 2)

    @jax.jit
    def search(key, genomes):
        state = start_search(key, Individuals(genomes, problem.evaluate_genomes(key, genomes)), problem, 7)
        archived = archive_append(state.archive, state.population, jnp.array([False, True, False, True, True]))
        return state, discoveries(state._replace(archive=archived))

    return search(jax.random.key(0), GENOMES)


def test_it_starts_from_its_population_with_an_empty_archive(start):
    state, _ = start
    np.testing.assert_array_equal(state.population.genomes, GENOMES)
    assert int(state.initial_environment_steps) == 3 * len(GENOMES)
    assert int(state.archive.size) == 0 and state.archive.entries.genomes.shape == (7, 2)
    assert sorted(np.asarray(state.history.visits)[np.flatnonzero(state.history.visits)].tolist()) == [1, 1, 2]
    assert int(state.history.rejected) == 1


def test_discoveries_are_champions_population_and_archive(start):
    state, found = start
    shown = np.asarray(found.ground_truth)[np.asarray(found.mask)]
    champion = GENOMES[3]
    expected = np.stack([champion, champion, *GENOMES[:4], GENOMES[1], GENOMES[3]])
    np.testing.assert_array_equal(shown, expected)
    np.testing.assert_array_equal(np.asarray(found.areas)[np.asarray(found.mask)], np.where(expected[:, 0] > 0, 0, -1))
    np.testing.assert_array_equal(np.asarray(found.rewards)[np.asarray(found.mask)], expected[:, 0])
    np.testing.assert_array_equal(found.visits, state.history.visits)
