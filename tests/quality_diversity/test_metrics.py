import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from jaxrl_sparse.quality_diversity.metrics import (
    champions_and,
    cost_metrics,
    coverage,
    coverage_of,
    ground_truth_cells,
    history_crown,
    history_init,
    history_metrics,
    history_update,
    uniformity,
)
from jaxrl_sparse.quality_diversity.problems import Evaluation, Individuals

BOUNDS = ((-1.0, 0.0), (1.0, 1.0))
update_history = jax.jit(history_update, static_argnames="bounds")


def individuals_of(ground_truth, rewards, areas):
    num = len(rewards)
    names = jnp.arange(num, dtype=jnp.float32)[:, None]
    ground_truth = jnp.asarray(ground_truth, jnp.float32)
    evaluation = Evaluation(
        rewards=jnp.asarray(rewards, jnp.float32),
        descriptors=ground_truth,
        ground_truth=ground_truth,
        areas=jnp.asarray(areas, jnp.int32),
        render_states=names[:, None],
        environment_steps=jnp.full(num, 7, jnp.int32),
    )
    return Individuals(names, evaluation)


def published_cell(value, low, high):
    """The rule as published: the index of the first edge that is not below the value."""
    edges = np.linspace(low, high, 51, dtype=np.float32)
    return max(int(np.argmax(edges >= np.float32(value))), 1) - 1


def test_a_value_on_an_edge_belongs_to_the_lower_cell():
    edges = np.linspace(0.0, 1.0, 51, dtype=np.float32)
    on_edges = jnp.stack([jnp.full(51, -1.0), edges], axis=1)
    above_edges = jnp.stack([jnp.full(50, -1.0), np.nextafter(edges[:-1], np.float32(2.0))], axis=1)
    np.testing.assert_array_equal(ground_truth_cells(on_edges, BOUNDS), [0, *range(50)])
    np.testing.assert_array_equal(ground_truth_cells(above_edges, BOUNDS), np.arange(50))


def test_cells_equal_the_published_rule():
    points = np.random.default_rng(0).uniform([-1.0, 0.0], [1.0, 1.0], (300, 2)).astype(np.float32)
    expected = [50 * published_cell(x, -1.0, 1.0) + published_cell(y, 0.0, 1.0) for x, y in points]
    np.testing.assert_array_equal(ground_truth_cells(jnp.asarray(points), BOUNDS), expected)


def test_points_off_the_grid_have_no_cell():
    points = jnp.array([[-1.01, 0.5], [0.0, 1.01], [np.nan, 0.5], [1.0, 1.0]])
    np.testing.assert_array_equal(ground_truth_cells(points, BOUNDS), [2500, 2500, 2500, 2499])


@pytest.mark.parametrize("visits", [[3, 3, 3, 3], [1, 0, 0, 0], [5, 2, 0, 1], [10**6, 1, 1, 1]])
def test_uniformity_equals_the_jensen_shannon_distance(visits):
    expected = 1.0 - jensenshannon(np.array(visits) / sum(visits), np.full(4, 0.25))
    np.testing.assert_allclose(uniformity(jnp.array(visits)), expected, atol=3e-4)


def test_uniformity_of_one_cell_in_closed_form():
    n = 2500
    p_to_m, u_to_m = np.log(2 / (1 + 1 / n)), (np.log(2 / (n + 1)) + (n - 1) * np.log(2)) / n
    visits = jnp.zeros(n, jnp.int32).at[3].set(9)
    np.testing.assert_allclose(uniformity(visits), 1 - np.sqrt((p_to_m + u_to_m) / 2), rtol=1e-5)
    assert float(uniformity(jnp.zeros(n, jnp.int32))) == 0.0
    np.testing.assert_allclose(coverage(visits), 1 / n)


def test_coverage_of_some_points_by_hand():
    points = jnp.array([[-1.0, 0.0], [-1.0, 0.0], [1.0, 1.0], [0.3, 0.3], [9.0, 9.0]])
    mask = jnp.array([True, True, True, False, True])
    np.testing.assert_allclose(coverage_of(points, mask, BOUNDS), 2 / 2500)


