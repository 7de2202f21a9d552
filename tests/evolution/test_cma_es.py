import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.evolution.cma_es import (
    cma_es_ask,
    cma_es_constants,
    cma_es_decompose,
    cma_es_init,
    cma_es_stop,
    cma_es_tell,
    cma_es_tell_parents,
)

# Constants, and an update trace on fixed candidates, of the CMA-ES package that the papers used.
REFERENCE = json.loads((Path(__file__).parent.parent / "data" / "cmaes.json").read_text())
N, POPULATION = 10, 10
tell = jax.jit(cma_es_tell)
ask = jax.jit(cma_es_ask, static_argnums=2)
stops = jax.jit(cma_es_stop)


def start(mean=(3.0,) * N, sigma=0.5, separable=False):
    return cma_es_init(jnp.asarray(mean, jnp.float32), sigma, POPULATION, separable)


@pytest.mark.parametrize(("dimension", "population_size"), [(94, 6), (63, 6), (10, 12)])
def test_constants_of_the_reference(dimension, population_size):
    reference = REFERENCE[f"const_n{dimension}_lam{population_size}"]
    constants = cma_es_constants(dimension, population_size)
    names = ("mu", "weights", "mu_eff", "c1", "cmu", "cc", "c_sigma", "d_sigma", "chi_n")
    for ours, name in zip(constants, names, strict=True):
        np.testing.assert_allclose(ours, reference[name], rtol=1e-7, atol=1e-8)


def test_separable_rates_are_larger_and_bounded():
    full, separable = cma_es_constants(94, 6), cma_es_constants(94, 6, separable=True)
    np.testing.assert_allclose(separable.rank_one_rate, 96 / 3 * full.rank_one_rate)
    np.testing.assert_allclose(separable.rank_mu_rate, 96 / 3 * full.rank_mu_rate)
    np.testing.assert_allclose(separable.weights[:3], full.weights[:3])
    enormous = cma_es_constants(2, 100_000, separable=True)
    assert 0.999 < enormous.rank_one_rate + enormous.rank_mu_rate < 1


def test_trace_of_the_reference():
    trace = REFERENCE["trace"]
    with jax.enable_x64(True):
        state = cma_es_init(jnp.array(trace["mean0"]), trace["sigma0"], 6)
        for normals, expected in zip(np.array(trace["Z"]), trace["steps"], strict=True):
            genomes = state.mean + state.sigma * normals
            state = tell(state, genomes, -jnp.sum(genomes**2, axis=-1))
            ours = {
                "mean": state.mean,
                "sigma": state.sigma,
                "C": state.covariance,
                "p_sigma": state.step_path,
                "pc": state.covariance_path,
            }
            for name, value in ours.items():
                assert value.dtype == jnp.float64
                np.testing.assert_allclose(value, expected[name], atol=1e-8)
            rebuilt = state.eigenvectors * state.axis_lengths**2 @ state.eigenvectors.T
            np.testing.assert_allclose(rebuilt, state.covariance, atol=1e-12)


def sequential_update(mean, sigma, covariance, paths, generation, genomes, fitnesses, separable):
    """The tutorial's equations by loops, for a diagonal covariance if `separable`."""
    constants = cma_es_constants(N, POPULATION, separable)
    c_c, c_sigma, mu_eff = constants.covariance_path_rate, constants.step_path_rate, constants.effective_parents
    covariance_path, step_path = paths
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    inverse_root = eigenvectors @ np.diag(eigenvalues**-0.5) @ eigenvectors.T
    steps = (genomes[np.argsort(-fitnesses, kind="stable")] - mean) / sigma
    mean_step = sum(constants.weights[i] * steps[i] for i in range(constants.num_parents))
    step_path = (1 - c_sigma) * step_path + np.sqrt(c_sigma * (2 - c_sigma) * mu_eff) * inverse_root @ mean_step
    length = np.linalg.norm(step_path)
    normalizer = np.sqrt(1 - (1 - c_sigma) ** (2 * (generation + 1)))
    h_sigma = float(length / normalizer < (1.4 + 2 / (N + 1)) * constants.expected_norm)
    covariance_path = (1 - c_c) * covariance_path + h_sigma * np.sqrt(c_c * (2 - c_c) * mu_eff) * mean_step
    new = (1 + constants.rank_one_rate * (1 - h_sigma) * c_c * (2 - c_c)) * covariance
    new -= (constants.rank_one_rate + constants.rank_mu_rate * constants.weights.sum()) * covariance
    new += constants.rank_one_rate * np.outer(covariance_path, covariance_path)
    for weight, step in zip(constants.weights, steps, strict=True):
        scale = 1.0 if weight >= 0 else N / np.linalg.norm(inverse_root @ step) ** 2
        new += constants.rank_mu_rate * weight * scale * np.outer(step, step)
    new = np.diag(np.diag(new)) if separable else new
    new_sigma = sigma * np.exp(c_sigma / constants.step_damping * (length / constants.expected_norm - 1))
    return mean + sigma * mean_step, new_sigma, new, (covariance_path, step_path), h_sigma


