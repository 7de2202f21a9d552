"""What one network with a stock learns, against exact optima: `python -m experiments.stock_augmentation.claims`.

D-eta-N collects 200,000 steps of its own on environments whose optima are known; its greedy policy is then asked for
targets, probabilities and levels of risk by the first stock alone, in 10,000 episodes each (40,000 in the corridor,
where a tenth is to be told; one on the grid, where nothing is random). Seeds run one after another in one compiled
program; their CPU seconds are without compilation. Optima are those of the exact planner, which meets the tables of
`tests/`. Claims of Avila Pires et al., "Optimizing Return Distributions with Distributional Dynamic Programming" (JMLR
2025), sections 6 and 7, on environments of this library: the paper's own are not published.
Prints the table, draws what was asked for and what came, and writes `experiments/results/stock_augmentation.json`.
"""

import argparse
import dataclasses
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record, searches
from jaxrl_sparse import train
from jaxrl_sparse.distributional import (
    Objective,
    StockAgentConfig,
    Utility,
    cvar,
    d_eta_n,
    greedy_outcomes,
    probability,
    solve,
    target,
)
from jaxrl_sparse.environments import make
from jaxrl_sparse.runner import return_plots

NAME, COMMAND = "stock_augmentation", "python -m experiments.stock_augmentation.claims"
ENVIRONMENT_STEPS = 200_000


class Task(NamedTuple):
    """What is learnt, and what is asked for afterwards.

    Attributes:
      environment: its name.
      utility: of outcomes.
      stocks: first stocks of the evaluation, in the return's unit.
      num_episodes: from each of them.
      fields: of `StockAgentConfig`, where they are not the defaults.
      learner_fields: of its learner, likewise.
    """

    environment: str
    utility: Utility
    stocks: tuple[float, ...]
    num_episodes: int
    fields: dict[str, Any]
    learner_fields: dict[str, Any]


# Returns of the gamble are even: at a stock of 1 - x no return is on the step of the indicator, which estimated
# quantiles would miss by a hair, and P(G >= x - 1) = P(G >= x).
REACHED = (8, 10, 12, 14, 16, 20)
TARGETS = (0, 5, 10, 15)
REQUESTED = np.linspace(-9, 9, 37)
CORRIDOR_STOCKS = (-30.0, -20.0, -18.0, -16.0, -14.0)
# A probability is a multiple of 1 / N of N quantiles, and each round rounds it down once more: of 64, .588 arrives at
# the first round as .47, and two actions that differ by .018 there are told apart no longer.
GAMBLE = {"return_scale": 16.0, "num_atoms": 128}, {"num_gradient_steps": 8}
TASKS = {
    "gamble, probability": Task("gamble", probability(0).utility, tuple(1.0 - x for x in REACHED), 10_000, *GAMBLE),
    "gamble, target": Task("gamble", target(0).utility, tuple(-float(x) for x in TARGETS), 10_000, *GAMBLE),
    "target-grid": Task("target-grid", target(0).utility, tuple(-float(x) for x in REQUESTED), 1, {}, {}),
    "risky-corridor": Task("risky-corridor", cvar(0.5).utility, CORRIDOR_STOCKS, 40_000, {"return_scale": 32.0}, {}),
}
# One field of each differs from the task above.
ABLATED = "target-grid"
ABLATIONS = {
    "a categorical head": {"head": "categorical"},
    "an implicit head of 16 levels": {"head": "implicit", "num_atoms": 16},
    "no law at all, the expected utility alone": {"head": "expected"},
    "stocks that are not edited": {"edit_stocks": False},
}


class Learnt(NamedTuple):
    """Greedy policies of all seeds, as they came out.

    Attributes:
      outcomes: `[seeds, stocks, episodes]`, c_0 + G.
      utilities: `[seeds, stocks]`, their mean utilities.
      returns: `[seeds, stocks]`, the mean of G.
      optima: `[stocks]`, the best utilities.
      cpu_seconds: `[seeds]`.
      wall_seconds: `[seeds]`.
    """

    outcomes: np.ndarray
    utilities: np.ndarray
    returns: np.ndarray
    optima: np.ndarray
    cpu_seconds: list[float]
    wall_seconds: list[float]


