import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quality_diversity.planes import individuals_of, plane

from jaxrl_sparse.evolution.cma_es import cma_es_tell
from jaxrl_sparse.quality_diversity.emitters import (
    EmitterConfig,
    check_emitters,
    emitter_rules,
    least_evaluations,
    most_novel_descriptor,
    stagnated,
    stagnation_window,
    with_improvement,
)
from jaxrl_sparse.quality_diversity.problems import Individuals

SIZE, NUM_NOVEL, GENERATIONS = 4, 3, 8
SIGMA = 0.3


def config_of(kind):
    return EmitterConfig(
        kind=kind, population_size=SIZE, num_novel=NUM_NOVEL, archive_additions=2, max_generations=GENERATIONS - 2
    )


def invalid(genomes):
    return (genomes[:, 1] > 0.15) & (genomes[:, 1] < 0.4)


def climb(kind):
    """Some generations on the plane, with scripted novelties: all that was seen and the emitters after each."""
    rules = emitter_rules(config_of(kind), 2, -5.0, 5.0)
    problem = plane(invalid)

    @jax.jit
    def run(key, ancestor, novelties, records):
        def generation(emitter, inputs):
            key, novelties, record = inputs
            ask_key, evaluate_key = jax.random.split(key)
            genomes = rules.ask(ask_key, emitter)
            batch = Individuals(genomes, problem.evaluate_genomes(evaluate_key, genomes))
            of_first = (emitter.generations == 0) & (jnp.arange(rules.batch_size) >= rules.first_batch_size)
            emitter, harvest = rules.tell(emitter, batch, novelties, record, ~of_first)
            shown = genomes, harvest, rules.stops(emitter), most_novel_descriptor(emitter)
            return emitter, (emitter, *shown)

        first = rules.init(ancestor, jnp.float32(SIGMA))
        return first, jax.lax.scan(generation, first, (jax.random.split(key, GENERATIONS), novelties, records))[1]

    rng = np.random.default_rng(7)
    novelties = rng.uniform(size=(GENERATIONS, rules.batch_size)).astype(np.float32)
    # Measured anew in every generation, the record may also have sunk.
    records = np.array([0.9, 0.3, 0.97, 0.1, 0.05, 0.2, 0.1, 0.95], np.float32)
    ancestor = jax.tree.map(lambda leaf: leaf[0], individuals_of([[1.0, 0.0]]))
    return rules, novelties, records, run(jax.random.key(0), ancestor, novelties, records)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fitness", "novelty", "cma_es"])
