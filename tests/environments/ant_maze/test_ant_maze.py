"""AntMaze against MuJoCo's own simulation and against its walls."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")
pytest.importorskip("mujoco.mjx")

from jaxrl_sparse.environments.ant_maze.ant_maze import AntMaze  # noqa: E402
from jaxrl_sparse.environments.ant_maze.model import ant_maze_model  # noqa: E402

# Standing in the air or on the floor, with ankles within their ranges.
POSE = np.array([0, 0, 0.6, 1, 0, 0, 0, 0, 0.9, 0, -0.9, 0, -0.9, 0, 0.9], np.float32)


@pytest.fixture(scope="module")
def environment():
    return AntMaze()


@pytest.fixture(scope="module")
def start(environment):
    return environment.reset_env(jax.random.key(0), environment.default_params)


@pytest.fixture(scope="module")
def advance(environment):
    """40 steps of four ants with constant actions: observations, states and rewards, `[40, 4, ...]`."""

    @jax.jit
    def play(states, actions):
        def step(states, _):
            observations, states, rewards, terminated, _ = jax.vmap(environment.step_env, in_axes=(None, 0, 0, None))(
                jax.random.key(0), states, actions, environment.default_params
            )
            return states, (observations, states, rewards, terminated)

        return jax.lax.scan(step, states, length=40)[1]

    return play


def poses(start, *changes):
    """The start's state with four poses `(x, y, z, velocity along x)`."""
    positions, velocities = np.tile(POSE, (4, 1)), np.zeros((4, 14), np.float32)
    for n, (x, y, z, speed) in enumerate(changes):
        positions[n, :3], velocities[n, 0] = (x, y, z), speed
    states = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), start[1])
    return states.replace(positions=jnp.asarray(positions), velocities=jnp.asarray(velocities))


def test_start_has_the_published_noise(environment, start):
    observation, state = start
    rest = np.array([-25, -25, 0.6, 1, *np.zeros(11)])
    noise = np.asarray(state.positions) - rest
    assert 0 < np.abs(np.delete(noise, range(3, 7))).max() <= 0.1
    assert np.linalg.norm(state.positions[3:7]) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(observation[:2], (np.asarray(state.positions[:2]) - 5) / 70, rtol=1e-6)
    np.testing.assert_array_equal(observation[2:15], state.positions[2:])
    np.testing.assert_array_equal(observation[15:], state.velocities)

    # The same start for every key, but for `random_start`: then its distribution.
    again, _ = environment.reset_env(jax.random.key(1), environment.default_params)
    np.testing.assert_array_equal(again, observation)
    reset = jax.jit(jax.vmap(AntMaze(random_start=True).reset_env, in_axes=(0, None)))
    _, states = reset(jax.random.split(jax.random.key(1), 2000), environment.default_params)
    places = np.asarray(states.positions)[:, [0, 1, 2, *range(7, 15)]] - np.delete(rest, range(3, 7))
    np.testing.assert_allclose(places.std(), 0.1 / np.sqrt(3), rtol=0.02)
    np.testing.assert_allclose(np.asarray(states.velocities).std(), 0.1, rtol=0.02)
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=0.006)


def test_descriptor_area_and_spaces(environment, start):
    _, state = start
    params = environment.default_params
    state = state.replace(positions=jnp.asarray(POSE).at[:2].set(jnp.array([33.0, -25.0])))
    np.testing.assert_allclose(environment.descriptor(state, params), [28 / 70, -30 / 70], rtol=1e-6)
    assert int(environment.area(state, params)) == 0
    assert (environment.observation_space(params).shape, environment.action_space(params).shape) == ((29,), (8,))
    assert params.max_steps_in_episode == 3000


def test_image_shows_torso_and_legs(environment):
    pose = np.concatenate([[20.125, 20.125], POSE[2:]]).astype(np.float32)
    image = np.asarray(environment.render(jnp.asarray(pose), 280))
    scene = np.asarray(environment.scene(280))
    # Pixels are 0.25 wide: the ant is in the middle of row 79 and column 200, its torso of radius 1 is blue.
    np.testing.assert_allclose(image[79, 200], [0, 0, 1], atol=1e-6)
    changed = np.abs(image - scene).max(axis=-1) > 0.5
    rows, columns = np.nonzero(changed)
    # The legs lie along the diagonals: 0.8 + 0.8 to the knees, then 1.6 cos(0.9) down to the feet; four times as large.
    reach = (1.6 + 1.6 * np.cos(0.9) + 0.32) / 0.25
    for extreme in (columns.max() - 200, 200 - columns.min(), rows.max() - 79, 79 - rows.min()):
        assert extreme == pytest.approx(reach, abs=1)


