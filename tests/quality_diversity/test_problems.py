import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse import environments
from jaxrl_sparse.base import strong_types
from jaxrl_sparse.environments.planar.point_2d import Point2D
from jaxrl_sparse.networks.genomes import feedforward
from jaxrl_sparse.quality_diversity.kinematic_arm import arm_problem
from jaxrl_sparse.quality_diversity.problems import controller_problem, genome_box, random_genomes
from jaxrl_sparse.runner.binding import DEFAULT_HIDDEN_SIZES


@pytest.fixture(scope="module")
def point():
    environment = Point2D()
    return environment, controller_problem(environment, environment.default_params, hidden_sizes=(3,))


def test_an_evaluation_is_one_episode_of_each_genome(point):
    environment, problem = point
    network = feedforward((2, 3, 2))
    assert problem.genome_size == network.size
    genomes = np.array(3.0 * jax.random.normal(jax.random.key(0), (6, network.size)))
    # Two controllers that go straight to the first box, (.75 .. .8)^2, and leave it again or stand still behind it.
    genomes[0] = 0.0
    genomes[0, -1] = 2 * np.arctanh(1.0 - 1e-7)
    genomes[1] = 0.0
    genomes[1, -1] = 2 * np.arctanh(0.775 / 2.5)
    evaluation = jax.jit(problem.evaluate_genomes)(jax.random.key(1), jnp.asarray(genomes))

    act = jax.jit(network.apply)
    for i, genome in enumerate(genomes):
        _, state = environment.reset_env(jax.random.key(2), environment.default_params)
        position, rewards = np.zeros(2, np.float32), 0.0
        for _ in range(50):
            action = act(jnp.asarray(genome), jnp.asarray(position))
            _, state, reward, _, _ = environment.step_env(jax.random.key(2), state, action, environment.default_params)
            position = np.clip(position + np.float32(0.05) * np.asarray(action), -1.0, 1.0)
            rewards += float(reward)
        np.testing.assert_allclose(evaluation.ground_truth[i], position, atol=1e-4)
        np.testing.assert_allclose(evaluation.rewards[i], rewards)
        assert int(evaluation.areas[i]) == int(state.area)
    np.testing.assert_array_equal(evaluation.descriptors, evaluation.ground_truth)
    np.testing.assert_array_equal(evaluation.environment_steps, np.full(6, 50))
    np.testing.assert_allclose(evaluation.ground_truth[:2], [[1.0, 1.0], [0.775, 0.775]], atol=1e-4)
    assert int(evaluation.areas[0]) == 0 and float(evaluation.rewards[0]) >= 1.0


def test_the_time_limit_of_the_parameters_ends_the_episodes(point):
    environment, _ = point
    genomes = jnp.zeros((2, feedforward((2, 3, 2)).size)).at[:, -1].set(20.0)

    @jax.jit
    def evaluate(max_steps):
        params = environment.default_params.replace(max_steps_in_episode=max_steps)
        return controller_problem(environment, params, (3,)).evaluate_genomes(jax.random.key(0), genomes)

    for max_steps in (1, 7, 60):
        evaluation = evaluate(jnp.int32(max_steps))
        np.testing.assert_array_equal(evaluation.environment_steps, [max_steps] * 2)
        np.testing.assert_allclose(evaluation.ground_truth, np.full((2, 2), min(1.0, 0.05 * max_steps)), atol=1e-5)


def test_the_problem_knows_the_environment(point):
    environment, problem = point
    assert problem.ground_truth_bounds == problem.descriptor_bounds == environment.descriptor_bounds
    assert (problem.num_areas, problem.descriptor_size) == (4, 2)
    shape = jax.eval_shape(problem.evaluate_genomes, jax.random.key(0), jnp.zeros((3, problem.genome_size)))
    assert shape.render_states.shape == (3, problem.num_frames, problem.render_size)


def test_genomes_start_normal_and_clipped_or_uniform_in_the_box_of_the_problem(point):
    _, problem = point
    normal = np.asarray(random_genomes(jax.random.key(0), problem, 2000, 1.5))
    assert np.abs(normal).max() == 1.5
    inside = np.abs(normal) < 1.5
    np.testing.assert_allclose(inside.mean(), 0.8664, atol=0.01)
    np.testing.assert_allclose(normal[inside].std(), 0.743, atol=0.01)
    uniform = np.asarray(random_genomes(jax.random.key(0), arm_problem(8), 2000, 1.5))
    np.testing.assert_allclose([uniform.min(), uniform.max(), uniform.mean()], [0.0, 1.0, 0.5], atol=0.01)
    assert genome_box(problem, 1.5) == (-1.5, 1.5) and genome_box(arm_problem(8), 1.5) == (0.0, 1.0)


def test_refuses_hidden_layers_without_units(point):
    environment, _ = point
    with pytest.raises(ValueError, match="hidden_sizes: got"):
        controller_problem(environment, environment.default_params, (5, 0))


# MuJoCo computes in whatever precision is enabled.
@pytest.mark.parametrize("name", sorted({*DEFAULT_HIDDEN_SIZES} - {"ant-maze"}))
def test_controllers_are_evaluated_in_float32_where_64_bit_types_are_enabled(name):
    with jax.enable_x64(True):
        environment = environments.make(name)
        params = strong_types(environment.default_params)
        problem = controller_problem(environment, params)
        genomes = jax.eval_shape(lambda key: random_genomes(key, problem, 3, 5.0), jax.random.key(0))
        evaluation = jax.eval_shape(problem.evaluate_genomes, jax.random.key(0), genomes)
    floats = [leaf.dtype for leaf in jax.tree.leaves((genomes, evaluation)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert set(floats) == {jnp.dtype(jnp.float32)}
