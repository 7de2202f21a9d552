import numpy as np
import pytest
from rewards.experience import experience, label, pieces

from jaxrl_sparse.rewards import add, chain, clip, delayed, episodic, identity, normalize, potential_shaping


def payments_by_loop(trajectory, period):
    rewards, dones = np.asarray(trajectory.rewards), np.asarray(trajectory.dones)
    payments = np.zeros_like(rewards)
    for column in range(rewards.shape[1]):
        owed, time = np.float32(0), 0
        for step, (reward, done) in enumerate(zip(rewards[:, column], dones[:, column], strict=True)):
            owed, time = owed + reward, time + 1
            if done or time % period == 0:
                payments[step, column], owed = owed, np.float32(0)
            time = 0 if done else time
    return payments


@pytest.mark.parametrize("period", [1, 3, 1000])
def test_payments_by_hand_also_across_borders(period):
    trajectory = experience(0, 50, 3)
    expected = payments_by_loop(trajectory, period)
    for parts in ([trajectory], pieces(trajectory, 1, 8, 31)):
        labels, _ = label(delayed(period), *parts)
        np.testing.assert_allclose(labels, expected, rtol=1e-5, atol=1e-6)


def test_episodic_pays_in_last_steps_alone():
    trajectory = experience(1, 50, 3)
    labels, _ = label(episodic(), *pieces(trajectory, 20))
    np.testing.assert_allclose(labels, payments_by_loop(trajectory, 1000), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(labels[~np.asarray(trajectory.dones)], 0.0)


@pytest.mark.parametrize("transformation", [delayed(4), episodic()])
def test_sums_of_whole_episodes_are_preserved(transformation):
    trajectory = experience(2, 60, 4)
    labels, owed = label(transformation, *pieces(trajectory, 13, 40))
    dones = np.asarray(trajectory.dones)
    for column in range(4):
        ends = np.flatnonzero(dones[:, column]) + 1
        paid = np.add.reduceat(labels[:, column], [0, *ends[:-1]])
        earned = np.add.reduceat(np.asarray(trajectory.rewards)[:, column], [0, *ends[:-1]])
        # The last of these runs on into the episode that is not over.
        np.testing.assert_allclose(paid[:-1], earned[:-1], rtol=1e-4, atol=1e-5)
    # What is not paid yet is remembered.
    np.testing.assert_allclose(labels.sum(0) + owed.amount, trajectory.rewards.sum(0), rtol=1e-4, atol=1e-5)


def shaping():
    return potential_shaping(lambda observations: observations[..., 0], 0.9)


@pytest.mark.slow
@pytest.mark.parametrize(
    "members",
    [
        (delayed(3), clip(-1.0, 1.0), episodic()),
        (shaping(), delayed(2), normalize(0.9)),
        (normalize(0.9), clip(-1.0, 1.0), shaping()),
        (episodic(), normalize(0.5, episodic=False), shaping()),
    ],
)
def test_chain_is_associative_and_identity_neutral(members):
    a, b, c = members
    parts = pieces(experience(3, 24, 2), 5, 11)
    expected, _ = label(chain(a, b, c), *parts)
    for grouped in (chain(a, chain(b, c)), chain(chain(a, b), c), chain(identity(), a, identity(), b, c, identity())):
        np.testing.assert_array_equal(label(grouped, *parts)[0], expected)
    # Order matters, so that a chain which dropped it would not pass.
    assert np.abs(label(chain(c, b, a), *parts)[0] - expected).max() > 0.01


def test_add_gives_every_member_the_original():
    parts = pieces(experience(4, 24, 2), 9)
    both, _ = label(add(delayed(3), normalize(0.9)), *parts)
    np.testing.assert_allclose(
        both, label(delayed(3), *parts)[0] + label(normalize(0.9), *parts)[0], rtol=1e-6, atol=1e-6
    )


def test_rewards_with_a_memory_of_the_episode_do_not_relabel():
    assert delayed(2).relabel is None and episodic().relabel is None
    assert chain(normalize(0.9), shaping()).relabel is not None


def test_a_bad_period_is_refused():
    with pytest.raises(ValueError, match=r"^period: got 0, takes an integer of at least 1$"):
        delayed(0)
