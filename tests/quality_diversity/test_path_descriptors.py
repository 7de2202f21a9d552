import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.planar.point_2d import Point2D
from jaxrl_sparse.environments.planar.redundant_arm import RedundantArm
from jaxrl_sparse.networks.genomes import feedforward
from jaxrl_sparse.numerics.signatures import log_signature, signature
from jaxrl_sparse.quality_diversity.path_descriptors import path_descriptor, sampled_positions, signature_descriptor
from jaxrl_sparse.quality_diversity.problems import PathDescriptor, controller_problem

MAX_STEPS = 60
signature_of = jax.jit(signature, static_argnums=1)
log_signature_of = jax.jit(log_signature, static_argnums=1)


@pytest.fixture(scope="module")
def arm():
    """Controllers of the arm, some of which collide early, and their paths, step by step."""
    environment = RedundantArm()
    params = environment.default_params.replace(max_steps_in_episode=MAX_STEPS)
    network = feedforward((20, 4, 20))
    genomes = 3.0 * jax.random.normal(jax.random.key(1), (6, network.size))

    def run(genome):
        def step(carry, _):
            state, stopped = carry
            action = network.apply(genome, state.angles / np.pi)
            _, following, _, terminated, _ = environment.step_env(jax.random.key(0), state, action, params)
            state = jax.tree.map(lambda old, new: jnp.where(stopped, old, new), state, following)
            position, angles = environment.descriptor(state, params), state.angles
            return (state, stopped | terminated), (position, angles, stopped)

        _, start = environment.reset_env(jax.random.key(0), params)
        _, (positions, angles, stopped) = jax.lax.scan(step, (start, jnp.zeros((), bool)), length=MAX_STEPS)
        return jnp.concatenate([environment.descriptor(start, params)[None], positions]), angles, stopped

    paths, angles, stopped = jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(genomes))
    lengths = (~stopped).sum(axis=1)
    assert lengths.min() < MAX_STEPS == lengths.max()
    return environment, params, genomes, paths, angles, lengths


def side_by_side(*descriptors):
    """Several descriptors in one, so that one episode is compiled for all of them."""
    return PathDescriptor(
        size=sum(descriptor.size for descriptor in descriptors),
        init=lambda *start: [descriptor.init(*start) for descriptor in descriptors],
        update=lambda carries, *step: [d.update(carry, *step) for d, carry in zip(descriptors, carries, strict=True)],
        describe=lambda carries: jnp.concatenate(
            [d.describe(carry) for d, carry in zip(descriptors, carries, strict=True)], axis=-1
        ),
    )


@pytest.fixture(scope="module")
def evaluation(arm):
    environment, params, genomes = arm[:3]
    descriptors = [path_descriptor(name) for name in ("samples-5", "signature-3", "time-log-signature-2")]
    problem = controller_problem(environment, params, (4,), side_by_side(*descriptors), num_frames=5)
    evaluation = jax.jit(problem.evaluate_genomes)(jax.random.key(0), genomes)
    return evaluation, np.split(evaluation.descriptors, np.cumsum([d.size for d in descriptors[:-1]]), axis=1)


def test_frames_and_samples_are_those_of_the_published_steps(arm, evaluation):
    _, _, _, paths, angles, lengths = arm
    evaluation, (samples, _, _) = evaluation
    steps = np.ceil(np.linspace(0, MAX_STEPS - 1, 6)[1:]).astype(int)
    # An episode that ends earlier repeats its last state; paths begin before the first step.
    steps = np.minimum(steps, lengths[:, None] - 1)
    rows = np.arange(6)[:, None]
    np.testing.assert_allclose(samples.reshape(6, 5, 2), paths[rows, steps + 1], atol=1e-5)
    np.testing.assert_allclose(evaluation.render_states, angles[rows, steps], atol=1e-5)
    np.testing.assert_allclose(evaluation.ground_truth, paths[:, -1], atol=1e-5)


