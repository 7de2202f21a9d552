"""RND-PPO against PPO where rewards are rare: `python -m experiments.rnd.claims`.

The claim of the path planning of automated guided vehicles by RND-PPO, on our reconstruction of its four scenes (its
environment is not public): the bonus of random network distillation reaches the target in more seeds, or sooner. And
the claim behind it, of Burda et al. (ICLR 2019), on the deep sea, where the one rewarded path is one of 2^N: the
largest N that is solved in the same number of steps. Both learners have the same network, rate and steps; a seed
reaches the target, or solves the sea, if half of 64 greedy episodes end there at the end.
Prints the table and writes `experiments/results/rnd.json`.
"""

import argparse
import dataclasses
from typing import Any

import jax
import numpy as np

from experiments import record
from jaxrl_sparse import train
from jaxrl_sparse.environments import make
from jaxrl_sparse.exploration.rnd import RNDConfig
from jaxrl_sparse.exploration.rnd_ppo import RNDPPOConfig, rnd_ppo
from jaxrl_sparse.learners import OnPolicyConfig, PolicyNetworkConfig, ppo

NAME, COMMAND = "rnd", "python -m experiments.rnd.claims"
SCENES = ("agv-simple-static", "agv-simple-dynamic", "agv-complex-static", "agv-complex-dynamic")
HARDEST = SCENES[2:]
# Ten control steps of .05 s an action: horizons of 200 to 400 decisions.
ACTION_REPEAT = 10
SEAS = (8, 10, 12, 16, 20, 28)
EVALUATION_EPISODES, REACHED = 64, 0.5
AGV = RNDPPOConfig(
    learner=OnPolicyConfig(
        num_environments=256,
        num_steps=64,
        discount=0.999,
        normalize_observations=False,
        num_evaluation_episodes=EVALUATION_EPISODES,
    ),
    network=PolicyNetworkConfig(hidden_sizes=(256, 256)),
    num_minibatches=8,
    entropy_coefficient=1e-3,
    bonus=RNDConfig(num_minibatches=8, num_epochs=1),
)
SEA = RNDPPOConfig(
    learner=OnPolicyConfig(
        num_environments=32, num_steps=64, discount=0.999, num_evaluation_episodes=EVALUATION_EPISODES
    ),
    num_minibatches=4,
    entropy_coefficient=1e-2,
    bonus=RNDConfig(),
)
LEARNERS = {
    "PPO": lambda config, environment, params: ppo(config, environment, params),
    "RND-PPO": rnd_ppo,
}


def learn(learner: str, config: RNDPPOConfig, environment: Any, num_steps: int, seeds: list[int]) -> dict[str, Any]:
    """Final evaluations by seed, the steps until the first ten episodes at the target, and CPU seconds a seed."""
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
    return {"evaluations": evaluations, "first_steps_at_half_the_prize": soon, "cpu_seconds": seconds}


def num_reached(found: dict[str, Any], word: str) -> int:
    return sum(evaluation[word] >= REACHED for evaluation in found["evaluations"])


def described(found: dict[str, Any], word: str) -> str:
    return " ".join(f"{evaluation[word]:.2f}" for evaluation in found["evaluations"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--agv-steps", type=int, default=1_000_000, help="decisions of each scene and seed")
    parser.add_argument("--sea-steps", type=int, default=500_000, help="environment steps of each sea and seed")
    parser.add_argument("--tasks", nargs="+", choices=("agv", "sea"), default=["agv", "sea"])
    options = parser.parse_args()
    claims, figures = [], {}

    def claim(text: str, measured: str, holds: Any):
        claims.append({"claim": text, "measured": measured, "holds": holds})

    if "sea" in options.tasks:
        largest = dict.fromkeys(LEARNERS, 0)
        figures["sea"] = {learner: {} for learner in LEARNERS}
        for size in SEAS:
            environment = make("gymnax/DeepSea-bsuite", size=size)
            for learner in LEARNERS:
                found = learn(learner, SEA, environment, options.sea_steps, options.seeds)
                figures["sea"][learner][size] = found
                print(f"sea of {size}, {learner}: {described(found, 'return')}", flush=True)
                if num_reached(found, "return") == len(options.seeds):
                    largest[learner] = size
        ppo_size, rnd_size = largest["PPO"], largest["RND-PPO"]
        claim(
            "the largest deep sea that RND-PPO solves with every seed is at least twice that of PPO",
            f"{rnd_size} against {ppo_size}, of {list(SEAS)}",
            rnd_size >= 2 * ppo_size,
        )
    if "agv" in options.tasks:
        figures["agv"] = {}
        for scene in SCENES:
            environment = make(scene, action_repeat=ACTION_REPEAT)
            found = {
                learner: learn(learner, AGV, environment, options.agv_steps, options.seeds) for learner in LEARNERS
            }
            figures["agv"][scene] = found
            counts = {learner: num_reached(result, "terminated") for learner, result in found.items()}
            measured = "; ".join(
                f"{learner} {counts[learner]} of {len(options.seeds)} ({described(result, 'terminated')})"
                for learner, result in found.items()
            )
            print(f"{scene}: {measured}", flush=True)
            more = counts["RND-PPO"] > counts["PPO"] if scene in HARDEST else counts["RND-PPO"] >= counts["PPO"]
            words = "in more seeds than" if scene in HARDEST else "in at least as many seeds as"
            claim(f"{scene}: RND-PPO reaches the target {words} PPO", measured, more)
    heading = f"seeds {options.seeds}"
    settings = {"agv": dataclasses.asdict(AGV), "sea": dataclasses.asdict(SEA)}
    record.conclude(NAME, COMMAND, heading, claims, {"options": vars(options), "settings": settings, **figures})


if __name__ == "__main__":
    main()
