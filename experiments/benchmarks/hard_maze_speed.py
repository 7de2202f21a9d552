"""HardMaze environment steps per CPU second, the 5-5-5-2 controller of every robot included.

    python -m experiments.benchmarks.hard_maze_speed

CPU seconds are added over all threads, so that the figure hardly depends on what else the machine does.
"""

import time

import jax
import jax.numpy as jnp

from experiments import record
from jaxrl_sparse.base import strong_types
from jaxrl_sparse.environments.planar.hard_maze import MAX_STEPS, HardMaze
from jaxrl_sparse.quality_diversity import controller_problem

COMMAND = "python -m experiments.benchmarks.hard_maze_speed"
REPETITIONS = 5
TARGET = 2e6


def main():
    environment = HardMaze()
    start = time.process_time()
    params = strong_types(environment.default_params)
    print(f"tables built in {time.process_time() - start:.2f} CPU s")

    @jax.jit
    def evaluate(key, genomes, params):
        return controller_problem(environment, params).evaluate_genomes(key, genomes)

    size = controller_problem(environment, params).genome_size
    figures = {}
    for num_environments in (200, 2000):
        genomes = jnp.clip(jax.random.normal(jax.random.key(1), (num_environments, size)), -5.0, 5.0)
        jax.block_until_ready(evaluate(jax.random.key(0), genomes, params))
        rates = []
        for _ in range(REPETITIONS):
            start = time.process_time()
            jax.block_until_ready(evaluate(jax.random.key(0), genomes, params))
            rates.append(num_environments * MAX_STEPS / (time.process_time() - start))
        verdict = "holds" if min(rates) >= TARGET else "DOES NOT HOLD"
        print(
            f"{num_environments:5d} environments: {max(rates) / 1e6:.2f} million steps per CPU second "
            f"(worst of {REPETITIONS}: {min(rates) / 1e6:.2f}); at least {TARGET / 1e6:.0f} million {verdict}"
        )
        figures[f"{num_environments} environments"] = {"steps_per_cpu_second": rates, "claim": verdict}
    record.write("hard_maze_speed", COMMAND, figures)


if __name__ == "__main__":
    main()
