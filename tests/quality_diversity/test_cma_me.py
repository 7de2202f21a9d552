import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from hypothesis import given, settings
from hypothesis import strategies as st
from quality_diversity.planes import individuals_of, plane
from scipy.spatial.distance import cdist

from jaxrl_sparse.evolution.cma_es import cma_es_tell, cma_es_tell_parents
from jaxrl_sparse.quality_diversity.cma_me import (
    CmaMeConfig,
    cma_me,
    discoveries,
    emitters_in_turn,
    improvement_ranking,
    insertion_outcomes,
)
from jaxrl_sparse.quality_diversity.elite_archives import elite_archive_init, elite_archive_insert
from jaxrl_sparse.quality_diversity.kinematic_arm import arm_problem
from jaxrl_sparse.quality_diversity.map_elites import MapElitesConfig, map_elites
from jaxrl_sparse.training import train

TOY = {"population_size": 7, "num_emitters": 5, "batch_size": 6, "grid_shape": (4, 3), "qd_score_offset": 10.0}
TOY_SIGMA = 1.2
BATCH = 8
outcomes_of = jax.jit(insertion_outcomes, static_argnums=3)
rank = jax.jit(improvement_ranking)
tell, tell_parents = jax.jit(cma_es_tell), jax.jit(cma_es_tell_parents)


def test_the_emitters_in_turn_have_stored_the_fewest():
    stored = jnp.array([3, 1, 4, 1, 5, 0])
    np.testing.assert_array_equal(emitters_in_turn(stored, 4), [5, 1, 3, 0])
    np.testing.assert_array_equal(emitters_in_turn(jnp.zeros(6, jnp.int32), 3), [0, 1, 2])


@pytest.mark.parametrize("replace_on_tie", [False, True])
@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_outcomes_and_ranking_in_two_stages(replace_on_tie, seed):
    """The reward is the first gene, of few values; the archive holds rewards 0 and 1 in cells 0 and 1."""
    rng = np.random.default_rng(seed)
    genomes = np.stack([rng.integers(-1, 4, BATCH) / 2, rng.normal(size=BATCH)], axis=1).astype(np.float32)
    genomes[rng.random(BATCH) < 0.1, 1] = np.nan
    cells = rng.integers(0, 4, BATCH)
    elites = individuals_of([[0.0, 0.0], [1.0, 0.0]])
    archive = elite_archive_insert(elite_archive_init(elites, 4), jnp.array([0, 1]), jnp.array([0.0, 1.0]), elites)
    statuses, gains = outcomes_of(archive, jnp.asarray(cells), individuals_of(genomes), replace_on_tie)
    expected = []
    for genome, cell in zip(genomes, cells, strict=True):
        fitness = genome[0]
        if np.isnan(genome[1]):
            expected.append((0, -np.inf))
        elif cell > 1:
            expected.append((2, fitness))
        else:
            better = fitness > cell or (replace_on_tie and fitness == cell)
            expected.append((int(better), fitness - cell))
    np.testing.assert_array_equal(statuses, [status for status, _ in expected])
    np.testing.assert_array_equal(gains, [gain for _, gain in expected])
    in_order = sorted(range(BATCH), key=lambda i: (-expected[i][0], -expected[i][1], i))
    np.testing.assert_array_equal(rank(statuses, gains), in_order)


def cell_of(genome):
    column, row = np.clip(np.floor((genome + 5.0) / 10.0 * [4, 3]), 0, [3, 2]).astype(int)
    return 3 * column + row


