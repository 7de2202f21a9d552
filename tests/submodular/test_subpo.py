import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.grids.grid_walk import GridWalk, next_cells
from jaxrl_sparse.submodular.coverage import coverage
from jaxrl_sparse.submodular.subpo import CREDITS, SubPOConfig, credit, episode_gains, less_baseline, subpo
from jaxrl_sparse.training import train

ROWS, COLUMNS, HORIZON, START = 2, 3, 4, 0
MAP = np.ones((ROWS, COLUMNS), bool)
WEIGHTS = np.array([1.0, 2.0, 0.5, 3.0, 1.5, 0.25])
FUNCTION = coverage(WEIGHTS, np.arange(6)[:, None])
# All 5^3 ways to act, and where they lead.
ACTIONS = np.array(list(itertools.product(range(5), repeat=HORIZON - 1))).T
CELLS = np.zeros((HORIZON, ACTIONS.shape[1]), np.int32) + START
for t in range(HORIZON - 1):
    CELLS[t + 1] = np.asarray(next_cells(MAP))[CELLS[t], ACTIONS[t]]
ALWAYS = jnp.ones(ACTIONS.shape, bool)
LOGITS = jax.random.normal(jax.random.key(0), (HORIZON - 1, 6, 5))


def log_probs(logits):
    return jnp.stack([jax.nn.log_softmax(logits[t])[CELLS[t], ACTIONS[t]] for t in range(HORIZON - 1)])


def values_by_hand():
    return np.array([WEIGHTS[np.unique(cells)].sum() for cells in CELLS.T], np.float32)


def test_gains_telescope_to_what_was_covered_and_stop_with_the_episode():
    first, gains = episode_gains(FUNCTION, jnp.asarray(CELLS), ALWAYS)
    np.testing.assert_allclose(first, WEIGHTS[START])
    np.testing.assert_allclose(first + gains.sum(0), values_by_hand(), rtol=1e-6)
    _, gains = episode_gains(FUNCTION, jnp.asarray(CELLS), ALWAYS.at[1:].set(False))
    np.testing.assert_allclose(first + gains.sum(0), [WEIGHTS[np.unique(c[:2])].sum() for c in CELLS.T], rtol=1e-6)


@jax.jit
def expected_gradients(logits):
    """Of the objective, and of every form of credit, in exact expectation over all ways to act."""
    first, gains = episode_gains(FUNCTION, jnp.asarray(CELLS), ALWAYS)
    probabilities = jnp.exp(log_probs(logits).sum(0))

    def objective(logits):
        return jnp.sum(jnp.exp(log_probs(logits).sum(0)) * (first + gains.sum(0)))

    def estimated(weights):
        return jax.grad(lambda logits: jnp.sum(probabilities * log_probs(logits) * weights))(logits)

    forms = {form: estimated(credit(gains, first, form)) for form in CREDITS}
    # A baseline of what came before: the value of the states so far.
    before = first + jnp.cumsum(gains, axis=0) - gains
    forms["reward_to_go less a baseline"] = estimated(credit(gains, first, "reward_to_go") - 2 * before)
    return jax.grad(objective)(logits), forms


def test_estimators_are_unbiased_or_greedy():
    exact, forms = expected_gradients(LOGITS)
    for unbiased in ("reward_to_go", "trajectory_value", "reward_to_go less a baseline"):
        np.testing.assert_allclose(forms[unbiased], exact, atol=2e-6, err_msg=unbiased)
    np.testing.assert_allclose(forms["prefix_value"], forms["immediate"], atol=2e-6)
    assert np.abs(forms["immediate"] - exact).max() > 0.05


def test_the_surrogate_of_modpo_pays_every_visit():
    from jaxrl_sparse.submodular.set_functions import modular_surrogate

    first, gains = episode_gains(modular_surrogate(FUNCTION), jnp.asarray(CELLS), ALWAYS)
    np.testing.assert_allclose(first, WEIGHTS[START])
    np.testing.assert_allclose(gains, WEIGHTS[CELLS[1:]])


