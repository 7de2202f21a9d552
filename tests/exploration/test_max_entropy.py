"""Entropies against autodiff, Frank-Wolfe against the optimum over all occupancies, the theorem's constants by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from exploration.polytopes import discounted_polytope, episodic_polytope, largest
from rewards.experience import experience, label, pieces

from jaxrl_sparse.base import ENVIRONMENT_STEPS
from jaxrl_sparse.environments.decision_processes import Ring
from jaxrl_sparse.exploration.counts import box_cells
from jaxrl_sparse.exploration.max_entropy import (
    MaxEntropyConfig,
    entropy,
    entropy_bonus,
    entropy_gradient,
    guarantee,
    max_entropy,
    smoothed_entropy,
)
from jaxrl_sparse.finite import episodic, finite_mdp
from jaxrl_sparse.rewards import add, chain, identity, scale
from jaxrl_sparse.training import train

CELLS = box_cells((-2.0, -2.0), (2.0, 2.0), (3, 4))


def cell_of(observations):
    return CELLS(observations[..., :2])


def trained(config, mdp, num_updates, seed=0):
    """The state and its evaluation, and the metrics of all updates."""
    algorithm = max_entropy(config, mdp)

    def run(key):
        state, metrics = train(algorithm, algorithm.init(key), num_updates)
        return metrics, algorithm.evaluate(state, jax.random.key(7))

    return jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(seed))


def narrow_process():
    """Five states, from which no policy comes to all equally often."""
    rng = np.random.default_rng(5)
    rows = 0.97 * rng.dirichlet(0.1 * np.ones(5), (5, 2)) + 0.03 * np.eye(5)[:, None]
    return finite_mdp(rows, np.zeros((5, 2)), 0.9)


def test_the_reward_is_the_gradient():
    with jax.enable_x64(True):
        rows = jnp.asarray(np.random.default_rng(0).dirichlet(0.3 * np.ones(6), 20))
        by_autodiff = jax.grad(lambda d: jnp.sum(smoothed_entropy(d, 0.01)))(rows)
        np.testing.assert_allclose(entropy_gradient(rows, 0.01), by_autodiff, rtol=1e-12)


def test_smoothing_costs_no_more_than_it_should():
    rows = jnp.asarray(np.random.default_rng(1).dirichlet(0.3 * np.ones(6), 50), jnp.float32)
    rows = rows.at[0].set(jnp.array([0, 0, 1, 0, 0, 0]))
    exact = entropy(rows)
    np.testing.assert_allclose(exact[0], 0, atol=1e-7)
    np.testing.assert_allclose(entropy(jnp.full(8, 1 / 8)), math.log(8), rtol=1e-6)
    lost = np.asarray(exact - smoothed_entropy(rows, 0.01))
    assert (lost[1:] > 0).all() and (lost < 6 * 0.01).all()


@pytest.mark.parametrize("is_episodic", [False, True])
def test_a_ring_is_visited_everywhere_equally_often(is_episodic):
    ring = Ring(8).mdp
    metrics, after = trained(MaxEntropyConfig(), episodic(ring, 30) if is_episodic else ring, 300)
    assert math.log(8) - 1e-3 < after["entropy"] < math.log(8) + 1e-5
    np.testing.assert_allclose(after["entropy_bound"], math.log(8), rtol=1e-6)
    # No single policy does it.
    assert max(metrics["last_entropy"]) < math.log(8) - 0.1


def test_no_step_loses_more_entropy_than_its_weight():
    """`H((1 - eta) d + eta d') >= (1 - eta) H(d)`, and most steps gain."""
    metrics, _ = trained(MaxEntropyConfig(step_size=0.05), Ring(8).mdp, 150)
    entropies = np.asarray(metrics["entropy"])
    assert (np.diff(entropies) >= -0.05 * math.log(8)).all()
    assert (np.diff(entropies[::25]) > -0.005).all() and entropies[-1] > math.log(8) - 0.02


@pytest.mark.parametrize("is_episodic", [False, True])
def test_the_optimum_over_all_occupancies(is_episodic):
    """Frank-Wolfe is below the optimum that SLSQP finds, by no more than its own gap, which shrinks."""
    sigma = 0.01
    with jax.enable_x64(True):
        mdp = narrow_process()
        mdp = episodic(mdp, 4) if is_episodic else mdp
        polytope = episodic_polytope(mdp) if is_episodic else discounted_polytope(mdp)
        metrics, after = jax.device_get(trained(MaxEntropyConfig(sigma=sigma, num_policies=801), mdp, 800))
    _, best = largest(
        lambda d: -np.sum(d * np.log(d + sigma)), lambda d: -(np.log(d + sigma) + d / (d + sigma)), polytope
    )
    missing, gaps = best - metrics["smoothed_entropy"], metrics["gap"]
    assert (missing > -1e-7).all() and missing[-1] < 2e-3
    # The gap is of the mixture before.
    assert (missing[:-1] <= gaps[1:] + 1e-7).all() and gaps.min() < 5e-3
    # It is a process that cannot be held anywhere.
    assert after["entropy"] < math.log(5) - 0.02


@pytest.mark.parametrize(("eta", "expected"), [(None, [0, 1 / 6, 2 / 6, 3 / 6]), (0.2, [0.512, 0.128, 0.16, 0.2])])
def test_policies_weigh_what_the_steps_say(eta, expected):
    """`2 / (t + 2)` weighs policy t in proportion to t, and forgets that of the start at once."""
    algorithm = max_entropy(MaxEntropyConfig(num_policies=5, step_size=eta), Ring(4).mdp)

    def weights(key):
        return train(algorithm, algorithm.init(key), 3)[0].mixture.weights

    found = jax.jit(weights, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    np.testing.assert_allclose(found, [*expected, 0], rtol=1e-5)


@pytest.mark.slow
def test_an_estimated_distribution_does_nearly_as_well():
    config = MaxEntropyConfig(num_episodes=64, num_steps=80)
    metrics, after = trained(config, Ring(8).mdp, 100)
    assert after["entropy"] > math.log(8) - 0.03
    np.testing.assert_array_equal(metrics[ENVIRONMENT_STEPS], 64 * 80)
    exact, _ = trained(MaxEntropyConfig(), Ring(8).mdp, 2)
    np.testing.assert_array_equal(exact[ENVIRONMENT_STEPS], 8 * 3)


def test_the_constants_by_hand():
    """S = 10, epsilon = .5: sigma = .0025, beta = 800, eta = 1/16,000, T = 16,000 log(20 log 10)."""
    constants = guarantee(0.5, 10)
    np.testing.assert_allclose(constants.sigma, 0.0025, rtol=1e-12)
    np.testing.assert_allclose(constants.step_size, 0.1 * 0.5**2 / (40 * 10), rtol=1e-12)
    assert constants.num_rounds == math.ceil(16_000 * math.log(20 * math.log(10)))
    np.testing.assert_allclose(constants[3:], (0.1 * 0.5 / 800, 0.05), rtol=1e-12)
    bold = guarantee(0.5, 10, scale=1000.0)
    np.testing.assert_allclose(bold.step_size, 1 / 16, rtol=1e-12)
    assert bold.num_rounds == math.ceil(16 * math.log(20 * math.log(10))) and bold.sigma == constants.sigma
    assert guarantee(0.5, 10, scale=1e9).step_size == 1


@pytest.mark.parametrize(("epsilon", "num_states"), [(0.1, 10), (0.5, 10), (1.0, 1000)])
def test_the_constants_suffice_for_the_recursion(epsilon, num_states):
    """What is missing after T rounds, each of which errs as much as it may."""
    sigma, eta, rounds, density_error, planning_error = guarantee(epsilon, num_states)
    beta = 2 / sigma
    added = 2 * beta * density_error + planning_error + eta * beta
    missing = (1 - eta) ** rounds * math.log(num_states) + added * (1 - (1 - eta) ** rounds)
    assert missing + num_states * sigma <= epsilon


def test_the_constants_are_vacuous_at_the_size_of_a_test():
    """Two million rounds; and after as many as a test has, nothing of the start has been forgotten."""
    constants = guarantee(0.1, 10)
    assert constants.num_rounds > 2_000_000 and (1 - constants.step_size) ** 200 > 0.999
    ring = Ring(8).mdp
    by_theorem, _ = trained(MaxEntropyConfig(step_size=guarantee(0.1, 8).step_size), ring, 100)
    bold, _ = trained(MaxEntropyConfig(step_size=guarantee(0.1, 8, scale=2e4).step_size), ring, 100)
    assert by_theorem["entropy"][-1] - by_theorem["entropy"][0] < 0.01
    assert bold["entropy"][-1] > math.log(8) - 0.1


def test_bonuses_by_hand_and_as_relabelled():
    trajectory = experience(0, 30, 5)
    cells = np.asarray(cell_of(trajectory.next_observations))
    bonus, counts = entropy_bonus(cell_of, 12, sigma=0.05), np.zeros(12)
    state = bonus.init(jax.random.key(0), trajectory)
    for part, rows in zip(pieces(trajectory, 10), (cells[:10], cells[10:]), strict=True):
        labels, state = bonus.update(part, state)
        np.add.at(counts, rows, 1)
        d = counts / counts.sum()
        expected = -(np.log(d + 0.05) + d / (d + 0.05))
        np.testing.assert_allclose(labels, expected[rows], rtol=1e-5)
        np.testing.assert_array_equal(bonus.relabel(part, state), labels)
    np.testing.assert_array_equal(state, counts)
    # Where nobody has been it pays most.
    np.testing.assert_allclose(bonus.relabel(trajectory, jnp.zeros(12, jnp.int32)), -math.log(0.05), rtol=1e-6)


def test_bonuses_in_the_algebra():
    trajectory = experience(1, 10, 3)
    bonus = entropy_bonus(cell_of, 12)
    alone, _ = label(bonus, trajectory)
    both, _ = label(add(identity(), chain(bonus, scale(0.5))), trajectory)
    np.testing.assert_allclose(both, trajectory.rewards + 0.5 * alone, rtol=1e-6)
    nothing, _ = label(add(identity(), chain(bonus, scale(0.0))), trajectory)
    np.testing.assert_array_equal(nothing, trajectory.rewards)


def test_bad_arguments_are_refused():
    mdp = Ring(4).mdp
    with pytest.raises(ValueError, match=r"^sigma: got 0.0, takes a number above 0$"):
        max_entropy(MaxEntropyConfig(sigma=0.0), mdp)
    with pytest.raises(ValueError, match=r"^step_size: got 1.5, takes a number in \(0, 1\], or None$"):
        max_entropy(MaxEntropyConfig(step_size=1.5), mdp)
    with pytest.raises(ValueError, match=r"^num_policies: got 0, takes an integer of at least 1$"):
        max_entropy(MaxEntropyConfig(num_policies=0), mdp)
    with pytest.raises(ValueError, match=r"^epsilon: got 3.0, takes a number in \(0, log num_states\)$"):
        guarantee(3.0, 10)
    with pytest.raises(ValueError, match=r"^num_cells: got 0, takes an integer of at least 1$"):
        entropy_bonus(cell_of, 0)
    with pytest.raises(ValueError, match=r"^sigma: got -1.0, takes a number above 0$"):
        entropy_bonus(cell_of, 4, sigma=-1.0)
