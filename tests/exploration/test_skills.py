"""Skills are drawn at resets, stay until the next, are shown, and change nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.decision_processes import Ring
from jaxrl_sparse.environments.rollouts import rollout, start_rollout
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.exploration.skills import SkillEnvironment, split_skill

RING = Ring(5, max_steps_in_episode=7)


@pytest.fixture(scope="module")
def shown():
    """States and skills before and after 21 steps of 400 environments, whose actions are drawn at random."""
    vectorized, params = vectorize(SkillEnvironment(RING, 3), 400), RING.default_params

    def run(key):
        start = start_rollout(vectorized, key, params)
        return rollout(vectorized, lambda key, _: (jax.random.randint(key, (400,), 0, 3), {}), 21, start, params)[0]

    trajectory = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    return trajectory, split_skill(3)(trajectory.observations), split_skill(3)(trajectory.next_observations)


def test_a_skill_stays_until_the_reset(shown):
    trajectory, (_, before), (_, after) = shown
    np.testing.assert_array_equal(before, after)
    by_episode = np.asarray(before).reshape(3, 7, 400)
    assert (by_episode == by_episode[:, :1]).all()
    np.testing.assert_array_equal(trajectory.dones[6::7], True)


def test_every_reset_draws_a_skill_uniformly_and_anew(shown):
    _, (_, skills), _ = shown
    firsts = np.asarray(skills)[::7]
    shares = np.bincount(firsts.ravel(), minlength=3) / firsts.size
    np.testing.assert_allclose(shares, 1 / 3, atol=4 * 0.5 / firsts.size**0.5)
    # A third stay the same by chance.
    np.testing.assert_allclose(np.mean(firsts[1:] == firsts[:-1]), 1 / 3, atol=4 * 0.5 / 800**0.5)


def test_the_process_is_that_of_the_environment(shown):
    trajectory, (states, _), (following, _) = shown
    moves = np.array([0, -1, 1])[np.asarray(trajectory.actions)]
    np.testing.assert_array_equal((np.argmax(states, -1) + moves) % 5, np.argmax(following, -1))
    np.testing.assert_array_equal(trajectory.observations[..., :5], states)
    assert trajectory.observations.shape[-1] == 8


def test_the_space_holds_what_is_shown(shown):
    environment = SkillEnvironment(RING, 3)
    space = environment.observation_space(RING.default_params)
    assert space.shape == (8,) and environment.action_space(RING.default_params).n == 3
    assert space.contains(shown[0].observations[0, 0]) and not space.contains(jnp.full(8, 1.5))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^num_skills: got 1, takes an integer of at least 2$"):
        SkillEnvironment(RING, 1)
