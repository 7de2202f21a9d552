"""Cells by hand, and the rules of the arena on a stand-in for brax's ant; the real one is slow."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments import ant_coverage
from jaxrl_sparse.environments.ant_coverage import AntCoverage, corner_cell
from jaxrl_sparse.environments.base import Environment, EnvironmentParams
from jaxrl_sparse.environments.grids.instances import block_footprint
from jaxrl_sparse.environments.make import make
from jaxrl_sparse.environments.rollouts import rollout, start_rollout
from jaxrl_sparse.environments.spaces import Box
from jaxrl_sparse.environments.tabular import TabularState
from jaxrl_sparse.environments.vectorized import vectorize


def observation(x, y):
    return jnp.zeros(29).at[:2].set(jnp.array([x, y]))


@pytest.mark.parametrize(
    ("x", "y", "row", "column"),
    [
        (0.0, 0.0, 50, 50),
        (-0.1, 0.1, 49, 50),
        (-19.9, 19.9, 0, 99),
        (0.41, -0.41, 51, 48),
        (20.0, -20.0, 99, 0),
        (25.0, -31.0, 99, 0),
        (np.nan, 0.0, 50, 50),
    ],
)
def test_the_corner_is_the_cell_of_the_position(x, y, row, column):
    assert int(corner_cell(observation(x, y))) == row * 100 + column


def test_the_block_of_a_corner_is_five_by_five():
    footprint = np.asarray(block_footprint(np.ones((100, 100), bool), ant_coverage.BLOCK))
    cells = footprint[int(corner_cell(observation(0.0, 0.0)))]
    rows, columns = np.divmod(cells, 100)
    assert sorted(zip(rows, columns, strict=True)) == [(r, c) for r in range(50, 55) for c in range(50, 55)]
    at_the_corner = footprint[int(corner_cell(observation(19.9, 19.9)))]
    np.testing.assert_array_equal(at_the_corner[at_the_corner >= 0], [9999])


class Slider(Environment):
    """The ant's observation on rails: the first two actions are its steps; it is unhealthy where y is above 15."""

    default_params = EnvironmentParams(max_steps_in_episode=6)

    def reset_env(self, key, params):
        return jnp.zeros(29), TabularState(time=jnp.int32(0), state=jnp.zeros(29))

    def step_env(self, key, state, action, params):
        position = state.state.at[:2].add(action[:2])
        state = TabularState(time=state.time + 1, state=position)
        return position, state, jnp.float32(7), position[1] > 15, {"discount": jnp.float32(1), "height": position[2]}

    def observation_space(self, params):
        return Box(-jnp.inf, jnp.inf, (29,))

    def action_space(self, params):
        return Box(-1.0, 1.0, (8,))


@pytest.fixture
def slider(monkeypatch):
    asked = {}

    def stand_in(name, **options):
        asked.update(options, name=name)
        return Slider()

    monkeypatch.setattr(ant_coverage, "make", stand_in)
    environment = AntCoverage("spring", 6)
    assert asked == {
        "name": "brax/ant/spring",
        "max_steps_in_episode": 6,
        "exclude_current_positions_from_observation": False,
    }
    return environment


def test_the_arena_ends_episodes_and_pays_nothing(slider):
    """Five rows: within, over the right, over the left border, unhealthy, and diverged."""
    steps = (
        jnp.zeros((5, 8)).at[:, :2].set(jnp.array([[1.0, -1.0], [11.0, 0.0], [-7.0, 0.0], [0.0, 8.0], [jnp.nan, 0.0]]))
    )
    batch, params = vectorize(slider, 5, reset_mode="none"), slider.default_params
    start = start_rollout(batch, jax.random.key(0), params)
    trajectory, _ = rollout(batch, lambda key, _: (steps, {}), 6, start, params, ("corner_cell", "height", "discount"))
    np.testing.assert_array_equal(trajectory.rewards, 0)
    first = np.where(trajectory.terminated.any(axis=0), np.argmax(trajectory.terminated, axis=0), -1)
    np.testing.assert_array_equal(first, [-1, 1, 2, 1, 0])
    np.testing.assert_array_equal(trajectory.truncated, (np.arange(6) == 5)[:, None] * np.ones((1, 5), bool))
    np.testing.assert_array_equal(trajectory.extras["discount"], 1.0 - np.asarray(trajectory.terminated))
    np.testing.assert_array_equal(trajectory.extras["corner_cell"], corner_cell(trajectory.next_observations))
    assert slider.name == "AntCoverage" and slider.num_cells == 10_000 and slider.num_actions == 8


@pytest.mark.slow
def test_the_real_ant():
    """brax's ant starts around the origin, stands for a while, and its position is what the observation says."""
    environment = AntCoverage()
    params = environment.default_params
    assert params.max_steps_in_episode == 400 and environment.observation_space(params).shape == (29,)
    batch = vectorize(environment, 2)

    def run(key):
        policy = lambda key, _: (jax.random.uniform(key, (2, 8), minval=-1.0), {})  # noqa: E731
        start = start_rollout(batch, key, params)
        return rollout(batch, policy, 20, start, params, ("corner_cell", "x_position", "y_position"))[0]

    trajectory = jax.jit(run)(jax.random.key(0))
    assert np.isfinite(trajectory.next_observations).all() and (np.abs(trajectory.observations[0, :, :2]) < 0.2).all()
    position = np.stack([trajectory.extras["x_position"], trajectory.extras["y_position"]], axis=-1)
    np.testing.assert_allclose(trajectory.next_observations[..., :2], position, atol=1e-3)
    np.testing.assert_array_equal(trajectory.extras["corner_cell"], corner_cell(trajectory.next_observations))
    np.testing.assert_array_equal(trajectory.rewards, 0)


def test_options_and_copies():
    environment = make("ant-coverage", max_steps_in_episode=7)
    assert copy.deepcopy(environment).default_params.max_steps_in_episode == 7
    with pytest.raises(ValueError, match="backend: got 'springs', takes one of generalized"):
        make("ant-coverage", backend="springs")
    with pytest.raises(ValueError, match="max_steps_in_episode: got 0, takes an integer of at least 1"):
        make("ant-coverage", max_steps_in_episode=0)
