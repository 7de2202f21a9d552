"""The processes by name: what they pay when stepped is what their arrays say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from environments.risk.returns import play

from jaxrl_sparse.environments.decision_processes import CombinationLock, Garnet, LinearMixtureProcess, Ring
from jaxrl_sparse.finite import backward_induction, finite_horizon
from jaxrl_sparse.finite.linear_mixtures import transition_probabilities


def test_the_lock_is_one_of_its_models():
    lock = CombinationLock(horizon=4, num_actions=3, success=0.8, code_seed=5)
    assert lock.models.rewards.shape == (81, 4, 2, 3)
    code = backward_induction(lock.process).actions[:, 0]
    number = int(np.dot(np.asarray(code), 3 ** np.arange(3, -1, -1)))
    model = jax.tree.map(lambda leaf: leaf[number], lock.models)
    jax.tree.map(np.testing.assert_array_equal, model, lock.process)


def test_stepping_the_lock():
    """The code opens it unless luck fails, in `.8^3` of episodes; one wrong digit and it stays shut."""
    lock = CombinationLock(horizon=4, num_actions=3, success=0.8)
    best = finite_horizon(lock.mdp, 4).actions
    num_episodes = 4000
    returns = np.asarray(jnp.sum(play(lock, best, num_episodes).rewards[:4], axis=0))
    assert set(np.unique(returns)) == {0.0, 1.0}
    assert returns.mean() == pytest.approx(0.8**3, abs=4 * (0.512 * 0.488 / num_episodes) ** 0.5)
    wrong = best.at[0].set((best[0] + 1) % 3)
    assert float(jnp.sum(play(lock, wrong, 100).rewards[:4])) == 0


def test_the_lock_terminates_after_its_last_layer_and_not_before():
    lock = CombinationLock(horizon=3)
    trajectory = play(lock, jnp.zeros((3, lock.mdp.num_states), jnp.int32), 5)
    np.testing.assert_array_equal(trajectory.terminated[:3], np.arange(3)[:, None] == np.full(5, 2))


def test_seeds_draw_other_codes_and_processes():
    # The right digit of the last layer pays, the right one of any other keeps the good state.
    locks = [CombinationLock(code_seed=seed).process for seed in range(6)]
    codes = {tuple(np.asarray(lock.transitions[:, 0, :, 0]).argmax(-1).tolist()) for lock in locks}
    assert len(codes) > 2
    first, again, other = (np.asarray(Garnet(process_seed=seed).mdp.rewards) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.min() >= 0 and first.max() <= 1


def test_the_mixture_pays_for_being_in_the_last_state_at_the_end():
    process = LinearMixtureProcess(num_states=3, horizon=4, process_seed=2)
    stepped = play(process, jnp.ones((4, process.mdp.num_states), jnp.int32), 2000)
    chain = np.asarray(transition_probabilities(process.mixture))[:, 1]
    at_the_end = float(np.linalg.matrix_power(chain, 3)[0, -1])
    returns = np.asarray(jnp.sum(stepped.rewards, axis=0))
    assert 0.01 < at_the_end < 0.99
    assert returns.mean() == pytest.approx(at_the_end, abs=4 * (at_the_end * (1 - at_the_end) / 2000) ** 0.5)


@pytest.mark.parametrize(("action", "expected"), [(0, 0), (1, 4), (2, 1)])
def test_the_ring_turns_both_ways(action, expected):
    ring = Ring(num_states=5)

    def step(key):
        reset_key, step_key = jax.random.split(key)
        _, state = ring.reset_env(reset_key, ring.default_params)
        return ring.step_env(step_key, state, jnp.int32(action), ring.default_params)

    _, state, reward, terminated, _ = jax.jit(step, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    assert (int(state.state), float(reward), bool(terminated)) == (expected, 0.0, False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CombinationLock(horizon=0), "horizon: got 0, takes an integer of at least 1"),
        (lambda: CombinationLock(horizon=20), r"horizon, num_actions: got \(20, 2\), takes at most 16384 codes"),
        (lambda: CombinationLock(success=0.0), r"success: got 0.0, takes a number in \(0, 1\]"),
        (lambda: CombinationLock(code_seed=-1), "code_seed: got -1"),
        (lambda: Garnet(process_seed=-1), "process_seed: got -1"),
        (lambda: Garnet(num_successors=21), "num_successors: got 21, takes at most num_states=20"),
        (lambda: LinearMixtureProcess(horizon=0), "horizon: got 0"),
        (lambda: LinearMixtureProcess(dimension=0), "dimension: got 0"),
        (lambda: Ring(num_states=0), "num_states: got 0"),
    ],
)
def test_what_is_out_of_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