@pytest.mark.parametrize("ant_mass", [0.0, -1.0, np.nan, np.inf])
def test_a_bad_mass_is_refused(ant_mass):
    with pytest.raises(ValueError, match=r"^ant_mass: .* takes a positive number"):
        AntMaze(ant_mass=ant_mass)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_are_the_same_environment(duplicate):
    other = duplicate(AntMaze(ant_mass=3.0, random_start=True))
    assert other.random_start and float(other._model.body_mass.sum()) == pytest.approx(3.0)


@pytest.mark.slow
def test_physics(environment, start, advance):
    """In one test, because it compiles for a minute."""
    rng = np.random.default_rng(0)
    actions = np.zeros((4, 8), np.float32)
    actions[0] = rng.uniform(-1.5, 1.5, 8)
    actions[3, 0] = np.nan
    # In the air with torques; towards the free-standing wall, towards nothing, and without a number.
    states = poses(start, (20, 20, 8, 0.5), (-18, 20, 0.6, 8), (-18, -5, 0.53, 8), (0, 0, 3, 0))
    states = states.replace(time=jnp.array([2980, 0, 0, 0], jnp.int32))
    observations, states, rewards, terminated = jax.tree.map(np.asarray, advance(states, actions))

    model = ant_maze_model()
    reference = mujoco.MjData(model)
    # In the air for all of the way, and onto the floor, until impacts have amplified the rounding.
    for ant, place, speed, num_steps in ((2, (-18, -5, 0.53), 8, 12), (0, (20, 20, 8), 0.5, 40)):
        mujoco.mj_resetData(model, reference)
        reference.qpos[:], reference.qvel[0] = POSE, speed
        reference.qpos[:3], reference.ctrl[:] = place, np.clip(actions[ant], -1, 1)
        contacts = 0
        for n in range(num_steps):
            for _ in range(5):
                mujoco.mj_step(model, reference)
                contacts += reference.ncon
            np.testing.assert_allclose(states.positions[n, ant], reference.qpos, atol=1e-4)
            np.testing.assert_allclose(states.velocities[n, ant], reference.qvel, atol=5e-4)
        assert (contacts > 0) == (ant == 2)
    # Falling freely: the torso swings about the centre of mass, whose height is exact.
    assert reference.qpos[2] == pytest.approx(8 - 9.81 / 2, abs=0.3)

    # The torso's radius is 0.25, and the wall's face is at x = -15.3; without a wall it slides on.
    assert -16.5 < states.positions[:, 1, 0].max() < -15.3
    assert states.positions[:, 2, 0].max() > -14.7
    assert np.isfinite(observations[:, :3]).all() and not terminated.any()
    assert (states.positions[:, 1:3, 2] > 0.1).all()
    np.testing.assert_allclose(observations[..., :2], (states.positions[..., :2] - 5) / 70, atol=1e-6)
    assert np.isnan(observations[0, 3]).any()
    assert not rewards[:, :3].any()


@pytest.mark.slow
def test_last_step_pays_the_distance_to_a_goal(environment, start, advance):
    states = poses(start, (35, -24, 0.6, 0), (-25, 33, 0.6, 0), (-25, 33, 0.6, 0), (0, 0, 0.6, 0))
    states = states.replace(time=jnp.array([2999, 2961, 2900, 2961], jnp.int32))
    _, states, rewards, _ = jax.tree.map(np.asarray, advance(states, np.zeros((4, 8), np.float32)))
    goals = np.array([(35, -25), (-25, 35), (-25, 35), (35, -25)])
    closeness = 1 - np.linalg.norm(states.positions[:, :, :2] - goals, axis=-1) / 3
    expected = np.zeros((40, 4))
    expected[0, 0], expected[38, 1] = closeness[0, 0], closeness[38, 1]
    np.testing.assert_allclose(rewards, expected, atol=1e-5)
    assert rewards[0, 0] > 0.6 and rewards[38, 1] > 0.2
