"""The claims about STAX on the arm of 20 joints, measured: `python -m experiments.stax.claims`.

STAX with Pareto fronts of novelty and surprise (what the paper's figures call STAX), its ablation without training in
two forms, and novelty search in the true behaviour space get the same number of evaluations with the same seeds. As
published, coverage is that of the evaluations that explore, and so are the evaluations that it is read against; here it
is also read against all of them. The
second form of the ablation, "frozen", is that of the published code, whose population never moves: the published factor
of 1.9 compares against it. Published, of 500,000 evaluations: coverage .78 (STAX) and .42 (NT), best rewards .99, .98
and 1.00; `--evaluations 500000 --image-size 64 --channels 32 64 32 16 --frames 5` is that size.
"""

import argparse

import jax
import numpy as np

from experiments import searches
from jaxrl_sparse.environments import make
from jaxrl_sparse.quality_diversity import controller_problem, novelty_search, stax
from jaxrl_sparse.quality_diversity.exploration import NoveltySearchConfig
from jaxrl_sparse.quality_diversity.learned_space import AutoencoderConfig
from jaxrl_sparse.quality_diversity.serene import discoveries
from jaxrl_sparse.quality_diversity.stax import StaxConfig

COMMAND = "python -m experiments.stax.claims"
VARIANTS = {"STAX-P": ("pareto", "continue"), "STAX-NT": ("novelty", "never"), "STAX-NT frozen": ("frozen", "never")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="redundant-arm")
    parser.add_argument("--evaluations", type=int, default=30_000, help="budget of each search and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--image-size", type=int, default=16)
    parser.add_argument("--channels", type=int, nargs="+", default=[32, 16])
    parser.add_argument("--frames", type=int, default=1)
    options = parser.parse_args()

    environment = make(options.env)
    num_areas = len(environment.reward_areas)

    def problem(params):
        return controller_problem(environment, params, num_frames=options.frames)

    def run(label, factory, config):
        searched = searches.run(
            lambda config, params: factory(config, problem(params)),
            config,
            environment.default_params,
            options.evaluations,
            options.seeds,
        )
        of_exploration = searches.explored_at(searched, "coverage", options.evaluations)
        in_all = searches.at(searched, "coverage", options.evaluations)
        rewards = searches.best_rewards(searched, num_areas, options.evaluations)
        print(
            f"{label}: coverage {searches.shown(of_exploration)} of {options.evaluations:,} that explore, "
            f"{searches.shown(in_all)} of as many in all, {searched.cpu_seconds:.0f} CPU s",
            flush=True,
        )
        print(f"    best rewards by area {np.round(rewards, 2).tolist()}", flush=True)
        return searched

    found = {"NS, true space": run("NS", novelty_search, NoveltySearchConfig())}
    for label, (criterion, training) in VARIANTS.items():
        autoencoder = AutoencoderConfig(
            image_size=options.image_size, channels=tuple(options.channels), training=training
        )
        found[label] = run(label, stax, StaxConfig(criterion=criterion, autoencoder=autoencoder))

    rewards = searches.best_rewards(found["STAX-P"], num_areas, options.evaluations)
    claims = []
    for read, counted in ((searches.explored_at, "evaluations that explore"), (searches.at, "evaluations in all")):
        coverages = {label: read(searched, "coverage", options.evaluations) for label, searched in found.items()}
        shown = {label: searches.shown(values) for label, values in coverages.items()}
        ratio = coverages["STAX-P"].mean() / coverages["STAX-NT frozen"].mean()
        of_true_space = coverages["STAX-P"].mean() / coverages["NS, true space"].mean()
        claims += [
            {
                "claim": f"{counted}: STAX-P covers more than STAX-NT, intervals do not overlap",
                "measured": f"{shown['STAX-P']} against {shown['STAX-NT']}",
                "holds": searches.is_above(coverages["STAX-P"], coverages["STAX-NT"]),
            },
            {
                "claim": f"{counted}: STAX-P covers at least twice as much as the published code's STAX-NT (1.9)",
                "measured": f"{ratio:.2f} times; frozen: {shown['STAX-NT frozen']}",
                "holds": ratio >= 2.0,
            },
            {
                "claim": f"{counted}: STAX-P covers at least .8 of what NS covers in the true space (comparable)",
                "measured": f"{of_true_space:.2f} of {shown['NS, true space']}",
                "holds": of_true_space >= 0.8,
            },
        ]
    claims.append(
        {
            "claim": "STAX-P finds every reward area with every seed (published: .99, .98, 1.00 at 500,000)",
            "measured": "; ".join(" ".join(f"{reward:.2f}" for reward in row) for row in rewards),
            "holds": bool((rewards > 0).all()),
        }
    )
    words = ["coverage", *(f"max_reward_area_{i}" for i in range(num_areas))]
    title = f"{options.env}, {options.evaluations:,} evaluations, {options.image_size} pixels, seeds {options.seeds}"
    searches.draw_curves("stax", found, words, title)
    searched = found["STAX-P"]
    first = jax.tree.map(lambda leaf: leaf[0], searched.state)
    row = searches.last_row(searched)
    searches.draw_archive("stax_archive", environment, jax.device_get(discoveries(first)), "STAX-P", row)
    figures = {
        "options": vars(options),
        "searches": {label: searches.summary(s, num_areas, options.evaluations) for label, s in found.items()},
    }
    searches.conclude("stax", COMMAND, title, claims, figures)


if __name__ == "__main__":
    main()
