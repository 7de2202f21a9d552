"""Samples against the distribution that they are drawn from, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.offline_data import (
    all_counts,
    covering_distribution,
    estimated_offline_data,
    sample_offline_data,
)
from jaxrl_sparse.finite import Episodes, combination_lock, occupancy, random_episodic_mdp, sample_episodes

LOCK = combination_lock(jnp.array([1, 0, 1]))
CODE = jnp.array([[1, 0], [0, 0], [1, 0]])
WRONG = jnp.array([[0, 0], [0, 0], [0, 0]])


def test_samples_are_of_the_distribution_and_of_the_dynamics():
    mdp = random_episodic_mdp(jax.random.key(0), 2, 3, 2, 2)
    # A layer's distribution may be anything, also what no policy does, and leaves out what it gives no weight.
    distribution = jnp.array([[[0.1, 0.2], [0.3, 0.0], [0.0, 0.4]], [[0.0, 0.0], [0.0, 0.5], [0.25, 0.25]]])
    number = 20_000

    def draw(key):
        data = sample_offline_data(key, mdp, distribution, number)
        return data, all_counts(mdp, data)

    data, counts = jax.jit(draw, compiler_options=QUICK_TO_COMPILE)(jax.random.key(1))
    # Five standard errors, and nothing where the probability is zero.
    frequencies = counts.visits / number
    np.testing.assert_allclose(frequencies, distribution, atol=5 * (0.25 / number) ** 0.5)
    assert not np.any(np.asarray(frequencies)[np.asarray(distribution) == 0])
    expected = distribution[..., None] * mdp.transitions
    np.testing.assert_allclose(counts.transitions / number, expected, atol=5 * (0.25 / number) ** 0.5)
    assert not np.any(np.asarray(counts.transitions)[np.asarray(expected) == 0])
    at = (jnp.arange(2)[:, None], data.transitions.states, data.transitions.actions)
    np.testing.assert_array_equal(data.transitions.rewards, mdp.rewards[at])
    # Layers are drawn apart: where one went says nothing of where the next one begins.
    followed = np.asarray(data.transitions.next_states[0] == data.transitions.states[1]).mean()
    reached = np.asarray(jnp.sum(expected[0], axis=(0, 1)))
    assert followed == pytest.approx(float(reached @ np.asarray(jnp.sum(distribution[1], axis=1))), abs=0.02)


def test_estimated_distribution_is_that_of_the_samples():
    episodes = sample_episodes(jax.random.key(2), LOCK, CODE, 50)
    data = estimated_offline_data(episodes, 2, 2)
    np.testing.assert_allclose(data.distribution, all_counts(LOCK, data).visits / 50, rtol=1e-6)
    assert data.num_samples == 50


def test_quality_is_the_share_of_the_optimal_policy():
    optimal, wrong = occupancy(LOCK, CODE), occupancy(LOCK, WRONG)
    for quality in (0.0, 0.25, 1.0):
        got = covering_distribution(LOCK, quality, WRONG)
        np.testing.assert_allclose(got, quality * optimal + (1 - quality) * wrong, rtol=1e-6)
        np.testing.assert_allclose(jnp.sum(got, axis=(1, 2)), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_samples": 0}, "num_samples: got 0, takes an integer of at least 1"),
        ({"distribution": jnp.full((2, 2, 2), 0.25)}, r"distribution: got \(2, 2, 2\), takes the shape \(3, 2, 2\)"),
        ({"distribution": jnp.full((3, 2, 2), 0.3)}, r"(?s)distribution: got .*takes layers that sum to one"),
        ({"distribution": jnp.full((3, 2, 2), 0.25).at[0].add(jnp.array([[-1.0, 1], [0, 0]]))}, "takes probabilities"),
    ],
)
def test_refuses_bad_distributions(change, message):
    arguments = {"distribution": jnp.full((3, 2, 2), 0.25), "num_samples": 5, **change}
    with pytest.raises(ValueError, match=message):
        sample_offline_data(jax.random.key(0), LOCK, **arguments)


def test_refuses_transitions_out_of_range_and_bad_qualities():
    zeros = jnp.zeros((3, 4), jnp.int32)
    episodes = Episodes(zeros, zeros + 1, zeros * 0.5, zeros)
    with pytest.raises(ValueError, match=r"(?s)^states: got .*takes 0 to 1"):
        estimated_offline_data(episodes._replace(states=episodes.states + 2), 2, 2)
    with pytest.raises(ValueError, match=r"(?s)^next_states: got .*takes 0 to 1"):
        estimated_offline_data(episodes._replace(next_states=episodes.next_states - 2), 2, 2)
    with pytest.raises(ValueError, match=r"(?s)^actions: got .*takes 0 to 0"):
        estimated_offline_data(episodes, 2, 1)
    with pytest.raises(ValueError, match="transitions: got"):
        estimated_offline_data(jax.tree.map(lambda leaf: leaf[:, :0], episodes), 2, 2)
    with pytest.raises(ValueError, match=r"quality: got 1.5, takes a number in \[0, 1\]"):
        covering_distribution(LOCK, 1.5, WRONG)
