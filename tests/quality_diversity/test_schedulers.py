import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.quality_diversity.schedulers import BanditState, bandit_init, bandit_update, explores


def choices(scheduler, steps, spent_share=0.0):
    decide = jax.vmap(lambda step: explores(scheduler, bandit_init(), step, jnp.float32(spent_share)))
    return np.asarray(jax.jit(decide)(jnp.arange(steps, dtype=jnp.int32)))


def test_alternate_explores_at_even_steps():
    np.testing.assert_array_equal(choices("alternate", 5), [True, False, True, False, True])


@pytest.mark.parametrize(
    ("scheduler", "spent_share", "probability"),
    [("fixed_sampling", 0.9, 0.5), ("time_sampling", 0.2, 0.8), ("time_sampling", 0.7, 0.3)],
)
def test_sampling_explores_as_often_as_it_should(scheduler, spent_share, probability):
    chosen = choices(scheduler, 4000, spent_share)
    assert chosen[0]
    # Five standard errors.
    assert abs(chosen[1:].mean() - probability) < 5 * np.sqrt(probability * (1 - probability) / 4000)
    # Draws of different steps are independent: as many runs as a coin's.
    changes = (chosen[2:] != chosen[1:-1]).mean()
    assert abs(changes - 2 * probability * (1 - probability)) < 0.05


def test_time_sampling_exploits_in_the_end_and_then_explores_with_what_was_saved():
    assert choices("time_sampling", 1000, 0.999)[1:].mean() < 0.02
    assert choices("time_sampling", 100, 1.0).all()


def test_the_bandit_by_hand():
    decide = jax.jit(lambda bandit: explores("bandit", bandit, jnp.int32(7), jnp.float32(0.0)))

    def after(values, pulls):
        return bool(decide(BanditState(jnp.array(values, jnp.float32), jnp.array(pulls, jnp.int32))))

    assert after([0.0, 0.0], [0, 0])
    assert not after([9.0, -1.0], [1, 0])
    # Bounds: .1 + sqrt(ln 5 / 4) = .734 against -.5 + sqrt(ln 5) = .769.
    assert not after([0.1, -0.5], [4, 1])
    # .14 + .634 = .774 against .769.
    assert after([0.14, -0.5], [4, 1])


def test_what_the_bandit_learns_by_hand():
    learn = jax.jit(bandit_update)
    bandit = bandit_init()
    rounds = [(True, 0, 2), (False, 2, 3), (False, 0, 0), (True, 3, 3), (False, 3, 2)]
    for explored, before, after in rounds:
        bandit = learn(bandit, jnp.array(explored), jnp.int32(before), jnp.int32(after))
    exploring, exploiting = [-np.tanh(2), 0.0], [np.tanh(1), -1.0, -np.tanh(1)]
    np.testing.assert_allclose(bandit.values, [np.mean(exploring), np.mean(exploiting)], rtol=1e-6)
    np.testing.assert_array_equal(bandit.pulls, [2, 3])
