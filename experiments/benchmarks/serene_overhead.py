"""What SERENE costs beside its rollouts, and what 16 seeds in one batch cost against one alone.

    python -m experiments.benchmarks.serene_overhead
    python -m experiments.benchmarks.serene_overhead --env hard-maze --steps 500

The overhead is the share of a run's CPU seconds that is left without those of bare rollouts: as many batches, of the
same sizes, of the same kind of genomes. It is also taken from the same chunks with episodes of a single step, which is
steadier than a difference of two long times and includes that step. Both are noisy, both are recorded, and the larger
one has to be small enough. All starts where every seed has found a reward, so that half of the chunks exploit.
"""

import argparse
import itertools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record
from jaxrl_sparse import train
from jaxrl_sparse.base import EVALUATIONS, strong_types
from jaxrl_sparse.environments import make
from jaxrl_sparse.quality_diversity import SereneConfig, controller_problem, serene
from jaxrl_sparse.quality_diversity.serene import generations_per_chunk
from jaxrl_sparse.runner.binding import hidden_sizes_for

COMMAND = "python -m experiments.benchmarks.serene_overhead"
CONFIG = SereneConfig()
SEEDS = 16
SINGLE_SEEDS = 3
# Two pairs of an exploring and an exploiting chunk.
UPDATES = 4
# Mutants of one generation of all members of an emitter.
MUTANTS = CONFIG.emitters.population_size * CONFIG.emitters.offspring_per_parent
MOST_OVERHEAD, MOST_RATIO = 0.2, 17.0


class Measured(NamedTuple):
    """What is measured, as compiled functions of the environment's parameters.

    Attributes:
      warm_up: `(seed, params) -> (state, metrics)`, a search from its beginning.
      run: `(state, step, params) -> (state, metrics)`, `UPDATES` updates.
      run_batch: the same for a batch of states.
      rollouts: `(genomes, num_batches, params) -> sum of the rewards`, episodes and nothing else.
    """

    warm_up: Callable[..., Any]
    run: Callable[..., Any]
    run_batch: Callable[..., Any]
    rollouts: Callable[..., Any]


class Seconds(NamedTuple):
    """CPU seconds of one search: of the run, of its rollouts alone, and of the run with episodes of a single step."""

    run: float
    rollouts: float
    one_step: float


def measured_functions(env: str, num_warm_up: int) -> Measured:
    """SERENE on an environment, and bare rollouts of it."""
    environment = make(env)

    def problem_of(params):
        return controller_problem(environment, params, hidden_sizes_for(env))

    def warm_up(seed, params):
        algorithm = serene(CONFIG, problem_of(params))
        return train(algorithm, algorithm.init(jax.random.key(seed)), num_warm_up)

    def run(state, step, params):
        return train(serene(CONFIG, problem_of(params)), state, UPDATES, step)

    def rollouts(genomes, num_batches, params):
        def batch(index, total):
            # Other genomes each time, so that nothing is computed once for all batches.
            some = jnp.roll(genomes, index, axis=0)
            return total + problem_of(params).evaluate_genomes(jax.random.key(0), some).rewards.sum()

        return jax.lax.fori_loop(0, num_batches, batch, 0.0)

    run_batch = jax.vmap(run, in_axes=(0, None, None))
    return Measured(jax.jit(warm_up), jax.jit(run), jax.jit(run_batch), jax.jit(rollouts))


def searches_with_work(measured: Measured, params: Any):
    """Yields seeds and states after the warm-up, of those that have a reward: one without exploits for nothing."""
    for seed in itertools.count():
        state, metrics = measured.warm_up(jnp.uint32(seed), params)
        if int(metrics["emitters"][-1]) > 0:
            yield seed, state


def rollout_batches(before: Any, after: Any, evaluations: int) -> dict[int, int]:
    """How many batches of each size a run has rolled out: offspring that explore, and those of the emitters."""
    exploited = evaluations - UPDATES // 2 * CONFIG.chunk_evaluations
    started = int(after.pool.started - before.pool.started)
    return {
        len(after.offspring.genomes): UPDATES // 2 * generations_per_chunk(CONFIG),
        MUTANTS: started + (exploited - started * CONFIG.emitters.population_size) // MUTANTS,
    }


