"""Curling environment steps per CPU second, the 6-5-5-5-2 controller of every arm included.

    python -m experiments.benchmarks.curling_speed

CPU seconds are added over all threads, so that the figure hardly depends on what else the machine does.
"""

import time

import jax
import jax.numpy as jnp

from experiments import record
from jaxrl_sparse.base import strong_types
from jaxrl_sparse.environments.curling.curling import MAX_STEPS, Curling
from jaxrl_sparse.quality_diversity import controller_problem

COMMAND = "python -m experiments.benchmarks.curling_speed"
REPETITIONS = 5
TARGET = 80e3
HIDDEN_SIZES = (5, 5, 5)


def main():
    environment = Curling()
    params = strong_types(environment.default_params)

    @jax.jit
    def evaluate(key, genomes, params):
        return controller_problem(environment, params, HIDDEN_SIZES).evaluate_genomes(key, genomes)

    size = controller_problem(environment, params, HIDDEN_SIZES).genome_size
    figures = {}
    for num_environments in (12, 200, 2000):
        genomes = jnp.clip(jax.random.normal(jax.random.key(1), (num_environments, size)), -5.0, 5.0)
        jax.block_until_ready(evaluate(jax.random.key(0), genomes, params))
        rates = []
        for _ in range(REPETITIONS):
            start = time.process_time()
            jax.block_until_ready(evaluate(jax.random.key(0), genomes, params))
            rates.append(num_environments * MAX_STEPS / (time.process_time() - start))
        verdict = "holds" if min(rates) >= TARGET else "DOES NOT HOLD"
        print(
            f"{num_environments:5d} environments: {max(rates) / 1e3:.0f} thousand steps per CPU second "
            f"(worst of {REPETITIONS}: {min(rates) / 1e3:.0f}); at least {TARGET / 1e3:.0f} thousand {verdict}"
        )
        figures[f"{num_environments} environments"] = {"steps_per_cpu_second": rates, "claim": verdict}
    record.write("curling_speed", COMMAND, figures)


if __name__ == "__main__":
    main()
