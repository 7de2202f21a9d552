"""The claims about Curling's dynamics and searches, measured: `python -m experiments.curling.claims`.

Two thousand random controllers show how often the ball is moved; novelty search, MAP-Elites and random search get the
same number of evaluations with several seeds, all seeds of a search in one batch. The reference figures were measured
on the Box2D world that these dynamics stand in for, with the searches of Paolo et al., "Sparse Reward Exploration via
Novelty Search and Emitters" (2021), two seeds of novelty search and one of the others. Prints the table and writes
`experiments/results/curling.json`.
"""

import argparse
import importlib
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record
from jaxrl_sparse import train
from jaxrl_sparse.base import EVALUATIONS, strong_types
from jaxrl_sparse.environments.curling.curling import START_POSITION, Curling
from jaxrl_sparse.quality_diversity import MapElitesConfig, NoveltySearchConfig, RandomSearchConfig, controller_problem

HIDDEN_SIZES = (5, 5, 5)
NUM_RANDOM = 2000
BOX2D_MOVED = 0.5
LOWEST_MOVED, HIGHEST_MOVED = 0.44, 0.56
EARLY, LOWEST_EARLY, HIGHEST_EARLY = 5_000, 0.18, 0.33
# Coverage of the searches on Box2D after 12,000 evaluations.
BOX2D = {"novelty_search": 0.43, "map_elites": 0.36, "random_search": 0.095}
MOST_DIFFERENCE = 0.05
REACHABLE = 0.922
COMMAND = "python -m experiments.curling.claims"


def moved_fraction(seeds):
    """The share of random controllers that move the ball, for each seed."""
    environment = Curling()
    params = strong_types(environment.default_params)

    @jax.jit
    def last_positions(genomes, params):
        problem = controller_problem(environment, params, HIDDEN_SIZES)
        return problem.evaluate_genomes(jax.random.key(0), genomes).descriptors

    size = controller_problem(environment, params, HIDDEN_SIZES).genome_size
    fractions = []
    for seed in seeds:
        genomes = jnp.clip(jax.random.normal(jax.random.key(seed), (NUM_RANDOM, size)), -5.0, 5.0)
        distances = jnp.linalg.norm(last_positions(genomes, params) - jnp.array(START_POSITION), axis=1)
        fractions.append(float(jnp.mean(distances > 1e-3)))
    return fractions


def run(name, config, evaluations, seeds):
    """Runs a search with every seed up to a budget: the metrics `[seeds, updates]`, and CPU seconds."""
    module = importlib.import_module(f"jaxrl_sparse.quality_diversity.{name}")
    make = getattr(module, name)
    environment = Curling()
    params = strong_types(environment.default_params)
    num_updates = (evaluations - module.initial_evaluations(config)) // module.evaluations_per_update(config)

    def search(config, params, seed):
        algorithm = make(config, controller_problem(environment, params, HIDDEN_SIZES))
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
    evaluations = np.cumsum(metrics[EVALUATIONS][0])
    coverage = metrics["coverage"]
    early = coverage[:, np.searchsorted(evaluations, EARLY, side="right") - 1] if evaluations[-1] >= EARLY else None
    shown = slice(None, None, max(1, coverage.shape[1] // 30))
    return {
        "evaluations": int(evaluations[-1]),
        f"coverage_at_{EARLY}": None if early is None else early.tolist(),
        "coverage": coverage[:, -1].tolist(),
        "max_reward_by_area": [metrics[f"max_reward_area_{area}"][:, -1].tolist() for area in range(2)],
        "rejected": metrics["rejected"][:, -1].tolist(),
        "cpu_seconds": cpu_seconds,
        "coverage_curve": {
            "evaluations": evaluations[shown].tolist(),
            "mean": coverage.mean(axis=0)[shown].tolist(),
        },
    }


def claims_of(moved, searches):
    """Each claim with its measured figure and whether it holds."""
    novelty, elites, random = (searches[name]["coverage"] for name in BOX2D)
    early = searches["novelty_search"][f"coverage_at_{EARLY}"]
    most = max(novelty + elites + random)
    mean = float(np.mean(novelty))
    return [
        {
            "claim": f"{LOWEST_MOVED} to {HIGHEST_MOVED} of random controllers move the ball (Box2D: {BOX2D_MOVED})",
            "measured": _shown(moved),
            "holds": all(LOWEST_MOVED <= value <= HIGHEST_MOVED for value in moved),
        },
        {
            "claim": f"novelty search covers {LOWEST_EARLY} to {HIGHEST_EARLY} after {EARLY} evaluations (Box2D: .25)",
            "measured": "not reached" if early is None else _shown(early),
            "holds": early is not None and all(LOWEST_EARLY <= value <= HIGHEST_EARLY for value in early),
        },
        {
            "claim": f"its mean coverage is within {MOST_DIFFERENCE} of Box2D's {BOX2D['novelty_search']} after 12000",
            "measured": f"{_shown(novelty)}, mean {mean:.3f}",
            "holds": abs(mean - BOX2D["novelty_search"]) <= MOST_DIFFERENCE,
        },
        {
            "claim": "novelty search covers more than MAP-Elites, and that more than random search, with every seed",
            "measured": f"{_shown(novelty)} > {_shown(elites)} > {_shown(random)}",
            "holds": all(a > b > c for a, b, c in zip(novelty, elites, random, strict=True)),
        },
        {
            "claim": f"no search covers more than the reachable {REACHABLE}",
            "measured": f"at most {most:.3f}",
            "holds": most <= REACHABLE,
        },
    ]


def _shown(values):
    return " ".join(f"{value:.3f}" for value in values)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=12_000, help="budget of each search and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()

    moved = moved_fraction(options.seeds)
    print(f"random controllers that move the ball: {_shown(moved)}", flush=True)
    configs = {
        "novelty_search": NoveltySearchConfig(),
        "map_elites": MapElitesConfig(),
        "random_search": RandomSearchConfig(),
    }
    searches = {}
    for name, config in configs.items():
        searches[name] = summary(*run(name, config, options.evaluations, options.seeds))
        figures = searches[name]
        print(
            f"{name}: {figures['evaluations']} evaluations a seed, coverage {_shown(figures['coverage'])}, "
            f"{figures['cpu_seconds']:.0f} CPU s",
            flush=True,
        )
    claims = claims_of(moved, searches)
    print(f"\nCurling, {options.evaluations} evaluations, seeds {options.seeds}: {COMMAND}\n")
    print("| claim | measured | holds |\n|---|---|---|")
    for claim in claims:
        print(f"| {claim['claim']} | {claim['measured']} | {'yes' if claim['holds'] else 'NO'} |")
    figures = {"seeds": options.seeds, "claims": claims, "moved": moved, "searches": searches}
    record.write("curling", COMMAND, figures)


if __name__ == "__main__":
    main()
