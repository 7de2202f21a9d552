"""The definition of a batch is the single environment, row by row; every mode is held against it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environments.probes import Drift, assert_trees_close

from jaxrl_sparse.environments.vectorized import vectorize

ENVIRONMENT = Drift()
PARAMS = ENVIRONMENT.default_params
NUM_ENVIRONMENTS, NUM_STEPS = 6, 14
ACTIONS = 0.2 * jax.random.normal(jax.random.key(7), (NUM_STEPS, NUM_ENVIRONMENTS, 2)) + jnp.array([0.2, 0.0])


def play(key, reset_mode, reset_capacity=None, pool_size=3):
    """First observations and states, and all that `NUM_STEPS` steps gave, states included."""
    batch = vectorize(ENVIRONMENT, NUM_ENVIRONMENTS, reset_mode, reset_capacity, pool_size)
    reset_key, key = jax.random.split(key)
    start = batch.reset(reset_key, PARAMS)

    def step(states, inputs):
        step_key, actions = inputs
        observations, states, *outcome, info = batch.step(step_key, states, actions, PARAMS)
        return states, (observations, states, *outcome, info)

    return start, jax.lax.scan(step, start[1], (jax.random.split(key, NUM_STEPS), ACTIONS))[1]


def run(*arguments):
    return jax.jit(play, static_argnums=(1, 2, 3))(jax.random.key(3), *arguments)


@pytest.fixture(scope="module")
def every():
    return run("every")


def stack(rows):
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *rows)


@pytest.fixture(scope="module")
def by_row():
    """The definition, as loops in Python over steps and rows."""
    step_env, reset_env = jax.jit(ENVIRONMENT.step_env), jax.jit(ENVIRONMENT.reset_env)
    reset_key, key = jax.random.split(jax.random.key(3))
    rows = [reset_env(k, PARAMS) for k in jax.random.split(reset_key, NUM_ENVIRONMENTS)]
    start = stack(rows)
    states = [state for _, state in rows]
    steps = []
    for batch_key, actions in zip(jax.random.split(key, NUM_STEPS), np.asarray(ACTIONS), strict=True):
        step_key, reset_key = jax.random.split(batch_key)
        row_keys = jax.random.split(step_key, NUM_ENVIRONMENTS)
        rows = []
        for i in range(NUM_ENVIRONMENTS):
            final, state, reward, terminated, info = step_env(row_keys[i], states[i], actions[i], PARAMS)
            truncated = state.time >= PARAMS.max_steps_in_episode
            observation = final
            if terminated or truncated:
                observation, state = reset_env(jax.random.fold_in(reset_key, i), PARAMS)
            states[i] = state
            flags = {"terminated": terminated, "truncated": truncated, "discount": np.float32(1 - terminated)}
            info = {**info, **flags, "final_observation": final}
            rows.append((observation, state, reward, terminated, truncated, info))
        steps.append(stack(rows))
    return start, stack(steps)


def test_every_equals_the_single_environment_row_by_row(every, by_row):
    assert_trees_close(every, by_row, rtol=1e-5, atol=1e-6)


def test_the_experience_holds_all_cases(every):
    """What the comparisons below rest on: steps in which no, some and more rows ended than one round resets."""
    _, (_, _, _, terminated, truncated, _) = every
    ended = np.sum(terminated | truncated, axis=1)
    assert ended.min() == 0 and ended.max() > 2
    assert np.any(terminated & truncated) and np.any(terminated & ~truncated) and np.any(truncated & ~terminated)


@pytest.mark.parametrize("reset_capacity", [1, NUM_ENVIRONMENTS])
def test_conditional_equals_every_exactly(every, reset_capacity):
    assert_trees_close(run("conditional", reset_capacity), every)


def test_conditional_under_vmap_equals_single_runs(every):
    """A sweep batches the loop's predicate: rounds that one member does not need must not touch it."""
    other = jax.random.key(11)
    keys = jnp.stack([other, jax.random.key(3)])
    # The detector takes the slices of a key that was split under vmap for one and the same.
    with jax.debug_key_reuse(False):
        swept = jax.jit(jax.vmap(lambda key: play(key, "conditional", 2)))(keys)
    assert_trees_close(jax.tree.map(lambda leaf: leaf[1], swept), every, rtol=1e-5, atol=1e-6)
    _, (_, _, _, terminated, truncated, _) = swept
    ended = np.sum(terminated | truncated, axis=-1)
    assert (ended[0] != ended[1]).any()


