"""Experience with both kinds of ends, cut into pieces and labelled piece by piece."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.base import Trajectory, trajectory_spec


def experience(seed, num_steps, num_environments, end_rate=0.15):
    """Normal rewards and observations `[T, B, 3]`; a step is the last of its episode at random, by either flag."""
    rng = np.random.default_rng(seed)
    shape = (num_steps, num_environments)
    observations = rng.normal(size=(num_steps + 1, num_environments, 3))
    return Trajectory(
        observations=jnp.asarray(observations[:-1], jnp.float32),
        actions=jnp.zeros(shape, jnp.int32),
        rewards=jnp.asarray(rng.normal(size=shape), jnp.float32),
        terminated=jnp.asarray(rng.random(shape) < end_rate),
        truncated=jnp.asarray(rng.random(shape) < end_rate),
        next_observations=jnp.asarray(observations[1:], jnp.float32),
    )


def pieces(trajectory, *borders):
    """The trajectory cut before the given steps."""
    edges = [0, *borders, trajectory.rewards.shape[0]]
    spans = [slice(*span) for span in itertools.pairwise(edges)]
    return [jax.tree.map(lambda leaf, span=span: leaf[span], trajectory) for span in spans]


def label(transformation, *trajectories):
    """The rewards of pieces of experience that follow one another, `[T, B]`, and the last state."""
    state = transformation.init(jax.random.key(0), trajectory_spec(trajectories[0]))
    labels = []
    for trajectory in trajectories:
        rewards, state = transformation.update(trajectory, state)
        labels.append(rewards)
    return np.concatenate(labels), state
