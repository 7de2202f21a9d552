import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from jaxrl_sparse.base import Trajectory, trajectory_spec
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment, EnvironmentParams
from jaxrl_sparse.environments.planar.point_2d import Point2D
from jaxrl_sparse.rewards import observe_memory, stepwise

NUM_CELLS = 4


def coverage_gain(visited, transition):
    """Marginal gain of a coverage function: 1 for a cell that the episode had not visited."""
    cell = transition.next_observations
    return 1.0 - visited[cell], visited.at[cell].set(1.0)


@struct.dataclass
class RingState:
    cell: jax.Array
    time: jax.Array


class Ring(Environment):
    """Cells on a ring; the action moves; cell 3 ends the episode, the fifth step cuts it."""

    @property
    def default_params(self):
        return EnvironmentParams(max_steps_in_episode=5)

    def reset_env(self, key, params):
        cell = jnp.zeros((), jnp.int32)
        return cell, RingState(cell, jnp.zeros((), jnp.int32))

    def step_env(self, key, state, action, params):
        cell = (state.cell + action) % NUM_CELLS
        terminated = cell == NUM_CELLS - 1
        return cell, RingState(cell, state.time + 1), jnp.float32(0), terminated, {"discount": 1.0 - terminated}

    def observation_space(self, params):
        return spaces.Discrete(NUM_CELLS)

    def action_space(self, params):
        return spaces.Discrete(3)


def walk(environment, actions):
    """A trajectory `[T, 1]` of one environment that starts anew by itself, and what it showed."""
    params = environment.default_params
    observation, state = environment.reset(jax.random.key(0), params)
    steps = []
    for action in actions:
        seen = observation
        observation, state, reward, terminated, truncated, info = environment.step(
            jax.random.key(1), state, jnp.int32(action), params
        )
        steps.append(Trajectory(seen, jnp.int32(action), reward, terminated, truncated, info["final_observation"]))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves)[:, None], *steps)


ACTIONS = [1, 1, -1, 1, 1, 1, 0, 0, -1, 1, 0, 1]


@pytest.fixture(scope="module")
def experience():
    return walk(Ring(), ACTIONS)


def gains_by_hand(experience):
    visited, gains = set(), []
    for cell, done in zip(
        np.asarray(experience.next_observations)[:, 0], np.asarray(experience.dones)[:, 0], strict=True
    ):
        gains.append(float(cell not in visited))
        visited = set() if done else visited | {int(cell)}
    return gains


def test_memory_starts_anew_after_either_end(experience):
    transformation = stepwise(jnp.zeros(NUM_CELLS), coverage_gain)
    state = transformation.init(jax.random.key(0), trajectory_spec(experience))
    rewards, _ = transformation.update(experience, state)
    assert experience.terminated.any() and (experience.truncated & ~experience.terminated).any()
    np.testing.assert_array_equal(rewards[:, 0], gains_by_hand(experience))


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_an_episode_cut_by_a_chunk_border_goes_on(experience, cut):
    transformation = stepwise(jnp.zeros(NUM_CELLS), coverage_gain)
    state = transformation.init(jax.random.key(0), trajectory_spec(experience))
    first, state = transformation.update(jax.tree.map(lambda leaf: leaf[:cut], experience), state)
    second, _ = transformation.update(jax.tree.map(lambda leaf: leaf[cut:], experience), state)
    np.testing.assert_array_equal(jnp.concatenate([first, second])[:, 0], gains_by_hand(experience))


def test_environments_have_memories_of_their_own(experience):
    other = walk(Ring(), ACTIONS[::-1])
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), experience, other)
    transformation = stepwise(jnp.zeros(NUM_CELLS), coverage_gain)
    rewards, _ = transformation.update(both, transformation.init(jax.random.key(0), trajectory_spec(both)))
    np.testing.assert_array_equal(rewards[:, 0], gains_by_hand(experience))
    np.testing.assert_array_equal(rewards[:, 1], gains_by_hand(other))
    assert transformation.relabel is None


def test_the_policy_sees_the_memory_that_the_reward_has(experience):
    environment = observe_memory(Ring(), jnp.zeros(NUM_CELLS), coverage_gain)
    shown = walk(environment, ACTIONS)
    cells, memories = shown.observations
    np.testing.assert_array_equal(cells, experience.observations)
    # The gain of a step, told from the memory that the policy saw before it, is the reward of `stepwise`.
    gains = 1.0 - jnp.take_along_axis(memories[:, 0], experience.next_observations, axis=-1)[:, 0]
    np.testing.assert_array_equal(gains, gains_by_hand(experience))
    # The final observation shows the memory after the last step of its episode, the next one a fresh memory.
    ends = np.flatnonzero(experience.dones[:, 0])[:-1]
    final_cells, final_memories = shown.next_observations
    for end in ends:
        assert final_memories[end, 0, final_cells[end, 0]] == 1.0
        assert memories[end + 1, 0].sum() == 0.0


def test_show_makes_the_observation_and_its_space():
    environment = observe_memory(
        Ring(), jnp.zeros(NUM_CELLS), coverage_gain, show=lambda cell, memory: jnp.append(memory, cell)
    )
    observation, _ = environment.reset(jax.random.key(0))
    np.testing.assert_array_equal(observation, np.zeros(NUM_CELLS + 1))
    assert environment.observation_space(environment.default_params).shape == (NUM_CELLS + 1,)
    assert environment.action_space(environment.default_params).n == 3


def test_it_is_copied_and_pickled():
    environment = observe_memory(Ring(), np.zeros(NUM_CELLS, np.float32), coverage_gain)
    for twin in (copy.deepcopy(environment), pickle.loads(pickle.dumps(environment))):
        cell, memory = twin.reset(jax.random.key(0))[0]
        assert cell == 0 and memory.sum() == 0


def test_one_rule_two_uses_on_the_experience_of_the_wrapped_environment(experience):
    """The learner's transformation, fed with what the policy saw, pays the gains that the policy's memory tells."""
    shown = walk(observe_memory(Ring(), jnp.zeros(NUM_CELLS), coverage_gain), ACTIONS)
    transformation = stepwise(jnp.zeros(NUM_CELLS), coverage_gain, unshow=lambda pair: pair[0])
    state = transformation.init(jax.random.key(0), trajectory_spec(shown))
    rewards, _ = transformation.update(shown, state)
    np.testing.assert_array_equal(rewards[:, 0], gains_by_hand(experience))


def test_methods_of_the_wrapped_environment_read_its_state():
    environment = observe_memory(Point2D(), jnp.zeros(1), lambda memory, transition: (memory[0], memory))
    params = environment.default_params
    _, state = environment.reset(jax.random.key(0), params)
    np.testing.assert_array_equal(environment.descriptor(state, params), [0.0, 0.0])
    assert int(state.time) == 0
