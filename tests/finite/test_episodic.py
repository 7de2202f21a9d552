"""Layers are what was given, and the same process in other forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from finite.enumeration import deterministic_policies

from jaxrl_sparse.finite.episodic import episodic, episodic_mdp, layered
from jaxrl_sparse.finite.episodic_generators import random_episodic_mdp
from jaxrl_sparse.finite.episodic_solvers import backward_induction, expected_return, occupancy
from jaxrl_sparse.finite.generators import random_tree
from jaxrl_sparse.finite.mdp import finite_mdp, transition_matrix
from jaxrl_sparse.finite.solvers import policy_evaluation, value_iteration

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.dirichlet(np.ones(3), size=(2, 3, 2))
PAID = RANDOM.normal(size=(2, 3, 2))


def quick(solve):
    return jax.jit(solve, compiler_options=QUICK_TO_COMPILE)


def test_sizes_and_defaults():
    mdp = episodic_mdp(ROWS, PAID)
    assert (mdp.horizon, mdp.num_states, mdp.num_actions) == (2, 3, 2)
    np.testing.assert_array_equal(mdp.initial, [1, 0, 0])
    assert mdp.transitions.dtype == jnp.float32
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), mdp)
    assert (stacked.horizon, stacked.num_states, stacked.num_actions) == (2, 3, 2)


def test_the_layered_form_is_the_same_process():
    """The same optimum by another solver, and the same value of every policy of layer and state."""
    mdp = quick(lambda key: random_episodic_mdp(key, 2, 2, 2))(jax.random.key(0))
    mdp = mdp._replace(initial=jnp.array([0.3, 0.7]))
    flat = layered(mdp)
    assert (flat.num_states, flat.num_actions, flat.num_outcomes) == (5, 2, 2)
    checked = finite_mdp(*flat[:3], terminal=flat.terminal, initial=flat.initial, successors=flat.successors)
    np.testing.assert_array_equal(checked.probabilities, flat.probabilities)
    solution, expected = quick(lambda mdp: value_iteration(mdp, 2))(flat), quick(backward_induction)(mdp)
    np.testing.assert_allclose(solution.values[:4].reshape(2, 2), expected.values[:2], rtol=1e-6)
    np.testing.assert_array_equal(solution.actions[:4].reshape(2, 2), expected.actions)
    assert float(solution.values[4]) == 0

    policies = jnp.asarray(deterministic_policies(2, 2, 2))
    flat_policies = jnp.concatenate([policies.reshape(-1, 4), jnp.zeros((len(policies), 1), jnp.int32)], axis=1)
    values = quick(jax.vmap(policy_evaluation, (None, 0)))(flat, flat_policies) @ flat.initial
    np.testing.assert_allclose(values, quick(jax.vmap(expected_return, (None, 0)))(mdp, policies), rtol=1e-5)


def test_the_layered_chain_has_the_occupancies_of_the_layers():
    """Powers of its matrix, which forgets nothing: the terminal state has gathered all after H steps."""
    mdp = quick(lambda key: random_episodic_mdp(key, 3, 4, 2, 2))(jax.random.key(1))
    policy = np.random.default_rng(2).dirichlet(np.ones(2), size=(3, 4)).astype(np.float32)
    flat = layered(mdp)
    visits = quick(occupancy)(mdp, jnp.asarray(policy))
    weights = np.concatenate([policy.reshape(12, 2), [[0.5, 0.5]]])
    chain = np.einsum("sa,sat->st", weights, transition_matrix(flat))
    states = np.asarray(flat.initial, float)
    for h in range(3):
        np.testing.assert_allclose(states[4 * h : 4 * h + 4], visits[h].sum(-1), atol=1e-6)
        np.testing.assert_allclose(states.sum(), 1, rtol=1e-6)
        states = states @ chain
    np.testing.assert_allclose(states, np.eye(13)[12], atol=1e-6)


def test_what_is_terminal_stays_and_pays_nothing():
    mdp = finite_mdp(ROWS[0], PAID[0], 0.5, terminal=[False, True, False], initial=[0.2, 0.5, 0.3])
    layers = episodic(mdp, 3)
    assert layers.horizon == 3
    for h in range(3):
        np.testing.assert_allclose(layers.transitions[h, [0, 2]], ROWS[0][[0, 2]], rtol=1e-6)
        np.testing.assert_array_equal(layers.transitions[h, 1], np.eye(3)[[1, 1]])
        np.testing.assert_allclose(layers.rewards[h, [0, 2]], PAID[0][[0, 2]], rtol=1e-6)
        np.testing.assert_array_equal(layers.rewards[h, 1], [0, 0])
    np.testing.assert_array_equal(layers.initial, mdp.initial)


def test_sparse_outcomes_that_pay_differently_become_their_means():
    """A tree of two layers: the leaves pay nothing, and its optimum is that of sweeps."""
    tree = quick(lambda key: random_tree(key, 2, 2, 2, 1.0))(jax.random.key(3))
    values = quick(lambda mdp: backward_induction(episodic(mdp, 2)))(tree).values
    np.testing.assert_allclose(values[0, 0], quick(lambda mdp: value_iteration(mdp, 2))(tree).values[0], rtol=1e-5)


def test_what_is_traced_passes():
    made = jax.jit(lambda rows, paid: episodic_mdp(rows, paid).rewards)(jnp.asarray(ROWS), jnp.asarray(PAID))
    np.testing.assert_array_equal(made, jnp.asarray(PAID, jnp.float32))


BAD_ROW, NEGATIVE = ROWS.copy(), ROWS.copy()
BAD_ROW[1, 2, 0] *= 0.5
NEGATIVE[0, 1, 1] = [1.5, -0.5, 0.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"transitions": BAD_ROW},
            r"transitions\[1, 2, 0\]: got 0\.\d*, takes a row that sums to one; divide it by 0.5",
        ),
        ({"transitions": NEGATIVE}, "transitions: got -0.5, takes no negative number"),
        ({"transitions": ROWS[0]}, r"transitions: got \(3, 2, 3\), takes the shape \[H, S, A, S\]"),
        ({"transitions": ROWS[:, :2]}, r"transitions: got \(2, 2, 2, 3\), takes the shape \[H, S, A, S\]"),
        ({"rewards": PAID[:1]}, r"rewards: got \(1, 3, 2\), takes the shape \(2, 3, 2\)"),
        ({"rewards": np.full((2, 3, 2), np.inf)}, "rewards: got .*inf.*, takes finite numbers"),
        ({"initial": [0.5, 0.4, 0.0]}, "initial: got 0.9.*, takes a row that sums to one; divide it by 0.9"),
        ({"initial": [1.0]}, r"initial: got \(1,\), takes the shape \(3,\)"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        episodic_mdp(**{"transitions": ROWS, "rewards": PAID, **changes})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda mdp: episodic(mdp, 0), "horizon: got 0, takes an integer of at least 1"),
        (
            lambda mdp: episodic(mdp._replace(rewards=jnp.zeros((3, 2, 1, 2))), 3),
            "mdp.rewards: got 2, takes scalar rewards",
        ),
    ],
)
def test_refusals_of_repeated_layers(call, message):
    with pytest.raises(ValueError, match=message):
        call(finite_mdp(ROWS[0], PAID[0], 0.5))
