"""SubPO against ModPO where actions are real: `python -m experiments.submodular.continuous`.

Claims of Prajapat et al., "Submodular Reinforcement Learning" (ICLR 2024), section 6, on car racing and with the ant:
maximising marginal gains beats maximising the same function's modular surrogate; the car finishes the lap with SubPO
and fails with ModPO. F is the furthest point that the car reached (m), and a tenth of the cells that the ant covered;
the paper shows the cover in a figure without a number, so that the share of the arena is printed and not claimed.

Both forms are the same PPO and differ in the set function of its reward alone: the task's own reward and
`marginal_gains(F)`, or `marginal_gains(modular_surrogate(F))`, in units of their own spread. The published learner is
an actor-critic of far more experience. The figure is the mean of F by its definition over held-out episodes that the
last policy draws. The car's rates were chosen on seeds 10 and 11, for each form by what it itself maximises, the
furthest point or the sum of all places; all are run with both forms, since the result depends on them. The ant has the
middle one, after a trial of one seed at two rates.

F of a longer run need not separate the forms: who is paid for every place does best to stop short of the finish, which
ends the pay. In two million steps of the car at a rate of 1e-3 without entropy (seeds 0 to 4, looked at before the
rates were settled) SubPO came to 16.222 m [16.016, 16.429] and ModPO to 13.549 [10.476, 16.623], two of its seeds
beyond 16.1 m; which of them finished was not recorded.

By default a run of reduced size for a processor: a million steps of the car, and .4 million of an ant of simpler
physics. `--full` is for a machine with a GPU: as much experience as was published, and brax's own physics of the ant.
Prints a table for each task and writes `experiments/results/submodular_car_racing.json` and
`submodular_ant_coverage.json` beside it.
"""

import argparse
import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record, searches
from jaxrl_sparse import train
from jaxrl_sparse.base import PyTree
from jaxrl_sparse.environments import ant_coverage, make
from jaxrl_sparse.environments.racing import car_racing
from jaxrl_sparse.learners import OnPolicyConfig, PolicyNetworkConfig, PPOConfig, policy_network, ppo
from jaxrl_sparse.networks.actor_critic import ActorCritic, observing
from jaxrl_sparse.rewards import add, chain, identity, normalize
from jaxrl_sparse.submodular import (
    EpisodePolicy,
    SetFunction,
    grid_mask,
    marginal_gains,
    max_progress,
    modular_surrogate,
)
from jaxrl_sparse.submodular.subpo import walks_of

COMMAND = "python -m experiments.submodular.continuous"
CAR, ANT = "car-racing", "ant-coverage"
FORMS = {"SubPO": lambda set_function: set_function, "ModPO": modular_surrogate}
DISCOUNT = 0.99
EVALUATION_EPISODES = 64
# Those below 20 were looked at while rates were chosen.
SEEDS = range(20, 25)
# What the network sees of an observation is cut there, in the task's scale.
BOUND = 10.0
PPO = PPOConfig(
    learner=OnPolicyConfig(discount=DISCOUNT, learning_rate_end=1e-5),
    network=PolicyNetworkConfig(initial_log_std=-0.5),
    num_minibatches=8,
)


class Task(NamedTuple):
    """What is to be covered, and how it is learnt.

    Attributes:
      set_function: F.
      element_of: from an observation to its element.
      scale: of each number of an observation, what the network sees is in units of it.
      horizon: the most steps of an episode.
      learning_rates: of which all are run.
      chosen_rates: of each form, that at which it did best what it maximises.
      entropy_coefficient: of the policy's entropy.
    """

    set_function: SetFunction
    element_of: Callable[[jax.Array], jax.Array]
    scale: np.ndarray
    horizon: int
    learning_rates: tuple[float, ...]
    chosen_rates: dict[str, float]
    entropy_coefficient: float


class Size(NamedTuple):
    """How much of a task is run.

    Attributes:
      num_steps: of the environment, of each seed.
      num_environments: stepped together.
      steps_per_update: of each of them.
      options: of the environment.
    """

    num_steps: int
    num_environments: int
    steps_per_update: int
    options: dict[str, Any]


HALF, SIDE, BLOCK = ant_coverage.HALF_SIZE, ant_coverage.CELLS_PER_SIDE, ant_coverage.BLOCK
# What a covered cell is worth, as published.
CELL = 0.1
TASKS = {
    CAR: Task(
        set_function=max_progress(),
        element_of=car_racing.progress,
        scale=np.array([16.4, 0.2, 0.5, 1.0, 1.0]),
        horizon=car_racing.MAX_STEPS,
        learning_rates=(3e-3, 1e-3, 3e-4),
        chosen_rates={"SubPO": 3e-3, "ModPO": 1e-3},
        entropy_coefficient=0.01,
    ),
    ANT: Task(
        set_function=grid_mask((SIDE, SIDE), (-HALF, -HALF), (HALF, HALF), (BLOCK, BLOCK), CELL),
        element_of=lambda observation: observation[..., :2],
        scale=np.repeat([10.0, 1.0, 5.0], [2, 13, 14]),
        horizon=ant_coverage.MAX_STEPS,
        learning_rates=(1e-3,),
        chosen_rates={"SubPO": 1e-3, "ModPO": 1e-3},
        entropy_coefficient=0.0,
    ),
}
REDUCED = {CAR: Size(1_000_000, 64, 128, {}), ANT: Size(400_000, 128, 32, {"backend": "spring"})}
# As published: 10,001 laps of at most 700 steps, and 20,001 times 15 episodes of 400 steps.
FULL = {CAR: Size(7_000_000, 64, 128, {}), ANT: Size(120_000_000, 2048, 32, {})}


