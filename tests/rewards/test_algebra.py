import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.base import RewardTransformation, Trajectory, trajectory_spec
from jaxrl_sparse.rewards import add, chain, clip, identity, scale, stateless


def trajectory(rewards):
    rewards = jnp.asarray(rewards, jnp.float32)
    flags = jnp.zeros(rewards.shape, bool)
    return Trajectory(rewards[..., None], rewards, rewards, flags, flags, rewards[..., None] + 1.0)


REWARDS = np.array([[1.0, -3.0], [0.5, 2.0], [4.0, 0.0]], np.float32)


def count_up():
    """Pays the number of updates so far, and remembers it: order of members and threading of states show."""

    def update(trajectory, state):
        return trajectory.rewards + state, state + 1.0

    return RewardTransformation(
        lambda key, spec: jnp.float32(0), update, lambda trajectory, state: trajectory.rewards + state
    )


def label(transformation, rewards=REWARDS, updates=1):
    experience = trajectory(rewards)
    state = transformation.init(jax.random.key(0), trajectory_spec(experience))
    for _ in range(updates):
        labelled, state = transformation.update(experience, state)
    return np.asarray(labelled), state


def test_members_by_hand():
    np.testing.assert_array_equal(label(identity())[0], REWARDS)
    np.testing.assert_array_equal(label(scale(2.0))[0], 2 * REWARDS)
    np.testing.assert_array_equal(label(clip(-1.0, 2.0))[0], [[1, -1], [0.5, 2], [2, 0]])


def test_chain_hands_on_and_add_shows_the_original():
    # Clipping before scaling is not scaling before clipping.
    np.testing.assert_array_equal(label(chain(clip(-1.0, 2.0), scale(3.0)))[0], [[3, -3], [1.5, 6], [6, 0]])
    np.testing.assert_array_equal(label(chain(scale(3.0), clip(-1.0, 2.0)))[0], [[2, -1], [1.5, 2], [2, 0]])
    np.testing.assert_array_equal(label(add(scale(3.0), clip(-1.0, 2.0)))[0], [[4, -10], [2, 8], [14, 0]])


@pytest.mark.parametrize("updates", [1, 3])
def test_chain_is_associative_and_identity_is_neutral(updates):
    a, b, c = count_up(), scale(0.5), clip(-1.0, 1.5)
    expected, _ = label(chain(a, b, c), updates=updates)
    for grouped in (chain(a, chain(b, c)), chain(chain(a, b), c), chain(identity(), a, b, identity(), c)):
        np.testing.assert_array_equal(label(grouped, updates=updates)[0], expected)
    np.testing.assert_array_equal(label(chain())[0], REWARDS)


def test_states_are_threaded_through_chain_and_add():
    labelled, state = label(chain(count_up(), scale(10.0), count_up()), updates=3)
    np.testing.assert_array_equal(labelled, 10 * (REWARDS + 2) + 2)
    np.testing.assert_array_equal(jax.tree.leaves(state), [3.0, 3.0])
    labelled, _ = label(add(count_up(), count_up()), updates=2)
    np.testing.assert_array_equal(labelled, 2 * REWARDS + 2)


def test_relabel_labels_without_learning():
    transformation = chain(count_up(), add(scale(2.0), identity()))
    _, state = label(transformation, updates=2)
    np.testing.assert_allclose(transformation.relabel(trajectory(REWARDS), state), 3 * (REWARDS + 2))


def test_history_dependent_member_takes_relabel_away():
    remembering = RewardTransformation(lambda key, spec: (), lambda trajectory, state: (trajectory.rewards, state))
    assert chain(identity(), remembering).relabel is None
    assert add(identity(), remembering).relabel is None
    assert chain(identity(), scale(1.0)).relabel is not None


def test_members_get_keys_of_their_own():
    noise = RewardTransformation(lambda key, spec: jax.random.normal(key), lambda t, s: (t.rewards, s))
    _, (first, second) = label(chain(noise, noise))
    assert first != second
    _, (first, second) = label(add(noise, noise))
    assert first != second


def test_factor_may_be_swept():
    factors = jnp.array([1.0, -2.0])
    swept = jax.vmap(lambda factor: chain(scale(factor)).update(trajectory(REWARDS), ((),))[0])(factors)
    np.testing.assert_array_equal(swept, factors[:, None, None] * REWARDS)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^low, high: got \(2.0, 1.0\), takes two bounds in ascending order$"):
        clip(2.0, 1.0)
    with pytest.raises(ValueError, match=r"^transformations: got 0, takes at least one transformation$"):
        add()


def test_stateless_sees_the_whole_trajectory():
    bonus = stateless(lambda experience: experience.next_observations[..., 0] - experience.observations[..., 0])
    np.testing.assert_array_equal(label(bonus)[0], np.ones_like(REWARDS))
