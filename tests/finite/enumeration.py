"""Every deterministic policy and every path of a tiny episodic MDP, in numpy."""

import itertools
from typing import NamedTuple

import numpy as np


class Path(NamedTuple):
    """What may happen in one episode."""

    probability: float
    states: tuple
    actions: tuple
    reward: float


def deterministic_policies(horizon, num_states, num_actions):
    """`[A^(H S), H, S]`."""
    policies = itertools.product(range(num_actions), repeat=horizon * num_states)
    return np.array(list(policies), np.int32).reshape(-1, horizon, num_states)


def paths(mdp, policy):
    """All paths of a policy `[H, S, A]` that have a probability."""
    transitions, rewards, initial = (np.asarray(leaf, float) for leaf in mdp)
    horizon, num_states, num_actions = rewards.shape
    found = []
    for states in itertools.product(range(num_states), repeat=horizon):
        for actions in itertools.product(range(num_actions), repeat=horizon):
            probability, paid = initial[states[0]], 0.0
            for h in range(horizon):
                probability *= policy[h, states[h], actions[h]]
                paid += rewards[h, states[h], actions[h]]
                if h + 1 < horizon:
                    probability *= transitions[h, states[h], actions[h], states[h + 1]]
            if probability > 0:
                found.append(Path(probability, states, actions, paid))
    return found
