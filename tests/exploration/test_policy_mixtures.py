"""Distributions by power series, plans by enumeration, mixtures by hand."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.decision_processes import Ring
from jaxrl_sparse.exploration.policy_mixtures import (
    MixtureConfig,
    PolicyMixture,
    best_policy,
    conditional_gradient,
    frank_wolfe_step,
    mixture_distribution,
    sampled_distribution,
    start_mixture,
    state_distribution,
)
from jaxrl_sparse.finite import episodic, finite_mdp, garnet, transition_matrix
from jaxrl_sparse.training import train

quick = partial(jax.jit, compiler_options=QUICK_TO_COMPILE)


def ending_process(sparse):
    """Four states, the last of them terminal although its row leads elsewhere."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.ones(4), (4, 2))
    successors = np.broadcast_to(np.arange(4), (4, 2, 4))[..., ::-1] if sparse else None
    rows = rows[..., ::-1] if sparse else rows
    terminal = np.array([False, False, False, True])
    initial = np.array([0.5, 0.3, 0.2, 0.0])
    return finite_mdp(rows, np.ones((4, 2)), 0.8, terminal=terminal, initial=initial, successors=successors)


PROCESSES = [ending_process(False), ending_process(True)]


def chain_of(mdp, actions):
    chain = np.asarray(transition_matrix(mdp), float)[np.arange(4), np.asarray(actions)]
    return np.where(np.asarray(mdp.terminal)[:, None], np.eye(4), chain)


@pytest.mark.parametrize("mdp", PROCESSES, ids=["dense", "sparse"])
def test_where_a_policy_is_by_the_power_series(mdp):
    actions = jnp.array([1, 0, 1, 0])
    here, expected = np.asarray(mdp.initial, float), np.zeros(4)
    for time in range(200):
        expected += 0.2 * 0.8**time * here
        here = here @ chain_of(mdp, actions)
    np.testing.assert_allclose(quick(state_distribution)(mdp, actions), expected, atol=1e-6)
    here, layers = np.asarray(mdp.initial, float), []
    for _ in range(5):
        layers.append(here)
        here = here @ chain_of(mdp, actions)
    process = episodic(mdp, 5)
    distribution = quick(state_distribution)(process, jnp.broadcast_to(actions, (5, 4)))
    np.testing.assert_allclose(distribution, np.mean(layers, 0), atol=1e-6)


@pytest.mark.parametrize("mdp", PROCESSES, ids=["dense", "sparse"])
def test_the_best_plan_by_enumeration(mdp):
    """Also where the terminal state pays most, and for ever."""
    everything = jnp.array(list(itertools.product(range(2), repeat=4)))
    distributions = np.asarray(quick(jax.vmap(partial(state_distribution, mdp)))(everything))
    plan = quick(lambda rewards: state_distribution(mdp, best_policy(mdp, rewards)))
    for rewards in (
        jnp.array([0.3, -1.0, 0.5, 0.0]),
        jnp.array([0.0, 1.0, 0.2, 3.0]),
        jnp.array([1.0, 2.0, 0.0, -9.0]),
    ):
        best = (distributions @ np.asarray(rewards)).max()
        np.testing.assert_allclose(np.dot(plan(rewards), rewards), best, atol=1e-5)


def test_the_best_episodic_plan_by_enumeration():
    process = episodic(PROCESSES[0], 3)
    # Actions of the last layer and of the terminal state change no distribution.
    plans = np.zeros((64, 3, 4), np.int32)
    plans[:, :2, :3] = np.array(list(itertools.product(range(2), repeat=6))).reshape(64, 2, 3)
    distributions = np.asarray(quick(jax.vmap(partial(state_distribution, process)))(jnp.asarray(plans)))
    rewards = jnp.array([0.4, -1.0, 0.5, 0.1])
    found = quick(lambda rewards: state_distribution(process, best_policy(process, rewards)))(rewards)
    np.testing.assert_allclose(np.dot(found, rewards), (distributions @ np.asarray(rewards)).max(), atol=1e-6)


