"""Planning by names: what `jaxrl-sparse plan` and a notebook call."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse import environments
from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.distributional import Objective, Solution, StockEpisodes, parse_objective, rollout_stock_policy, solve
from jaxrl_sparse.distributional.stock_value_iteration import StockGrid, lookup
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite import FiniteMDP, successor_table

# Steps of the most likely episode that are written out.
SHOWN_STEPS = 40


class PlannedReturns(NamedTuple):
    """An optimum, and episodes of its policy with the exact stock.

    Attributes:
      environment: that was planned for.
      objective: what for.
      solution: see `jaxrl_sparse.distributional.solve`.
      episodes: of the policy, from the initial stock.
      achieved: the objective's value over these episodes.
    """

    environment: TabularEnvironment
    objective: Objective
    solution: Solution
    episodes: StockEpisodes
    achieved: float


def plan(
    environment: str,
    objective: str,
    *,
    num_steps: int | None = None,
    spacing: float | None = None,
    num_episodes: int = 10_000,
    seed: int = 0,
    memory_limit: int | None = None,
    environment_options: Mapping[str, Any] | None = None,
) -> PlannedReturns:
    """The best policy of a named environment for an objective, and what it achieves.

        plan("two-stage", "cvar(0.5)").solution.value == 1.5

    Args:
      environment: a name of one whose states are finitely many: `two-stage`, `gamble`, `target-grid`, `risky-corridor`,
        `budget`, `homeostat`.
      objective: such as `cvar(0.1)`, see `jaxrl_sparse.distributional.parse_objective`.
      num_steps: the horizon; None for the environment's time limit with gamma = 1, and for ever below 1.
      spacing: of atoms and stocks; None for one that fits the rewards.
      num_episodes: of the policy.
      seed: of the episodes.
      memory_limit: bytes that planning may take; None for 8 GiB.
      environment_options: keyword arguments of `environments.make`.

    Raises:
      ValueError: if a name, a number or an option is bad, in one line.
    """
    wanted = parse_objective(objective)
    require("episodes", num_episodes, is_count, "an integer of at least 1")
    require("seed", seed, lambda s: 0 <= s < 2**63, "an integer of at least 0")
    made = environments.make(environment, **(environment_options or {}))
    takes = "one with finitely many states: two-stage, gamble, target-grid, risky-corridor, budget, homeostat"
    require("environment", environment, lambda _: isinstance(made, TabularEnvironment), takes)
    assert isinstance(made, TabularEnvironment)
    mdp = made.mdp
    _require_components(wanted, mdp)
    if num_steps is None and float(mdp.discount) == 1:
        num_steps = made.horizon
    solution = solve(mdp, wanted, num_steps, spacing=spacing, memory_limit=memory_limit)
    length = made.horizon if num_steps is None else num_steps
    starts = jnp.broadcast_to(solution.initial_stock, (num_episodes, *solution.initial_stock.shape))
    episodes = rollout_stock_policy(jax.random.key(seed), mdp, solution.actions, solution.stocks, starts, length)
    utility = float(wanted.utility.f(episodes.outcomes).mean())
    searched = wanted.initial_stock is None
    achieved = float(-solution.initial_stock) + utility / float(wanted.level) if searched else utility
    return PlannedReturns(made, wanted, solution, episodes, achieved)


def report(planned: PlannedReturns) -> list[str]:
    """The optimum and its policy, a line each."""
    solution, episodes = planned.solution, planned.episodes
    lines = [
        ("objective", f"{planned.objective.name} on {planned.environment.name}"),
        ("optimal value", f"{float(solution.value):.6g}{_caveat(planned)}"),
        ("initial stock", _numbers(solution.initial_stock)),
    ]
    if solution.probs is not None and solution.atoms is not None:
        probs, atoms = np.asarray(solution.probs, np.float64), np.asarray(solution.atoms, np.float64)
        mean = float(probs @ atoms)
        held = atoms[probs > 1e-6]
        deviation = float(np.sqrt(max(probs @ (atoms - mean) ** 2, 0)))
        lines.append(("return", f"mean {mean:.6g}, deviation {deviation:.4g}, from {held[0]:.6g} to {held[-1]:.6g}"))
    means = np.atleast_1d(np.asarray(episodes.returns).mean(axis=0))
    size = episodes.returns.shape[0]
    lines.append((f"{size:,} episodes", f"value {planned.achieved:.6g}, mean return {_numbers(means)}"))
    lines.append(("most likely episode", _likely_episode(planned)))
    return [f"{name:<24} {text}" for name, text in lines]


def draw(planned: PlannedReturns, directory: Path) -> list[Path]:
    """Writes the law of the return and the policy as PNG files into a directory; returns the files."""
    from jaxrl_sparse.runner import plots, return_plots

    directory.mkdir(parents=True, exist_ok=True)
    environment, solution = planned.environment, planned.solution
    title = f"{planned.objective.name} on {environment.name}: {float(solution.value):.6g}"
    if solution.probs is not None and solution.atoms is not None:
        probs, atoms = np.asarray(solution.probs), np.asarray(solution.atoms)
        marks = {"mean": float(probs @ atoms)}
        if planned.objective.name != "mean" and solution.initial_stock.ndim == 0:
            marks["minus the initial stock"] = -float(solution.initial_stock)
        law = return_plots.return_law(atoms, probs, title, marks)
    else:
        first = np.asarray(planned.episodes.returns)[:, 0]
        weights = np.full(first.shape, 1 / first.size)
        law = return_plots.return_law(first, weights, f"{title}, first component, simulated", sampled=True)
    actions, stocks = _policy_slice(solution)
    names = environment.state_names, environment.action_names
    policy = return_plots.stock_policy(actions, stocks, *names, f"policy for {title}")
    return [plots.save(law, directory / "returns.png"), plots.save(policy, directory / "policy.png")]


def _policy_slice(solution: Solution) -> tuple[np.ndarray, np.ndarray]:
    """The first step's actions `[S, C]`, along the last stock axis, the others at their initial stock."""
    table = np.asarray(solution.actions if solution.actions.ndim == solution.values.ndim else solution.actions[0])
    if not isinstance(solution.stocks, tuple):
        return table, np.asarray(solution.stocks)
    for i, grid in enumerate(solution.stocks[:-1]):
        table = table[:, int(jnp.argmin(jnp.abs(grid - solution.initial_stock[i])))]
    return table, np.asarray(solution.stocks[-1])


