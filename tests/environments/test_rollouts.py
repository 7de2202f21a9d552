"""Rollouts against loops in Python, and episodes against one environment at a time until its first end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environments.probes import Counter, Drift, assert_trees_close

from jaxrl_sparse.environments.planar.redundant_arm import RedundantArm
from jaxrl_sparse.environments.rollouts import rollout, run_episodes, start_rollout
from jaxrl_sparse.environments.vectorized import vectorize

ENVIRONMENT = Drift()
PARAMS = ENVIRONMENT.default_params
NUM_ENVIRONMENTS, NUM_STEPS = 3, 8
BATCH = vectorize(ENVIRONMENT, NUM_ENVIRONMENTS)


def policy(key, observations):
    noise = jax.random.normal(key, observations.shape)
    return 0.2 + 0.1 * noise - 0.1 * observations, {"log_probs": -jnp.sum(noise**2, axis=-1)}


def again(rollout_state):
    """The same start with a key that may be used once more."""
    return rollout_state._replace(key=jax.random.clone(rollout_state.key))


def go_on(rollout_state, num_steps):
    return rollout(BATCH, policy, num_steps, rollout_state, PARAMS, info_entries=("travelled",))


@pytest.fixture(scope="module")
def start():
    return jax.jit(lambda key: start_rollout(BATCH, key, PARAMS))(jax.random.key(4))


@pytest.fixture(scope="module")
def long(start):
    return jax.jit(go_on, static_argnums=1)(again(start), NUM_STEPS)


def test_rollout_equals_a_loop(start, long):
    act, step = jax.jit(policy), jax.jit(BATCH.step)
    observations, states, key, _ = again(start)
    for t in range(NUM_STEPS):
        key, policy_key, environment_key = jax.random.split(key, 3)
        actions, extras = act(policy_key, observations)
        seen = observations
        observations, states, rewards, terminated, truncated, info = step(environment_key, states, actions, PARAMS)
        row = (seen, actions, rewards, terminated, truncated, info["final_observation"])
        row = (*row, {**extras, "travelled": info["travelled"]})
        assert_trees_close(jax.tree.map(lambda leaf, t=t: leaf[t], tuple(long[0])), row, rtol=1e-5, atol=1e-6)
    assert_trees_close(tuple(long[1]), (observations, states, key, None), rtol=1e-5, atol=1e-6)


def test_pieces_make_the_whole(start, long):
    piece = jax.jit(go_on, static_argnums=1)
    first, middle = piece(again(start), NUM_STEPS // 2)
    second, end = piece(middle, NUM_STEPS // 2)
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), first, second)
    assert_trees_close((joined, end), long, rtol=1e-5, atol=1e-6)


def test_a_memory_is_zero_where_an_episode_starts(start):
    """A policy that counts its steps counts those of each episode, in whatever pieces they come."""

    def count(key, observations, steps):
        actions, _ = policy(key, observations)
        return actions, {"steps": steps}, steps + 1

    def go(state):
        return rollout(BATCH, count, NUM_STEPS // 2, state, PARAMS)

    first, middle = jax.jit(go)(again(start)._replace(memory=jnp.zeros(start.observations.shape[0], jnp.int32)))
    second, _ = jax.jit(go)(middle)
    counted = np.concatenate([first.extras["steps"], second.extras["steps"]])
    dones = np.concatenate([first.dones, second.dones])
    expected = np.zeros_like(counted)
    for t in range(1, len(counted)):
        expected[t] = np.where(dones[t - 1], 0, expected[t - 1] + 1)
    np.testing.assert_array_equal(counted, expected)
    assert dones.any()


def test_next_observations_are_from_before_the_reset(long):
    trajectory, end = long
    shown = np.concatenate([trajectory.observations[1:], end.observations[None]])
    differs = np.any(shown != np.asarray(trajectory.next_observations), axis=-1)
    np.testing.assert_array_equal(differs, trajectory.dones)
    assert differs.any() and not differs.all()
    np.testing.assert_array_equal(trajectory.next_observations[..., 0] > 1.2, trajectory.terminated)


@pytest.mark.parametrize(
    ("num_steps", "entries", "message"),
    [
        (0, (), "num_steps: got 0, takes an integer of at least 1"),
        (
            1,
            ("speed",),
            "info_entries: got 'speed', takes .* discount, final_observation, terminated, travelled, truncated",
        ),
        (1, ("log_probs",), "info_entries: got 'log_probs', takes"),
    ],
)
def test_rollout_refuses(start, num_steps, entries, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda state: rollout(BATCH, policy, num_steps, state, PARAMS, entries), again(start))


def test_rollout_refuses_a_word_twice(start):
    twice = vectorize(ENVIRONMENT, NUM_ENVIRONMENTS)._replace(
        step=lambda *arguments: (*(out := BATCH.step(*arguments))[:5], {**out[5], "log_probs": out[2]})
    )
    with pytest.raises(ValueError, match="info_entries: got 'log_probs', takes words that"):
        jax.eval_shape(lambda state: rollout(twice, policy, 1, state, PARAMS, ("log_probs",)), again(start))


GENOMES = jnp.array([[0.9, 0.0], [0.0, 0.1], [0.3, -0.2], [-0.2, 0.2], [0.25, 0.0]])


def act(genomes, observations):
    return genomes - 0.05 * observations


def count_and_add(carry, transition):
    """Time and observations of the steps that count, and how often the batch was stepped."""
    steps, times, observations = carry
    seen = jnp.where(transition.active[:, None], transition.next_observations + transition.observations, 0.0)
    return steps + 1, times + transition.time * transition.active, observations + seen


INITIAL = (jnp.int32(0), jnp.zeros(5, jnp.int32), jnp.zeros((5, 2)))


def episodes(key, num_steps):
    return run_episodes(ENVIRONMENT, act, GENOMES, key, PARAMS, num_steps, accumulate=count_and_add, initial=INITIAL)


@pytest.fixture(scope="module")
def whole():
    # Far more steps than any episode has: that this ends shows that the loop stops early.
    return jax.jit(episodes, static_argnums=1)(jax.random.key(8), 2**31 - 1)


def one_by_one(key, num_steps):
    """The same episodes, a loop over rows and steps in Python."""
    step_env, reset_env = jax.jit(ENVIRONMENT.step_env), jax.jit(ENVIRONMENT.reset_env)
    reset_key, step_key = jax.random.split(key)
    reset_keys = jax.random.split(reset_key, len(GENOMES))
    rows = []
    for i, genome in enumerate(GENOMES):
        observation, state = reset_env(reset_keys[i], PARAMS)
        total, times, seen = 0.0, 0, jnp.zeros(2)
        for t in range(num_steps):
            row_key = jax.random.split(jax.random.fold_in(step_key, t), len(GENOMES))[i]
            before = observation
            observation, state, reward, terminated, _ = step_env(row_key, state, act(genome, before), PARAMS)
            truncated = ENVIRONMENT.is_truncated(state, PARAMS)
            total, times, seen = total + reward, times + t, seen + before + observation
            if terminated or truncated:
                break
        rows.append((observation, state, total, jnp.int32(t + 1), terminated, truncated, (times, seen)))
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *rows)


def test_episodes_equal_one_environment_at_a_time(whole):
    *ends, (_, times, seen) = whole
    assert_trees_close((*ends, (times, seen)), one_by_one(jax.random.key(8), 100), rtol=1e-5, atol=1e-6)
    lengths = np.asarray(whole.lengths)
    assert lengths.min() < lengths.max() == 4 and (whole.terminated & ~whole.truncated).any()
    assert (~whole.terminated & whole.truncated).any()


def test_the_loop_stops_with_the_last_row(whole):
    assert int(whole.accumulated[0]) == int(whole.lengths.max()) == 4


def test_too_few_steps_leave_both_flags_false():
    short = jax.jit(episodes, static_argnums=1)(jax.random.key(8), 2)
    ended = np.asarray(short.terminated | short.truncated)
    assert not ended.all() and (np.asarray(short.lengths)[~ended] == 2).all()
    *ends, (steps, times, seen) = short
    assert_trees_close((*ends, (times, seen)), one_by_one(jax.random.key(8), 2), rtol=1e-5, atol=1e-6)
    assert int(steps) == 2


def test_swept_episodes_equal_single_ones(whole):
    """A sweep batches the loop's predicate: a member that is done early stays as it is."""
    keys = jnp.stack([jax.random.key(1), jax.random.key(8)])
    # The detector takes the slices of a key that was split under vmap for one and the same.
    with jax.debug_key_reuse(False):
        swept = jax.jit(jax.vmap(lambda key: episodes(key, 9)))(keys)
    *ends, accumulated = jax.tree.map(lambda leaf: leaf[1], swept)
    assert_trees_close((*ends, accumulated), tuple(whole), rtol=1e-5, atol=1e-6)


