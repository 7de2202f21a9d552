"""The claims about novelty search on HardMaze, measured: `python -m experiments.novelty_search.claims`.

Novelty search and random search get the same number of evaluations with several seeds, all seeds in one batch. The
reference figure is that of the published notebooks of Paolo et al., "Sparse Reward Exploration via Novelty Search and
Emitters" (2021): a coverage of about .72 after 30,000 evaluations. The bound .824 is the share of the 2,500 cells that
a flood fill over pixel centres reaches from the start (.848 with the borders of pixels, where a robot may stand too).
Prints the table and writes `experiments/results/novelty_search.json`.
"""

from experiments import searches
from jaxrl_sparse.quality_diversity import NoveltySearchConfig, RandomSearchConfig, novelty_search, random_search
from jaxrl_sparse.quality_diversity.novelty_search import discoveries

LOWEST_COVERAGE, HIGHEST_COVERAGE, REACHABLE = 0.60, 0.80, 0.824
SEARCHES = {
    "novelty_search": (novelty_search, NoveltySearchConfig()),
    "random_search": (random_search, RandomSearchConfig()),
}


def claims_of(coverages, baseline):
    """Each claim with its measured figure and whether it holds, from the seeds' coverages by either search."""
    return [
        {
            "claim": f"novelty search covers {LOWEST_COVERAGE:.2f} to {HIGHEST_COVERAGE:.2f} (published: about .72)",
            "measured": searches.shown(coverages),
            "holds": all(LOWEST_COVERAGE <= value <= HIGHEST_COVERAGE for value in coverages),
        },
        {
            "claim": f"no search covers more than the reachable {REACHABLE}",
            "measured": f"at most {max(coverages + baseline):.3f}",
            "holds": max(coverages + baseline) <= REACHABLE,
        },
        {
            "claim": "random search covers less than half of what novelty search covers, with every seed",
            "measured": searches.shown(baseline),
            "holds": max(baseline) < 0.5 * min(coverages),
        },
    ]


def main():
    parser = searches.options_parser(__doc__, evaluations=30_000, seeds=3)
    parser.set_defaults(env="hard-maze")
    options = parser.parse_args()

    found = {
        label: searches.search_controllers(label, factory, config, options.env, options.evaluations, options.seeds)
        for label, (factory, config) in SEARCHES.items()
    }
    claims = claims_of(*(searches.at(found[label], "coverage", options.evaluations).tolist() for label in SEARCHES))
    searches.conclude("novelty_search", options, found, ("novelty_search", discoveries), claims, {})


if __name__ == "__main__":
    main()
