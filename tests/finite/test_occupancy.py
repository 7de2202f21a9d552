"""Occupancies against their power series, values, and chains that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.finite.mdp import expected_rewards, finite_mdp, transition_matrix
from jaxrl_sparse.finite.occupancy import (
    action_probabilities,
    discounted_occupancy,
    state_chain,
    stationary_distribution,
)
from jaxrl_sparse.finite.solvers import policy_evaluation

POLICY = np.random.default_rng(0).dirichlet(np.ones(3), size=6)


def quick(solve):
    return jax.jit(solve, compiler_options=QUICK_TO_COMPILE)


RANDOM = np.random.default_rng(1)
ROWS, PAID, INITIAL = (
    RANDOM.dirichlet(np.ones(6), size=(6, 3)),
    RANDOM.normal(size=(6, 3)),
    RANDOM.dirichlet(np.ones(6)),
)
FEW, SUCCESSORS = RANDOM.dirichlet(np.ones(2), size=(6, 3)), RANDOM.integers(6, size=(6, 3, 2))
# A ring in one of the outcomes of each action makes one recurrent class of it.
SUCCESSORS[:, :, 0] = (np.arange(6)[:, None] + 1) % 6


def processes():
    """In double precision where that is enabled; what is terminal in the last one has rows and rewards of its own."""
    return {
        "dense": finite_mdp(ROWS, PAID, 0.8, initial=INITIAL),
        "sparse": finite_mdp(FEW, RANDOM.normal(size=(6, 3, 2)), 0.9, successors=SUCCESSORS),
        "ending": finite_mdp(ROWS, PAID, 0.8, initial=INITIAL, terminal=np.arange(6) > 3),
    }


@pytest.mark.parametrize("name", ["dense", "sparse", "ending"])
def test_the_occupancy_is_its_power_series(name):
    """`(1 - gamma) sum over t of gamma^t initial P^t`, and its mean reward is `(1 - gamma) V`."""
    with jax.enable_x64(True):
        mdp, policy = processes()[name], jnp.asarray(POLICY)
        ours = np.asarray(quick(discounted_occupancy)(mdp, policy))
        values = np.asarray(quick(policy_evaluation)(mdp, policy))
        rewards, transitions = np.asarray(expected_rewards(mdp)), np.asarray(transition_matrix(mdp))
    terminal, gamma = np.asarray(mdp.terminal), float(mdp.discount)
    chain = np.where(terminal[:, None], np.eye(6), np.einsum("sa,sat->st", POLICY, transitions))
    series, states = np.zeros(6), np.asarray(mdp.initial)
    for t in range(400):
        series += (1 - gamma) * gamma**t * states
        states = states @ chain
    np.testing.assert_allclose(ours, series[:, None] * POLICY, atol=1e-12)
    np.testing.assert_allclose(ours.sum(), 1, rtol=1e-12)
    paid = np.where(terminal[:, None], 0, rewards)
    np.testing.assert_allclose((ours * paid).sum(), (1 - gamma) * np.asarray(mdp.initial) @ values, atol=1e-12)


def test_what_is_never_reached_has_exactly_zero():
    """Although it leads to what is reached, and mostly stays: 0/0 is a ratio of zero, and 1e-12/0 is none."""
    rng = np.random.default_rng(2)
    rows = rng.dirichlet(np.ones(12), size=(12, 3))
    # The first five states lead to each other alone.
    rows[:5, :, 5:] = 0
    rows[5:] += 3 * np.eye(12)[5:, None]
    rows /= rows.sum(-1, keepdims=True)
    mdp = finite_mdp(rows, np.zeros((12, 3)), 0.99)
    visits = quick(discounted_occupancy)(mdp, jnp.asarray(rng.dirichlet(np.ones(3), size=12), jnp.float32))
    np.testing.assert_array_equal(visits[5:], np.zeros((7, 3)))
    assert (np.asarray(visits[:5]) > 0).all()


def test_a_deterministic_policy_is_the_one_that_is_certain():
    mdp = processes()["dense"]
    actions = jnp.array([0, 1, 2, 0, 1, 2])
    certain = jax.nn.one_hot(actions, 3)
    for measure in (discounted_occupancy, stationary_distribution):
        np.testing.assert_allclose(quick(measure)(mdp, actions), quick(measure)(mdp, certain), atol=1e-7)


def test_the_stationary_distribution_of_two_states():
    """States that are left with probabilities p and q are held in proportion to q and p."""
    p, q = 0.3, 0.1
    mdp = finite_mdp([[[1 - p, p]], [[q, 1 - q]]], np.zeros((2, 1)), 1.0)
    np.testing.assert_allclose(
        stationary_distribution(mdp, jnp.zeros(2, int))[:, 0], [q / (p + q), p / (p + q)], rtol=1e-6
    )


@pytest.mark.parametrize("name", ["dense", "sparse"])
def test_the_stationary_distribution_is_where_a_chain_ends_up(name):
    with jax.enable_x64(True):
        mdp, policy = processes()[name], jnp.asarray(POLICY)
        ours = np.asarray(quick(stationary_distribution)(mdp, policy))
        chain = np.asarray(quick(state_chain)(mdp, policy))
        # The discounted occupancy comes to it as the discount comes to one.
        patient = np.asarray(quick(discounted_occupancy)(mdp._replace(discount=jnp.float64(1 - 1e-9)), policy))
    far = np.asarray(mdp.initial) @ np.linalg.matrix_power(chain, 2000)
    np.testing.assert_allclose(ours, far[:, None] * POLICY, atol=1e-10)
    np.testing.assert_allclose(ours, patient, atol=1e-7)


def test_a_periodic_chain_has_one_too():
    """A ring of three, in which powers of the chain never settle."""
    ring = finite_mdp(np.roll(np.eye(3), 1, axis=1)[:, None], np.zeros((3, 1)), 1.0)
    np.testing.assert_allclose(stationary_distribution(ring, jnp.zeros(3, int)), np.full((3, 1), 1 / 3), rtol=1e-6)


def test_policies_and_discounts_are_swept():
    mdp, policies = processes()["dense"], jnp.asarray(np.stack([POLICY, POLICY[::-1]]), jnp.float32)
    batch = quick(jax.vmap(discounted_occupancy, (None, 0)))(mdp, policies)
    swept = quick(jax.vmap(lambda discount: discounted_occupancy(mdp._replace(discount=discount), policies[0])))
    by_discount = swept(jnp.array([0.8, 0.5]))
    alone = quick(discounted_occupancy)
    np.testing.assert_allclose(batch[1], alone(mdp, policies[1]), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(by_discount[0], batch[0], rtol=1e-5, atol=1e-7)
    expected = alone(mdp._replace(discount=jnp.float32(0.5)), policies[0])
    np.testing.assert_allclose(by_discount[1], expected, rtol=1e-5, atol=1e-7)


def test_policies_in_either_form():
    np.testing.assert_array_equal(action_probabilities(jnp.array([1, 0]), 3, (2,)), [[0, 1, 0], [1, 0, 0]])
    probs = jnp.full((4, 2, 3), 1 / 3)
    assert action_probabilities(probs, 3, (4, 2)) is probs


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda mdp: discounted_occupancy(mdp._replace(discount=jnp.float32(1)), jnp.zeros(6, int)),
            "mdp.discount: got 1",
        ),
        (lambda mdp: discounted_occupancy(mdp, jnp.zeros(6)), r"policy: got .*float32'\), takes \(6,\) integers"),
        (lambda mdp: stationary_distribution(mdp, jnp.zeros((6, 2))), r"or \(6, 3\) probabilities"),
        (lambda mdp: stationary_distribution(mdp, jnp.zeros((6, 3), int)), r"policy: got \(\(6, 3\), 'int32'\)"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(processes()["dense"])
