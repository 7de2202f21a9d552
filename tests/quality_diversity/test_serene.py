from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from quality_diversity.planes import plane
from scipy.spatial.distance import cdist

from jaxrl_sparse import train
from jaxrl_sparse.base import strong_types
from jaxrl_sparse.quality_diversity.emitters import EmitterConfig
from jaxrl_sparse.quality_diversity.exploitation import FREE
from jaxrl_sparse.quality_diversity.exploration import NoveltySearchConfig, start_exploration
from jaxrl_sparse.quality_diversity.novelty_search import novelty_search
from jaxrl_sparse.quality_diversity.problems import Evaluation, Problem
from jaxrl_sparse.quality_diversity.serene import (
    SereneConfig,
    check_budget,
    evaluations_per_update,
    generations_per_chunk,
    initial_evaluations,
    serene,
)
from jaxrl_sparse.quality_diversity.serene_state import discoveries, total_evaluations

# One generation of 80 evaluations explores, and a bootstrap of 66 leaves no room for a second one.
TOY = SereneConfig(
    exploration=NoveltySearchConfig(
        population_size=40, archive_additions=3, num_neighbors=3, archive_capacity=64, mutation_sigma=0.4
    ),
    emitters=EmitterConfig(num_novel=8),
    chunk_evaluations=80,
    reward_archive_capacity=512,
    max_candidates=128,
    max_emitters=8,
)
# Rewarded is what lies to the right of the bar.
NOBODY, SOMEBODY, LATER = np.inf, 1.0, 3.3
NUM_UPDATES = 10

# Whole algorithms.
pytestmark = pytest.mark.slow


quick_jit = partial(jax.jit, compiler_options=QUICK_TO_COMPILE)


def beyond(bar):
    return plane(reward=lambda genomes: jnp.maximum(genomes[:, 0] - bar, 0.0))


def identical(first, second):
    def plain(leaf):
        return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf

    jax.tree.map(lambda a, b: np.testing.assert_array_equal(plain(a), plain(b)), first, second)


def run(config, bar, seed=0, num_updates=NUM_UPDATES, programs=None):
    """All states and metrics of a search, step by step."""
    programs = programs or compiled(config)
    states, metrics = [programs.init(jax.random.key(seed), jnp.float32(bar))], []
    for step in range(num_updates):
        state, of_update = programs.update(states[-1], jnp.float32(bar), jnp.int32(step))
        states.append(state)
        metrics.append({word: np.asarray(value) for word, value in of_update.items()})
    return states, metrics


def compiled(config):
    # States of one type all along: each of the two is compiled once.
    return SimpleNamespace(
        init=quick_jit(lambda key, bar: strong_types(serene(config, beyond(bar)).init(key))),
        update=quick_jit(lambda state, bar, step: strong_types(serene(config, beyond(bar)).update(state, step))),
    )


@pytest.fixture(scope="module")
def programs():
    return compiled(TOY)


@pytest.fixture(scope="module")
def runs(programs):
    return {bar: run(TOY, bar, programs=programs) for bar in (NOBODY, SOMEBODY, LATER)}


