"""Curling's dynamics against trajectories of Box2D, closed forms, conservation laws and symmetry."""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.curling.bodies import JOINT_LIMITS, CurlingParams, CurlingState
from jaxrl_sparse.environments.curling.contacts import ball_and_boxes, obstacles
from jaxrl_sparse.environments.curling.curling import Curling
from jaxrl_sparse.environments.curling.dynamics import advance
from jaxrl_sparse.networks.genomes import feedforward

REFERENCE = json.loads((Path(__file__).parents[2] / "data" / "curling_box2d.json").read_text())
ENVIRONMENT = Curling()
PARAMS = ENVIRONMENT.default_params
NETWORK = feedforward((6, 5, 5, 5, 2))
STEPS = 500
BATCH_SIZE = 32
TIME = np.arange(STEPS)
SCRIPTS = {
    "zero": np.zeros((STEPS, 2)),
    "j0_left": np.tile([1.0, 0.0], (STEPS, 1)),
    "j0_right": np.tile([-1.0, 0.0], (STEPS, 1)),
    "j1_left": np.tile([0.0, 1.0], (STEPS, 1)),
    "hit_and_stop": np.where(TIME < 40, 1.0, 0.0)[:, None] * np.ones(2),
    "osc": np.stack([np.sin(0.05 * TIME), np.cos(0.031 * TIME)], axis=1),
}
SHOTS = ("ball_coast", "ball_bounce_fast", "ball_bounce_slow", "ball_oblique")
# Shots of ours against the upright arm, which must stop them: (x, y, velocity_x, velocity_y).
FAST_SHOTS = {
    "at the first link": (-0.6, -0.9, 8.0, 0.0),
    "at the second link": (0.7, 0.1, -8.5, 0.0),
    "at both": (-0.3, -0.45, 6.0, -1.0),
    "slanting": (-0.9, 0.3, 7.0, -5.0),
    "into a corner": (-1.0, -0.9, -8.0, -8.0),
    "onto the tip": (0.02, 1.2, 0.0, -8.0),
}


def state_of(x, y, velocity_x=0.0, velocity_y=0.0, spin=0.0, angle_0=0.0, angle_1=0.0, speed_0=0.0, speed_1=0.0):
    leaves = (angle_0, angle_1, speed_0, speed_1, x, y, velocity_x, velocity_y, spin)
    return CurlingState(jnp.int32(0), *(jnp.float32(leaf) for leaf in leaves), jnp.zeros((2, 8), jnp.float32))


def stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@pytest.fixture(scope="module")
def advance_all():
    """One step of 32 states with parameters of their own, compiled once; a genome takes the action over."""

    @partial(jax.jit, compiler_options=QUICK_TO_COMPILE)
    @jax.vmap
    def step(state, action, genome, controlled, params):
        observation = jnp.stack([state.x, state.y, state.angle_0, state.angle_1, state.speed_0, state.speed_1])
        state = advance(state, jnp.where(controlled, NETWORK.apply(genome, observation), action), params)
        gaps = ball_and_boxes(state.x, state.y, obstacles(state.angle_0, state.angle_1, state.x, state.y)).gap
        numbers = [state.x, state.y, state.angle_0, state.angle_1, state.speed_0, state.speed_1]
        return state, jnp.stack([*numbers, state.velocity_x, state.velocity_y, state.spin, *gaps])

    return step


def batch_of(states, params):
    """States and parameters of 32 rows: what is given, and copies of the first."""
    params = params if isinstance(params, list) else [params] * len(states)
    spare = BATCH_SIZE - len(states)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), stack([*params, *[params[0]] * spare]))
    return stack([*states, *[states[0]] * spare]), params


