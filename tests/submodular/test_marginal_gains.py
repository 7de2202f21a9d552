import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.base import Trajectory, trajectory_spec
from jaxrl_sparse.submodular import (
    coverage,
    gain_rule,
    log_determinant,
    marginal_gains,
    modular,
    num_negative_gains,
    singleton_values,
)

NUM_CELLS, LENGTH, NUM_ENVIRONMENTS = 8, 24, 3
WEIGHTS = np.arange(1.0, NUM_CELLS + 1)
FOOTPRINT = np.stack([np.arange(NUM_CELLS), (np.arange(NUM_CELLS) + 1) % NUM_CELLS], axis=1)
COVERAGE = coverage(WEIGHTS, FOOTPRINT)


def cell_of(observation):
    return observation["cell"]


def random_episodes(seed=0):
    """Cells at random; episodes begin at cells of their own and end at times of their own, both ways."""
    rng = np.random.default_rng(seed)
    shape = (LENGTH, NUM_ENVIRONMENTS)
    before, after = rng.integers(0, NUM_CELLS, shape), rng.integers(0, NUM_CELLS, shape)
    terminated, truncated = rng.random(shape) < 0.1, rng.random(shape) < 0.1
    for time in range(1, LENGTH):
        goes_on = ~(terminated | truncated)[time - 1]
        before[time, goes_on] = after[time - 1, goes_on]
    flags = jnp.asarray(terminated), jnp.asarray(truncated)
    seen, following = ({"cell": jnp.asarray(cells, jnp.int32)} for cells in (before, after))
    return Trajectory(seen, jnp.zeros(shape), jnp.zeros(shape), *flags, following)


EPISODES = random_episodes()


def episodes_by_hand(experience):
    """Pairs of the places in time of an episode's steps, and its states from first to last."""
    dones = np.asarray(experience.dones)
    for environment in range(NUM_ENVIRONMENTS):
        begin = 0
        for time in range(LENGTH):
            if dones[time, environment] or time == LENGTH - 1:
                steps = np.arange(begin, time + 1)
                states = [int(experience.observations["cell"][begin, environment])]
                states += [int(cell) for cell in experience.next_observations["cell"][steps, environment]]
                yield environment, steps, states
                begin = time + 1


def covered(states):
    return WEIGHTS[sorted({int(item) for state in states for item in FOOTPRINT[state]})].sum()


def label(transformation, experience, cuts=()):
    state = transformation.init(jax.random.key(0), trajectory_spec(experience))
    update, rewards = jax.jit(transformation.update, compiler_options=QUICK_TO_COMPILE), []
    for begin, end in zip((0, *cuts), (*cuts, LENGTH), strict=True):
        labels, state = update(jax.tree.map(lambda leaf, b=begin, e=end: leaf[b:e], experience), state)
        rewards.append(labels)
    return np.concatenate(rewards)


@pytest.mark.parametrize("cuts", [(), (1, 7, 8)])
def test_every_step_pays_what_its_next_state_adds(cuts):
    rewards = label(marginal_gains(COVERAGE, cell_of), EPISODES, cuts)
    num_episodes = 0
    for environment, steps, states in episodes_by_hand(EPISODES):
        values = np.array([covered(states[: length + 1]) for length in range(len(states))])
        np.testing.assert_array_equal(rewards[steps, environment], np.diff(values))
        start = singleton_values(COVERAGE, jnp.array(states[:1]))[0]
        assert start + rewards[steps, environment].sum() == covered(states)
        num_episodes += 1
    assert num_episodes > 2 * NUM_ENVIRONMENTS
    assert num_negative_gains(jnp.asarray(rewards)) == 0
    assert marginal_gains(COVERAGE, cell_of).relabel is None


def test_what_the_policy_saw_may_hold_more():
    shown = EPISODES._replace(
        observations=(EPISODES.observations, jnp.zeros((LENGTH, NUM_ENVIRONMENTS))),
        next_observations=(EPISODES.next_observations, jnp.zeros((LENGTH, NUM_ENVIRONMENTS))),
    )
    rewards = label(marginal_gains(COVERAGE, cell_of, unshow=lambda pair: pair[0]), shown)
    np.testing.assert_array_equal(rewards, label(marginal_gains(COVERAGE, cell_of), EPISODES))


def test_before_a_step_the_rule_remembers_what_came_before_its_state():
    memory, step_fn = gain_rule(COVERAGE, cell_of)
    none = jnp.bool_(False)

    def transition(before, after):
        observations = ({"cell": jnp.int32(cell)} for cell in (before, after))
        seen, following = observations
        return Trajectory(seen, jnp.int32(0), jnp.float32(0), none, none, following)

    np.testing.assert_array_equal(memory, [0])
    gain, memory = step_fn(memory, transition(2, 3))
    assert gain == WEIGHTS[4]
    np.testing.assert_array_equal(memory, [0b1100])
    gain, memory = step_fn(memory, transition(3, 6))
    assert gain == WEIGHTS[6] + WEIGHTS[7]
    np.testing.assert_array_equal(memory, [0b11100])


def test_losses_are_paid_and_counted():
    losses = modular(np.where(np.arange(NUM_CELLS) < 3, -1.0, 2.0))
    rewards = label(marginal_gains(losses, cell_of), EPISODES)
    expected = np.where(np.asarray(EPISODES.next_observations["cell"]) < 3, -1.0, 2.0)
    np.testing.assert_array_equal(rewards, expected)
    assert num_negative_gains(jnp.asarray(rewards)) == (expected < 0).sum() > 0


def test_a_memory_that_is_too_small_is_counted():
    episode = EPISODES._replace(
        terminated=jnp.zeros((LENGTH, NUM_ENVIRONMENTS), bool), truncated=jnp.zeros((LENGTH, NUM_ENVIRONMENTS), bool)
    )
    design = log_determinant(np.eye(NUM_CELLS), 0.5, LENGTH // 2, bonus=1.0)
    rewards = label(marginal_gains(design, cell_of), episode)
    # The gain of step t has t + 1 states before it.
    assert num_negative_gains(jnp.asarray(rewards)) == NUM_ENVIRONMENTS * (LENGTH - LENGTH // 2 + 1)


def test_a_set_function_of_other_elements_than_the_environments_is_refused():
    marginal_gains(COVERAGE, cell_of, num_elements=NUM_CELLS)
    with pytest.raises(
        ValueError, match=r"^set_function: got 8, takes a ground set of the environment's 9 elements: make"
    ):
        marginal_gains(COVERAGE, cell_of, num_elements=NUM_CELLS + 1)
