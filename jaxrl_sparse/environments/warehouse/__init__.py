"""A warehouse in which a vehicle has to find a target that it cannot see from afar."""

from jaxrl_sparse.environments.warehouse.agv_navigation import (
    AgvComplexDynamic,
    AgvComplexStatic,
    AgvNavigation,
    AgvParams,
    AgvSimpleDynamic,
    AgvSimpleStatic,
    AgvState,
)

__all__ = [
    "AgvComplexDynamic",
    "AgvComplexStatic",
    "AgvNavigation",
    "AgvParams",
    "AgvSimpleDynamic",
    "AgvSimpleStatic",
    "AgvState",
]