def test_without_a_reward_it_is_novelty_search_bit_for_bit(runs):
    states, metrics = runs[NOBODY]
    problem = beyond(NOBODY)
    start = quick_jit(partial(start_exploration, TOY.exploration, problem))
    generation = quick_jit(novelty_search(TOY.exploration, problem).update)
    state = start(jax.random.split(jax.random.key(0), 3)[0])
    identical(states[0].search, state)
    for step in range(0, NUM_UPDATES, 2):
        for _ in range(generations_per_chunk(TOY)):
            state, of_generation = generation(state, jnp.int32(step))
        identical(states[step + 1].search, state)
        identical(states[step + 2].search, state)
        assert metrics[step]["coverage"] == of_generation["coverage"]
    assert [int(m["evaluations"]) for m in metrics] == [120, 0] + [80, 0] * (NUM_UPDATES // 2 - 1)
    assert all(int(m[word]) == 0 for m in metrics for word in ("candidates", "emitters_started", "reward_archive_size"))
    assert int(states[-1].exploitation_evaluations.sum()) == 0


def test_every_evaluation_is_accounted_for(runs):
    assert initial_evaluations(TOY) == 40 and evaluations_per_update(TOY) == 80
    for states, metrics in runs.values():
        total = 0
        for step, (after, of_update) in enumerate(zip(states[1:], metrics, strict=True)):
            explored = step % 2 == 0
            assert bool(of_update["explored"]) == explored
            spent = int(of_update["evaluations"])
            total += spent
            assert int(of_update["environment_steps"]) == 3 * spent
            assert total == int(total_evaluations(after))
            elsewhere, inside = (
                of_update["exploitation_evaluations_elsewhere"],
                of_update["exploitation_evaluations_area_0"],
            )
            assert total == int(of_update["exploration_evaluations"]) + int(inside) + int(elsewhere)
            assert int(elsewhere) == 0
            at_work = int(metrics[step - 1]["emitters"]) + int(metrics[step - 1]["candidates"]) if step else 0
            if explored:
                assert spent == 80 + 40 * (step == 0)
            else:
                assert 80 <= spent < 92 if at_work else spent == 0
            # Coverage is that of exploration alone.
            assert int(after.search.history.visits.sum()) == int(of_update["exploration_evaluations"])
            left = int(of_update["emitters_stopped"]) + int(of_update["emitters_replaced"])
            assert int(of_update["emitters_kept"]) == int(of_update["emitters"]) + left
    last = runs[SOMEBODY][1][-1]
    share = last["exploration_evaluations"] / sum(m["evaluations"] for m in runs[SOMEBODY][1])
    # The first population explores too.
    assert abs(share - 0.5) < 0.06


def test_candidates_are_those_who_are_rewarded_with_a_third_of_their_distance(runs):
    for bar in (SOMEBODY, LATER):
        found_before = 0
        states, metrics = runs[bar]
        for step in range(0, NUM_UPDATES, 2):
            before, after = states[step], states[step + 1]
            everybody = np.concatenate([before.search.population.genomes, after.offspring.genomes])
            fresh = everybody if step == 0 else everybody[TOY.exploration.population_size :]
            rewarded = fresh[fresh[:, 0] > bar]
            found = int(after.reward_archive.size) - int(before.reward_archive.size)
            np.testing.assert_array_equal(stored(after.reward_archive)[int(before.reward_archive.size) :], rewarded)
            waiting = np.asarray(after.candidates.waiting) & ~np.asarray(before.candidates.waiting)
            np.testing.assert_array_equal(np.asarray(after.candidates.ancestors.genomes)[waiting], rewarded)
            distances = cdist(everybody, everybody)
            np.fill_diagonal(distances, np.inf)
            nearest = dict(zip(map(tuple, everybody), distances.min(axis=1), strict=True))
            sigmas = [nearest[tuple(genome)] / 3 for genome in rewarded]
            np.testing.assert_allclose(np.asarray(after.candidates.sigmas)[waiting], sigmas, rtol=1e-4)
            assert (found > 0) or bar == LATER
            # Nobody exploits before the first reward.
            if not found_before + found:
                assert int(metrics[step + 1]["evaluations"]) == 0 and int(metrics[step + 1]["emitters_started"]) == 0
            found_before += found
        assert found_before > 0
    # The first chunk finds nothing beyond the far bar.
    assert int(runs[LATER][1][1]["evaluations"]) == 0


def stored(archive):
    return np.asarray(archive.entries.genomes)[: int(archive.size)]


def novelties(queries, *references):
    distances = np.sort(cdist(queries, np.concatenate(references)), axis=1)
    return distances[:, 1 : 1 + TOY.exploration.num_neighbors].mean(axis=1)


def test_novelty_is_measured_against_the_rewarded_too(runs):
    states, _ = runs[SOMEBODY]
    num_records = 0
    for step in range(NUM_UPDATES):
        before, after = states[step], states[step + 1]
        archives = stored(before.search.archive), stored(before.reward_archive)
        if step % 2 == 0:
            everybody = np.concatenate([before.search.population.genomes, after.offspring.genomes])
            order = np.argsort(-novelties(everybody, everybody, *archives), kind="stable")
            np.testing.assert_array_equal(after.search.population.genomes, everybody[order[:40]])
            continue
        # Of the emitters that began in this chunk, all that were remembered were more novel than their ancestor, and
        # the last one than all.
        emitters = after.pool.emitters
        for slot in np.flatnonzero((np.asarray(after.pool.stages) != FREE) & (np.asarray(before.pool.stages) == FREE)):
            if int(emitters.novel_overflow[slot]) == 0:
                remembered = np.asarray(emitters.novel.genomes[slot])[: int(emitters.num_novel[slot])]
                in_turn = np.concatenate([emitters.ancestor.genomes[slot][None], remembered])
                known = before.search.population.genomes, before.offspring.genomes, *archives
                found = novelties(in_turn, *known)
                assert (found[1:] > found[0]).all() and found[-1] == found.max()
                num_records += len(remembered)
    assert num_records > 5


def test_what_is_rewarded_is_stored_and_shown(runs):
    states, metrics = runs[SOMEBODY]
    size = int(states[-1].reward_archive.size)
    archived = np.asarray(states[-1].reward_archive.entries.evaluation.rewards)[:size]
    assert size > 0 and (archived > 0).all()
    best = [m["max_reward_area_0"] for m in metrics]
    assert (np.diff(best) >= 0).all() and best[-1] == archived.max() == states[-1].search.history.champion_rewards[0]
    # Emitters climb; where exploration would be by chance.
    assert best[-1] > 2.5 and int(metrics[-1]["emitters_kept"]) > 0
    found = jax.jit(discoveries)(states[-1])
    shown = np.asarray(found.rewards)[np.asarray(found.mask)]
    assert len(shown) == 2 + 40 + int(states[-1].search.archive.size) + size and shown.max() == best[-1]


def test_equal_genomes_mutate_as_exploration_does(programs):
    state = programs.init(jax.random.key(0), jnp.float32(SOMEBODY))
    genomes = jnp.full((40, 2), 5.0)
    population = state.search.population._replace(
        genomes=genomes, evaluation=beyond(SOMEBODY).evaluate_genomes(jax.random.key(1), genomes)
    )
    state = strong_types(state._replace(search=state.search._replace(population=population)))
    after, _ = programs.update(state, jnp.float32(SOMEBODY), jnp.int32(0))
    np.testing.assert_allclose(np.asarray(after.candidates.sigmas)[:40], TOY.exploration.mutation_sigma, rtol=1e-6)


def with_fields(**fields):
    values = {field: getattr(TOY, field) for field in SereneConfig.__dataclass_fields__}
    return SereneConfig(**{**values, **fields})


@pytest.mark.parametrize("scheduler", ["alternate", "bandit"])
def test_seeds_in_one_batch_equal_seeds_alone(scheduler, runs):
    config = with_fields(scheduler=scheduler)
    bars = (NOBODY, SOMEBODY, LATER)

    def go(seed, bar):
        algorithm = serene(config, beyond(bar))
        return train(algorithm, algorithm.init(jax.random.key(seed)), NUM_UPDATES)

    states, metrics = quick_jit(jax.vmap(go))(np.zeros(3, np.uint32), np.array(bars, np.float32))
    # Which chunk does which work differs.
    spent = np.asarray(metrics["evaluations"])
    assert (spent[0] != spent[1]).any() and (spent[1] != spent[2]).any()
    others = runs if scheduler == "alternate" else {}
    programs = compiled(config)
    for row, bar in enumerate(bars):
        alone, of_one = others[bar] if others else run(config, bar, programs=programs)
        state, of_one = alone[-1], {word: [m[word] for m in of_one] for word in metrics}
        batched_state, batched_metrics = jax.tree.map(lambda leaf, row=row: leaf[row], (states, metrics))
        for word in of_one:
            np.testing.assert_allclose(batched_metrics[word], of_one[word], rtol=1e-4, err_msg=word)
        for word in ("genomes", "evaluation"):
            first, second = (getattr(s.reward_archive.entries, word) for s in (batched_state, state))
            jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), first, second)
        if bar == NOBODY:
            identical(batched_state.search, state.search)
            assert int(batched_state.exploitation_evaluations.sum()) == 0


