"""AntCoverage: an ant that is to cover a square arena, by blocks of cells around where it goes."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.environments.make import make
from jaxrl_sparse.environments.wrappers import Wrapper

MAX_STEPS = 400
# The arena is [-20, 20]^2 m, of 100 x 100 cells of 0.4 m.
HALF_SIZE = 20.0
CELLS_PER_SIDE = 100
CELL_SIZE = 2 * HALF_SIZE / CELLS_PER_SIDE
# Width of the block of cells that a step covers, from its corner cell on.
BLOCK = 5


class AntCoverage(Wrapper):
    """brax's ant, with its position in the observation, in an arena of 40 x 40 m, for 400 steps of 0.05 s.

    The observation is the 29 numbers of positions `(x, y, z, ...)` and velocities, the action eight torques in [-1, 1].
    Episodes start around the origin; they terminate where the ant is not healthy (z outside [0.2, 1] m), where it is
    out of the arena, or where the simulation diverges. The environment pays nothing: a reward transformation pays for
    the covered cells, 5 x 5 of them a step from `corner_cell` on, `block_footprint(ones((100, 100)), 5)`.

    Args:
      backend: of brax's physics; by default the ant's own.
      max_steps_in_episode: the time limit, at least 1.

    Raises:
      ValueError: if brax is not installed, or an argument is out of range.

    Source: Prajapat et al., "Submodular Reinforcement Learning" (ICLR 2024), published code, on MuJoCo's Ant-v4; brax's
    ant walks differently, so that orderings alone compare.
    """

    def __init__(self, backend: str | None = None, max_steps_in_episode: int = MAX_STEPS):
        super().__init__(
            make(
                "/".join(["brax", "ant", *([] if backend is None else [backend])]),
                max_steps_in_episode=max_steps_in_episode,
                exclude_current_positions_from_observation=False,
            )
        )

    @property
    def name(self) -> str:
        """AntCoverage."""
        return type(self).__name__

    @property
    def num_cells(self) -> int:
        """10,000, the size of the ground set."""
        return CELLS_PER_SIDE**2

    def step_env(
        self, key: PRNGKeyArray, state: Any, action: Float[Array, "8"], params: Any
    ) -> tuple[Any, Any, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step of the ant, which pays nothing; `info` holds `corner_cell` and brax's metrics."""
        observation, state, _, terminated, info = self.environment.step_env(key, state, action, params)
        # Not a number is in no arena.
        is_inside = jnp.all(jnp.abs(observation[:2]) <= HALF_SIZE)
        terminated = terminated | ~is_inside
        info = {**info, "discount": 1.0 - terminated.astype(jnp.float32), "corner_cell": corner_cell(observation)}
        return observation, state, jnp.zeros(()), terminated, info


def corner_cell(observation: Float[Array, "*B 29"]) -> Int[Array, "*B"]:
    """The cell of a position, `100 floor((x + 20) / 0.4) + floor((y + 20) / 0.4)`: where the covered block starts.

    Args:
      observation: `[..., 29]`; positions out of the arena count as on its border.

    Returns:
      `[...]` int32, from 0 to 9,999.
    """
    places = jnp.floor((jnp.nan_to_num(observation[..., :2]) + HALF_SIZE) / CELL_SIZE).astype(jnp.int32)
    row, column = jnp.moveaxis(jnp.clip(places, 0, CELLS_PER_SIDE - 1), -1, 0)
    return row * CELLS_PER_SIDE + column
