"""The claims about SERENE, measured: `python -m experiments.serene.claims`.

SERENE (with each kind of emitter) and its baselines get the same number of evaluations with the same seeds on an
environment; and SERENE alone on Point2D and on a problem with two narrow bumps of reward. The paper's claims: coverage
close to that of novelty search, although half of the evaluations exploit; the best reward in every area; MAP-Elites,
CMA-ME and NSGA-II lose areas. The figures of the paper could not be recovered. `--evaluations 500000` with 15 seeds is
the published size.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from experiments import searches
from jaxrl_sparse.environments import make
from jaxrl_sparse.quality_diversity import (
    CmaMeConfig,
    EmitterConfig,
    Evaluation,
    MapElitesConfig,
    NoveltySearchConfig,
    Problem,
    RandomSearchConfig,
    SereneConfig,
    cma_me,
    controller_problem,
    map_elites,
    novelty_search,
    nsga_ii,
    random_search,
    serene,
)
from jaxrl_sparse.quality_diversity.serene_state import discoveries
from jaxrl_sparse.runner.catalogue import hidden_sizes_for

COMMAND = "python -m experiments.serene.claims"
SEARCHES = {
    "SERENE": (serene, SereneConfig()),
    "SERENE, CMA-ES emitters": (serene, SereneConfig(emitters=EmitterConfig(kind="cma_es"))),
    "NS": (novelty_search, NoveltySearchConfig()),
    "NSGA-II": (nsga_ii, NoveltySearchConfig()),
    "MAP-Elites": (map_elites, MapElitesConfig()),
    "CMA-ME": (cma_me, CmaMeConfig()),
    "random search": (random_search, RandomSearchConfig()),
}
BUMPS = ((0.4, 0.4), (-0.4, -0.3))
BUMP_RADIUS = 0.1


def two_bumps():
    """Genomes (x, y) in [-1, 1]^2 rewarded `1 - (d / R)^2` within R = .1 of either of two points."""

    def evaluate_genomes(key, genomes):
        del key
        distances = jnp.linalg.norm(genomes[:, None] - jnp.array(BUMPS), axis=-1)
        closeness = 1.0 - (distances / BUMP_RADIUS) ** 2
        rewards = jnp.maximum(closeness.max(axis=1), 0.0)
        return Evaluation(
            rewards=rewards,
            descriptors=genomes,
            ground_truth=genomes,
            areas=jnp.where(rewards > 0, closeness.argmax(axis=1), -1).astype(jnp.int32),
            render_states=genomes[:, None],
            environment_steps=jnp.zeros(len(genomes), jnp.int32),
        )

    square = ((-1.0, -1.0), (1.0, 1.0))
    return Problem(evaluate_genomes, 2, 2, square, 2, 2, descriptor_bounds=square, genome_bounds=(-1.0, 1.0))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="curling")
    parser.add_argument("--evaluations", type=int, default=20_000, help="budget of each search and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options = parser.parse_args()

    def run(label, factory, config, problem, params=(), seeds=options.seeds, evaluations=options.evaluations):
        searched = searches.run(
            lambda config, params: factory(config, problem(params)), config, params, evaluations, seeds
        )
        num_areas = problem(params).num_areas
        rewards = searches.best_rewards(searched, num_areas, evaluations)
        coverage = searches.shown(searches.at(searched, "coverage", evaluations))
        print(f"{label}: coverage {coverage}, {searched.cpu_seconds:.0f} CPU s", flush=True)
        print(f"    best rewards by area {np.round(rewards, 3).tolist()}", flush=True)
        return searched

    environment = make(options.env)
    num_areas = len(environment.reward_areas)
    sizes = hidden_sizes_for(options.env)
    found = {
        label: run(
            label,
            factory,
            config,
            lambda params: controller_problem(environment, params, sizes),
            environment.default_params,
        )
        for label, (factory, config) in SEARCHES.items()
    }
    point = make("point-2d")
    boxes = run(
        "SERENE, Point2D",
        serene,
        SereneConfig(),
        lambda params: controller_problem(point, params),
        point.default_params,
        evaluations=20_000,
    )
    bumps = run("SERENE, two bumps", serene, SereneConfig(), lambda params: two_bumps(), evaluations=20_000)

    coverages = {label: searches.at(searched, "coverage", options.evaluations) for label, searched in found.items()}
    shown = {label: searches.shown(values) for label, values in coverages.items()}
    best = {label: searches.best_rewards(searched, num_areas, options.evaluations) for label, searched in found.items()}
    in_boxes = searches.best_rewards(boxes, 4, 20_000)
    on_bumps = searches.best_rewards(bumps, 2, 20_000)
    others = [label for label in SEARCHES if not label.startswith("SERENE")]
    claims = [
        {
            "claim": "SERENE finds every reward area of Point2D within 20,000 evaluations",
            "measured": f"least best reward of any seed and area {in_boxes.min():.2f}",
            "holds": bool((in_boxes > 0).all()),
        },
        {
            "claim": "SERENE climbs both of two bumps above .99 within 20,000 evaluations",
            "measured": f"least best reward of any seed and bump {on_bumps.min():.4f}",
            "holds": bool((on_bumps > 0.99).all()),
        },
        {
            "claim": "SERENE covers at least .8 of what NS covers",
            "measured": f"{shown['SERENE']} against {shown['NS']}",
            "holds": coverages["SERENE"].mean() >= 0.8 * coverages["NS"].mean(),
        },
        *(
            {
                "claim": f"SERENE's best reward in area {area} is at least that of every other search, on average",
                "measured": "; ".join(f"{label} {best[label][:, area].mean():.2f}" for label in ["SERENE", *others]),
                "holds": all(best["SERENE"][:, area].mean() >= best[label][:, area].mean() for label in others),
            }
            for area in range(num_areas)
        ),
    ]
    title = f"{options.env}, {options.evaluations:,} evaluations, seeds {options.seeds}"
    searches.draw_curves("serene", found, ["coverage", *(f"max_reward_area_{i}" for i in range(num_areas))], title)
    first = jax.tree.map(lambda leaf: leaf[0], found["SERENE"].state)
    row = searches.last_row(found["SERENE"])
    searches.draw_archive("serene_archive", environment, jax.device_get(discoveries(first)), "SERENE", row)
    figures = {
        "options": vars(options),
        "searches": {label: searches.summary(s, num_areas, options.evaluations) for label, s in found.items()},
    }
    searches.conclude("serene", COMMAND, title, claims, figures)


if __name__ == "__main__":
    main()
