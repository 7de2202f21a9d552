import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxrl_sparse.learners.returns import discounted_returns, following_values, generalized_advantages

T, B = 6, 2
# Compiled once for all values and masks.
advantages_of, returns_of = jax.jit(generalized_advantages), jax.jit(discounted_returns)
FLOATS = arrays.arrays(np.float32, (3, T, B), elements=st.floats(-2, 2, width=32))
FLAGS = arrays.arrays(bool, (2, T, B))


def test_two_steps_by_hand():
    """gamma 1/2, lambda 1/2; the first environment goes on, the second terminates at once."""
    rewards, values = jnp.array([[1.0, 1.0], [2.0, 2.0]]), jnp.array([[4.0, 4.0], [6.0, 6.0]])
    next_values = jnp.array([[6.0, 6.0], [8.0, 8.0]])
    terminated = jnp.array([[False, True], [False, False]])
    advantages = generalized_advantages(rewards, values, next_values, terminated, terminated, 0.5, 0.5)
    # delta: 1 + 3 - 4 = 0 and 2 + 4 - 6 = 0; of the second 1 - 4 = -3, which nothing after it changes.
    np.testing.assert_allclose(advantages, [[0, -3], [0, 0]])
    returns = discounted_returns(rewards, next_values, terminated, terminated, 0.5)
    np.testing.assert_allclose(returns, [[1 + 0.5 * 6, 1], [6, 6]])


@pytest.mark.parametrize("trace_decay", [0.0, 0.7, 1.0])
@given(FLOATS, FLAGS)
@settings(max_examples=30, deadline=None)
def test_advantages_are_weighted_sums_of_n_step_advantages(trace_decay, floats, flags):
    """By the definition: (1 - lambda) sum_n lambda^(n-1) A^(n), the last one with all the weight that is left."""
    (rewards, values, next_values), (terminated, truncated) = floats, flags
    dones, gamma = terminated | truncated, 0.9
    returns = returns_of(*map(jnp.asarray, (rewards, next_values, terminated, dones)), gamma)
    # Inside an episode the value after a step is that before the next one: the sum telescopes only then.
    inner = np.where(dones[:-1], next_values[:-1], values[1:])
    agreed = np.concatenate([inner, next_values[-1:]])
    advantages = advantages_of(*map(jnp.asarray, (rewards, values, agreed, terminated, dones)), gamma, trace_decay)
    for b in range(B):
        for t in range(T):
            total, weight, paid = 0.0, 1.0, 0.0
            for n, s in enumerate(range(t, T)):
                paid += gamma**n * rewards[s, b]
                estimate = paid + (0.0 if terminated[s, b] else gamma ** (n + 1) * agreed[s, b]) - values[t, b]
                last = dones[s, b] or s == T - 1
                total += weight * (1.0 if last else 1 - trace_decay) * estimate
                weight *= trace_decay
                if last:
                    break
            np.testing.assert_allclose(advantages[t, b], total, rtol=1e-4, atol=1e-4)
            if trace_decay == 1.0:
                np.testing.assert_allclose(returns[t, b], total + values[t, b], rtol=1e-4, atol=1e-4)


def test_two_episodes_with_an_end_between_are_the_two_alone():
    rewards = jnp.arange(8.0).reshape(4, 2)
    values, next_values = rewards / 3, rewards / 5
    for flag in ("terminated", "truncated"):
        dones = jnp.zeros((4, 2), bool).at[1].set(True)
        terminated = dones if flag == "terminated" else jnp.zeros_like(dones)
        whole = generalized_advantages(rewards, values, next_values, terminated, dones, 0.9, 0.8)
        parts = [
            generalized_advantages(*(x[rows] for x in (rewards, values, next_values, terminated, dones)), 0.9, 0.8)
            for rows in (slice(0, 2), slice(2, 4))
        ]
        np.testing.assert_allclose(whole, jnp.concatenate(parts), rtol=1e-6)


def test_a_value_follows_the_next_row_or_the_final_observation():
    dones = jnp.array([[False, True], [False, False]])
    values, last, final = (
        jnp.array([[1.0, 2.0], [3.0, 4.0]]),
        jnp.array([5.0, 6.0]),
        jnp.array([[7.0, 8.0], [9.0, 10.0]]),
    )
    np.testing.assert_array_equal(following_values(values, last, final, dones), [[3, 8], [5, 6]])
