"""CarRacing: a lap on a track that ends where the car leaves it, paid by the furthest point that was reached."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment, EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.racing.dynamics import CarConstants, car_step
from jaxrl_sparse.environments.racing.track import Track, interpolate, random_track

MAX_STEPS = 700
# Short of the whole length of 16.4076 m, so that the distance along the track never starts anew.
FINISH = 16.4
START_OFFSET = 0.1
STEP_REWARD, OFF_TRACK_REWARD, FINISH_REWARD = -0.01, -1.0, 1.0


@struct.dataclass
class CarRacingParams(EnvironmentParams):
    """The track and the car.

    Attributes:
      track: 16.4076 m long.
      car: the constants of the physics.
    """

    track: Track
    car: CarConstants


@struct.dataclass
class CarRacingState(EnvironmentState):
    """Where the car is.

    Attributes:
      car: `[6]`, `(s, d, mu, v_x, v_y, r)`, see `dynamics`.
    """

    car: Float[Array, "6"]


class CarRacing(Environment[CarRacingState, CarRacingParams]):
    """A lap of 16.4 m in at most 700 steps of 0.03 s, by a car whose tyres slip.

    Actions are the motor's duty cycle and the steering angle (rad), clipped to [-1, 1]. The observation is
    `(s, d, mu, v_x, v_y)`, in m, rad and m/s. Episodes start at rest at s = 0, 0.1 m to the left or to the right of the
    centre line with even chances; in the published code one draw decides for the whole batch. They terminate where the
    car's centre is off the track or has reached 16.4 m.

    A step costs 0.01, leaving the track 1 more, and the finish pays 1. Progress is a reward transformation's to pay:
    the gain of the set function "furthest s", or s itself, read off the observation by `progress`.

    Args:
      seed: of the track, see `random_track`.

    Source: Prajapat et al., "Submodular Reinforcement Learning" (ICLR 2024), published code; the track is another of
    the same length and of the same ranges of curvature and width.
    """

    def __init__(self, seed: int = 0):
        self.track = jax.jit(random_track)(jax.random.key(seed))

    @property
    def default_params(self) -> CarRacingParams:
        """The track of the seed, the published car, and a limit of 700 steps."""
        return CarRacingParams(max_steps_in_episode=MAX_STEPS, track=self.track, car=CarConstants())

    def reset_env(self, key: PRNGKeyArray, params: CarRacingParams) -> tuple[Float[Array, "5"], CarRacingState]:
        """The car at rest, on either side of the centre line."""
        side = jnp.where(jax.random.bernoulli(key), START_OFFSET, -START_OFFSET)
        state = CarRacingState(time=jnp.zeros((), jnp.int32), car=jnp.zeros(6).at[1].set(side))
        return _observe(state), state

    def step_env(
        self, key: PRNGKeyArray, state: CarRacingState, action: Float[Array, "2"], params: CarRacingParams
    ) -> tuple[Float[Array, "5"], CarRacingState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step; the key is not used. `info` holds `off_track` and `finished`, bool."""
        track = params.track
        car = car_step(state.car, action, lambda s: interpolate(track.curvature, track, s), params.car)
        s, d = car[0], car[1]
        off_track = jnp.abs(d) > interpolate(track.half_width, track, s)
        finished = (s >= FINISH) & ~off_track
        reward = STEP_REWARD + OFF_TRACK_REWARD * off_track + FINISH_REWARD * finished
        state = CarRacingState(time=state.time + 1, car=car)
        info = {"off_track": off_track, "finished": finished}
        return _observe(state), state, reward.astype(jnp.float32), off_track | finished, info

    def observation_space(self, params: CarRacingParams) -> Any:
        """An unbounded box."""
        return spaces.native(spaces.Box(-jnp.inf, jnp.inf, (5,)))

    def action_space(self, params: CarRacingParams) -> Any:
        """Duty cycle and steering angle."""
        return spaces.native(spaces.Box(-1.0, 1.0, (2,)))


def progress(observation: Float[Array, "*B 5"]) -> Float[Array, "*B"]:
    """s of an observation, the distance along the track, m: the element that "furthest point" is a function of."""
    return observation[..., 0]


def _observe(state: CarRacingState) -> Float[Array, "5"]:
    return state.car[:5]
