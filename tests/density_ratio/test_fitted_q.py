"""Regressions against plain Python over a list of transitions, and Hy-Q against another that knows no counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.classes import function_class, model_class
from jaxrl_sparse.density_ratio.fitted_q import (
    HyQConfig,
    fitted_q_in_class,
    fitted_q_planner,
    fitted_q_tables,
    hy_q,
)
from jaxrl_sparse.density_ratio.offline_data import covering_distribution, sample_offline_data
from jaxrl_sparse.finite import (
    backward_induction,
    combination_lock,
    combination_locks,
    count_transitions,
    expected_counts,
    expected_return,
    no_transitions,
    occupancy,
    random_episodic_mdp,
    sample_episodes,
)
from jaxrl_sparse.training import train

MDP = random_episodic_mdp(jax.random.key(0), 3, 3, 2)
UNIFORM = jnp.full((3, 3, 2), 0.5)


def transitions_of(episodes):
    """Lists `[H][N]` of (s, a, r, s')."""
    leaves = [np.asarray(leaf) for leaf in episodes]
    return [list(zip(*(leaf[h] for leaf in leaves), strict=True)) for h in range(len(leaves[0]))]


def regressed_tables(layers, num_states, num_actions, unvisited=0.0):
    """Fitted Q iteration as the paper writes it: a regression for each layer, here a mean for each pair."""
    following, tables = np.zeros(num_states), []
    for transitions in reversed(layers):
        table = np.full((num_states, num_actions), unvisited)
        for pair in np.ndindex(num_states, num_actions):
            targets = [r + following[t] for s, a, r, t in transitions if (s, a) == pair]
            if targets:
                table[pair] = sum(targets) / len(targets)
        following = table.max(axis=1)
        tables.insert(0, table)
    return np.stack(tables)


def regressed_members(layers, values):
    """The member of each layer of least squares, transition by transition."""
    members, following = [], np.zeros(values.shape[2])
    for h in reversed(range(len(layers))):
        squares = [sum((f[h, s, a] - r - following[t]) ** 2 for s, a, r, t in layers[h]) for f in values]
        members.insert(0, int(np.argmin(np.round(squares, 10))))
        following = values[members[0], h].max(axis=1)
    return members


@functools.cache
def sampled():
    """Five data sets of six episodes, their counts, and a class."""

    def sample(keys, class_key):
        episodes = jax.vmap(lambda key: sample_episodes(key, MDP, UNIFORM, 6))(keys)
        counts = jax.vmap(lambda one: count_transitions(no_transitions(MDP), one))(episodes)
        functions = function_class(jax.random.uniform(class_key, (9, 3, 3, 2)))
        members = jax.vmap(lambda one: fitted_q_in_class(one, functions)[1])(counts)
        tables = [jax.vmap(lambda one: fitted_q_tables(one, unvisited))(counts) for unvisited in (0.0, 1.0)]  # noqa: B023
        return episodes, counts, functions, members, tables

    compiled = jax.jit(sample, compiler_options=QUICK_TO_COMPILE)
    return compiled(jax.random.split(jax.random.key(1), 5), jax.random.key(3))


def test_tables_are_the_means_of_targets():
    episodes, counts, _, _, tables = sampled()
    # Somewhere an action was never tried.
    assert (np.asarray(counts.transitions).sum(axis=-1) == 0).any()
    for index in range(5):
        layers = transitions_of([leaf[index] for leaf in episodes])
        for unvisited, got in zip((0.0, 1.0), tables, strict=True):
            np.testing.assert_allclose(got[index], regressed_tables(layers, 3, 2, unvisited), atol=1e-6)


def test_members_of_a_class_are_those_of_least_squares():
    episodes, _, functions, members, _ = sampled()
    values = np.asarray(functions.values, np.float64)
    for index in range(5):
        layers = transitions_of([leaf[index] for leaf in episodes])
        assert members[index].tolist() == regressed_members(layers, values)


def test_population_statistics_give_the_optimum():
    optimum = backward_induction(MDP).q_values
    # A class that holds the optimum in each layer, in another member each.
    others = jax.random.uniform(jax.random.key(2), (4, 3, 3, 2))
    functions = function_class(others.at[jnp.array([2, 0, 3]), jnp.arange(3)].set(optimum))

    def fit():
        counts = expected_counts(MDP, jnp.full((3, 3, 2), 1 / 6), 50.0)
        return fitted_q_tables(counts), *fitted_q_in_class(counts, functions)

    tables, fitted, members = jax.jit(fit, compiler_options=QUICK_TO_COMPILE)()
    np.testing.assert_allclose(tables, optimum, atol=1e-5)
    np.testing.assert_array_equal(members, [2, 0, 3])
    np.testing.assert_array_equal(fitted, optimum)


def test_of_equal_fits_the_first_is_taken():
    values = jnp.broadcast_to(backward_induction(MDP).q_values, (3, 3, 3, 2))
    _, members = fitted_q_in_class(no_transitions(MDP), function_class(values))
    assert members.tolist() == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tables", "class"])
def test_hy_q_equals_another_one_of_the_same_order_of_data(kind):
    """The other keeps lists of transitions, adds one offline transition a layer and round, and regresses on them."""
    lock = combination_lock(jnp.array([1, 0, 1]))
    wrong = jnp.zeros((3, 2), jnp.int32)
    data = sample_offline_data(jax.random.key(4), lock, covering_distribution(lock, 0.5, wrong), 6)
    functions = None if kind == "tables" else model_class(combination_locks(3)).functions
    planner = hy_q(HyQConfig(), lock, data, functions)
    offline = transitions_of(data.transitions)
    rounds = 10
    state = planner.init(jax.random.key(5))
    update = jax.jit(planner.update, compiler_options=QUICK_TO_COMPILE)
    online, before, used = [[], [], []], no_transitions(lock), []
    for t in range(1, rounds + 1):
        layers = [offline[h][: t - 1] + online[h] for h in range(3)]
        if functions is None:
            q_values = regressed_tables(layers, 2, 2)
        else:
            values = np.asarray(functions.values, np.float64)
            q_values = values[regressed_members(layers, values), np.arange(3)]
        policy = jnp.asarray(q_values.argmax(axis=2), jnp.int32)
        state, metrics = update(state, jnp.int32(t - 1))
        assert float(metrics["policy_return"]) == pytest.approx(float(expected_return(lock, policy)), abs=1e-6)
        used.append(int(metrics["offline_samples"]))
        # The episode that was run, from what its counts added.
        added = np.argwhere(np.asarray(state.counts.transitions - before.transitions))
        paid = np.asarray(state.counts.rewards - before.rewards)
        for h, s, a, following in added:
            assert a == policy[h, s]
            online[h].append((s, a, paid[h, s, a], following))
        before = state.counts
    assert used == [0, 1, 2, 3, 4, 5, 6, 6, 6, 6]
    assert all(len(layer) == rounds for layer in online)


@pytest.mark.slow
def test_offline_data_help_where_nothing_else_explores():
    """Tables that say 0 of what was not tried: the lock is opened by what the data show, and else never."""
    lock = combination_lock(jnp.array([1, 0, 1, 1]), success=1.0)
    best = backward_induction(lock).actions
    coverings = jnp.stack([occupancy(lock, best), occupancy(lock, 1 - best)])

    def regret(key, distribution):
        data_key, run_key = jax.random.split(key)
        algorithm = hy_q(HyQConfig(), lock, sample_offline_data(data_key, lock, distribution, 20))
        return train(algorithm, algorithm.init(run_key), 20)[1]["regret"]

    compiled = jax.jit(jax.vmap(regret, in_axes=(None, 0)), compiler_options=QUICK_TO_COMPILE)
    covered, useless = compiled(jax.random.key(6), coverings)
    # Nothing is known in the first round, everything after it.
    np.testing.assert_array_equal(covered, [1] + [0] * 19)
    np.testing.assert_array_equal(useless, [1] * 20)


def test_refuses_bad_input():
    with pytest.raises(ValueError, match="unvisited_value: got nan, takes a finite number"):
        hy_q(HyQConfig(unvisited_value=float("nan")), MDP, None)
    with pytest.raises(ValueError, match=r"mdp\.rewards: got"):
        hy_q(HyQConfig(), MDP, None, function_class(jnp.zeros((2, 3, 3, 3))))
    planner = functools.partial(fitted_q_planner, unvisited_value=1.0)
    assert float(planner().init(MDP)) == 0
