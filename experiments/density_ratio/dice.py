"""DICE against exact density ratios: `python -m experiments.density_ratio.dice`.

A nearly optimal policy of a random process is evaluated from the transitions of one that acts at random in half of its
steps; another process, policy and sample for each seed. What a tabular method can know of N transitions is their
frequencies. Beside the errors stands that of taking the data's own mean reward for the policy's. AlgaeDICE also learns
a policy from the same transitions. Rates were chosen on seeds 10 to 15.
Prints the table, draws errors against N, and writes `experiments/results/density_ratio_dice.json`.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record
from experiments.density_ratio.episodic_runs import name_axes, panels
from jaxrl_sparse import train
from jaxrl_sparse.density_ratio.algae_dice import AlgaeDiceConfig, algae_dice
from jaxrl_sparse.density_ratio.dice import DualDiceConfig, GenDiceConfig, dual_dice, gen_dice
from jaxrl_sparse.density_ratio.saddle_points import SaddlePointConfig
from jaxrl_sparse.density_ratio.transition_data import evaluation_problem, population_data
from jaxrl_sparse.finite import garnet, policy_iteration
from jaxrl_sparse.runner import plots

NAME, COMMAND = "density_ratio_dice", "python -m experiments.density_ratio.dice"
SIZES = (100, 1_000, 10_000, 100_000)
NUM_STATES, NUM_ACTIONS, NUM_SUCCESSORS, DISCOUNT = 10, 3, 3, 0.9
NUM_UPDATES = 150
SOLVER = SaddlePointConfig(batch_size=256)
SLOWER = SaddlePointConfig(batch_size=256, descent_rate=1e-2, ascent_rate=1e-2)
METHODS = {
    "DualDICE": lambda data, mdp, policy: dual_dice(DualDiceConfig(solver=SOLVER), data, mdp, policy),
    "GenDICE": lambda data, mdp, policy: gen_dice(GenDiceConfig(solver=SOLVER), data, mdp, policy),
    "AlgaeDICE, learning": lambda data, mdp, policy: algae_dice(AlgaeDiceConfig(solver=SLOWER, alpha=0.1), data, mdp),
}


def estimate(method, key, size):
    """The evaluation of a method on a process, policy and sample of its own, and what the data say plainly."""
    process_key, data_key, count_key, init_key, evaluate_key = jax.random.split(key, 5)
    mdp = garnet(process_key, NUM_STATES, NUM_ACTIONS, NUM_SUCCESSORS, DISCOUNT)
    # Of its N transitions only the behaviour is used: frequencies of any size make one program of all sizes.
    problem = evaluation_problem(data_key, mdp, 1)
    population = population_data(mdp, problem.distribution)
    counts = jax.random.multinomial(count_key, size, population.weights)
    data = population._replace(weights=counts / jnp.sum(counts))
    algorithm = METHODS[method](data, mdp, problem.policy)
    state, _ = train(algorithm, algorithm.init(init_key), NUM_UPDATES)
    best = (1 - DISCOUNT) * jnp.dot(mdp.initial, policy_iteration(mdp).values)
    return {
        **algorithm.evaluate(state, evaluate_key),
        "mean_reward": jnp.sum(data.weights * data.rewards),
        "best_value": best,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    options = parser.parse_args()
    keys, sizes = jax.vmap(jax.random.key)(np.array(options.seeds)), np.array(SIZES, np.float32)
    figures, claims = {}, []
    for method in METHODS:
        every = jax.vmap(jax.vmap(lambda key, size, m=method: estimate(m, key, size), (0, None)), (None, 0))
        seconds, found = record.cpu_seconds(jax.jit(every), keys, sizes)
        found = jax.device_get(found)
        figures[method] = {word: values.tolist() for word, values in found.items()} | {"cpu_seconds": seconds}
        plain = np.abs(found["mean_reward"] - found["value"])
        if "learning" in method:
            short = found["best_value"] - found["value"]
            text = f"{method}: falls short of the optimum by under a tenth of what the data do, from N = 1,000 on"
            of_data = found["best_value"] - found["mean_reward"]
            measured = f"medians {shown(short)}, data {shown(of_data)} for N = {SIZES}"
            holds = (np.median(short, axis=1) < 0.1 * np.median(of_data, axis=1))[1:].all()
        else:
            text = (
                f"{method}: ratios' errors fall with N, and the value's is a tenth of the data mean's from N = 1,000 on"
            )
            error = np.median(found["value_error"], axis=1)
            of_ratios = np.median(found["weight_error"], axis=1)
            measured = f"medians {shown(found['value_error'])}, data's mean {shown(plain)}, "
            measured += f"ratios {shown(found['weight_error'])} for N = {SIZES}"
            holds = (np.diff(of_ratios) < 0).all() and (error < 0.1 * np.median(plain, axis=1))[1:].all()
        claims.append({"claim": text, "measured": measured, "holds": holds})
        print(f"{method}: {measured}", flush=True)
    draw(figures)
    record.conclude(NAME, COMMAND, f"seeds {options.seeds}", claims, {"options": vars(options), "figures": figures})


def shown(values):
    """Medians over seeds, by size."""
    return " ".join(f"{value:.4f}" for value in np.median(values, axis=1))


def draw(figures):
    """Errors of ratios and of the value against the number of transitions, medians over seeds."""
    figure, axes = panels(2, "DICE against exact density ratios")
    for axis, word, label in zip(
        axes, ("weight_error", "value_error"), ("error of the ratios, L1", "error of the value"), strict=True
    ):
        for color, method in zip(plots.AREA_COLORS, ("DualDICE", "GenDICE"), strict=False):
            axis.loglog(SIZES, np.median(figures[method][word], axis=1), "o-", color=color, markersize=4, label=method)
        name_axes(axis, "transitions", label)
        axis.legend(frameon=False, fontsize=8, labelcolor=plots.INK)
    record.save_drawing(figure, NAME)


if __name__ == "__main__":
    main()
