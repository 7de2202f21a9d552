"""A miniature racing car on closed tracks."""

from jaxrl_sparse.environments.racing.car_racing import CarRacing, CarRacingParams, CarRacingState, progress
from jaxrl_sparse.environments.racing.dynamics import CarConstants, car_step
from jaxrl_sparse.environments.racing.track import (
    Track,
    circular_track,
    interpolate,
    mirrored,
    random_track,
    world_position,
)

__all__ = [
    "CarConstants",
    "CarRacing",
    "CarRacingParams",
    "CarRacingState",
    "Track",
    "car_step",
    "circular_track",
    "interpolate",
    "mirrored",
    "progress",
    "random_track",
    "world_position",
]
