"""GLOW on locks of three digits: it finds the code, loses nothing that it must keep, and says where theory fails."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from contracts.two_cells import (
    TwoCells,
    again,
    assert_close,
    assert_equal_keys_make_equal_cells,
    assert_evaluation_is_held_out,
    assert_never_retraced,
    assert_resumed_equals_uninterrupted,
    assert_state_can_be_saved,
    assert_swapped_cells_swap_results,
    assert_swept_floats_matter,
    cell,
    seeds,
    single_run,
)

from jaxrl_sparse.density_ratio.classes import ModelClass, function_class, model_class
from jaxrl_sparse.density_ratio.glow import GlowConfig, GlowMemory, clip_rate, glow
from jaxrl_sparse.density_ratio.weights import explicit_class
from jaxrl_sparse.finite.episodes import expected_counts
from jaxrl_sparse.finite.episodic_generators import combination_locks
from jaxrl_sparse.training import train

HORIZON, SUCCESS, ROUNDS = 3, 0.9, 120
CODES = 2**HORIZON
LOCKS = combination_locks(HORIZON, success=SUCCESS)
OPTIMUM = SUCCESS ** (HORIZON - 1)


def quick(function, **options):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE, **options)


CLASSES = quick(model_class)(LOCKS)
TRUTHS = jnp.array([0, 3, 6])


def locks(codes):
    return jax.tree.map(lambda leaf: leaf[codes], LOCKS)


@functools.cache
def runs(weights):
    """`scale -> metrics [3 truths, 4 seeds, T], evaluations [3, 4]`, compiled once for all scales."""

    def run(scale, mdp, key):
        config = GlowConfig(scale=scale, weights=weights, num_rounds=ROUNDS, memory_limit=0)
        algorithm = glow(config, CLASSES, mdp)
        start, evaluate = jax.random.split(key)
        state, metrics = train(algorithm, algorithm.init(start), ROUNDS)
        return metrics, algorithm.evaluate(state, evaluate), state.memory.plays

    compiled = quick(jax.vmap(jax.vmap(run, in_axes=(None, None, 0)), in_axes=(None, 0, None)))

    def of_scale(scale):
        return jax.device_get(compiled(jnp.float32(scale), locks(TRUTHS), jax.random.split(jax.random.key(0), 4)))

    return of_scale


@pytest.mark.slow
def test_it_finds_the_code_and_pays_nothing_from_then_on():
    metrics, evaluation, plays = runs("strong")(0.01)
    found = metrics["is_optimal"][..., -60:]
    assert found.all() and (metrics["regret"][..., -60:] == 0).all()
    assert (metrics["version_space_size"][..., 0] == CODES).all()
    # What it knows of the true process is what it saw: before that it tried others.
    assert (metrics["regret"].sum(-1)[1:] > 0).all()
    np.testing.assert_array_equal(plays.sum(-1), ROUNDS)
    np.testing.assert_array_equal(plays.argmax(-1), np.repeat(TRUTHS[:, None], 4, 1))
    np.testing.assert_allclose(evaluation["return"], OPTIMUM - metrics["regret"].mean(-1), atol=1e-5)
    np.testing.assert_allclose(evaluation["last_return"], OPTIMUM, rtol=1e-6)


def test_the_figures_of_a_round_agree_with_each_other():
    metrics, _, _ = runs("strong")(0.01)
    np.testing.assert_allclose(metrics["regret"], OPTIMUM - metrics["policy_return"], atol=1e-6)
    # Every lock promises the same; a wrong one pays nothing.
    np.testing.assert_allclose(metrics["upper_bound"], OPTIMUM, rtol=1e-6)
    np.testing.assert_allclose(metrics["optimism_gap"], np.where(metrics["is_optimal"], 0, OPTIMUM), atol=1e-6)
    assert (metrics["environment_steps"] == HORIZON).all()
    assert set(np.unique(metrics["episode_return"])) <= {0.0, 1.0}


# Large: as long as all weights are clipped, the constraint does not depend on the clip.
CLIP_RATE = 0.5


def round_by_hand(counts, plays, round_number, scale, episodes_per_round, num_weights=CODES**2):
    """`(members, chosen)` of one round, from the paper's formulas in float64."""
    occupancies = np.asarray(CLASSES.occupancies, np.float64)
    values = np.asarray(CLASSES.functions.values, np.float64)
    transitions, rewards = (np.asarray(leaf, np.float64) for leaf in counts)
    visits, seen = transitions.sum(-1), max(episodes_per_round * (round_number - 1), 1)
    size = math.log(CODES) + math.log(num_weights) - math.log(0.1)
    clip = CLIP_RATE * round_number
    alpha = 8 * scale / clip
    beta = 36 * scale * clip * (size + math.log(6 * ROUNDS * HORIZON)) / seen if round_number > 1 else np.inf
    after = np.pad(values.max(-1)[:, 1:], ((0, 0), (0, 1), (0, 0)))
    masses = visits * values - rewards - np.einsum("hsat,fht->fhsa", transitions, after)
    errors = np.full((CODES, HORIZON), -np.inf)
    for model in range(CODES):
        past = np.tensordot(plays / max(plays.sum(), 1), occupancies[model], 1)
        for policy in range(CODES):
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(occupancies[model, policy] > 0, occupancies[model, policy] / past, 0)
            w = np.minimum(ratio, clip)
            errors = np.maximum(errors, (w * masses - alpha * w**2 * visits).sum((-1, -2)) / seen)
    members = (errors <= beta).all(-1)
    candidates = members if members.any() else errors.max(-1) <= errors.max(-1).min() + 1e-6
    # All locks promise the same.
    return members, min(np.flatnonzero(candidates), key=lambda f: (plays[f], f))


