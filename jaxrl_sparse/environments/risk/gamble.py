"""Gamble: rounds of a safe gain or a losing bet, for the chance to reach a return that is out of safe reach."""

import numpy as np

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.mdp import finite_mdp


class Gamble(TabularEnvironment):
    """A number of rounds, each safe (+1) or risky (+3 with probability p, else -1); gamma is 1.

    The state is the round, and only the stock remembers what was won. By default a bet pays 0.6 on average, less than
    the safe gain, and still it is right to bet where the rest cannot be had safely: with ten rounds the best
    P(return >= x) is 1 for x up to 10, .588307 for 12 (and .4 for the best fixed number of bets), .336141 for 14,
    .168030 for 16, .034324 for 20.

    Args:
      num_rounds: at least 1.
      win_probability: p in [0, 1].

    Raises:
      ValueError: if an argument is out of range.
    """

    def __init__(self, num_rounds: int = 10, win_probability: float = 0.4):
        require("num_rounds", num_rounds, is_count, "an integer of at least 1")
        require("win_probability", win_probability, lambda p: 0 <= p <= 1, "a number in [0, 1]")
        rounds = np.arange(num_rounds + 1)
        # [A, B]; the actions are safe and risky.
        shape = (num_rounds + 1, 2, 2)
        probabilities = np.broadcast_to([[1, 0], [win_probability, 1 - win_probability]], shape)
        rewards = np.broadcast_to([[1, 1], [3, -1]], shape)
        successors = np.broadcast_to(np.minimum(rounds + 1, num_rounds)[:, None, None], shape)
        mdp = finite_mdp(probabilities, rewards, 1.0, terminal=rounds == num_rounds, successors=successors)
        super().__init__(
            mdp,
            max_steps_in_episode=num_rounds,
            state_names=(*(f"round {n + 1}" for n in range(num_rounds)), "end"),
            action_names=("safe", "risky"),
        )
