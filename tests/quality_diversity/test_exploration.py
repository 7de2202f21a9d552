import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quality_diversity.planes import brute_force_novelties, individuals_of, plane

from jaxrl_sparse.quality_diversity.archives import archive_append
from jaxrl_sparse.quality_diversity.exploration import Descriptors, NoveltySearchConfig, check_exploration, compared
from jaxrl_sparse.quality_diversity.population_search import start_search


def test_novelties_are_those_among_candidates_and_archive():
    rng = np.random.default_rng(0)
    genomes, archived = rng.normal(size=(9, 2)), rng.normal(size=(4, 2))
    remembered = rng.normal(size=(5, 2))
    genomes[4] = np.inf
    rows = individuals_of(archived)
    others = Descriptors(jnp.asarray(remembered, jnp.float32), jnp.arange(5) != 2)

    @jax.jit
    def novelties_of(key, population, offspring, rows, others):
        state = start_search(key, population, plane(), 20)
        state = state._replace(archive=archive_append(state.archive, rows, jnp.ones(4, bool)))
        return [compared(state, offspring, 3, also).novelties for also in (None, others)]

    population, offspring = individuals_of(genomes[:3]), individuals_of(genomes[3:])
    novelties, novelties_with_others = novelties_of(jax.random.key(0), population, offspring, rows, others)
    valid = np.arange(9) != 4
    np.testing.assert_allclose(
        np.asarray(novelties)[valid], brute_force_novelties(genomes[valid], archived, 3), rtol=1e-5
    )
    assert float(novelties[4]) == -np.inf
    known = np.concatenate([archived, np.delete(remembered, 2, axis=0)])
    np.testing.assert_allclose(
        np.asarray(novelties_with_others)[valid], brute_force_novelties(genomes[valid], known, 3), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"population_size": 0}, "population_size: got 0"),
        ({"offspring_per_parent": 0}, "offspring_per_parent: got 0"),
        ({"archive_additions": 0}, "archive_additions: got 0"),
        ({"num_neighbors": 0}, "num_neighbors: got 0"),
        ({"archive_capacity": -1}, "archive_capacity: got -1"),
        ({"num_neighbors": 101}, "num_neighbors: got 101, takes at most the population size, 100"),
        ({"archive_additions": 201}, "archive_additions: got 201, takes at most 200"),
        ({"archive_capacity": 4}, "archive_additions: got 5, takes at most 4"),
        ({"mutation_sigma": -0.1}, "mutation_sigma: got -0.1"),
        ({"mutation_sigma": float("nan")}, "mutation_sigma: got nan"),
        ({"genome_bound": 0.0}, "genome_bound: got 0.0"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        check_exploration(NoveltySearchConfig(**fields))
