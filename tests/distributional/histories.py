"""Everything that policies with a memory can reach in a few steps of a small process: brute force, exact, in numpy.

A law is finite: returns `[..., K]` and probabilities `[..., K]`, which may be zero.
"""

import itertools
from typing import NamedTuple

import numpy as np

from jaxrl_sparse.finite.mdp import successor_table


class Process(NamedTuple):
    """A finite MDP as nested lists: `outcomes[s][a]` are the (probability, reward, successor) that can happen."""

    outcomes: list
    terminal: np.ndarray
    discount: float


def process_of(mdp):
    shape = mdp.probabilities.shape
    probabilities, successors = np.asarray(mdp.probabilities, float), np.asarray(successor_table(mdp))
    rewards = np.broadcast_to(np.asarray(mdp.rewards, float), shape)
    outcomes = [
        [
            [
                (probabilities[s, a, b], rewards[s, a, b], successors[s, a, b])
                for b in np.flatnonzero(probabilities[s, a])
            ]
            for a in range(shape[1])
        ]
        for s in range(shape[0])
    ]
    return Process(outcomes, np.asarray(mdp.terminal), float(mdp.discount))


def laws_of_all_policies(process, state, num_steps):
    """The laws `[P, K]` of the return under each deterministic policy that may look at its whole history."""
    if num_steps == 0 or process.terminal[state]:
        return np.zeros((1, 1)), np.ones((1, 1))
    laws = []
    for outcomes in process.outcomes[state]:
        parts = [laws_of_all_policies(process, successor, num_steps - 1) for _, _, successor in outcomes]
        # After each outcome its own policy: all combinations.
        chosen = np.array(list(itertools.product(*(range(len(returns)) for returns, _ in parts))))
        laws.append(
            (
                np.concatenate(
                    [
                        reward + process.discount * part[0][chosen[:, b]]
                        for b, ((_, reward, _), part) in enumerate(zip(outcomes, parts, strict=True))
                    ],
                    axis=1,
                ),
                np.concatenate(
                    [
                        probability * part[1][chosen[:, b]]
                        for b, ((probability, _, _), part) in enumerate(zip(outcomes, parts, strict=True))
                    ],
                    axis=1,
                ),
            )
        )
    width = max(returns.shape[1] for returns, _ in laws)
    wide = [[np.pad(table, ((0, 0), (0, width - table.shape[1]))) for table in law] for law in laws]
    return np.concatenate([law[0] for law in wide]), np.concatenate([law[1] for law in wide])


def greedy_law(process, state, stock, num_steps, worth):
    """The law `[K]` that dynamic programming ends with, stocks and laws kept exactly: greedy in `worth(c + G)`."""
    if num_steps == 0 or process.terminal[state]:
        return np.zeros(1), np.ones(1)
    best, best_worth = None, -np.inf
    for outcomes in process.outcomes[state]:
        parts = [
            (reward, probability, greedy_law(process, s, (stock + reward) / process.discount, num_steps - 1, worth))
            for probability, reward, s in outcomes
        ]
        returns = np.concatenate([reward + process.discount * law[0] for reward, _, law in parts])
        probs = np.concatenate([probability * law[1] for _, probability, law in parts])
        value = worth(stock + returns, probs)
        if value > best_worth + 1e-12:
            best, best_worth = (returns, probs), value
    return best


def expectation(f):
    return lambda outcomes, probs: (f(outcomes) * probs).sum(-1)


def sorted_law(outcomes, probs):
    order = np.argsort(outcomes, axis=-1)
    return np.take_along_axis(outcomes, order, -1), np.take_along_axis(probs, order, -1)


def median(outcomes, probs):
    outcomes, probs = sorted_law(outcomes, probs)
    first = np.argmax(probs.cumsum(-1) >= 0.5 - 1e-12, axis=-1)
    return np.take_along_axis(outcomes, first[..., None], -1)[..., 0]


def mean_minus_variance(outcomes, probs, weight=0.3):
    means = (outcomes * probs).sum(-1)
    return means - weight * ((outcomes**2 * probs).sum(-1) - means**2)


def worst_share(outcomes, probs, tau=0.3):
    """CVaR: the mean of the worst share tau."""
    outcomes, probs = sorted_law(outcomes, probs)
    taken = np.minimum(probs.cumsum(-1), tau)
    return (np.diff(taken, axis=-1, prepend=0) * outcomes).sum(-1) / tau


def random_processes(seed, count):
    """Probabilities `[count, 2, 2, 2]`, and integer rewards alike from -3 to 3."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(0.125, 0.875, size=(count, 2, 2))
    return np.stack([first, 1 - first], axis=-1), rng.integers(-3, 4, size=(count, 2, 2, 2))
