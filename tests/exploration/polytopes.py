"""The occupancies of all policies of a small process as a polytope, and the optima of concave functions on it."""

import numpy as np
from scipy.optimize import minimize

from jaxrl_sparse.finite.mdp import transition_matrix


def discounted_polytope(mdp):
    """`(matrix, right side, marginal)`: occupancies are the d >= 0, `[S A]`, of `matrix d = right side`."""
    transitions, gamma = np.asarray(transition_matrix(mdp), float), float(mdp.discount)
    num_states, num_actions, _ = transitions.shape
    marginal = np.kron(np.eye(num_states), np.ones(num_actions))
    flow = marginal - gamma * transitions.reshape(-1, num_states).T
    return flow, (1 - gamma) * np.asarray(mdp.initial, float), marginal


def episodic_polytope(mdp):
    """Alike, of occupancies `[H S A]`; the marginal is the mean over layers."""
    transitions = np.asarray(mdp.transitions, float)
    horizon, num_states, num_actions, _ = transitions.shape
    sums = np.kron(np.eye(num_states), np.ones(num_actions))
    flow = np.kron(np.eye(horizon), sums)
    size = num_states * num_actions
    for h in range(1, horizon):
        rows, columns = slice(h * num_states, (h + 1) * num_states), slice((h - 1) * size, h * size)
        flow[rows, columns] -= transitions[h - 1].reshape(size, num_states).T
    right = np.zeros(horizon * num_states)
    right[:num_states] = np.asarray(mdp.initial, float)
    return flow, right, np.tile(sums, horizon) / horizon


def largest(function, gradient, polytope):
    """The marginal `[S]` in the polytope of the largest concave function, and its value, by SLSQP in float64."""
    matrix, right, marginal = polytope
    start = np.full(matrix.shape[1], right.sum() / matrix.shape[1])
    solved = minimize(
        lambda d: -function(marginal @ d),
        start,
        jac=lambda d: -marginal.T @ gradient(marginal @ d),
        bounds=[(0, None)] * matrix.shape[1],
        constraints={"type": "eq", "fun": lambda d: matrix @ d - right, "jac": lambda d: matrix},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-13},
    )
    assert solved.success, solved.message
    return marginal @ solved.x, -solved.fun
