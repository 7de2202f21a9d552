"""Reward-free exploration against episodes and against the horizon: `python -m experiments.reward_free.claims`.

HF-UCRL-RFE++ is a theorem: with a total reward of at most 1, the sub-optimality of plans after K episodes does not
depend on the horizon H, but for logarithms. It has no experiment, and neither have UCRL-RFE and UCRL-RFE+ (Zhang, Zhou
and Gu, 2021), whose bounds grow with H. Here all three explore linear mixtures of two families: random ones, and ones
where what is unknown is gambled for at the end of a chain, which chance seldom walks. Each has a control: the same
regression and planner on episodes of uniform actions. What is measured is the exact sub-optimality in the true mixture,
the mean over random rewards of the class.
Radii are the papers' times a scale, chosen on a mixture of seed 10 and a key of seed 11; every seed of a report has a
mixture, a key and rewards of its own. Comparisons are paired by seed: 95 % intervals of the mean difference.
HF-UCRL-RFE++ plans with its estimate; the theory's own plans, with the model that the oracle chose last, are told
beside it. A first report of seeds 0 to 5 had intervals too wide for most comparisons, means being carried by single
mixtures; the seeds 100 to 131 had not been looked at. Episodes are what theory counts: one of 80 steps holds 16 times
as many transitions as one of 5.
Prints the table, draws error against episodes and against the horizon, and writes
`experiments/results/reward_free.json`.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from experiments import record, searches
from experiments.density_ratio.episodic_runs import name_axes, panels
from jaxrl_sparse import train
from jaxrl_sparse.base import Algorithm
from jaxrl_sparse.exploration.reward_free import (
    HFUCRLRFEConfig,
    UCRLRFEConfig,
    hf_ucrl_rfe,
    ucrl_rfe,
    ucrl_rfe_plus,
)
from jaxrl_sparse.finite.linear_mixtures import LinearMixture, linear_mixture, random_linear_mixture
from jaxrl_sparse.runner import plots

NAME, COMMAND = "reward_free", "python -m experiments.reward_free.claims"
HORIZON_FREE = "HF-UCRL-RFE++"
# The scale of each algorithm's radii.
SCALES = {HORIZON_FREE: 1e-3, "UCRL-RFE": 0.1, "UCRL-RFE+": 1e-3}
EXPLORATIONS = ("optimistic", "uniform")
HORIZONS = (5, 20, 80)
# Of the curves over episodes, and of the runs with the papers' constants.
MIDDLE = 20
NUM_EPISODES, EPISODES_BETWEEN = 200, 10
NUM_STATES, NUM_ACTIONS, DIMENSION, NUM_SUCCESSORS = 5, 4, 4, 2
NUM_REWARDS = 128
DELTA = 0.1
# By how much the error may grow from the shortest horizon to the longest.
LOG_FACTOR = 1 + np.log(HORIZONS[-1] / HORIZONS[0])

# Errors of seeds are drawn no lower than here: some are zero.
LEAST_DRAWN = 1e-6


def deep_mixture(key: PRNGKeyArray) -> LinearMixture:
    """A chain of three states with a gamble at its end: what is unknown can be seen nowhere else.

    In the first two states one action, another in each, leads on and all others back to the start. In the third each
    action leads to one of two more states, with a probability that is the sum of theta over a half of the features, a
    half of its own. From these two every action leads back to the start.
    """
    way_key, half_key, weight_key = jax.random.split(key, 3)
    end = NUM_STATES - 3
    kernels = np.zeros((NUM_STATES, NUM_ACTIONS, NUM_STATES, DIMENSION))
    for state, onward in enumerate(np.asarray(jax.random.randint(way_key, (end,), 0, NUM_ACTIONS))):
        kernels[state, :, 0] = 1
        kernels[state, onward, [0, state + 1]] = [[0], [1]]
    halves = jnp.tile(jnp.arange(DIMENSION) % 2, (NUM_ACTIONS, 1))
    halves = jax.random.permutation(half_key, halves, axis=1, independent=True)
    kernels[end, :, end + 1], kernels[end, :, end + 2] = halves, 1 - halves
    kernels[end + 1 :, :, 0] = 1
    weights = jax.random.dirichlet(weight_key, jnp.ones(DIMENSION))
    return linear_mixture(kernels / DIMENSION**0.5, DIMENSION**0.5 * weights, norm_bound=DIMENSION**0.5)


def spread_mixture(key: PRNGKeyArray) -> LinearMixture:
    """Random kernels: every action tells something of theta."""
    return random_linear_mixture(key, NUM_STATES, NUM_ACTIONS, DIMENSION, NUM_SUCCESSORS)


FAMILIES: dict[str, Callable[[PRNGKeyArray], LinearMixture]] = {"random": spread_mixture, "deep": deep_mixture}


class Explored(NamedTuple):
    """What an algorithm did; arrays `[families, seeds, ...]`.

    Attributes:
      metrics: `[..., K]`, of every episode.
      evaluations: `[..., 1 + K / 10]`, before the first episode and after every tenth.
      cpu_seconds: of an episode of one seed, evaluations included.
    """

    metrics: dict[str, np.ndarray]
    evaluations: dict[str, np.ndarray]
    cpu_seconds: float

    @property
    def error(self) -> np.ndarray:
        """Mean sub-optimality over the rewards, after how many episodes."""
        return self.evaluations["suboptimality_mean"]

    @property
    def last(self) -> np.ndarray:
        """The error after K episodes, `[families, seeds]`."""
        return self.error[..., -1]


Found = dict[tuple[str, str, int], Explored]


def algorithm(name: str, exploration: str, horizon: int, scale: Array, mixture: LinearMixture) -> Algorithm:
    """An algorithm of `SCALES`, or its control where the exploration is "uniform"."""
    shared = {
        "horizon": horizon,
        "num_episodes": NUM_EPISODES,
        "beta_scale": scale,
        "delta": DELTA,
        "num_rewards": NUM_REWARDS,
    }
    if name == HORIZON_FREE:
        oracle = "greedy" if exploration == "optimistic" else exploration
        return hf_ucrl_rfe(HFUCRLRFEConfig(**shared, oracle=oracle), mixture)
    factory = ucrl_rfe if name == "UCRL-RFE" else ucrl_rfe_plus
    return factory(UCRLRFEConfig(**shared, exploration=exploration), mixture)


def explorer(
    name: str, exploration: str, horizon: int, mixtures: LinearMixture, keys: PRNGKeyArray
) -> Callable[[float], Explored]:
    """From a scale to K episodes of every family and seed; compiled once for all scales."""

    def one(scale, mixture, key):
        learn_key, evaluate_key = jax.random.split(key)
        made = algorithm(name, exploration, horizon, scale, mixture)

        def chunk(state, first):
            state, metrics = train(made, state, EPISODES_BETWEEN, first)
            return state, (metrics, made.evaluate(state, evaluate_key))

        state = made.init(learn_key)
        before = made.evaluate(state, evaluate_key)
        _, (metrics, after) = jax.lax.scan(chunk, state, jnp.arange(0, NUM_EPISODES, EPISODES_BETWEEN))
        return jax.tree.map(jnp.ravel, metrics), jax.tree.map(lambda x, y: jnp.append(x[None], y), before, after)

    every = jax.vmap(jax.vmap(one, in_axes=(None, 0, 0)), in_axes=(None, 0, None))
    compiled = jax.jit(every).lower(jnp.float32(1), mixtures, keys).compile()

    def explore(scale: float) -> Explored:
        seconds, found = record.cpu_seconds(compiled, jnp.float32(scale), mixtures, keys)
        metrics, evaluations = jax.device_get(found)
        return Explored(metrics, evaluations, seconds / NUM_EPISODES / len(FAMILIES) / len(keys))

    return explore


def stacked_mixtures(keys: PRNGKeyArray) -> LinearMixture:
    """A mixture of every family for every key, leaves `[families, seeds, ...]`."""
    made = [[family(key) for key in keys] for family in FAMILIES.values()]
    rows = [jax.tree.map(lambda *leaves: jnp.stack(leaves), *row) for row in made]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)


def shown(values: np.ndarray) -> str:
    """Mean over seeds and its interval, in thousandths."""
    mean, low, high = 1e3 * np.array(searches.interval(values))
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def is_below(values: np.ndarray, others: np.ndarray) -> bool:
    """Whether the interval of the mean difference, seed by seed, is above zero."""
    return searches.interval(others - values)[1] > 0


def learning_claims(found: Found) -> list[dict[str, Any]]:
    """(1) The error falls with K."""
    claims = []
    for name in SCALES:
        holds, cells = True, []
        for i, family in enumerate(FAMILIES):
            for horizon in HORIZONS:
                first, last = (found[name, "optimistic", horizon].error[i, :, point] for point in (1, -1))
                holds &= is_below(last, first)
                cells.append(f"{family} H={horizon} {1e3 * first.mean():.2f} to {1e3 * last.mean():.2f}")
        text = f"{name}: error after {NUM_EPISODES} episodes below that after {EPISODES_BETWEEN}, in every cell"
        claims.append({"claim": text, "measured": "thousandths: " + "; ".join(cells), "holds": holds})
    return claims


def horizon_claims(found: Found) -> list[dict[str, Any]]:
    """(2) HF-UCRL-RFE++'s error does not grow with the horizon, and (3) UCRL-RFE's does."""
    claims = []
    for i, family in enumerate(FAMILIES):
        errors = {name: [found[name, "optimistic", h].last[i] for h in HORIZONS] for name in SCALES}
        (mean_short, _, _), (mean_long, _, high) = (searches.interval(errors[HORIZON_FREE][place]) for place in (0, -1))
        optimist = [found[HORIZON_FREE, "optimistic", h].evaluations["optimist_suboptimality_mean"] for h in HORIZONS]
        measured = f"thousandths, H = {HORIZONS}: {'; '.join(map(shown, errors[HORIZON_FREE]))}; growth "
        measured += f"{mean_long / mean_short:.2f}; planned with the oracle's model "
        measured += "; ".join(shown(values[i, :, -1]) for values in optimist)
        early = found[HORIZON_FREE, "optimistic", HORIZONS[-1]].error[i, :, 1]
        measured += f"; at H = {HORIZONS[-1]} after {EPISODES_BETWEEN} episodes {shown(early)}"
        text = f"{family}: {HORIZON_FREE}'s error at H = {HORIZONS[-1]} at most {LOG_FACTOR:.2f} times that at H = "
        text += f"{HORIZONS[0]}, plus the interval"
        holds = mean_long <= LOG_FACTOR * mean_short + (high - mean_long)
        claims.append({"claim": text, "measured": measured, "holds": holds})
        grows = {name: is_below(values[0], values[-1]) for name, values in errors.items()}
        claims.append(
            {
                "claim": f"{family}: UCRL-RFE's error grows from H = {HORIZONS[0]} to {HORIZONS[-1]}, where "
                f"{HORIZON_FREE}'s does not",
                "measured": f"thousandths: {'; '.join(map(shown, errors['UCRL-RFE']))}; of UCRL-RFE+ "
                f"{'; '.join(map(shown, errors['UCRL-RFE+']))}",
                "holds": grows["UCRL-RFE"] and not grows[HORIZON_FREE],
            }
        )
    return claims


def control_claims(found: Found) -> list[dict[str, Any]]:
    """(4) Exploring is better than acting at random."""
    claims = []
    for name in SCALES:
        below, cells = [], []
        for i, family in enumerate(FAMILIES):
            for horizon in HORIZONS:
                ours, control = (found[name, exploration, horizon].last[i] for exploration in EXPLORATIONS)
                below.append(is_below(ours, control))
                cell = f"{family} H={horizon} {1e3 * ours.mean():.3f} / {1e3 * control.mean():.3f}"
                worse = " (above)" if is_below(control, ours) else ""
                cells.append(cell + (" (below)" if below[-1] else worse))
        text = f"{name}: error after {NUM_EPISODES} episodes below that of uniform actions, in every cell"
        measured = f"{sum(below)} of {len(below)} cells; thousandths, ours / control: {'; '.join(cells)}"
        claims.append({"claim": text, "measured": measured, "holds": all(below)})
    return claims


def paper_claims(found: Found, papers: dict[str, Explored]) -> list[dict[str, Any]]:
    """(5) The papers' constants are vacuous; and how often theta* is in the sets."""
    claims = []
    for name, explored in papers.items():
        metrics, start = explored.metrics, explored.error[..., 0]
        is_free = name == HORIZON_FREE
        value, bound = (metrics["uncertainty"], 1) if is_free else (metrics["exploration_value"], MIDDLE)
        at_bound = np.mean(value >= bound * (1 - 1e-6))
        text = f"{name}, scale 1, H = {MIDDLE}: the value that exploration maximises is at its bound in every episode"
        claims.append({"claim": text, "measured": f"{at_bound:.1%} of episodes", "holds": at_bound == 1})
        differences = np.abs(explored.last - start)
        measured = "; ".join(
            f"{family}: {1e3 * start[i].mean():.2f} without data, {1e3 * explored.last[i].mean():.2f} after, "
            f"{1e3 * found[name, 'optimistic', MIDDLE].last[i].mean():.2f} at scale {SCALES[name]:g}"
            for i, family in enumerate(FAMILIES)
        )
        text = f"{name}, scale 1, H = {MIDDLE}: nothing is learnt; plans after {NUM_EPISODES} episodes lose what they "
        text += "lose without data, in every run"
        claims.append({"claim": text, "measured": "thousandths: " + measured, "holds": differences.max() < 1e-6})
    covered = {name: explored.metrics["is_covered"].min(-1).mean() for name, explored in papers.items()}
    text = f"scale 1, H = {MIDDLE}: theta* stays in the set in every run"
    measured = "; ".join(f"{name} {share:.0%}" for name, share in covered.items())
    claims.append({"claim": text, "measured": measured, "holds": min(covered.values()) == 1})
    for name in SCALES:
        cells = {
            f"{family} H={horizon}": found[name, "optimistic", horizon].metrics["is_covered"][i]
            for i, family in enumerate(FAMILIES)
            for horizon in HORIZONS
        }
        runs = np.array([cell.min(-1).mean() for cell in cells.values()])
        text = f"{name}, scale {SCALES[name]:g}: theta* stays in the set in {1 - DELTA:.0%} of runs, in every cell"
        measured = "; ".join(
            f"{cell} {share:.0%} of runs, {values.mean():.0%} of episodes"
            for (cell, values), share in zip(cells.items(), runs, strict=True)
        )
        claims.append({"claim": text, "measured": measured, "holds": runs.min() >= 1 - DELTA})
    return claims