class Diverges(Counter):
    """Whose physics is NaN in every step after the end of an episode."""

    def step_env(self, key, state, action, params):
        action = jnp.where(state.count >= 3, jnp.nan, action)
        return super().step_env(key, state, action, params)


def run_diverging(num_steps, genomes=None, num_environments=3):
    environment = Diverges()
    params = environment.default_params.replace(max_steps_in_episode=100)
    speeds = jnp.array([3.0, 1.0, 0.5])
    key = jax.random.key(0)
    return run_episodes(environment, lambda _, seen: speeds, genomes, key, params, num_steps, num_environments)


def test_rows_that_ended_are_frozen():
    ends = jax.jit(run_diverging, static_argnums=0)(100)
    np.testing.assert_array_equal(ends.states.count, [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(ends.observations[:, 0], [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(ends.lengths, [1, 3, 6])
    np.testing.assert_array_equal(ends.states.time, [1, 3, 6])
    np.testing.assert_array_equal(ends.returns, [3.0, 6.0, 0.5 + 1 + 1.5 + 2 + 2.5 + 3])


def test_memory_does_not_grow_and_no_key_is_drawn_where_nothing_is_random():
    compiled = [jax.jit(run_diverging, static_argnums=0).lower(num_steps).compile() for num_steps in (10, 100_000)]
    small, large = (program.memory_analysis().temp_size_in_bytes for program in compiled)
    assert small == large
    assert "while" in compiled[0].as_text() and "shift-left" not in compiled[0].as_text()
    random = jax.jit(lambda key: episodes(key, 10)).lower(jax.random.key(0)).compile()
    assert "shift-left" in random.as_text(), "threefry rotates bits: this is how the line above sees a draw"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_steps": 0}, "num_steps: got 0, takes an integer of at least 1"),
        ({"genomes": None}, "num_environments: got None, takes one number"),
        ({"num_environments": 4}, r"num_environments: got 4, takes one number .* not \[4, 5\]"),
        ({"environment": object()}, "environment: got 'object', takes an Environment"),
    ],
)
def test_run_episodes_refuses(arguments, message):
    given = {
        "environment": ENVIRONMENT,
        "act": act,
        "genomes": GENOMES,
        "key": jax.random.key(0),
        "params": PARAMS,
        "num_steps": 1,
    }
    with pytest.raises(ValueError, match=message):
        run_episodes(**{**given, **arguments})


def test_vmapped_seeds_of_a_terminating_environment_stay_one_loop():
    environment = RedundantArm()
    params = environment.default_params

    def lengths(key, genomes):
        return run_episodes(environment, lambda rows, _: rows, genomes, key, params, 100).lengths

    keys, genomes = jax.random.split(jax.random.key(0), 2), jnp.array([[[0.0]], [[1.0]]]) * jnp.ones((2, 3, 20))
    vmapped = jax.vmap(lengths)
    assert " cond[" in str(jax.make_jaxpr(vmapped)(keys, genomes))
    # The arm that does not move lives to the time limit, the other collides at step 24 (the published simulator's
    # count).
    np.testing.assert_array_equal(jax.jit(vmapped)(keys, genomes), [[100] * 3, [24] * 3])
