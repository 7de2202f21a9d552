"""An evolution strategy of a few lines, as a system of the catalogue, and as a program that a test can kill."""

import sys
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.base import ENVIRONMENT_STEPS, EVALUATIONS, Algorithm, config, require
from jaxrl_sparse.runner import binding, catalogue, cli

CAPACITY = 32


@config
class ToyConfig:
    """Climbs a hill.

    Attributes:
      population_size: candidates of one update.
      num_neighbors: at most as many as candidates.
      sigma: standard deviation of the candidates.
      learning_rate: share of the way to the best candidate.
    """

    population_size: int = 8
    num_neighbors: int = 3
    sigma: float = 0.1
    learning_rate: float = 0.5


class ToyState(NamedTuple):
    key: jax.Array
    mean: jax.Array
    visited: dict[str, jax.Array]


def make(config, inputs):
    takes = "an integer of at least 1"
    require("population_size", config.population_size, lambda n: n >= 1, takes)
    require("num_neighbors", config.num_neighbors, lambda k: 1 <= k <= config.population_size, "1 to population_size")

    def init(key):
        key, mean_key = jax.random.split(key)
        visited = {"points": jnp.zeros((CAPACITY, 2)), "size": jnp.int32(0)}
        return ToyState(key, jax.random.uniform(mean_key, (2,)), visited)

    def update(state, step):
        key, noise_key = jax.random.split(state.key)
        candidates = state.mean + config.sigma * jax.random.normal(noise_key, (config.population_size, 2))
        rewards = -jnp.sum((candidates - inputs) ** 2, axis=1)
        mean = state.mean + config.learning_rate * (candidates[jnp.argmax(rewards)] - state.mean)
        size = state.visited["size"]
        visited = {"points": state.visited["points"].at[size].set(mean, mode="drop"), "size": size + 1}
        metrics = {
            EVALUATIONS: config.population_size * jnp.where(step == 0, 2, 1),
            ENVIRONMENT_STEPS: 50 * config.population_size * jnp.where(step == 0, 2, 1),
            "max_reward": jnp.max(rewards),
            "log_spread": jnp.log(jnp.std(candidates) - 0.05),
        }
        return ToyState(key, mean, visited), metrics

    def evaluate(state, key):
        held_out = inputs + 0.01 * jax.random.normal(key, (2,))
        return {"reward": -jnp.sum((state.mean - held_out) ** 2), "undefined": jnp.nan}

    return Algorithm(init, update, evaluate)


INPUTS = np.array([0.75, 0.25], np.float32)

ENVIRONMENT = SimpleNamespace(
    world_bounds=((0.0, 0.0), (1.0, 1.0)),
    descriptor_bounds=((0.0, 0.0), (1.0, 1.0)),
    image_y_axis_down=False,
    reward_areas=(),
    world_position=lambda descriptors: descriptors,
    scene=lambda size: np.ones((size, size, 3), np.float32),
)


def discoveries(state):
    mask = jnp.arange(CAPACITY) < state.visited["size"]
    points = state.visited["points"]
    areas = jnp.full(CAPACITY, -1, jnp.int32)
    return SimpleNamespace(
        ground_truth=points, rewards=points[:, 0], areas=areas, mask=mask, visits=jnp.zeros(4, jnp.int32)
    )


def check_budget(config, budget):
    require("hill", budget, lambda evaluations: evaluations <= 10**12, "at most 10^12 evaluations")


TASK = binding.Task(make, INPUTS, ENVIRONMENT, lambda config: 2 * config.population_size, check_budget, discoveries)


def load():
    return binding.System(
        ToyConfig, "max_reward", EVALUATIONS, 80, lambda *words: TASK, hidden_sizes_for=lambda name: (), evaluates=True
    )


ENTRY = catalogue.Entry("climbs a hill", load)

if __name__ == "__main__":
    catalogue.ALGORITHMS["toy"] = ENTRY
    jax.config.update("jax_platforms", "cpu")
    sys.exit(cli.main())
