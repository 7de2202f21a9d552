"""HyGLOW against GLOW as offline data get poorer: `python -m experiments.density_ratio.hybrid`.

The claim of hybrid density-ratio methods (Amortila et al., ICLR 2024), which has no experiment in its paper: offline
data that cover the optimal policy save online episodes, and useless ones do no harm. On combination locks, with the 2^H
codes as the class of models. A quality q is the share of the optimal policy's occupancy in the offline data; the rest
is that of a policy whose first digit is wrong. Counted are the online episodes of policies that are not optimal. Scales
were chosen on seeds from 10 on; GLOW is shown at two of them. Beside it stand what tells the sources of the gain apart:
the same method without offline data, fitted Q iteration on both kinds of data (Hy-Q), and each method on offline data
alone. Last, the same locks with one more candidate, a model that pays nothing: HyGLOW is not optimistic, and a function
that expects nothing fits all that pays nothing.
Prints the table, draws episodes against quality, and writes `experiments/results/density_ratio_hybrid.json`.
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record, searches
from experiments.density_ratio.claims import chosen, locks
from experiments.density_ratio.episodic_runs import Ran, name_axes, panels, run
from jaxrl_sparse.density_ratio.classes import ModelClass, model_class
from jaxrl_sparse.density_ratio.fitted_q import HyQConfig, fitted_q_planner, hy_q
from jaxrl_sparse.density_ratio.glow import GlowConfig, glow
from jaxrl_sparse.density_ratio.h2o import offline_policy
from jaxrl_sparse.density_ratio.hyglow import HyGlowConfig, hyglow, hyglow_planner
from jaxrl_sparse.density_ratio.offline_data import OfflineData, covering_distribution, sample_offline_data
from jaxrl_sparse.finite import EpisodicMDP, backward_induction, expected_return
from jaxrl_sparse.runner import plots

NAME, COMMAND = "density_ratio_hybrid", "python -m experiments.density_ratio.hybrid"
QUALITIES = (1.0, 0.5, 0.25, 0.1, 0.05, 0.0)
GLOW_SCALES, HYGLOW_SCALE = (0.01, 0.003), 0.01
# By digits: how many codes, and rounds, in which every learner but those without the right data has settled; of the
# offline transitions of each layer there are as many.
LENGTHS = {5: (32, 400), 6: (8, 200)}


def offline(process: EpisodicMDP, key: jax.Array, quality: float, num_samples: int) -> OfflineData:
    """Transitions of the optimal policy, and of one that is wrong from the first step on."""
    best = backward_induction(process).actions
    wrong = best.at[0].set((best[0] + 1) % process.num_actions)
    return sample_offline_data(key, process, covering_distribution(process, quality, wrong), num_samples)


def episodes(ran: Ran) -> np.ndarray:
    """Online episodes of policies that are not optimal, one number a process and seed."""
    return (1 - ran.metrics["is_optimal"]).sum(-1).ravel()


def compare(
    classes: ModelClass, processes: EpisodicMDP, num_rounds: int, seeds: list[int], label: str
) -> dict[str, Any]:
    """Episodes of every learner, by its name and, where it has offline data, by quality."""
    found: dict[str, Any] = {}
    # Every run has offline data of its own: seeds become processes.
    processes = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(seeds), axis=0), processes)
    data_seeds = [1000 * (seed + 1) + i for i in range(processes.rewards.shape[0] // len(seeds)) for seed in seeds]
    keyed, seeds = (processes, jax.vmap(jax.random.key)(np.array(data_seeds))), seeds[:1]

    def report(name: str, ran: Ran):
        found[name] = episodes(ran).tolist()
        print(f"{label}, {name}: {described(found[name])}", flush=True)

    for scale in GLOW_SCALES:
        config = GlowConfig(scale=scale, num_rounds=num_rounds)
        report(
            f"GLOW, c = {scale}", run(lambda process, c=config: glow(c, classes, process), processes, seeds, num_rounds)
        )
    config = HyGlowConfig(scale=HYGLOW_SCALE, num_rounds=num_rounds)
    report("HyGLOW online", run(lambda process: hyglow(config, classes, process, None), processes, seeds, num_rounds))
    for quality in QUALITIES:

        def hybrid(pair, quality=quality):
            process, key = pair
            return hyglow(config, classes, process, offline(process, key, quality, num_rounds))

        def fitted(pair, quality=quality):
            process, key = pair
            return hy_q(HyQConfig(), process, offline(process, key, quality, num_rounds))

        report(f"HyGLOW, q = {quality}", run(hybrid, keyed, seeds, num_rounds))
        report(f"Hy-Q, q = {quality}", run(fitted, keyed, seeds, num_rounds))

        def alone(process, key, quality=quality):
            data = offline(process, key, quality, num_rounds)
            best = process.initial @ backward_induction(process).values[0]
            by_ratio = offline_policy(hyglow_planner(config, classes, data.distribution), process, data)
            by_squares = offline_policy(fitted_q_planner(), process, data)
            return jnp.stack([expected_return(process, policy) / best for policy in (by_ratio, by_squares)])

        returns = jax.jit(jax.vmap(alone))(*keyed).mean(axis=0)
        found[f"share of the best return, MABO.CR and fitted Q offline alone, q = {quality}"] = returns.tolist()
    return found


def described(values: list[float]) -> str:
    mean, low, high = searches.interval(np.array(values))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def run_length(length: int, options: argparse.Namespace) -> dict[str, Any]:
    """The claim on locks of a length."""
    models, classes = locks(length)
    num_codes, num_rounds = LENGTHS[length]
    processes = chosen(models, np.linspace(0, 2**length - 1, num_codes).astype(int))
    found = compare(classes, processes, num_rounds, options.seeds, f"{length} digits")
    claims = []
    for quality in QUALITIES:
        mine = np.array(found[f"HyGLOW, q = {quality}"])
        others = {name: np.array(found[name]) for name in (f"GLOW, c = {scale}" for scale in GLOW_SCALES)}
        best = min(others, key=lambda name: others[name].mean())
        measured = f"{described(found[f'HyGLOW, q = {quality}'])}; {best} {described(found[best])}; "
        measured += f"without offline data {described(found['HyGLOW online'])}; Hy-Q "
        measured += described(found[f"Hy-Q, q = {quality}"])
        if quality > 0:
            text = f"{length} digits, quality {quality}: HyGLOW needs fewer online episodes than GLOW, intervals apart"
            holds = searches.is_above(others[best], mine)
        else:
            text = f"{length} digits, useless offline data: HyGLOW is no worse than GLOW by more than the interval"
            holds = searches.interval(mine)[1] <= searches.interval(others[best])[2]
        claims.append({"claim": text, "measured": measured, "holds": holds})
    draw(length, found)
    return {"claims": claims, "episodes": found}


def run_silent_model(options: argparse.Namespace) -> dict[str, Any]:
    """The same where a model that pays nothing is among the candidates."""
    models, _ = locks(5)
    silent = jax.tree.map(lambda leaf: leaf[:1], models)._replace(rewards=jnp.zeros_like(models.rewards[:1]))
    classes = model_class(jax.tree.map(lambda leaf, more: jnp.concatenate([leaf, more]), models, silent))
    processes = chosen(models, np.linspace(0, 31, 16).astype(int))
    found = compare(classes, processes, LENGTHS[5][1], options.seeds, "with a silent model")
    claims = []
    for quality in QUALITIES:
        mine, others = found[f"HyGLOW, q = {quality}"], [found[f"GLOW, c = {scale}"] for scale in GLOW_SCALES]
        best = min(others, key=np.mean)
        text = (
            f"5 digits and a model that pays nothing, quality {quality}: HyGLOW needs fewer online episodes than GLOW"
        )
        measured = (
            f"{described(mine)}; GLOW {described(best)}; without offline data {described(found['HyGLOW online'])}"
        )
        claims.append({"claim": text, "measured": measured, "holds": searches.is_above(np.array(best), np.array(mine))})
    return {"claims": claims, "episodes": found}


def draw(length: int, found: dict[str, Any]):
    """Episodes against quality, with intervals."""
    figure, (axes,) = panels(1, f"Episodes until the best policy, {length} digits")
    for color, name in zip(plots.AREA_COLORS, ("HyGLOW", "Hy-Q"), strict=False):
        intervals = np.array([searches.interval(np.array(found[f"{name}, q = {quality}"])) for quality in QUALITIES])
        axes.plot(QUALITIES, intervals[:, 0], "o-", color=color, markersize=4, linewidth=1.6, label=name)
        axes.fill_between(QUALITIES, intervals[:, 1], intervals[:, 2], color=color, alpha=0.2)
    flat = [f"GLOW, c = {scale}" for scale in GLOW_SCALES] + ["HyGLOW online"]
    for color, name in zip(plots.AREA_COLORS[2:], flat, strict=False):
        axes.axhline(np.mean(found[name]), color=color, linewidth=1.2, linestyle="--", label=name)
    axes.set_yscale("log")
    name_axes(axes, "share of the optimal policy in the offline data", "online episodes that are not optimal")
    axes.legend(frameon=False, fontsize=8, labelcolor=plots.INK)
    record.save_drawing(figure, f"hyglow_{length}")


TASKS = {f"{length} digits": lambda options, n=length: run_length(n, options) for length in LENGTHS}
TASKS["silent model"] = run_silent_model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    options = parser.parse_args()
    record.conclude_tasks(NAME, COMMAND, vars(options), {task: TASKS[task](options) for task in options.tasks})


if __name__ == "__main__":
    main()