def test_generations_by_brute_force(kind):
    rules, novelties, records, (start, (emitters, asked, harvests, stops, most_novel)) = climb(kind)
    assert (rules.batch_size, rules.first_batch_size) == ((4, 4) if kind == "cma_es" else (8, 4))
    asked = np.asarray(asked)
    # A member: genome, reward, what it is selected by, novelty.
    members = [(np.array([1.0, 0.0], np.float32), 0.0, -np.inf, -np.inf)] * SIZE
    best_archived, novel, overflow, num_broken, num_several, num_late = -np.inf, [], 0, 0, 0, 0
    for generation in range(GENERATIONS):
        at = jax.tree.map(lambda leaf, row=generation: np.asarray(leaf[row]), emitters)
        count = rules.first_batch_size if generation == 0 else rules.batch_size
        if kind != "cma_es":
            mutations = asked[generation] - np.repeat([member[0] for member in members], 2, axis=0)
            assert (np.abs(mutations) > 0).all() and np.abs(mutations).max() < 5 * SIGMA
        batch = []
        for genome, novelty in zip(asked[generation][:count], novelties[generation], strict=False):
            broken = 0.15 < genome[1] < 0.4
            num_broken += broken
            score = -np.inf if broken else novelty if kind == "novelty" else genome[0]
            batch.append((genome, genome[0], score, -np.inf if broken else novelty))
        if kind == "cma_es":
            members = batch
        else:
            # Of equals the older ones; their novelty was looked at when they were new.
            members = sorted([(*old[:3], -np.inf) for old in members] + batch, key=lambda member: -member[2])[:SIZE]
        present = [np.isfinite(member[2]) for member in members]
        rewards = np.where(present, [member[1] for member in members], 0.0)
        np.testing.assert_array_equal(at.rewards[generation], rewards)
        if kind != "cma_es":
            np.testing.assert_array_equal(at.strategy.individuals.genomes, [member[0] for member in members])

        if np.isfinite(best_archived):
            archived = np.array(present) & (rewards > best_archived)
        else:
            best = np.argmax(np.where(present, rewards, -np.inf))
            archived = np.array(present) & (np.arange(SIZE) == best) & (rewards > 0)
        np.testing.assert_array_equal(harvests.archived[generation], archived)
        np.testing.assert_array_equal(
            np.asarray(harvests.members.genomes[generation])[archived],
            np.reshape([member[0] for member, out in zip(members, archived, strict=True) if out], (-1, 2)),
        )
        # What an emitter archives gets better and better: all of a generation is above all before.
        assert (rewards[archived] > best_archived).all()
        num_several += archived.sum() > 1
        best_archived = max(best_archived, *rewards[archived], -np.inf)
        np.testing.assert_array_equal(at.best_archived, np.float32(best_archived))

        # All that are more novel than those of the generations before, the most novel one last.
        found = sorted((member for member in members if member[3] > records[generation]), key=lambda member: member[3])
        num_late += len(found) > 1
        for genome, *_ in found:
            if len(novel) == NUM_NOVEL:
                overflow += 1
            else:
                novel.append(genome)
        if found:
            novel[-1] = found[-1][0]
        assert int(at.num_novel) == len(novel) and int(at.novel_overflow) == overflow
        np.testing.assert_array_equal(at.novel.genomes[: len(novel)], np.reshape(novel, (-1, 2)))
        np.testing.assert_array_equal(most_novel[generation], novel[-1] if novel else [1.0, 0.0])
        assert int(at.generations) == generation + 1
        assert bool(stops[generation]) == (generation + 1 > GENERATIONS - 2)
    assert num_broken > 0 and overflow > 0 and num_late > 0 and np.isfinite(best_archived)
    assert num_several > 0 or kind == "novelty"
    if kind == "cma_es":
        np.testing.assert_array_equal(start.strategy.mean, [1.0, 0.0])
        assert float(start.strategy.sigma) == np.float32(SIGMA)
        last = [jax.tree.map(lambda leaf, row=row: leaf[row], emitters.strategy) for row in (-2, -1)]
        fitnesses = np.where(invalid(asked[-1]), -np.inf, asked[-1][:, 0])
        again = cma_es_tell(last[0], jnp.asarray(asked[-1]), jnp.asarray(fitnesses))
        np.testing.assert_allclose(again.mean, last[1].mean, rtol=1e-5)
        np.testing.assert_allclose(again.covariance, last[1].covariance, rtol=1e-4)


def ring_of(history, window):
    """The ring of a history `[G, n]`."""
    ring = np.zeros((window, history.shape[1]), np.float32)
    for generation, rewards in enumerate(history):
        ring[generation % window] = rewards
    return ring


def test_improvement_in_closed_form():
    rules = emitter_rules(config_of("fitness"), 2, -5.0, 5.0)
    ancestor = jax.tree.map(lambda leaf: leaf[0], individuals_of([[1.0, 0.0]]))
    window = stagnation_window("custom", 2, SIZE)
    rng = np.random.default_rng(1)
    # Rising, rising and falling, falling; the window is gone round more than once.
    shape = np.arange(2 * window + 9)[:, None] / 50
    histories = [
        noise + trend
        for noise, trend in zip(rng.uniform(size=(3, *shape.shape)), (shape, np.sin(shape), -shape), strict=True)
    ]
    estimates = (4, 6, window, window + 2, 2 * window + 9)

    @jax.jit
    def improvements(rings):
        def after(local):
            emitter, found = rules.init(ancestor, jnp.float32(SIGMA)), []
            for generations, ring in zip(estimates, rings, strict=True):
                emitter = emitter._replace(rewards=ring, generations=jnp.int32(generations))
                emitter = with_improvement(emitter, local)
                found.append(emitter.improvement)
            return jnp.stack(found)

        return after(False), after(True)

    for history in histories:
        rings = [ring_of(history[:generations], window) for generations in estimates]
        frozen, local = improvements(rings)
        means = history.mean(axis=1)
        ends = [means[generations - 3 : generations].mean() for generations in estimates]
        first = means[:3].mean()
        np.testing.assert_allclose(frozen, np.maximum(np.array(ends) - first, 0), atol=1e-5)
        np.testing.assert_allclose(local, np.maximum(np.array(ends) - [first, *ends[:-1]], 0), atol=1e-5)
        assert (np.asarray(frozen) > 0).any() or history is histories[2]