def some_genomes(state: Any, size: int) -> jax.Array:
    """So many genomes of the population, which is repeated where it is smaller."""
    genomes = state.search.population.genomes
    return jnp.tile(genomes, (-(-size // len(genomes)), 1))[:size]


def with_one_step(params: Any) -> Any:
    """The environment's parameters with episodes of a single step."""
    return params.replace(max_steps_in_episode=jnp.int32(1))


def compile_single(measured: Measured, state: Any, step: jax.Array, params: Any):
    """Calls once what `measure_single` times."""
    jax.block_until_ready(measured.run(state, step, params))
    for size in (len(state.offspring.genomes), MUTANTS):
        jax.block_until_ready(measured.rollouts(some_genomes(state, size), jnp.int32(1), params))


def measure_single(measured: Measured, seed: int, state: Any, step: jax.Array, params: Any) -> Seconds:
    """Times one search that is compiled and warm, and prints it."""
    alone, (after, metrics) = record.cpu_seconds(measured.run, state, step, params)
    evaluations = int(np.sum(metrics[EVALUATIONS]))
    batches = rollout_batches(state, after, evaluations)
    rolled = 0.0
    for size, number in batches.items():
        genomes = some_genomes(after, size)
        rolled += record.cpu_seconds(measured.rollouts, genomes, jnp.int32(number), params)[0]
    one_step, _ = record.cpu_seconds(measured.run, state, step, with_one_step(params))
    print(
        f"seed {seed}: {alone:.2f} CPU s for {evaluations} evaluations in {batches} batches, {rolled:.2f} for their "
        f"rollouts: overhead {100 * (1 - rolled / alone):.1f} %; {one_step:.2f} with episodes of one step: "
        f"{100 * one_step / alone:.1f} %",
        flush=True,
    )
    return Seconds(alone, rolled, one_step)


def overhead_figures(singles: list[Seconds]) -> dict[str, Any]:
    """Both figures of the overhead, and the claim about the larger one."""
    overheads = [1 - seconds.rollouts / seconds.run for seconds in singles]
    without_rollouts = float(np.mean(overheads))
    of_one_step = sum(seconds.one_step for seconds in singles) / sum(seconds.run for seconds in singles)
    verdict = "holds" if max(without_rollouts, of_one_step) <= MOST_OVERHEAD else "DOES NOT HOLD"
    print(
        f"overhead {100 * without_rollouts:.1f} % without the rollouts, {100 * of_one_step:.1f} % with episodes of one "
        f"step; at most {100 * MOST_OVERHEAD:.0f} % {verdict}",
        flush=True,
    )
    return {
        "cpu_seconds_alone": [seconds.run for seconds in singles],
        "overheads": overheads,
        "cpu_seconds_with_episodes_of_one_step": [seconds.one_step for seconds in singles],
        "overhead_without_rollouts": without_rollouts,
        "overhead_with_episodes_of_one_step": of_one_step,
        "claim about the overhead": verdict,
    }


def batch_figures(
    measured: Measured, states: list[Any], step: jax.Array, params: Any, singles: list[Seconds]
) -> dict[str, Any]:
    """Times 16 searches in one batch against one alone, and prints it."""
    # The same searches, which go on differently.
    keys = jax.vmap(lambda one: jax.random.fold_in(jax.random.key(1), one))(jnp.arange(SEEDS))
    rows = [states[row % len(states)] for row in range(SEEDS)]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)._replace(key=keys)
    # Compiles.
    jax.block_until_ready(measured.run_batch(batch, step, params))
    together, _ = record.cpu_seconds(measured.run_batch, batch, step, params)
    one_step, _ = record.cpu_seconds(measured.run_batch, batch, step, with_one_step(params))
    ratio = together / float(np.mean([seconds.run for seconds in singles]))
    verdict = "holds" if ratio <= MOST_RATIO else "DOES NOT HOLD"
    print(f"with episodes of one step {one_step:.1f} CPU s: {100 * one_step / together:.1f} %")
    print(f"{SEEDS} seeds in one batch: {together:.1f} CPU s, {ratio:.1f} times one alone")
    print(f"at most {MOST_RATIO:.0f} times {verdict}")
    return {
        "cpu_seconds_of_16_seeds": together,
        "cpu_seconds_of_16_seeds_with_episodes_of_one_step": one_step,
        "ratio": ratio,
        "claim about the seeds": verdict,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="curling")
    parser.add_argument("--steps", type=int, help="time limit of an episode, where not the environment's own")
    parser.add_argument("--warm-up", type=int, default=10, help="updates before, in which a reward has to be found")
    parser.add_argument("--no-batch", action="store_true", help="leave out the 16 seeds")
    options = parser.parse_args()
    params = make(options.env).default_params
    if options.steps is not None:
        params = params.replace(max_steps_in_episode=options.steps)
    params = strong_types(params)

    measured, step = measured_functions(options.env, options.warm_up), jnp.int32(options.warm_up)
    searches = list(itertools.islice(searches_with_work(measured, params), SINGLE_SEEDS))
    states = [state for _, state in searches]
    compile_single(measured, states[0], step, params)
    singles = [measure_single(measured, seed, state, step, params) for seed, state in searches]
    figures = {
        "environment": f"{options.env}, {int(params.max_steps_in_episode)} steps",
        **overhead_figures(singles),
    }
    if not options.no_batch:
        figures |= batch_figures(measured, states, step, params, singles)
    record.write("serene_overhead", " ".join([COMMAND, *sys.argv[1:]]), figures)


if __name__ == "__main__":
    main()
