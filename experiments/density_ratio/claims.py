"""GLOW on combination locks: `python -m experiments.density_ratio.claims`.

GLOW (Amortila et al., ICLR 2024) is a theorem; its paper has no experiment and its constants exclude nothing at sizes
that can be run. What is measured here is where they stop being vacuous, by the one knob c that scales them, and how its
regret grows with the length of a combination lock, beside epsilon-greedy and UCB-VI. The figures to reach are those of
an independent prototype: a lock of 5 digits with 32 codes and 400 rounds.
On locks of growing length the knob of each learner, c, the bonus's scale or epsilon, is the one of least regret on the
seeds 10 to 12, for each length. Regret is exact: of each round's policy, not of its episode.
Prints the table, draws regret against c and against rounds, and writes `experiments/results/density_ratio.json`, in
which the figures of a task that is not run again stay as they were.
"""

import argparse
import functools
from typing import Any

import jax
import numpy as np

from experiments import record, searches
from experiments.density_ratio.episodic_runs import Ran, name_axes, panels, run
from jaxrl_sparse.base import Algorithm
from jaxrl_sparse.density_ratio.classes import ModelClass, model_class
from jaxrl_sparse.density_ratio.glow import GlowConfig, glow
from jaxrl_sparse.exploration.epsilon_greedy import EpsilonGreedyConfig, epsilon_greedy
from jaxrl_sparse.exploration.ucb_vi import UCBVIConfig, ucb_vi
from jaxrl_sparse.finite.episodic_generators import combination_locks
from jaxrl_sparse.runner import plots

NAME, COMMAND = "density_ratio", "python -m experiments.density_ratio.claims"
SCALES = (1.0, 0.1, 0.03, 0.01, 0.003, 0.001)
WORKING = 0.01
# The prototype's lock, rounds and regret at the working scale, and how near is near.
PROTOTYPE_LENGTH, PROTOTYPE_ROUNDS, PROTOTYPE_REGRET, NEAR = 5, 400, 47.1, 0.2
LENGTHS = (3, 4, 5, 6)
LOCK_ROUNDS = 1000
CODES_OF_EACH_LENGTH = 4
TUNING_SEEDS = [10, 11, 12]
KNOBS = {"GLOW": SCALES, "UCB-VI": (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003), "epsilon-greedy": (0.3, 0.1, 0.03)}


def locks(length: int) -> tuple[Any, ModelClass]:
    """All locks of a length, stacked, and the class of models that they are."""
    models = jax.jit(combination_locks, static_argnums=0)(length)
    return models, model_class(models)


def chosen(models: Any, numbers: np.ndarray) -> Any:
    return jax.tree.map(lambda leaf: leaf[numbers], models)


def run_table(options: argparse.Namespace) -> dict[str, Any]:
    """GLOW by scale on every code of the prototype's lock, every seed."""
    models, classes = locks(PROTOTYPE_LENGTH)
    rows, claims = {}, []
    for scale in SCALES:
        config = GlowConfig(scale=scale, num_rounds=PROTOTYPE_ROUNDS)
        ran = run(lambda process, c=config: glow(c, classes, process), models, options.seeds, PROTOTYPE_ROUNDS)
        sizes, metrics = ran.metrics["version_space_size"], ran.metrics
        rows[scale] = {
            "regret_at_100": float(ran.regret(100).mean()),
            "regret_at_400": float(ran.regret().mean()),
            "regret_by_seed": ran.regret().mean(axis=0).tolist(),
            "regret_of_rounds_300_to_400": float((ran.regret() - ran.regret(300)).mean()),
            "version_space_at_10_50_400": [float(sizes[..., t - 1].mean()) for t in (10, 50, 400)],
            "share_of_optimal_policies": float(metrics["is_optimal"].mean()),
            "share_of_empty_version_spaces": float(metrics["is_empty"].mean()),
            "share_of_runs_that_lose_the_optimum": float((metrics["contains_optimum"] == 0).any(-1).mean()),
            "all_finite": bool(all(np.isfinite(values).all() for values in metrics.values())),
            "cpu_seconds_of_a_round": ran.cpu_seconds,
        }
        print(f"c = {scale}: {rows[scale]}", flush=True)

    def claim(text: str, measured: str, holds: Any):
        claims.append({"claim": f"lock of {PROTOTYPE_LENGTH}: {text}", "measured": measured, "holds": holds})

    paper, working, small = rows[1.0], rows[WORKING], rows[SCALES[-1]]
    growth = paper["regret_at_400"] / paper["regret_at_100"]
    claim(
        "c = 1, regret grows linearly and nothing is excluded",
        f"{paper['regret_at_100']:.1f} at 100, {paper['regret_at_400']:.1f} at 400; "
        f"{paper['version_space_at_10_50_400'][-1]:.1f} of 32 left",
        growth > 3.8 and paper["version_space_at_10_50_400"][-1] == 32,
    )
    claim(
        f"c = {WORKING}, total regret within {NEAR:.0%} of the prototype's {PROTOTYPE_REGRET}",
        f"{working['regret_at_400']:.1f} ({' '.join(f'{r:.1f}' for r in working['regret_by_seed'])} by seed)",
        abs(working["regret_at_400"] - PROTOTYPE_REGRET) <= NEAR * PROTOTYPE_REGRET,
    )
    claim(
        f"c = {WORKING}, flat after it finds the code",
        f"{working['regret_of_rounds_300_to_400']:.3f} in the last 100 rounds",
        working["regret_of_rounds_300_to_400"] < 0.01 * working["regret_at_400"],
    )
    claim(
        f"c = {SCALES[-1]}, an empty version space is reported; never a number that is none",
        f"empty in {small['share_of_empty_version_spaces']:.0%} of rounds, regret {small['regret_at_400']:.1f}",
        small["share_of_empty_version_spaces"] > 0.5 and all(row["all_finite"] for row in rows.values()),
    )
    speed = 1 / working["cpu_seconds_of_a_round"]
    claim(
        "32 models, 1,024 weights, 5 layers: at least 200 updates a CPU second, all runs vmapped",
        f"{speed:,.0f}",
        speed >= 200,
    )
    return {"claims": claims, "scales": {str(scale): row for scale, row in rows.items()}}