def published_stop(history, window, rule):
    """The stop rules as they are written down, on a whole history `[G, n]`."""
    if len(history) - 1 <= window:
        return False
    recent = history[-window:]
    if rule == "custom":
        return np.median(recent[:20]) >= np.median(recent[-20:]) or recent[:20].max() >= recent[-20:].max()
    share = int(0.3 * window)
    return all(
        np.median(statistic(recent[:share], axis=1)) >= np.median(statistic(recent[-share:], axis=1))
        for statistic in (np.max, np.median)
    )


def test_a_strategy_that_has_nothing_more_to_expect_stops_its_emitter():
    rules = emitter_rules(EmitterConfig(kind="cma_es"), 2, -5.0, 5.0)
    ancestor = jax.tree.map(lambda leaf: leaf[0], individuals_of([[1.0, 0.0]]))
    emitter = rules.init(ancestor, jnp.float32(SIGMA))
    lost = emitter.strategy._replace(mean=emitter.strategy.mean * jnp.nan)
    assert not rules.stops(emitter) and rules.stops(emitter._replace(strategy=lost))


def test_no_emitter_stops_for_less_by_hand():
    # 6 first ones, five generations of 12, and one more; 121 generations after the first; those of CMA-ES are of 6.
    assert least_evaluations(EmitterConfig(max_generations=1)) == 6 + 6 * 12
    assert least_evaluations(EmitterConfig(max_generations=30)) == 6 + 30 * 12
    assert least_evaluations(EmitterConfig()) == 6 + 121 * 12
    assert least_evaluations(EmitterConfig(kind="cma_es")) == 6 + 6 * 6


@pytest.mark.parametrize("rule", ["custom", "original"])
def test_stop_rules_on_scripted_histories(rule):
    window = stagnation_window(rule, 2, SIZE)
    assert window == int((20 if rule == "custom" else 30) * 2 / SIZE + 120)
    rng = np.random.default_rng(2)
    time = np.arange(2 * window)[:, None] / window
    noise = rng.normal(size=(2 * window, SIZE))
    histories = [
        np.ones_like(noise),
        time + 0 * noise,
        -time + 0 * noise,
        *(slope * time + noise for slope in (0.0, 0.3, 1.0, 3.0, 6.0)),
        # It rises, and the best one came early; it falls, and the best one came late.
        time + 100.0 * (np.abs(np.arange(2 * window) - window - 5) < 1)[:, None],
        np.broadcast_to(-time, noise.shape) + 100.0 * (np.arange(2 * window) == 2 * window - 1)[:, None],
    ]
    histories = [np.broadcast_to(history, noise.shape).astype(np.float32) for history in histories]
    lengths = (window - 5, window, window + 1, window + 2, window + 30, 2 * window)
    cases = [(history, length) for history in histories for length in lengths]
    rings = np.stack([ring_of(history[:length], window) for history, length in cases])
    stops = jax.jit(jax.vmap(lambda ring, generations: stagnated(ring, generations, rule)))
    found = stops(rings, np.array([length for _, length in cases], np.int32))
    expected = [published_stop(history[:length], window, rule) for history, length in cases]
    np.testing.assert_array_equal(found, expected)
    assert 5 < np.sum(expected) < 35


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "greedy"}, "kind: got 'greedy', takes fitness or novelty or cma_es"),
        ({"stop_rule": "never"}, "stop_rule: got 'never', takes custom or original"),
        ({"population_size": 0}, "population_size: got 0"),
        ({"offspring_per_parent": 0}, "offspring_per_parent: got 0"),
        ({"num_novel": 0}, "num_novel: got 0"),
        ({"archive_additions": 65}, "archive_additions: got 65, takes at most num_novel, 64"),
        ({"bootstrap_generations": 2}, "bootstrap_generations: got 2, takes an integer from 3 to 119"),
        ({"bootstrap_generations": 120}, "bootstrap_generations: got 120"),
        ({"max_generations": 0}, "max_generations: got 0, takes None or an integer of at least 1"),
        ({"kind": "cma_es", "population_size": 3}, "population_size: got 3, takes at least 4 with this kind"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        check_emitters(EmitterConfig(**fields))