@pytest.mark.parametrize("separable", [False, True])
def test_updates_by_the_equations(separable):
    state = start(separable=separable)
    expected = (np.asarray(state.mean, np.float64), 0.5, np.eye(N), (np.zeros(N), np.zeros(N)))
    steadiness = []
    for generation in range(12):
        genomes = ask(jax.random.key(generation), state, POPULATION)
        # A slope, and from generation 6 on a bowl: the path grows too long, and then turns.
        fitnesses = genomes[:, 0] if generation < 6 else -jnp.sum(genomes**2, axis=-1)
        fitnesses = fitnesses.at[4].set(fitnesses[1])
        state = tell(state, genomes, fitnesses)
        *expected, steady = sequential_update(
            *expected, generation, np.asarray(genomes, np.float64), np.asarray(fitnesses), separable
        )
        steadiness.append(steady)
        mean, sigma, covariance, (covariance_path, step_path) = expected
        ours = jnp.diag(state.covariance) if separable else state.covariance
        np.testing.assert_allclose(state.mean, mean, rtol=1e-4)
        np.testing.assert_allclose(state.sigma, sigma, rtol=1e-4)
        np.testing.assert_allclose(ours, covariance, atol=1e-4)
        np.testing.assert_allclose(state.covariance_path, covariance_path, atol=1e-4)
        np.testing.assert_allclose(state.step_path, step_path, atol=1e-4)
    assert 0 < sum(steadiness) < len(steadiness)
    if separable:
        np.testing.assert_allclose(state.axis_lengths, jnp.sqrt(state.covariance), rtol=1e-6)


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_climbs_to_the_top_of_a_sphere(separable, seed):
    state, best = start(separable=separable), -np.inf
    for key in jax.random.split(jax.random.key(seed), 3000 // POPULATION):
        genomes = ask(key, state, POPULATION)
        fitnesses = -np.sum(np.asarray(genomes) ** 2, axis=-1)
        state, best = tell(state, genomes, fitnesses), max(best, fitnesses.max())
    assert best > -1e-8


def test_only_the_order_of_the_fitnesses_counts():
    plain = increasing = start()
    for generation in range(5):
        genomes = ask(jax.random.key(generation), plain, POPULATION)
        fitnesses = -jnp.sum(genomes**2, axis=-1) / 100
        plain, increasing = tell(plain, genomes, fitnesses), tell(increasing, genomes, jnp.exp(fitnesses))
    clear = {"fitness_ranges": jnp.zeros(())}
    jax.tree.map(np.testing.assert_array_equal, plain._replace(**clear), increasing._replace(**clear))


def test_a_rotated_problem_is_climbed_by_rotated_steps():
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(N, N)))[0].astype(np.float32)
    state = start()
    rotated = start(rotation @ state.mean)
    for generation in range(10):
        genomes = ask(jax.random.key(generation), state, POPULATION)
        fitnesses = -jnp.sum((genomes * jnp.arange(1.0, 1.0 + N)) ** 2, axis=-1)
        state, rotated = tell(state, genomes, fitnesses), tell(rotated, genomes @ rotation.T, fitnesses)
    np.testing.assert_allclose(rotated.mean, rotation @ state.mean, atol=1e-4)
    np.testing.assert_allclose(rotated.sigma, state.sigma, rtol=1e-4)
    np.testing.assert_allclose(rotated.covariance, rotation @ state.covariance @ rotation.T, atol=1e-4)


def test_random_rankings_leave_the_covariance_as_it_is_in_the_mean():
    num_runs, num_generations = 40, 15
    rng = np.random.default_rng(0)
    total = np.zeros((N, N))
    for run in range(num_runs):
        state = start()
        for key in jax.random.split(jax.random.key(run), num_generations):
            state = tell(state, ask(key, state, POPULATION), rng.random(POPULATION, dtype=np.float32))
        total += state.covariance
    np.testing.assert_allclose(total / num_runs, np.eye(N), atol=0.15)
    np.testing.assert_allclose(np.trace(total) / num_runs / N, 1.0, atol=0.03)