def draw(found: Found):
    """Error against episodes at one horizon, and against the horizon after all episodes; two panels for each family."""
    figure, axes = panels(2 * len(FAMILIES), "Reward-free exploration: sub-optimality of plans for random rewards")
    episodes = np.arange(0, NUM_EPISODES + 1, EPISODES_BETWEEN)
    for i, family in enumerate(FAMILIES):
        over_episodes, over_horizons = axes[2 * i : 2 * i + 2]
        for color, name in zip(plots.AREA_COLORS, SCALES, strict=False):
            for exploration, line in zip(EXPLORATIONS, ("-", "--"), strict=True):
                label = name if exploration == "optimistic" else f"{name}, uniform actions"
                curve = found[name, exploration, MIDDLE].error[i].mean(0)
                over_episodes.plot(episodes, curve, line, color=color, linewidth=1.6, label=label)
                ends = np.array([found[name, exploration, h].last[i] for h in HORIZONS])
                over_horizons.plot(HORIZONS, ends.mean(1), line, color=color, linewidth=1.6)
                if exploration == "optimistic":
                    seeds = np.maximum(ends, LEAST_DRAWN)
                    over_horizons.plot(HORIZONS, seeds, "o", color=color, markersize=3, alpha=0.4, linewidth=0)
        optimist = [found[HORIZON_FREE, "optimistic", h].evaluations["optimist_suboptimality_mean"] for h in HORIZONS]
        drawn = [values[i, :, -1].mean() for values in optimist]
        over_horizons.plot(HORIZONS, drawn, ":", color=plots.AREA_COLORS[0], label="HF, with the oracle's model")
        shortest = found[HORIZON_FREE, "optimistic", HORIZONS[0]].last[i].mean()
        allowed = shortest * (1 + np.log(np.array(HORIZONS) / HORIZONS[0]))
        over_horizons.plot(HORIZONS, allowed, color=plots.FAINT, linewidth=0.8, label="HF at H = 5, times 1 + log(H/5)")
        over_horizons.set_xscale("log")
        over_horizons.set_xticks(HORIZONS, [str(horizon) for horizon in HORIZONS])
        over_horizons.minorticks_off()
        for panel in (over_episodes, over_horizons):
            panel.set_yscale("log")
        name_axes(over_episodes, "episodes", "error", f"{family} mixtures, H = {MIDDLE}")
        name_axes(over_horizons, "horizon H", "error", f"{family} mixtures, {NUM_EPISODES} episodes; a point a seed")
    for panel in axes[:2]:
        panel.legend(frameon=False, fontsize=7, labelcolor=plots.INK)
    record.save_drawing(figure, NAME)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(100, 132)))
    options = parser.parse_args()
    seeds = jax.vmap(jax.random.key)(np.array(options.seeds))
    mixture_keys, keys = jnp.moveaxis(jax.vmap(jax.random.split)(seeds), 1, 0)
    mixtures = stacked_mixtures(mixture_keys)
    found: Found = {}
    papers = {}
    for name, scale in SCALES.items():
        for exploration in EXPLORATIONS:
            for horizon in HORIZONS:
                explore = explorer(name, exploration, horizon, mixtures, keys)
                explored = found[name, exploration, horizon] = explore(scale)
                errors = "; ".join(f"{family} {shown(explored.last[i])}" for i, family in enumerate(FAMILIES))
                milliseconds = 1e3 * explored.cpu_seconds
                print(f"{name}, {exploration}, H = {horizon}: {errors}; {milliseconds:.2f} ms an episode", flush=True)
                if exploration == "optimistic" and horizon == MIDDLE:
                    papers[name] = explore(1.0)
    claims = learning_claims(found) + horizon_claims(found) + control_claims(found) + paper_claims(found, papers)
    draw(found)
    cells = {f"{name}, {exploration}, H = {horizon}": cell for (name, exploration, horizon), cell in found.items()}
    cells |= {f"{name}, scale 1, H = {MIDDLE}": cell for name, cell in papers.items()}
    figures = {label: listed(cell) for label, cell in cells.items()}
    record.conclude(
        NAME,
        COMMAND,
        f"seeds {options.seeds}",
        claims,
        {"options": vars(options), "scales": SCALES, "figures": figures},
    )


def listed(explored: Explored) -> dict[str, Any]:
    """What the results file says of a cell, by family."""
    told: dict[str, Any] = {"cpu_seconds_of_an_episode": explored.cpu_seconds}
    for i, family in enumerate(FAMILIES):
        told[family] = {
            **{f"{word}_by_seed": values[i, :, -1].tolist() for word, values in explored.evaluations.items()},
            "suboptimality_curve": explored.error[i].mean(0).tolist(),
            "theta_error_by_seed": explored.metrics["theta_error"][i, :, -1].tolist(),
            "covered_share_by_seed": explored.metrics["is_covered"][i].mean(-1).tolist(),
        }
    return told


if __name__ == "__main__":
    main()