def learn(label: str, task: Task, seeds: list[int]) -> Learnt:
    """Trains and evaluates a task with every seed, and says how it went."""
    base = StockAgentConfig()
    learner = dataclasses.replace(base.learner, num_evaluation_episodes=task.num_episodes, **task.learner_fields)
    config = dataclasses.replace(base, learner=learner, **task.fields)
    environment, stocks = make(task.environment), jnp.array(task.stocks)
    agent = d_eta_n(config, environment, task.utility)
    num_updates = ENVIRONMENT_STEPS // (learner.num_environments * learner.num_steps)

    def evaluate(state, key):
        return greedy_outcomes(config, environment, task.utility, state, key, stocks)

    start, evaluate = jax.jit(agent.init), jax.jit(evaluate)
    state = start(jax.random.key(0))
    learns = jax.jit(lambda state: train(agent, state, num_updates)[0]).lower(state).compile()
    outcomes, cpu, wall = [], [], []
    for seed in seeds:
        learn_key, evaluate_key = jax.random.split(jax.random.key(seed))
        state = jax.block_until_ready(start(learn_key))
        began = time.perf_counter()
        spent, state = record.cpu_seconds(learns, state)
        wall.append(time.perf_counter() - began)
        cpu.append(spent)
        outcomes.append(np.asarray(evaluate(state, evaluate_key)))
    outcomes = np.stack(outcomes)
    utilities = np.asarray(task.utility.f(jnp.asarray(outcomes))).mean(axis=-1)
    learnt = Learnt(outcomes, utilities, (outcomes - stocks[:, None]).mean(axis=-1), optima(task), cpu, wall)
    print(f"{label}: {np.mean(cpu):.0f} CPU s, {np.mean(wall):.0f} s a seed; of seeds, by first stock", flush=True)
    for row in utilities if len(stocks) < 10 else [utilities.mean(axis=1)]:
        print(f"    utilities {np.round(row.astype(np.float64), 4).tolist()}", flush=True)
    return learnt


def optima(task: Task) -> np.ndarray:
    """The best utility from every first stock of the evaluation, `[stocks]`, by the exact planner."""
    environment = make(task.environment)
    if environment.discount < 1:
        # Any of these returns can be generated exactly (see `TargetGrid3`), which a grid of stocks cannot tell.
        return np.zeros(len(task.stocks))
    objective = Objective(task.utility.name, task.utility, min(task.stocks))
    plan = solve(environment.mdp, objective, environment.horizon)
    return np.interp(task.stocks, plan.stocks, environment.mdp.initial @ plan.values)