def test_every_episode_starts_anew(every):
    (first, _), (observations, states, _, terminated, truncated, _) = every
    fresh = np.asarray(observations)[np.asarray(terminated | truncated)]
    starts = np.concatenate([np.asarray(first), fresh])
    assert len(np.unique(starts, axis=0)) == len(starts) > 15
    assert (starts >= 0).all() and (starts < 1).all()
    done = np.asarray(terminated | truncated)
    np.testing.assert_array_equal(np.asarray(states.start)[done], fresh)
    assert (np.asarray(states.time)[done] == 0).all() and (np.asarray(states.time)[~done] > 0).all()


def test_pool_draws_from_first_states_made_beforehand():
    (first, start), (observations, states, _, terminated, truncated, info) = run("pool", 2, 3)
    pool = np.asarray(start.pool_observations)
    assert_trees_close(start.pool_observations, start.pool_states.start)
    assert len(np.unique(pool, axis=0)) == 3 and len(np.unique(np.asarray(first), axis=0)) > 1
    assert all((row == pool).all(1).any() for row in np.asarray(first))
    _, key = jax.random.split(jax.random.key(3))
    for t, batch_key in enumerate(jax.random.split(key, NUM_STEPS)):
        _, reset_key = jax.random.split(batch_key)
        np.testing.assert_array_equal(states.pool_observations[t], pool)
        for i in range(NUM_ENVIRONMENTS):
            state = jax.tree.map(lambda leaf, t=t, i=i: leaf[t, i], states.states)
            if terminated[t, i] or truncated[t, i]:
                choice = int(jax.random.bits(jax.random.fold_in(reset_key, i))) % 3
                expected = jax.tree.map(lambda leaf, choice=choice: leaf[choice], start.pool_states)
                assert_trees_close((observations[t, i], state), (start.pool_observations[choice], expected))
            else:
                assert_trees_close(observations[t, i], info["final_observation"][t, i])
                assert int(state.time) > 0


def test_without_resets_rows_step_on():
    _, (observations, states, _, _, truncated, info) = run("none")
    np.testing.assert_array_equal(observations, info["final_observation"])
    expected = np.broadcast_to(np.arange(1, NUM_STEPS + 1)[:, None], (NUM_STEPS, NUM_ENVIRONMENTS))
    np.testing.assert_array_equal(states.time, expected)
    np.testing.assert_array_equal(truncated, expected >= PARAMS.max_steps_in_episode)


class PaysIntegers(Drift):
    def step_env(self, key, state, action, params):
        observation, state, _, terminated, info = super().step_env(key, state, action, params)
        return observation, state, jnp.int32(7), terminated.astype(jnp.float32), info


def test_rewards_are_float32_and_flags_bool():
    batch = vectorize(PaysIntegers(), 2)

    def one_step(reset_key, step_key):
        _, states = batch.reset(reset_key, PARAMS)
        return batch.step(step_key, states, jnp.zeros((2, 2)), PARAMS)

    _, _, rewards, terminated, truncated, _ = jax.jit(one_step)(*jax.random.split(jax.random.key(3)))
    assert (rewards.dtype, terminated.dtype, truncated.dtype) == (jnp.float32, jnp.bool_, jnp.bool_)
    np.testing.assert_array_equal(rewards, [7.0, 7.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_environments": 0}, "num_environments: got 0, takes an integer of at least 1"),
        ({"reset_mode": "pooled"}, "reset_mode: got 'pooled', takes one of conditional, pool, every, none"),
        ({"reset_capacity": 5}, "reset_capacity: got 5, takes an integer from 1 to num_environments=4"),
        ({"reset_capacity": 0}, "reset_capacity: got 0, takes an integer from 1 to num_environments=4"),
        ({"pool_size": 0}, "pool_size: got 0, takes an integer of at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        vectorize(**{"environment": ENVIRONMENT, "num_environments": 4, **arguments})


def test_gymnax_wrappers_are_refused():
    """They override `step` alone: what they add would be left out without a word."""
    from gymnax.wrappers import LogWrapper

    with pytest.raises(ValueError, match="environment: got 'LogWrapper', takes"):
        vectorize(LogWrapper(ENVIRONMENT), 4)