def test_signatures_accumulated_in_the_rollout_are_those_of_the_paths(arm, evaluation):
    _, (_, signatures, log_signatures) = evaluation
    for i, length in enumerate(arm[5]):
        path = arm[3][i, : length + 1]
        times = np.arange(length + 1, dtype=np.float32)[:, None] / MAX_STEPS
        timed = np.concatenate([path, times], axis=1)
        # Padded with the last point, where a signature stays.
        padded, timed = (np.pad(p, ((0, MAX_STEPS - length), (0, 0)), mode="edge") for p in (path, timed))
        np.testing.assert_allclose(signatures[i], signature_of(padded, 3), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(log_signatures[i], log_signature_of(timed, 2), rtol=1e-4, atol=1e-6)


class TwoPaces(Point2D):
    """The point goes to (1/2, 0) and on to (1/2, 1/2), in all of the time, or in half of it if the action's x is > 0.

    The observation says nothing, so that a controller keeps its pace; all places and times are exact in float32.
    """

    def step_env(self, key, state, action, params):
        del key
        time = state.time + 1
        done = jnp.minimum(time / params.max_steps_in_episode * jnp.where(action[0] > 0.0, 2.0, 1.0), 1.0)
        position = jnp.stack([jnp.minimum(done, 0.5), jnp.maximum(done - 0.5, 0.0)])
        state = state.replace(time=time, position=position)
        return jnp.zeros(2), state, jnp.zeros(()), jnp.zeros((), bool), {}


def test_only_time_makes_the_pace_of_an_episode_count():
    """Log-signatures by hand: displacements, and areas between path and chord in (x, y), (x, t) and (y, t)."""
    environment, names = TwoPaces(), ("signature-3", "log-signature-2", "time-signature-3", "time-log-signature-2")
    descriptors = [path_descriptor(name) for name in names]
    params = environment.default_params.replace(max_steps_in_episode=8)
    problem = controller_problem(environment, params, (2,), side_by_side(*descriptors))
    genomes = jax.random.normal(jax.random.key(0), (6, problem.genome_size))
    is_fast = np.array([feedforward((2, 2, 2)).apply(genome, jnp.zeros(2))[0] > 0.0 for genome in genomes])
    assert 0 < is_fast.sum() < 6
    evaluation = jax.jit(problem.evaluate_genomes)(jax.random.key(0), genomes)
    plain, log, timed, timed_log = np.split(evaluation.descriptors, np.cumsum([d.size for d in descriptors[:-1]]), 1)
    np.testing.assert_array_equal(evaluation.ground_truth, np.full((6, 2), 0.5))
    np.testing.assert_allclose(plain, np.tile(plain[:1], (6, 1)), atol=1e-6)
    np.testing.assert_allclose(log, np.tile([1 / 2, 1 / 2, 1 / 8], (6, 1)), atol=1e-6)
    slow, fast = [1 / 2, 1 / 2, 1, 1 / 8, 1 / 8, -1 / 8], [1 / 2, 1 / 2, 1, 1 / 8, 3 / 16, 1 / 16]
    np.testing.assert_allclose(timed_log, np.where(is_fast[:, None], fast, slow), atol=1e-6)
    # The places of two letters that are none of time say what the signature without time says.
    np.testing.assert_allclose(timed[:, [0, 1, 3, 4, 6, 7]], plain[:, :6], atol=1e-6)
    assert (np.abs(timed[is_fast][0] - timed[~is_fast][0]) > 0.05).sum() >= 8


def test_names_make_the_descriptors_that_they_say():
    assert path_descriptor("final") is None
    sizes = {"samples-5": 10, "signature-2": 6, "signature-5": 62, "log-signature-5": 14, "log-signature-2": 3}
    sizes |= {"time-signature-2": 12, "time-log-signature-2": 6}
    assert {name: path_descriptor(name).size for name in sizes} == sizes


def test_one_sample_is_the_last_position():
    environment = Point2D()
    problem = controller_problem(environment, environment.default_params, (3,), sampled_positions(1))
    genomes = jax.random.normal(jax.random.key(0), (4, problem.genome_size))
    evaluation = jax.jit(problem.evaluate_genomes)(jax.random.key(1), genomes)
    np.testing.assert_array_equal(evaluation.descriptors, evaluation.ground_truth)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: path_descriptor("signature"), "descriptor: got 'signature', takes final, samples-N"),
        (lambda: path_descriptor("log-samples-2"), "descriptor: got 'log-samples-2'"),
        (lambda: path_descriptor("signature-6"), "depth: got 6, takes 1 to 5"),
        (lambda: sampled_positions(0), "num_samples: got 0"),
        (lambda: signature_descriptor(2, level_scaling="all"), "level_scaling: got 'all'"),
    ],
)
def test_refuses_what_there_is_not(make, message):
    with pytest.raises(ValueError, match=message):
        make()