def test_a_step_by_hand():
    """On a ring: what is best for a reward of one state is to go there and stay."""
    mdp = Ring(4, discount=0.9).mdp
    mixture = start_mixture(mdp, jnp.zeros(4, jnp.int32), 3)
    np.testing.assert_allclose(mixture_distribution(mixture), [1, 0, 0, 0], atol=1e-6)
    step = quick(frank_wolfe_step)
    mixture, gap = step(mdp, mixture, jnp.array([0.0, 1, 0, 0]), 0.25, 1)
    np.testing.assert_allclose(gap, 0.9, rtol=1e-5)
    np.testing.assert_allclose(mixture.weights, [0.75, 0.25, 0], rtol=1e-6)
    np.testing.assert_allclose(mixture_distribution(mixture), [0.775, 0.225, 0, 0], atol=1e-6)
    # Slot 0 is taken by another: of what is left, .1875 and .25, weights are brought back to sum one.
    mixture, gap = step(mdp, mixture, jnp.array([0.0, 0.4, 0, 1]), 0.25, 0)
    np.testing.assert_allclose(gap, 0.9 - 0.4 * 0.225, rtol=1e-5)
    np.testing.assert_allclose(mixture.weights, np.array([0.25, 0.1875, 0]) / 0.4375, rtol=1e-6)
    np.testing.assert_allclose(mixture.distributions[0], [0.1, 0, 0, 0.9], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("episodes", [False, True])
def test_estimates_are_those_of_the_mixture(episodes):
    mdp = garnet(jax.random.key(3), 6, 2, 2, 0.8)
    process = episodic(mdp, 12) if episodes else mdp
    shape = (3, 12, 6) if episodes else (3, 6)
    policies = jax.random.randint(jax.random.key(1), shape, 0, 2)
    distributions = quick(jax.vmap(partial(state_distribution, process)))(policies)
    mixture = PolicyMixture(policies, jnp.array([0.7, 0.0, 0.3]), distributions)
    estimate = quick(lambda key: sampled_distribution(key, process, mixture, 4000, 30))(jax.random.key(2))
    np.testing.assert_allclose(jnp.sum(estimate), 1, rtol=1e-4)
    # A deviation of at most .5 / sqrt(4000) a state, and a truncation of .8^30 = .001.
    np.testing.assert_allclose(estimate, mixture_distribution(mixture), atol=4 * 0.5 / 4000**0.5)
    only_last = mixture._replace(weights=jnp.array([0.0, 0.0, 1.0]))
    assert np.abs(estimate - mixture_distribution(only_last)).max() > 0.04


def test_a_full_mixture_loses_its_oldest_policies():
    """Every slot is that of the last update that wrote to it, and the weights are those of these updates alone."""
    mdp = Ring(5, discount=0.9).mdp

    def run(num_policies):
        gradient, measure = (lambda d: -d), (lambda distribution, last: {"last": jnp.argmax(last)})
        algorithm = conditional_gradient(
            MixtureConfig(num_policies=num_policies), mdp, gradient, lambda step: jnp.float32(0.3), measure
        )
        return quick(lambda key: train(algorithm, algorithm.init(key), 6))(jax.random.key(0))

    (state, _), (whole, _) = run(4), run(10)
    assert int(state.last) == 6 % 4 and int(whole.last) == 6
    np.testing.assert_allclose(np.sum(state.mixture.weights), 1, rtol=1e-6)
    np.testing.assert_allclose(np.sum(whole.mixture.weights), 1, rtol=1e-6)
    # The newest weigh .3 and then .7 times as much each, as long as nothing has been lost, and no less afterwards.
    newest = [np.asarray(whole.mixture.weights)[6 - age] for age in range(4)]
    np.testing.assert_allclose(newest, 0.3 * 0.7 ** np.arange(4), rtol=1e-5)
    kept = [np.asarray(state.mixture.weights)[(6 - age) % 4] for age in range(4)]
    assert (np.diff(kept) < 0).all() and (np.array(kept) > newest).all()
    for slot in range(4):
        alone = state_distribution(mdp, state.mixture.policies[slot])
        np.testing.assert_allclose(state.mixture.distributions[slot], alone, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_policies": 0}, "^num_policies: got 0, takes an integer of at least 1$"),
        ({"num_episodes": -1}, "^num_episodes: got -1, takes an integer of at least 0$"),
        ({"num_steps": 0}, "^num_steps: got 0, takes an integer of at least 1$"),
    ],
)
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        conditional_gradient(MixtureConfig(**fields), PROCESSES[0], lambda d: d, lambda step: step, lambda d, last: {})


def test_a_process_without_discount_is_refused():
    undiscounted = PROCESSES[0]._replace(discount=jnp.float32(1.0))
    with pytest.raises(ValueError, match=r"^mdp.discount: got 1.0, takes a number below 1$"):
        conditional_gradient(MixtureConfig(), undiscounted, lambda d: d, lambda step: step, lambda d, last: {})