def _likely_episode(planned: PlannedReturns) -> str:
    """States, stocks and actions of the episode in which the likeliest outcome always comes."""
    mdp, solution, environment = planned.environment.mdp, planned.solution, planned.environment
    successors, stocks = np.asarray(successor_table(mdp)), solution.stocks
    state, stock, told = int(jnp.argmax(mdp.initial)), solution.initial_stock, []
    by_step = solution.actions.ndim > solution.values.ndim
    length = solution.actions.shape[0] if by_step else environment.horizon
    before = None
    for t in range(min(length, SHOWN_STEPS)):
        if bool(mdp.terminal[state]):
            break
        table = solution.actions[t] if by_step else solution.actions
        action = _action(table, stocks, state, stock)
        if (state, action) != before:
            told.append(f"{environment.state_names[state]} [{_numbers(stock)}] {environment.action_names[action]}")
        elif not told[-1].endswith("again"):
            told.append("again and again")
        before = (state, action)
        outcome = int(jnp.argmax(mdp.probabilities[state, action]))
        stock = (stock + mdp.rewards[state, action, 0 if mdp.rewards_are_shared else outcome]) / mdp.discount
        state = int(successors[state, action, outcome])
    return ", ".join(told)


def _action(table: jax.Array, stocks: StockGrid, state: int, stock: jax.Array) -> int:
    return int(lookup(table, stocks, jnp.asarray([state]), stock[None])[0])


def _require_components(objective: Objective, mdp: FiniteMDP) -> None:
    m = mdp.num_rewards
    takes = "an objective of scalar returns" if m is None else f"an objective of {m} returns: its rewards are vectors"
    require("objective", objective.name, lambda _: objective.utility.num_components == m, takes)


def _caveat(planned: PlannedReturns) -> str:
    """What has to be known of a value that is not the exact optimum."""
    if planned.objective.minimizes:
        return " (an upper bound of what a deterministic policy reaches)"
    gamma, solution = float(planned.environment.mdp.discount), planned.solution
    if gamma == 1 or solution.atoms is None:
        return ""
    error = float(planned.objective.utility.lipschitz * (solution.atoms[1] - solution.atoms[0])) / (2 * (1 - gamma))
    error = error / float(planned.objective.level) if planned.objective.initial_stock is None else error
    return f" (on a grid whose atoms cost at most {error:.2g})" if np.isfinite(error) else " (on a grid)"


def _numbers(values: Any) -> str:
    # 0. + turns a negative zero into zero.
    return ", ".join(f"{0.0 + float(value):.4g}" for value in np.atleast_1d(np.asarray(values)))