@pytest.mark.parametrize(("weights", "num_weights"), [("strong", CODES**2), ("weak", CODES**3)])
def test_a_round_is_that_of_the_paper(weights, num_weights):
    """Two episodes a round, wherever a run may be, and scales at which all, some and none are members.

    The weights that are made of pairs of policies are the same, but there are more pairs of them to be counted.
    """
    true, played = 5, np.array([3.0, 2, 2, 1, 1, 1, 1, 0])
    config = GlowConfig(weights=weights, num_rounds=ROUNDS, episodes_per_round=2, clip_rate=CLIP_RATE)

    @quick
    def play(scale, counts, plays, step):
        algorithm = glow(dataclasses.replace(config, scale=scale), CLASSES, locks(true))
        state = algorithm.init(jax.random.key(0))
        state = state._replace(counts=counts, memory=GlowMemory(plays))
        state, metrics = algorithm.update(state, step)
        return metrics, state.memory.plays - plays

    sizes = []
    for seed, num_rounds in enumerate((0, 1, 3, 11, 44)):
        plays = np.float32(np.round(played / 11 * num_rounds)) if num_rounds > 1 else np.eye(8, dtype=np.float32)[0]
        plays = plays * (num_rounds > 0)
        occupied = np.tensordot(plays, np.asarray(CLASSES.occupancies[true]), 1)
        expected = expected_counts(locks(true), jnp.asarray(occupied, jnp.float32), 2.0)
        noise = 1 + 0.3 * np.random.default_rng(seed).uniform(-1, 1, expected.transitions.shape)
        counts = expected._replace(transitions=expected.transitions * jnp.asarray(noise, jnp.float32))
        for scale in np.geomspace(1e-5, 1, 71).tolist():
            metrics, added = play(jnp.float32(scale), counts, jnp.asarray(plays), jnp.int32(num_rounds))
            members, chosen = round_by_hand(counts, plays, num_rounds + 1, scale, 2, num_weights)
            assert int(metrics["version_space_size"]) == members.sum()
            assert int(metrics["is_empty"]) == (not members.any())
            assert int(metrics["contains_optimum"]) == members[true]
            assert int(metrics["is_optimal"]) == (chosen == true)
            np.testing.assert_array_equal(added, np.eye(CODES)[chosen])
            sizes.append(int(members.sum()))
    assert 0 in sizes and CODES in sizes and any(0 < size < CODES for size in sizes)


