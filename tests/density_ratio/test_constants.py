"""The constants against their formulas in plain Python, on the lock of length 5 with 32 codes."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.density_ratio.constants import (
    class_log,
    penalty,
    slack,
    slack_log,
    strong_clip_rate,
    weak_clip_rate,
    weak_episodes,
)

FUNCTIONS, WEIGHTS, ROUNDS, HORIZON, DELTA = 32, 1024, 400, 5, 0.1
LOGS = (math.log(FUNCTIONS), math.log(WEIGHTS))


def test_constants_of_the_lock():
    log_term = class_log(*LOGS, DELTA)
    np.testing.assert_allclose(log_term, math.log(32 * 1024 / 0.1), rtol=1e-6)
    full = slack_log(*LOGS, ROUNDS, HORIZON, DELTA)
    np.testing.assert_allclose(full, math.log(6 * 32 * 1024 * 400 * 5 / 0.1), rtol=1e-6)
    gamma = strong_clip_rate(2.8, ROUNDS, log_term)
    np.testing.assert_allclose(gamma, 0.02348, atol=5e-5)
    np.testing.assert_allclose(weak_clip_rate(2.8, ROUNDS), math.sqrt(2.8 / 400), rtol=1e-6)
    assert weak_episodes(ROUNDS, float(log_term)) == math.ceil(2 * 400 * math.log(327_680)) == 10_160
    # "beta_t = 36 gamma L is above 10", with either of the two logarithms.
    assert 36 * float(gamma) * float(log_term) > 10
    clip = 50 * gamma
    np.testing.assert_allclose(penalty(0.1, clip), 0.8 / clip, rtol=1e-6)
    np.testing.assert_allclose(slack(0.1, clip, full, 2, 50), 3.6 * clip * full / (2 * 49), rtol=1e-6)


def test_papers_constants_are_vacuous_at_test_size():
    """No error can exceed `gamma_t` times the largest residual mean, 1; the slack of every round is above that."""
    log_term, full = class_log(*LOGS, DELTA), slack_log(*LOGS, ROUNDS, HORIZON, DELTA)
    rounds = jnp.arange(1, ROUNDS + 1)
    clips = strong_clip_rate(2.8, ROUNDS, log_term) * rounds
    assert (slack(1.0, clips, full, 1, rounds) > clips).all()
    # The knob that works on this lock is not.
    assert not (slack(0.01, clips, full, 1, rounds) > clips).all()


def test_without_data_the_slack_is_infinite():
    np.testing.assert_array_equal(slack(0.5, 1.0, 1.0, 3, jnp.array([1, 2])), np.float32([np.inf, 6]))


def test_logarithms_do_not_overflow():
    assert np.isfinite(slack_log(1e4, 1e6, 10**9, 10**3, 1e-30))


def test_weak_episodes_refuse_no_rounds():
    with pytest.raises(ValueError, match=r"^num_rounds: got 0, takes an integer of at least 1$"):
        weak_episodes(0, 1.0)
