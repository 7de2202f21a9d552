"""Families are what they are said to be: codes, trees, laws, and what their best return is."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from environments.probes import assert_trees_close
from finite.enumeration import deterministic_policies
from scipy import stats

from jaxrl_sparse.finite.episodic import episodic_mdp
from jaxrl_sparse.finite.episodic_generators import (
    binary_tree,
    combination_lock,
    combination_locks,
    contextual_bandit,
    random_episodic_mdp,
)
from jaxrl_sparse.finite.episodic_solvers import backward_induction, expected_return


def quick(generate, static=()):
    return jax.jit(generate, static_argnums=static, compiler_options=QUICK_TO_COMPILE)


FAMILIES = {
    "lock": lambda key: combination_lock(jax.random.randint(key, (4,), 0, 3), 3, 0.7),
    "tree": lambda key: binary_tree(3),
    "bandit": lambda key: contextual_bandit(key, 4, 3),
    "dense": lambda key: random_episodic_mdp(key, 3, 4, 2),
    "sparse": lambda key: random_episodic_mdp(key, 3, 6, 2, 2),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_a_process_that_episodic_mdp_takes_and_pays_at_most_one(name):
    mdp = quick(FAMILIES[name])(jax.random.key(0))
    assert_trees_close(mdp, episodic_mdp(*mdp))
    assert float(jnp.min(mdp.rewards)) >= 0
    assert float(jnp.sum(jnp.max(mdp.rewards, axis=(1, 2)))) <= 1 + 1e-6


@pytest.mark.parametrize("name", ["lock", "bandit", "dense", "sparse"])
def test_a_key_makes_the_same_process_alone_and_in_a_batch(name):
    batch = quick(jax.vmap(FAMILIES[name]))(jax.random.split(jax.random.key(1), 2))
    for i, key in enumerate(jax.random.split(jax.random.key(1), 2)):
        alone = quick(FAMILIES[name])(key)
        assert_trees_close(alone, jax.tree.map(lambda leaf, i=i: leaf[i], batch), atol=1e-6, rtol=1e-6)
    assert any(not np.allclose(leaf[0], leaf[1]) for leaf in jax.tree.leaves(batch))


def test_a_lock_by_hand():
    lock = combination_lock(jnp.array([1, 0]), 2, 0.75)
    good, bad = [0.75, 0.25], [0.0, 1.0]
    np.testing.assert_array_equal(lock.transitions[0], [[bad, good], [bad, bad]])
    np.testing.assert_array_equal(lock.transitions[1], [[good, bad], [bad, bad]])
    np.testing.assert_array_equal(lock.rewards, [np.zeros((2, 2)), [[1, 0], [0, 0]]])
    np.testing.assert_array_equal(lock.initial, [1, 0])


def test_the_code_alone_opens_a_lock():
    """Of all 27 codes and all policies of the good state, in all locks: `success^(H - 1)` for the code and 0 else."""
    locks = combination_locks(3, 3, 0.8)
    codes = np.array(list(itertools.product(range(3), repeat=3)), np.int32)
    solutions = quick(jax.vmap(backward_induction))(locks)
    np.testing.assert_allclose(solutions.values[:, 0, 0], np.full(27, 0.64), rtol=1e-6)
    np.testing.assert_array_equal(solutions.actions[:, :, 0], codes)
    np.testing.assert_array_equal(solutions.actions[:, :, 1], np.zeros((27, 3)))
    policies = jnp.asarray(np.stack([codes, codes], axis=-1))
    returns = quick(jax.vmap(jax.vmap(expected_return, (None, 0)), (0, None)))(locks, policies)
    np.testing.assert_allclose(returns, 0.64 * np.eye(27), rtol=1e-6)
    for n in (0, 5, 26):
        one = combination_lock(jnp.asarray(codes[n]), 3, 0.8)
        assert_trees_close(one, jax.tree.map(lambda leaf, n=n: leaf[n], locks), rtol=1e-6)


def test_the_lock_of_the_specification():
    np.testing.assert_allclose(
        backward_induction(combination_lock(jnp.array([0, 1, 1, 0, 1]))).values[0, 0], 0.6561, rtol=1e-6
    )


def test_the_success_of_a_lock_is_swept():
    swept = quick(jax.vmap(lambda p: combination_lock(jnp.array([0, 1, 0]), 2, p)))(jnp.array([0.5, 1.0]))
    values = jax.vmap(backward_induction)(swept).values[:, 0, 0]
    np.testing.assert_allclose(values, [0.25, 1], rtol=1e-6)


def test_one_path_of_a_tree_is_paid():
    """By every policy of a tree of two layers, and by the number of the leaf in one of four."""
    tree = binary_tree(2)
    policies = jnp.asarray(deterministic_policies(2, 2, 2))
    returns = quick(jax.vmap(expected_return, (None, 0)))(tree, policies)
    np.testing.assert_array_equal(returns, (policies[:, 0, 0] == 1) & (policies[:, 1, 1] == 1))
    deep = binary_tree(4)
    for digits in itertools.product(range(2), repeat=4):
        state = np.eye(8)[0]
        for h, digit in enumerate(digits):
            assert state.argmax() == int("0" + "".join(map(str, digits[:h])), 2)
            assert float((state @ np.asarray(deep.rewards)[h])[digit]) == (digits == (1,) * 4 and h == 3)
            state = state @ np.asarray(deep.transitions)[h, :, digit]


def test_laws_of_the_random_ones():
    bandit = quick(lambda key: contextual_bandit(key, 300, 4))(jax.random.key(2))
    assert stats.kstest(np.ravel(bandit.rewards), "uniform").pvalue > 1e-4
    assert stats.kstest(300 * np.asarray(bandit.initial), "expon").pvalue > 1e-4
    mdp = quick(lambda key: random_episodic_mdp(key, 20, 4, 10))(jax.random.key(3))
    assert stats.kstest(20 * np.ravel(mdp.rewards), "uniform").pvalue > 1e-4
    for component in np.asarray(mdp.transitions).reshape(-1, 4).T:
        assert stats.kstest(component, stats.beta(1, 3).cdf).pvalue > 1e-4
    sparse = quick(lambda key: random_episodic_mdp(key, 4, 5, 50, 2))(jax.random.key(4))
    held = np.asarray(sparse.transitions).reshape(-1, 5)
    np.testing.assert_array_equal((held > 0).sum(-1), np.full(1000, 2))


@pytest.mark.parametrize(
    ("generate", "message"),
    [
        (lambda key: combination_lock(jnp.array([0, 2])), r"(?s)code: got .*2.*, takes \[H\] actions from 0 to 1"),
        (lambda key: combination_lock(jnp.array([-1, 0])), r"(?s)code: got .*-1.*, takes \[H\] actions"),
        (lambda key: combination_lock(jnp.array([0]), 2, 1.5), r"success: got 1.5, takes a number in \[0, 1\]"),
        (lambda key: combination_locks(0), "horizon: got 0, takes an integer of at least 1"),
        (lambda key: combination_locks(2, 2, -0.1), "success: got -0.1"),
        (lambda key: binary_tree(0), "depth: got 0, takes an integer of at least 1"),
        (lambda key: contextual_bandit(key, 0, 2), "num_contexts: got 0"),
        (lambda key: random_episodic_mdp(key, 0, 2, 2), "horizon: got 0"),
        (lambda key: random_episodic_mdp(key, 2, 2, 2, 3), "num_successors: got 3, takes at most num_states=2"),
        (lambda key: random_episodic_mdp(key, 2, 2, 2, 0), "num_successors: got 0, takes an integer of at least 1"),
    ],
)
def test_refusals(generate, message):
    with pytest.raises(ValueError, match=message):
        generate(jax.random.key(0))
