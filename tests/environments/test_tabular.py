"""Finite MDPs that are stepped, against their arrays and against linear algebra."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from environments.probes import assert_trees_close

from jaxrl_sparse.environments.rollouts import rollout, run_episodes, start_rollout
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.finite.mdp import finite_mdp

# Three states, two actions; state 2 ends, although its own rows say otherwise.
DENSE = np.array([[[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]], [[0.6, 0.0, 0.4], [0.1, 0.9, 0.0]], [[1.0, 0.0, 0.0]] * 2])
PAID = np.arange(18.0).reshape(3, 2, 3)
MDP = finite_mdp(DENSE, PAID, 0.9, terminal=[False, False, True], initial=[0.25, 0.75, 0.0])
ENVIRONMENT = TabularEnvironment(MDP, 50)
PARAMS = ENVIRONMENT.default_params
NUM_DRAWS = 20000


def state_at(number, environment=ENVIRONMENT):
    _, state = environment.reset_env(jax.random.key(0), environment.default_params)
    return state.replace(state=jnp.int32(number))


@pytest.mark.parametrize("state", [0, 1])
@pytest.mark.parametrize("action", [0, 1])
def test_outcomes_are_drawn_from_the_row_and_pay_their_rewards(state, action):
    keys = jax.random.split(jax.random.key(1), NUM_DRAWS)
    observations, after, rewards, terminated, info = jax.vmap(ENVIRONMENT.step_env, in_axes=(0, None, None, None))(
        keys, state_at(state), jnp.int32(action), PARAMS
    )
    successors = np.asarray(after.state)
    np.testing.assert_array_equal(rewards, PAID[state, action, successors])
    np.testing.assert_array_equal(terminated, successors == 2)
    np.testing.assert_array_equal(observations, np.eye(3)[successors])
    row = DENSE[state, action]
    shares = np.bincount(successors, minlength=3) / NUM_DRAWS
    # Four standard errors; an outcome of probability zero never happens.
    np.testing.assert_array_less(np.abs(shares - row), 4 * np.sqrt(row * (1 - row) / NUM_DRAWS) + 1e-9)
    assert info == {} and observations.dtype == jnp.float32 and rewards.dtype == jnp.float32


def test_first_states_are_drawn_from_the_initial_distribution():
    _, states = jax.vmap(ENVIRONMENT.reset_env, in_axes=(0, None))(
        jax.random.split(jax.random.key(2), NUM_DRAWS), PARAMS
    )
    shares = np.bincount(states.state, minlength=3) / NUM_DRAWS
    np.testing.assert_allclose(shares, [0.25, 0.75, 0.0], atol=4 * np.sqrt(0.25 * 0.75 / NUM_DRAWS))
    assert shares[2] == 0 and (np.asarray(states.time) == 0).all()


def test_rounding_never_draws_an_outcome_of_probability_zero():
    """Ten tenths of float32 sum to less than one or more; the eleventh outcome has none, nor has the first."""
    row = np.concatenate([[0.0], np.full(10, 0.1), [0.0]])
    table = np.broadcast_to(row, (12, 1, 12))
    environment = TabularEnvironment(finite_mdp(table, np.zeros((12, 1)), 1.0), 5)
    keys = jax.random.split(jax.random.key(3), NUM_DRAWS)
    _, after, *_ = jax.vmap(environment.step_env, in_axes=(0, None, None, None))(
        keys, state_at(0, environment), jnp.int32(0), environment.default_params
    )
    assert set(np.unique(after.state)) == set(range(1, 11))


def test_a_terminal_state_is_never_left_and_pays_nothing():
    _, after, reward, terminated, _ = ENVIRONMENT.step_env(jax.random.key(0), state_at(2), jnp.int32(0), PARAMS)
    assert (int(after.state), float(reward), bool(terminated), int(after.time)) == (2, 0.0, True, 1)


def test_sparse_outcomes_lead_to_their_successors():
    """Two outcomes with one successor and two rewards: a random reward."""
    mdp = finite_mdp(
        [[[0.5, 0.5]], [[1.0, 0.0]]],
        [[[3.0, -1.0]], [[7.0, 8.0]]],
        0.5,
        successors=[[[1, 1]], [[0, 1]]],
        initial=[1, 0],
    )
    environment = TabularEnvironment(mdp, 9)
    step = jax.vmap(environment.step_env, in_axes=(0, None, None, None))
    keys, more_keys = jax.random.split(jax.random.key(4), (2, 200))
    _, after, rewards, *_ = step(keys, state_at(0, environment), jnp.int32(0), environment.default_params)
    assert set(np.unique(rewards)) == {3.0, -1.0} and set(np.unique(after.state)) == {1}
    _, after, rewards, *_ = step(more_keys, state_at(1, environment), jnp.int32(0), environment.default_params)
    assert set(np.unique(rewards)) == {7.0} and set(np.unique(after.state)) == {0}


def test_vector_rewards_are_in_the_info_and_their_first_component_is_the_reward():
    paid = np.stack([PAID, -PAID], axis=-1)
    environment = TabularEnvironment(MDP._replace(rewards=jnp.asarray(paid)), 50)
    assert environment.num_rewards == 2 and ENVIRONMENT.num_rewards is None
    _, after, reward, _, info = environment.step_env(
        jax.random.key(5), state_at(0, environment), jnp.int32(1), environment.default_params
    )
    expected = PAID[0, 1, int(after.state)]
    np.testing.assert_array_equal(info["reward_vector"], [expected, -expected])
    assert float(reward) == expected
    *_, info = environment.step_env(
        jax.random.key(5), state_at(2, environment), jnp.int32(1), environment.default_params
    )
    np.testing.assert_array_equal(info["reward_vector"], [0, 0])


def test_returns_have_the_mean_of_the_linear_system():
    episodes = jax.jit(
        lambda key: run_episodes(
            ENVIRONMENT, lambda _, o: jnp.zeros(len(o), jnp.int32), None, key, PARAMS, 50, num_environments=4000
        )
    )(jax.random.key(6))
    p, r = DENSE[:2, 0, :2], (DENSE * PAID)[:2, 0].sum(-1)
    expected = np.array([0.25, 0.75]) @ np.linalg.solve(np.eye(2) - p, r)
    assert bool(episodes.terminated.all())
    standard_error = float(episodes.returns.std()) / np.sqrt(4000)
    np.testing.assert_allclose(float(episodes.returns.mean()), expected, atol=4 * standard_error)


def test_the_process_is_a_parameter_that_is_swept():
    """Two processes in one call: what the default is, does not matter."""
    deterministic = np.zeros((2, 3, 2, 3))
    deterministic[0, ..., 1] = 1
    deterministic[1, ..., 0] = 1
    mdps = jax.vmap(lambda table: MDP._replace(probabilities=table))(jnp.asarray(deterministic, jnp.float32))
    states = jax.vmap(
        lambda mdp: ENVIRONMENT.step_env(jax.random.key(0), state_at(0), jnp.int32(1), PARAMS.replace(mdp=mdp))[1].state
    )(mdps)
    np.testing.assert_array_equal(states, [1, 0])


def test_a_time_limit_truncates_and_a_batch_starts_anew():
    loop = finite_mdp(np.ones((1, 1, 1)), np.ones((1, 1)), 0.9)
    environment = TabularEnvironment(loop, 3)
    vectorized, params = vectorize(environment, 2), environment.default_params
    state = start_rollout(vectorized, jax.random.key(0), params)
    policy = lambda key, observations: (jnp.zeros(2, jnp.int32), {})  # noqa: E731
    trajectory, _ = jax.jit(lambda state: rollout(vectorized, policy, 7, state, params))(state)
    np.testing.assert_array_equal(trajectory.truncated[:, 0], [0, 0, 1, 0, 0, 1, 0])
    assert not trajectory.terminated.any() and environment.horizon == 3


def test_words_and_facts():
    environment = TabularEnvironment(MDP, 5, state_names="abc", action_names=["stay", "go"])
    assert (environment.state_names, environment.action_names) == (("a", "b", "c"), ("stay", "go"))
    assert (ENVIRONMENT.state_names, ENVIRONMENT.num_actions) == (("0", "1", "2"), 2)
    assert ENVIRONMENT.observation_space(PARAMS).shape == (3,)
    np.testing.assert_allclose(ENVIRONMENT.discount, 0.9, rtol=1e-6)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_are_the_same_environment(duplicate):
    twin = duplicate(ENVIRONMENT)
    assert_trees_close(twin.default_params, PARAMS)
    assert_trees_close(*(e.reset_env(jax.random.key(0), PARAMS) for e in (twin, ENVIRONMENT)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps_in_episode": 0}, "max_steps_in_episode: got 0, takes an integer of at least 1"),
        ({"state_names": ["a"]}, r"state_names: got \('a',\), takes 3 words"),
        ({"action_names": "abc"}, "action_names: got .*, takes 2 words"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        TabularEnvironment(MDP, **{"max_steps_in_episode": 5, **options})
