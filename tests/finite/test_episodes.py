"""Episodes happen as often as they must, what cannot happen never does, and counts are those of a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from environments.probes import assert_trees_close
from finite.enumeration import paths
from scipy import stats

from jaxrl_sparse.finite.episodes import (
    count_transitions,
    empirical_mdp,
    expected_counts,
    no_transitions,
    sample_episodes,
)
from jaxrl_sparse.finite.episodic import episodic_mdp
from jaxrl_sparse.finite.episodic_generators import random_episodic_mdp
from jaxrl_sparse.finite.episodic_solvers import occupancy

NUM_EPISODES = 20000


def quick(solve, static=()):
    return jax.jit(solve, static_argnums=static, compiler_options=QUICK_TO_COMPILE)


SAMPLE = quick(sample_episodes, static=3)


@pytest.fixture(scope="module")
def mdp():
    """Two of four states follow each action, and an episode starts in three of them."""
    made = quick(lambda key: random_episodic_mdp(key, 2, 4, 2, 2))(jax.random.key(0))
    return made._replace(initial=jnp.array([0.5, 0.0, 0.2, 0.3]))


POLICY = jnp.array([[[0.25, 0.75], [0.5, 0.5], [1.0, 0.0], [0.6, 0.4]], [[0.0, 1.0]] + [[0.7, 0.3]] * 3])


def test_every_path_is_as_frequent_as_it_is_probable(mdp):
    """Chi-squared at one in ten thousand over the paths of two layers and what follows them."""
    episodes = jax.device_get(SAMPLE(jax.random.key(1), mdp, POLICY, NUM_EPISODES))
    seen = np.concatenate([episodes.states, episodes.actions])
    expected = {path.states + path.actions: path.probability for path in paths(mdp, np.asarray(POLICY))}
    counts = dict.fromkeys(expected, 0)
    for outcome in map(tuple, seen.T):
        # What has no probability is no key.
        counts[outcome] += 1
    probs = np.array(list(expected.values()))
    assert stats.chisquare(list(counts.values()), NUM_EPISODES * probs / probs.sum()).pvalue > 1e-4
    np.testing.assert_array_equal(episodes.next_states[0], episodes.states[1])
    np.testing.assert_array_equal(
        episodes.rewards, mdp.rewards[np.arange(2)[:, None], episodes.states, episodes.actions]
    )


def test_what_follows_the_last_layer_is_drawn_too(mdp):
    episodes = SAMPLE(jax.random.key(2), mdp, POLICY, NUM_EPISODES)
    counts = np.asarray(count_transitions(no_transitions(mdp), episodes).transitions)
    transitions = np.asarray(mdp.transitions)
    assert (counts[transitions == 0] == 0).all()
    for index in np.ndindex(2, 4, 2):
        if counts[index].sum() > 100:
            possible = transitions[index] > 0
            expected = counts[index].sum() * transitions[index][possible] / transitions[index].sum()
            assert stats.chisquare(counts[index][possible], expected).pvalue > 1e-4


def test_a_deterministic_policy_is_followed(mdp):
    actions = jnp.array([[0, 1, 1, 0], [1, 1, 0, 0]])
    episodes = jax.device_get(SAMPLE(jax.random.key(3), mdp, actions, NUM_EPISODES))
    np.testing.assert_array_equal(episodes.actions, np.asarray(actions)[np.arange(2)[:, None], episodes.states])
    # The one-hot form draws the same states of the same key.
    certain = jnp.asarray(np.eye(2)[np.asarray(actions)], jnp.float32)
    assert_trees_close(SAMPLE(jax.random.key(3), mdp, certain, NUM_EPISODES), episodes)
    assert (SAMPLE(jax.random.key(4), mdp, actions, NUM_EPISODES).states != episodes.states).any()


def test_counts_are_those_of_a_loop(mdp):
    both = jax.device_get(SAMPLE(jax.random.key(5), mdp, POLICY, NUM_EPISODES))
    first, second = (jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[:, 50 * i : 50 * i + 50]), both) for i in (0, 1))
    count = quick(count_transitions)
    counts = count(count(no_transitions(mdp), first), second)
    transitions, rewards = np.zeros((2, 4, 2, 4)), np.zeros((2, 4, 2))
    for episodes in (first, second):
        episodes = jax.device_get(episodes)
        for h, k in np.ndindex(2, 50):
            at = h, int(episodes.states[h, k]), int(episodes.actions[h, k])
            transitions[(*at, int(episodes.next_states[h, k]))] += 1
            rewards[at] += float(episodes.rewards[h, k])
    np.testing.assert_array_equal(counts.transitions, transitions)
    np.testing.assert_array_equal(counts.visits, transitions.sum(-1))
    np.testing.assert_allclose(counts.rewards, rewards, rtol=1e-5)


def test_the_population_has_the_true_model():
    """Where the policy goes; elsewhere anything is taken to follow with equal probability, and nothing to be paid."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        mdp = episodic_mdp(rng.dirichlet(np.ones(3), size=(2, 3, 2)), rng.normal(size=(2, 3, 2)), dtype=jnp.float64)
        visits = quick(occupancy)(mdp, jnp.zeros((2, 3), int))
        counts = expected_counts(mdp, visits, 1000.0)
        np.testing.assert_allclose(counts.visits, 1000 * visits, rtol=1e-12)
        model, mdp = jax.device_get((empirical_mdp(counts, mdp.initial), mdp))
        seen = np.asarray(visits) > 0
        assert seen.sum() == 4
        np.testing.assert_allclose(model.transitions[seen], mdp.transitions[seen], rtol=1e-12)
        np.testing.assert_allclose(model.rewards[seen], mdp.rewards[seen], rtol=1e-12)
        np.testing.assert_array_equal(model.transitions[~seen], np.full((8, 3), 1 / 3))
        np.testing.assert_array_equal(model.rewards[~seen], np.zeros(8))
        np.testing.assert_array_equal(model.initial, mdp.initial)
        episodic_mdp(*model)


def test_the_empirical_model_converges(mdp):
    counts = count_transitions(no_transitions(mdp), SAMPLE(jax.random.key(7), mdp, POLICY, NUM_EPISODES))
    model, true = jax.device_get((quick(empirical_mdp)(counts, mdp.initial), mdp))
    often = np.asarray(counts.visits) > 1000
    assert often.sum() >= 5
    np.testing.assert_allclose(model.transitions[often], true.transitions[often], atol=0.06)
    np.testing.assert_allclose(model.rewards[often], true.rewards[often], rtol=1e-4)


def test_refusals(mdp):
    with pytest.raises(ValueError, match="num_episodes: got 0, takes an integer of at least 1"):
        sample_episodes(jax.random.key(0), mdp, POLICY, 0)
    with pytest.raises(ValueError, match=r"policy: got .*, takes \(2, 4\) integers or \(2, 4, 2\) probabilities"):
        sample_episodes(jax.random.key(0), mdp, POLICY[0], 5)
