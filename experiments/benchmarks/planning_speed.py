"""Sweeps of distributional value iteration: ours, numpy's and a naive one of jax, against the speed of the GEMM alone.

    python -m experiments.benchmarks.planning_speed

S = 100, A = 4, C = 101, N = 51, gamma .9, rewards uniform in [-1, 1], f = min(x, 0), stocks interpolated linearly,
float32.
All do the same sweep: mix the successors' laws, move stocks and atoms, choose, keep the winner. numpy runs in a process
of
its own with one thread, in two forms: stocks moved by a matrix product, as the specification's, or by indexing. CPU
seconds of all threads, the best of several rounds in which they take turns; the naive form is slow and gets fewer
sweeps.
Writes `experiments/results/planning_speed.json`.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

COMMAND = "python -m experiments.benchmarks.planning_speed"
STATES, ACTIONS, STOCKS, ATOMS, GAMMA = 100, 4, 101, 51, 0.9
ROUNDS = 5
SWEEPS = {"numpy": 10, "ours": 100, "naive": 3}


def problem():
    """Transitions `[S, A, S]`, rewards `[S, A]`, stocks and atoms of the benchmark."""
    generator = np.random.default_rng(0)
    transitions = generator.dirichlet(np.ones(STATES), size=(STATES, ACTIONS)).astype(np.float32)
    rewards = generator.uniform(-1, 1, size=(STATES, ACTIONS)).astype(np.float32)
    bound = 1 / (1 - GAMMA)
    return (
        transitions / transitions.sum(-1, keepdims=True),
        rewards,
        np.linspace(-bound, bound, STOCKS, dtype=np.float32),
        np.linspace(-bound, bound, ATOMS, dtype=np.float32),
    )


def numpy_sweeps():
    """Two sweeps on laws `[S, C, N]`, by name; tables are made beforehand."""
    transitions, rewards, stocks, atoms = problem()

    def split(positions, grid):
        cells = np.clip((positions - grid[0]) / (grid[1] - grid[0]), 0, grid.size - 1)
        lower = np.minimum(cells.astype(np.int64), grid.size - 2)
        return lower, (cells - lower).astype(np.float32)

    def matrices(positions, grid, transposed):
        """`[S, A, from, to]` that moves mass, or the transpose that reads between points."""
        lower, weight = split(positions, grid)
        table = np.zeros((*positions.shape, grid.size), np.float32)
        np.put_along_axis(table, lower[..., None], 1 - weight[..., None], -1)
        np.put_along_axis(table, lower[..., None] + 1, weight[..., None], -1)
        return table if transposed else np.swapaxes(table, -1, -2)

    following = (stocks + rewards[..., None]) / GAMMA
    moves = matrices(rewards[..., None] + GAMMA * atoms, atoms, True)
    readings = matrices(following, stocks, True)
    lower, weight = split(following, stocks)
    utilities = np.minimum(stocks[:, None] + atoms, 0)
    flat = transitions.reshape(STATES * ACTIONS, STATES)
    states, columns = np.arange(STATES)[:, None], np.arange(STOCKS)[None]
    base = (np.arange(STATES * ACTIONS) * STOCKS).reshape(STATES, ACTIONS, 1)

    def finish(before):
        after = before @ moves
        worth = np.einsum("sacn,cn->sac", after, utilities)
        chosen = worth.argmax(1)
        return after[states, chosen, columns], worth.max(1)

    def mixed(laws):
        return (flat @ laws.reshape(STATES, -1)).reshape(STATES, ACTIONS, STOCKS, ATOMS)

    def by_matrices(laws):
        return finish(readings @ mixed(laws))

    def by_indices(laws):
        rows = mixed(laws).reshape(-1, ATOMS)
        return finish((1 - weight)[..., None] * rows[base + lower] + weight[..., None] * rows[base + lower + 1])

    return {"numpy, matrix products": by_matrices, "numpy, indexing": by_indices}


def measure_numpy():
    """In the process with one thread: CPU seconds of a sweep of each form, round after round as they are asked for."""
    laws = np.zeros((STATES, STOCKS, ATOMS), np.float32)
    laws[..., ATOMS // 2] = 1
    sweeps = numpy_sweeps()
    values = {}
    for name, sweep in sweeps.items():
        state = laws
        for _ in range(20):
            state, value = sweep(state)
        values[name] = value.tolist()
    print(json.dumps(values), flush=True)
    for _ in sys.stdin:
        seconds = {}
        for name, sweep in sweeps.items():
            start = time.process_time()
            for _ in range(SWEEPS["numpy"]):
                sweep(state)
            seconds[name] = (time.process_time() - start) / SWEEPS["numpy"]
        print(json.dumps(seconds), flush=True)


def jax_forms():
    """Functions of laws, by name, with the number of sweeps that each does: ours, the naive one, and the GEMM alone."""
    import jax
    import jax.numpy as jnp

    from jaxrl_sparse.distributional import Grids, cvar
    from jaxrl_sparse.distributional.planning import make_backup
    from jaxrl_sparse.distributional.projections import categorical_project
    from jaxrl_sparse.finite import finite_mdp

    transitions, rewards, stocks, atoms = (jnp.asarray(part) for part in problem())
    grids, utility = Grids(stocks, atoms), cvar(0.5).utility
    mdp = finite_mdp(transitions, rewards, GAMMA)
    lookup = {form: make_backup(mdp, grids, utility, 20, form) for form in ("integrated", "categorical")}
    spacing = stocks[1] - stocks[0]

    def repeated(sweep, number):
        def run(laws):
            (laws, values), _ = jax.lax.scan(
                lambda carry, _: (sweep(carry[0]), None), (laws, jnp.zeros((STATES, STOCKS))), length=number
            )
            return laws, values

        return jax.jit(run, donate_argnums=0)

    def naive_sweep(laws):
        """Law by law: what the equations say, vmapped over states, actions and stocks."""

        def backed_up(row, reward, stock):
            cell = jnp.clip(((stock + reward) / GAMMA - stocks[0]) / spacing, 0, STOCKS - 1)
            lower = jnp.minimum(cell.astype(jnp.int32), STOCKS - 2)
            weight = cell - lower
            law = row @ ((1 - weight) * laws[:, lower] + weight * laws[:, lower + 1])
            law = categorical_project(reward + GAMMA * atoms, law, atoms)
            return law, jnp.sum(law * utility.f(stock + atoms))

        def best(rows, paid, stock):
            after, worth = jax.vmap(backed_up, in_axes=(0, 0, None))(rows, paid, stock)
            chosen = jnp.argmax(worth)
            return after[chosen], worth[chosen]

        over_stocks = jax.vmap(best, in_axes=(None, None, 0))
        return jax.vmap(over_stocks, in_axes=(0, 0, None))(transitions, rewards, stocks)

    def gemm(laws):
        product = jnp.matmul(
            transitions.reshape(-1, STATES), laws.reshape(STATES, -1), precision=jax.lax.Precision.HIGHEST
        )
        # What follows hangs on the product, and reads one row in four of it.
        return product[::ACTIONS].reshape(laws.shape), laws[:, :, 0]

    def ours(form):
        return repeated(lambda laws: lookup[form].sweep(laws)[:2], SWEEPS["ours"]), SWEEPS["ours"]

    return {
        "ours": (*ours("integrated"), lookup["integrated"].start()[0]),
        "ours, categorical": (*ours("categorical"), lookup["categorical"].start()[0]),
        "jax, naive": (repeated(naive_sweep, SWEEPS["naive"]), SWEEPS["naive"], lookup["categorical"].start()[0]),
        "GEMM alone": (repeated(gemm, SWEEPS["ours"]), SWEEPS["ours"], lookup["integrated"].start()[0]),
    }, lookup


def agreement(numpy_values, lookup):
    """The largest difference of values after 20 sweeps, on stocks whose negatives are atoms: there all forms agree."""
    found = {}
    for form, backup in lookup.items():
        laws, values = backup.start()
        for _ in range(20):
            laws, values, _ = backup.sweep(laws)
        found[form] = float(np.abs(np.asarray(values)[:, ::2] - np.asarray(numpy_values)[:, ::2]).max())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--numpy", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.numpy:
        measure_numpy()
        return

    import jax

    from experiments import record

    # A kernel chosen for older processors would slow numpy down.
    kept = {word: value for word, value in os.environ.items() if not word.startswith("OPENBLAS_")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "experiments.benchmarks.planning_speed", "--numpy"]
    with subprocess.Popen(
        command, env=kept | threads, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:
        assert peer.stdin is not None and peer.stdout is not None
        numpy_values = json.loads(peer.stdout.readline())["numpy, matrix products"]
        forms, lookup = jax_forms()
        for run, _, laws in forms.values():
            # Compiles.
            jax.block_until_ready(run(laws.copy()))
        seconds = {}
        for _ in range(options.rounds):
            peer.stdin.write("go\n")
            peer.stdin.flush()
            found = json.loads(peer.stdout.readline())
            for name, (run, number, laws) in forms.items():
                fresh = jax.block_until_ready(laws.copy())
                found[name] = record.cpu_seconds(run, fresh)[0] / number
            for name, spent in found.items():
                seconds.setdefault(name, []).append(spent)
        peer.stdin.close()

    best = {name: min(spent) for name, spent in seconds.items()}
    for name, spent in best.items():
        print(f"{name:<24} {1e3 * spent:9.2f} CPU ms a sweep")
    differences = agreement(numpy_values, lookup)
    print(f"values differ from numpy's by at most {differences}")
    ours = best["ours"]
    claims = {
        "at least 5 times numpy on one thread": (best["numpy, matrix products"] / ours, 5),
        "at least 100 times naive jax": (best["jax, naive"] / ours, 100),
        "at least half the speed of the GEMM alone": (best["GEMM alone"] / ours, 0.5),
    }
    verdicts = {claim: {"measured": figure, "holds": figure >= least} for claim, (figure, least) in claims.items()}
    for claim, verdict in verdicts.items():
        print(f"{claim}: {verdict['measured']:.2f}, {'holds' if verdict['holds'] else 'DOES NOT HOLD'}")
    figures = {"cpu_ms": {name: 1e3 * spent for name, spent in best.items()}, "differences": differences}
    record.write("planning_speed", COMMAND, figures | {"claims": verdicts})


if __name__ == "__main__":
    main()