def told_by_hand(kind, emitter, genomes, outcomes):
    """The emitter's strategy after its turn, and whether its offspring all rank alike."""
    if kind == "optimizing":
        return tell(emitter, genomes, genomes[:, 0]), False
    order = sorted(range(len(outcomes)), key=lambda i: (-outcomes[i][0], -outcomes[i][1], i))
    num_parents = sum(status > 0 for status, _ in outcomes)
    flat = outcomes[order[0]] == outcomes[order[-1]]
    return tell_parents(emitter, genomes[np.array(order)], jnp.int32(max(num_parents, 1))), flat


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "emitters_per_update", "replace_on_tie"), [("optimizing", 1, True), ("improvement", 3, False)]
)
def test_updates_by_hand(kind, emitters_per_update, replace_on_tie):
    seen = []
    config = CmaMeConfig(
        emitter=kind,
        emitters_per_update=emitters_per_update,
        replace_on_tie=replace_on_tie,
        initial_sigma=TOY_SIGMA,
        **TOY,
    )
    algorithm = cma_me(config, plane(see=lambda genomes: seen.append(np.asarray(genomes))))
    state = jax.block_until_ready(jax.jit(algorithm.init)(jax.random.key(1)))
    jax.effects_barrier()
    np.testing.assert_array_equal(state.emitters.mean, seen[0][:5])
    elites = {}
    for genome in seen[0]:
        elites[cell_of(genome)] = max(elites.get(cell_of(genome), -np.inf), genome[0])
    stored, num_restarts = np.zeros(5, int), 0
    update = jax.jit(algorithm.update)
    for number in range(12):
        before = state
        state, metrics = jax.block_until_ready(update(before, jnp.int32(number)))
        jax.effects_barrier()
        working = np.argsort(stored, kind="stable")[:emitters_per_update]
        assert len(seen[-1]) == 6 * emitters_per_update
        restarts_now, stored_now, outcomes = 0, stored.copy(), []
        for genome in seen[-1]:
            elite = elites.get(cell_of(genome), -np.inf)
            if np.isneginf(elite):
                outcomes.append((2, genome[0]))
            else:
                better = genome[0] > elite or (replace_on_tie and genome[0] == elite)
                outcomes.append((int(better), genome[0] - elite))
        for genome in seen[-1]:
            elites[cell_of(genome)] = max(elites.get(cell_of(genome), -np.inf), genome[0])
        for place, emitter in enumerate(working):
            rows = slice(6 * place, 6 * place + 6)
            successes = sum(status > 0 for status, _ in outcomes[rows])
            stored[emitter] += successes
            told, flat = told_by_hand(
                kind,
                jax.tree.map(lambda leaf, emitter=emitter: leaf[emitter], before.emitters),
                jnp.asarray(seen[-1][rows]),
                outcomes[rows],
            )
            ours = jax.tree.map(lambda leaf, emitter=emitter: leaf[emitter], state.emitters)
            if successes == 0 or flat:
                restarts_now += 1
                assert int(ours.generation) == 0 and float(ours.sigma) == np.float32(TOY_SIGMA)
                assert (np.asarray(state.search.archive.entries.genomes) == np.asarray(ours.mean)).all(axis=1).any()
            else:
                np.testing.assert_allclose(ours.mean, told.mean, rtol=1e-5, atol=1e-5)
                np.testing.assert_allclose(ours.sigma, told.sigma, rtol=1e-5)
                np.testing.assert_allclose(ours.covariance, told.covariance, rtol=1e-4, atol=1e-5)
        resting = np.setdiff1d(np.arange(5), working)
        jax.tree.map(
            lambda old, new, resting=resting: np.testing.assert_array_equal(old[resting], new[resting]),
            before.emitters,
            state.emitters,
        )
        np.testing.assert_array_equal(state.stored, stored)
        assert int(metrics["stored"]) == (stored - stored_now).sum()
        assert int(metrics["restarts"]) == restarts_now
        assert int(metrics["evaluations"]) == 6 * emitters_per_update + (7 if number == 0 else 0)
        num_restarts += restarts_now
        fitness_map = [elites.get(cell, -np.inf) for cell in range(12)]
        np.testing.assert_array_equal(state.search.archive.fitnesses, np.float32(fitness_map))
    assert 0 < num_restarts < 12 * emitters_per_update
    assert int(metrics["archive_size"]) == len(elites)
    np.testing.assert_allclose(metrics["archive_coverage"], len(elites) / 12)
    np.testing.assert_allclose(metrics["qd_score"], sum(fitness + 10.0 for fitness in elites.values()), rtol=1e-5)
    np.testing.assert_allclose(metrics["max_reward"], max(elites.values()))
    assert int(discoveries(state).mask.sum()) == len(elites) + 2
    again = jax.jit(algorithm.evaluate)(state, jax.random.key(5))
    for name in ("archive_size", "archive_coverage", "qd_score"):
        np.testing.assert_allclose(again[name], metrics[name], rtol=1e-6)


