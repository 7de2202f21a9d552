"""Bonuses by hand, the backup against loops in numpy, and optimism."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.exploration.ucb_vi import UCBVIConfig, bernstein_bonus, hoeffding_bonus, ucb_vi
from jaxrl_sparse.finite.episodes import expected_counts
from jaxrl_sparse.finite.episodic import episodic_mdp
from jaxrl_sparse.training import train

HORIZON, STATES, ACTIONS = 3, 3, 2


def random_process(seed):
    rng = np.random.default_rng(seed)
    transitions = rng.dirichlet(np.ones(STATES), (HORIZON, STATES, ACTIONS))
    return episodic_mdp(transitions, rng.random((HORIZON, STATES, ACTIONS)) / HORIZON)


MDP = random_process(0)


def test_hoeffding_by_hand():
    np.testing.assert_allclose(
        hoeffding_bonus(jnp.array([[0.0, 1], [4, 49]]), 2.0, 3.0), [[42, 42], [21, 6]], rtol=1e-6
    )


def test_bernstein_by_hand():
    """Values 0 and 1 with probabilities 1/4 and 3/4: variance 3/16; both corrections are cut off at V_max^2 = 1."""
    rows = jnp.full((2, 1, 2), jnp.array([0.25, 0.75]))
    given = (jnp.array([[4.0], [4.0]]), rows, jnp.array([0.0, 1]))
    bonus = bernstein_bonus(*given, jnp.array([1.0, 3]), 1.0, 2.0, 5)
    expected = (8 * 2 * 3 / 16 / 4) ** 0.5 + 14 * 2 / 12 + (8 / 4) ** 0.5
    np.testing.assert_allclose(bonus, [[expected]] * 2, rtol=1e-6)
    # With 10^9 visits of the next states nothing is cut off.
    many = bernstein_bonus(*given, jnp.array([1e9, 1e9]), 1.0, 2.0, 5)
    correction = 100**2 * 5 * 2**2 * 1 * 2**2 / 1e9
    np.testing.assert_allclose(expected - many[0, 0], (8 / 4) ** 0.5 - (8 / 4 * correction) ** 0.5, rtol=1e-4)


@pytest.mark.parametrize("bonus", ["hoeffding", "bernstein"])
def test_a_round_is_the_backup_of_the_paper(bonus):
    """Two episodes a round, which begin anywhere."""
    initial = np.array([0.2, 0.3, 0.5])
    config = UCBVIConfig(bonus=bonus, scale=0.01, largest_return=1.0, num_rounds=100, delta=0.1, episodes_per_round=2)
    algorithm = ucb_vi(config, MDP._replace(initial=jnp.asarray(initial, jnp.float32)))
    visits = np.array(np.random.default_rng(1).integers(0, 9, (HORIZON, STATES, ACTIONS)), np.float32)
    counts = expected_counts(MDP, jnp.asarray(visits), 1)
    before = np.random.default_rng(2).uniform(0.3, 1, visits.shape).astype(np.float32)

    def run(key, counts):
        state = algorithm.init(key)
        state = state._replace(counts=counts, memory=state.memory._replace(q_values=jnp.asarray(before)))
        return algorithm.update(state, jnp.int32(0))

    state, metrics = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0), counts)
    log_term = np.log(5 * HORIZON * STATES * ACTIONS * (200 * HORIZON) / 0.1)
    values, expected = np.zeros(STATES), np.zeros(visits.shape)
    for h in reversed(range(HORIZON)):
        for s in range(STATES):
            for a in range(ACTIONS):
                n, row = visits[h, s, a], np.asarray(MDP.transitions[h, s, a])
                if n == 0:
                    expected[h, s, a] = 1
                    continue
                if bonus == "hoeffding":
                    width = 7 * log_term / n**0.5
                else:
                    following = visits[h + 1].sum(-1) if h + 1 < HORIZON else np.zeros(STATES)
                    cut = 100**2 * HORIZON * STATES**2 * ACTIONS * log_term**2 / np.maximum(following, 1)
                    width = (
                        (8 * log_term * (row @ values**2 - (row @ values) ** 2) / n) ** 0.5
                        + 14 * log_term / (3 * n)
                        + (8 / n * row @ np.minimum(cut, 1)) ** 0.5
                    )
                bound = float(MDP.rewards[h, s, a]) + row @ values + 0.01 * width
                expected[h, s, a] = min(before[h, s, a], bound)
        values = expected[h].max(-1)
    np.testing.assert_allclose(state.memory.q_values, expected, rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(metrics["upper_bound"], initial @ values, rtol=2e-4)


def test_more_steps_than_an_int32_counts():
    """Delta is swept, S A T is 10^11."""

    def bound(delta):
        algorithm = ucb_vi(UCBVIConfig(delta=delta, num_rounds=10**9, scale=1e-6, largest_return=10.0), MDP)
        state = algorithm.init(jax.random.key(0))
        state = state._replace(counts=expected_counts(MDP, jnp.ones(MDP.rewards.shape), 1))
        return algorithm.update(state, jnp.int32(0))[1]["upper_bound"]

    bounds = jax.jit(jax.vmap(bound), compiler_options=QUICK_TO_COMPILE)(jnp.array([0.1, 1e-6]))
    # Each of three layers adds its bonus.
    widths = 3e-6 * 7 * 10 * np.log(5 * HORIZON * STATES * ACTIONS * 3e9 / np.array([0.1, 1e-6]))
    np.testing.assert_allclose(np.diff(bounds), np.diff(widths), rtol=1e-3)


def run(config, num_rounds, seed):
    algorithm = ucb_vi(config, MDP)
    learn = jax.jit(lambda key: train(algorithm, algorithm.init(key), num_rounds), compiler_options=QUICK_TO_COMPILE)
    return learn(jax.random.key(seed))


def test_the_papers_bonus_says_nothing_in_hundreds_of_episodes():
    state, metrics = run(UCBVIConfig(scale=1.0, num_rounds=300), 300, 0)
    np.testing.assert_array_equal(state.memory.q_values, 1.0)
    np.testing.assert_array_equal(metrics["upper_bound"], 1.0)


def test_a_scaled_bonus_stays_optimistic_and_finds_the_optimum():
    _, metrics = run(UCBVIConfig(scale=0.01, num_rounds=2000), 2000, 1)
    optimum = metrics["policy_return"][-1] + metrics["regret"][-1]
    assert (np.diff(metrics["upper_bound"]) <= 1e-6).all()
    assert (metrics["upper_bound"] >= optimum - 1e-6).all()
    assert metrics["regret"][:100].mean() > 4 * metrics["regret"][-100:].mean()
    assert metrics["regret"][-100:].mean() < 0.01


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bonus": "chernoff"}, "bonus: got 'chernoff', takes one of hoeffding, bernstein"),
        ({"scale": -1.0}, "scale: got -1.0, takes a number of at least 0"),
        ({"largest_return": 0.0}, "largest_return: got 0.0, takes a number above 0"),
        ({"delta": 1.0}, r"delta: got 1.0, takes a number in \(0, 1\)"),
        ({"num_rounds": 0}, "num_rounds: got 0, takes an integer of at least 1"),
    ],
)
def test_what_is_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        ucb_vi(UCBVIConfig(**fields), MDP)
