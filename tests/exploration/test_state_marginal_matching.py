"""Matching against the optimum over all occupancies, rewards by hand, and what skills know of where they are."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from exploration.polytopes import discounted_polytope, largest
from rewards.experience import experience, label, pieces

from jaxrl_sparse.base import RewardTransformation, Trajectory
from jaxrl_sparse.environments.decision_processes import Ring
from jaxrl_sparse.exploration.counts import box_cells
from jaxrl_sparse.exploration.densities import cell_density, gaussian_mixture, histogram
from jaxrl_sparse.exploration.max_entropy import MaxEntropyConfig, max_entropy
from jaxrl_sparse.exploration.skills import split_skill
from jaxrl_sparse.exploration.state_marginal_matching import SMMConfig, divergence, skill_rewards, smm, smm_reward
from jaxrl_sparse.finite import episodic, finite_mdp
from jaxrl_sparse.rewards import add, chain, identity, scale
from jaxrl_sparse.training import train

CELLS = box_cells((-2.0, -2.0), (2.0, 2.0), (3, 4))
TARGET = jnp.array([0.2, 0.1, 0.1, 0.15, 0.05, 0.1, 0.1, 0.2])


def position(observations):
    return observations[..., :2]


def quick(reward):
    """The same transformation, its functions compiled once each."""
    return RewardTransformation(
        reward.init, *(jax.jit(function, compiler_options=QUICK_TO_COMPILE) for function in reward[1:])
    )


def trained(algorithm, num_updates):
    def run(key):
        state, metrics = train(algorithm, algorithm.init(key), num_updates)
        return metrics, algorithm.evaluate(state, jax.random.key(7))

    return jax.device_get(jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0)))


def test_divergences_by_hand():
    rows = jnp.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.25, 0.25, 0.5]])
    target = jnp.array([0.25, 0.25, 0.5])
    np.testing.assert_allclose(divergence(rows, target), [math.log(2), math.log(2), 0], atol=1e-6)


@pytest.mark.parametrize("is_episodic", [False, True])
def test_a_ring_matches_any_target_near_uniform(is_episodic):
    """The historical average does; the last policy alone stays far away."""
    ring = Ring(8, discount=0.97).mdp
    metrics, after = trained(smm(SMMConfig(), episodic(ring, 40) if is_episodic else ring, TARGET), 400)
    assert 0 <= after["kl"] < 2e-3 and metrics["kl"][10] > 10 * after["kl"]
    assert min(metrics["last_kl"][-100:]) > 100 * after["kl"]


def test_the_least_divergence_over_all_occupancies():
    """The average is above the optimum that SLSQP finds, by no more than its gap, which shrinks."""
    rng = np.random.default_rng(5)
    rows = 0.97 * rng.dirichlet(0.1 * np.ones(5), (5, 2)) + 0.03 * np.eye(5)[:, None]
    target = np.array([0.1, 0.4, 0.1, 0.3, 0.1])
    with jax.enable_x64(True):
        mdp = finite_mdp(rows, np.zeros((5, 2)), 0.9)
        polytope = discounted_polytope(mdp)
        metrics, _ = trained(smm(SMMConfig(num_policies=1001, sigma=1e-9), mdp, jnp.asarray(target)), 1000)
    _, best = largest(
        lambda d: -np.sum(d * np.log(np.maximum(d, 1e-300) / target)),
        lambda d: -np.log(np.maximum(d, 1e-300) / target) - 1,
        polytope,
    )
    above, gaps = metrics["kl"] + best, metrics["gap"]
    assert -best > 0.01 and (above > -1e-7).all() and above[-1] < 2e-3
    assert (above[:-1] <= gaps[1:] + 1e-6).all() and gaps.min() < 5e-3


def test_a_uniform_target_is_the_largest_entropy():
    metrics, after = trained(smm(SMMConfig(), Ring(8).mdp), 300)
    np.testing.assert_allclose(metrics["kl"], math.log(8) - metrics["entropy"], atol=1e-5)
    _, other = trained(max_entropy(MaxEntropyConfig(), Ring(8).mdp), 300)
    np.testing.assert_allclose(after["entropy"], other["entropy"], atol=3e-3)


def test_rewards_by_hand_and_as_relabelled():
    """q learns a trajectory before it labels it, and forgets nothing."""
    trajectory = experience(0, 30, 5)
    cells = np.asarray(CELLS(position(trajectory.next_observations)))
    probabilities = jnp.arange(1.0, 13) / 78
    target = cell_density(CELLS, probabilities)
    reward = quick(smm_reward(histogram(CELLS, 12, pseudo_count=2.0), target, position))
    state, counts = reward.init(jax.random.key(0), trajectory), np.full(12, 2.0)
    for part, rows in zip(pieces(trajectory, 10), (cells[:10], cells[10:]), strict=True):
        labels, state = reward.update(part, state)
        np.add.at(counts, rows, 1)
        expected = np.log(probabilities) - np.log(counts / counts.sum())
        np.testing.assert_allclose(labels, expected[rows], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(reward.relabel(part, state), labels)


def test_without_a_target_it_is_the_uniform_one_of_the_density():
    trajectory = experience(1, 10, 3)
    uniform = cell_density(CELLS, jnp.ones(12))
    for density, expected in ((histogram(CELLS, 12), uniform), (gaussian_mixture(), lambda points: jnp.zeros(30))):
        labels, given = (label(quick(smm_reward(density, to, position)), trajectory)[0] for to in (None, expected))
        np.testing.assert_allclose(labels, given, rtol=1e-5, atol=1e-5)


def test_rewards_in_the_algebra():
    trajectory = experience(2, 10, 3)
    reward = smm_reward(histogram(CELLS, 12), view=position)
    alone, _ = label(quick(reward), trajectory)
    both, _ = label(quick(add(identity(), chain(reward, scale(0.5)))), trajectory)
    np.testing.assert_allclose(both, trajectory.rewards + 0.5 * alone, rtol=1e-5, atol=1e-6)
    nothing, _ = label(quick(add(identity(), chain(reward, scale(0.0)))), trajectory)
    np.testing.assert_array_equal(nothing, trajectory.rewards)


def skilled(seed, num_steps):
    """Steps of two skills, half each, that observations `[position, one-hot skill]` show; and `d_z(c)`, `[2, 12]`."""
    trajectory, rng = experience(seed, num_steps, 4), np.random.default_rng(seed)
    skills = rng.permuted(np.arange(num_steps * 4) % 2).reshape(num_steps, 4)
    points = np.asarray(position(trajectory.next_observations)) + skills[..., None]
    shown = jnp.asarray(np.concatenate([points, np.eye(2)[skills]], axis=-1), jnp.float32)
    occupied = np.zeros((2, 12))
    np.add.at(occupied, (skills, np.asarray(CELLS(jnp.asarray(points, jnp.float32)))), 1 / (num_steps * 2))
    return Trajectory(**{**trajectory._asdict(), "observations": shown, "next_observations": shown}), occupied


@pytest.mark.parametrize("coefficient", [0.0, 1.0, 3.0])
def test_mean_rewards_of_skills_are_entropies_and_information(coefficient):
    """With c = 1 they are minus the divergence of the mixture; c weighs the information I(s; z)."""
    trajectory, occupied = skilled(0, 100)
    reward = quick(skill_rewards(histogram(CELLS, 12, 1e-4), 2, split_skill(2), skill_coefficient=coefficient))
    labels, state = label(reward, trajectory)
    average = occupied.mean(0)
    log = lambda table: np.log(np.where(table > 0, table, 1))  # noqa: E731
    conditional = -np.sum(occupied * log(occupied)) / 2
    information = np.sum(occupied * (log(occupied) - log(average))) / 2
    assert information > 0.05
    expected = -math.log(12) + conditional + coefficient * information
    np.testing.assert_allclose(labels.mean(), expected, atol=1e-3)
    np.testing.assert_allclose(reward.relabel(trajectory, state), labels, rtol=1e-6)
    if coefficient == 1:
        np.testing.assert_allclose(labels.mean(), -divergence(jnp.asarray(average), jnp.full(12, 1 / 12)), atol=1e-3)


def test_a_larger_coefficient_drives_skills_apart():
    """Where only one skill has been, that skill is paid more and the other less than the mixture's reward."""
    trajectory, _ = skilled(1, 60)
    labels = {
        c: label(quick(skill_rewards(histogram(CELLS, 12), 2, split_skill(2), skill_coefficient=c)), trajectory)[0]
        for c in (1.0, 4.0)
    }
    points, skills = split_skill(2)(trajectory.next_observations)
    right = np.asarray(points)[..., 0] > 0.7
    gained = labels[4.0] - labels[1.0]
    assert gained[right & (np.asarray(skills) == 1)].mean() > 0.2
    assert gained[right & (np.asarray(skills) == 0)].mean() < -0.2


def test_bad_arguments_are_refused():
    mdp = Ring(4).mdp
    with pytest.raises(ValueError, match=r"^sigma: got 0.0, takes a number above 0$"):
        smm(SMMConfig(sigma=0.0), mdp)
    with pytest.raises(ValueError, match=r"^target: got \(3,\), takes the shape \(4,\)$"):
        smm(SMMConfig(), mdp, jnp.ones(3) / 3)
    with pytest.raises(ValueError, match=r"^target: got .*, takes probabilities above 0$"):
        smm(SMMConfig(), mdp, jnp.array([0.0, 0.5, 0.25, 0.25]))
    with pytest.raises(ValueError, match=r"^target: got .*, takes a row that sums to one"):
        smm(SMMConfig(), mdp, jnp.ones(4))
    with pytest.raises(ValueError, match=r"^num_skills: got 1, takes an integer of at least 2$"):
        skill_rewards(histogram(CELLS, 12), 1, split_skill(1))
    with pytest.raises(ValueError, match=r"^skill_coefficient: got -1.0, takes a number of at least 0$"):
        skill_rewards(histogram(CELLS, 12), 2, split_skill(2), skill_coefficient=-1.0)