def test_the_history_of_two_generations_by_hand():
    first = individuals_of(
        [[-1.0, 0.0], [-1.0, 0.0], [1.0, 1.0], [0.5, 0.5]], rewards=[0.0, 0.0, 0.3, np.nan], areas=[-1, -1, 1, 0]
    )
    second = individuals_of(
        [[1.0, 1.0], [0.9, 0.9], [2.0, 0.5], [-0.9, 0.5]], rewards=[0.3, 0.8, 0.2, 0.0], areas=[1, 1, 0, -1]
    )
    history = update_history(history_init(first, 3), first, bounds=BOUNDS)
    np.testing.assert_allclose(history.champion_rewards, [-np.inf, 0.3, -np.inf, 0.3])
    history = update_history(history, second, bounds=BOUNDS)
    metrics = history_metrics(history)
    assert {name: round(float(value), 6) for name, value in metrics.items() if name != "uniformity"} == {
        "coverage": 4 / 2500,
        "max_reward": 0.8,
        "max_reward_area_0": 0.2,
        "max_reward_area_1": 0.8,
        "max_reward_area_2": 0.0,
        "rejected": 1.0,
        "out_of_bounds": 1.0,
    }
    assert int(history.visits[0]) == 2 and int(history.visits[2499]) == 2 and int(history.visits.sum()) == 6
    np.testing.assert_array_equal(history.champions.genomes[:, 0], [2.0, 1.0, 0.0, 1.0])
    found = champions_and(history, first, jnp.array([True, False, False, True]))
    np.testing.assert_array_equal(found.mask, [True, True, False, True, True, False, False, True])
    np.testing.assert_allclose(found.ground_truth[:2], [[2.0, 0.5], [0.9, 0.9]])
    np.testing.assert_array_equal(found.areas[:2], [0, 1])


def test_among_equals_the_first_stays_champion():
    everybody = individuals_of([[0.0, 0.5]] * 3, rewards=[0.5, 0.5, 0.4], areas=[0, 0, 0])
    later = individuals_of([[0.9, 0.9]] * 3, rewards=[0.5, 0.5, 0.5], areas=[0, 0, 0])
    history = update_history(history_init(everybody, 1), everybody, bounds=BOUNDS)
    history = update_history(history, later, bounds=BOUNDS)
    np.testing.assert_array_equal(history.champions.genomes, [[0.0], [0.0]])
    np.testing.assert_allclose(history.champions.evaluation.ground_truth, [[0.0, 0.5]] * 2)


def test_crowning_visits_no_cell_and_sees_only_the_masked():
    first = individuals_of([[0.0, 0.5]] * 2, rewards=[0.5, 0.1], areas=[0, 1])
    history = update_history(history_init(first, 2), first, bounds=BOUNDS)
    later = individuals_of(
        [[0.9, 0.9], [-0.5, 0.5], [3.0, 0.5], [0.1, 0.1], [0.2, 0.2]],
        rewards=[0.9, 0.5, 0.6, np.nan, np.inf],
        areas=[0, 0, 1, 1, 1],
    )
    crowned = jax.jit(history_crown)(history, later, jnp.array([False, True, True, True, False]))
    # Neither the unmasked .9, nor the .5 that only ties, nor what is not finite.
    np.testing.assert_allclose(crowned.champion_rewards, [0.5, 0.6, 0.6])
    np.testing.assert_array_equal(crowned.champions.genomes[:, 0], [0.0, 2.0, 2.0])
    np.testing.assert_allclose(crowned.champions.evaluation.ground_truth, [[0.0, 0.5], [3.0, 0.5], [3.0, 0.5]])
    np.testing.assert_array_equal(crowned.visits, history.visits)
    assert int(crowned.rejected) == 1 and int(crowned.out_of_bounds) == 0


def test_nothing_valid_has_no_best_reward():
    broken = individuals_of([[0.0, 0.0]], rewards=[np.nan], areas=[0])
    metrics = history_metrics(update_history(history_init(broken, 0), broken, bounds=BOUNDS))
    assert np.isnan(metrics["max_reward"]) and float(metrics["coverage"]) == 0.0 and int(metrics["rejected"]) == 1


def test_the_first_update_pays_for_init():
    evaluation = individuals_of([[0.0, 0.0]] * 4, rewards=[0.0] * 4, areas=[-1] * 4).evaluation
    steps = jnp.arange(3, dtype=jnp.int32)
    costs = jax.vmap(lambda step: cost_metrics(evaluation.environment_steps, step, 10, jnp.int32(1000)))(steps)
    np.testing.assert_array_equal(costs["evaluations"], [14, 4, 4])
    np.testing.assert_array_equal(costs["environment_steps"], [1028, 28, 28])
    assert costs["evaluations"].dtype == costs["environment_steps"].dtype == jnp.int32
