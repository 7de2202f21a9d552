import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environments.probes import assert_trees_close

from jaxrl_sparse.environments.adapters.brax import BraxEnvironment, envs
from jaxrl_sparse.environments.make import make
from jaxrl_sparse.environments.rollouts import rollout, start_rollout
from jaxrl_sparse.environments.vectorized import vectorize


class Slide(envs.Env):
    """A point on a line, in brax's interface and with brax's habits: a Python reward, float `done`, raw keys."""

    def __init__(self, backend="spring", friction=0.0, **kwargs):
        self.friction = friction
        # Module-valued, as brax's own: neither copy nor pickle takes it.
        self._pipeline = jax

    def reset(self, rng):
        assert rng.dtype == jnp.uint32 and rng.shape == (2,)
        position = jax.random.uniform(rng, (1,))
        reward, done = jnp.zeros(2)
        return envs.State(
            position, position, reward, done, {"height": jnp.zeros(()), "forward": jnp.zeros(())}, {"goal": position}
        )

    def step(self, state, action):
        position = state.pipeline_state + (1 - self.friction) * action
        done = jnp.where(position[0] > 2, 1.0, 0.0)
        # In place and as a Python number at that, as brax's ant does: the caller's state must not change.
        state.metrics.update(height=2 * position[0], forward=0.0)
        return state.replace(pipeline_state=position, obs=position, reward=1.0, done=done)

    observation_size, action_size, backend = 1, 1, "none"


@pytest.fixture(scope="module")
def slide():
    envs.register_environment("slide", Slide)
    yield make("brax/slide", max_steps_in_episode=3)
    del envs._envs["slide"]


def play(environment, action, num_steps):
    """What `step` gave: observations, states, rewards, both flags, final observations."""

    def step(state, key):
        observation, state, *outcome, info = environment.step(key, state, jnp.full(1, action))
        return state, (observation, state, *outcome, info["final_observation"][0], info["height"])

    _, state = environment.reset(jax.random.key(0))
    return state, jax.lax.scan(step, state, jax.random.split(jax.random.key(1), num_steps))[1]


def test_the_time_limit_truncates_and_the_physics_terminates(slide):
    start, (_, _, rewards, terminated, truncated, finals, heights) = play(slide, 0.1, 7)
    np.testing.assert_array_equal(terminated, [0] * 7)
    np.testing.assert_array_equal(truncated, [0, 0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(rewards, np.ones(7, np.float32))
    np.testing.assert_allclose(finals[:3], start.physics.obs[0] + 0.1 * np.arange(1, 4), rtol=1e-6)
    np.testing.assert_allclose(heights, 2 * finals, rtol=1e-6)
    # Starts are in [0, 1), so that three steps of .7 pass 2 for sure, and two do for starts above .6 alone.
    _, (_, _, _, terminated, truncated, finals, _) = play(slide, 0.7, 20)
    np.testing.assert_array_equal(terminated, finals > 2)
    assert (terminated & truncated).any() and (terminated & ~truncated).any()


def test_every_episode_starts_anew(slide):
    _, (observations, states, _, _, truncated, finals, _) = play(slide, 0.1, 12)
    done = np.asarray(truncated)
    starts = np.asarray(observations)[done, 0]
    assert len(starts) == len(np.unique(starts)) == 4
    assert (np.asarray(states.time)[done] == 0).all() and (np.abs(finals[done] - starts) > 1e-3).all()
    # The goal of an episode is its own: brax's wrapper keeps that of the first.
    np.testing.assert_array_equal(np.asarray(states.physics.info["goal"])[done, 0], starts)


def test_runs_in_batches(slide):
    params = slide.default_params
    batch = vectorize(slide, 5, reset_capacity=2)

    def policy(key, observations):
        return jax.random.uniform(key, (5, 1)), {}

    def run(key):
        return rollout(batch, policy, 9, start_rollout(batch, key, params), params, ("height",))

    trajectory, _ = jax.jit(run)(jax.random.key(0))
    moved = trajectory.next_observations - trajectory.observations
    np.testing.assert_allclose(moved, trajectory.actions, atol=1e-6)
    np.testing.assert_allclose(trajectory.extras["height"], 2 * trajectory.next_observations[..., 0], rtol=1e-6)
    np.testing.assert_array_equal(trajectory.terminated, trajectory.next_observations[..., 0] > 2)
    after = np.asarray(trajectory.observations)[1:][np.asarray(trajectory.dones)[:-1]]
    assert len(np.unique(after)) == len(after) > 5 and (after < 1).all()


def test_types_are_strong_and_do_not_change_in_a_step(slide):
    params = slide.default_params

    def two(key):
        observation, state = slide.reset_env(key, params)
        return (observation, state), slide.step_env(key, state, jnp.zeros(1), params)

    first, (observation, state, reward, terminated, _) = jax.eval_shape(two, jax.random.key(0))
    kinds = [
        jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)
        for tree in (first, (observation, state))
    ]
    assert kinds[0] == kinds[1] and not any(leaf.weak_type for leaf in jax.tree.leaves(first))
    assert (reward.dtype, terminated.dtype) == (jnp.float32, jnp.bool_)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"]
)
def test_copies_are_alike(slide, duplicate):
    environment = BraxEnvironment("slide", "spring", 5, friction=0.5)
    twin = duplicate(environment)
    assert twin.name == environment.name == "brax/slide/spring" and slide.name == "brax/slide"
    assert twin.default_params.max_steps_in_episode == 5
    _, state = twin.reset(jax.random.key(0))
    observation, *_ = twin.step_env(jax.random.key(0), state, jnp.ones(1), twin.default_params)
    assert_trees_close(observation, state.physics.obs + 0.5, rtol=1e-6)