def test_the_papers_constants_never_exclude_anything():
    metrics, _, plays = runs("strong")(1.0)
    assert (metrics["version_space_size"] == CODES).all() and (metrics["contains_optimum"] == 1).all()
    # Nothing tells the candidates apart, so that each has its turn.
    np.testing.assert_array_equal(plays, ROUNDS / CODES)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["strong", "bounded"])
def test_the_optimum_is_kept_with_the_promised_probability(weights):
    """At c = 1 in all of 12 runs, of which theory allows a tenth to lose it."""
    metrics, _, _ = runs(weights)(1.0)
    assert (metrics["contains_optimum"] == 1).all(-1).mean() >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("weights", "scale"), [("weak", 0.003), ("bounded", 0.01)])
def test_every_class_of_weights_finds_the_code(weights, scale):
    metrics, evaluation, _ = runs(weights)(scale)
    assert metrics["is_optimal"][..., -20:].mean() >= 0.9
    np.testing.assert_allclose(evaluation["value_misfit"], 0, atol=1e-6)
    np.testing.assert_allclose(evaluation["weight_misfit"], 0, atol=1e-4)


def test_an_empty_version_space_is_reported_and_survived():
    metrics, evaluation, plays = runs("strong")(1e-5)
    assert (metrics["is_empty"].sum(-1) > 0).all()
    np.testing.assert_array_equal(metrics["is_empty"], metrics["version_space_size"] == 0)
    np.testing.assert_array_equal(metrics["contains_optimum"] & metrics["is_empty"], 0)
    for figures in jax.tree.leaves((metrics, evaluation)):
        assert np.isfinite(figures).all()
    np.testing.assert_array_equal(plays.sum(-1), ROUNDS)


@pytest.mark.slow
def test_runs_side_by_side_are_single_ones_and_pieces_of_memory_change_nothing():
    side_by_side, _, _ = runs("strong")(0.01)

    @quick
    def single(mdp, key):
        config = GlowConfig(scale=0.01, num_rounds=ROUNDS, memory_limit=CODES * HORIZON * 4 * 10)
        algorithm = glow(config, CLASSES, mdp)
        return train(algorithm, algorithm.init(jax.random.split(key)[0]), ROUNDS)[1]

    metrics = single(locks(TRUTHS[1]), jax.random.split(jax.random.key(0), 4)[2])
    jax.tree.map(lambda one, many: np.testing.assert_allclose(one, many[1, 2], rtol=1e-5), metrics, side_by_side)


@pytest.mark.slow
def test_violated_realisability_is_reported():
    """The true lock is taken out of the class: no function is Q*, and no ratio that of the truth.

    So is the one that differs in the last digit alone, after which nothing moves: it has all ratios of the truth.
    """
    true = 3
    rest = jnp.array([n for n in range(CODES) if n not in (2, 3)])
    functions = jax.tree.map(lambda leaf: leaf[rest], CLASSES.functions)
    classes = ModelClass(functions, CLASSES.occupancies[rest][:, rest])

    @quick
    def run(key):
        algorithm = glow(GlowConfig(num_rounds=40), classes, locks(true))
        state, metrics = train(algorithm, algorithm.init(key), 40)
        return metrics, algorithm.evaluate(state, jax.random.key(1))

    metrics, evaluation = run(jax.random.key(0))
    assert evaluation["value_misfit"] > 0.5 and evaluation["weight_misfit"] > 0.05
    assert (metrics["contains_optimum"] == 0).all() and (metrics["is_optimal"] == 0).all()


