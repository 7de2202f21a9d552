"""RND-PPO against PPO where rewards are rare: `python -m experiments.rnd.claims`.

The claim of the path planning of automated guided vehicles by RND-PPO, on our reconstruction of its four scenes (its
environment is not public): the bonus of random network distillation reaches the target in more seeds, or sooner. And
the claim behind it, of Burda et al. (ICLR 2019), on the deep sea, where the one rewarded path is one of 2^N: the
largest N that is solved in the same number of steps. Both learners have the same network, rate and steps; a seed
reaches the target, or solves the sea, if half of 64 greedy episodes end there at the end. The setting of the scenes was
chosen on seeds 10 to 14. A run of half the steps in all scenes but the first, on seeds 0 to 2, was looked at before:
RND-PPO against PPO reached the target in 3 and 0, 2 and 3, 1 and 0, 0 and 0 seeds, returns were still rising, and the
steps were doubled; so the scenes are reported on seeds 3 to 5.
Prints the table, draws the scenes' returns, and writes `experiments/results/rnd.json`, in which the figures of a task
that is not run again stay as they were, with the options of their own run.
"""

import argparse
import dataclasses
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments import record
from jaxrl_sparse import train
from jaxrl_sparse.environments import make
from jaxrl_sparse.exploration.rnd import RNDConfig
from jaxrl_sparse.exploration.rnd_ppo import RNDPPOConfig, rnd_ppo
from jaxrl_sparse.learners import OnPolicyConfig, PolicyNetworkConfig, ppo
from jaxrl_sparse.runner import plots

NAME, COMMAND = "rnd", "python -m experiments.rnd.claims"
# Decisions of each seed: the longer the way and the less the target is at one place, the more.
SCENES = {
    "agv-simple-static": 500_000,
    "agv-simple-dynamic": 3_000_000,
    "agv-complex-static": 2_000_000,
    "agv-complex-dynamic": 6_000_000,
}
HARDEST = ("agv-complex-static", "agv-complex-dynamic")
# Ten control steps of .05 s an action: horizons of 200 to 400 decisions.
ACTION_REPEAT = 10
CARS = ("MountainCar-v0", "MountainCarContinuous-v0")
SEAS = (8, 10, 12, 16, 20, 28)
EVALUATION_EPISODES, REACHED = 64, 0.5
CURVE_POINTS = 100
# On seeds 11 and 13 of the static complex room, the published coefficients (2 and 1) with 64 environments and an
# entropy of 1e-3 did not pass the gap in 2M decisions; this setting did in .5M. A decision in which the vehicle leans
# on a shelf costs ten times .01, as much as dozens of decisions' bonus is worth.
AGV = RNDPPOConfig(
    learner=OnPolicyConfig(
        num_environments=128,
        num_steps=64,
        discount=0.997,
        learning_rate=1e-3,
        normalize_observations=True,
        num_evaluation_episodes=EVALUATION_EPISODES,
    ),
    network=PolicyNetworkConfig(hidden_sizes=(128, 128)),
    entropy_coefficient=1e-2,
    bonus=RNDConfig(learning_rate=3e-4, num_epochs=1),
    bonus_coefficient=4.0,
)
SEA = RNDPPOConfig(
    learner=OnPolicyConfig(
        num_environments=32, num_steps=64, discount=0.999, num_evaluation_episodes=EVALUATION_EPISODES
    ),
    num_minibatches=4,
    entropy_coefficient=1e-2,
    bonus=RNDConfig(),
)
CAR = dataclasses.replace(
    SEA,
    learner=OnPolicyConfig(
        num_environments=32,
        num_steps=128,
        discount=0.99,
        learning_rate=1e-3,
        normalize_observations=True,
        num_evaluation_episodes=EVALUATION_EPISODES,
    ),
)
LEARNERS = {
    "PPO": lambda config, environment, params: ppo(config, environment, params),
    "RND-PPO": rnd_ppo,
}


