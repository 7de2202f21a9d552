"""AgvNavigation: a vehicle in a warehouse that has to find a target, with laser ranges and nothing else to go by."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import is_count, require, require_known
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment, EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.warehouse.geometry import free_cells, free_interval, is_blocked, ray_distances
from jaxrl_sparse.environments.warehouse.scenes import SCENES

NUM_RAYS = 16
RANGE = 10.0
VEHICLE_RADIUS, TARGET_RADIUS = 0.5, 0.75
TIME_STEP = 0.05
MAX_SPEED, MAX_TURN_RATE, LAG = 2.0, np.pi / 2, 0.2
TARGET_SPEED, TARGET_SWEEP = 0.5, 2.0
COLLISION_PENALTY = 0.01
OBSERVATION_SIZE = NUM_RAYS + 9
# Of the wavelengths of `novelty_view`.
NUM_OCTAVES = 4
_RAY_ANGLES = 2 * np.pi * np.arange(NUM_RAYS, dtype=np.float32) / NUM_RAYS


class Vehicle(NamedTuple):
    """The vehicle, a disc.

    Attributes:
      position: `[2]`, (x, y), metres.
      heading: radians, counter-clockwise from x.
      speed: metres per second, forward.
      turn_rate: radians per second, counter-clockwise.
    """

    position: Float[Array, "2"]
    heading: Float[Array, ""]
    speed: Float[Array, ""]
    turn_rate: Float[Array, ""]


class Target(NamedTuple):
    """Where the target is at the start of an episode, and how far it goes.

    Attributes:
      position: `[2]`, (x, y), metres.
      low: the least x of its way.
      high: the largest x of its way.
    """

    position: Float[Array, "2"]
    low: Float[Array, ""]
    high: Float[Array, ""]


@struct.dataclass
class AgvState(EnvironmentState):
    """What changes in an episode.

    Attributes:
      vehicle: the vehicle.
      target: the target.
      collided: whether the last step met a shelf or a wall.
    """

    vehicle: Vehicle
    target: Target
    collided: Bool[Array, ""]


@struct.dataclass
class AgvParams(EnvironmentParams):
    """The room and the constants of motion; all of them can be swept.

    Attributes:
      size: of the room's sides, metres.
      shelves: `[R, 4]`, (low x, low y, high x, high y), metres.
      start: `[2]`, where the vehicle starts.
      target_cells: `[K, 4]`, rectangles in which the target is drawn, like shelves; one point where it rests.
      target_shares: `[K]`, sums of the rectangles' probabilities up to each one, the last of them 1.
      target_speed: metres per second.
      max_speed: metres per second, at full command.
      max_turn_rate: radians per second, at full command.
      lag: seconds in which speeds come within 1 / e of the command.
    """

    size: float | Array
    shelves: Float[Array, "R 4"]
    start: Float[Array, "2"]
    target_cells: Float[Array, "K 4"]
    target_shares: Float[Array, "K"]
    target_speed: float | Array
    max_speed: float | Array = MAX_SPEED
    max_turn_rate: float | Array = MAX_TURN_RATE
    lag: float | Array = LAG


class AgvNavigation(Environment[AgvState, AgvParams]):
    """A vehicle that has to find a target among shelves, with continuous commands and a reward only at the target.

    An action, clipped to [-1, 1]^2, commands a speed of 2 a_0 m/s and a turn rate of pi/2 a_1 rad/s. A control step of
    dt = .05 s brings both nearer, `v <- v + (v* - v) dt / .2`, moves the vehicle by `v dt` along its heading, and turns
    it. Where the vehicle, a disc of radius .5 m, would reach into a shelf or a wall, its position stays, its speed
    becomes 0, and the step costs .01. The first step after which its centre is within .75 m of the target's pays 1 and
    terminates; the horizon truncates.

    Scenes: a room of 20 x 20 m with four shelves ("simple"), or of 30 x 30 m with twelve shelves and a wall with one
    gap ("complex"). The vehicle starts at (2, 2) with heading 0. The target rests at (18, 18), or (28, 27) ("static");
    or it is drawn uniformly from the free places that differ from the start by more than the lasers' range in x or y,
    and moves to and fro along x, at .5 m/s, within 2 m of there and up to the next shelf or wall ("dynamic"). Horizons
    are 2,000 control steps in the simple room, in the complex one 3,000 (static) and 4,000 (dynamic).

    The observation `[25]` is 16 ranges / 10 m, cut at 1, evenly spaced counter-clockwise from the heading; the position
    scaled to [-1, 1]; cosine and sine of the heading; both speeds by their largest; whether the last step collided; the
    time by the horizon; and whether the target is in sight, within 10 m and not behind a shelf. Where it is, is not
    observed. `novelty_view` is the part of it that novelty should be of.

    A reconstruction: the paper's four kinds of scenes, continuous commands and numbers of steps are as published,
    everything else here (sizes, shelves, motion, observation, rewards) is our own: its environment is not public.

    Args:
      scene: "simple-static", "simple-dynamic", "complex-static" or "complex-dynamic".
      action_repeat: control steps that an action lasts, a divisor of the horizon; rewards are summed over them, and the
        time limit is the horizon / `action_repeat`.

    Raises:
      ValueError: if the scene is unknown, or if the horizon cannot be divided.

    Source: the scenes of "RND-PPO" path planning for automated guided vehicles, after its abstract.
    """

    def __init__(self, scene: str = "simple-static", action_repeat: int = 1):
        require_known("scene", scene, SCENES, SCENES)
        horizon = SCENES[scene].horizon
        takes = f"a divisor of the {horizon} control steps of an episode"
        require("action_repeat", action_repeat, lambda number: is_count(number) and horizon % number == 0, takes)
        self.scene = scene
        self.action_repeat = action_repeat

    @property
    def default_params(self) -> AgvParams:
        """The scene's room, and the constants above."""
        scene = SCENES[self.scene]
        room = scene.room
        cells, areas = np.array([room.target * 2]), np.ones(1)
        if scene.moves:
            reach = RANGE - TARGET_RADIUS
            near_start = np.array([*np.subtract(room.start, reach), *np.add(room.start, reach)])
            cells = free_cells(np.vstack([room.shelves, near_start]), room.size, TARGET_RADIUS)
            areas = np.prod(cells[:, 2:] - cells[:, :2], axis=1)
        return AgvParams(
            max_steps_in_episode=scene.horizon // self.action_repeat,
            size=room.size,
            shelves=jnp.asarray(room.shelves, jnp.float32),
            start=jnp.asarray(room.start, jnp.float32),
            target_cells=jnp.asarray(cells, jnp.float32),
            target_shares=jnp.asarray(np.cumsum(areas) / np.sum(areas), jnp.float32),
            target_speed=TARGET_SPEED if scene.moves else 0.0,
        )

    def reset_env(self, key: PRNGKeyArray, params: AgvParams) -> tuple[Float[Array, "25"], AgvState]:
        """The vehicle at rest where it starts; the key draws the target."""
        zero = jnp.zeros((), jnp.float32)
        state = AgvState(
            time=jnp.zeros((), jnp.int32),
            vehicle=Vehicle(params.start, zero, zero, zero),
            target=_draw_target(key, params),
            collided=jnp.zeros((), bool),
        )
        return self._observe(state, params), state

    def step_env(
        self, key: PRNGKeyArray, state: AgvState, action: Float[Array, "2"], params: AgvParams
    ) -> tuple[Float[Array, "25"], AgvState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """As many control steps as the action lasts, or fewer where they reach the target; the key is not used."""
        command = jnp.clip(action, -1.0, 1.0)

        def control_step(carry, index):
            vehicle, collisions, reached = carry
            moved, collides = drive(vehicle, command, params)
            vehicle = jax.tree.map(lambda new, old: jnp.where(reached, old, new), moved, vehicle)
            collisions = collisions + (collides & ~reached).astype(jnp.int32)
            target = target_position(state.target, self._seconds(state.time) + TIME_STEP * (index + 1), params)
            reached = reached | (jnp.sum((vehicle.position - target) ** 2) <= TARGET_RADIUS**2)
            return (vehicle, collisions, reached), None

        start = (state.vehicle, jnp.zeros((), jnp.int32), jnp.zeros((), bool))
        (vehicle, collisions, reached), _ = jax.lax.scan(control_step, start, jnp.arange(self.action_repeat))
        state = AgvState(time=state.time + 1, vehicle=vehicle, target=state.target, collided=collisions > 0)
        reward = reached.astype(jnp.float32) - COLLISION_PENALTY * collisions.astype(jnp.float32)
        return self._observe(state, params), state, reward, reached, {}

    def observation_space(self, params: AgvParams) -> Any:
        """Ranges, flags and the time in [0, 1], everything else in [-1, 1]."""
        low = np.zeros(OBSERVATION_SIZE, np.float32)
        low[NUM_RAYS : NUM_RAYS + 6] = -1.0
        return spaces.native(spaces.Box(low, np.ones(OBSERVATION_SIZE, np.float32), (OBSERVATION_SIZE,)))

    def action_space(self, params: AgvParams) -> Any:
        """Speed and turn rate by their largest."""
        return spaces.native(spaces.Box(-1.0, 1.0, (2,)))

    def novelty_view(self, observations: Float[Array, "*batch 25"]) -> Float[Array, "*batch 16"]:
        """What a bonus looks at: sines and cosines of x and y, of the room's size, its half, quarter and eighth.

        Not the target, which would stay new for as long as it moves; and waves instead of the position itself, because
        networks of two inputs know one end of the room as soon as they know the other.
        """
        position = observations[..., NUM_RAYS : NUM_RAYS + 2, None]
        phases = jnp.pi * 2.0 ** jnp.arange(NUM_OCTAVES) * position
        phases = phases.reshape(*phases.shape[:-2], 2 * NUM_OCTAVES)
        return jnp.concatenate([jnp.sin(phases), jnp.cos(phases)], axis=-1)

    def _seconds(self, time: Int[Array, ""]) -> Float[Array, ""]:
        return TIME_STEP * self.action_repeat * time.astype(jnp.float32)

    def _observe(self, state: AgvState, params: AgvParams) -> Float[Array, "25"]:
        vehicle = state.vehicle
        to_target = target_position(state.target, self._seconds(state.time), params) - vehicle.position
        distance = jnp.sqrt(jnp.sum(to_target**2))
        angles = vehicle.heading + _RAY_ANGLES
        rays = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
        # The line of sight is one ray more.
        rays = jnp.concatenate([rays, (to_target / jnp.maximum(distance, 1e-6))[None]])
        ranges = ray_distances(vehicle.position, rays, params.shelves, params.size)
        in_sight = (distance <= RANGE) & (distance <= ranges[NUM_RAYS])
        rest = [
            2 * vehicle.position[0] / params.size - 1,
            2 * vehicle.position[1] / params.size - 1,
            rays[0, 0],
            rays[0, 1],
            vehicle.speed / params.max_speed,
            vehicle.turn_rate / params.max_turn_rate,
            state.collided,
            state.time / params.max_steps_in_episode,
            in_sight,
        ]
        return jnp.concatenate([jnp.minimum(ranges[:NUM_RAYS] / RANGE, 1.0), jnp.stack(rest).astype(jnp.float32)])


class AgvSimpleStatic(AgvNavigation):
    """The simple room, the target at rest; see `AgvNavigation`."""

    def __init__(self, action_repeat: int = 1):
        super().__init__("simple-static", action_repeat)


class AgvSimpleDynamic(AgvNavigation):
    """The simple room, the target moving; see `AgvNavigation`."""

    def __init__(self, action_repeat: int = 1):
        super().__init__("simple-dynamic", action_repeat)


class AgvComplexStatic(AgvNavigation):
    """The complex room, the target at rest; see `AgvNavigation`."""

    def __init__(self, action_repeat: int = 1):
        super().__init__("complex-static", action_repeat)


class AgvComplexDynamic(AgvNavigation):
    """The complex room, the target moving; see `AgvNavigation`."""

    def __init__(self, action_repeat: int = 1):
        super().__init__("complex-dynamic", action_repeat)


def drive(vehicle: Vehicle, command: Float[Array, "2"], params: AgvParams) -> tuple[Vehicle, Bool[Array, ""]]:
    """One control step: the vehicle after it, and whether it has collided.

    Args:
      vehicle: before the step.
      command: speed and turn rate by their largest, in [-1, 1].
      params: of the environment.
    """
    share = TIME_STEP / params.lag
    speed = vehicle.speed + (params.max_speed * command[0] - vehicle.speed) * share
    turn_rate = vehicle.turn_rate + (params.max_turn_rate * command[1] - vehicle.turn_rate) * share
    ahead = jnp.stack([jnp.cos(vehicle.heading), jnp.sin(vehicle.heading)])
    position = vehicle.position + TIME_STEP * speed * ahead
    collides = is_blocked(position, VEHICLE_RADIUS, params.shelves, params.size)
    moved = Vehicle(
        position=jnp.where(collides, vehicle.position, position),
        heading=vehicle.heading + TIME_STEP * turn_rate,
        speed=jnp.where(collides, 0.0, speed),
        turn_rate=turn_rate,
    )
    return moved, collides


def target_position(target: Target, seconds: Float[Array, ""], params: AgvParams) -> Float[Array, "2"]:
    """Where the target is: it sets out towards larger x and turns round at the ends of its way.

    With w the length of the way and s = x_0 - low + speed t, x = low + w - |w - s mod 2 w|.

    Args:
      target: at the start of the episode.
      seconds: t, since then.
      params: of the environment.
    """
    way = target.high - target.low
    # A way without length would have no rest.
    gone = jnp.mod(target.position[0] - target.low + params.target_speed * seconds, jnp.maximum(2 * way, 1e-6))
    x = target.low + way - jnp.abs(way - gone)
    return jnp.stack([jnp.where(params.target_speed == 0, target.position[0], x), target.position[1]])


def _draw_target(key: PRNGKeyArray, params: AgvParams) -> Target:
    """A point of a rectangle that is drawn by its area: uniform over all of them."""
    choice, *within = jax.random.uniform(key, (3,))
    index = jnp.minimum(jnp.sum(params.target_shares <= choice), params.target_shares.shape[0] - 1)
    cell = params.target_cells[index]
    position = cell[:2] + jnp.stack(within) * (cell[2:] - cell[:2])
    low, high = free_interval(position, TARGET_RADIUS, params.shelves, params.size)
    return Target(position, jnp.maximum(low, position[0] - TARGET_SWEEP), jnp.minimum(high, position[0] + TARGET_SWEEP))