@pytest.fixture(scope="module")
def played(advance_all):
    """500 steps of everything in one batch: columns x, y, angles, speeds, velocity, spin, and gaps to four surfaces."""
    genomes = np.array([rollout["genome"] for rollout in REFERENCE["genome_rollouts"]])
    shots = [(*REFERENCE[name]["p0"], *REFERENCE[name]["v0"]) for name in SHOTS] + list(FAST_SHOTS.values())
    upright = state_of(-0.5, 0.2)
    starts = [upright] * 10 + [upright] * 6 + [state_of(0.5, 0.2)] + [state_of(*shot) for shot in shots]
    actions = np.zeros((STEPS, BATCH_SIZE, 2))
    actions[:, 10:16] = np.stack(list(SCRIPTS.values()), axis=1)
    actions[:, 16] = -SCRIPTS["osc"]
    all_genomes = jnp.zeros((BATCH_SIZE, NETWORK.size)).at[:10].set(genomes)
    controlled = jnp.arange(BATCH_SIZE) < 10

    states, params = batch_of(starts, PARAMS)
    rows = []
    for action in actions.astype(np.float32):
        states, row = advance_all(states, action, all_genomes, controlled, params)
        rows.append(row)
    rows = np.stack(rows, axis=1)
    return {"genomes": rows[:10], **dict(zip([*SCRIPTS, "mirrored", *SHOTS, *FAST_SHOTS], rows[10:], strict=False))}


@pytest.fixture(scope="module")
def step(advance_all):
    """One step from some states, with parameters of their own, and with one action."""

    def run(states, action=(0.0, 0.0), params=PARAMS):
        count = len(states)
        actions = jnp.broadcast_to(jnp.asarray(action, jnp.float32), (BATCH_SIZE, 2))
        no_genomes = jnp.zeros((BATCH_SIZE, NETWORK.size)), jnp.zeros(BATCH_SIZE, bool)
        states, params = batch_of(states, params)
        after, _ = advance_all(states, actions, *no_genomes, params)
        return jax.tree.map(lambda leaf: np.asarray(leaf[:count]), after)

    return run


@pytest.mark.parametrize("name", SHOTS)
def test_shots_follow_box2d(played, name):
    reference = np.array(REFERENCE[name]["x_y_vx_vy_omega"])
    ours = played[name][9:120:10][:, [0, 1, 6, 7, 8]]
    np.testing.assert_allclose(ours[:, :2], reference[:, :2], atol=0.005)
    np.testing.assert_allclose(ours[:, 2:4], reference[:, 2:4], atol=0.005)
    np.testing.assert_allclose(ours[:, 4], reference[:, 4], atol=0.02)


