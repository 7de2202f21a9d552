import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.base import RewardStream, Trajectory
from jaxrl_sparse.environments.risk import Gamble
from jaxrl_sparse.environments.rollouts import start_rollout
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.learners.experience import advantages_of, collect, final_values
from jaxrl_sparse.networks.actor_critic import feedforward_actor_critic
from jaxrl_sparse.networks.distributions import categorical_head
from jaxrl_sparse.networks.feedforward import feedforward
from jaxrl_sparse.rewards import identity

OBSERVATIONS = jnp.arange(6.0).reshape(3, 1, 2)
ZEROS = jnp.zeros((3, 1, 2))


def trajectory_of(terminated, truncated, values=ZEROS):
    terminated, truncated = (jnp.array(flags).reshape(3, 1) for flags in (terminated, truncated))
    return Trajectory(
        OBSERVATIONS,
        jnp.zeros((3, 1)),
        jnp.zeros((3, 1)),
        terminated,
        truncated,
        OBSERVATIONS + 10,
        {"values": values},
    )


def test_streams_by_hand():
    """A time limit after the first step, an end after the second; lambda 0, so that advantages are single errors."""
    streams = {
        "episodic": RewardStream(identity(), 0.5, coefficient=2.0),
        "endless": RewardStream(identity(), 0.25, coefficient=3.0, episodic=False),
    }
    values = jnp.array([[[1.0, 1.0]], [[2.0, 2.0]], [[3.0, 3.0]]])
    trajectory = trajectory_of([False, True, False], [True, True, False], values)
    rewards = jnp.array([[[1.0, 10.0]], [[2.0, 20.0]], [[3.0, 30.0]]])
    last, final = jnp.array([[4.0, 4.0]]), jnp.array([[[8.0, 99.0]], [[99.0, 99.0]], [[99.0, 99.0]]])
    found = advantages_of(streams, rewards, trajectory, last, final, 0.0)
    # Bootstrapped from the final observation, ended, and from what is seen next.
    episodic = np.array([1 + 0.5 * 8, 2.0, 3 + 0.5 * 4])
    # Always from what is seen next, whichever episode it belongs to.
    endless = np.array([10 + 0.25 * 2, 20 + 0.25 * 3, 30 + 0.25 * 4])
    np.testing.assert_allclose(found.targets[:, 0], np.stack([episodic, endless], axis=-1))
    np.testing.assert_allclose(found.returns[:, 0], 2 * episodic + 3 * endless)
    np.testing.assert_allclose(found.advantages[:, 0], 2 * (episodic - [1, 2, 3]) + 3 * (endless - [1, 2, 3]))


def test_final_values_are_asked_for_where_a_time_limit_cut():
    tower = feedforward((4,))
    network = feedforward_actor_critic(tower, tower, categorical_head(2), 2)
    params = network.init(jax.random.key(0), OBSERVATIONS[0])
    expected = network.step(params, (), OBSERVATIONS[:, 0] + 10)[1]
    cut = trajectory_of([False, False, True], [False, True, True])
    np.testing.assert_allclose(final_values(network, params, (), cut)[:, 0], expected, rtol=1e-6)
    # Where both flags are set the task ended by itself.
    ended = trajectory_of([False, True, True], [False, True, True])
    np.testing.assert_array_equal(final_values(network, params, (), ended), ZEROS)


def test_experience_holds_what_the_policy_said_of_it():
    environment = Gamble()
    batch, params = vectorize(environment, 3), environment.default_params
    tower = feedforward((4,))
    network = feedforward_actor_critic(tower, tower, categorical_head(2, final_scale=1.0))
    start = start_rollout(batch, jax.random.key(0), params)._replace(memory=network.start(3))
    weights = network.init(jax.random.key(1), start.observations)
    found, end = jax.jit(lambda start: collect(batch, network, weights, 12, start, params))(start)
    trajectory = found.trajectory
    distribution, values = network.unroll(weights, (), trajectory.observations, trajectory.dones)
    np.testing.assert_array_equal(trajectory.actions, trajectory.extras["raw_actions"])
    np.testing.assert_allclose(trajectory.extras["log_probs"], distribution.log_prob(trajectory.actions), rtol=1e-5)
    np.testing.assert_allclose(trajectory.extras["values"], values, rtol=1e-5, atol=1e-6)
    # Ten rounds, and two of the next episode.
    assert trajectory.terminated.sum() == 3 and trajectory.terminated[9].all()
    np.testing.assert_array_equal(end.states.time, [2, 2, 2])
    _, last_values, _ = network.step(weights, (), end.observations)
    np.testing.assert_allclose(found.last_values, last_values, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.final_values, jnp.zeros((12, 3, 1)))
