"""What the offline method is shown, round by round, and its controls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.h2o import h2o, hybrid_learning, offline_policy
from jaxrl_sparse.density_ratio.offline_data import OfflineData, sample_offline_data
from jaxrl_sparse.finite import (
    backward_induction,
    combination_lock,
    count_transitions,
    no_transitions,
)
from jaxrl_sparse.learners.episodic_planning import Planner
from jaxrl_sparse.training import train

LOCK = combination_lock(jnp.array([1, 0, 1]))
CODE = backward_induction(LOCK).actions
DATA = sample_offline_data(jax.random.key(0), LOCK, jnp.full((3, 2, 2), 0.25), 4)
ROUNDS = 7


def recorder():
    """Opens the lock in every other round; its memory is all the counts that it was shown, by round."""

    def init(mdp):
        return jax.tree.map(lambda leaf: jnp.zeros((ROUNDS, *leaf.shape)), no_transitions(mdp))

    def plan(counts, memory, step):
        memory = jax.tree.map(lambda rows, leaf: rows.at[step].set(leaf), memory, counts)
        policy = jnp.where(step % 2 == 0, CODE, 1 - CODE)
        return policy, memory, {"transitions": jnp.sum(counts.transitions[0])}

    return Planner(init, plan)


@pytest.fixture(scope="module")
def shown():
    """The final state, the metrics, and the evaluation, of hybrid learning and of its online control."""

    def run(key, data):
        algorithm = hybrid_learning(recorder(), LOCK, data)
        state, metrics = train(algorithm, algorithm.init(key), ROUNDS)
        return state, metrics, algorithm.evaluate(state, jax.random.key(9))

    both = lambda first, second, data: (run(first, data), run(second, None))  # noqa: E731
    return jax.jit(both, compiler_options=QUICK_TO_COMPILE)(jax.random.key(1), jax.random.key(1), DATA)


def test_as_much_old_data_as_new_until_it_runs_out(shown):
    (state, metrics, _), (online, _, _) = shown
    hybrid, alone = state.memory.inner, online.memory
    for step in range(ROUNDS):
        used = min(step, 4)
        assert int(metrics["offline_samples"][step]) == used
        assert float(metrics["transitions"][step]) == step + used
        # The same episodes were run with and without offline data: what remains is the offline data, in their order.
        offline = jax.tree.map(lambda rows, others: rows[step] - others[step], hybrid, alone)  # noqa: B023
        expected = no_transitions(LOCK)
        if used:
            expected = count_transitions(expected, jax.tree.map(lambda leaf: leaf[:, :used], DATA.transitions))  # noqa: B023
        np.testing.assert_allclose(offline.transitions, expected.transitions, atol=1e-6)
        np.testing.assert_allclose(offline.rewards, expected.rewards, atol=1e-6)


def test_the_output_is_the_mixture_of_all_policies(shown):
    (_, metrics, evaluation), _ = shown
    optimum = 0.9**2
    np.testing.assert_allclose(metrics["policy_return"], [optimum, 0] * 3 + [optimum], rtol=1e-6)
    np.testing.assert_allclose(metrics["regret"], [0, optimum] * 3 + [0], atol=1e-6)
    np.testing.assert_array_equal(metrics["is_optimal"], [1, 0] * 3 + [1])
    np.testing.assert_allclose(evaluation["return"], 4 / 7 * optimum, rtol=1e-6)


def test_the_control_without_online_data_sees_all_of_the_offline_ones():
    seen = []

    def plan(counts, memory, step):
        seen.append(counts)
        return CODE, memory, {}

    policy = offline_policy(Planner(lambda mdp: jnp.zeros(()), plan), LOCK, DATA)
    np.testing.assert_array_equal(policy, CODE)
    expected = count_transitions(no_transitions(LOCK), DATA.transitions)
    jax.tree.map(np.testing.assert_array_equal, seen, [expected])


def test_refuses_data_of_another_process():
    data = OfflineData(jax.tree.map(lambda leaf: leaf[:2], DATA.transitions), DATA.distribution[:2])
    message = r"data\.distribution: got \(2, 2, 2\), takes the shape \(3, 2, 2\) of the MDP"
    for attempt in (h2o(recorder(), data).init, lambda mdp: hybrid_learning(recorder(), mdp, data)):
        with pytest.raises(ValueError, match=message):
            attempt(LOCK)
    with pytest.raises(ValueError, match=message):
        offline_policy(recorder(), LOCK, data)
