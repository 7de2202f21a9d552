"""The loop's accounts against sums by hand, and what the planner is shown."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.finite.episodic import episodic_mdp
from jaxrl_sparse.learners.episodic_planning import Planner, episodic_planning
from jaxrl_sparse.training import train

# Two layers, two states; action 0 stays, action 1 changes the state; state 1 of layer 1 pays 1 for action 0.
STAY, CHANGE = np.eye(2), 1 - np.eye(2)
MDP = episodic_mdp(np.stack([np.stack([STAY, CHANGE], axis=1)] * 2), [[[0, 0], [0, 0]], [[0, 0], [1, 0]]])
GOOD, BAD = jnp.array([[1, 0], [0, 0]]), jnp.array([[0, 0], [0, 0]])


def alternating():
    """Plays well in every other round, and remembers how many transitions it had been shown."""

    def plan(counts, memory, step):
        policy = jnp.where(step % 2 == 0, GOOD, BAD)
        return policy, memory + 1, {"shown": jnp.sum(counts.transitions), "paid": jnp.sum(counts.rewards)}

    return Planner(lambda mdp: jnp.zeros((), jnp.int32), plan)


def test_accounts():
    algorithm = episodic_planning(alternating(), MDP, episodes_per_round=3)

    def run(key):
        state, metrics = train(algorithm, algorithm.init(key), 5)
        return state, metrics, algorithm.evaluate(state, jax.random.key(9))

    state, metrics, evaluation = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    np.testing.assert_array_equal(metrics["policy_return"], [1, 0, 1, 0, 1])
    np.testing.assert_array_equal(metrics["episode_return"], [1, 0, 1, 0, 1])
    np.testing.assert_array_equal(metrics["regret"], [0, 3, 0, 3, 0])
    np.testing.assert_array_equal(metrics["environment_steps"], [6] * 5)
    # Counts of a round are those of all rounds before it.
    np.testing.assert_array_equal(metrics["shown"], np.arange(5) * 6)
    np.testing.assert_array_equal(metrics["paid"], [0, 3, 3, 6, 6])
    assert int(state.memory) == 5 and float(jnp.sum(state.counts.rewards)) == 9
    assert float(evaluation["return"]) == pytest.approx(3 / 5) and float(evaluation["last_return"]) == 1


def test_the_returns_of_a_policy_by_chance_are_near_its_expectation():
    plan = lambda counts, memory, step: (jnp.full((2, 2, 2), 0.5), memory, {})  # noqa: E731
    algorithm = episodic_planning(Planner(lambda mdp: jnp.zeros(()), plan), MDP, episodes_per_round=4000)
    update = jax.jit(algorithm.update, compiler_options=QUICK_TO_COMPILE)
    _, metrics = update(algorithm.init(jax.random.key(1)), jnp.int32(0))
    assert float(metrics["policy_return"]) == pytest.approx(0.25)
    # Four standard errors.
    assert float(metrics["episode_return"]) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 4000) ** 0.5)


def test_a_round_needs_an_episode():
    with pytest.raises(ValueError, match="episodes_per_round: got 0, takes an integer of at least 1"):
        functools.partial(episodic_planning, alternating(), MDP)(0)
