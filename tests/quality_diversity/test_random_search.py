import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quality_diversity.planes import plane

from jaxrl_sparse.quality_diversity.random_search import RandomSearchConfig, discoveries, random_search

TOY = RandomSearchConfig(population_size=6, archive_additions=2, archive_capacity=9)


@pytest.mark.slow
def test_generations_are_fresh_and_all_of_them_are_remembered():
    seen = []
    algorithm = random_search(TOY, plane(see=seen.append))
    state = jax.jit(algorithm.init)(jax.random.key(1))
    update = jax.jit(algorithm.update)
    for generation in range(3):
        state, metrics = jax.block_until_ready(update(state, jnp.int32(generation)))
    jax.effects_barrier()
    everybody = np.concatenate(seen)
    assert everybody.shape == (24, 2) and len(np.unique(everybody)) == 48
    np.testing.assert_array_equal(state.population.genomes, seen[-1])
    cells = np.ceil((everybody + 5.0) / 10.0 * 50).astype(int) - 1
    np.testing.assert_allclose(metrics["coverage"], len(np.unique(cells, axis=0)) / 2500)
    np.testing.assert_allclose(metrics["max_reward"], everybody[:, 0].max())
    archived = np.asarray(state.archive.entries.genomes)[:6]
    for number, pair in enumerate(np.split(archived, 3)):
        assert all((seen[number + 1] == genome).all(axis=1).any() for genome in pair)
    assert int(metrics["archive_size"]) == 6 and int(metrics["evaluations"]) == 6
    assert int(discoveries(state).mask.sum()) == 2 + 6 + 6


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"population_size": 0}, "population_size: got 0"),
        ({"archive_additions": 0}, "archive_additions: got 0"),
        ({"archive_capacity": 0}, "archive_capacity: got 0"),
        ({"archive_additions": 101}, "archive_additions: got 101, takes at most 100"),
        ({"genome_bound": -1.0}, "genome_bound: got -1.0"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        random_search(RandomSearchConfig(**fields), plane())
