"""AntMaze: a four-legged robot in an arena with walls, simulated by MuJoCo on the accelerator (MJX)."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import require
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.ant_maze.model import (
    FRAME_SKIP,
    LEG_RADIUS,
    PUBLISHED_MASS,
    START_HEIGHT,
    TORSO_RADIUS,
    ant_maze_model,
    leg_points,
    load_mujoco,
)
from jaxrl_sparse.environments.base import EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.planar import drawing
from jaxrl_sparse.environments.planar.ant_arena import START_POSITION, AntArena, scaled_position
from jaxrl_sparse.environments.planar.base import proximity_reward

MAX_STEPS = 3000
START_NOISE = 0.1
START_SEED = 0
NUM_POSITIONS, NUM_VELOCITIES, NUM_MOTORS = 15, 14, 8
# At its size the ant would be a speck of a pixel and a half in an image of 64 x 64.
MAGNIFICATION = 4.0


@struct.dataclass
class AntMazeState(EnvironmentState):
    """The ant; all else that MuJoCo knows is computed anew from it.

    Attributes:
      positions: of the model (see `ant_maze_model`).
      velocities: of the model.
      accelerations: the last ones, from which the contact solver starts.
    """

    positions: Float[Array, "15"]
    velocities: Float[Array, "14"]
    accelerations: Float[Array, "14"]


class AntMaze(AntArena[AntMazeState, EnvironmentParams]):
    """An ant with eight motors in `AntArena`, for 3,000 steps of 0.025 s (five of MuJoCo's, Runge-Kutta of order 4).

    An action is the motors' torques / 150, clipped to [-1, 1]: hip and ankle of the legs 4, 1, 2 and 3. The observation
    is the model's 15 positions (see `ant_maze_model`), (x, y) scaled to (p - 5) / 70, and its 14 velocities. Every
    episode starts at (-25, -25, 0.6) with noise from U(-0.1, 0.1) on the positions (the quaternion is scaled to length
    1 again) and from N(0, 0.1^2) on the velocities. No episode terminates; where the simulation diverges, the
    observation is not a number from there on.

    It needs mujoco and mujoco-mjx, which the `brax` extra brings. A step costs about a hundred thousand times as much
    as one of `PointMaze`, which has the same arena.

    Args:
      ant_mass: in the file's unit, kg; by default the published ant's, 41.4 (see `model.PUBLISHED_MASS`).
      random_start: whether the noise of the start comes from the key of the reset. By default it is the same in every
        episode, as in the publication, which seeds each of them alike.

    Raises:
      ValueError: if mujoco is not installed, or if `ant_mass` is no positive number.

    Source: the large ant maze of Frans et al., "Meta Learning Shared Hierarchies" (2018), in the version of the
    published code of Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021).
    """

    def __init__(self, ant_mass: float = PUBLISHED_MASS, random_start: bool = False):
        require("ant_mass", ant_mass, lambda mass: mass > 0 and math.isfinite(mass), "a positive number, in kg")
        _, self._mjx = load_mujoco()
        self.random_start = random_start
        self._rebuild = functools.partial(AntMaze, ant_mass, random_start)
        self._model = self._mjx.put_model(ant_maze_model(ant_mass))

    def __reduce__(self) -> tuple[Any, ...]:
        # It holds a module, which neither copy nor pickle takes.
        return self._rebuild, ()

    @property
    def default_params(self) -> EnvironmentParams:
        """A time limit of 3,000 steps; the physics is part of the environment."""
        return EnvironmentParams(max_steps_in_episode=MAX_STEPS)

    def reset_env(self, key: PRNGKeyArray, params: EnvironmentParams) -> tuple[Float[Array, "29"], AntMazeState]:
        """The ant at the start; the key is used with `random_start` alone."""
        key = key if self.random_start else jax.random.key(START_SEED)
        positions_key, velocities_key = jax.random.split(key)
        rest = np.zeros(NUM_POSITIONS, np.float32)
        rest[:4] = *START_POSITION, START_HEIGHT, 1.0
        noise = jax.random.uniform(positions_key, (NUM_POSITIONS,), jnp.float32, -START_NOISE, START_NOISE)
        positions = jnp.asarray(rest) + noise
        positions = positions.at[3:7].divide(jnp.linalg.norm(positions[3:7]))
        state = AntMazeState(
            time=jnp.zeros((), jnp.int32),
            positions=positions,
            velocities=START_NOISE * jax.random.normal(velocities_key, (NUM_VELOCITIES,), jnp.float32),
            accelerations=jnp.zeros(NUM_VELOCITIES, jnp.float32),
        )
        return _observation(state), state

    def step_env(
        self, key: PRNGKeyArray, state: AntMazeState, action: Float[Array, "8"], params: EnvironmentParams
    ) -> tuple[Float[Array, "29"], AntMazeState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step; the key is not used."""
        # MJX computes in the widest type that is enabled; the state is float32 in any case.
        physics = self._mjx.make_data(self._model)
        given = {
            "qpos": state.positions,
            "qvel": state.velocities,
            "qacc_warmstart": state.accelerations,
            "ctrl": jnp.clip(action, -1.0, 1.0),
        }
        physics = physics.replace(**{name: x.astype(getattr(physics, name).dtype) for name, x in given.items()})
        physics, _ = jax.lax.scan(
            lambda physics, _: (self._mjx.step(self._model, physics), None), physics, length=FRAME_SKIP
        )
        state = AntMazeState(
            time=state.time + 1,
            positions=physics.qpos.astype(jnp.float32),
            velocities=physics.qvel.astype(jnp.float32),
            accelerations=physics.qacc_warmstart.astype(jnp.float32),
        )
        reward, _ = proximity_reward(state.positions[:2], self.reward_areas)
        reward = jnp.where(state.time == params.max_steps_in_episode, reward, 0.0)
        return _observation(state), state, reward, jnp.zeros((), bool), {}

    def observation_space(self, params: EnvironmentParams) -> Any:
        """An unbounded box."""
        return spaces.native(spaces.Box(-jnp.inf, jnp.inf, (NUM_POSITIONS + NUM_VELOCITIES,)))

    def action_space(self, params: EnvironmentParams) -> Any:
        """Torques, in units of 150."""
        return spaces.native(spaces.Box(-1.0, 1.0, (NUM_MOTORS,)))

    def descriptor(self, state: AntMazeState, params: EnvironmentParams) -> Float[Array, "2"]:
        """(p - 5) / 70 of the torso's centre."""
        return scaled_position(state.positions[:2])

    def area(self, state: AntMazeState, params: EnvironmentParams) -> Int[Array, ""]:
        """The goal that the torso's centre is near, -1 where none."""
        _, area = proximity_reward(state.positions[:2], self.reward_areas)
        return area

    def render_state(self, state: AntMazeState, params: EnvironmentParams) -> Float[Array, "15"]:
        """The positions."""
        return state.positions

    def render(self, render_state: Float[Array, "15"], size: int = 64) -> Float[Array, "{size} {size} 3"]:
        """The ant from above on the scene, four times as large as it is: a blue disc and four black legs."""
        points = drawing.pixel_centers(self, size)
        center = render_state[:2]
        legs = center + MAGNIFICATION * (leg_points(render_state)[..., :2] - center)
        distances = jax.vmap(lambda leg: drawing.polyline(points, leg, MAGNIFICATION * LEG_RADIUS))(legs)
        covered = drawing.coverage(points, jnp.min(distances, axis=0))
        image = drawing.paint(self.scene(size), covered, drawing.BLACK)
        torso = drawing.disc(points, center, MAGNIFICATION * TORSO_RADIUS)
        return drawing.paint(image, drawing.coverage(points, torso), drawing.BLUE)


def _observation(state: AntMazeState) -> Float[Array, "29"]:
    return jnp.concatenate([scaled_position(state.positions[:2]), state.positions[2:], state.velocities])