def test_a_misfit_is_that_of_the_next_round():
    """A class that is zero everywhere misses what is clipped by the clip, after three rounds that of the fourth."""
    classes = explicit_class(CLASSES.functions, np.zeros((1, HORIZON, 2, 2)))

    @quick
    def misfit(plays):
        algorithm = glow(GlowConfig(weights="explicit", clip_rate=0.1), classes, locks(3))
        state = algorithm.init(jax.random.key(0))._replace(num_policies=jnp.int32(3), memory=GlowMemory(plays))
        return algorithm.evaluate(state, jax.random.key(1))["weight_misfit"]

    np.testing.assert_allclose(misfit(jnp.zeros(CODES).at[3].set(3)), 0.4, rtol=1e-5)


def test_the_clip_rate_is_the_papers_unless_given():
    np.testing.assert_allclose(clip_rate(GlowConfig(clip_rate=0.3), CLASSES), 0.3)
    size, delta = 8 * 64, 0.1
    coverability = np.max(np.asarray(CLASSES.occupancies).max(1).sum((-1, -2)))
    expected = (coverability / (100 * np.log(size / delta))) ** 0.5
    np.testing.assert_allclose(clip_rate(GlowConfig(num_rounds=100), CLASSES), expected, rtol=1e-5)
    np.testing.assert_allclose(
        clip_rate(GlowConfig(num_rounds=100, weights="weak"), CLASSES), (coverability / 100) ** 0.5, rtol=1e-5
    )


@pytest.mark.slow
def test_the_contract():
    def make(config, inputs):
        classes, mdp = inputs
        return glow(config, classes, mdp)

    inputs = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), (CLASSES, locks(3)))
    configs = (GlowConfig(scale=0.001, num_rounds=9), GlowConfig(scale=0.02, num_rounds=9))
    cells = TwoCells(make, configs, inputs, same_inputs=False)
    assert_state_can_be_saved(cells.start(seeds(0)))
    assert_equal_keys_make_equal_cells(cells, 9)
    assert_swept_floats_matter(cells, 9)
    state, _ = assert_swapped_cells_swap_results(cells, seeds(3), 9)
    saved = {}
    assert_resumed_equals_uninterrupted(
        cells, seeds(3), 9, lambda tree: saved.update(state=again(tree)), lambda tree: saved["state"]
    )
    assert_evaluation_is_held_out(cells, state)
    assert_never_retraced(cells)
    alone = single_run(make, configs[1], cell(inputs, 1), seeds(0)[1])
    assert_close(alone, cell(cells.run(seeds(0), 4)[0], 1))


def test_bad_configurations_and_classes_are_refused():
    mdp = locks(0)
    for config, message in (
        (GlowConfig(scale=0.0), r"^scale: got 0.0, takes a finite number above 0$"),
        (GlowConfig(delta=1.0), r"^delta: got 1.0, takes a number in \(0, 1\)$"),
        (GlowConfig(num_rounds=0), r"^num_rounds: got 0, takes an integer of at least 1$"),
        (GlowConfig(episodes_per_round=0), r"^episodes_per_round: got 0, takes an integer of at least 1$"),
        (GlowConfig(clip_rate=-1.0), r"^clip_rate: got -1.0, takes a number above 0, or None$"),
        (GlowConfig(memory_limit=-1), r"^memory_limit: got -1, takes bytes, 0 for no limit$"),
        (GlowConfig(weights="all"), r"^weights: got 'all', takes one of "),
        (GlowConfig(weights="explicit"), r"^classes: got 'ModelClass', takes what weights=explicit are made of: Expl"),
    ):
        with pytest.raises(ValueError, match=message):
            glow(config, CLASSES, mdp)
    with pytest.raises(ValueError, match=r"^classes: got 'FunctionClass', takes what weights=weak are made of: "):
        glow(GlowConfig(weights="weak"), CLASSES.functions, mdp)
    with pytest.raises(ValueError, match=r"^mdp.rewards: got \(3, 2, 2\), takes the class's \[H, S, A\], \(4, 2, 2\)$"):
        glow(GlowConfig(weights="bounded"), function_class(np.zeros((1, 4, 2, 2))), mdp)
