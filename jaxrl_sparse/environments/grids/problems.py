"""The published problems of submodular grid worlds as environments, each with its instance."""

from collections.abc import Callable

import jax
from jaxtyping import Array

from jaxrl_sparse.environments.grids.grid_walk import GridWalk
from jaxrl_sparse.environments.grids.instances import (
    COVERAGE_HORIZON,
    HORIZON,
    GridInstance,
    bimodal_instance,
    biodiversity_instance,
    coverage_instance,
    density_instance,
    entropy_instance,
    item_collection_instance,
    two_rooms_instance,
)


class SubmodularGrid(GridWalk):
    """A `GridWalk` on the map of an instance, which says what a set of visited cells is worth.

    Args:
      instance: from `instances`.
      slip: probability that a move is replaced, in [0, 1].
      shown: what `features` makes, see `GridWalk`.

    Raises:
      ValueError: if an argument is out of range.

    Attributes:
      instance: the arrays of the set function.
    """

    def __init__(self, instance: GridInstance, slip: float | Array = 0.0, shown: str = "position"):
        super().__init__(instance.walkable, int(instance.start), instance.horizon, slip, shown)
        self.instance = instance


class CoverageGrid(SubmodularGrid):
    """Constant coverage of an open map of 30 x 30 cells; at H = 80 the optimum is 162.

    Args:
      horizon: H, at least 2.
      slip: in [0, 1].
      shown: see `GridWalk`.
    """

    def __init__(self, horizon: int = COVERAGE_HORIZON, slip: float | Array = 0.0, shown: str = "position"):
        super().__init__(coverage_instance(horizon=horizon), slip, shown)


class BimodalGrid(SubmodularGrid):
    """Coverage of two hills in opposite corners of 30 x 30 cells; at H = 40 the best that is known is 51.449.

    Args:
      horizon: H, at least 2.
      slip: in [0, 1].
      shown: see `GridWalk`.
    """

    def __init__(self, horizon: int = HORIZON, slip: float | Array = 0.0, shown: str = "position"):
        super().__init__(bimodal_instance(horizon=horizon), slip, shown)


class DensityGrid(SubmodularGrid):
    """Coverage weighted by a draw of a Gaussian process on 30 x 30 cells, see `density_instance`.

    Args:
      seed: of the draw.
      horizon: H, at least 2.
      slip: in [0, 1].
      shown: see `GridWalk`.
    """

    def __init__(self, seed: int = 0, horizon: int = HORIZON, slip: float | Array = 0.0, shown: str = "position"):
        super().__init__(_drawn(density_instance, seed, horizon), slip, shown)


class BiodiversityGrid(SubmodularGrid):
    """Coverage weighted by a density of nests on 30 x 30 cells, drawn anew: see `biodiversity_instance`.

    Args:
      seed: of the draw.
      horizon: H, at least 2.
      slip: in [0, 1].
      shown: see `GridWalk`.
    """

    def __init__(self, seed: int = 0, horizon: int = HORIZON, slip: float | Array = 0.0, shown: str = "position"):
        super().__init__(_drawn(biodiversity_instance, seed, horizon), slip, shown)


class TwoRooms(SubmodularGrid):
    """Coverage of two rooms and the corridor between them; at H = 40 all 68 cells can be covered.

    Args:
      horizon: H, at least 2.
      slip: in [0, 1].
      shown: see `GridWalk`.
    """

    def __init__(self, horizon: int = HORIZON, slip: float | Array = 0.0, shown: str = "position"):
        super().__init__(two_rooms_instance(horizon), slip, shown)


class ItemCollection(SubmodularGrid):
    """Six kinds of items on 7 x 15 cells, a few of each wanted; the optimum is 21, see `item_collection_instance`.

    Args:
      seed: of where they lie.
      horizon: H, at least 2.
      slip: in [0, 1].
      shown: see `GridWalk`.
    """

    def __init__(self, seed: int = 0, horizon: int = HORIZON, slip: float | Array = 0.0, shown: str = "position"):
        super().__init__(_drawn(item_collection_instance, seed, horizon), slip, shown)


class EntropyGrid(SubmodularGrid):
    """What measurements on 30 x 30 cells tell of a Gaussian process, see `entropy_instance`.

    Args:
      seed: of the points that the process is conditioned on.
      horizon: H, at least 2.
      slip: in [0, 1].
      shown: see `GridWalk`.
    """

    def __init__(self, seed: int = 0, horizon: int = HORIZON, slip: float | Array = 0.0, shown: str = "position"):
        super().__init__(_drawn(entropy_instance, seed, horizon), slip, shown)


def _drawn(instance: Callable[..., GridInstance], seed: int, horizon: int) -> GridInstance:
    # Compiled as one: operation by operation takes several times as long.
    return jax.jit(lambda key: instance(key, horizon=horizon))(jax.random.key(seed))