def learn(learner: str, config: RNDPPOConfig, environment: Any, num_steps: int, seeds: list[int]) -> dict[str, Any]:
    """By seed: final evaluations, the returns while it learns, steps until they are half the prize, CPU seconds."""
    params = environment.default_params
    algorithm = LEARNERS[learner](config, environment, params)
    per_update = config.learner.num_environments * config.learner.num_steps

    def run(key):
        learn_key, evaluate_key = jax.random.split(key)
        state, metrics = train(algorithm, algorithm.init(learn_key), num_steps // per_update)
        return algorithm.evaluate(state, evaluate_key), metrics["episode_return"]

    compiled = jax.jit(run).lower(jax.random.key(0)).compile()
    evaluations, curves, seconds = [], [], []
    for seed in seeds:
        spent, (evaluation, curve) = record.cpu_seconds(compiled, jax.random.key(seed))
        evaluations.append({word: float(value) for word, value in evaluation.items()})
        curves.append(np.asarray(curve))
        seconds.append(spent)
    # The first update in which an episode returned half of the prize on average.
    soon = [int(np.argmax(curve > REACHED)) * per_update if (curve > REACHED).any() else None for curve in curves]
    shown = np.linspace(0, len(curves[0]) - 1, min(CURVE_POINTS, len(curves[0]))).astype(int)
    return {
        "evaluations": evaluations,
        "first_steps_at_half_the_prize": soon,
        "cpu_seconds": seconds,
        "return_curve": {
            "steps": ((shown + 1) * per_update).tolist(),
            "by_seed": [curve[shown].round(4).tolist() for curve in curves],
        },
    }


def num_reached(found: dict[str, Any], word: str) -> int:
    return sum(evaluation[word] >= REACHED for evaluation in found["evaluations"])


def described(found: dict[str, Any], word: str) -> str:
    return " ".join(f"{evaluation[word]:.2f}" for evaluation in found["evaluations"])


def claim(text: str, measured: str, holds: bool) -> dict[str, Any]:
    return {"claim": text, "measured": measured, "holds": holds}


def run_sea(options: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The claim on the deep sea, and figures by learner and size."""
    largest = dict.fromkeys(LEARNERS, 0)
    figures = {learner: {} for learner in LEARNERS}
    for size in SEAS:
        environment = make("gymnax/DeepSea-bsuite", size=size)
        for learner in LEARNERS:
            found = learn(learner, SEA, environment, options.sea_steps, options.seeds)
            figures[learner][size] = found
            print(f"sea of {size}, {learner}: {described(found, 'return')}", flush=True)
            if num_reached(found, "return") == len(options.seeds):
                largest[learner] = size
    ppo_size, rnd_size = largest["PPO"], largest["RND-PPO"]
    text = "the largest deep sea that RND-PPO solves with every seed is at least twice that of PPO"
    return [claim(text, f"{rnd_size} against {ppo_size}, of {list(SEAS)}", rnd_size >= 2 * ppo_size)], figures


def run_cars(options: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Whether both get the car out of its valley: a check, and no published claim."""
    claims, figures = [], {}
    for name in CARS:
        environment = make(f"gymnax/{name}")
        found = {learner: learn(learner, CAR, environment, options.car_steps, options.seeds) for learner in LEARNERS}
        figures[name] = found
        counts = {learner: num_reached(result, "terminated") for learner, result in found.items()}
        measured = "; ".join(
            f"{learner} {counts[learner]} of {len(options.seeds)}, returns {described(result, 'return')}"
            for learner, result in found.items()
        )
        print(f"{name}: {measured}", flush=True)
        text = f"{name}: RND-PPO drives out of the valley in at least as many seeds as PPO"
        claims.append(claim(text, measured, counts["RND-PPO"] >= counts["PPO"]))
    return claims, figures


def run_agv(options: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The claims on the four scenes, and figures by scene and learner."""
    claims, figures = [], {}
    for scene, num_steps in SCENES.items():
        environment = make(scene, action_repeat=ACTION_REPEAT)
        found = {}
        for learner in LEARNERS:
            found[learner] = learn(learner, AGV, environment, options.agv_steps or num_steps, options.seeds)
            print(f"{scene}, {learner}: {described(found[learner], 'terminated')}", flush=True)
        figures[scene] = found
        counts = {learner: num_reached(result, "terminated") for learner, result in found.items()}
        measured = "; ".join(
            f"{learner} {counts[learner]} of {len(options.seeds)} ({described(result, 'terminated')})"
            for learner, result in found.items()
        )
        more = counts["RND-PPO"] > counts["PPO"] if scene in HARDEST else counts["RND-PPO"] >= counts["PPO"]
        words = "in more seeds than" if scene in HARDEST else "in at least as many seeds as"
        claims.append(claim(f"{scene}: RND-PPO reaches the target {words} PPO", measured, more))
    record.save_drawing(drawn_returns(figures), "rnd_agv")
    return claims, figures


def drawn_returns(figures: dict[str, Any]) -> Figure:
    """Returns while it learns against decisions, a panel for each scene: every seed, and the mean."""
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    figure.suptitle("Mean return of the episodes that ended in an update", color=plots.INK, fontsize=12)
    for index, (scene, found) in enumerate(figures.items()):
        axes = figure.add_subplot(2, 2, index + 1)
        for color, (learner, result) in zip(plots.AREA_COLORS, found.items(), strict=False):
            steps, curves = result["return_curve"]["steps"], np.array(result["return_curve"]["by_seed"])
            axes.plot(steps, curves.T, color=color, linewidth=0.7, alpha=0.4)
            axes.plot(steps, curves.mean(axis=0), color=color, linewidth=1.8, label=learner)
        axes.set_title(scene, color=plots.INK, fontsize=9, loc="left")
        axes.xaxis.set_major_formatter(lambda value, _: plots.short_number(value))
        axes.set_xlabel("decisions", color=plots.FAINT, fontsize=8)
        axes.tick_params(colors=plots.FAINT, labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=plots.GRID, linewidth=0.6)
        axes.set_ylim(-0.6, 1.05)
    figure.axes[0].legend(frameon=False, fontsize=8, labelcolor=plots.INK)
    return figure


TASKS = {"agv": (run_agv, AGV), "sea": (run_sea, SEA), "cars": (run_cars, CAR)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--agv-steps", type=int, help="decisions of each scene and seed; its own by default")
    parser.add_argument("--sea-steps", type=int, default=500_000, help="environment steps of each sea and seed")
    parser.add_argument("--car-steps", type=int, default=500_000, help="environment steps of each car and seed")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    options = parser.parse_args()
    ran = {}
    for name in options.tasks:
        run, config = TASKS[name]
        claims, figures = run(options)
        ran[name] = {"settings": dataclasses.asdict(config), "claims": claims, "figures": figures}
    record.conclude_tasks(NAME, COMMAND, vars(options), ran)


if __name__ == "__main__":
    main()