@pytest.mark.parametrize(
    ("name", "ball", "joints", "until"),
    [
        ("zero", 1e-6, 1e-6, 500),
        ("j0_right", 1e-6, 0.005, 500),
        ("j1_left", 0.01, 0.02, 500),
        ("j0_left", 0.06, 0.04, 500),
        # The ball is squeezed between arm and wall, and slips out: where to, no two solvers agree on.
        ("hit_and_stop", 0.01, 0.01, 25),
        ("osc", 0.01, 0.01, 25),
    ],
)
def test_scripted_arms_follow_box2d(played, name, ball, joints, until):
    reference = np.array(REFERENCE[name]["obs"])[1 : until // 25 + 1]
    ours = played[name][24:until:25]
    np.testing.assert_allclose(ours[:, :2], reference[:, :2], atol=ball)
    np.testing.assert_allclose(ours[:, 2:4], reference[:, 2:4], atol=joints)


def test_arm_is_stopped_by_the_wall_where_box2d_stops_it(played):
    np.testing.assert_allclose(played["j0_right"][100:, 2], -0.8338, atol=0.003)
    np.testing.assert_allclose(played["j0_right"][100:, 4], 0.0, atol=0.01)


def test_most_controllers_end_where_they_end_in_box2d(played):
    reference = np.array([rollout["final_obs"] for rollout in REFERENCE["genome_rollouts"]])
    ours = played["genomes"][:, -1]
    agrees = np.linalg.norm(ours[:, :2] - reference[:, :2], axis=1) < 0.054
    # Two thirds of those that strike the ball at all, of whom many throw it against walls more than once.
    assert agrees.sum() >= 7
    # Whether the ball is struck at all is no matter of chance, nor is where an arm that strikes nothing ends.
    still = np.all(reference[:, :2] == [-0.5, 0.2], axis=1)
    np.testing.assert_array_equal(np.all(ours[:, :2] == np.float32([-0.5, 0.2]), axis=1), still)
    np.testing.assert_allclose(ours[still, 2:4], reference[still, 2:4], atol=0.02)


def test_coasting_ball_slows_down_as_a_power(played):
    keep = 1 - 1.1 / 60
    velocities = 0.6 * keep ** np.arange(1, 101)
    np.testing.assert_allclose(played["ball_coast"][:100, 7], velocities, rtol=1e-5)
    np.testing.assert_allclose(played["ball_coast"][:100, 1], 0.5 + np.cumsum(velocities) / 60, atol=1e-5)


def test_mirror_image_moves_as_a_mirror_image(played):
    sign = np.array([-1, 1, -1, -1, -1, -1, -1, 1, -1])
    # Until the ball is wedged in: from there on rounding grows.
    np.testing.assert_allclose(played["mirrored"][:40, :9], played["osc"][:40, :9] * sign, atol=2e-4)


def test_ball_stays_on_the_table_and_out_of_the_links(played):
    everything = np.concatenate([np.reshape(rows, (-1, 13)) for rows in played.values()])
    assert np.isfinite(everything).all()
    assert np.abs(everything[:, :2]).max() <= 1.305 + 1e-6
    free = np.concatenate([played[name] for name in (*SHOTS, *FAST_SHOTS)])
    assert free[:, 9:].min() > -0.03


@pytest.mark.parametrize("name", [name for name in FAST_SHOTS if name.startswith("at")])
def test_fast_ball_does_not_pass_through_the_arm(played, name):
    start = FAST_SHOTS[name]
    x, y = played[name][:30, 0], played[name][:30, 1]
    beside = y < 0.2
    assert beside[:8].all()
    assert (np.sign(x[beside]) == np.sign(start[0])).all()


@pytest.mark.parametrize("name", [*SHOTS, *FAST_SHOTS])
def test_nothing_gives_the_ball_energy_but_the_arm(played, name):
    velocity_x, velocity_y, spin = played[name][:, 6:9].T
    energy = (velocity_x**2 + velocity_y**2) / 2 + spin**2 * 0.15**2 / 4
    moving = np.abs(played[name][:, 4:6]).max(axis=1) > 1e-3
    grows = np.diff(energy) > 1e-5 + 1e-3 * energy[:-1]
    assert not (grows & ~moving[1:] & ~moving[:-1]).any()


def test_joints_stop_at_their_limits(step):
    for joint, limit in enumerate(JOINT_LIMITS):
        for side in (-1, 1):
            # The second link is bent back over the table.
            angles = np.array([0.0, -2.0 * side])
            angles[joint] = side * (limit - 0.01)
            action = np.zeros(2)
            action[joint] = side
            state = state_of(0.0, 1.2, angle_0=angles[0], angle_1=angles[1])
            for _ in range(3):
                state = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), step([state], action))
            angle = float((state.angle_0, state.angle_1)[joint])
            assert limit <= side * angle <= limit + 1 / 60
            assert abs(float((state.speed_0, state.speed_1)[joint])) < 2e-3


def test_slow_ball_sticks_and_fast_ball_bounces(step):
    # At a gap of 0 the contact is closed.
    speeds = np.array([0.5, 0.99, 1.01, 2.0, 4.0])
    keep = 1 - 1.1 / 60
    states = [state_of(1.2905, 0.9, velocity_x=speed / keep) for speed in speeds]
    after = step(states)
    np.testing.assert_allclose(after.velocity_x, np.where(speeds > 1, -0.9 * speeds, 0), atol=5e-3)

    # The impact is in the course of the step: at a gap of -0.015, from 0.015 on.
    fast = [state_of(1.275, 0.9, velocity_x=speed / keep) for speed in (2.5, 4.0)]
    after = step(fast)
    np.testing.assert_allclose(after.velocity_x, [-0.9 * 2.5, -0.9 * 4.0], rtol=1e-4)
    expected = [1.29 + 0.005625 - 0.9 * (speed / 60 - 0.03) for speed in (2.5, 4.0)]
    np.testing.assert_allclose(after.x, np.array(expected), atol=1e-4)


