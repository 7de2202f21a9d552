"""The arm against reference trajectories and brute force over joints."""

import copy
import json
import pickle
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.planar.redundant_arm import (
    GOAL_POSITIONS,
    NUM_JOINTS,
    RedundantArm,
    RedundantArmState,
    collides,
    joint_positions,
)
from jaxrl_sparse.networks.genomes import feedforward

REFERENCE = json.loads((Path(__file__).parents[2] / "data" / "redundant_arm.json").read_text())
ENVIRONMENT = RedundantArm()
PARAMS = ENVIRONMENT.default_params
KEY = jax.random.key(0)
FIRST, LAST = np.eye(NUM_JOINTS)[[0, -1]]
SCRIPTS = {
    "zero": np.zeros(NUM_JOINTS),
    "plus": np.ones(NUM_JOINTS),
    "minus": -np.ones(NUM_JOINTS),
    "first": FIRST,
    "last_minus": -LAST,
}


def play(policy):
    """Final state, steps until the arm stopped, and all rewards and angles of 100 control steps."""

    def step(carry, _):
        observation, state, steps = carry
        steps += ~state.collided
        observation, state, reward, terminated, _ = ENVIRONMENT.step_env(KEY, state, policy(observation), PARAMS)
        return (observation, state, steps), (reward, terminated, state.angles)

    start = (*ENVIRONMENT.reset_env(KEY, PARAMS), jnp.int32(0))
    (_, state, steps), rows = jax.lax.scan(step, start, None, 100)
    return state, steps, ENVIRONMENT.descriptor(state, PARAMS), rows


@pytest.fixture(scope="module")
def scripted():
    actions = jnp.asarray(np.stack(list(SCRIPTS.values())), jnp.float32)
    played = jax.jit(jax.vmap(lambda action: play(lambda _: action)))(actions)
    return {name: jax.tree.map(lambda leaf, n=n: leaf[n], played) for n, name in enumerate(SCRIPTS)}


@pytest.fixture(scope="module")
def substeps():
    """One control step from any states, for arms that are paid at the time limit and for those that are not."""
    return {
        paid: jax.jit(jax.vmap(partial(RedundantArm(reward_on_timeout=paid).step_env, KEY, params=PARAMS)))
        for paid in (True, False)
    }


def forward_kinematics(angles):
    joints, heading = [np.array([0.5, 0.5])], np.pi / 2
    for angle in angles:
        heading += angle
        joints.append(joints[-1] + 0.05 * np.array([np.cos(heading), np.sin(heading)]))
    return np.array(joints)


def illegal(joints):
    """The published rules, one joint and one pair at a time."""
    for x, y in joints:
        if not (0 <= x < 1 and 0 <= y < 1):
            return True
        for wall_x, wall_y, width, height in (
            (0.49, 0, 0.02, 0.2),
            (0.49, 0.8, 0.02, 0.2),
            (0, 0.49, 0.2, 0.02),
            (0.8, 0.49, 0.2, 0.02),
        ):
            if wall_x < x < wall_x + width and wall_y < y < wall_y + height:
                return True
    return any(np.abs(a - b).sum() < 0.0475 for n, a in enumerate(joints) for b in joints[:n])


@pytest.mark.parametrize("name", SCRIPTS)
def test_reference_trajectory_of_scripted_actions(scripted, name):
    state, steps, end_effector, (_, terminated, _) = scripted[name]
    reference = REFERENCE[name]
    assert int(steps) == reference["steps"]
    assert bool(state.collided) == reference["stopped"]
    np.testing.assert_allclose(end_effector, reference["x"], atol=2e-6)
    np.testing.assert_allclose(state.angles, reference["angles"], atol=2e-6)
    # It terminates at the step that stops it and stays so.
    first_terminated = reference["steps"] - 1 if reference["stopped"] else 100
    np.testing.assert_array_equal(terminated, np.arange(100) >= first_terminated)


