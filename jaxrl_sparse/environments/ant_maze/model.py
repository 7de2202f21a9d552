"""The ant and its arena as a MuJoCo model, and where its legs are.

mujoco comes with the `brax` extra and is imported where a model is built, never before.
"""

import contextlib
import importlib.util
import io
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrl_sparse.base import require
from jaxrl_sparse.environments.planar.ant_arena import INNER_WALLS, OUTER_WALLS, START_POSITION

TIMESTEP = 0.005
FRAME_SKIP = 5
GEAR = 150.0
START_HEIGHT = 0.6
TORSO_RADIUS = 0.25
LEG_RADIUS = 0.08
WALL_TOP = 2.0
# Of the thigh (twice, from the torso's centre to the hip and from the hip to the knee) and of the shin, along x and y.
THIGH, SHIN = 0.2, 0.4
# By leg: the signs of its direction along x and y, the ankle's axis along x (that along y is 1), its range in degrees.
LEGS = (
    ((1, 1), -1, (30, 70)),
    ((-1, 1), 1, (-70, -30)),
    ((-1, -1), -1, (-70, -30)),
    ((1, -1), 1, (30, 70)),
)
# The published order of the motors, by leg: hip, then ankle.
MOTORS = (4, 1, 2, 3)
# The published file sets the total mass of all bodies to 25,755. Nearly all of it is that of a ball of radius 3 that
# hangs above the arena without any part in the task, "the monster" of the environment from which the file was made:
# at the file's one density, of 5, it weighs 565.5 and the ant 0.911.
NATURAL_MASS = 5.0 * (
    4 / 3 * np.pi * TORSO_RADIUS**3
    + sum(
        4 * (np.pi * LEG_RADIUS**2 * np.sqrt(2) * length + 4 / 3 * np.pi * LEG_RADIUS**3)
        for length in (THIGH, THIGH, SHIN)
    )
)
PUBLISHED_MASS = 25755.0 * NATURAL_MASS / (NATURAL_MASS + 5.0 * 4 / 3 * np.pi * 3.0**3)
# The solver takes the deepest contacts alone: two for each of nine bodies that may touch the floor, and some walls.
MAX_CONTACT_POINTS = 24


def ant_maze_model(ant_mass: float = PUBLISHED_MASS) -> Any:
    """The model, a `mujoco.MjModel`: 15 positions, 14 velocities, 8 motors.

    Positions are (x, y, z), the unit quaternion (w, x, y, z) of the torso, and hip and ankle of the four legs in
    radians; velocities are linear ones in the world's frame, angular ones in the torso's, and those of the joints.

    Args:
      ant_mass: of the whole ant, spread over it evenly.

    Raises:
      ValueError: if mujoco is not installed.
    """
    mujoco, _ = load_mujoco()
    return mujoco.MjModel.from_xml_string(ant_maze_xml(ant_mass))


def load_mujoco() -> tuple[Any, Any]:
    """The modules `mujoco` and `mujoco.mjx`.

    Raises:
      ValueError: if one of them is not installed.
    """
    require(
        "AntMaze",
        "no installation of mujoco and mujoco-mjx",
        lambda _: importlib.util.find_spec("mujoco") and importlib.util.find_spec("mujoco.mjx"),
        "an installation with the `brax` extra: pip install -c constraints.txt '.[brax]'",
    )
    # It prints to stdout that the optional warp, of which nothing is used here, is missing.
    with contextlib.redirect_stdout(io.StringIO()):
        import mujoco
        from mujoco import mjx
    return mujoco, mjx