def test_fitnesses_that_are_not_finite_rank_last_and_equal_ones_by_their_index():
    state = start()
    genomes = ask(jax.random.key(0), state, POPULATION)
    fitnesses = jnp.zeros(POPULATION).at[jnp.array([0, 3, 5])].set(jnp.array([jnp.nan, jnp.inf, -jnp.inf]))
    order = np.array([1, 2, 4, 6, 7, 8, 9, 0, 3, 5])
    told, expected = tell(state, genomes, fitnesses), tell(state, genomes[order], -jnp.arange(float(POPULATION)))
    np.testing.assert_array_equal(told.mean, expected.mean)
    np.testing.assert_array_equal(told.covariance, expected.covariance)
    np.testing.assert_array_equal(told.fitness_ranges[0], [-np.inf, 0.0])


def test_genomes_stay_in_the_box_and_are_those_that_fell_into_it():
    corner = start(mean=np.where(np.arange(N) == 0, 0.0, 3.0))
    inside = np.concatenate(
        [ask(key, corner, POPULATION, 0.0, 5.0) for key in jax.random.split(jax.random.key(0), 200)]
    )
    assert inside.min() > 0.0 and inside.max() < 5.0
    # Of a normal distribution cut at its mean, and of one that is not cut.
    half_normal = 0.5 * np.sqrt(2 / np.pi)
    np.testing.assert_allclose(inside[:, 0].mean(), half_normal, atol=0.03)
    np.testing.assert_allclose(inside[:, 1:].mean(axis=0), 3.0, atol=0.05)
    np.testing.assert_allclose(inside[:, 1:].std(axis=0), 0.5, atol=0.04)
    clipped = np.asarray(ask(jax.random.key(1), corner, POPULATION, 4.5, 5.0))
    assert clipped.min() == 4.5 and clipped.max() <= 5.0 and (clipped[:, 0] == 4.5).all()


def test_vmap_is_a_loop_and_a_late_decomposition_is_the_same():
    def generation(key, state):
        genomes = cma_es_ask(key, state, POPULATION, 2.3, 6.0)
        undecomposed = cma_es_tell(state, genomes, genomes[:, 0], decompose=False)
        return genomes, undecomposed.eigenvectors, cma_es_decompose(undecomposed)

    states = [start(), start(mean=np.linspace(2.5, 5.5, N), sigma=0.1), start(mean=np.full(N, 2.4))]
    keys = jax.random.split(jax.random.key(0), len(states))
    together = jax.jit(jax.vmap(generation))(keys, jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))
    for i, state in enumerate(states):
        genomes, old_eigenvectors, told = jax.tree.map(lambda leaf, i=i: leaf[i], together)
        np.testing.assert_allclose(genomes, ask(jax.random.clone(keys)[i], state, POPULATION, 2.3, 6.0), rtol=1e-5)
        np.testing.assert_array_equal(old_eigenvectors, state.eigenvectors)
        alone = tell(state, genomes, genomes[:, 0])
        # The signs of eigenvectors are free.
        signs = jnp.sign(jnp.sum(told.eigenvectors * alone.eigenvectors, axis=0))
        told = told._replace(eigenvectors=told.eigenvectors * signs)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), told, alone)


def test_parents_of_any_number():
    """With k parents the mean moves by the weights of k alone, and no genome pushes the covariance away."""
    state = start()
    ranked = ask(jax.random.key(0), state, POPULATION)
    steps = np.asarray((ranked - state.mean) / state.sigma, np.float64)
    tell_parents = jax.jit(cma_es_tell_parents)
    for number in (1, 3, POPULATION):
        weights = np.log(number + 0.5) - np.log(np.arange(1, number + 1))
        weights /= weights.sum()
        mu_eff = 1 / np.sum(weights**2)
        c_1 = 2 / ((N + 1.3) ** 2 + mu_eff)
        c_mu = 2 * (mu_eff - 2 + 1 / mu_eff) / ((N + 2) ** 2 + mu_eff)
        c_c = (4 + mu_eff / N) / (N + 4 + 2 * mu_eff / N)
        c_sigma = (mu_eff + 2) / (N + mu_eff + 5)
        damping = 1 + 2 * max(0.0, np.sqrt((mu_eff - 1) / (N + 1)) - 1) + c_sigma
        chi_n = np.sqrt(N) * (1 - 1 / (4 * N) + 1 / (21 * N**2))
        mean_step = weights @ steps[:number]
        path = np.sqrt(c_c * (2 - c_c) * mu_eff) * mean_step
        length = np.sqrt(c_sigma * (2 - c_sigma) * mu_eff) * np.linalg.norm(mean_step)
        rank_mu = np.einsum("k,ki,kj->ij", weights, steps[:number], steps[:number])
        told = tell_parents(state, ranked, jnp.int32(number))
        np.testing.assert_allclose(told.mean, state.mean + 0.5 * mean_step, rtol=1e-5)
        np.testing.assert_allclose(told.sigma, 0.5 * np.exp(c_sigma / damping * (length / chi_n - 1)), rtol=1e-5)
        covariance = (1 - c_1 - c_mu) * np.eye(N) + c_1 * np.outer(path, path) + c_mu * rank_mu
        np.testing.assert_allclose(told.covariance, covariance, atol=1e-5)
    np.testing.assert_array_equal(told.fitness_ranges, state.fitness_ranges)