@pytest.mark.slow
def test_cells_of_a_tessellation_hold_the_best_of_all_that_fell_into_them():
    """The reward is no function of the place, so that a wrong cell shows; cells and elites are found by brute force."""
    seen, num_centroids = [], 9

    def height(genomes):
        return jnp.sin(3.0 * genomes[:, 0]) + jnp.cos(5.0 * genomes[:, 1])

    config = CmaMeConfig(
        emitter="improvement",
        tessellation="cvt",
        num_centroids=num_centroids,
        grid_shape=(),
        emitters_per_update=2,
        population_size=7,
        num_emitters=5,
        initial_sigma=TOY_SIGMA,
        qd_score_offset=10.0,
    )
    problem = plane(see=lambda genomes: seen.append(np.asarray(genomes)), reward=height)
    algorithm = cma_me(config, problem)
    run = jax.jit(
        lambda key: train(algorithm, algorithm.init(key), 20),
        compiler_options=QUICK_TO_COMPILE,
    )
    state, metrics = jax.block_until_ready(run(jax.random.key(2)))
    jax.effects_barrier()
    genomes = np.concatenate(seen)
    assert len(genomes) == 7 + 20 * 12
    rewards = np.asarray(jax.jit(height)(genomes))
    archive, centroids = state.search.archive, np.asarray(state.search.centroids)
    # Cells of a uniform plane have about the same share each, whatever was found there.
    uniform = np.random.default_rng(0).uniform(*problem.descriptor_bounds, (20_000, 2))
    shares = np.bincount(cdist(uniform, centroids).argmin(axis=1), minlength=num_centroids) * num_centroids / 20_000
    assert shares.min() > 0.7 and shares.max() < 1.4
    cells = cdist(genomes, centroids).argmin(axis=1)
    expected = np.full(num_centroids, -np.inf)
    np.maximum.at(expected, cells, rewards)
    np.testing.assert_allclose(archive.fitnesses, expected, rtol=1e-6, atol=1e-6)
    filled = np.flatnonzero(np.isfinite(expected))
    assert (np.bincount(cells, minlength=num_centroids)[filled] > 1).sum() > 4
    for cell in filled:
        best = np.flatnonzero(cells == cell)[np.argmax(rewards[cells == cell])]
        np.testing.assert_array_equal(archive.entries.genomes[cell], genomes[best])
    np.testing.assert_allclose(metrics["archive_coverage"][-1], len(filled) / num_centroids, rtol=1e-6)
    np.testing.assert_allclose(metrics["qd_score"][-1], (expected[filled] + 10.0).sum(), rtol=1e-5)


@pytest.mark.slow
def test_improvement_emitters_find_fitter_elites_than_mutation():
    """On the arm, whose fitness is that of its posture, after the same number of evaluations."""
    problem, num_updates = arm_problem(20), 60
    emitters = CmaMeConfig(
        emitter="improvement",
        num_emitters=15,
        emitters_per_update=15,
        batch_size=36,
        replace_on_tie=False,
        initial_sigma=0.2,
        separable=True,
    )
    mean_fitnesses, sizes = [], []
    for algorithm in (cma_me(emitters, problem), map_elites(MapElitesConfig(batch_size=540), problem)):
        state = jax.jit(algorithm.init)(jax.random.key(0))
        _, metrics = jax.jit(lambda state, algorithm=algorithm: train(algorithm, state, num_updates))(state)
        mean_fitnesses.append(float(metrics["qd_score"][-1] / metrics["archive_size"][-1]))
        sizes.append(int(metrics["archive_size"][-1]))
    assert mean_fitnesses[0] > mean_fitnesses[1] + 0.01
    assert sizes[0] > 0.8 * sizes[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"emitter": "random"}, "emitter: got 'random', takes optimizing or improvement"),
        ({"population_size": 0}, "population_size: got 0"),
        ({"num_emitters": 0}, "num_emitters: got 0"),
        ({"num_emitters": 101}, "num_emitters: got 101, takes at most the population size, 100"),
        ({"emitters_per_update": 0}, "emitters_per_update: got 0"),
        ({"emitters_per_update": 101}, "emitters_per_update: got 101, takes at most the number of emitters, 100"),
        ({"batch_size": 3}, "batch_size: got 3, takes an integer of at least 4"),
        ({"grid_shape": (50,)}, r"grid_shape: got \(50,\), takes 2 integers"),
        ({"tessellation": "hexagons"}, "tessellation: got 'hexagons', takes grid or cvt"),
        ({"initial_sigma": 0.0}, "initial_sigma: got 0.0"),
        ({"genome_bound": 0.0}, "genome_bound: got 0.0"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        cma_me(CmaMeConfig(**fields), plane())
