"""Contact impulses against closed forms, optimality conditions and projected Gauss-Seidel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.curling.impulses import Rows, solve

NUM_ROWS, COUNT = 3, 40


@pytest.fixture(scope="module")
def solve_all():
    return jax.jit(jax.vmap(solve))


def problems(seed):
    """Motors, contacts with friction and limits of random bodies with five speeds, some of them out of play."""
    rng = np.random.default_rng(seed)
    jacobian = rng.normal(size=(COUNT, 2 * NUM_ROWS, 5))
    masses = rng.uniform(0.5, 2.0, (COUNT, 5))
    coupling = np.einsum("bri,bi,bsi->brs", jacobian, 1 / masses, jacobian)
    velocities = rng.normal(size=(COUNT, 2 * NUM_ROWS))
    closed = rng.uniform(size=(COUNT, 2)) < 0.7
    motor = rng.uniform(0.0, 1.0, (COUNT, 1))
    zero = np.zeros((COUNT, 1))
    # The first row is a motor, and its second a limit; the others are contacts.
    limit = np.where(rng.uniform(size=(COUNT, 1)) < 0.5, np.inf, 0.0)
    upper = np.concatenate([motor, np.where(closed, np.inf, 0), limit, zero, zero], axis=1)
    lower = np.concatenate([-motor, zero, zero, zero, zero, zero], axis=1)
    friction = np.concatenate([zero, np.where(closed, rng.uniform(0.1, 1.0, (COUNT, 2)), 0)], axis=1)
    rows = Rows(
        coupling.reshape(COUNT, 2, NUM_ROWS, 2, NUM_ROWS),
        velocities.reshape(COUNT, 2, NUM_ROWS),
        lower.reshape(COUNT, 2, NUM_ROWS),
        upper.reshape(COUNT, 2, NUM_ROWS),
        friction,
    )
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), rows)


def problem(rows, n):
    """One of the problems in double precision, flat: coupling, velocities, and the bounds for given impulses."""
    coupling = np.asarray(rows.coupling[n], float).reshape(2 * NUM_ROWS, 2 * NUM_ROWS)
    velocities, lower, upper = (
        np.asarray(leaf[n], float).ravel() for leaf in (rows.velocities, rows.lower, rows.upper)
    )
    friction = np.asarray(rows.friction[n], float)

    def bounds(impulses):
        grip = np.concatenate([np.zeros(NUM_ROWS), friction * impulses[:NUM_ROWS]])
        return lower - grip, upper + grip

    return coupling, velocities, bounds


def gauss_seidel(rows, n):
    """Velocities by the textbook method: one row after the other, to the end."""
    coupling, velocities, bounds = problem(rows, n)
    impulses = np.zeros(2 * NUM_ROWS)
    for _ in range(2000):
        for row in range(2 * NUM_ROWS):
            lower, upper = bounds(impulses)
            free = impulses[row] - (velocities[row] + coupling[row] @ impulses) / coupling[row, row]
            impulses[row] = np.clip(free, lower[row], upper[row])
    return velocities + coupling @ impulses


def test_solution_obeys_contact_motor_and_friction_laws(solve_all):
    rows = problems(0)
    solutions = np.asarray(solve_all(rows, jnp.zeros((COUNT, 2, NUM_ROWS))), float).reshape(COUNT, -1)
    at_bound = []
    for n, impulses in enumerate(solutions):
        coupling, velocities, bounds = problem(rows, n)
        velocities = velocities + coupling @ impulses
        lower, upper = bounds(impulses)
        assert (impulses >= lower - 1e-3).all() and (impulses <= upper + 1e-3).all()
        # Velocity where an impulse could still grow is not negative, where it could shrink not positive.
        scale = np.abs(coupling).sum(axis=1)
        assert (velocities[impulses < upper - 5e-3] >= -0.02 * scale[impulses < upper - 5e-3]).all()
        assert (velocities[impulses > lower + 5e-3] <= 0.02 * scale[impulses > lower + 5e-3]).all()
        at_bound.append((impulses < lower + 1e-3) | (impulses > upper - 1e-3))
    assert 0.1 < np.mean(at_bound) < 0.9


def test_velocities_are_those_of_gauss_seidel(solve_all):
    # With friction the problem may have several solutions; without, the velocities have one.
    rows = problems(1)
    rows = rows._replace(friction=jnp.zeros_like(rows.friction))
    solutions = np.asarray(solve_all(rows, jnp.zeros((COUNT, 2, NUM_ROWS))), float).reshape(COUNT, -1)
    for n in range(6):
        coupling, velocities, _ = problem(rows, n)
        velocities = velocities + coupling @ solutions[n]
        in_play = np.asarray((rows.upper[n] > 0) | (rows.lower[n] < 0)).ravel()
        np.testing.assert_allclose(velocities[in_play], gauss_seidel(rows, n)[in_play], atol=5e-3)


def test_one_contact_in_closed_form(solve_all):
    # A disc of mass 1 that meets a wall at (-2, vy): it sticks or slides.
    rows = problems(2)
    rows = jax.tree.map(lambda leaf: np.zeros_like(leaf), rows)
    slips = np.linspace(-4, 4, COUNT)
    rows.coupling[:, 0, 1, 0, 1], rows.coupling[:, 1, 1, 1, 1] = 1, 3
    rows.velocities[:, 0, 1], rows.velocities[:, 1, 1] = -2, slips
    rows.upper[:, 0, 1], rows.friction[:, 1] = np.inf, 0.4
    rows = jax.tree.map(jnp.asarray, rows)
    solutions = solve_all(rows, jnp.zeros((COUNT, 2, NUM_ROWS)))
    np.testing.assert_allclose(solutions[:, 0, 1], 2, atol=2e-3)
    np.testing.assert_allclose(solutions[:, 1, 1], np.clip(-slips / 3, -0.8, 0.8), atol=2e-3)
    np.testing.assert_array_equal(solutions[:, :, [0, 2]], 0)

    # What solves the problem comes back as it is, bit for bit.
    exact = jnp.zeros((COUNT, 2, NUM_ROWS)).at[:, 0, 1].set(2).at[:, 1, 1].set(np.clip(-slips / 3, -0.8, 0.8))
    np.testing.assert_array_equal(solve_all(rows, exact), exact)


def test_solution_does_not_depend_on_the_rest_of_the_batch(solve_all):
    # Alone, a problem may be solved a round before the hardest of the batch.
    rows = problems(3)
    start = jnp.zeros((COUNT, 2, NUM_ROWS))
    together = solve_all(rows, start)
    for n in range(0, COUNT, 4):
        copies = jax.tree.map(lambda leaf, n=n: jnp.repeat(leaf[n : n + 1], COUNT, axis=0), rows)
        np.testing.assert_array_equal(solve_all(copies, start)[0], together[n])
