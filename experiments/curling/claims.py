"""The claims about Curling's dynamics and searches, measured: `python -m experiments.curling.claims`.

Two thousand random controllers show how often the ball is moved; novelty search, MAP-Elites and random search get the
same number of evaluations with several seeds, all seeds of a search in one batch. The reference figures were measured
on the Box2D world that these dynamics stand in for, with the searches of Paolo et al., "Sparse Reward Exploration via
Novelty Search and Emitters" (2021), two seeds of novelty search and one of the others. Prints the table and writes
`experiments/results/curling.json`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from experiments import searches
from jaxrl_sparse.base import strong_types
from jaxrl_sparse.environments.curling.curling import START_POSITION, Curling
from jaxrl_sparse.quality_diversity import (
    MapElitesConfig,
    NoveltySearchConfig,
    RandomSearchConfig,
    controller_problem,
    map_elites,
    novelty_search,
    random_search,
)
from jaxrl_sparse.quality_diversity.novelty_search import discoveries
from jaxrl_sparse.runner.binding import hidden_sizes_for

SEARCHES = {
    "novelty_search": (novelty_search, NoveltySearchConfig()),
    "map_elites": (map_elites, MapElitesConfig()),
    "random_search": (random_search, RandomSearchConfig()),
}
NUM_RANDOM = 2000
BOX2D_MOVED = 0.5
LOWEST_MOVED, HIGHEST_MOVED = 0.44, 0.56
EARLY, LOWEST_EARLY, HIGHEST_EARLY = 5_000, 0.18, 0.33
# Coverage of the searches on Box2D after 12,000 evaluations.
BOX2D = {"novelty_search": 0.43, "map_elites": 0.36, "random_search": 0.095}
MOST_DIFFERENCE = 0.05
REACHABLE = 0.922


def moved_fraction(seeds):
    """The share of random controllers that move the ball, for each seed."""
    environment = Curling()
    params = strong_types(environment.default_params)

    @jax.jit
    def last_positions(genomes, params):
        problem = controller_problem(environment, params, hidden_sizes_for("curling"))
        return problem.evaluate_genomes(jax.random.key(0), genomes).descriptors

    size = controller_problem(environment, params, hidden_sizes_for("curling")).genome_size
    fractions = []
    for seed in seeds:
        genomes = jnp.clip(jax.random.normal(jax.random.key(seed), (NUM_RANDOM, size)), -5.0, 5.0)
        distances = jnp.linalg.norm(last_positions(genomes, params) - jnp.array(START_POSITION), axis=1)
        fractions.append(float(jnp.mean(distances > 1e-3)))
    return fractions


def claims_of(moved, early, coverages):
    """Each claim with its measured figure and whether it holds.

    Args:
      moved: the share of random controllers that move the ball, of each seed.
      early: coverage of novelty search after `EARLY` evaluations, of each seed; None where it was not run for so long.
      coverages: lists of each seed's, by the name of the search.
    """
    novelty, elites, random = (coverages[name] for name in BOX2D)
    most = max(novelty + elites + random)
    mean = float(np.mean(novelty))
    return [
        {
            "claim": f"{LOWEST_MOVED} to {HIGHEST_MOVED} of random controllers move the ball (Box2D: {BOX2D_MOVED})",
            "measured": searches.shown(moved),
            "holds": all(LOWEST_MOVED <= value <= HIGHEST_MOVED for value in moved),
        },
        {
            "claim": f"novelty search covers {LOWEST_EARLY} to {HIGHEST_EARLY} after {EARLY} evaluations (Box2D: .25)",
            "measured": "not reached" if early is None else searches.shown(early),
            "holds": early is not None and all(LOWEST_EARLY <= value <= HIGHEST_EARLY for value in early),
        },
        {
            "claim": f"its mean coverage is within {MOST_DIFFERENCE} of Box2D's {BOX2D['novelty_search']} after 12000",
            "measured": searches.shown(novelty),
            "holds": abs(mean - BOX2D["novelty_search"]) <= MOST_DIFFERENCE,
        },
        {
            "claim": "novelty search covers more than MAP-Elites, and that more than random search, with every seed",
            "measured": f"{searches.shown(novelty)} > {searches.shown(elites)} > {searches.shown(random)}",
            "holds": all(a > b > c for a, b, c in zip(novelty, elites, random, strict=True)),
        },
        {
            "claim": f"no search covers more than the reachable {REACHABLE}",
            "measured": f"at most {most:.3f}",
            "holds": most <= REACHABLE,
        },
    ]


def main():
    parser = searches.options_parser(__doc__, evaluations=12_000, seeds=3)
    parser.set_defaults(env="curling")
    options = parser.parse_args()
    budget, seeds = options.evaluations, options.seeds

    moved = moved_fraction(seeds)
    print(f"random controllers that move the ball: {searches.shown(moved)}", flush=True)
    found = {
        label: searches.search_controllers(label, factory, config, options.env, budget, seeds)
        for label, (factory, config) in SEARCHES.items()
    }
    coverages = {label: searches.at(searched, "coverage", budget).tolist() for label, searched in found.items()}
    novelty, early = found["novelty_search"], None
    if novelty.evaluations[:, -1].min() >= EARLY:
        early = searches.at(novelty, "coverage", EARLY).tolist()
    claims = claims_of(moved, early, coverages)
    more = {"moved": moved, f"coverage_at_{EARLY}": early}
    searches.conclude("curling", options, found, ("novelty_search", discoveries), claims, more)


if __name__ == "__main__":
    main()
