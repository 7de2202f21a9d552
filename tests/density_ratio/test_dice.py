"""DualDICE and GenDICE as algorithms: exact on what the data says, and sweepable."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.base import Trajectory
from jaxrl_sparse.density_ratio.dice import (
    DualDiceConfig,
    GenDiceConfig,
    density_weighted,
    dual_dice,
    gen_dice,
    positive_ratio,
    signed_ratio,
)
from jaxrl_sparse.density_ratio.saddle_points import SaddlePointConfig, on_features, table
from jaxrl_sparse.density_ratio.transition_data import (
    behaviour_distribution,
    empirical_distribution,
    evaluation_problem,
    exact_ratio,
    population_data,
)
from jaxrl_sparse.finite import finite_mdp, garnet, policy_evaluation, random_dense_mdp
from jaxrl_sparse.networks.feedforward import feedforward
from jaxrl_sparse.training import train

S, A, GAMMA = 4, 2, 0.8
MDP = random_dense_mdp(jax.random.key(20), S, A, GAMMA)
PROBLEM = evaluation_problem(jax.random.key(21), MDP, 300, temperature=0.5)
WHOLE = SaddlePointConfig(batch_size=None, descent_rate=1e-2, ascent_rate=1e-2)
SLOWER = SaddlePointConfig(batch_size=None, descent_rate=3e-3, ascent_rate=3e-3, discount=1.0)
METHODS = {"dual": (dual_dice, DualDiceConfig), "gen": (gen_dice, GenDiceConfig)}


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


@quick
def population_of(mdp, behaviour):
    return population_data(mdp, behaviour_distribution(mdp, behaviour, GAMMA))


def solved(make, num_updates=100):
    """The state and its evaluation."""
    algorithm = make()

    def run(key, evaluation_key):
        state, _ = train(algorithm, algorithm.init(key), num_updates)
        return state, algorithm.evaluate(state, evaluation_key)

    return quick(run)(jax.random.key(0), jax.random.key(1))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_all_of_a_sample_gives_the_value_in_the_sample_s_own_mdp(method):
    """The oracle has no error of sampling: the frequencies are an MDP, whose value of the policy is exact."""
    factory, config = METHODS[method]
    data = PROBLEM.data
    rows = tuple(np.asarray(row) for row in (data.observations, data.actions, data.next_observations))
    counts, paid = np.zeros((S, A, S)), np.zeros((S, A))
    np.add.at(counts, rows, 1)
    np.add.at(paid, rows[:2], np.asarray(data.rewards))
    visits = counts.sum(-1)
    assert visits.min() > 0
    empirical = finite_mdp(counts / visits[..., None], paid / visits, GAMMA)
    exact = (1 - GAMMA) * policy_evaluation(empirical, PROBLEM.policy)[0]
    _, figures = solved(lambda: factory(config(solver=WHOLE), data, empirical, PROBLEM.policy))
    np.testing.assert_allclose(figures["value_estimate"], exact, atol=2e-3)
    np.testing.assert_allclose(figures["value"], exact, atol=1e-5)
    assert figures["weight_error"] < 5e-3
    np.testing.assert_allclose(figures["mean_weight"], 1, atol=2e-3)
    # It is not the value in the MDP that was sampled, nor that of the data.
    assert abs(exact - (1 - GAMMA) * policy_evaluation(MDP, PROBLEM.policy)[0]) > 5e-3
    assert abs(exact - data.rewards.mean()) > 5e-2


@pytest.mark.parametrize("method", METHODS)
def test_episodes_that_end(method):
    factory, config = METHODS[method]
    mdp = MDP._replace(terminal=jnp.arange(S) == S - 1)
    data = population_of(mdp, PROBLEM.behaviour)
    exact = (1 - GAMMA) * policy_evaluation(mdp, PROBLEM.policy)[0]
    _, figures = solved(lambda: factory(config(solver=WHOLE), data, mdp, PROBLEM.policy))
    np.testing.assert_allclose(figures["value_estimate"], exact, atol=3e-3)
    np.testing.assert_allclose(figures["mean_weight"], 1, atol=3e-3)
    assert figures["weight_error"] < 1e-2


@pytest.mark.parametrize("positive", ["softplus", "square"])
def test_without_discount_the_ratio_is_that_of_stationary_distributions(positive):
    chain = np.einsum("sat,sa->st", MDP.probabilities, PROBLEM.policy)
    stationary = np.linalg.matrix_power(chain, 1024)[0][:, None] * PROBLEM.policy
    data = population_of(MDP, PROBLEM.behaviour)
    config = GenDiceConfig(solver=SLOWER, positive=positive)
    state, figures = solved(lambda: gen_dice(config, data, MDP, PROBLEM.policy), 200)
    ratio = positive_ratio(table(S, A), state.average.descending, jnp.arange(S), positive)
    np.testing.assert_allclose(ratio * PROBLEM.distribution, stationary, atol=1e-3)
    np.testing.assert_allclose(figures["value_estimate"], (stationary * MDP.rewards[..., 0]).sum(), atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_data_of_the_policy_itself_is_not_reweighted(method):
    factory, config = METHODS[method]
    data = population_of(MDP, PROBLEM.policy)
    state, figures = solved(lambda: factory(config(solver=WHOLE), data, MDP, PROBLEM.policy))
    made, params = (
        (signed_ratio, state.average.ascending) if method == "dual" else (positive_ratio, state.average.descending)
    )
    np.testing.assert_allclose(made(table(S, A), params, jnp.arange(S)), 1, atol=5e-3)
    assert figures["weight_error"] < 2e-3
    np.testing.assert_allclose(figures["value_estimate"], jnp.sum(data.weights * data.rewards), atol=1e-3)


@pytest.mark.slow
def test_the_primal_form_is_exact_where_nothing_is_random_and_biased_elsewhere():
    config = DualDiceConfig(solver=WHOLE, form="primal")

    def error(mdp):
        data = population_of(mdp, PROBLEM.behaviour)
        return solved(lambda: dual_dice(config, data, mdp, PROBLEM.policy))[1]["weight_error"]

    following = jnp.array([[1, 3], [2, 0], [0, 3], [3, 1]])
    certain = MDP._replace(probabilities=jax.nn.one_hot(following, S))
    assert error(certain) < 2e-3
    assert error(MDP) > 0.02


@pytest.mark.slow
def test_floats_sweep_in_one_compilation():
    """Over discounts, up to the one that has no other solver, and over scales of the rewards."""
    data = population_of(MDP, PROBLEM.behaviour)

    def value(discount, rewards):
        solver = SaddlePointConfig(batch_size=None, descent_rate=1e-2, ascent_rate=1e-2, discount=discount)
        mdp = MDP._replace(rewards=rewards * MDP.rewards)
        algorithm = gen_dice(
            GenDiceConfig(solver=solver), data._replace(rewards=rewards * data.rewards), mdp, PROBLEM.policy
        )
        state, _ = train(algorithm, algorithm.init(jax.random.key(0)), 60)
        return algorithm.evaluate(state, jax.random.key(1))

    discounts, scales = jnp.array([0.0, 0.5, 1.0]), jnp.array([1.0, 2.0, 3.0])
    figures = quick(jax.vmap(value))(discounts, scales)
    np.testing.assert_allclose(figures["value_error"], 0, atol=1e-2)
    first = jnp.sum(PROBLEM.policy[0] * MDP.rewards[0, :, 0])
    np.testing.assert_allclose(figures["value"][0], first, rtol=1e-5)
    assert jnp.min(jnp.abs(jnp.diff(figures["value"]))) > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_networks_on_a_sample_come_near_the_exact_value(method):
    factory, config = METHODS[method]
    num_states = 12
    mdp = garnet(jax.random.key(30), num_states, 3, 3, 0.9)
    problem = evaluation_problem(jax.random.key(31), mdp, 5000)
    network = on_features(feedforward((32,), 3, activation="tanh"), jnp.eye(num_states))
    solver = SaddlePointConfig(descent_rate=1e-3, ascent_rate=1e-3)
    made = factory(config(solver=solver), problem.data, mdp, problem.policy, network)
    _, figures = solved(lambda: made, 200)
    behaviour = abs(jnp.mean(problem.data.rewards) - figures["value"])
    # Of the data's own error a tenth.
    assert figures["value_error"] < 0.1 * behaviour
    assert figures["weight_error"] < 0.1


def test_weighted_rewards_have_the_policy_s_value_as_their_mean():
    data = population_of(MDP, PROBLEM.behaviour)
    ratio = exact_ratio(MDP, PROBLEM.policy, PROBLEM.distribution, GAMMA)
    column = jax.tree.map(lambda leaf: leaf[:, None], data)
    trajectory = Trajectory(
        column.observations,
        column.actions,
        column.rewards,
        column.terminated,
        jnp.zeros_like(column.terminated),
        column.next_observations,
    )
    reward = density_weighted(ratio)
    labelled, _ = reward.update(trajectory, reward.init(jax.random.key(0), trajectory))
    assert reward.relabel is not None
    np.testing.assert_array_equal(labelled, reward.relabel(trajectory, ()))
    value = (1 - GAMMA) * policy_evaluation(MDP, PROBLEM.policy)[0]
    np.testing.assert_allclose(jnp.sum(data.weights * labelled[:, 0]), value, rtol=1e-4)
    np.testing.assert_allclose(empirical_distribution(data, S, A), PROBLEM.distribution, atol=1e-6)


def test_bad_input_is_refused():
    data, policy = PROBLEM.data, PROBLEM.policy
    with pytest.raises(ValueError, match=r"discount: got 1.0, takes a number in \[0, 1\); gen_dice takes 1"):
        dual_dice(DualDiceConfig(solver=SaddlePointConfig(discount=1.0)), data, MDP, policy)
    with pytest.raises(ValueError, match=r"discount: got None, takes a number, where no MDP is given"):
        dual_dice(DualDiceConfig(), data, None, policy)
    with pytest.raises(ValueError, match=r"network: got None, takes a network, where the policy is no table"):
        dual_dice(DualDiceConfig(), data, MDP, lambda observations: policy[observations])
    with pytest.raises(ValueError, match=r"form: got 'dual', takes one of"):
        dual_dice(DualDiceConfig(form="dual"), data, MDP, policy)
    with pytest.raises(ValueError, match=r"exponent: got 1.0, takes"):
        dual_dice(DualDiceConfig(exponent=1.0), data, MDP, policy)
    with pytest.raises(ValueError, match=r"positive: got 'exp', takes one of"):
        gen_dice(GenDiceConfig(positive="exp"), data, MDP, policy)
    with pytest.raises(ValueError, match=r"normalization: got 0.0, takes"):
        gen_dice(GenDiceConfig(normalization=0.0), data, MDP, policy)
    ending = data._replace(terminated=data.terminated.at[0].set(True))
    with pytest.raises(ValueError, match=r"takes a number below 1, where episodes end"):
        gen_dice(GenDiceConfig(solver=SaddlePointConfig(discount=1.0)), ending, MDP, policy)
