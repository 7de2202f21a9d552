"""Descent, ascent and averages on games whose every step is known, and figures of ratios by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.saddle_points import (
    Game,
    Players,
    SaddlePointConfig,
    as_policy,
    chosen,
    estimates,
    exact_errors,
    on_features,
    saddle_point,
    table,
    time_indexed_values,
)
from jaxrl_sparse.density_ratio.transition_data import TransitionData, exact_ratio, policy_occupancy, population_data
from jaxrl_sparse.finite import expected_rewards, finite_mdp
from jaxrl_sparse.networks.feedforward import feedforward
from jaxrl_sparse.training import train

POLICY = jnp.array([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
DATA = TransitionData(
    observations=jnp.array([0, 1, 1], jnp.int32),
    actions=jnp.array([0, 1, 0], jnp.int32),
    rewards=jnp.array([1.0, 3.0, -2.0]),
    next_observations=jnp.array([1, 2, 0], jnp.int32),
    terminated=jnp.array([False, True, False]),
    weights=jnp.array([0.5, 0.3, 0.2]),
    initial_observations=jnp.array([0, 1], jnp.int32),
    initial_weights=jnp.array([0.9, 0.1]),
)


def algorithm(config, objective=None, start=(0.0, 1.0)):
    """Of the game `(x - 1) y - y^2 / 2`, whose saddle point is (1, 0)."""

    def duel(players, data):
        x, y = players
        return (x - 1) * y - y**2 / 2

    game = Game(
        init=lambda key: Players(*map(jnp.asarray, start)),
        objective=duel if objective is None else objective,
        ratios=lambda players, data: jnp.full(data.actions.shape, players.ascending),
        policy=lambda players: as_policy(POLICY),
        rates=Players(config.descent_rate, config.ascent_rate),
    )
    return saddle_point(config, game, DATA, None, 0.9)


def trained(config, num_updates, **options):
    made = algorithm(config, **options)
    run = jax.jit(lambda key: train(made, made.init(key), num_updates), compiler_options=QUICK_TO_COMPILE)
    return run(jax.random.key(0))


def test_one_goes_down_and_the_other_up_at_its_own_rate():
    config = SaddlePointConfig(
        num_gradient_steps=1, batch_size=None, descent_rate=0.01, ascent_rate=0.03, averaging=0.25
    )
    state, metrics = trained(config, 1)
    # The derivatives at (0, 1) are 1 and -2, and Adam's first step is the sign alone.
    np.testing.assert_allclose(state.players, (-0.01, 0.97), rtol=1e-5)
    np.testing.assert_allclose(state.average, (-0.0025, 0.9925), rtol=1e-5)
    np.testing.assert_allclose(metrics["objective"], [-1.5])
    np.testing.assert_array_equal(metrics["environment_steps"], [3])


def test_the_average_is_at_the_saddle_point():
    state, metrics = trained(SaddlePointConfig(batch_size=None, descent_rate=1e-2, ascent_rate=1e-2), 100)
    np.testing.assert_allclose(state.average, (1, 0), atol=2e-3)
    np.testing.assert_array_equal(metrics["environment_steps"], 300)
    alone, _ = trained(SaddlePointConfig(batch_size=None, averaging=1.0), 2)
    np.testing.assert_array_equal(alone.average, alone.players)


def test_batches_follow_the_weights():
    def objective(players, data):
        return jnp.sum(data.weights * data.rewards) + 10 * jnp.sum(data.initial_weights * data.initial_observations)

    config = SaddlePointConfig(num_gradient_steps=500, batch_size=16)
    state, metrics = trained(config, 2, objective=objective)
    np.testing.assert_array_equal(metrics["environment_steps"], 500 * 16)
    # Deviations of one draw: 1.83 of rewards, 3 of first states.
    np.testing.assert_allclose(metrics["objective"], 1.0 + 1.0, atol=4 * np.hypot(1.83, 3) / np.sqrt(500 * 16))
    assert metrics["objective"][0] != metrics["objective"][1]
    assert not np.array_equal(*(jax.random.key_data(key) for key in (state.key, jax.random.key(0))))


def test_figures_of_ratios_by_hand():
    figures = estimates(jnp.array([1.0, 2.0, 0.5]), DATA, 0.75)
    np.testing.assert_allclose(figures["value_estimate"], 0.5 * 1 + 0.3 * 2 * 3 - 0.2 * 0.5 * 2)
    np.testing.assert_allclose(figures["mean_weight"], 0.5 + 0.6 * 4 + 0.1)
    np.testing.assert_allclose(figures["effective_sample_size"], 1.2**2 / (0.25 + 0.36 + 0.01), rtol=1e-6)
    equal = estimates(jnp.ones(3), DATA._replace(weights=jnp.full(3, 1 / 3)), 0.75)
    np.testing.assert_allclose(equal["effective_sample_size"], 3, rtol=1e-6)


def test_errors_of_exact_ratios_are_zero_and_others_are_not():
    chain = np.zeros((3, 2, 3))
    chain[0, :, 1] = chain[2, :, 2] = 1
    chain[1, 0, 0] = chain[1, 1, 2] = 1
    mdp = finite_mdp(chain, [[1.0, 0.0], [-2.0, 3.0], [9.0, 9.0]], 0.5, terminal=[False, False, True])
    distribution = jnp.array([[0.4, 0.1], [0.2, 0.3], [0.0, 0.0]])
    data = population_data(mdp, distribution)

    def errors(ratio):
        return exact_errors(ratio[data.observations, data.actions], data, mdp, POLICY, 0.5)

    ratio = exact_ratio(mdp, POLICY, distribution, 0.5)
    exact = errors(ratio)
    occupancy = policy_occupancy(mdp, POLICY, 0.5)
    # d(0) = 1/2 + d(1) / 8 and d(1) = d(0) / 2.
    np.testing.assert_allclose(occupancy.sum(1), [8 / 15, 4 / 15, 0], rtol=1e-6)
    np.testing.assert_allclose(exact["value"], 4 / 15 * (1 - 0.5 + 2.25), rtol=1e-6)
    np.testing.assert_allclose([exact["value_error"], exact["weight_error"]], 0, atol=1e-6)
    wrong = errors(ratio.at[1, 1].add(2.0))
    np.testing.assert_allclose(wrong["value_error"], 0.3 * 2 * 3, rtol=1e-5)
    np.testing.assert_allclose(wrong["weight_error"], 0.3 * 2, rtol=1e-5)
    # What the data misses is missed by half of the occupancy: nothing can be said of it.
    missed = population_data(mdp, distribution.at[1].set(0) / 0.5)
    weights = exact_ratio(mdp, POLICY, distribution.at[1].set(0) / 0.5, 0.5)[missed.observations, missed.actions]
    finite = jnp.where(jnp.isfinite(weights), weights, 0)
    np.testing.assert_allclose(exact_errors(finite, missed, mdp, POLICY, 0.5)["weight_error"], 4 / 15, rtol=1e-5)
    assert jnp.sum(expected_rewards(mdp)) != 0


def test_values_of_a_table_and_of_a_network_on_one_hot_states():
    values = jnp.array([[1.0, 2.0], [3.0, 5.0], [7.0, 11.0]])
    v_tm1, v_t, v_0 = time_indexed_values(table(3, 2), values, as_policy(POLICY), DATA)
    np.testing.assert_allclose(v_tm1, [1, 5, 3])
    np.testing.assert_allclose(v_t, [4.5, 7, 1.5])
    np.testing.assert_allclose(v_0, [1.5, 4.5])
    linear = on_features(feedforward((), 2), jnp.eye(3))
    params = linear.init(jax.random.key(0), DATA.observations)
    kernel = jax.tree.map(lambda leaf: values if leaf.ndim == 2 else leaf, params)
    np.testing.assert_allclose(linear.apply(kernel, DATA.observations), values[DATA.observations], rtol=1e-6)
    np.testing.assert_allclose(chosen(values, jnp.array([1, 0, 1])), [2, 3, 11])
    np.testing.assert_array_equal(table(3, 2).init(jax.random.key(0), None), jnp.zeros((3, 2)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_gradient_steps", 0),
        ("batch_size", 0),
        ("descent_rate", 0.0),
        ("ascent_rate", -1.0),
        ("momentum", 1.0),
        ("averaging", 0.0),
    ],
)
def test_bad_fields_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}: got {value}, takes"):
        algorithm(SaddlePointConfig(**{field: value}))
