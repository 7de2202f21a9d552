"""What SERENE costs beside its rollouts, and what 16 seeds in one batch cost against one alone.

    python -m experiments.benchmarks.serene_overhead
    python -m experiments.benchmarks.serene_overhead --env hard-maze --steps 500

The overhead is the share of a run's CPU seconds that is left without those of bare rollouts: as many batches, of the
same sizes, of the same kind of genomes. It is also taken from the same chunks with episodes of a single step, which is
steadier than a difference of two long times and includes that step. All starts where every seed has found a reward, so
that half of the chunks exploit. CPU seconds are added over all threads, so that the figures hardly depend on what else
the machine does.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record
from jaxrl_sparse import train
from jaxrl_sparse.base import strong_types
from jaxrl_sparse.environments import make
from jaxrl_sparse.quality_diversity import SereneConfig, controller_problem, serene
from jaxrl_sparse.quality_diversity.serene import generations_per_chunk
from jaxrl_sparse.runner.catalogue import hidden_sizes_for

COMMAND = "python -m experiments.benchmarks.serene_overhead"
SEEDS = 16
SINGLE_SEEDS = 3
# Two pairs of an exploring and an exploiting chunk.
UPDATES = 4
MOST_OVERHEAD, MOST_RATIO = 0.2, 17.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="curling")
    parser.add_argument("--steps", type=int, help="time limit of an episode, where not the environment's own")
    parser.add_argument("--warm-up", type=int, default=10, help="updates before, in which a reward has to be found")
    parser.add_argument("--no-batch", action="store_true", help="leave out the 16 seeds")
    options = parser.parse_args()
    environment = make(options.env)
    params = environment.default_params
    if options.steps is not None:
        params = params.replace(max_steps_in_episode=options.steps)
    params = strong_types(params)
    config = SereneConfig()

    def problem_of(params):
        return controller_problem(environment, params, hidden_sizes_for(options.env))

    def start(seed, params):
        return serene(config, problem_of(params)).init(jax.random.key(seed))

    def go(state, step, params):
        return train(serene(config, problem_of(params)), state, UPDATES, step)

    def rollouts(genomes, num_batches, params):
        def batch(index, total):
            # Other genomes each time, so that nothing is computed once for all batches.
            some = jnp.roll(genomes, index, axis=0)
            return total + problem_of(params).evaluate_genomes(jax.random.key(0), some).rewards.sum()

        return jax.lax.fori_loop(0, num_batches, batch, 0.0)

    @jax.jit
    def warm_up(seed, params):
        return train(serene(config, problem_of(params)), start(seed, params), options.warm_up)

    chunk, bare = jax.jit(go), jax.jit(rollouts)
    step = jnp.int32(options.warm_up)
    alone, overheads, states, one_step = [], [], [], []
    short = params.replace(max_steps_in_episode=jnp.int32(1))
    # The seeds are looked through for those that have work: one without a reward exploits for nothing.
    seed = 0
    while len(alone) < SINGLE_SEEDS:
        state, found = warm_up(jnp.uint32(seed), params)
        seed += 1
        if int(found["emitters"][-1]) == 0:
            continue
        states.append(state)
        if len(alone) == 0:
            jax.block_until_ready(chunk(state, step, params))
        start_of_run = time.process_time()
        after, metrics = jax.block_until_ready(chunk(state, step, params))
        alone.append(time.process_time() - start_of_run)
        exploited = int(np.sum(metrics["evaluations"])) - UPDATES // 2 * config.chunk_evaluations
        started = int(after.pool.started - state.pool.started)
        members = config.emitters.population_size
        mutants = members * config.emitters.offspring_per_parent
        batches = {
            len(after.offspring.genomes): UPDATES // 2 * generations_per_chunk(config),
            mutants: started + (exploited - started * members) // mutants,
        }
        rolled = 0.0
        for size, number in batches.items():
            genomes = after.search.population.genomes
            genomes = jnp.tile(genomes, (-(-size // len(genomes)), 1))[:size]
            if len(alone) == 1:
                jax.block_until_ready(bare(genomes, jnp.int32(1), params))
            start_of_rollouts = time.process_time()
            jax.block_until_ready(bare(genomes, jnp.int32(number), params))
            rolled += time.process_time() - start_of_rollouts
        overheads.append(1 - rolled / alone[-1])
        start_of_run = time.process_time()
        jax.block_until_ready(chunk(state, step, short))
        one_step.append(time.process_time() - start_of_run)
        print(
            f"seed {seed - 1}: {alone[-1]:.2f} CPU s for {int(np.sum(metrics['evaluations']))} evaluations in "
            f"{batches} batches, {rolled:.2f} for their rollouts: overhead {100 * overheads[-1]:.1f} %; "
            f"{one_step[-1]:.2f} with episodes of one step: {100 * one_step[-1] / alone[-1]:.1f} %",
            flush=True,
        )
    overhead = max(float(np.mean(overheads)), sum(one_step) / sum(alone))
    verdict = "holds" if overhead <= MOST_OVERHEAD else "DOES NOT HOLD"
    print(f"overhead {100 * overhead:.1f} %; at most {100 * MOST_OVERHEAD:.0f} % {verdict}", flush=True)
    figures = {
        "environment": f"{options.env}, {int(params.max_steps_in_episode)} steps",
        "cpu_seconds_alone": alone,
        "overheads": overheads,
        "cpu_seconds_with_episodes_of_one_step": one_step,
        "claim about the overhead": verdict,
    }
    if not options.no_batch:
        keys = jax.vmap(lambda one: jax.random.fold_in(jax.random.key(1), one))(jnp.arange(SEEDS))
        rows = [states[row % SINGLE_SEEDS] for row in range(SEEDS)]
        # The same searches, which go on differently.
        batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)._replace(key=keys)
        several = jax.jit(jax.vmap(go, in_axes=(0, None, None)))
        jax.block_until_ready(several(batch, step, params))
        start_of_run = time.process_time()
        jax.block_until_ready(several(batch, step, params))
        together = time.process_time() - start_of_run
        ratio = together / float(np.mean(alone))
        start_of_run = time.process_time()
        jax.block_until_ready(several(batch, step, short))
        together_one_step = time.process_time() - start_of_run
        verdict = "holds" if ratio <= MOST_RATIO else "DOES NOT HOLD"
        print(f"with episodes of one step {together_one_step:.1f} CPU s: {100 * together_one_step / together:.1f} %")
        print(f"{SEEDS} seeds in one batch: {together:.1f} CPU s, {ratio:.1f} times one alone")
        print(f"at most {MOST_RATIO:.0f} times {verdict}")
        figures |= {"cpu_seconds_of_16_seeds": together, "ratio": ratio, "claim about the seeds": verdict}
    record.write("serene_overhead", COMMAND, figures)


if __name__ == "__main__":
    main()