def test_a_covariance_with_a_negative_eigenvalue_has_axes():
    covariance = jnp.diag(jnp.array([4.0, -1.0, *[1.0] * (N - 3), 0.0]))
    state = cma_es_decompose(start()._replace(covariance=covariance))
    np.testing.assert_allclose(np.sort(state.axis_lengths)[1:], [1.0] * (N - 2) + [2.0], rtol=1e-6)
    assert float(state.axis_lengths.min()) > 0
    assert np.isfinite(ask(jax.random.key(0), state, POPULATION)).all()
    assert stops(state)


def test_stops_by_each_rule():
    state = start()
    genomes = ask(jax.random.key(0), state, POPULATION)
    going = tell(state, genomes, genomes[:, 0])
    history = going.fitness_ranges
    assert history.shape == (10 + 30, 2)
    assert not stops(state) and not stops(going)
    # Values of one generation less than the whole window are no reason yet.
    almost = jnp.ones_like(history).at[-1].set(jnp.nan)
    assert not stops(going._replace(fitness_ranges=almost))
    assert stops(going._replace(fitness_ranges=jnp.ones_like(history)))
    assert stops(going._replace(fitness_ranges=jnp.full_like(history, -jnp.inf)))
    assert not stops(going._replace(fitness_ranges=jnp.ones_like(history).at[3, 1].set(1.1)))
    at_origin = going._replace(mean=jnp.zeros(N))
    assert not stops(at_origin._replace(sigma=jnp.array(1e-11)))
    assert stops(at_origin._replace(sigma=jnp.array(1e-13), covariance_path=jnp.zeros(N)))
    assert not stops(at_origin._replace(sigma=jnp.array(1e-13), covariance_path=-10 * jnp.ones(N)))
    assert stops(going._replace(sigma=jnp.array(6e3))) and not stops(going._replace(sigma=jnp.array(4e3)))
    # Float32 has 24 bits: a thousandth is lost beside 1e5, in one gene, or along the axis whose turn it is.
    assert stops(going._replace(mean=going.mean.at[2].set(1e5), sigma=jnp.array(1e-3)))
    short = going.axis_lengths.at[1].set(1e-6)
    assert stops(going._replace(axis_lengths=short, sigma=jnp.array(1e-2)))
    assert not stops(going._replace(axis_lengths=short, sigma=jnp.array(1e-2), generation=jnp.int32(2)))
    assert stops(going._replace(axis_lengths=going.axis_lengths.at[5].set(1e-8)))
    assert stops(going._replace(mean=going.mean.at[2].set(jnp.nan)))
    # The window is a ring that every generation writes.
    for generation in range(1, 41):
        going = tell(going, genomes, jnp.full(POPULATION, 7.0))
        going = going._replace(mean=state.mean, sigma=state.sigma, covariance=state.covariance)
        assert bool(stops(going)) == (generation == 40)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cma_es_constants(0, 6), "dimension: got 0"),
        (lambda: cma_es_constants(3, 3), "population_size: got 3, takes an integer of at least 4"),
        (lambda: cma_es_init(jnp.zeros(3), 0.0, 6), "sigma: got 0.0"),
        (lambda: cma_es_init(jnp.zeros(3), 1.0, 2), "population_size: got 2"),
        (lambda: cma_es_tell(start(), jnp.zeros((3, N)), jnp.zeros(3)), "population_size: got 3"),
        (lambda: cma_es_tell_parents(start(), jnp.zeros((3, N)), jnp.int32(1)), "population_size: got 3"),
    ],
)
def test_refuses_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
