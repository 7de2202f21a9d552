"""The claims about novelty search on HardMaze, measured: `python -m experiments.novelty_search.claims`.

Novelty search and random search get the same number of evaluations with several seeds, all seeds in one batch. The
reference figure is that of the published notebooks of Paolo et al., "Sparse Reward Exploration via Novelty Search and
Emitters" (2021): a coverage of about .72 after 30,000 evaluations. The bound .824 is the share of the 2,500 cells that
a flood fill over pixel centres reaches from the start (.848 with the borders of pixels, where a robot may stand too).
Prints the table and writes `experiments/results/novelty_search.json`.
"""

import argparse
import importlib
import time

import jax
import numpy as np

from experiments import record
from jaxrl_sparse import train
from jaxrl_sparse.base import ENVIRONMENT_STEPS, EVALUATIONS, strong_types
from jaxrl_sparse.environments.planar.hard_maze import HardMaze
from jaxrl_sparse.quality_diversity import NoveltySearchConfig, RandomSearchConfig, controller_problem

LOWEST_COVERAGE, HIGHEST_COVERAGE, REACHABLE = 0.60, 0.80, 0.824
COMMAND = "python -m experiments.novelty_search.claims"


def run(name, config, evaluations, seeds):
    """Runs a search with every seed up to a budget: the metrics `[seeds, updates]`, and CPU seconds."""
    module = importlib.import_module(f"jaxrl_sparse.quality_diversity.{name}")
    make = getattr(module, name)
    environment = HardMaze()
    params = strong_types(environment.default_params)
    num_updates = (evaluations - module.initial_evaluations(config)) // module.evaluations_per_update(config)

    def search(config, params, seed):
        algorithm = make(config, controller_problem(environment, params))
        _, metrics = train(algorithm, algorithm.init(jax.random.key(seed)), num_updates)
        return metrics

    searches = jax.jit(jax.vmap(search, in_axes=(None, None, 0)))
    arguments = strong_types(config), params, np.array(seeds, np.int32)
    compiled = searches.lower(*arguments).compile()
    start = time.process_time()
    metrics = {name: np.asarray(rows) for name, rows in compiled(*arguments).items()}
    return metrics, time.process_time() - start


def summary(metrics, cpu_seconds):
    """What the table and the results file show of a search."""
    last = {name: rows[:, -1].tolist() for name, rows in metrics.items()}
    environment_steps = metrics[ENVIRONMENT_STEPS].sum(dtype=np.int64)
    shown = slice(None, None, max(1, metrics["coverage"].shape[1] // 30))
    return {
        "evaluations": int(metrics[EVALUATIONS][0].sum()),
        "coverage": last["coverage"],
        "max_reward_by_area": [last["max_reward_area_0"], last["max_reward_area_1"]],
        "rejected": last["rejected"],
        "cpu_seconds": cpu_seconds,
        "environment_steps_per_cpu_second": float(environment_steps / cpu_seconds),
        "coverage_curve": {
            "evaluations": np.cumsum(metrics[EVALUATIONS][0])[shown].tolist(),
            "mean": metrics["coverage"].mean(axis=0)[shown].tolist(),
        },
    }


def claims_of(novelty, random):
    """Each claim with its measured figure and whether it holds."""
    coverages, baseline = novelty["coverage"], random["coverage"]
    shown = " ".join(f"{value:.3f}" for value in coverages)
    shown_baseline = " ".join(f"{value:.3f}" for value in baseline)
    return [
        {
            "claim": f"novelty search covers {LOWEST_COVERAGE:.2f} to {HIGHEST_COVERAGE:.2f} (published: about .72)",
            "measured": shown,
            "holds": all(LOWEST_COVERAGE <= value <= HIGHEST_COVERAGE for value in coverages),
        },
        {
            "claim": f"no search covers more than the reachable {REACHABLE}",
            "measured": f"at most {max(coverages + baseline):.3f}",
            "holds": max(coverages + baseline) <= REACHABLE,
        },
        {
            "claim": "random search covers less than half of what novelty search covers, with every seed",
            "measured": shown_baseline,
            "holds": max(baseline) < 0.5 * min(coverages),
        },
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=30_000, help="budget of each search and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()

    results = {}
    for name, config in (("novelty_search", NoveltySearchConfig()), ("random_search", RandomSearchConfig())):
        results[name] = summary(*run(name, config, options.evaluations, options.seeds))
        figures = results[name]
        print(
            f"{name}: {figures['evaluations']} evaluations a seed, coverage "
            f"{' '.join(f'{value:.3f}' for value in figures['coverage'])}, "
            f"{figures['environment_steps_per_cpu_second'] / 1e6:.2f} M environment steps a CPU second",
            flush=True,
        )
    claims = claims_of(results["novelty_search"], results["random_search"])
    print(f"\nHardMaze, {options.evaluations} evaluations, seeds {options.seeds}: {COMMAND}\n")
    print("| claim | measured | holds |\n|---|---|---|")
    for claim in claims:
        print(f"| {claim['claim']} | {claim['measured']} | {'yes' if claim['holds'] else 'NO'} |")
    figures = {"seeds": options.seeds, "claims": claims, "searches": results}
    record.write("novelty_search", COMMAND, figures)


if __name__ == "__main__":
    main()
