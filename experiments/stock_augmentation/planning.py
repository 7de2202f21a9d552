"""The claims about exact planning for distributions of returns: `python -m experiments.stock_augmentation.planning`.

One solver is asked for means, tails, targets, probabilities and constraints on problems whose optima are known by hand
or from trees; the rate of its sweeps and the error of its grids are held against the bounds. Which objectives break the
conditions, and fail, is shown by brute force in `tests/distributional/` and not here. Claims of Avila
Pires et al., "Optimizing Return Distributions with Distributional Dynamic Programming" (JMLR 2025), sections 3 to 5.
Prints the table, draws laws and policies, and writes `experiments/results/stock_augmentation_planning.json`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from experiments import record
from jaxrl_sparse.distributional import (
    Grids,
    finite_horizon,
    optimize_initial_stock,
    parse_objective,
    policy_iteration,
    return_distributions,
    return_grids,
    rollout_stock_policy,
    solve,
    target,
    value_iteration,
)
from jaxrl_sparse.environments import make
from jaxrl_sparse.finite import garnet
from jaxrl_sparse.runner import return_plots

NAME, COMMAND = "stock_augmentation_planning", "python -m experiments.stock_augmentation.planning"

# The optimum of each objective: by hand, or by dynamic programming on the tree of all histories.
OPTIMA = {
    "two-stage": {
        "mean": 2.5,
        "cvar(0.1)": 1.0,
        "cvar(0.5)": 1.5,
        "cvar(0.75)": 2.0,
        "optimistic-cvar(0.25)": 5.0,
        "optimistic-cvar(0.75)": 10 / 3,
        "probability(2)": 0.75,
        "probability(3)": 0.75,
        "probability(5)": 0.25,
        "target(0)": -2.0,
        "target(3)": -0.75,
        "target(5)": -2.5,
    },
    "gamble": {
        "probability(10)": 1.0,
        "probability(12)": 0.588307,
        "probability(14)": 0.336141,
        "probability(16)": 0.168030,
        "probability(20)": 0.034324,
        "probability(24)": 0.004391,
        "target(0)": -6.303326,
        "target(5)": -2.788346,
        "target(15)": -5.0,
        "cvar(0.5)": 10.0,
        "optimistic-cvar(0.1)": 17.634203,
        "optimistic-cvar(0.5)": 12.646045,
    },
    "risky-corridor": {
        "mean": 18.0,
        "cvar(0.1)": 16.0,
        "cvar(0.5)": 16.0,
        "cvar(0.7)": 17.142857,
        "cvar(0.9)": 17.777778,
    },
    "budget": {
        "reward-constraint(2, 0)": 16.0,
        "reward-constraint(2, 0.5)": 14.980469,
        "reward-constraint(2, 1)": 13.960938,
        "reward-constraint(2, 10)": 11.921875,
    },
}
# Spacings of atoms and stocks on the target grid, each half of the one before.
SPACINGS = (0.4, 0.2, 0.1)
NUM_GARNETS, GARNET_SWEEPS, DISCOUNT = 16, 300, 0.9
COUNTED_SWEEPS = (1, 2, 5, 10, 20, 40)


def plans_of(name):
    """An environment's plans, one for each utility that its objectives have, and the objectives by their text."""
    environment = make(name)
    objectives = {text: parse_objective(text) for text in OPTIMA[name]}
    grids, horizon = return_grids(environment.mdp, 1.0, environment.horizon), environment.horizon
    planned = jax.jit(finite_horizon, static_argnums=(2, 3))
    plans = {}
    for objective in objectives.values():
        # Not the utilities themselves: each parse makes another function of the same values.
        if objective.utility.name not in plans:
            plans[objective.utility.name] = planned(environment.mdp, grids, objective.utility, horizon)
    return environment, grids, plans, objectives


def known_optima():
    """The error of every objective by environment, and that of the CVaR that is achieved from the stock chosen."""
    errors, tails = {}, []
    for name in ("two-stage", "gamble", "risky-corridor"):
        environment, grids, plans, objectives = plans_of(name)
        for text, objective in objectives.items():
            plan = plans[objective.utility.name]
            found = optimize_initial_stock(environment.mdp.initial @ plan.values, grids.stocks, objective)
            errors[name, text] = abs(float(found.value) - OPTIMA[name][text])
            if objective.utility.name == "cvar":
                laws = jnp.einsum("s,scn->cn", environment.mdp.initial, plan.probs)
                law = laws[jnp.argmin(jnp.abs(grids.stocks - found.stock))]
                achieved = return_distributions.cvar(law, grids.atoms, objective.level)
                tails.append(abs(float(achieved - found.value)))
    budget = make("budget")
    for text, optimum in OPTIMA["budget"].items():
        errors["budget", text] = abs(float(solve(budget.mdp, parse_objective(text), budget.horizon).value) - optimum)
    return errors, max(tails)


