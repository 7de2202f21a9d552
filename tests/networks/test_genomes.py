from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.networks.genomes import feedforward


def loop_forward(genome, observation, layer_sizes):
    """The published layout, gene by gene, in float64."""
    activations, gene = list(np.asarray(observation, np.float64)), 0
    for fan_in, fan_out in pairwise(layer_sizes):
        sums = [0.0] * fan_out
        for i in range(fan_in):
            for o in range(fan_out):
                sums[o] += activations[i] * genome[gene]
                gene += 1
        activations = [2.0 / (1.0 + np.exp(-(total + genome[gene]))) - 1.0 for total in sums]
        gene += 1
    assert gene == len(genome)
    return activations


@pytest.mark.parametrize(
    ("layer_sizes", "size"),
    [
        ((2, 5, 5, 2), 48),
        ((5, 5, 5, 2), 63),
        ((6, 5, 5, 5, 2), 94),
        ((20, 5, 5, 20), 228),
        ((10, 5, 5, 3), 93),
        ((29, 10, 10, 10, 8), 574),
    ],
)
def test_genome_sizes_of_the_published_controllers(layer_sizes, size):
    assert feedforward(layer_sizes).size == size


@pytest.mark.parametrize("layer_sizes", [(3, 4, 2), (70, 2)])
def test_equals_a_loop_over_the_genes(layer_sizes):
    network = feedforward(layer_sizes)
    genomes = jax.random.normal(jax.random.key(0), (7, network.size))
    observations = jax.random.normal(jax.random.key(1), (7, layer_sizes[0]))
    actions = jax.jit(jax.vmap(network.apply))(genomes, observations)
    expected = [
        loop_forward(np.asarray(g, np.float64), o, layer_sizes) for g, o in zip(genomes, observations, strict=True)
    ]
    np.testing.assert_allclose(actions, expected, atol=2e-6)


def test_the_bias_is_shared_by_all_units_of_a_layer():
    network = feedforward((1, 3))
    genome = jnp.array([0.0, 0.0, 0.0, 2.0])
    np.testing.assert_allclose(network.apply(genome, jnp.array([5.0])), np.full(3, np.tanh(1.0)), rtol=1e-6)


@pytest.mark.parametrize("layer_sizes", [(), (3,), (3, 0, 2)])
def test_refuses_bad_layer_sizes(layer_sizes):
    with pytest.raises(ValueError, match="layer_sizes: got"):
        feedforward(layer_sizes)
