"""Random processes are what they are said to be: rows, subsets, laws, trees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from environments.probes import assert_trees_close
from scipy import stats

from jaxrl_sparse.finite.generators import garnet, random_dense_mdp, random_rows, random_tree, river_swim
from jaxrl_sparse.finite.mdp import finite_mdp
from jaxrl_sparse.finite.occupancy import stationary_distribution
from jaxrl_sparse.finite.solvers import policy_iteration


def quick(generate):
    return jax.jit(generate, compiler_options=QUICK_TO_COMPILE)


GENERATORS = {
    "garnet": lambda key: garnet(key, 12, 3, 4, 0.9),
    "dense": lambda key: random_dense_mdp(key, 5, 3, 0.9),
    "tree": lambda key: random_tree(key, 2, 2, 3, 0.9),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_it_is_a_process_that_finite_mdp_takes(name):
    mdp = quick(GENERATORS[name])(jax.random.key(0))
    checked = finite_mdp(
        mdp.probabilities,
        mdp.rewards,
        mdp.discount,
        terminal=mdp.terminal,
        initial=mdp.initial,
        successors=mdp.successors,
    )
    assert_trees_close(mdp, checked)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_key_makes_the_same_process_alone_and_in_a_batch(name):
    alone, many = quick(GENERATORS[name]), quick(jax.vmap(GENERATORS[name]))
    batch = many(jax.random.split(jax.random.key(1), 3))
    for i, key in enumerate(jax.random.split(jax.random.key(1), 3)):
        assert_trees_close(alone(key), jax.tree.map(lambda leaf, i=i: leaf[i], batch), atol=1e-6, rtol=1e-6)
    assert not np.allclose(batch.probabilities[0], batch.probabilities[1])


def test_successors_are_uniform_subsets():
    """All ten pairs of five states equally often: chi-squared at one in ten thousand."""
    successors = np.sort(
        quick(lambda key: garnet(key, 5, 800, 2, 0.9))(jax.random.key(2)).successors.reshape(-1, 2), axis=-1
    )
    assert (successors[:, 0] < successors[:, 1]).all()
    counts = np.unique(successors @ [5, 1], return_counts=True)[1]
    assert len(counts) == 10 and stats.chisquare(counts).pvalue > 1e-4


def test_all_states_are_successors_where_their_number_is_that():
    successors = quick(lambda key: garnet(key, 6, 2, 6, 0.9))(jax.random.key(3)).successors
    np.testing.assert_array_equal(np.sort(successors, axis=-1), np.broadcast_to(np.arange(6), (6, 2, 6)))


def test_probabilities_are_the_pieces_of_a_cut_interval():
    """Each of k pieces is Beta(1, k - 1)."""
    pieces = np.asarray(quick(lambda key: garnet(key, 50, 40, 4, 0.9))(jax.random.key(4)).probabilities).reshape(-1, 4)
    for piece in pieces.T:
        assert stats.kstest(piece, stats.beta(1, 3).cdf).pvalue > 1e-4
    one = quick(lambda key: garnet(key, 3, 2, 1, 0.9))(jax.random.key(4))
    np.testing.assert_array_equal(one.probabilities, np.ones((3, 2, 1)))


def test_dense_rows_are_uniform_in_the_simplex():
    rows = np.asarray(quick(lambda key: random_dense_mdp(key, 4, 500, 0.9))(jax.random.key(5)).probabilities).reshape(
        -1, 4
    )
    for component in rows.T:
        assert stats.kstest(component, stats.beta(1, 3).cdf).pvalue > 1e-4


@pytest.mark.parametrize(("law", "expected"), [("normal", stats.norm), ("uniform", stats.uniform)])
def test_rewards_of_a_garnet(law, expected):
    mdp = quick(lambda key: garnet(key, 50, 40, 2, 0.9, reward_law=law))(jax.random.key(6))
    assert mdp.rewards_are_shared
    assert stats.kstest(np.ravel(mdp.rewards), expected.cdf).pvalue > 1e-4


def test_rewards_of_a_dense_process():
    rewards = np.ravel(
        quick(lambda key: random_dense_mdp(key, 20, 100, 0.9, low=-1.0, high=3.0))(jax.random.key(7)).rewards
    )
    assert stats.kstest(rewards, stats.uniform(-1, 4).cdf).pvalue > 1e-4


def test_a_tree_has_one_way_to_every_node():
    mdp = quick(lambda key: random_tree(key, 3, 2, 2, 1.0, low=-2, high=1))(jax.random.key(8))
    assert mdp.num_states == 1 + 4 + 16 + 64
    successors, terminal = np.asarray(mdp.successors), np.asarray(mdp.terminal)
    np.testing.assert_array_equal(terminal, np.arange(85) >= 21)
    np.testing.assert_array_equal(np.sort(successors[~terminal].ravel()), np.arange(1, 85))
    # The depth of a child is one more than that of its parent, down to three.
    depths = np.zeros(85, int)
    for node in range(21):
        depths[successors[node].ravel()] = depths[node] + 1
    np.testing.assert_array_equal(np.bincount(depths), [1, 4, 16, 64])
    np.testing.assert_array_equal(successors[terminal], np.broadcast_to(np.arange(21, 85)[:, None, None], (64, 2, 2)))
    rewards = np.asarray(mdp.rewards)
    assert set(np.unique(rewards[~terminal])) == {-2, -1, 0, 1} and (rewards[terminal] == 0).all()


def test_rows_of_a_few_states():
    """Uniform subsets and uniform weights: every state is held in two of five rows, with one half of the row."""
    rows = np.asarray(quick(lambda key: random_rows(key, (40, 50), 5, 2))(jax.random.key(9))).reshape(-1, 5)
    np.testing.assert_array_equal((rows > 0).sum(-1), np.full(2000, 2))
    np.testing.assert_allclose(rows.sum(-1), np.ones(2000), rtol=1e-6)
    assert stats.chisquare(np.unique(rows > 0, axis=0, return_counts=True)[1]).pvalue > 1e-4
    for column in rows.T:
        assert stats.kstest(column[column > 0], "uniform").pvalue > 1e-4
    assert random_rows(jax.random.key(9), (), 3).shape == (3,)


def test_a_river_by_hand():
    mdp = quick(lambda: river_swim(4))()
    left = np.eye(4)[[0, 0, 1, 2]]
    right = [[0.7, 0.3, 0, 0], [0.1, 0.6, 0.3, 0], [0, 0.1, 0.6, 0.3], [0, 0, 0.7, 0.3]]
    np.testing.assert_allclose(mdp.probabilities, np.stack([left, right], axis=1), atol=1e-7)
    assert np.asarray(mdp.rewards)[0, 0, 0] == np.float32(0.0005) and np.asarray(mdp.rewards)[3, 1, 3] == 1
    assert np.count_nonzero(mdp.rewards) == 2
    finite_mdp(mdp.probabilities, mdp.rewards, mdp.discount, initial=mdp.initial)
    np.testing.assert_array_equal(mdp.initial, [0, 0.5, 0.5, 0])


def test_a_river_is_swum_up():
    """From every state, as published; by detailed balance each state is held thrice as often as the one before."""
    mdp = quick(river_swim)()
    np.testing.assert_array_equal(quick(policy_iteration)(mdp).actions, np.ones(6))
    held = np.asarray(quick(stationary_distribution)(mdp, jnp.ones(6, int)))[:, 1]
    expected = np.array([1, 3, 9, 27, 81, 81 * 3 / 7])
    np.testing.assert_allclose(held, expected / expected.sum(), rtol=1e-4)


def test_the_discount_is_swept():
    made = quick(jax.vmap(lambda discount: random_dense_mdp(jax.random.key(0), 3, 2, discount)))(jnp.array([0.5, 0.9]))
    np.testing.assert_array_equal(made.discount, jnp.array([0.5, 0.9]))


@pytest.mark.parametrize(
    ("generate", "message"),
    [
        (lambda key: garnet(key, 3, 2, 4, 0.9), "num_successors: got 4, takes at most num_states=3"),
        (lambda key: garnet(key, 0, 2, 1, 0.9), "num_states: got 0, takes an integer of at least 1"),
        (lambda key: garnet(key, 3, 2, 2, 1.5), r"discount: got 1.5, takes a number in \(0, 1\]"),
        (lambda key: garnet(key, 3, 2, 2, 0.9, reward_law="cauchy"), "reward_law: got 'cauchy', takes one of normal"),
        (lambda key: random_dense_mdp(key, 3, 2, 0.9, 1.0, 0.0), r"low: got \(1.0, 0.0\), takes at most `high`"),
        (lambda key: random_tree(key, 0, 2, 2, 0.9), "depth: got 0, takes an integer of at least 1"),
        (lambda key: random_rows(key, (2,), 3, 4), "num_successors: got 4, takes at most num_states=3"),
        (lambda key: river_swim(2), "num_states: got 2, takes an integer of at least 3"),
        (lambda key: river_swim(6, 0.0), r"discount: got 0.0, takes a number in \(0, 1\]"),
        (lambda key: random_tree(key, 2, 2, 2, 0.9, 3, 1), r"low: got \(3, 1\), takes at most `high`"),
    ],
)
def test_refusals(generate, message):
    with pytest.raises(ValueError, match=message):
        generate(jax.random.key(0))
