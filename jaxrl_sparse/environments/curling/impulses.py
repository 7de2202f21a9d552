"""Contact impulses: the projected gradient method for bodies that touch, rub and are driven by weak motors.

A step of rigid-body dynamics ends in velocities that no contact forbids. The impulses l >= 0 of the rows (a contact's
normal or tangent, a joint's motor or limit) change the rows' velocities to v = b + A l, where A = J M^-1 J^T. They
solve min_l (l A l / 2 + b l) within bounds, of which those of friction follow the normal impulses (Coulomb's law).

Source: Mazhar et al., "Using Nesterov's Method to Accelerate Multibody Dynamics with Friction and Contact" (2015).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxrl_sparse.numerics.predicates import anywhere

ITERATIONS_PER_ROUND = 40
MAX_ROUNDS = 2
# Of the rows' velocities: m/s for contacts, rad/s for joints.
TOLERANCE = 1e-3


class Rows(NamedTuple):
    """The problem: R rows that stand by themselves (motors, normals), and below each one that may lean on it.

    Attributes:
      coupling: A; `[i, j, s, r]` is the velocity of row (s, r) that a unit impulse of row (i, j) makes.
      velocities: b, the rows' velocities without impulses, less those that they shall reach.
      lower: the least impulses; `lower[1] - friction * impulses[0]` for the second rows.
      upper: the most impulses, likewise. A row whose bounds are both 0 is out of play.
      friction: coefficients of the second rows; 0 where their bounds stand by themselves (joint limits).
    """

    coupling: Float[Array, "2 R 2 R"]
    velocities: Float[Array, "2 R"]
    lower: Float[Array, "2 R"]
    upper: Float[Array, "2 R"]
    friction: Float[Array, "R"]


def solve(rows: Rows, impulses: Float[Array, "2 R"]) -> Float[Array, "2 R"]:
    """Impulses within their bounds under which no row can do better, to within a velocity of 1e-3.

    l' = clip(y - (b + A y) / d, bounds), y' = l' + k / (k + 3) (l' - l), with the rows' absolute sums d of A, which
    bound its curvature. The momentum starts afresh every 40 iterations, and after 80 the solution is taken as it is:
    the next step goes on from there. Where `impulses` solve the problem already, they come back as they are.

    Args:
      rows: the problem.
      impulses: where to start, within the bounds: those of the step before.
    """
    leans = jnp.stack([jnp.zeros_like(rows.friction), rows.friction])
    in_play = (rows.upper > 0) | (rows.lower < 0) | (leans > 0)
    scale = jnp.sum(jnp.abs(rows.coupling) * in_play[:, :, None, None], axis=(0, 1))
    inverse_scale = jnp.where(in_play, 1 / jnp.where(in_play, scale, 1), 0)
    num_rows = impulses.shape[1]

    def step(point: Float[Array, "2 R"], normal_impulses: Float[Array, "R"]) -> Float[Array, "2 R"]:
        # One chain of multiply-adds: a batch of tiny matrix products would be a call of a routine each.
        velocities = rows.velocities
        for kind in range(2):
            for row in range(num_rows):
                velocities = velocities + rows.coupling[kind, row] * point[kind, row]
        grip = leans * normal_impulses
        return jnp.clip(point - velocities * inverse_scale, rows.lower - grip, rows.upper + grip)

    def is_open(solution: Float[Array, "2 R"]) -> Bool[Array, ""]:
        return jnp.any(jnp.abs(step(solution, solution[0]) - solution) * scale > TOLERANCE)

    def iterate(count: Int[Array, ""], carry: tuple[Array, Array]) -> tuple[Array, Array]:
        point, current = carry
        following = step(point, current[0])
        momentum = (count / (count + 3)).astype(following.dtype)
        return following + momentum * (following - current), following

    def go_on(carry: tuple[Array, Array, Array]) -> Bool[Array, ""]:
        number, _, unsolved = carry
        return (number < MAX_ROUNDS) & anywhere(unsolved)

    def improve(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        number, solution, unsolved = carry
        _, improved = jax.lax.fori_loop(0, ITERATIONS_PER_ROUND, iterate, (solution, solution))
        # What is solved stays: a row of a batch must not depend on how long the others take.
        solution = jnp.where(unsolved, improved, solution)
        return number + 1, solution, unsolved & is_open(solution)

    unsolved = is_open(impulses)
    return jax.lax.while_loop(go_on, improve, (jnp.int32(0), impulses, unsolved))[1]
