"""The vehicle against closed forms, an independent look at where it has been, mirrors and scripted drivers."""

import copy
import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments import make, run_episodes
from jaxrl_sparse.environments.warehouse import AgvNavigation, AgvState
from jaxrl_sparse.environments.warehouse.agv_navigation import Target, Vehicle, target_position
from jaxrl_sparse.environments.warehouse.scenes import SCENES

DECAY = 1 - 0.05 / 0.2


def player(environment):
    """Observations, states, rewards and flags `[T, B, ...]` of commands `[T, B, 2]`, without resets."""

    def run(actions, keys, params):
        def step(states, actions):
            observations, states, rewards, terminated, _ = jax.vmap(environment.step_env, in_axes=(None, 0, 0, None))(
                jax.random.key(0), states, actions, params
            )
            return states, (observations, states, rewards, terminated)

        _, states = jax.vmap(environment.reset_env, in_axes=(0, None))(keys, params)
        return jax.lax.scan(step, states, actions)[1]

    compiled = jax.jit(run, compiler_options=QUICK_TO_COMPILE)

    def play(actions, params=None):
        keys = jax.random.split(jax.random.key(1), actions.shape[1])
        params = environment.default_params if params is None else params
        return compiled(jnp.asarray(actions, jnp.float32), keys, params)

    return play


@pytest.fixture(scope="module")
def play_complex():
    """Of the complex room with its target at rest; for commands `[300, 4, 2]`, so that it is compiled once."""
    return player(AgvNavigation("complex-static"))