def test_time_sampling_explores_first_and_spends_its_budget_also_where_nothing_is_rewarded():
    config = with_fields(scheduler="time_sampling", planned_evaluations=1600)
    programs = compiled(config)
    for bar in (NOBODY, SOMEBODY):
        _, metrics = run(config, bar, num_updates=60, programs=programs)
        spent = np.cumsum([m["evaluations"] for m in metrics])
        # Where nothing is exploited half of the steps of the plan cost nothing; the steps after it make up for them.
        assert spent[-1] >= 1600
        explored = np.array([int(m["explored"]) for m in metrics[:20]])
        assert explored[0] and explored[:7].mean() > explored[13:].mean()


def test_budgets_that_could_overflow_the_archive_are_refused():
    # Three rows a generation of 80 evaluations, which is a chunk: 21 of them fit.
    check_budget(TOY, 40 + 21 * 80)
    with pytest.raises(ValueError, match="archive_capacity: got 64, takes at least 66, which 1721"):
        check_budget(TOY, 40 + 21 * 80 + 1)
    # Emitters that stop at once leave five novel members for 78 evaluations, which is more.
    short = with_fields(emitters=EmitterConfig(num_novel=8, max_generations=1))
    check_budget(short, 12 * 78 + 77)
    with pytest.raises(ValueError, match="archive_capacity: got 64, takes at least 65, which 1014"):
        check_budget(short, 13 * 78)


