"""The four scenes: two rooms with shelves, each with a target that rests and one that moves. Lengths are in metres."""

from typing import NamedTuple

import numpy as np


class Room(NamedTuple):
    """A square room.

    Attributes:
      size: of its sides.
      shelves: `[R, 4]`, (low x, low y, high x, high y).
      start: (x, y) of the vehicle.
      target: (x, y) of the target that rests.
    """

    size: float
    shelves: np.ndarray
    start: tuple[float, float]
    target: tuple[float, float]


class Scene(NamedTuple):
    """A room, what its target does, and the time that there is.

    Attributes:
      room: the room.
      moves: whether the target is drawn and moves.
      horizon: control steps of an episode.
    """

    room: Room
    moves: bool
    horizon: int


def _shelves(columns: tuple[float, ...], rows: tuple[float, ...], width: float, depth: float) -> np.ndarray:
    return np.array([(x, y, x + width, y + depth) for x in columns for y in rows])


SIMPLE = Room(20.0, _shelves((4.0, 10.0), (5.0, 12.0), 6.0, 1.5), start=(2.0, 2.0), target=(18.0, 18.0))
# A wall over the full height; its gap of 2 m is the only way from the start to the target.
_WALL = np.array([(14.5, 0.0, 15.0, 9.0), (14.5, 11.0, 15.0, 30.0)])
COMPLEX = Room(
    30.0,
    np.concatenate([_shelves((3.0, 12.0, 21.0), (5.0, 11.0, 17.0, 23.0), 5.0, 1.2), _WALL]),
    start=(2.0, 2.0),
    target=(28.0, 27.0),
)

SCENES: dict[str, Scene] = {
    "simple-static": Scene(SIMPLE, moves=False, horizon=2000),
    "simple-dynamic": Scene(SIMPLE, moves=True, horizon=2000),
    "complex-static": Scene(COMPLEX, moves=False, horizon=3000),
    "complex-dynamic": Scene(COMPLEX, moves=True, horizon=4000),
}
