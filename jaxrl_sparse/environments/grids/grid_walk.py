"""GridWalk: a walk on the cells of a map, whose worth is a function of the set of cells that it visits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpy.typing import ArrayLike

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment, EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.risk.grid_moves import grid_successors
from jaxrl_sparse.finite.mdp import FiniteMDP, finite_mdp

ACTIONS = ("stay", "right", "down", "left", "up")


class GridObservation(NamedTuple):
    """What a policy, and a set function, sees of a walk.

    Attributes:
      cell: `row * columns + column`, int32.
      time: moves made so far, int32 from 0 to H - 1.
    """

    cell: Int[Array, "..."]
    time: Int[Array, "..."]


@struct.dataclass
class GridParams(EnvironmentParams):
    """The map and the chance; stack them and vmap over maps of one size.

    Attributes:
      next_cells: `[N, A]` int32, from `next_cells`.
      start: int32, the first cell.
      slip: probability that a move is replaced, in [0, 1].
    """

    next_cells: Int[Array, "N A"]
    start: Int[Array, ""]
    slip: float | Float[Array, ""]


@struct.dataclass
class GridState(EnvironmentState):
    """Where the walk is.

    Attributes:
      cell: `row * columns + column`, int32.
    """

    cell: Int[Array, ""]


class GridWalk(Environment[GridState, GridParams]):
    """A walk of H states, H - 1 moves, that starts in one cell and that nothing but the time limit ends.

    Actions are stay, right, down, left and up; who moves against a wall or the border stays. With probability `slip`
    the move is replaced by one that is uniform among all five, the intended one included; the action stays the
    policy's, and `info["executed_action"]` is what was done. The environment pays nothing: a reward transformation
    pays for the set of visited cells.

    The observation is a `GridObservation`, so that the cell is exact; `features` makes a network's input of it:

    - "position": `(2 row / rows - 1, 2 column / columns - 1)`, without the time;
    - "position_and_time": `(row / (rows - 1), column / (columns - 1), time / (H - 1))`, in [0, 1];
    - "raw": `(cell, time)` as they are, which the published code shows; a tanh saturates on them.

    Args:
      walkable: `[rows, columns]` bool, where there is no wall.
      start: the first cell, `row * columns + column`, walkable.
      horizon: H, the number of states with the first one, at least 2.
      slip: in [0, 1]; a walk without it draws nothing.
      shown: what `features` makes, one of the three above.

    Raises:
      ValueError: if an argument is out of range.

    Source: Prajapat et al., "Submodular Reinforcement Learning" (ICLR 2024), and its published code.
    """

    def __init__(
        self, walkable: ArrayLike, start: int, horizon: int, slip: float | Array = 0.0, shown: str = "position"
    ):
        cells = np.asarray(walkable, bool)
        require("walkable", cells.shape, lambda shape: len(shape) == 2 and min(shape) >= 1, "the shape [rows, columns]")
        require_start(start, cells)
        require_horizon(horizon)
        require("slip", slip, lambda p: 0 <= p <= 1, "a probability in [0, 1]")
        require("shown", shown, lambda name: name in FEATURES, f"one of {', '.join(FEATURES)}")
        self.walkable, self.start, self.horizon, self.slip, self.shown = cells, int(start), horizon, slip, shown
        self.slips = isinstance(slip, Tracer) or bool(slip > 0)

    @property
    def default_params(self) -> GridParams:
        """The map, the start and the chance given at construction; a limit of H - 1 moves."""
        return GridParams(
            max_steps_in_episode=self.horizon - 1,
            next_cells=next_cells(self.walkable),
            start=jnp.int32(self.start),
            slip=self.slip,
        )

    @property
    def num_cells(self) -> int:
        """N, walls included: the size of the ground set."""
        return self.walkable.size

    def reset_env(self, key: PRNGKeyArray, params: GridParams) -> tuple[GridObservation, GridState]:
        """The walk at its start; the key is not used."""
        state = GridState(time=jnp.zeros((), jnp.int32), cell=params.start)
        return GridObservation(state.cell, state.time), state

    def step_env(
        self, key: PRNGKeyArray, state: GridState, action: Int[Array, ""], params: GridParams
    ) -> tuple[GridObservation, GridState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One move, which pays nothing; the key is used where moves slip."""
        executed = action.astype(jnp.int32)
        if self.slips:
            # Below slip the number is uniform in [0, slip): it is the draw of the move as well.
            drawn = jax.random.uniform(key)
            replaced = (drawn * len(ACTIONS) / jnp.maximum(params.slip, jnp.finfo(jnp.float32).tiny)).astype(jnp.int32)
            executed = jnp.where(drawn < params.slip, jnp.clip(replaced, 0, len(ACTIONS) - 1), executed)
        state = GridState(time=state.time + 1, cell=params.next_cells[state.cell, executed])
        info = {"executed_action": executed}
        return GridObservation(state.cell, state.time), state, jnp.zeros(()), jnp.zeros((), bool), info

    def observation_space(self, params: GridParams) -> Any:
        """A `GridObservation` of spaces: N cells, H times."""
        return GridObservation(
            spaces.native(spaces.Discrete(self.num_cells)), spaces.native(spaces.Discrete(self.horizon))
        )

    def action_space(self, params: GridParams) -> Any:
        """Stay, right, down, left, up."""
        return spaces.native(spaces.Discrete(len(ACTIONS)))

    def features(self, observation: GridObservation) -> Float[Array, "..."]:
        """A network's input, as `shown` says.

        Args:
          observation: with any leading axes `[...]`.

        Returns:
          `[..., 2]`, or `[..., 3]` with the time, float32.
        """
        rows, columns = self.walkable.shape
        return FEATURES[self.shown](observation, rows, columns, self.horizon)

    @property
    def num_features(self) -> int:
        """Width of `features`: 2, or 3 with the time."""
        return 3 if self.shown == "position_and_time" else 2