def test_a_straight_run_and_a_turn_on_the_spot_are_sums_of_the_lag(play_complex):
    commands = np.tile([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0], [0.0, 0.0]], (300, 1, 1))
    # The straight run meets the wall later.
    observations, states, rewards, terminated = jax.tree.map(lambda leaf: leaf[:100], play_complex(commands))
    n = np.arange(1, 101)
    lagged = 0.05 * (n - DECAY * (1 - DECAY**n) / (1 - DECAY))
    np.testing.assert_allclose(states.vehicle.position[:, 0, 0], 2 + 2 * lagged, rtol=1e-5)
    np.testing.assert_array_equal(states.vehicle.position[:, 0, 1], 2.0)
    np.testing.assert_allclose(states.vehicle.heading[:, 1], -np.pi / 2 * lagged, rtol=1e-5)
    np.testing.assert_array_equal(states.vehicle.position[:, 1], np.full((100, 2), 2.0))
    np.testing.assert_allclose(observations[:, 0, 20], 1 - DECAY**n, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(observations[:, 1, 21], DECAY**n - 1, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(observations[:, 0, 23], n / 3000, rtol=1e-6)
    assert not terminated.any() and not rewards.any()


def test_the_observation_by_hand():
    environment = AgvNavigation()
    params = environment.default_params
    observation, state = environment.reset(jax.random.key(0), params)
    # At (2, 2), heading to the far wall: two walls are 18 m away, and two 2 m.
    np.testing.assert_allclose(observation[jnp.array([0, 4, 8, 12])], [1, 1, 0.2, 0.2], rtol=1e-5)
    np.testing.assert_allclose(observation[10], 0.2 * np.sqrt(2), rtol=1e-5)
    np.testing.assert_allclose(observation[16:], [-0.8, -0.8, 1, 0, 0, 0, 0, 0, 0], atol=1e-6)
    # Position -.8 by waves: sin(pi x), sin(2 pi x), ..., of x and of y, then the cosines.
    phases = np.tile(-0.8 * np.pi * np.array([1, 2, 4, 8]), 2)
    waves = np.concatenate([np.sin(phases), np.cos(phases)])
    np.testing.assert_allclose(environment.novelty_view(observation), waves, atol=1e-5)
    assert environment.observation_space(params).contains(observation)

    @jax.jit
    def seen_from(x, y):
        there = dataclasses.replace(state, vehicle=state.vehicle._replace(position=jnp.array([x, y])))
        return environment.step_env(jax.random.key(0), there, jnp.zeros(2), params)[0][24]

    # In sight; too far; behind the shelf at (10..16, 12..13.5).
    assert [float(seen_from(*point)) for point in ((18.0, 9.0), (18.0, 7.5), (13.0, 11.0))] == [1, 0, 0]


@pytest.fixture(scope="module")
def wandering():
    """1,000 control steps of 100 vehicles that are driven at random, half of them mostly forward."""
    environment = AgvNavigation("complex-dynamic")
    rng = np.random.default_rng(0)
    held = np.repeat(rng.uniform(-1, 1, (25, 100, 2)), 40, axis=0)
    forward = np.where(np.arange(2) == 0, np.abs(held), 0.3 * held)
    commands = np.concatenate([held[:, :50], forward[:, 50:]], axis=1) + rng.normal(0, 0.2, held.shape)
    return environment, player(environment)(commands)


def test_the_vehicle_is_never_in_a_shelf_or_a_wall(wandering):
    _, (observations, states, rewards, terminated) = wandering
    room = SCENES["complex-static"].room
    positions = np.asarray(states.vehicle.position, np.float64).reshape(-1, 2)
    assert len(positions) == 100_000
    beyond = np.maximum(room.shelves[:, :2] - positions[:, None], positions[:, None] - room.shelves[:, 2:])
    assert np.linalg.norm(np.maximum(beyond, 0), axis=2).min() >= 0.5 - 1e-5
    assert positions.min() >= 0.5 - 1e-5 and positions.max() <= room.size - 0.5 + 1e-5
    collided = np.asarray(states.collided)
    assert 0.02 < collided.mean() < 0.9
    np.testing.assert_allclose(rewards, terminated - 0.01 * collided, atol=1e-6)
    np.testing.assert_array_equal(observations[..., 22], collided)
    np.testing.assert_array_equal(np.asarray(states.vehicle.speed)[collided], 0.0)


def test_observations_are_in_their_space_and_no_ray_is_shorter_than_the_vehicle(wandering):
    environment, (observations, *_) = wandering
    space = environment.observation_space(environment.default_params)
    assert np.all(observations >= space.low - 1e-5) and np.all(observations <= space.high + 1e-5)
    assert np.asarray(observations)[..., :16].min() > 0.05 - 1e-4


def test_a_mirrored_world_mirrors_everything(play_complex):
    params = AgvNavigation("complex-static").default_params
    low_y, high_y = params.size - params.shelves[:, 3], params.size - params.shelves[:, 1]
    flip = jnp.array([0.0, params.size]), jnp.array([1.0, -1.0])
    mirrored = params.replace(
        shelves=jnp.stack([params.shelves[:, 0], low_y, params.shelves[:, 2], high_y], axis=1),
        start=flip[0] + flip[1] * params.start,
        target_cells=(flip[0] + flip[1] * params.target_cells.reshape(-1, 2, 2)).reshape(-1, 4),
    )
    commands = np.repeat(np.random.default_rng(3).uniform([-0.3, -1], 1, (15, 4, 2)), 20, axis=0)
    observations, states, rewards, _ = play_complex(commands, params)
    others, other_states, other_rewards, _ = play_complex(commands * np.array([1, -1]), mirrored)
    np.testing.assert_allclose(other_states.vehicle.position, flip[0] + flip[1] * states.vehicle.position, atol=1e-3)
    np.testing.assert_allclose(others[..., :16], observations[..., (-np.arange(16)) % 16], atol=2e-3)
    signs = np.array([1, -1, 1, -1, 1, -1, 1, 1, 1])
    np.testing.assert_allclose(others[..., 16:], observations[..., 16:] * signs, atol=1e-3)
    np.testing.assert_array_equal(other_rewards, rewards)
    assert np.asarray(states.collided).any()


def test_a_repeated_action_is_the_same_action_again_and_again():
    once, repeated = AgvNavigation("simple-dynamic"), AgvNavigation("simple-dynamic", action_repeat=10)
    commands = np.random.default_rng(4).uniform([-0.2, -1], 1, (30, 6, 2))
    _, fine, fine_rewards, _ = player(once)(np.repeat(commands, 10, axis=0))
    observations, coarse, rewards, terminated = player(repeated)(commands)
    assert not terminated.any()
    np.testing.assert_allclose(coarse.vehicle.position, fine.vehicle.position[9::10], atol=1e-4)
    np.testing.assert_allclose(rewards, fine_rewards.reshape(30, 10, 6).sum(1), atol=1e-6)
    np.testing.assert_allclose(observations[-1, :, 23], 30 / 200, rtol=1e-6)
    assert [repeated.default_params.max_steps_in_episode, once.default_params.max_steps_in_episode] == [200, 2000]


def follow(way_points):
    """A driver that turns to the next of its points `[N, 2]` before it drives there; its memory is in the batch."""
    points = jnp.asarray(way_points, jnp.float32)

    def act(memory, observation, size):
        position = (observation[16:18] + 1) * size / 2
        index = jnp.minimum(memory + (jnp.linalg.norm(points[memory] - position) < 0.4), len(points) - 1)
        ahead = points[index] - position
        error = jnp.arctan2(ahead[1], ahead[0]) - jnp.arctan2(observation[19], observation[18])
        error = jnp.arctan2(jnp.sin(error), jnp.cos(error))
        return index, jnp.stack([jnp.where(jnp.abs(error) < 0.3, 0.8, 0.0), jnp.clip(2 * error, -1, 1)])

    return act


@pytest.mark.parametrize(
    ("scene", "way_points"),
    [
        ("simple-static", [(18, 2), (18, 18)]),
        ("complex-static", [(1.5, 8.5), (13, 9.8), (19, 10), (19, 26.8), (28, 27)]),
    ],
)
def test_a_scripted_driver_finds_the_target(scene, way_points):
    environment, driver = AgvNavigation(scene, action_repeat=5), follow(way_points)

    def run(params):
        def step(carry, _):
            memory, observation, state = carry
            memory, action = driver(memory, observation, params.size)
            observation, state, reward, terminated, _ = environment.step_env(jax.random.key(0), state, action, params)
            return (memory, observation, state), (reward, terminated)

        start = (jnp.int32(0), *environment.reset_env(jax.random.key(0), params))
        return jax.lax.scan(step, start, length=SCENES[scene].horizon // 5)[1]

    rewards, terminated = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(environment.default_params)
    assert terminated.any()
    first = int(np.argmax(terminated))
    assert rewards[first] == 1 and not np.any(rewards[:first]), "it collides with nothing on its way"


def test_drivers_at_random_hardly_ever_find_it():
    environment = AgvNavigation("simple-static", action_repeat=10)

    def episodes(key):
        def act(keys, observations):
            # What the clock shows makes the draws of one step different from those of another.
            times = jnp.round(observations[:, 23] * 200).astype(jnp.int32)
            return jax.vmap(lambda key, time: jax.random.uniform(jax.random.fold_in(key, time), (2,), minval=-1.0))(
                keys, times
            )

        row_key, run_key = jax.random.split(key)
        keys = jax.random.split(row_key, 500)
        return run_episodes(environment, act, keys, run_key, environment.default_params, 200)

    ended = jax.jit(episodes, compiler_options=QUICK_TO_COMPILE)(jax.random.key(5))
    assert np.all(ended.terminated | ended.truncated)
    assert np.mean(ended.terminated) < 0.02


def test_moving_targets_are_drawn_from_what_is_free_and_keep_to_it():
    environment = AgvNavigation("complex-dynamic")
    params = environment.default_params
    draw = jax.jit(jax.vmap(environment.reset_env, in_axes=(0, None)), compiler_options=QUICK_TO_COMPILE)
    target = draw(jax.random.split(jax.random.key(6), 4000), params)[1].target
    times = jnp.linspace(0, 40, 81)
    path = jax.vmap(jax.vmap(target_position, in_axes=(None, 0, None)), in_axes=(0, None, None))(target, times, params)
    room = SCENES["complex-dynamic"].room
    points = np.asarray(path, np.float64)
    flat = points.reshape(-1, 2)
    beyond = np.maximum(room.shelves[:, :2] - flat[:, None], flat[:, None] - room.shelves[:, 2:]).max(-1)
    assert beyond.min() >= 0.75 - 1e-4 and flat.min() >= 0.75 - 1e-4 and flat.max() <= room.size - 0.75 + 1e-4
    np.testing.assert_allclose(points[:, 0], target.position, atol=1e-5)
    assert np.abs(points - points[:, :1])[..., 0].max() <= 2 + 1e-4 and not np.ptp(points[..., 1], axis=1).any()
    steps = np.abs(np.diff(points[..., 0], axis=1))
    assert steps.max() <= 0.25 + 1e-4 and np.median(steps) > 0.24
    # Uniform over the free rectangles: five deviations of a count.
    cells = np.asarray(params.target_cells)
    shares = np.diff(np.append(0, params.target_shares))
    drawn = ((cells[:, :2] <= points[:, None, 0]) & (points[:, None, 0] < cells[:, 2:])).all(-1).mean(0)
    assert np.all(np.abs(drawn - shares) < 5 * np.sqrt(shares * (1 - shares) / 4000) + 1e-6)


def test_a_target_moves_to_and_fro():
    params = AgvNavigation("simple-dynamic").default_params
    target = Target(jnp.array([5.0, 3.0]), jnp.float32(4.0), jnp.float32(5.5))
    xs = [float(target_position(target, jnp.float32(t), params)[0]) for t in (0, 1, 2, 4, 5, 6)]
    np.testing.assert_allclose(xs, [5, 5.5, 5, 4, 4.5, 5], atol=1e-5)


def test_a_target_comes_to_a_vehicle_that_waits():
    """It comes near enough after 1.06 s, within the third of three actions of ten control steps."""
    environment = AgvNavigation("simple-dynamic", action_repeat=10)
    params = environment.default_params
    _, state = environment.reset(jax.random.key(0), params)
    target = Target(jnp.array([5.0, 3.0]), jnp.float32(3.0), jnp.float32(8.0))
    state = dataclasses.replace(state, vehicle=state.vehicle._replace(position=jnp.array([6.28, 3.0])), target=target)
    step = jax.jit(environment.step_env, compiler_options=QUICK_TO_COMPILE)
    outcomes = []
    for _ in range(3):
        _, state, reward, terminated, _ = step(jax.random.key(0), state, jnp.zeros(2), params)
        outcomes.append((float(reward), bool(terminated)))
    assert outcomes == [(0.0, False), (0.0, False), (1.0, True)]


def test_both_ways_of_asking_are_the_same_environment():
    environment = make("agv-complex-static", action_repeat=10)
    assert environment.scene == "complex-static" and environment.default_params.max_steps_in_episode == 300
    for twin in (copy.deepcopy(environment), pickle.loads(pickle.dumps(environment))):
        assert twin.default_params.max_steps_in_episode == 300
    _, state = environment.reset(jax.random.key(0))
    assert isinstance(state, AgvState) and isinstance(state.vehicle, Vehicle)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"^scene: got 'simple', takes one of simple-"):
        AgvNavigation("simple")
    with pytest.raises(ValueError, match=r"^action_repeat: got 7, takes a divisor of the 2000 control steps"):
        AgvNavigation(action_repeat=7)