def sweep_gaps():
    """On random MDPs: `max |F_n - F|` by its bound, `[MDPs, counts]`, and the same gap of policy iteration."""
    utility, largest = parse_objective("cvar(0.1)").utility, 1 / (1 - DISCOUNT)
    grids = Grids(jnp.linspace(-largest, 0, 101), jnp.linspace(0, largest, 101))

    def gaps(key):
        mdp = garnet(key, num_states=10, num_actions=3, num_successors=3, discount=DISCOUNT, reward_law="uniform")
        final = value_iteration(mdp, grids, utility, GARNET_SWEEPS).values
        plans = [value_iteration(mdp, grids, utility, n).values for n in COUNTED_SWEEPS]
        bounds = DISCOUNT ** np.array(COUNTED_SWEEPS) * jnp.max(mdp.rewards) / (1 - DISCOUNT)
        iterated = policy_iteration(mdp, grids, utility, 20, GARNET_SWEEPS).values
        shares = jnp.stack([jnp.abs(values - final).max() for values in plans]) / bounds
        return shares, jnp.abs(iterated - final).max()

    shares, iterated = jax.jit(jax.vmap(gaps))(jax.random.split(jax.random.key(0), NUM_GARNETS))
    return np.asarray(shares), float(iterated.max())


def grid_errors():
    """On the target grid, by spacing: what plans promise to miss, and what their policies miss with the exact stock.

    The optimum is to miss nothing; `[spacings, 2]`, the largest over first stocks from -8 to 8.
    """
    grid = make("target-grid")
    centre, stocks = int(grid.mdp.initial.argmax()), jnp.linspace(-8, 8, 321)

    def errors(spacing):
        grids = return_grids(grid.mdp, spacing, 120)
        plan = value_iteration(grid.mdp, grids, target(0).utility, 120)
        promised = jnp.where(jnp.abs(grids.stocks) <= 8 + 1e-3, plan.values[centre], 0)
        episodes = rollout_stock_policy(jax.random.key(0), grid.mdp, plan.actions, grids.stocks, stocks, 150)
        return float(-promised.min()), float(jnp.abs(episodes.outcomes).max())

    return np.array([errors(spacing) for spacing in SPACINGS])


def draw():
    """Whoever is averse to risk on the corridor and in two stages: policies over state and stock, and a law."""
    for name, text, label, step in (
        ("risky-corridor", "cvar(0.7)", "corridor", 0),
        ("two-stage", "cvar(0.5)", "two_stage", 1),
    ):
        environment = make(name)
        solution = solve(environment.mdp, parse_objective(text), environment.horizon)
        if name == "risky-corridor":
            atoms, probs = np.asarray(solution.atoms), np.asarray(solution.probs)
            marks = {"mean": float(probs @ atoms), "minus the first stock": -float(solution.initial_stock)}
            law = return_plots.return_law(atoms, probs, f"best at {text}: {float(solution.value):.4g}", marks)
            record.save_drawing(law, f"stock_augmentation_{label}_law")
        actions, names = np.asarray(solution.actions[step]), (environment.state_names, environment.action_names)
        title = f"{environment.name}: best for the tail in step {step + 1}"
        policy = return_plots.stock_policy(actions, np.asarray(solution.stocks), *names, title)
        record.save_drawing(policy, f"stock_augmentation_{label}_policy")


def words_of(objectives):
    """The names of objectives without their numbers, each once."""
    return ", ".join(dict.fromkeys(text.partition("(")[0] for text in objectives))


def main():
    errors, tails = known_optima()
    shares, iterated = sweep_gaps()
    missed = grid_errors()
    ratios = missed[:-1] / missed[1:]
    claims = [
        {
            "claim": f"{name}: one solver finds the optima of {len(optima)} objectives ({words_of(optima)})",
            "measured": f"off by at most {max(errors[name, objective] for objective in optima):.1e}",
            "holds": max(errors[name, objective] for objective in optima) < 1e-4,
        }
        for name, optima in OPTIMA.items()
    ]
    claims += [
        {
            "claim": "the law that is achieved from the stock that the search chose has the CVaR that it promised",
            "measured": f"off by at most {tails:.1e}",
            "holds": tails < 1e-4,
        },
        {
            "claim": f"n sweeps are within gamma^n r_max / (1 - gamma) of the optimum, {NUM_GARNETS} random MDPs",
            "measured": ", ".join(
                f"n = {n}: {share:.2f} of it" for n, share in zip(COUNTED_SWEEPS, shares.max(axis=0), strict=True)
            ),
            "holds": shares.max() <= 1,
        },
        {
            "claim": "policy iteration agrees with value iteration within the error of the grids, .5",
            "measured": f"off by at most {iterated:.3f}",
            "holds": iterated <= 0.5,
        },
        {
            "claim": "halving the spacing of atoms and stocks halves the error (TargetGrid3, optimum 0)",
            "measured": f"promised {' '.join(f'{e:.3f}' for e in missed[:, 0])}, "
            f"achieved with the exact stock {' '.join(f'{e:.3f}' for e in missed[:, 1])} at {SPACINGS}",
            "holds": (np.abs(ratios[:, 0] - 2) < 0.3).all(),
        },
        {
            "claim": "the error stays below zeta / (2 (1 - gamma))",
            "measured": ", ".join(f"{e:.3f} of {5 * zeta:.1f}" for e, zeta in zip(missed[:, 0], SPACINGS, strict=True)),
            "holds": (missed[:, 0] <= 5 * np.array(SPACINGS)).all(),
        },
    ]
    draw()
    figures = {
        "errors": {f"{name}: {objective}": error for (name, objective), error in errors.items()},
        "shares_of_the_bound": shares.tolist(),
        "promised_and_achieved_errors": dict(zip(map(str, SPACINGS), missed.tolist(), strict=True)),
    }
    record.conclude(NAME, COMMAND, "exact planning, float32", claims, figures)


if __name__ == "__main__":
    main()
