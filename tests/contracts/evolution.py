"""A client of the contract: an evolution strategy that climbs a test function, with no environment at all."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.base import EVALUATIONS, Algorithm, config

SAME_INPUTS = True
NUM_UPDATES = 60
INPUTS = jnp.array([1.0, -2.0, 0.5])


@config
class Config:
    population_size: int = 16
    sigma: float = 0.1
    learning_rate: float = 0.3


SWEPT = (Config(), Config(learning_rate=0.2))


class State(NamedTuple):
    key: jax.Array
    mean: jax.Array


def make(config, optimum):
    def fitness(x):
        return -jnp.sum((x - optimum) ** 2, axis=-1)

    def init(key):
        key, mean_key = jax.random.split(key)
        return State(key, jax.random.normal(mean_key, optimum.shape))

    def update(state, step):
        key, noise_key = jax.random.split(state.key)
        noise = jax.random.normal(noise_key, (config.population_size, optimum.size))
        fitnesses = fitness(state.mean + config.sigma * noise) - fitness(state.mean - config.sigma * noise)
        gradient = fitnesses @ noise / (2 * config.sigma * config.population_size)
        metrics = {EVALUATIONS: jnp.int32(2 * config.population_size), "max_reward": jnp.max(fitnesses)}
        return State(key, state.mean + config.learning_rate * gradient), metrics

    def evaluate(state, key):
        return {"reward": jnp.mean(fitness(state.mean + config.sigma * jax.random.normal(key, (8, optimum.size))))}

    return Algorithm(init, update, evaluate)


def check(config, optimum, state, evaluation):
    """It found the top; what `evaluate` draws costs sigma^2 a dimension."""
    np.testing.assert_allclose(state.mean, optimum, atol=0.02)
    assert -3 * optimum.size * config.sigma**2 < evaluation["reward"] < 0