def test_spaces(slide):
    params = slide.default_params
    assert slide.observation_space(params).shape == (1,) and slide.num_actions == 1
    assert (slide.action_space(params).low, slide.action_space(params).high) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("ants", {}, "brax environment: got 'ants', takes one of ant, "),
        ("ant/springs", {}, "backend: got 'springs', takes one of generalized, mjx, positional, spring"),
        ("ant", {"episode_length": 3}, "option: got 'episode_length', takes one of max_steps_in_episode, "),
        ("ant", {"max_steps_in_episode": 0}, "max_steps_in_episode: got 0, takes an integer of at least 1"),
    ],
)
def test_bad_arguments_are_refused(path, options, message):
    with pytest.raises(ValueError, match=message):
        make(f"brax/{path}", **options)


@pytest.mark.slow
def test_inverted_pendulum():
    """The real physics: falls by itself, is cut by the limit, and starts from another state after either."""
    environment = make("brax/inverted_pendulum/spring", max_steps_in_episode=20)
    params = environment.default_params
    batch = vectorize(environment, 4)

    def policy(key, observations):
        # Two carts are pushed over, two are left alone.
        return jnp.array([[1.0], [-1.0], [0.0], [0.0]]), {}

    def run(key):
        return rollout(batch, policy, 45, start_rollout(batch, key, params), params)

    trajectory, end = jax.jit(run)(jax.random.key(0))
    np.testing.assert_array_equal(trajectory.terminated, np.abs(trajectory.next_observations[..., 1]) > 0.2)
    assert trajectory.terminated[:, :2].sum() > 4 and not trajectory.terminated[:, 2:].any()
    np.testing.assert_array_equal(np.flatnonzero(trajectory.truncated[:, 2]), [19, 39])
    after = np.asarray(trajectory.observations)[1:][np.asarray(trajectory.dones)[:-1]]
    assert len(np.unique(after, axis=0)) == len(after) and (np.abs(after) <= 0.0101).all()
    assert np.isfinite(end.observations).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ant", "fast", "halfcheetah", "hopper", "humanoid", "pusher", "reacher", "walker2d"])
def test_a_step_keeps_the_types_of_the_state(name):
    environment = make(f"brax/{name}")
    params = environment.default_params
    _, state = jax.eval_shape(environment.reset_env, jax.random.key(0), params)
    action = jax.ShapeDtypeStruct(environment.action_space(params).shape, jnp.float32)
    _, stepped, *_ = jax.eval_shape(environment.step_env, jax.random.key(0), state, action, params)
    kind = lambda leaf: (leaf.shape, leaf.dtype)  # noqa: E731
    assert jax.tree.map(kind, stepped) == jax.tree.map(kind, state)


def test_swimmer_is_refused():
    with pytest.raises(ValueError, match="brax environment: got 'swimmer', takes one that runs"):
        make("brax/swimmer")
