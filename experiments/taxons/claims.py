"""The claims about TAXONS, measured: `python -m experiments.taxons.claims`.

TAXONS and its ablations, novelty search in the true behaviour space and random search get the same number of
evaluations with the same seeds. Published: coverage in the order NS >= TAXONS > {TAXO-N, TAXO-S, NT} > random search,
with TAXONS near NS; the figures themselves could not be recovered. `--evaluations 500000 --image-size 64` is the
published size. On Point2D TAXO-N and NT are compared with images.
"""

from experiments import searches
from jaxrl_sparse.quality_diversity import (
    NoveltySearchConfig,
    RandomSearchConfig,
    TaxonsConfig,
    novelty_search,
    random_search,
    taxons,
)
from jaxrl_sparse.quality_diversity.taxons import discoveries

VARIANTS = {
    "TAXONS": ("alternate", "continue"),
    "TAXONS-P": ("pareto", "continue"),
    "TAXO-N": ("novelty", "continue"),
    "TAXO-S": ("surprise", "continue"),
    "NT": ("novelty", "never"),
}
# Evaluations on Point2D, where more of them reach everything in any space.
ON_POINT_2D = 5_000


def main():
    parser = searches.options_parser(__doc__, evaluations=20_000, seeds=3)
    parser.add_argument("--env", default="redundant-arm")
    searches.add_image_options(parser)
    options = parser.parse_args()

    def run(label, factory, config, env=options.env, evaluations=options.evaluations):
        return searches.search_controllers(label, factory, config, env, evaluations, options.seeds)

    def learned(label, variant, **where):
        criterion, training = VARIANTS[variant]
        autoencoder = searches.autoencoder_config(options, training)
        return run(label, taxons, TaxonsConfig(criterion=criterion, autoencoder=autoencoder), **where)

    found = {
        "NS, true space": run("NS, true space", novelty_search, NoveltySearchConfig()),
        "random search": run("random search", random_search, RandomSearchConfig()),
    }
    found |= {label: learned(label, label) for label in VARIANTS}
    on_point_2d = {
        variant: searches.at(
            learned(f"{variant}, Point2D", variant, env="point-2d", evaluations=ON_POINT_2D), "coverage", ON_POINT_2D
        )
        for variant in ("TAXO-N", "NT")
    }

    coverages = {label: searches.at(searched, "coverage", options.evaluations) for label, searched in found.items()}
    shown = {label: searches.shown(values) for label, values in coverages.items()}
    claims = [
        {
            "claim": "TAXONS covers less than or as much as NS in the true space",
            "measured": f"{shown['TAXONS']} against {shown['NS, true space']}",
            "holds": not searches.is_above(coverages["TAXONS"], coverages["NS, true space"]),
        },
        {
            "claim": "TAXONS covers at least .8 of what NS covers in the true space",
            "measured": f"{coverages['TAXONS'].mean() / coverages['NS, true space'].mean():.2f}",
            "holds": coverages["TAXONS"].mean() >= 0.8 * coverages["NS, true space"].mean(),
        },
        *(
            {
                "claim": f"TAXONS covers more than {label}: intervals do not overlap",
                "measured": f"{shown['TAXONS']} against {shown[label]}",
                "holds": searches.is_above(coverages["TAXONS"], coverages[label]),
            }
            for label in ("TAXO-N", "TAXO-S", "NT", "random search")
        ),
        {
            "claim": f"on Point2D, {ON_POINT_2D:,} evaluations, TAXO-N covers more than twice what NT covers",
            "measured": " against ".join(searches.shown(values) for values in on_point_2d.values()),
            "holds": on_point_2d["TAXO-N"].mean() > 2 * on_point_2d["NT"].mean(),
        },
    ]
    searches.conclude("taxons", options, found, ("TAXONS", discoveries), claims, {})


if __name__ == "__main__":
    main()
