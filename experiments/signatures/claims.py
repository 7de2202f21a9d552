"""The claims about signatures as descriptors, measured: `python -m experiments.signatures.claims`.

Novelty search gets the same number of evaluations with each descriptor: the last position (NS_1ts), five positions
(NS_5ts), the signature of the path up to depth 5 (SIGN), and with time as a channel (TIME-SIGN). Time coverage is the
share of the 50 x 50 cells that the archived controllers are in at a fraction of the episode. Published, for CollectBall
and 500,000 evaluations: at the end .84, .74, .73 and .70 in this order; at 40 % of the episode .59, .72, .66 and .69.
`--evaluations 500000` is that size; 100,000 evaluations are its generation 500, with .51, .37, .42 and .37 at the end.
Few evaluations tell nothing: 200 of them archive five controllers, so that time coverage stays below a fortieth of
their number over 2,500.
"""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments import record, searches
from jaxrl_sparse.environments import make
from jaxrl_sparse.quality_diversity import (
    NoveltySearchConfig,
    controller_problem,
    novelty_search,
    path_descriptor,
    sampled_positions,
)
from jaxrl_sparse.quality_diversity.archives import archive_mask
from jaxrl_sparse.quality_diversity.metrics import coverage_of
from jaxrl_sparse.quality_diversity.novelty_search import discoveries
from jaxrl_sparse.runner import plots

DESCRIPTORS = {"NS_1ts": "final", "NS_5ts": "samples-5", "SIGN": "signature-5", "TIME-SIGN": "time-signature-5"}
NUM_TIMES = 50
EARLY, LATE = 0.4, 1.0


def time_coverage(environment, archive):
    """Share of the cells that the archived controllers are in at 50 fractions of the episode, `[seeds, 50]`."""
    problem = controller_problem(environment, environment.default_params, path_descriptor=sampled_positions(NUM_TIMES))

    @jax.jit
    def covered(genomes, mask):
        evaluation = problem.evaluate_genomes(jax.random.key(0), genomes)
        positions = jnp.swapaxes(evaluation.descriptors.reshape(-1, NUM_TIMES, 2), 0, 1)
        return jax.vmap(lambda at_a_time: coverage_of(at_a_time, mask, problem.ground_truth_bounds))(positions)

    # The filled part of the archive alone, which is the same for all seeds.
    size = int(archive.size.max())
    masks = jax.vmap(archive_mask)(archive)[:, :size]
    genomes = archive.entries.genomes[:, :size]
    return np.stack([np.asarray(covered(*pair)) for pair in zip(genomes, masks, strict=True)])


def draw(curves, title):
    """Time coverage against the fraction of the episode, mean and range over seeds."""
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    fractions = np.arange(1, NUM_TIMES + 1) / NUM_TIMES
    for color, (label, values) in zip(plots.AREA_COLORS, curves.items(), strict=False):
        axes.fill_between(fractions, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0)
        axes.plot(fractions, values.mean(axis=0), color=color, label=label)
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel("fraction of the episode")
    axes.set_ylabel("time coverage")
    axes.legend(frameon=False, fontsize=8)
    record.save_drawing(figure, "signatures_time_coverage")


def main():
    parser = searches.options_parser(__doc__, evaluations=50_000, seeds=3)
    parser.add_argument("--env", default="collect-ball")
    options = parser.parse_args()

    environment = make(options.env)
    curves, found = {}, {}
    for label, name in DESCRIPTORS.items():
        found[label] = searches.search_controllers(
            label,
            novelty_search,
            NoveltySearchConfig(),
            options.env,
            options.evaluations,
            options.seeds,
            path_descriptor=path_descriptor(name),
        )
        curves[label] = time_coverage(environment, found[label].state.archive)
        early, late = (curves[label][:, int(share * NUM_TIMES) - 1] for share in (EARLY, LATE))
        print(
            f"    time coverage at {EARLY:.0%} {searches.shown(early)}, at the end {searches.shown(late)}", flush=True
        )

    def values(label, share):
        return curves[label][:, int(share * NUM_TIMES) - 1]

    claims = [
        {
            "claim": f"at {EARLY:.0%} of the episode {label} covers more than NS_1ts: intervals do not overlap",
            "measured": f"{searches.shown(values(label, EARLY))} against {searches.shown(values('NS_1ts', EARLY))}",
            "holds": searches.is_above(values(label, EARLY), values("NS_1ts", EARLY)),
        }
        for label in ("NS_5ts", "SIGN", "TIME-SIGN")
    ] + [
        {
            "claim": f"at the end of the episode NS_1ts covers more than {label}: intervals do not overlap",
            "measured": f"{searches.shown(values('NS_1ts', LATE))} against {searches.shown(values(label, LATE))}",
            "holds": searches.is_above(values("NS_1ts", LATE), values(label, LATE)),
        }
        for label in ("NS_5ts", "SIGN", "TIME-SIGN")
    ]
    draw(curves, searches.title(options))
    more = {"time_coverage": {label: values.mean(axis=0).tolist() for label, values in curves.items()}}
    searches.conclude("signatures", options, found, ("SIGN", discoveries), claims, more)


if __name__ == "__main__":
    main()
