"""PLAN against loops, plans of the true model, and rewards of the class R."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.exploration.reward_free.planning import evaluation_metrics, plan, random_rewards, reward_free_evaluate
from jaxrl_sparse.finite.linear_mixtures import random_linear_mixture

HORIZON, STATES, ACTIONS, FEATURES = 3, 3, 2, 2


def test_plan_is_the_backup_of_the_paper():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        features, theta = rng.random((STATES, ACTIONS, STATES, FEATURES)), np.array([0.9, -0.4])
        rewards, root, beta = rng.normal(size=(HORIZON, STATES, ACTIONS)), rng.normal(size=(2, 2)), 0.3
        solution = plan(*map(jnp.asarray, (features, theta, rewards)), root=jnp.asarray(root), beta=beta)
        values, clipped = np.zeros(STATES), set()
        for h in reversed(range(HORIZON)):
            mean = np.einsum("sati,t->sai", features, values)
            bonus = beta * np.sqrt(np.einsum("sai,ij,saj->sa", mean, root @ root.T, mean))
            raw = rewards[h] + mean @ theta + bonus
            clipped |= {bool((raw < 0).any()), bool((raw > HORIZON).any())}
            q_values = np.clip(raw, 0, HORIZON)
            np.testing.assert_allclose(solution.q_values[h], q_values, rtol=1e-10, atol=1e-12)
            np.testing.assert_array_equal(solution.actions[h], q_values.argmax(-1))
            values = q_values.max(-1)
        assert True in clipped
        one = plan(*map(jnp.asarray, (features, theta, rewards)), root=jnp.asarray(root), beta=100.0, largest_value=1.0)
        assert float(one.values.max()) == 1


def test_plans_of_the_true_model_lose_nothing_and_others_what_enumeration_says():
    with jax.enable_x64(True):
        mixture = random_linear_mixture(jax.random.key(0), STATES, ACTIONS, FEATURES)
        rewards = random_rewards(jax.random.key(1), 4, HORIZON, STATES, ACTIONS)

        def measure(actions_of):
            return jax.jit(
                lambda: reward_free_evaluate(mixture, actions_of, rewards), compiler_options=QUICK_TO_COMPILE
            )()

        exact = measure(lambda paid: plan(mixture.features, mixture.theta, paid, largest_value=1.0).actions)
        np.testing.assert_allclose(exact.suboptimality, 0, atol=1e-12)
        lazy = measure(lambda paid: jnp.zeros((HORIZON, STATES), jnp.int32))
        kernel = np.asarray(mixture.features @ mixture.theta)
        for n in range(4):
            returns = []
            for actions in itertools.product(range(ACTIONS), repeat=HORIZON * STATES):
                policy, values = np.reshape(actions, (HORIZON, STATES)), np.zeros(STATES)
                for h in reversed(range(HORIZON)):
                    rows = np.arange(STATES), policy[h]
                    values = np.asarray(rewards[n, h])[rows] + kernel[rows] @ values
                returns.append(values[0])
            np.testing.assert_allclose(lazy.suboptimality[n], max(returns) - returns[0], atol=1e-12)
            np.testing.assert_allclose(lazy.optimum[n], max(returns), rtol=1e-12)
        metrics = evaluation_metrics(lazy, "lazy_")
        np.testing.assert_allclose(metrics["lazy_suboptimality_mean"], np.mean(lazy.suboptimality))
        np.testing.assert_allclose(metrics["lazy_suboptimality_max"], np.max(lazy.suboptimality))


def test_random_rewards_are_of_the_class():
    rewards = np.asarray(random_rewards(jax.random.key(2), 50, 7, 3, 2))
    assert (rewards >= 0).all()
    # Even where every step pays its most a path is paid 1 at most.
    assert (rewards.max((2, 3)).sum(1) <= 1 + 1e-5).all()
    np.testing.assert_array_equal((rewards[1::2] == 1).sum((1, 2, 3)), 1)
    np.testing.assert_array_equal(rewards[1::2].sum((1, 2, 3)), 1)
    assert (rewards[::2] > 0).all()