@pytest.mark.parametrize(("x", "lever"), [(1.2905, 0.15), (1.275, 0.15 - 0.005625 / 2)])
def test_friction_of_a_glancing_blow_in_closed_form(step, x, lever):
    # The wall grips with at most mu = sqrt(0.9 * 0.2) times the normal impulse, until the rim of the ball stands still.
    # The contact is closed from the start, or met in the course of the step, by a ball that
    # is 0.005625 deep: halfway in between.
    keep, keep_spin = 1 - 1.1 / 60, 1 - 2 / 60
    grip, inertia = np.sqrt(0.18), 0.15**2 / 2  # per mass
    cases = [(3.0, 0.5, 0.0), (3.0, 9.0, 0.0), (3.0, -9.0, 0.0), (2.5, 0.0, 40.0), (2.5, 1.0, -3.0)]
    states = [state_of(x, 0.3, vx / keep, vy / keep, spin / keep_spin) for vx, vy, spin in cases]
    after = step(states)
    for n, (vx, vy, spin) in enumerate(cases):
        slip = vy + spin * lever
        most = grip * 1.9 * vx
        impulse = np.clip(-slip / (1 + lever**2 / inertia), -most, most)
        np.testing.assert_allclose(after.velocity_x[n], -0.9 * vx, atol=0.005)
        np.testing.assert_allclose(after.velocity_y[n], vy + impulse, atol=0.005)
        np.testing.assert_allclose(after.spin[n], spin + lever * impulse / inertia, atol=0.1)
        in_course = abs(float(after.x[n]) - x - float(after.velocity_x[n]) / 60) > 1e-2
        assert in_course == (lever < 0.15)


def mass_matrix(angle_1):
    """Of the arm: kinetic energy is w M w / 2; from the velocities of the links' centres."""
    (mass_0, inertia_0), (mass_1, inertia_1) = (0.5, 0.5 * 1.01 / 12), (0.1, 0.1 * 1.01 / 12)
    center_0 = np.array([[0.5, 0.0], [0.0, 0.0]])
    center_1 = np.array([[1 + 0.4 * np.cos(angle_1), 0.4 * np.cos(angle_1)], [0.4 * np.sin(angle_1)] * 2])
    spin_0, spin_1 = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])
    return (
        mass_0 * center_0.T @ center_0
        + inertia_0 * spin_0.T @ spin_0
        + mass_1 * center_1.T @ center_1
        + inertia_1 * spin_1.T @ spin_1
    )


def momentum_and_energy(state, n, mass):
    """Angular momentum about the base joint and kinetic energy of arm and ball."""
    speeds = np.array([state.speed_0[n], state.speed_1[n]], float)
    matrix = mass_matrix(float(state.angle_1[n]))
    x, y = float(state.x[n]), float(state.y[n]) + 1.5
    vx, vy, spin = (float(leaf[n]) for leaf in (state.velocity_x, state.velocity_y, state.spin))
    inertia = mass * 0.15**2 / 2
    momentum = (matrix @ speeds)[0] + mass * (x * vy - y * vx) + inertia * spin
    energy = (speeds @ matrix @ speeds + mass * (vx**2 + vy**2) + inertia * spin**2) / 2
    return momentum, energy


