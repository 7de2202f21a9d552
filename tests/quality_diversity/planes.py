"""A problem whose behaviour is the genome itself: what an algorithm should do can be told by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist

from jaxrl_sparse.quality_diversity.problems import Evaluation, Individuals, Problem

BOUNDS = ((-5.0, -5.0), (5.0, 5.0))


def nobody(genomes):
    return jnp.zeros(len(genomes), bool)


def picture(render_state, size):
    """A grey square in which a white blob of the size of a pixel or two sits at (x, y)."""
    places = -5.0 + 10.0 * (jnp.arange(size) + 0.5) / size
    distances = (places[:, None] - render_state[1]) ** 2 + (places - render_state[0]) ** 2
    return jnp.broadcast_to(jnp.exp(-distances / 2.0)[..., None], (size, size, 3))


def plane(broken=nobody, see=None, reward=lambda genomes: genomes[:, 0]):
    """Genomes [x, y]: descriptor (x, y), reward x, area 0 where x > 0; NaN rewards where `broken` says so.

    `see` is shown all genomes that are evaluated, `reward` is another reward.
    """

    def evaluate_genomes(key, genomes):
        del key
        if see is not None:
            jax.debug.callback(see, genomes)
        rewards = jnp.where(broken(genomes), jnp.nan, reward(genomes))
        return Evaluation(
            rewards=rewards,
            descriptors=genomes,
            ground_truth=genomes,
            areas=jnp.where(genomes[:, 0] > 0, 0, -1).astype(jnp.int32),
            render_states=genomes[:, None],
            environment_steps=jnp.full(len(genomes), 3, jnp.int32),
        )

    return Problem(evaluate_genomes, 2, 2, BOUNDS, num_areas=1, render_size=2, render=picture, descriptor_bounds=BOUNDS)


def individuals_of(genomes, broken=nobody):
    genomes = jnp.asarray(genomes, jnp.float32)
    return Individuals(genomes, plane(broken).evaluate_genomes(jax.random.key(0), genomes))


def brute_force_novelties(candidates, archived, k):
    distances = np.sort(cdist(candidates, np.concatenate([candidates, archived])), axis=1)
    return distances[:, 1 : k + 1].mean(axis=1)
