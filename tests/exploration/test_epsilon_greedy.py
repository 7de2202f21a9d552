"""Certainty equivalence and dithering, by expectation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from learners.test_episodic_planning import MDP

from jaxrl_sparse.exploration.epsilon_greedy import EpsilonGreedyConfig, epsilon_greedy
from jaxrl_sparse.finite.episodes import expected_counts


def first_round(epsilon, counts):
    algorithm = epsilon_greedy(EpsilonGreedyConfig(epsilon=epsilon), MDP)

    def run(key, counts):
        state = algorithm.init(key)
        return algorithm.update(state._replace(counts=counts), jnp.int32(0))[1]

    return jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0), counts)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_it_plans_on_what_was_counted_and_dithers(epsilon):
    """Each of the two steps goes right with `1 - epsilon / 2`."""
    counts = expected_counts(MDP, jnp.full(MDP.rewards.shape, 0.25), 100)
    metrics = first_round(epsilon, counts)
    np.testing.assert_allclose(metrics["policy_return"], (1 - epsilon / 2) ** 2, rtol=1e-6)


def test_without_dithering_it_never_finds_what_its_first_episodes_did_not_show():
    counts = expected_counts(MDP, jnp.array([[[1.0, 0], [0, 0]], [[1, 0], [0, 0]]]), 100)
    assert float(first_round(0.0, counts)["policy_return"]) == 0


@pytest.mark.parametrize("epsilon", [-0.1, 1.1])
def test_epsilon_is_a_probability(epsilon):
    with pytest.raises(ValueError, match=r"^epsilon: got .*, takes a number in \[0, 1\]$"):
        epsilon_greedy(EpsilonGreedyConfig(epsilon=epsilon), MDP)
