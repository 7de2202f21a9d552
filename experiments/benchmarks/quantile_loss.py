"""CPU time of the gradient of the quantile regression loss: `python -m experiments.benchmarks.quantile_loss`.

A batch of 256 with 200 quantiles against 200 targets, as QR-DQN is trained with, by the library's rule and by automatic
differentiation of the same sum over all pairs. The best of several rounds, in CPU milliseconds of all threads. Writes
`experiments/results/quantile_loss.json`.
"""

import jax
import jax.numpy as jnp

from experiments import record
from jaxrl_sparse.learners import quantile_levels, quantile_regression_loss

COMMAND = "python -m experiments.benchmarks.quantile_loss"
BATCH, QUANTILES, MOST_CPU_MS = 256, 200, 5.0
ROUNDS, CALLS = 7, 20


def pairwise(quantiles, targets, taus, kappa):
    """`sum_i mean_j |tau_i - 1{y_j < q_i}| Huber_kappa(y_j - q_i)`, row by row, all pairs at once."""
    gaps = targets[:, None, :] - quantiles[:, :, None]
    size = jnp.abs(gaps)
    huber = jnp.where(size <= kappa, gaps**2 / 2, kappa * (size - kappa / 2)) if kappa else size
    return jnp.sum(jnp.mean(jnp.abs(taus[:, None] - (gaps < 0)) * huber, axis=2), axis=1)


def main():
    keys = jax.random.split(jax.random.key(0))
    quantiles, targets = (jax.random.normal(key, (BATCH, QUANTILES)) for key in keys)
    taus = quantile_levels(QUANTILES)
    figures = {}
    for kappa in (0.0, 1.0):
        forms = {
            "ours": lambda q, y, kappa=kappa: quantile_regression_loss(q, y, taus, kappa).mean(),
            "all pairs, automatic": lambda q, y, kappa=kappa: pairwise(q, y, taus, kappa).mean(),
        }
        gradients = {name: jax.jit(jax.grad(form)) for name, form in forms.items()}
        for name, gradient in gradients.items():
            # Compiles.
            jax.block_until_ready(gradient(quantiles, targets))
            spent = [
                record.cpu_seconds(lambda: [gradient(quantiles, targets) for _ in range(CALLS)])[0] / CALLS  # noqa: B023
                for _ in range(ROUNDS)
            ]
            figures[f"kappa {kappa:g}, {name}"] = 1e3 * min(spent)
        ours, other = (gradient(quantiles, targets) for gradient in gradients.values())
        figures[f"kappa {kappa:g}, largest difference"] = float(jnp.abs(ours - other).max())
    holds = all(figures[f"kappa {kappa}, ours"] <= MOST_CPU_MS for kappa in (0, 1))
    for name, figure in figures.items():
        print(f"{name:<32} {figure:.4g}{'' if 'difference' in name else ' CPU ms'}")
    print(f"at most {MOST_CPU_MS:g} CPU ms: {'holds' if holds else 'DOES NOT HOLD'}")
    record.write("quantile_loss", COMMAND, {"cpu_ms": figures, "holds": holds})


if __name__ == "__main__":
    main()