def test_baselines_by_hand():
    weights = jnp.array([[1.0, 2.0, 6.0], [4.0, 8.0, 100.0]])
    active = jnp.array([[True, True, True], [True, True, False]])
    np.testing.assert_allclose(less_baseline(weights, active, "batch_mean"), [[-2, -1, 3], [-2, 2, 94]])
    np.testing.assert_allclose(less_baseline(weights, active, "leave_one_out")[:, :2], [[-3, -1.5], [-4, 4]])
    np.testing.assert_array_equal(less_baseline(weights, active, "none"), weights)


CORRIDOR = GridWalk(np.ones((1, 4), bool), 1, 3)
# One at once to the left, three after two moves to the right.
PRIZES = coverage(np.array([1.0, 0.0, 0.0, 3.0]), np.arange(4)[:, None])
CONFIG = SubPOConfig(num_trajectories=64, hidden_sizes=(8,), learning_rate=0.1, num_evaluation_episodes=32)


def algorithm(config, environment=CORRIDOR, function=PRIZES):
    return subpo(
        config,
        environment,
        environment.default_params,
        function,
        lambda observation: observation.cell,
        environment.features,
        environment.horizon,
        environment.num_cells,
    )


def learnt(config):
    made = algorithm(config)

    def run(key):
        state, metrics = train(made, made.init(key), 60)
        return metrics, made.evaluate(state, jax.random.key(9))

    return jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({}, 3.0),
        ({"credit": "immediate"}, 1.0),
        ({"sees_history": True, "baseline": "leave_one_out"}, 3.0),
        ({"optimizer": "natural", "divergence": 0.05}, 3.0),
    ],
    ids=["reward to go", "immediate", "history", "natural"],
)
def test_greedy_credit_goes_for_the_near_prize_and_reward_to_go_for_the_large_one(fields, value):
    metrics, evaluation = learnt(dataclasses.replace(CONFIG, **fields))
    assert float(evaluation["return"]) > value - 0.2 and float(evaluation["return"]) < value + 0.2
    np.testing.assert_allclose(metrics["episode_return"][-1], evaluation["return"], atol=0.2)
    assert metrics["environment_steps"].tolist() == [128] * 60 and not metrics["negative_gains"].any()


def test_gains_that_are_negative_are_counted():
    falling = PRIZES._replace(gain=lambda memory, element: jnp.where(element == 2, -1.0, 0.0))
    made = algorithm(CONFIG, function=falling)
    _, metrics = jax.jit(made.update)(made.init(jax.random.key(0)), jnp.int32(0))
    assert int(metrics["negative_gains"]) > 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_trajectories": 0}, "num_trajectories: got 0"),
        ({"num_trajectories": 1, "baseline": "leave_one_out"}, "num_trajectories: got 1, takes at least 2"),
        ({"objective": "additive"}, "objective: got 'additive'"),
        ({"credit": "late"}, "credit: got 'late'"),
        ({"baseline": "zero"}, "baseline: got 'zero'"),
        ({"optimizer": "sgd"}, "optimizer: got 'sgd'"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"damping": -1.0}, "damping: got -1.0"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=message):
        algorithm(dataclasses.replace(CONFIG, **fields))


def test_refuses_a_horizon_without_an_action():
    walk = CORRIDOR
    with pytest.raises(ValueError, match=r"horizon: got 1, takes an integer of at least 2"):
        subpo(CONFIG, walk, walk.default_params, PRIZES, lambda o: o.cell, walk.features, 1, 4)


def test_refuses_a_set_function_of_other_elements_than_the_environment_visits():
    takes = r"^set_function: got 4, takes a ground set of the environment's 5 elements: make it from tables"
    with pytest.raises(ValueError, match=takes):
        algorithm(CONFIG, GridWalk(np.ones((1, 5), bool), 1, 3))
    walk = CORRIDOR
    with pytest.raises(
        ValueError, match=r"^num_elements: got None, takes how many elements the environment visits, .*4"
    ):
        subpo(CONFIG, walk, walk.default_params, PRIZES, lambda o: o.cell, walk.features, 3)
