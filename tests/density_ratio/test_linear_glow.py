"""The search against the closed form of a bandit, and GLOW with linear classes on a lock of two digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.linear_glow import (
    LinearGlowConfig,
    linear_class,
    linear_glow,
    linear_misfit,
    optimistic_search,
    values_at,
)
from jaxrl_sparse.finite.episodes import TransitionCounts
from jaxrl_sparse.finite.episodic import episodic_mdp
from jaxrl_sparse.finite.episodic_generators import combination_locks
from jaxrl_sparse.training import train

HORIZON = 2
LOCKS = combination_locks(HORIZON)


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


def one_hot(horizon, num_states, num_actions):
    pairs = num_states * num_actions
    return np.broadcast_to(np.eye(pairs), (horizon, pairs, pairs)).reshape(horizon, num_states, num_actions, pairs)


TABLE = linear_class(jax.random.key(0), one_hot(HORIZON, 2, 2), one_hot(HORIZON, 2, 2), num_starts=3)


def lock(code):
    return jax.tree.map(lambda leaf: leaf[code], LOCKS)


@pytest.mark.parametrize("weights", ["box", "log-linear"])
def test_the_optimistic_arm_of_a_bandit_is_the_closed_form(weights):
    """Three arms, of which one is promised `mean + sqrt(4 alpha beta / m)`, inside the bounds.

    Log-linear weights are at least exp(-5), so that promising nothing for the others buys the one a little more.
    """
    visits, means = np.array([20.0, 50, 30]), np.array([0.3, 0.5, 0.2])
    counts = TransitionCounts(jnp.asarray(visits).reshape(1, 1, 3, 1), jnp.asarray(visits * means).reshape(1, 1, 3))
    counts = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), counts)
    clip, beta, scale = 8.0, 0.004, 0.5
    alpha = 8 * scale / clip
    bought = np.exp(-5.0) * (means * visits / 100).sum() - np.exp(-5.0) * means * visits / 100
    slack = beta + (bought if weights == "log-linear" else 0)
    widths = np.sqrt(4 * alpha * slack / (visits / 100))
    # The bound on the weights does not bind.
    assert (widths <= 2 * alpha * clip).all()
    classes = linear_class(jax.random.key(1), one_hot(1, 1, 3), one_hot(1, 1, 3), num_starts=4)
    config = LinearGlowConfig(scale=scale, weights=weights, num_steps=200, inner_steps=100)
    search = quick(lambda last: optimistic_search(config, classes, counts, 100, jnp.ones(1), last, clip, beta))
    found = search(jnp.ones((1, 3)))
    promised = values_at(config, classes, found.position).reshape(3)
    best = int(np.argmax(means + widths))
    assert found.is_member and int(np.argmax(promised)) == best
    np.testing.assert_allclose(promised[best], (means + widths)[best], atol=3e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("weights", "scale"), [("box", 3e-4), ("ball", 3e-4)])
def test_it_opens_a_lock(weights, scale):
    rounds = 60
    config = LinearGlowConfig(scale=scale, weights=weights, num_rounds=rounds, num_steps=60, inner_steps=5)

    @quick
    def run(codes, key):
        def single(code):
            algorithm = linear_glow(config, TABLE, lock(code))
            state, metrics = train(algorithm, algorithm.init(key), rounds)
            return metrics, algorithm.evaluate(state, jax.random.key(1))

        return jax.vmap(single)(codes)

    metrics, evaluation = run(jnp.arange(4), jax.random.key(2))
    assert (metrics["regret"][:, -15:].mean() < 0.1 * 0.9) and (metrics["upper_bound"][:, 0] == 1).all()
    np.testing.assert_allclose(evaluation["value_misfit"], 0, atol=1e-5)
    np.testing.assert_allclose(metrics["optimism_gap"], metrics["upper_bound"] - metrics["policy_return"], atol=1e-6)
    for figures in jax.tree.leaves(metrics):
        assert np.isfinite(figures).all()


def test_features_that_miss_the_optimum_are_reported():
    """Q* of the lock is 0.9 in one pair of the first layer and 0 in three: the constant fit misses by 3/4 of it."""
    constant = linear_class(jax.random.key(3), np.ones((HORIZON, 2, 2, 1)), np.ones((HORIZON, 2, 2, 1)), 1)
    last_layer = np.array([1.0, 0, 0, 0])
    expected = max(np.abs(last_layer - last_layer.mean()).max(), 0.9 * 0.75)
    np.testing.assert_allclose(linear_misfit(constant, lock(0)), expected, rtol=1e-5)


def test_starts_are_spread_and_one_is_the_upper_corner():
    assert TABLE.starts.shape == (3, HORIZON, 4)
    np.testing.assert_array_equal(TABLE.starts[0], 1)
    assert ((TABLE.starts[1:] >= 0) & (TABLE.starts[1:] < 1)).all() and np.unique(TABLE.starts[1:]).size == 16


def test_bad_arguments_are_refused():
    key, mdp = jax.random.key(4), lock(0)
    good = one_hot(HORIZON, 2, 2)
    with pytest.raises(ValueError, match=r"^value_features: got \(2, 2, 2\), takes the shape \[H, S, A, D\]"):
        linear_class(key, good[..., 0], good)
    with pytest.raises(ValueError, match=r"^weight_features: got \(1, 2, 2, 4\), takes the shape \[H, S, A, P\] with "):
        linear_class(key, good, good[:1])
    with pytest.raises(ValueError, match=r"^value_features\[0, 0, 0, 0\]: got nan, takes a finite number$"):
        linear_class(key, np.full(good.shape, np.nan), good)
    with pytest.raises(ValueError, match=r"^num_starts: got 0, takes an integer of at least 1$"):
        linear_class(key, good, good, 0)
    for config, message in (
        (LinearGlowConfig(weights="sphere"), r"^weights: got 'sphere', takes one of box, "),
        (LinearGlowConfig(lowest=1.0), r"^lowest, highest: got \(1.0, 1.0\), takes two bounds in ascending order$"),
        (LinearGlowConfig(scale=0.0), r"^scale: got 0.0, takes a finite number above 0$"),
        (LinearGlowConfig(inner_steps=0), r"^inner_steps: got 0, takes an integer of at least 1$"),
        (LinearGlowConfig(clip_rate=0.0), r"^clip_rate: got 0.0, takes a number above 0, or None$"),
        (LinearGlowConfig(delta=0.0), r"^delta: got 0.0, takes a number in \(0, 1\)$"),
    ):
        with pytest.raises(ValueError, match=message):
            linear_glow(config, TABLE, mdp)
    other = episodic_mdp(np.ones((1, 1, 2, 1)), np.zeros((1, 1, 2)))
    with pytest.raises(
        ValueError, match=r"^mdp.rewards: got \(1, 1, 2\), takes the features' \[H, S, A\], \(2, 2, 2\)$"
    ):
        linear_glow(LinearGlowConfig(), TABLE, other)