def test_reference_final_poses_of_genomes():
    network = feedforward((20, 5, 5, 20))
    rollouts = REFERENCE["genome_rollouts"]
    genomes = jnp.array([rollout["genome"] for rollout in rollouts], jnp.float32)
    _, steps, end_effectors, _ = jax.jit(jax.vmap(lambda genome: play(partial(network.apply, genome))))(genomes)
    np.testing.assert_array_equal(steps, [rollout["steps"] for rollout in rollouts])
    np.testing.assert_allclose(end_effectors, [rollout["x"] for rollout in rollouts], atol=1e-5)


def test_zero_action_keeps_the_pose(scripted):
    _, _, end_effector, (rewards, terminated, angles) = scripted["zero"]
    spiral = np.linspace(np.pi / 5, np.pi / 20, 20)
    np.testing.assert_allclose(angles, np.tile(spiral, (100, 1)), atol=1e-6)
    np.testing.assert_allclose(end_effector, REFERENCE["init_end_effector"], atol=1e-6)
    assert not rewards.any() and not terminated.any()


def test_constant_acceleration_sums_up(scripted):
    # After n substeps from rest the angle has grown by a dt^2 / 2 (1 + 2 + ... + n), n = 200.
    *_, (_, _, angles) = scripted["first"]
    np.testing.assert_allclose(angles[-1, 0] - np.pi / 5, 0.5e-4 * 200 * 201 / 2, atol=5e-6)


def random_arms(count):
    rng = np.random.default_rng(2)
    curvature = rng.uniform(-0.33, 0.33, (count, 1))
    angles = curvature + rng.normal(0.0, 0.05, (count, NUM_JOINTS))
    angles[:, 0] += rng.uniform(-np.pi, np.pi, count)
    return angles.astype(np.float32)


def test_joints_and_collisions_against_brute_force():
    angles = random_arms(300)
    joints = jax.jit(jax.vmap(joint_positions))(angles)
    collided = jax.jit(jax.vmap(lambda joints: collides(*joints.T)))(joints)
    expected = np.stack([forward_kinematics(row) for row in angles])
    np.testing.assert_allclose(joints, expected, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(np.diff(joints, axis=1), axis=2).sum(axis=1), 1.0, atol=1e-5)
    assert np.linalg.norm(np.asarray(joints)[:, -1] - 0.5, axis=1).max() <= 1 + 1e-6
    assert 30 < np.sum(collided) < 270
    np.testing.assert_array_equal(collided, [illegal(row) for row in expected])


def test_collision_of_one_joint():
    expected = {
        (0.5, 0.1): True,
        (0.5, 0.0): False,
        (0.5, 0.85): True,
        (0.1, 0.5): True,
        (0.9, 0.5): True,
        (0.5, 0.25): False,
        (0.47, 0.1): False,
        (-0.01, 0.3): True,
        (0.3, 1.0): True,
        (0.0, 0.3): False,
        (0.32, 0.32): True,
        (0.33, 0.32): False,
    }
    pairs = jnp.array([((0.3, 0.3), joint) for joint in expected], jnp.float32)
    collided = jax.jit(jax.vmap(lambda joints: collides(*joints.T)))(pairs)
    assert dict(zip(expected, np.asarray(collided).tolist(), strict=True)) == expected


def states_at(angles, times, speeds=0.0):
    count = len(times)
    return RedundantArmState(
        time=jnp.asarray(times, jnp.int32),
        angles=jnp.asarray(angles, jnp.float32),
        speeds=jnp.full((count, NUM_JOINTS), speeds, jnp.float32),
        collided=jnp.zeros(count, bool),
    )


def test_last_joint_must_not_be_too_fast(substeps):
    spiral = np.tile(np.linspace(np.pi / 5, np.pi / 20, 20), (3, 1))
    states = states_at(spiral, [0, 0, 0])
    # A speed w of the last joint alone moves the end effector by 0.05 w dt: w + 0.00025 w must not exceed 1.
    states = states.replace(speeds=states.speeds.at[:, -1].set(jnp.array([0.9995, 0.9999, -2.0])))
    _, stepped, _, terminated, _ = substeps[True](states, jnp.zeros((3, NUM_JOINTS)))
    np.testing.assert_array_equal(terminated, [False, True, False])
    np.testing.assert_array_equal(stepped.angles[1], states.angles[1])


