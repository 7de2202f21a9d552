"""HardMaze environment steps per CPU second, the 5-5-5-2 controller of every robot included.

    python experiments/benchmarks/hard_maze_speed.py

CPU seconds are added over all threads, so that the figure does not depend on what else the machine does.
"""

import time

import jax
import jax.numpy as jnp

from jaxrl_sparse.environments.planar.hard_maze import HardMaze
from jaxrl_sparse.networks.genomes import feedforward

REPETITIONS = 5
EPISODE_STEPS = 2000
TARGET = 2e6


def main():
    environment, network = HardMaze(), feedforward((5, 5, 5, 2))
    start = time.process_time()
    params = environment.default_params
    print(f"tables built in {time.process_time() - start:.2f} CPU s")

    @jax.jit
    def episodes(genomes, params):
        key = jax.random.key(0)

        def episode(genome):
            def step(carry, _):
                observation, state = carry
                action = network.apply(genome, observation)
                observation, state, reward, _, _ = environment.step_env(key, state, action, params)
                return (observation, state), reward

            (_, state), rewards = jax.lax.scan(step, environment.reset_env(key, params), None, EPISODE_STEPS)
            return environment.descriptor(state, params), jnp.sum(rewards)

        return jax.vmap(episode)(genomes)

    for num_environments in (200, 2000):
        genomes = jnp.clip(jax.random.normal(jax.random.key(1), (num_environments, network.size)), -5.0, 5.0)
        jax.block_until_ready(episodes(genomes, params))
        rates = []
        for _ in range(REPETITIONS):
            start = time.process_time()
            jax.block_until_ready(episodes(genomes, params))
            rates.append(num_environments * EPISODE_STEPS / (time.process_time() - start))
        verdict = "holds" if max(rates) >= TARGET else "DOES NOT HOLD"
        print(
            f"{num_environments:5d} environments: {max(rates) / 1e6:.2f} million steps per CPU second "
            f"(worst of {REPETITIONS}: {min(rates) / 1e6:.2f}); at least {TARGET / 1e6:.0f} million {verdict}"
        )


if __name__ == "__main__":
    main()