def learn(label: str, size: Size, form: str, learning_rate: float, seeds: list[int]) -> dict[str, Any]:
    """F of each held-out episode, `[seeds, episodes]`, and CPU seconds of a seed."""
    task, environment = TASKS[label], make(label, **size.options)
    params = environment.default_params
    learner = dataclasses.replace(
        PPO.learner,
        num_environments=size.num_environments,
        num_steps=size.steps_per_update,
        learning_rate=learning_rate,
        learning_rate_steps=size.num_steps,
    )
    config = dataclasses.replace(PPO, learner=learner, entropy_coefficient=task.entropy_coefficient)
    gains = marginal_gains(FORMS[form](task.set_function), task.element_of)
    reward = chain(add(identity(), gains), normalize(DISCOUNT))
    network = observing(
        policy_network(config.network, environment, params),
        lambda observations: jnp.clip(observations / task.scale, -BOUND, BOUND),
    )
    algorithm = ppo(config, environment, params, reward, network)
    policy = policy_of(network)

    def run(key):
        learn_key, evaluate_key = jax.random.split(key)
        num_updates = size.num_steps // (size.num_environments * size.steps_per_update)
        state, _ = train(algorithm, algorithm.init(learn_key), num_updates)
        walks = walks_of(
            policy,
            state.params,
            environment,
            params,
            evaluate_key,
            EVALUATION_EPISODES,
            task.element_of,
            lambda observations: observations,
            task.horizon + 1,
        )
        visited = jnp.concatenate([jnp.ones_like(walks.active[:1]), walks.active])
        return jax.vmap(task.set_function.value, in_axes=1)(walks.elements, visited)

    compiled = jax.jit(run).lower(jax.random.key(0)).compile()
    values, seconds = [], []
    for seed in seeds:
        spent, found = record.cpu_seconds(compiled, jax.random.key(seed))
        values.append(np.asarray(found))
        seconds.append(spent)
    return {"values": np.stack(values), "cpu_seconds": seconds}


def policy_of(network: ActorCritic) -> EpisodePolicy:
    """The policy of an actor-critic, for `walks_of`."""

    def step(params: PyTree, memory: PyTree, observations: jax.Array) -> tuple[Any, PyTree]:
        distribution, _, memory = network.step(params, memory, observations)
        return distribution, memory

    def unroll(params: PyTree, observations: jax.Array) -> Any:
        never = jnp.zeros(observations.shape[:2], bool)
        return network.unroll(params, network.start(observations.shape[1]), observations, never)[0]

    return EpisodePolicy(network.init, network.start, step, unroll, network.to_action)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--full", action="store_true", help="as much experience as published, for a GPU")
    options = parser.parse_args()
    for label in options.tasks:
        compare(label, (FULL if options.full else REDUCED)[label], options)


def compare(label: str, size: Size, options: argparse.Namespace):
    """Both forms on one task, at every rate; prints and writes the table."""
    task, claims, figures = TASKS[label], [], {}

    def claim(text: str, by_form: dict[str, np.ndarray], holds: Any):
        measured = ", ".join(f"{form} {searches.shown(values)}" for form, values in by_form.items())
        claims.append({"claim": text, "measured": measured, "holds": holds})

    values, seconds = {}, {}
    for form, learning_rate in itertools.product(FORMS, task.learning_rates):
        found = learn(label, size, form, learning_rate, options.seeds)
        values[form, learning_rate], seconds[form, learning_rate] = found["values"], found["cpu_seconds"]
        shown, cost = searches.shown(found["values"].mean(axis=1)), np.mean(found["cpu_seconds"])
        print(f"{label}, {form}, rate {learning_rate:g}: {shown}; {cost:.0f} CPU s a seed", flush=True)
    pairs = {"each at its rate": task.chosen_rates}
    if len(task.learning_rates) > 1:
        pairs |= {f"rate {rate:g}": dict.fromkeys(FORMS, rate) for rate in task.learning_rates}
    for which, rates in pairs.items():
        episodes = {form: values[form, rate] for form, rate in rates.items()}
        means = {form: found.mean(axis=1) for form, found in episodes.items()}
        measured = {"F": means}
        claim(
            f"{label}, {which}: SubPO above ModPO, intervals apart",
            means,
            searches.is_above(means["SubPO"], means["ModPO"]),
        )
        if label == CAR:
            laps = {form: (found >= car_racing.FINISH).mean(axis=1) for form, found in episodes.items()}
            measured["laps finished"] = laps
            claim(
                f"{label}, {which}: every seed finishes most laps with SubPO, none with ModPO",
                laps,
                min(laps["SubPO"]) > 0.5 and max(laps["ModPO"]) <= 0.5,
            )
        else:
            measured["share of the arena"] = {form: found / (CELL * SIDE**2) for form, found in means.items()}
            shares = ", ".join(f"{form} {found.mean():.2%}" for form, found in measured["share of the arena"].items())
            print(f"{label}: of the arena {shares}")
        figures[which] = {
            "rates": rates,
            "cpu_seconds": {form: seconds[form, rate] for form, rate in rates.items()},
            **{word: {form: v.tolist() for form, v in by_form.items()} for word, by_form in measured.items()},
        }
    command = f"{COMMAND} --tasks {label}{' --full' if options.full else ''}"
    settings = {"options": vars(options), "size": size._asdict(), "ppo": dataclasses.asdict(PPO)}
    heading = f"{label}, {size.num_steps:,} steps, seeds {options.seeds}"
    record.conclude(f"submodular_{label.replace('-', '_')}", command, heading, claims, {**settings, **figures})


if __name__ == "__main__":
    main()