def next_cells(walkable: ArrayLike) -> Int[Array, "N 5"]:
    """The cell that each of `ACTIONS` leads to.

    Args:
      walkable: `[rows, columns]` bool.

    Returns:
      `[N, 5]` int32, N = rows * columns; a move into a wall or over the border stays, as does every move of a wall.
    """
    walkable = jnp.asarray(walkable, bool)
    rows, columns = walkable.shape
    table = jnp.asarray(grid_successors(rows, columns, ACTIONS)[:, :, 0], jnp.int32)
    free, here = walkable.reshape(-1), jnp.arange(walkable.size, dtype=jnp.int32)[:, None]
    return jnp.where(free[table] & free[:, None], table, here)


def grid_mdp(
    walkable: ArrayLike,
    start: int,
    slip: float = 0.0,
    cell_rewards: ArrayLike | None = None,
    discount: float = 1.0,
) -> FiniteMDP:
    """The walk as a finite MDP, for reference solvers; its horizon is theirs.

    Args:
      walkable: `[rows, columns]` bool.
      start: the first cell.
      slip: in [0, 1].
      cell_rewards: `[N]`, paid on every arrival in a cell, a stay included: the modular reward; None for nothing.
      discount: gamma in (0, 1], per step.

    Returns:
      N states and five actions; one outcome, or with slip five: outcome b is the move b, with the probability
      `(1 - slip) 1{a = b} + slip / 5`.

    Raises:
      ValueError: if an argument is out of range.
    """
    require("slip", slip, lambda p: 0 <= p <= 1, "a probability in [0, 1]")
    table = np.asarray(next_cells(walkable))
    num_cells, num_actions = table.shape
    successors, probabilities = table[:, :, None], np.ones((num_cells, num_actions, 1))
    if slip > 0:
        successors = np.broadcast_to(table[:, None, :], (num_cells, num_actions, num_actions))
        chances = (1 - slip) * np.eye(num_actions) + slip / num_actions
        probabilities = np.broadcast_to(chances, successors.shape)
    paid = np.zeros(num_cells) if cell_rewards is None else np.asarray(cell_rewards)
    initial = np.arange(num_cells) == start
    return finite_mdp(probabilities, paid[successors], discount, initial=initial, successors=successors)


def require_start(start: int, walkable: ArrayLike) -> None:
    """Refuses a first cell that is none.

    Raises:
      ValueError: if it is a wall or not on the map.
    """
    if isinstance(walkable, Tracer):
        return
    free = np.asarray(walkable, bool).reshape(-1)
    require(
        "start", start, lambda cell: 0 <= cell < free.size and bool(free[cell]), f"a walkable cell, below {free.size}"
    )


def require_horizon(horizon: int) -> None:
    """Refuses a walk without a move.

    Raises:
      ValueError: if H is no integer of at least 2.
    """
    require(
        "horizon",
        horizon,
        lambda number: is_count(number) and number >= 2,
        "an integer of at least 2: it counts states, and a walk without a move has nothing to decide",
    )


def _position(observation: GridObservation, rows: int, columns: int, horizon: int) -> Float[Array, "... 2"]:
    row, column = observation.cell // columns, observation.cell % columns
    return jnp.stack([2 * row / rows - 1, 2 * column / columns - 1], axis=-1).astype(jnp.float32)


def _position_and_time(observation: GridObservation, rows: int, columns: int, horizon: int) -> Float[Array, "... 3"]:
    row, column = observation.cell // columns, observation.cell % columns
    # A map of one row has no extent to divide by.
    extents = (max(rows - 1, 1), max(columns - 1, 1), horizon - 1)
    parts = [part / extent for part, extent in zip((row, column, observation.time), extents, strict=True)]
    return jnp.stack(parts, axis=-1).astype(jnp.float32)


def _raw(observation: GridObservation, rows: int, columns: int, horizon: int) -> Float[Array, "... 2"]:
    return jnp.stack([observation.cell, observation.time], axis=-1).astype(jnp.float32)


FEATURES: dict[str, Callable[[GridObservation, int, int, int], Array]] = {
    "position": _position,
    "position_and_time": _position_and_time,
    "raw": _raw,
}
