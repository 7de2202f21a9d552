"""Walks on grids of cells, for set functions of the visited cells."""

from jaxrl_sparse.environments.grids.grid_walk import (
    GridObservation,
    GridParams,
    GridState,
    GridWalk,
    grid_mdp,
    next_cells,
)
from jaxrl_sparse.environments.grids.instances import (
    GridInstance,
    bimodal_instance,
    biodiversity_instance,
    block_footprint,
    coverage_instance,
    density_instance,
    entropy_instance,
    item_collection_instance,
    two_rooms_instance,
)
from jaxrl_sparse.environments.grids.problems import (
    BimodalGrid,
    BiodiversityGrid,
    CoverageGrid,
    DensityGrid,
    EntropyGrid,
    ItemCollection,
    SubmodularGrid,
    TwoRooms,
)

__all__ = [
    "BimodalGrid",
    "BiodiversityGrid",
    "CoverageGrid",
    "DensityGrid",
    "EntropyGrid",
    "GridInstance",
    "GridObservation",
    "GridParams",
    "GridState",
    "GridWalk",
    "ItemCollection",
    "SubmodularGrid",
    "TwoRooms",
    "bimodal_instance",
    "biodiversity_instance",
    "block_footprint",
    "coverage_instance",
    "density_instance",
    "entropy_instance",
    "grid_mdp",
    "item_collection_instance",
    "next_cells",
    "two_rooms_instance",
]