def run_lengths(options: argparse.Namespace) -> dict[str, Any]:
    """GLOW and the controls on locks of growing length, each with its knob of the tuning seeds."""
    tuning: dict[str, dict[int, list[float]]] = {learner: {} for learner in KNOBS}
    regrets: dict[str, dict[int, np.ndarray]] = {learner: {} for learner in KNOBS}
    curves: dict[str, dict[int, np.ndarray]] = {learner: {} for learner in KNOBS}
    claims, used = [], {}
    for length in LENGTHS:
        models, classes = locks(length)
        # Codes far apart in the order that ties are broken by.
        processes = chosen(models, np.linspace(0, 2**length - 1, CODES_OF_EACH_LENGTH).astype(int))
        for learner, knobs in KNOBS.items():
            made = [functools.partial(learner_of, learner, knob, classes) for knob in knobs]
            tried = [run(make, processes, TUNING_SEEDS, LOCK_ROUNDS).regret().mean() for make in made]
            best = int(np.argmin(tried))
            ran: Ran = run(made[best], processes, options.seeds, LOCK_ROUNDS)
            tuning[learner][length] = [float(value) for value in tried]
            regrets[learner][length] = ran.regret().mean(axis=0)
            curves[learner][length] = ran.metrics["regret"].mean(axis=(0, 1)).cumsum()
            used[learner, length] = knobs[best]
            print(f"{length} digits, {learner} {knobs[best]}: {searches.shown(regrets[learner][length])}", flush=True)
        text = f"{length} digits: GLOW has less regret than UCB-VI and epsilon-greedy in {LOCK_ROUNDS} rounds"
        measured = "; ".join(
            f"{name} ({used[name, length]:g}) {searches.shown(regrets[name][length])}" for name in KNOBS
        )
        holds = all(searches.is_above(regrets[other][length], regrets["GLOW"][length]) for other in list(KNOBS)[1:])
        claims.append({"claim": text, "measured": measured, "holds": holds})
    draw(tuning, curves, used)
    return {
        "claims": claims,
        "regret_by_seed": {name: {str(n): values.tolist() for n, values in by.items()} for name, by in regrets.items()},
        "knobs": {name: list(knobs) for name, knobs in KNOBS.items()},
        "regret_by_knob_on_tuning_seeds": {name: {str(n): v for n, v in by.items()} for name, by in tuning.items()},
        "tuning_seeds": TUNING_SEEDS,
    }


def learner_of(learner: str, knob: float, classes: ModelClass, process: Any) -> Algorithm:
    """A learner of one true lock."""
    if learner == "GLOW":
        return glow(GlowConfig(scale=knob, num_rounds=LOCK_ROUNDS), classes, process)
    if learner == "UCB-VI":
        return ucb_vi(UCBVIConfig(scale=knob, num_rounds=LOCK_ROUNDS), process)
    return epsilon_greedy(EpsilonGreedyConfig(epsilon=knob), process)


def draw(tuning: dict[str, Any], curves: dict[str, Any], used: dict[Any, float]):
    """Regret of the tuning seeds against c, a curve for each length; and regret against rounds at one length."""
    figure, (left, right) = panels(2, "Regret of GLOW on combination locks")
    for color, length in zip(plots.AREA_COLORS, LENGTHS, strict=False):
        left.plot(
            SCALES, tuning["GLOW"][length], "o-", color=color, linewidth=1.6, markersize=4, label=f"{length} digits"
        )
        left.axhline(min(tuning["UCB-VI"][length]), color=color, linewidth=0.8, linestyle=":")
    left.set_xscale("log")
    name_axes(left, "scale c of the constants", f"regret of {LOCK_ROUNDS} rounds", "dotted: UCB-VI at its best scale")
    left.legend(frameon=False, fontsize=8, labelcolor=plots.INK)
    for color, name in zip(plots.AREA_COLORS, KNOBS, strict=False):
        label = f"{name}, {used[name, PROTOTYPE_LENGTH]:g}"
        right.plot(curves[name][PROTOTYPE_LENGTH], color=color, linewidth=1.6, label=label)
    name_axes(right, "round", "regret so far", f"{PROTOTYPE_LENGTH} digits, knobs of the tuning seeds")
    right.legend(frameon=False, fontsize=8, labelcolor=plots.INK)
    record.save_drawing(figure, "glow_regret")


TASKS = {"table": run_table, "lengths": run_lengths}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    options = parser.parse_args()
    record.conclude_tasks(NAME, COMMAND, vars(options), {task: TASKS[task](options) for task in options.tasks})


if __name__ == "__main__":
    main()