def ant_maze_xml(ant_mass: float = PUBLISHED_MASS) -> str:
    """The model in MuJoCo's format: an ant of a sphere and twelve capsules, a floor, and the arena's walls as boxes.

    The parts of the ant touch floor and walls but not one another; the goals are no bodies. The ant's angles start at
    zero, outside of the ankles' ranges, as published.
    """
    walls = "".join(
        f'<geom type="box" pos="{x} {y} 0" size="{half_x} {half_y} {WALL_TOP}" conaffinity="1"/>'
        for (x, y), (half_x, half_y) in INNER_WALLS + OUTER_WALLS
    )
    legs = "".join(_leg(number, *leg) for number, leg in enumerate(LEGS, start=1))
    motors = "".join(
        f'<motor joint="{joint}_{number}" gear="{GEAR}" ctrllimited="true" ctrlrange="-1 1"/>'
        for number in MOTORS
        for joint in ("hip", "ankle")
    )
    return f"""
<mujoco model="ant_maze">
  <compiler angle="degree" inertiafromgeom="true"/>
  <option integrator="RK4" timestep="{TIMESTEP}"/>
  <custom><numeric name="max_contact_points" data="{MAX_CONTACT_POINTS}"/></custom>
  <default>
    <joint armature="1" damping="1" limited="true"/>
    <geom conaffinity="0" condim="3" density="{5.0 * ant_mass / NATURAL_MASS}" friction="1 0.5 0.5" margin="0.01"/>
  </default>
  <worldbody>
    <geom type="plane" pos="5 5 0" size="35 35 40" conaffinity="1"/>
    {walls}
    <body name="torso" pos="{START_POSITION[0]} {START_POSITION[1]} {START_HEIGHT}">
      <freejoint name="root"/>
      <geom type="sphere" size="{TORSO_RADIUS}"/>
      {legs}
    </body>
  </worldbody>
  <actuator>{motors}</actuator>
</mujoco>
"""


def leg_points(positions: Float[Array, "15"]) -> Float[Array, "4 4 3"]:
    """The ends of the legs' parts in the world: by leg, the torso's centre, hip, knee and foot.

    Args:
      positions: of the model, with a unit quaternion.
    """
    hips, ankles = positions[7::2], positions[8::2]
    signs, axes, _ = zip(*LEGS, strict=True)
    outward = jnp.concatenate([jnp.array(signs, jnp.float32), jnp.zeros((4, 1), jnp.float32)], axis=1)
    up = jnp.broadcast_to(jnp.array([0.0, 0.0, 1.0], jnp.float32), (4, 3))
    axis = jnp.stack([jnp.array(axes, jnp.float32), jnp.ones(4), jnp.zeros(4)], axis=1) / np.float32(np.sqrt(2))
    hip = THIGH * outward
    knee = hip + _rotate(up, hips, hip)
    foot = knee + _rotate(up, hips, _rotate(axis, ankles, SHIN * outward))
    points = jnp.stack([jnp.zeros_like(hip), hip, knee, foot], axis=1)

    w, vector = positions[3], positions[4:7]
    twist = 2 * jnp.cross(vector, points)
    return positions[:3] + points + w * twist + jnp.cross(vector, twist)


def _rotate(axis: Float[Array, "4 3"], angle: Float[Array, "4"], vector: Float[Array, "4 3"]) -> Float[Array, "4 3"]:
    """Rodrigues' formula, for unit axes."""
    cos, sin = jnp.cos(angle)[:, None], jnp.sin(angle)[:, None]
    along = jnp.sum(axis * vector, axis=1, keepdims=True) * axis
    return cos * vector + sin * jnp.cross(axis, vector) + (1 - cos) * along


def _leg(number: int, signs: tuple[int, int], ankle_axis: int, ankle_range: tuple[int, int]) -> str:
    def bone(length: float) -> str:
        end = f"{signs[0] * length} {signs[1] * length} 0"
        return f'<geom type="capsule" fromto="0 0 0 {end}" size="{LEG_RADIUS}"/>'

    joint = f"{signs[0] * THIGH} {signs[1] * THIGH} 0"
    low, high = ankle_range
    return f"""
      <body name="leg_{number}">
        {bone(THIGH)}
        <body pos="{joint}">
          <joint name="hip_{number}" type="hinge" axis="0 0 1" range="-30 30"/>
          {bone(THIGH)}
          <body name="shin_{number}" pos="{joint}">
            <joint name="ankle_{number}" type="hinge" axis="{ankle_axis} 1 0" range="{low} {high}"/>
            {bone(SHIN)}
          </body>
        </body>
      </body>"""
