import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rewards.experience import experience, label

from jaxrl_sparse.base import Trajectory
from jaxrl_sparse.finite import finite_mdp, policy_evaluation, policy_iteration, random_dense_mdp
from jaxrl_sparse.rewards import potential_shaping

NUM_STATES, NUM_ACTIONS, DISCOUNT = 6, 3, 0.9
TERMINAL = np.arange(NUM_STATES) >= 4


def process(rewards, probabilities, discount=DISCOUNT):
    return finite_mdp(probabilities, rewards, discount, terminal=TERMINAL)


@pytest.fixture(scope="module")
def plain():
    dense = random_dense_mdp(jax.random.key(0), NUM_STATES, NUM_ACTIONS, DISCOUNT)
    rewards = jax.random.normal(jax.random.key(1), (NUM_STATES, NUM_ACTIONS, NUM_STATES))
    return process(rewards, dense.probabilities)


@pytest.fixture(scope="module")
def potentials():
    """Larger than the rewards, so that greed for them would mislead, and not zero where the task ends."""
    return 5 * jax.random.normal(jax.random.key(2), (NUM_STATES,))


def shaped_process(plain, potentials, discount=DISCOUNT):
    """Every transition of the process is a step of a trajectory, whose labels are the shaped process's rewards."""
    states, _, successors = (jnp.asarray(axis.reshape(-1, 1)) for axis in np.indices(plain.rewards.shape))
    flags = jnp.asarray(TERMINAL)[successors]
    trajectory = Trajectory(
        states, jnp.zeros_like(states), plain.rewards.reshape(-1, 1), flags, jnp.zeros_like(flags), successors
    )
    labels, _ = label(potential_shaping(lambda state: potentials[state], discount), trajectory)
    return process(labels.reshape(plain.rewards.shape), plain.probabilities)


def test_optimal_policies_are_left_alone(plain, potentials):
    before, after = policy_iteration(plain), policy_iteration(shaped_process(plain, potentials))
    inner = ~TERMINAL
    np.testing.assert_array_equal(after.actions[inner], before.actions[inner])
    np.testing.assert_allclose(after.values[inner], (before.values - potentials)[inner], atol=1e-4)
    gaps = jnp.max(before.q_values, axis=1, keepdims=True) - before.q_values
    shaped_gaps = jnp.max(after.q_values, axis=1, keepdims=True) - after.q_values
    np.testing.assert_allclose(shaped_gaps, gaps, atol=1e-4)


def test_every_policy_loses_the_potential_of_its_start(plain, potentials):
    policy = jax.nn.softmax(jax.random.normal(jax.random.key(3), (NUM_STATES, NUM_ACTIONS)))
    before = policy_evaluation(plain, policy)
    after = policy_evaluation(shaped_process(plain, potentials), policy)
    np.testing.assert_allclose(after[~TERMINAL], (before - potentials)[~TERMINAL], atol=1e-4)


def test_another_discount_than_the_learners_is_no_shaping(plain, potentials):
    """The two tests above can fail."""
    policy = jnp.full((NUM_STATES, NUM_ACTIONS), 1 / NUM_ACTIONS)
    wrong = policy_evaluation(shaped_process(plain, potentials, discount=0.5), policy)
    right = policy_evaluation(plain, policy) - potentials
    assert np.abs(wrong - right)[~TERMINAL].max() > 0.1


def test_a_time_limit_is_no_end():
    trajectory = experience(0, 12, 4)
    labels, state = label(potential_shaping(lambda observations: observations[..., 0] ** 2, 0.5), trajectory)
    here, there = trajectory.observations[..., 0] ** 2, trajectory.next_observations[..., 0] ** 2
    cut = np.asarray(trajectory.truncated & ~trajectory.terminated)
    ended = np.asarray(trajectory.terminated)
    assert cut.any() and ended.any() and (trajectory.truncated & trajectory.terminated).any() and state == ()
    np.testing.assert_allclose(labels[cut], (trajectory.rewards + 0.5 * there - here)[cut], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(labels[ended], (trajectory.rewards - here)[ended], rtol=1e-5, atol=1e-6)


def test_a_bad_discount_is_refused():
    with pytest.raises(ValueError, match=r"^discount: got -0.1, takes a number in \[0, 1\]$"):
        potential_shaping(lambda observations: observations, -0.1)
