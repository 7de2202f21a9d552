"""SubPO against ModPO on the published grid worlds: `python -m experiments.submodular.claims`.

Claims of Prajapat et al., "Submodular Reinforcement Learning" (ICLR 2024), section 6: maximising the marginal gains of
a set function beats maximising the same function's modular surrogate on every task; a policy of the state does nearly
as well as one of the history. Random instances are drawn from a key, in the published law. Batches, rates and numbers
of epochs are the published ones, one step of Adam an epoch; all seeds run in one batch, and the figure is the mean of F
over 500 held-out episodes. Bounds of the table are beam search's best of width 1,500.
Prints the table, draws walks over what there was to cover, and writes `experiments/results/submodular.json`.
"""

import argparse
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments import record, searches
from jaxrl_sparse import train
from jaxrl_sparse.environments import make
from jaxrl_sparse.submodular import SubPOConfig, beam_search, grid_set_function, grid_subpo

NAME, COMMAND = "submodular", "python -m experiments.submodular.claims"
BEAM_WIDTH = 1500


class Task(NamedTuple):
    """A published instance: its environment, epochs, Adam's rate and the trajectories of a batch."""

    environment: str
    num_epochs: int
    learning_rate: float
    num_trajectories: int


TASKS = {
    "coverage": Task("coverage-grid", 50, 1e-2, 500),
    "bimodal": Task("bimodal-grid", 140, 1e-3, 500),
    "Gaussian process density": Task("density-grid", 140, 1e-3, 500),
    "biodiversity stand-in": Task("biodiversity-grid", 140, 1e-3, 500),
    "two rooms": Task("two-rooms", 140, 2e-2, 3000),
    "item collection": Task("item-collection", 150, 5e-3, 500),
    "entropy": Task("entropy-grid", 150, 1e-3, 500),
}
FORMS = {
    "SubPO-M": {},
    "SubPO-NM": {"sees_history": True},
    "ModPO": {"objective": "modular"},
}
# On the first instance alone: the released code's credit, and the natural gradient, which costs twenty times as much.
PREFIX, NATURAL = "SubPO-M, prefix credit", "SubPO-M, natural gradient"
COVERAGE_FORMS = {PREFIX: {"credit": "prefix_value"}, NATURAL: {"optimizer": "natural"}}


def learn(task: Task, fields: dict[str, Any], seeds: list[int]) -> tuple[np.ndarray, float]:
    """Held-out F by seed, and CPU seconds of an epoch of one seed."""
    environment = make(task.environment)
    base = SubPOConfig(num_trajectories=task.num_trajectories, learning_rate=task.learning_rate)
    algorithm = grid_subpo(dataclasses.replace(base, **fields), environment, environment.default_params)

    def run(key):
        learn_key, evaluate_key = jax.random.split(key)
        state, _ = train(algorithm, algorithm.init(learn_key), task.num_epochs)
        return algorithm.evaluate(state, evaluate_key)["return"]

    keys = jax.vmap(jax.random.key)(np.array(seeds))
    compiled = jax.jit(lambda keys: jax.lax.map(run, keys)).lower(keys).compile()
    seconds, values = record.cpu_seconds(compiled, keys)
    return np.asarray(values), seconds / len(seeds) / task.num_epochs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(6)))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    options = parser.parse_args()
    claims, figures = [], {}

    def claim(text: str, measured: str, holds: Any):
        claims.append({"claim": text, "measured": measured, "holds": holds})

    for label in options.tasks:
        task = TASKS[label]
        environment = make(task.environment)
        forms = {**FORMS, **(COVERAGE_FORMS if label == "coverage" else {})}
        best = beam_search(
            grid_set_function(environment.instance),
            environment.default_params.next_cells,
            environment.start,
            environment.horizon,
            BEAM_WIDTH,
        )
        found, seconds = {}, {}
        for form, fields in forms.items():
            found[form], seconds[form] = learn(task, fields, options.seeds)
            print(f"{label}, {form}: {searches.shown(found[form])}; {seconds[form]:.3f} CPU s an epoch", flush=True)
        figures[label] = {
            "beam_search": float(best.value),
            "upper_bound": float(environment.instance.upper_bound),
            "values": {form: values.tolist() for form, values in found.items()},
            "cpu_seconds_of_an_epoch": seconds,
        }
        pair = ", ".join(f"{form} {searches.shown(found[form])}" for form in ("SubPO-M", "ModPO"))
        claim(
            f"{label}: SubPO above ModPO, intervals apart",
            f"{pair}; beam search {best.value:.3f}",
            searches.is_above(found["SubPO-M"], found["ModPO"]),
        )
        if label == "coverage":
            claim(
                "coverage: reward to go with a baseline covers at least 150 of 162 in 50 epochs, every seed",
                searches.shown(found["SubPO-M"]),
                min(found["SubPO-M"]) >= 150,
            )
            order = [found[form].mean() for form in ("ModPO", PREFIX, "SubPO-M")]
            claim(
                "coverage: ModPO < prefix credit < reward to go",
                " < ".join(f"{v:.1f}" for v in order),
                order == sorted(order),
            )
            claim(
                "coverage: the natural gradient covers at least what Adam's steps cover",
                searches.shown(found[NATURAL]),
                found[NATURAL].mean() >= found["SubPO-M"].mean(),
            )
            claim(
                "coverage: an epoch (500 episodes of 80 states) in at most .03 CPU s",
                f"{seconds['SubPO-M']:.4f}",
                seconds["SubPO-M"] <= 0.03,
            )
        ratio = found["SubPO-M"].mean() / found["SubPO-NM"].mean()
        claim(f"{label}: a policy of the state is close to one of the history", f"ratio {ratio:.3f}", ratio >= 0.9)
    heading = f"{len(options.tasks)} instances, seeds {options.seeds}"
    record.conclude(NAME, COMMAND, heading, claims, {"options": vars(options), "tasks": figures})


if __name__ == "__main__":
    main()
