import jax
import numpy as np
import pytest

from jaxrl_sparse.quality_diversity.kinematic_arm import arm_problem


def loop_arm(genes):
    angle, position, link = 0.0, np.array([0.5, 0.5]), 0.5 / len(genes)
    for gene in np.clip(genes, 0.0, 1.0):
        angle += 2 * np.pi * gene - np.pi
        position = position + link * np.array([np.cos(angle), np.sin(angle)])
    return -np.clip(genes, 0.0, 1.0).std(), position


def test_the_arm_equals_a_loop_over_its_joints():
    problem = arm_problem(8)
    genomes = jax.random.uniform(jax.random.key(0), (50, 8), minval=-0.1, maxval=1.1)
    evaluation = problem.evaluate_genomes(jax.random.key(1), genomes)
    rewards, positions = zip(*[loop_arm(np.asarray(genes, np.float64)) for genes in genomes], strict=True)
    np.testing.assert_allclose(evaluation.rewards, rewards, atol=1e-6)
    np.testing.assert_allclose(evaluation.descriptors, positions, atol=1e-5)
    np.testing.assert_array_equal(evaluation.ground_truth, evaluation.descriptors)


def test_equal_genes_of_one_half_stretch_the_arm():
    evaluation = arm_problem(8).evaluate_genomes(
        jax.random.key(0), np.full((1, 8), 0.5, np.float32) + jax.numpy.zeros(1)
    )
    np.testing.assert_allclose(evaluation.descriptors, [[1.0, 0.5]], atol=1e-6)
    np.testing.assert_allclose(evaluation.rewards, [0.0], atol=1e-6)


def test_refuses_an_arm_without_joints():
    with pytest.raises(ValueError, match="num_joints: got 0"):
        arm_problem(0)
