"""Our wrappers, and gymnax's own wrappers on our environments."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environments.probes import Counter, Drift, assert_trees_close

from jaxrl_sparse.environments.make import make
from jaxrl_sparse.environments.planar.hard_maze import HardMaze
from jaxrl_sparse.environments.wrappers import DiscreteActions, TimeLimit, Wrapper

TABLE = np.array([0.0, 1.0, 2.0, -1.0])


def play(environment, actions):
    """First component of the observations, rewards, both flags and final observations."""
    _, state = environment.reset(jax.random.key(0), environment.default_params)
    rows = []
    for key, action in zip(jax.random.split(jax.random.key(0), len(actions)), actions, strict=True):
        observation, state, reward, terminated, truncated, info = environment.step(
            key, state, jnp.asarray(action), environment.default_params
        )
        rows.append((observation.ravel()[0], reward, terminated, truncated, info["final_observation"].ravel()[0]))
    return np.array(rows, float).T


def test_discrete_actions_stand_for_rows_of_the_table():
    actions = [1, 2, 3, 0, 1, 2]
    ours = play(DiscreteActions(Counter(), TABLE), actions)
    np.testing.assert_array_equal(ours, play(Counter(), TABLE[actions].astype(np.float32)))
    np.testing.assert_array_equal(ours[1], [1, 3, -1, -1, 0, 2])
    np.testing.assert_array_equal(ours[3], [0, 0, 0, 0, 1, 0])


def test_discrete_actions_space():
    environment = DiscreteActions(Drift(), np.zeros((7, 2)))
    assert environment.num_actions == 7
    assert environment.observation_space(environment.default_params).shape == (2,)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.zeros((4, 3)), r"actions: got \(4, 3\), takes the shape \(N, \*\(2,\)\)"),
        (np.zeros((0, 2)), r"actions: got \(0, 2\), takes the shape"),
        ([[0.5, 1.5]], r"actions: got \[\[0.5, 1.5\]\], takes rows within the environment's action space"),
        ([[0.5, np.nan]], "takes rows within"),
    ],
)
def test_discrete_actions_refuses(actions, message):
    with pytest.raises(ValueError, match=message):
        DiscreteActions(Drift(), actions)


def test_time_limit_is_the_earlier_of_two():
    truncated = [play(TimeLimit(Counter(), limit), [0.0] * 6)[3] for limit in (2, 9)]
    np.testing.assert_array_equal(truncated, [[0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 0, 1]])


def test_time_limit_refuses():
    with pytest.raises(ValueError, match="max_steps: got 0, takes an integer of at least 1"):
        TimeLimit(Counter(), 0)


WRAPPED = {
    "Wrapper": (Wrapper(Counter()), [1.0, 2.0, 0.0, 1.0]),
    "DiscreteActions": (DiscreteActions(Counter(), TABLE), [1, 2, 3, 2]),
    "two": (TimeLimit(DiscreteActions(Counter(), TABLE), 2), [1, 2, 3, 2]),
}


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"]
)
@pytest.mark.parametrize("wrapped", WRAPPED)
def test_copies_step_alike(wrapped, duplicate):
    environment, actions = WRAPPED[wrapped]
    twin = duplicate(environment)
    assert (
        type(twin) is type(environment) and twin is not environment and twin.environment is not environment.environment
    )
    np.testing.assert_array_equal(play(twin, actions), play(environment, actions))


def test_everything_else_is_forwarded():
    environment = TimeLimit(DiscreteActions(Drift(), np.zeros((2, 2))), 3)
    params = environment.default_params
    _, state = Drift().reset(jax.random.key(0))
    assert environment.name == "Drift" and params == Drift().default_params
    np.testing.assert_array_equal(environment.descriptor(state, params), [0.0, 0.0])
    with pytest.raises(AttributeError, match="altitude"):
        _ = environment.altitude


def test_gymnax_log_wrapper_runs_on_ours():
    from gymnax.wrappers import LogWrapper

    environment = LogWrapper(Counter())
    _, state = environment.reset(jax.random.key(0))
    returns, lengths, valid = [], [], []
    for action in (1.0, 2.0, 0.0, 1.0, 1.0):
        *_, state, _, _, _, info = environment.step(jax.random.key(0), state, jnp.float32(action))
        returns.append(float(info["returned_episode_returns"]))
        lengths.append(int(info["returned_episode_lengths"]))
        valid.append(bool(info["returned_episode_valid"]))
    assert (returns, lengths, valid) == ([0, 4, 4, 4, 3], [0, 2, 2, 2, 3], [False, True, True, True, True])


class Grid(Counter):
    """Counter, observed as a matrix."""

    def reset_env(self, key, params):
        _, state = super().reset_env(key, params)
        return jnp.full((2, 3), state.count), state

    def step_env(self, key, state, action, params):
        _, *outcome = super().step_env(key, state, action, params)
        return jnp.full((2, 3), outcome[0].count), *outcome

    def observation_space(self, params):
        return super().observation_space(params).__class__(-jnp.inf, jnp.inf, (2, 3))


def test_gymnax_flatten_observation_wrapper_runs_on_ours():
    from gymnax.wrappers import FlattenObservationWrapper

    environment = FlattenObservationWrapper(Grid())
    assert environment.observation_space(environment.default_params).shape == (6,)
    observation, state = environment.reset(jax.random.key(0))
    assert_trees_close(observation, jnp.zeros(6))
    observation, _, _, terminated, _, info = environment.step(jax.random.key(0), state, jnp.float32(4))
    assert_trees_close((observation, info["final_observation"]), (jnp.zeros(6), jnp.full(6, 4.0)))
    assert bool(terminated)


def test_gymnax_sticky_action_wrapper_runs_on_ours():
    from gymnax.wrappers import StickyActionWrapper

    inner = DiscreteActions(Counter(), TABLE)
    np.testing.assert_array_equal(play(StickyActionWrapper(inner, 0.0), [1, 2, 1]), play(inner, [1, 2, 1]))
    # With probability 1 the action of the reset, 0, is repeated for ever.
    np.testing.assert_array_equal(play(StickyActionWrapper(inner, 1.0), [1, 2, 1]), play(inner, [0, 0, 0]))


def test_gymnax_wrappers_run_on_a_planar_environment():
    from gymnax.wrappers import FlattenObservationWrapper, LogWrapper, StickyActionWrapper

    inner = DiscreteActions(make("point-2d"), np.array([[0.0, 0.0], [1.0, 0.5]]))
    wrapped = LogWrapper(FlattenObservationWrapper(StickyActionWrapper(inner, 1.0)))
    np.testing.assert_array_equal(play(wrapped, [1, 1]), play(inner, [0, 0]))
    wrapped = LogWrapper(FlattenObservationWrapper(StickyActionWrapper(inner, 0.0)))
    np.testing.assert_array_equal(play(wrapped, [1, 1]), play(inner, [1, 1]))
    np.testing.assert_allclose(play(inner, [1, 1])[0], [0.05, 0.1], rtol=1e-6)


def test_a_time_limit_pays_what_the_environment_pays_at_its_last_step():
    """HardMaze pays at the end of the episode, by the distance to a goal: here the robot stands on one."""
    maze = HardMaze()
    limited, params = TimeLimit(maze, 3), maze.default_params
    _, start = maze.reset(jax.random.key(0), params)
    state = start.replace(x=jnp.float32(100), y=jnp.float32(200), time=jnp.int32(1))
    step = jax.jit(limited.step_env)
    outcomes = []
    for _ in range(2):
        _, state, reward, _, _ = step(jax.random.key(0), state, jnp.zeros(2), params)
        outcomes.append((float(reward), bool(limited.is_truncated(state, params))))
    assert outcomes == [(0.0, False), (1.0, True)]