@pytest.mark.parametrize("restitution", [0.0, 0.5, 1.0])
def test_impacts_with_a_loose_arm_keep_momentum_and_make_no_energy(step, restitution):
    # Motors off, nothing damped: the base joint bears no torque. Closed contacts, and impacts in the course of a step.
    params = [
        CurlingParams(
            max_steps_in_episode=STEPS,
            ball_density=density,
            ball_restitution=restitution,
            linear_damping=0.0,
            angular_damping=0.0,
            max_torque=0.0,
            ball_friction=friction,
        )
        for density in (1.0, 3.0)
        for friction in (0.0, 0.9)
        for _ in range(4)
    ]
    starts = [
        {"x": -0.21, "y": 0.1, "velocity_x": 1.5, "velocity_y": 0.3, "spin": 2.0},
        {"x": -0.23, "y": -0.2, "velocity_x": 2.5, "velocity_y": -0.4, "spin": -5.0},
        {"x": 0.209, "y": -1.0, "velocity_x": -1.5, "velocity_y": 0.2, "spin": 1.0},
        {"x": 0.23, "y": -0.8, "velocity_x": -3.0, "velocity_y": 0.0, "spin": 0.0},
    ] * 4
    states = [state_of(**start) for start in starts]
    after = step(states, params=params)
    before = jax.tree.map(np.asarray, stack(states))
    for n in range(len(states)):
        mass = float(params[n].ball_density) * np.pi * 0.15**2
        momentum, energy = momentum_and_energy(before, n, mass)
        momentum_after, energy_after = momentum_and_energy(after, n, mass)
        assert abs(after.velocity_x[n] - before.velocity_x[n]) > 0.3  # there was an impact
        np.testing.assert_allclose(momentum_after, momentum, atol=0.01 * abs(momentum) + 1e-3)
        assert energy_after <= energy * 1.01
        contact_closed = n % 2 == 0
        if restitution == 1.0 and params[n].ball_friction == 0.0 and contact_closed:
            np.testing.assert_allclose(energy_after, energy, rtol=0.01)


def test_motor_gives_no_more_than_its_torque(step):
    torques = [0.1, 1.0, 5.0, 100.0]
    params = [CurlingParams(max_steps_in_episode=STEPS, max_torque=torque) for torque in torques]
    after = step([state_of(0.0, 1.2)] * 4, (1.0, 0.0), params)
    matrix = mass_matrix(0.0)
    most = np.array(torques) / 60
    # The elbow's motor holds as well as it may: solve the 2 x 2 problem by alternation.
    for n in range(4):
        impulses, speeds = np.zeros(2), np.zeros(2)
        inverse = np.linalg.inv(matrix)
        for _ in range(500):
            for joint, target in enumerate((1.0, 0.0)):
                speeds = inverse @ impulses
                change = (target - speeds[joint]) / inverse[joint, joint]
                impulses[joint] = np.clip(impulses[joint] + change, -most[n], most[n])
        speeds = inverse @ impulses
        np.testing.assert_allclose([after.speed_0[n], after.speed_1[n]], speeds, atol=3e-3)
    np.testing.assert_allclose([after.speed_0[3], after.speed_1[3]], [1, 0], atol=1e-6)


def test_batch_is_its_rows(step):
    # Balls that coast, bounce in the course of a step, start inside of a link; and some that lie at the upright arm.
    rng = np.random.default_rng(1)
    highest = {"x": 1.29, "y": 1.29, "velocity_x": 3, "velocity_y": 3, "angle_0": 0.7, "angle_1": 1.5}
    states = [state_of(**{name: rng.uniform(-high, high) for name, high in highest.items()}) for _ in range(BATCH_SIZE)]
    states[:8] = [state_of(0.205 * side, y) for side in (-1, 1) for y in (-1.2, -0.9, -0.2, 0.3)]
    alone = jax.jit(advance, compiler_options=QUICK_TO_COMPILE)
    action = jnp.array([0.8, -0.4])
    pushed = 0
    for _ in range(3):
        batch = step(states, action)
        states = [alone(state, action, PARAMS) for state in states]
        for n, state in enumerate(states):
            for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(batch), strict=True):
                np.testing.assert_allclose(ours, theirs[n], atol=1e-3, rtol=1e-3)
            pushed += bool((state.impulses[0, 2:] > 0).any())
    assert pushed >= 8


def test_action_that_is_not_a_number_shows(step):
    after = step([state_of(-0.5, 0.2)], (np.nan, 0.0))
    assert np.isnan(after.angle_0[0]) and np.isnan(after.x[0])
