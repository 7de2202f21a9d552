"""Dynamic programming against closed forms, numpy, and every policy there is."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.finite.generators import garnet, random_dense_mdp, random_tree
from jaxrl_sparse.finite.mdp import expected_rewards, finite_mdp, transition_matrix
from jaxrl_sparse.finite.solvers import finite_horizon, policy_evaluation, policy_iteration, value_iteration

PROCESSES = {
    "dense": random_dense_mdp(jax.random.key(0), 6, 3, 0.8),
    "sparse": garnet(jax.random.key(1), 6, 3, 2, 0.8),
    "ending": random_dense_mdp(jax.random.key(2), 6, 3, 0.8)._replace(terminal=jnp.arange(6) > 3),
}


def quick(solve):
    return jax.jit(solve, compiler_options=QUICK_TO_COMPILE)


SWEEP, IMPROVE = quick(lambda mdp: value_iteration(mdp, 120)), quick(policy_iteration)
EVALUATE = quick(policy_evaluation)


def values_in_numpy(mdp, weights):
    """The linear system in float64."""
    transitions, rewards = np.asarray(transition_matrix(mdp), float), np.asarray(expected_rewards(mdp), float)
    alive = ~np.asarray(mdp.terminal)
    chain = np.einsum("sa,sat->st", weights, transitions) * alive[:, None]
    paid = (weights * rewards).sum(-1) * alive
    return np.linalg.solve(np.eye(len(alive)) - float(mdp.discount) * chain, paid)


@pytest.mark.parametrize("name", PROCESSES)
def test_a_policy_has_the_values_of_the_linear_system(name):
    mdp = PROCESSES[name]
    weights = np.random.default_rng(3).dirichlet(np.ones(3), size=6)
    np.testing.assert_allclose(
        EVALUATE(mdp, jnp.asarray(weights, jnp.float32)), values_in_numpy(mdp, weights), rtol=1e-4, atol=1e-6
    )
    actions = np.array([0, 1, 2, 0, 1, 2])
    np.testing.assert_allclose(
        EVALUATE(mdp, jnp.asarray(actions)), values_in_numpy(mdp, np.eye(3)[actions]), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("name", PROCESSES)
def test_the_optimum_is_the_best_of_all_policies(name):
    """3^6 of them, in one batch; the best is best in every state."""
    mdp = PROCESSES[name]
    policies = jnp.array(list(itertools.product(range(3), repeat=6)))
    values = np.asarray(quick(jax.vmap(policy_evaluation, in_axes=(None, 0)))(mdp, policies))
    for solution in (SWEEP(mdp), IMPROVE(mdp)):
        np.testing.assert_allclose(solution.values, values.max(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(EVALUATE(mdp, solution.actions), values.max(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.max(solution.q_values, axis=1), values.max(0), rtol=1e-4, atol=1e-5)
        assert float(solution.residual) < 1e-5


def test_sparse_and_dense_forms_have_one_solution():
    sparse = quick(lambda key: garnet(key, 20, 4, 3, 0.9))(jax.random.key(4))
    dense = sparse._replace(probabilities=transition_matrix(sparse), successors=None)
    for ours, expected in zip(SWEEP(sparse), SWEEP(dense), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("discount", [0.5, 0.9])
def test_a_stream_of_ones_is_worth_a_geometric_series(discount):
    mdp = finite_mdp(np.ones((1, 2, 1)), [[0.0, 1.0]], discount)
    solution = quick(lambda mdp: value_iteration(mdp, 10))(mdp)
    np.testing.assert_allclose(solution.values[0], (1 - discount**10) / (1 - discount), rtol=1e-5)
    # The tenth sweep adds the tenth term.
    np.testing.assert_allclose(solution.residual, discount**9, rtol=1e-3)
    np.testing.assert_allclose(IMPROVE(mdp).values[0], 1 / (1 - discount), rtol=1e-5)
    assert int(solution.actions[0]) == 1


def test_sweeps_end_at_the_tolerance():
    """Each sweep adds half of what the one before added: 1, 1/2, 1/4, ... ; 1/8 is the first that is not above 0.2."""
    mdp = finite_mdp(np.ones((1, 1, 1)), [[1.0]], 0.5)
    solution = value_iteration(mdp, 100, tolerance=0.2)
    np.testing.assert_array_equal((solution.values[0], solution.residual), (1.875, 0.125))


def test_a_batch_ends_each_of_its_processes_at_its_own_sweep():
    mdp = finite_mdp(np.ones((1, 1, 1)), [[1.0]], 0.5)
    batch = jax.vmap(lambda discount: value_iteration(mdp._replace(discount=discount), 100, 0.2))(
        jnp.array([0.5, 0.25])
    )
    np.testing.assert_array_equal(batch.values[:, 0], [1.875, 1.3125])


@pytest.mark.parametrize("solve", [quick(lambda mdp: value_iteration(mdp, 5)), IMPROVE])
def test_of_equal_actions_the_lowest_is_taken(solve):
    mdp = finite_mdp(np.ones((1, 4, 1)), [[0.0, 1.0, 1.0, 0.5]], 0.5)
    assert int(solve(mdp).actions[0]) == 1


def test_a_horizon_is_the_same_process_with_the_time_in_its_state():
    mdp, horizon = PROCESSES["ending"], 4
    solution = quick(lambda mdp: finite_horizon(mdp, horizon))(mdp)
    values = np.zeros(6)
    np.testing.assert_array_equal(solution.values[horizon], values)
    transitions, rewards = np.asarray(transition_matrix(mdp), float), np.asarray(expected_rewards(mdp), float)
    for t in reversed(range(horizon)):
        q_values = (rewards + 0.8 * transitions @ values) * ~np.asarray(mdp.terminal)[:, None]
        values = q_values.max(-1)
        np.testing.assert_allclose(solution.values[t], values, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(solution.actions[t], q_values.argmax(-1))


def test_a_tree_is_worth_what_recursion_says():
    mdp = quick(lambda key: random_tree(key, 3, 2, 2, 0.9))(jax.random.key(5))
    rows, paid, successors = (np.asarray(leaf) for leaf in (mdp.probabilities, mdp.rewards, mdp.successors))

    def worth(node):
        if mdp.terminal[node]:
            return 0.0
        return max(
            sum(rows[node, a, b] * (paid[node, a, b] + 0.9 * worth(successors[node, a, b])) for b in range(2))
            for a in range(2)
        )

    expected = worth(0)
    np.testing.assert_allclose(quick(lambda mdp: finite_horizon(mdp, 3))(mdp).values[0, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(quick(lambda mdp: value_iteration(mdp, 3))(mdp).values[0], expected, rtol=1e-5)
    np.testing.assert_allclose(IMPROVE(mdp).values[0], expected, rtol=1e-4)


def test_batches_of_processes_are_solved_as_one_by_one():
    make = quick(jax.vmap(lambda key: random_dense_mdp(key, 4, 2, 0.9)))
    mdps = make(jax.random.split(jax.random.key(6), 3))
    for solve in (policy_iteration, lambda mdp: finite_horizon(mdp, 5)):
        batch, solve_one = quick(jax.vmap(solve))(mdps), quick(solve)
        for i in range(3):
            alone = solve_one(jax.tree.map(lambda leaf, i=i: leaf[i], mdps))
            np.testing.assert_allclose(batch.values[i], alone.values, rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(batch.actions[i], alone.actions)


VECTORS = finite_mdp(np.ones((1, 1, 1)), np.ones((1, 1, 1, 2)), 0.9)
POLICY = jnp.zeros(6, int)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: value_iteration(VECTORS, 5), "mdp.rewards: got 2, takes scalar rewards; choose a component"),
        (lambda: policy_iteration(VECTORS), "mdp.rewards: got 2"),
        (lambda: finite_horizon(VECTORS, 5), "mdp.rewards: got 2"),
        (lambda: policy_evaluation(VECTORS, jnp.zeros(1, int)), "mdp.rewards: got 2"),
        (lambda: value_iteration(PROCESSES["dense"], 0), "num_sweeps: got 0, takes an integer of at least 1"),
        (lambda: value_iteration(PROCESSES["dense"], 5, -1.0), "tolerance: got -1.0, takes a number of at least 0"),
        (lambda: policy_iteration(PROCESSES["dense"], 0), "num_iterations: got 0"),
        (lambda: finite_horizon(PROCESSES["dense"], 0), "num_steps: got 0"),
        (
            lambda: policy_evaluation(PROCESSES["dense"], jnp.zeros((6, 2))),
            r"policy: got \(\(6, 2\), 'float32'\), takes",
        ),
        (lambda: policy_evaluation(PROCESSES["dense"], POLICY.astype(float)), r"policy: got \(\(6,\), 'float32'\)"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
