"""What is refused, and what the arrays say, against numpy and brute force."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.finite.mdp import expected_rewards, finite_mdp, return_bounds, successor_table, transition_matrix

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.dirichlet(np.ones(3), size=(3, 2))
SUCCESSORS = np.array([[[1, 1, 2], [0, 1, 2]], [[2, 0, 2], [1, 1, 1]], [[0, 0, 1], [2, 1, 0]]])
PAID = RANDOM.normal(size=(3, 2, 3))


def dense_of(rows, successors):
    table = np.zeros((3, 2, 3))
    for s, a, b in np.ndindex(rows.shape):
        table[s, a, successors[s, a, b]] += rows[s, a, b]
    return table


def test_sizes_and_defaults():
    mdp = finite_mdp(ROWS, PAID[:, :, 0], 0.9)
    assert (mdp.num_states, mdp.num_actions, mdp.num_outcomes, mdp.num_rewards) == (3, 2, 3, None)
    assert mdp.rewards_are_shared and not finite_mdp(ROWS, PAID, 0.9).rewards_are_shared
    np.testing.assert_array_equal(mdp.terminal, [False] * 3)
    np.testing.assert_array_equal(mdp.initial, [1, 0, 0])
    assert finite_mdp(ROWS, np.zeros((3, 2, 1, 4)), 0.9).num_rewards == 4


def test_the_matrix_of_a_sparse_process_is_that_of_a_loop():
    sparse = finite_mdp(ROWS, PAID, 0.9, successors=SUCCESSORS)
    np.testing.assert_allclose(transition_matrix(sparse), dense_of(ROWS, SUCCESSORS), rtol=1e-6)
    np.testing.assert_array_equal(successor_table(sparse), SUCCESSORS)


def test_a_dense_process_is_the_sparse_one_whose_outcomes_are_the_states():
    dense = finite_mdp(ROWS, PAID, 0.9)
    np.testing.assert_array_equal(successor_table(dense), np.broadcast_to(np.arange(3), (3, 2, 3)))
    sparse = finite_mdp(ROWS, PAID, 0.9, successors=successor_table(dense))
    np.testing.assert_allclose(transition_matrix(dense), transition_matrix(sparse), rtol=1e-6)
    np.testing.assert_array_equal(expected_rewards(dense), expected_rewards(sparse))
    for ours, expected in zip(return_bounds(sparse, 5), return_bounds(dense, 5), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_expected_rewards():
    np.testing.assert_allclose(
        expected_rewards(finite_mdp(ROWS, PAID, 0.9)), (ROWS * PAID).sum(-1), rtol=1e-5, atol=1e-6
    )
    vectors = RANDOM.normal(size=(3, 2, 3, 2))
    expected = np.einsum("sab,sabm->sam", ROWS, vectors)
    np.testing.assert_allclose(expected_rewards(finite_mdp(ROWS, vectors, 0.9)), expected, rtol=1e-5, atol=1e-6)
    shared = RANDOM.normal(size=(3, 2))
    np.testing.assert_allclose(expected_rewards(finite_mdp(ROWS, shared, 0.9)), shared, rtol=1e-5)


def all_returns(rows, successors, paid, discount, terminal, state, num_steps):
    """The returns of every path of at most `num_steps` steps that can happen, from a state."""
    if num_steps == 0 or terminal[state]:
        return [np.zeros(paid.shape[3:])]
    returns = [np.zeros(paid.shape[3:])]
    for a, b in itertools.product(range(rows.shape[1]), range(rows.shape[2])):
        if rows[state, a, b] > 0:
            following = all_returns(rows, successors, paid, discount, terminal, successors[state, a, b], num_steps - 1)
            returns += [paid[state, a, b] + discount * after for after in following]
    return returns


@pytest.mark.parametrize("shape", [(), (2,)])
@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_return_bounds_against_every_path(shape, offset):
    """With an offset all rewards are positive, and the least return is that of no step; what cannot happen, is 100."""
    rows = np.array([[[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]] * 3)
    paid = RANDOM.normal(size=(3, 2, 3, *shape)) + offset
    paid[:, :, 2] = 100
    terminal = [False, False, True]
    mdp = finite_mdp(rows, paid, 0.8, terminal=terminal, successors=SUCCESSORS)
    returns = np.concatenate([all_returns(rows, SUCCESSORS, paid, 0.8, terminal, s, 4) for s in range(3)])
    returns = returns.reshape(-1, *shape)
    low, high = return_bounds(mdp, 4)
    np.testing.assert_allclose(low, returns.min(0), rtol=1e-5)
    np.testing.assert_allclose(high, returns.max(0), rtol=1e-5)


def test_processes_are_stacked_and_vmapped():
    mdps = [finite_mdp(ROWS, PAID + shift, 0.9) for shift in (0.0, 1.0)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *mdps)
    np.testing.assert_allclose(
        jax.vmap(expected_rewards)(stacked), jnp.stack([expected_rewards(mdp) for mdp in mdps]), rtol=1e-6
    )


def test_what_is_traced_passes():
    made = jax.jit(lambda rows, paid, discount: finite_mdp(rows, paid, discount).rewards)(
        jnp.asarray(ROWS), jnp.asarray(PAID), jnp.float32(0.9)
    )
    np.testing.assert_array_equal(made, jnp.asarray(PAID, jnp.float32))


BAD_ROW, NEGATIVE = ROWS.copy(), ROWS.copy()
BAD_ROW[1, 0] *= 0.5
NEGATIVE[2, 1] = [1.5, -0.5, 0.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"probabilities": BAD_ROW},
            r"probabilities\[1, 0\]: got 0\.\d*, takes a row that sums to one; divide it by 0.5",
        ),
        ({"probabilities": NEGATIVE}, "probabilities: got -0.5, takes no negative number"),
        ({"probabilities": np.ones((3, 2))}, r"probabilities: got \(3, 2\), takes the shape \[S, A, B\]"),
        (
            {"probabilities": np.ones((3, 2, 1)), "rewards": np.zeros((3, 2))},
            r"probabilities: got \(3, 2, 1\), takes as many outcomes as states, 3",
        ),
        ({"rewards": np.zeros((3, 3))}, r"rewards: got \(3, 3\), takes \[S, A\], \[S, A, B\] or"),
        ({"rewards": np.zeros((3, 2, 2))}, r"rewards: got \(3, 2, 2\), takes"),
        ({"rewards": np.full((3, 2), np.nan)}, "rewards: got .*nan.*, takes finite numbers"),
        ({"discount": 0.0}, r"discount: got 0.0, takes a number in \(0, 1\]"),
        ({"discount": 1.01}, "discount: got 1.01"),
        ({"terminal": [True]}, r"terminal: got \(1,\), takes the shape \(3,\)"),
        ({"initial": [0.5, 0.4, 0.0]}, "initial: got .*, takes 3 probabilities that sum to one"),
        ({"initial": [1.5, -0.5, 0.0]}, "initial: got .*, takes 3 probabilities"),
        ({"successors": SUCCESSORS + 1}, "successors: got .*, takes states from 0 to 2"),
        ({"successors": SUCCESSORS - 1}, "successors: got .*, takes states from 0 to 2"),
        ({"successors": SUCCESSORS[:, :, :2]}, r"successors: got \(3, 2, 2\), takes the shape \(3, 2, 3\)"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        finite_mdp(**{"probabilities": ROWS, "rewards": PAID, "discount": 0.9, **changes})
