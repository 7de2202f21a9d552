"""The ant's model against MuJoCo's own account of it."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")

from jaxrl_sparse.environments.ant_maze import model  # noqa: E402
from jaxrl_sparse.environments.planar.ant_arena import INNER_WALLS, OUTER_WALLS  # noqa: E402


@pytest.fixture(scope="module")
def ant():
    return model.ant_maze_model()


def test_model_is_the_published_one(ant):
    assert (ant.nq, ant.nv, ant.nu) == (15, 14, 8)
    assert ant.opt.timestep == 0.005 and ant.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
    np.testing.assert_allclose(ant.qpos0, [-25, -25, 0.6, 1, *np.zeros(11)])
    motors = [ant.joint(ant.actuator_trnid[n, 0]).name for n in range(8)]
    assert motors == ["hip_4", "ankle_4", "hip_1", "ankle_1", "hip_2", "ankle_2", "hip_3", "ankle_3"]
    np.testing.assert_array_equal(ant.actuator_gear[:, 0], 150)
    np.testing.assert_array_equal(ant.actuator_ctrlrange, [[-1, 1]] * 8)
    for number, ankle in enumerate([(30, 70), (-70, -30), (-70, -30), (30, 70)], start=1):
        np.testing.assert_allclose(np.rad2deg(ant.joint(f"hip_{number}").range), (-30, 30))
        np.testing.assert_allclose(np.rad2deg(ant.joint(f"ankle_{number}").range), ankle)
    np.testing.assert_array_equal(ant.dof_armature[6:], 1)
    np.testing.assert_array_equal(ant.dof_damping[6:], 1)
    np.testing.assert_array_equal(ant.dof_armature[:6], 0)


def test_walls_stand_where_the_arena_says(ant):
    boxes = np.flatnonzero(ant.geom_type == mujoco.mjtGeom.mjGEOM_BOX)
    found = {(*ant.geom_pos[n, :2], *ant.geom_size[n, :2]) for n in boxes}
    assert found == {(*center, *half_size) for center, half_size in INNER_WALLS + OUTER_WALLS}
    np.testing.assert_array_equal(ant.geom_size[boxes, 2] + ant.geom_pos[boxes, 2], 2)


def test_mass_is_the_ants_share_of_the_published_total():
    # The published file has a resting ball of radius 3 and the ant share 25,755 at one density.
    assert model.ant_maze_model(model.NATURAL_MASS).body_mass.sum() == pytest.approx(model.NATURAL_MASS, rel=1e-12)
    ball = '<body name="ball"><geom type="sphere" pos="0 0 100" size="3"/></body></worldbody>'
    xml = model.ant_maze_xml(model.NATURAL_MASS).replace("</worldbody>", ball)
    published = mujoco.MjModel.from_xml_string(xml)
    mujoco.mj_setTotalmass(published, 25755)
    assert published.body_mass.sum() == pytest.approx(25755)
    of_the_ant = published.body_mass.sum() - published.body("ball").mass[0]
    assert of_the_ant == pytest.approx(model.PUBLISHED_MASS, rel=1e-9)
    assert model.ant_maze_model().body_mass.sum() == pytest.approx(of_the_ant, rel=1e-9)
    assert model.ant_maze_model(3.0).body_mass.sum() == pytest.approx(3.0, rel=1e-9)


def test_leg_points_are_the_ends_of_the_capsules(ant):
    rng = np.random.default_rng(0)
    state = mujoco.MjData(ant)
    for _ in range(5):
        positions = rng.normal(size=15)
        positions[3:7] /= np.linalg.norm(positions[3:7])
        state.qpos[:] = positions
        mujoco.mj_kinematics(ant, state)
        capsules = np.flatnonzero(ant.geom_type == mujoco.mjtGeom.mjGEOM_CAPSULE)
        axes = state.geom_xmat[capsules].reshape(12, 3, 3)[:, :, 2] * ant.geom_size[capsules, 1:2]
        centers = state.geom_xpos[capsules]
        ends = np.stack([centers + axes, centers - axes], axis=1).reshape(4, 3, 2, 3)
        points = np.asarray(jax.jit(model.leg_points)(jnp.asarray(positions, jnp.float32)))
        np.testing.assert_allclose(points[:, :3], ends[:, :, 0], atol=2e-6)
        np.testing.assert_allclose(points[:, 1:], ends[:, :, 1], atol=2e-6)


@pytest.mark.parametrize("missing", ["mujoco", "mujoco.mjx"])
def test_a_missing_installation_is_refused_in_one_line(monkeypatch, missing):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    with pytest.raises(
        ValueError, match=r"^AntMaze: .*takes an installation with the `brax` extra: pip install"
    ) as error:
        model.ant_maze_model()
    assert "\n" not in str(error.value)
