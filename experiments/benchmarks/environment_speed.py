"""Steps of an environment per CPU second, the published controller of every robot or arm included.

    python -m experiments.benchmarks.environment_speed curling
    python -m experiments.benchmarks.environment_speed hard-maze

Random controllers run whole episodes, all in one batch. Writes `experiments/results/curling_speed.json` or
`experiments/results/hard_maze_speed.json`.
"""

import argparse
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments import record
from jaxrl_sparse.base import strong_types
from jaxrl_sparse.environments import make
from jaxrl_sparse.quality_diversity import controller_problem
from jaxrl_sparse.runner.binding import hidden_sizes_for

COMMAND = "python -m experiments.benchmarks.environment_speed"
REPETITIONS = 5


class Target(NamedTuple):
    """What is asked of an environment.

    Attributes:
      steps_per_cpu_second: at least so many in every repetition.
      batches: numbers of environments side by side.
    """

    steps_per_cpu_second: float
    batches: tuple[int, ...]


# A batch of Curling as small as a generation of CMA-ES has to be fast, too.
TARGETS = {"curling": Target(80e3, (12, 200, 2000)), "hard-maze": Target(2e6, (200, 2000))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("env", choices=TARGETS)
    env = parser.parse_args().env
    target = TARGETS[env]
    environment = make(env)
    start = time.process_time()
    params = strong_types(environment.default_params)
    print(f"parameters (of the maze: its tables) built in {time.process_time() - start:.2f} CPU s")

    def problem(params):
        return controller_problem(environment, params, hidden_sizes_for(env))

    evaluate = jax.jit(lambda key, genomes, params: problem(params).evaluate_genomes(key, genomes))
    size = problem(params).genome_size
    max_steps = int(params.max_steps_in_episode)
    figures = {}
    for num_environments in target.batches:
        genomes = jnp.clip(jax.random.normal(jax.random.key(1), (num_environments, size)), -5.0, 5.0)
        arguments = jax.random.key(0), genomes, params
        # Compiles.
        jax.block_until_ready(evaluate(*arguments))
        seconds = [record.cpu_seconds(evaluate, *arguments)[0] for _ in range(REPETITIONS)]
        rates = [num_environments * max_steps / spent for spent in seconds]
        verdict = "holds" if min(rates) >= target.steps_per_cpu_second else "DOES NOT HOLD"
        print(
            f"{num_environments:5d} environments: {max(rates) / 1e3:,.0f} thousand steps per CPU second (worst of "
            f"{REPETITIONS}: {min(rates) / 1e3:,.0f}); at least {target.steps_per_cpu_second / 1e3:,.0f} {verdict}"
        )
        figures[f"{num_environments} environments"] = {"steps_per_cpu_second": rates, "claim": verdict}
    record.write(f"{env.replace('-', '_')}_speed", f"{COMMAND} {env}", figures)


if __name__ == "__main__":
    main()