def arm_that_reaches(goal):
    """A legal arm to a goal: one bow, or several to alternating sides, of the curvature that spans the distance."""
    offset = np.array(goal) - 0.5
    curvatures = np.linspace(0.02, 0.6, 50_001)
    for bows in (1, 2, 4):
        for sign in (1, -1):
            sides = sign * np.repeat((-1) ** np.arange(bows), NUM_JOINTS // bows)
            headings = np.cumsum(curvatures[:, None] * sides, axis=1)
            ends = 0.05 * np.exp(1j * headings).sum(axis=1)
            best = np.argmin(np.abs(np.abs(ends) - np.linalg.norm(offset)))
            angles = curvatures[best] * sides
            angles[0] += np.arctan2(offset[1], offset[0]) - np.angle(ends[best]) - np.pi / 2
            if not illegal(forward_kinematics(angles)):
                return angles
    raise AssertionError(f"no legal arm reaches {goal}")


@pytest.mark.parametrize("reward_on_timeout", [True, False])
def test_rewards_at_the_end(substeps, reward_on_timeout):
    reaching = [arm_that_reaches(goal) for goal in GOAL_POSITIONS]
    # Before the limit; at the limit; 0.03 from the first goal at the limit; stopped by its speed.
    near = arm_that_reaches((0.25 + 0.03, 0.25))
    states = states_at([reaching[0], *reaching, near, reaching[1]], [98, 99, 99, 99, 99, 5])
    states = states.replace(speeds=states.speeds.at[5, -1].set(3.0))
    _, stepped, rewards, terminated, _ = substeps[reward_on_timeout](states, jnp.zeros((6, NUM_JOINTS)))
    timed_out = np.array([0, 1, 1, 1, 0.4, 0]) * reward_on_timeout
    np.testing.assert_allclose(rewards, timed_out + np.array([0, 0, 0, 0, 0, 1]), atol=2e-3)
    np.testing.assert_array_equal(terminated, [False] * 5 + [True])

    environment = RedundantArm(reward_on_timeout=reward_on_timeout)
    areas = jax.jit(jax.vmap(environment.area, in_axes=(0, None)))(stepped, PARAMS)
    np.testing.assert_array_equal(areas, [0, 0, 1, 2, 0, 1] if reward_on_timeout else [-1, -1, -1, -1, -1, 1])

    # An arm that has stopped stays, and is not paid again.
    _, again, rewards, terminated, _ = substeps[reward_on_timeout](stepped, jnp.ones((6, NUM_JOINTS)))
    assert bool(terminated[5]) and float(rewards[5]) == 0
    np.testing.assert_array_equal(again.angles[5], stepped.angles[5])


def test_flags_and_fresh_episode():
    step = jax.jit(ENVIRONMENT.step)
    spiral = np.linspace(np.pi / 5, np.pi / 20, 20)
    state = jax.tree.map(lambda leaf: leaf[0], states_at([arm_that_reaches(GOAL_POSITIONS[1])], [99]))
    observation, fresh, reward, terminated, truncated, info = step(
        jax.random.key(1), state, jnp.zeros(NUM_JOINTS), PARAMS
    )
    assert (bool(terminated), bool(truncated), int(fresh.time)) == (False, True, 0)
    np.testing.assert_allclose(reward, 1, atol=2e-3)
    np.testing.assert_allclose(observation, spiral / np.pi, atol=1e-6)
    np.testing.assert_allclose(info["final_observation"], state.angles / np.pi, atol=1e-6)

    state = state.replace(time=jnp.int32(5), speeds=state.speeds.at[-1].set(3.0))
    _, fresh, reward, terminated, truncated, _ = step(jax.random.key(2), state, jnp.zeros(NUM_JOINTS), PARAMS)
    assert (bool(terminated), bool(truncated), int(fresh.time)) == (True, False, 0)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda environment: pickle.loads(pickle.dumps(environment))])
def test_copies_keep_their_option(duplicate):
    assert duplicate(RedundantArm(reward_on_timeout=False)).reward_on_timeout is False
    assert duplicate(ENVIRONMENT).default_params == PARAMS
