import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rewards.experience import experience, label, pieces

from jaxrl_sparse.base import trajectory_spec
from jaxrl_sparse.rewards import normalize
from jaxrl_sparse.rewards.normalization import filtered_rewards

DISCOUNT = 0.9


def normalized_by_loop(trajectories, episodic):
    """The definition, one number after another in float64; the variance is of all sums up to the piece's end."""
    running = np.zeros(trajectories[0].rewards.shape[1])
    seen, labels = [], []
    for trajectory in trajectories:
        for rewards, dones in zip(np.asarray(trajectory.rewards), np.asarray(trajectory.dones), strict=True):
            running = DISCOUNT * running + rewards
            seen.append(running)
            running = np.where(dones & episodic, 0.0, running)
        labels.append(np.asarray(trajectory.rewards) / np.std(seen))
    return np.concatenate(labels)


@pytest.mark.parametrize("episodic", [True, False])
def test_it_is_the_definition_piece_by_piece(episodic):
    parts = pieces(experience(0, 40, 3), 7, 20)
    labels, _ = label(normalize(DISCOUNT, episodic), *parts)
    np.testing.assert_allclose(labels, normalized_by_loop(parts, episodic), rtol=1e-5)


def test_ends_touch_episodic_sums_alone():
    trajectory = experience(1, 30, 4)
    endless = trajectory._replace(
        terminated=jnp.zeros_like(trajectory.terminated), truncated=jnp.zeros_like(trajectory.truncated)
    )
    with_ends, _ = label(normalize(DISCOUNT, episodic=False), trajectory)
    without, _ = label(normalize(DISCOUNT, episodic=False), endless)
    np.testing.assert_array_equal(with_ends, without)
    assert np.abs(label(normalize(DISCOUNT), trajectory)[0] - without).max() > 0.01


def test_a_constant_reward_fills_the_filter():
    rewards = jnp.full((200, 2), 3.0)
    sums, filtered = filtered_rewards(rewards, jnp.zeros((200, 2), bool), DISCOUNT, jnp.zeros(2))
    steps = np.arange(1, 201)[:, None]
    np.testing.assert_allclose(sums, np.broadcast_to(3 * (1 - DISCOUNT**steps) / (1 - DISCOUNT), (200, 2)), rtol=1e-5)
    np.testing.assert_allclose(filtered, 3 / (1 - DISCOUNT), rtol=1e-5)


def test_sums_of_normalised_rewards_have_deviation_one():
    trajectory = experience(2, 400, 8)
    trajectory = trajectory._replace(rewards=50 * trajectory.rewards + 20)
    labels, _ = label(normalize(DISCOUNT), trajectory)
    sums, _ = filtered_rewards(jnp.asarray(labels), trajectory.dones, DISCOUNT, jnp.zeros(8))
    np.testing.assert_allclose(np.std(sums), 1.0, rtol=0.01)


def test_a_large_mean_does_not_drown_the_variance():
    """The mean of squares less the square of the mean would leave nothing in float32."""
    trajectory = experience(3, 60, 5)
    shifted = trajectory._replace(rewards=trajectory.rewards + 1e4)
    labels, _ = label(normalize(0.0), *pieces(shifted, 10, 30))
    # What the addition itself has rounded away is no fault of the variance.
    kept = np.asarray(shifted.rewards, np.float64)
    np.testing.assert_allclose(labels[30:], kept[30:] / np.std(kept), rtol=2e-3)


def test_no_mean_is_subtracted():
    trajectory = experience(4, 20, 2)
    labels, _ = label(normalize(DISCOUNT), trajectory._replace(rewards=jnp.abs(trajectory.rewards)))
    assert labels.min() >= 0
    silent, _ = label(normalize(DISCOUNT), trajectory._replace(rewards=jnp.zeros_like(trajectory.rewards)))
    np.testing.assert_array_equal(silent, 0.0)


def test_relabel_divides_by_what_is_known_and_learns_nothing():
    transformation = normalize(DISCOUNT)
    first, second = pieces(experience(5, 30, 3), 12)
    fresh = transformation.init(jax.random.key(0), trajectory_spec(first))
    np.testing.assert_allclose(transformation.relabel(first, fresh), first.rewards, rtol=1e-6)
    labels, state = transformation.update(first, fresh)
    np.testing.assert_array_equal(transformation.relabel(first, state), labels)
    scale = labels[0, 0] / first.rewards[0, 0]
    np.testing.assert_allclose(transformation.relabel(second, state), scale * second.rewards, rtol=1e-5)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^discount: got 1.5, takes a number in \[0, 1\]$"):
        normalize(1.5)
    with pytest.raises(ValueError, match=r"^discount: got 1.0, takes a number in \[0, 1\), for sums that no episode"):
        normalize(1.0, episodic=False)
    with pytest.raises(ValueError, match=r"^epsilon: got 0.0, takes a number above 0$"):
        normalize(0.9, epsilon=0.0)