BUMPS = np.array([[0.4, 0.4], [-0.4, -0.3]], np.float32)
RADIUS = 0.1


def two_bumps():
    """Genomes in the square, rewarded 1 - (d / R)^2 within R of either of two points."""

    def evaluate_genomes(key, genomes):
        del key
        heights = 1.0 - (jnp.linalg.norm(genomes[:, None] - BUMPS, axis=-1) / RADIUS) ** 2
        rewards = jnp.maximum(heights.max(axis=1), 0.0)
        return Evaluation(
            rewards=rewards,
            descriptors=genomes,
            ground_truth=genomes,
            areas=jnp.where(rewards > 0, jnp.argmax(heights, axis=1), -1).astype(jnp.int32),
            render_states=genomes[:, None],
            environment_steps=jnp.zeros(len(genomes), jnp.int32),
        )

    square = ((-1.0, -1.0), (1.0, 1.0))
    return Problem(evaluate_genomes, 2, 2, square, 2, 2, descriptor_bounds=square, genome_bounds=(-1.0, 1.0))


@pytest.mark.parametrize(("kind", "parallel_emitters"), [("fitness", 1), ("cma_es", 4)])
def test_both_maxima_are_found_within_20000_evaluations(kind, parallel_emitters):
    config = SereneConfig(
        exploration=NoveltySearchConfig(archive_capacity=512),
        emitters=EmitterConfig(kind=kind),
        parallel_emitters=parallel_emitters,
        reward_archive_capacity=8192,
    )
    algorithm = serene(config, two_bumps())

    @jax.jit
    @jax.vmap
    def go(key):
        return train(algorithm, algorithm.init(key), 19)

    states, metrics = go(jax.vmap(jax.random.key)(jnp.arange(3, dtype=jnp.uint32)))
    spent = np.asarray(metrics["evaluations"]).sum(axis=1)
    assert (spent <= 20_000).all()
    assert (np.asarray(metrics["max_reward_area_0"])[:, -1] > 0.99).all()
    assert (np.asarray(metrics["max_reward_area_1"])[:, -1] > 0.99).all()
    np.testing.assert_array_equal(jax.vmap(total_evaluations)(states), spent)
    for word in ("reward_archive_overflow", "archive_overflow"):
        assert (np.asarray(metrics[word]) == 0).all()
    exceeded = np.asarray(metrics["evaluations"])[:, 1:] - 1000
    assert (exceeded[:, ::2] < parallel_emitters * 12).all()
    assert (np.asarray((states.pool.stages != FREE).sum(axis=1)) == np.asarray(metrics["emitters"])[:, -1]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"chunk_evaluations": 0}, "chunk_evaluations: got 0"),
        ({"parallel_emitters": 0}, "parallel_emitters: got 0"),
        ({"parallel_emitters": 9}, "parallel_emitters: got 9, takes at most max_emitters, 8"),
        ({"reward_archive_capacity": 0}, "reward_archive_capacity: got 0"),
        ({"max_candidates": 0}, "max_candidates: got 0"),
        ({"max_emitters": 0}, "max_emitters: got 0"),
        ({"scheduler": "coin"}, "scheduler: got 'coin', takes alternate or fixed_sampling or time_sampling or bandit"),
        ({"scheduler": "time_sampling"}, "planned_evaluations: got None, takes the budget"),
        ({"emitters": EmitterConfig(kind="greedy")}, "kind: got 'greedy'"),
        ({"exploration": NoveltySearchConfig(num_neighbors=0)}, "num_neighbors: got 0"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        serene(with_fields(**fields), plane())
