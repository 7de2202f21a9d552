"""The kinematic arm: a problem in closed form, to test and to compare algorithms on."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.quality_diversity.problems import Evaluation, Problem


def arm_problem(num_joints: int = 8) -> Problem:
    """The planar arm repertoire: reach every point with joint angles as equal as possible.

    Genes x in [0, 1]^n are the relative joint angles `2 pi x - pi` of an arm with n links of length 1 / (2 n) based at
    (1/2, 1/2). The descriptor, and ground truth, is the end effector's position in [0, 1]^2:
    `1/2 + 1/(2 n) sum_i (cos a_i, sin a_i)`, with the absolute angles `a_i = sum_{j <= i} (2 pi x_j - pi)`. The reward
    is minus the standard deviation of x.

    Args:
      num_joints: n, at least 1.

    Raises:
      ValueError: if `num_joints` is below 1.

    Source: Vassiliades and Mouret, "Discovering the Elite Hypervolume by Leveraging Interspecies Correlation" (2018),
    in the normalisation that QDax's `arm` task uses.
    """
    require("num_joints", num_joints, is_count, "an integer of at least 1")

    def evaluate_genomes(key: PRNGKeyArray, genomes: Float[Array, "B P"]) -> Evaluation:
        del key
        joints = jnp.clip(genomes, 0.0, 1.0)
        angles = jnp.cumsum(2.0 * jnp.pi * joints - jnp.pi, axis=-1)
        directions = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1)
        end_effectors = 0.5 + jnp.mean(directions, axis=1) / 2.0
        batch_size = genomes.shape[0]
        return Evaluation(
            rewards=-jnp.std(joints, axis=-1),
            descriptors=end_effectors,
            ground_truth=end_effectors,
            areas=jnp.full(batch_size, -1, jnp.int32),
            render_states=end_effectors[:, None],
            environment_steps=jnp.zeros(batch_size, jnp.int32),
        )

    unit_square = ((0.0, 0.0), (1.0, 1.0))
    return Problem(
        evaluate_genomes=evaluate_genomes,
        genome_size=num_joints,
        descriptor_size=2,
        ground_truth_bounds=unit_square,
        num_areas=0,
        render_size=2,
        descriptor_bounds=unit_square,
        genome_bounds=(0.0, 1.0),
    )