def claims_of(found: dict[str, Learnt]) -> list[dict[str, Any]]:
    """Each claim about the tasks that were learnt, with its measured figure and whether it holds."""
    claims = []

    def claim(text: str, measured: str, holds: Any):
        claims.append({"claim": text, "measured": measured, "holds": holds})

    def pairs(label: str, words: tuple[Any, ...]) -> str:
        rows = zip(words, found[label].utilities.mean(axis=0), found[label].optima, strict=True)
        return ", ".join(f"{word}: {value:.3f} of {optimum:.3f}" for word, value, optimum in rows)

    if (label := "gamble, probability") in found:
        reached = found[label].utilities[:, REACHED.index(12)]
        claim("P(G >= 12) is at least .55 of the best .588, every seed", searches.shown(reached), min(reached) >= 0.55)
        short = found[label].optima - found[label].utilities.mean(axis=0)
        claim(
            "P(G >= x) is within .05 of the best at every x, mean of seeds", pairs(label, REACHED), max(short) <= 0.05
        )
    if (label := "gamble, target") in found:
        values = found[label].utilities[:, TARGETS.index(5)]
        claim(
            "-E abs(G - 5) is at least -2.9 of the best -2.788, every seed", searches.shown(values), min(values) >= -2.9
        )
        short = found[label].optima - found[label].utilities.mean(axis=0)
        claim(
            "-E abs(G - x) is within .1 of the best at every x, mean of seeds", pairs(label, TARGETS), max(short) <= 0.1
        )
    if (label := "target-grid") in found:
        errors = np.abs(found[label].outcomes).mean(axis=(1, 2))
        claim(
            "37 returns from -9 to 9 are met: mean abs(c + G) below .02, every seed", fine(errors), max(errors) < 0.02
        )
    if (label := "risky-corridor") in found:
        errors = np.abs(found[label].utilities - found[label].optima).max(axis=1)
        claim(
            f"E min(c + G, 0) is within .1 of the best from {list(CORRIDOR_STOCKS)}, every seed",
            f"at most {fine(errors)} off; {pairs(label, CORRIDOR_STOCKS)}",
            max(errors) <= 0.1,
        )
        dangers = np.array(CORRIDOR_STOCKS) <= -18
        direct, detour = found[label].returns[:, dangers], found[label].returns[:, ~dangers]
        claim(
            "the first stock alone decides: the short way (mean 18) up to -18, the safe 16 from -16 on, every seed",
            f"{direct.min():.2f} to {direct.max():.2f}; {detour.min():.2f} to {detour.max():.2f}",
            np.abs(direct - 18).max() <= 0.25 and (np.abs(detour - 16) < 1e-3).all(),
        )
    return claims


def fine(values: np.ndarray) -> str:
    """`.0011 .0012 .0010`, one for each seed."""
    return " ".join(f"{value:.4f}" for value in values)


def summary(learnt: Learnt, task: Task) -> dict[str, Any]:
    """What the results file says of a task."""
    return {
        "first_stocks": task.stocks,
        "episodes": task.num_episodes,
        "optimal_utilities": learnt.optima.tolist(),
        "utilities": learnt.utilities.tolist(),
        "mean_returns": learnt.returns.tolist(),
        "cpu_seconds": learnt.cpu_seconds,
        "wall_seconds": learnt.wall_seconds,
        "changed_fields": task.fields | task.learner_fields,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--tasks", nargs="+", choices=[*TASKS, "ablations"], default=[*TASKS, "ablations"])
    options = parser.parse_args()

    found = {label: learn(label, TASKS[label], options.seeds) for label in TASKS if label in options.tasks}
    claims, tasks = claims_of(found), {label: TASKS[label] for label in found}
    if "ablations" in options.tasks:
        for label, fields in ABLATIONS.items():
            tasks[label] = TASKS[ABLATED]._replace(fields={**TASKS[ABLATED].fields, **fields})
            found[label] = learn(label, tasks[label], options.seeds)
            errors = np.abs(found[label].outcomes).mean(axis=(1, 2))
            seconds = f"{np.mean(found[label].cpu_seconds):.0f} CPU s"
            claims.append(
                {
                    "claim": f"the same returns are met with {label}",
                    "measured": f"{fine(errors)}, {seconds}",
                    "holds": max(errors) < 0.02,
                }
            )
    if ABLATED in found:
        achieved = found[ABLATED].outcomes[0] + REQUESTED[:, None]
        figure = return_plots.requested_returns(REQUESTED, achieved, "one network, 37 requests, seed 0")
        record.save_drawing(figure, f"{NAME}_requested_returns")
    seconds = [spent for learnt in found.values() for spent in learnt.cpu_seconds]
    heading = (
        f"{ENVIRONMENT_STEPS:,} steps of its own, {min(seconds):.0f} to {max(seconds):.0f} CPU s, seeds {options.seeds}"
    )
    figures = {"options": vars(options), "tasks": {label: summary(found[label], tasks[label]) for label in found}}
    record.conclude(NAME, COMMAND, heading, claims, figures)


if __name__ == "__main__":
    main()
