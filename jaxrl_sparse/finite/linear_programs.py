"""Occupancies as the variables of linear programs, solved on the host: optima, coverage, bounds of values.

Numpy arrays in and out, in float64, by HiGHS; never inside jit. They are slower than the closed forms and recursions of
this package, which they check, and answer what those cannot: the best policy among those that data cover, and what
values are possible when transitions are known up to intervals only.

    d_0(s, .) sums to initial(s),   sum over a of d_{h+1}(s', a) = sum over s, a of d_h(s, a) P_h(s' | s, a),   d >= 0

Source: Puterman, "Markov Decision Processes" (1994), section 6.9; Givan, Leach and Dean, "Bounded-parameter Markov
Decision Processes" (2000), for intervals.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl_sparse.base import require
from jaxrl_sparse.finite.episodic import EpisodicMDP


class OccupancyOptimum(NamedTuple):
    """The best value of a program, and an occupancy that has it.

    Attributes:
      value: in the reward's unit.
      occupancy: `[H, S, A]`.
    """

    value: float
    occupancy: NDArray[np.float64]


def best_occupancy(
    mdp: EpisodicMDP, rewards: ArrayLike | None = None, largest: ArrayLike | None = None
) -> OccupancyOptimum:
    """`max over d of <d, r>` over the occupancies of all policies, or over those below a bound.

    With `largest = C mu` it is the best that policies can do whose density ratio to mu is at most C everywhere; an
    occupancy's policy is `d_h(a | s)`.

    Args:
      mdp: of H layers.
      rewards: `[H, S, A]`, of any sign; None for those of the MDP. The indicator of one (h, s, a) makes the value the
        largest probability of being there.
      largest: `[H, S, A]`, an upper bound of d; None for none.

    Raises:
      ValueError: if shapes do not agree, or no policy is below the bound.
    """
    transitions, own_rewards, initial = _arrays(mdp)
    paid = own_rewards if rewards is None else _table("rewards", rewards, own_rewards.shape)
    bound = np.full(paid.shape, np.inf) if largest is None else _table("largest", largest, paid.shape)
    horizon, num_states, num_actions = paid.shape
    size = num_states * num_actions
    leaving = np.repeat(np.eye(num_states), num_actions, axis=1)
    balance = np.zeros((horizon, num_states, horizon, size))
    for h in range(horizon):
        balance[h, :, h] = leaving
        if h > 0:
            balance[h, :, h - 1] = -transitions[h - 1].reshape(size, num_states).T
    found = _solve(
        -paid.ravel(),
        balance.reshape(horizon * num_states, horizon * size),
        np.concatenate([initial, np.zeros((horizon - 1) * num_states)]),
        upper=bound.ravel(),
    )
    least_sum = float(bound.sum((1, 2)).min())
    require("largest", least_sum, lambda _: found is not None, "layers that some policy's occupancy is below")
    assert found is not None
    return OccupancyOptimum(float(found @ paid.ravel()), found.reshape(paid.shape))


def coverability_program(occupancies: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """The coverability of a class of policies and a distribution that attains it, as a program of C and mu.

        min over nu of the sum over s, a of nu(s, a)  with  nu >= d^n_h for all n;   C_h = sum of nu,  mu_h = nu / C_h

    which is `d^n_h <= C mu_h` with `nu = C mu`. Of all deterministic policies of layer and state it is that of all
    policies.

    Args:
      occupancies: `[N, H, S, A]`.

    Returns:
      `max over h of C_h`, and mu `[H, S, A]`.

    Raises:
      ValueError: if the shape is another.
    """
    tables = np.asarray(occupancies, np.float64)
    require("occupancies", tables.shape, lambda shape: len(shape) == 4 and min(shape) >= 1, "the shape [N, H, S, A]")
    number, horizon = tables.shape[:2]
    layers = tables.reshape(number, horizon, -1)
    size = layers.shape[2]
    above = np.tile(-np.eye(size), (number, 1))
    found = [_solve(np.ones(size), inequality=above, at_most=-layers[:, h].ravel()) for h in range(horizon)]
    weights = np.stack([nu for nu in found if nu is not None])
    totals = weights.sum(1)
    return float(totals.max()), (weights / totals[:, None]).reshape(tables.shape[1:])


def value_bounds(
    lower: ArrayLike, upper: ArrayLike, rewards: ArrayLike, initial: ArrayLike, policy: ArrayLike | None = None
) -> tuple[float, float]:
    """The least and the largest value of a policy over all models whose transitions are within intervals; exact.

        lower_h(s' | s, a) d_h(s, a) <= x_h(s, a, s') <= upper_h(s' | s, a) d_h(s, a),   sum over s' of x_h = d_h,
        sum over s, a of x_h(s, a, s') = sum over a of d_{h+1}(s', a),   d_h(s, a) = pi_h(a | s) sum over b of d_h(s, b)

    The programs' variables are the occupancies x of all models at once. Models may differ between layers.

    Args:
      lower: `[H, S, A, S]`, the least probability of each transition.
      upper: `[H, S, A, S]`, the largest.
      rewards: `[H, S, A]`.
      initial: `[S]`.
      policy: `[H, S, A]`, probabilities of actions; None for every policy: the least value of any policy in any model,
        and the largest.

    Returns:
      Low and high, in the reward's unit.

    Raises:
      ValueError: if shapes do not agree, or no transition probabilities are within the intervals.
    """
    paid = np.asarray(rewards, np.float64)
    require("rewards", paid.shape, lambda shape: len(shape) == 3 and min(shape) >= 1, "the shape [H, S, A]")
    horizon, num_states, num_actions = paid.shape
    least = _table("lower", lower, (*paid.shape, num_states))
    most = _table("upper", upper, (*paid.shape, num_states))
    first = _table("initial", initial, (num_states,))
    excess = np.max([(least - most).max(-1), least.sum(-1) - 1, 1 - most.sum(-1)], axis=0)
    worst = tuple(map(int, np.unravel_index(excess.argmax(), excess.shape)))
    require(
        f"lower, upper{list(worst)}",
        (least[worst].tolist(), most[worst].tolist()),
        lambda _: excess[worst] <= 1e-9,
        "intervals that hold the probabilities of a transition",
    )

    from scipy import sparse

    pairs, size = horizon * num_states * num_actions, horizon * num_states * num_actions * num_states
    # The variables are x[h, s, a, s'], and d is their sum over s'.
    total = sparse.kron(sparse.eye(pairs), np.ones((1, num_states)))
    spread = sparse.kron(sparse.eye(pairs), np.ones((num_states, 1))) @ total
    inequality = sparse.vstack(
        [
            sparse.diags(least.ravel()) @ spread - sparse.eye(size),
            sparse.eye(size) - sparse.diags(most.ravel()) @ spread,
        ]
    )
    leaving = sparse.kron(sparse.eye(horizon * num_states), np.ones((1, num_actions))) @ total
    entering = sparse.kron(
        sparse.eye(horizon, k=-1), sparse.kron(np.ones((1, num_states * num_actions)), sparse.eye(num_states))
    )
    equality, equals = leaving - entering, np.concatenate([first, np.zeros((horizon - 1) * num_states)])
    if policy is not None:
        weights = _table("policy", policy, paid.shape)
        of_state = sparse.kron(sparse.eye(horizon * num_states), np.ones((num_actions, 1))) @ leaving
        equality = sparse.vstack([equality, total - sparse.diags(weights.ravel()) @ of_state])
        equals = np.concatenate([equals, np.zeros(pairs)])
    objective = total.T @ paid.ravel()
    values = []
    for sign in (1, -1):
        found = _solve(sign * objective, equality, equals, inequality, np.zeros(2 * size))
        assert found is not None
        values.append(float(objective @ found))
    return values[0], values[1]


def _arrays(mdp: EpisodicMDP) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """In float64; rows are divided by their sums, which in float32 are one to rounding only."""
    transitions, initial = np.asarray(mdp.transitions, np.float64), np.asarray(mdp.initial, np.float64)
    return (
        transitions / transitions.sum(-1, keepdims=True),
        np.asarray(mdp.rewards, np.float64),
        initial / initial.sum(),
    )


def _table(argument: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    table = np.asarray(values, np.float64)
    require(argument, table.shape, lambda got: got == shape, f"the shape {shape}")
    return table


def _solve(objective, equality=None, equals=None, inequality=None, at_most=None, upper=None):
    """The minimiser of `<objective, x>` over `0 <= x <= upper`; None where no x is allowed."""
    from scipy.optimize import linprog

    bounds = (0, None) if upper is None else np.stack([np.zeros_like(upper), upper], axis=1)
    found = linprog(objective, inequality, at_most, equality, equals, bounds, method="highs")
    if found.status == 2:
        return None
    if found.status != 0:
        raise RuntimeError(f"HiGHS: {found.message}")
    return found.x
