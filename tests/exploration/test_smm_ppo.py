"""The ring of snapshots, and the historical average of policies that are known."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.decision_processes import Ring
from jaxrl_sparse.exploration.smm_ppo import SMMPPOConfig, smm_ppo
from jaxrl_sparse.learners.on_policy import OnPolicyConfig
from jaxrl_sparse.learners.policy_networks import PolicyNetworkConfig

# Episodes of 8 steps: what always moves on is everywhere equally often.
RING = Ring(8, max_steps_in_episode=8)
CONFIG = SMMPPOConfig(
    learner=OnPolicyConfig(num_environments=4, num_steps=6, num_evaluation_episodes=64, max_evaluation_steps=16),
    network=PolicyNetworkConfig(hidden_sizes=(6,)),
    num_epochs=1,
    num_minibatches=1,
    num_snapshots=3,
    snapshot_period=2,
)


def compiled(config, num_updates=0):
    """`run(key)`: the last state and the parameters after each update; and `evaluate`."""
    algorithm = smm_ppo(config, RING, RING.default_params)

    def run(key):
        def update(state, step):
            state, _ = algorithm.update(state, step)
            return state, state.learner.params

        return jax.lax.scan(update, algorithm.init(key), jnp.arange(num_updates, dtype=jnp.int32))

    return (jax.jit(function, compiler_options=QUICK_TO_COMPILE) for function in (run, algorithm.evaluate))


def acting(params, action):
    """The parameters whose policy takes one action whatever it sees."""
    head = jax.tree.map(jnp.zeros_like, params["head"])
    head["params"]["bias"] = head["params"]["bias"].at[..., action].set(50.0)
    return {**params, "head": head}


@pytest.mark.slow
def test_snapshots_are_those_of_the_last_updates_that_were_due():
    run, _ = compiled(CONFIG, num_updates=9)
    state, history = run(jax.random.key(0))
    # Due are the updates 0, 2, 4, 6 and 8; slots 0, 1, 2, 0 and 1.
    for slot, update in enumerate((6, 8, 4)):
        jax.tree.map(
            lambda ring, rows, slot=slot, update=update: np.testing.assert_allclose(
                ring[slot], rows[update], rtol=1e-5, atol=1e-7
            ),
            state.snapshots,
            history,
        )
    assert int(state.num_snapshots) == 3
    assert np.abs(np.diff(history["head"]["params"]["kernel"], axis=0)).max((1, 2)).min() > 1e-4


@pytest.mark.slow
def test_the_historical_average_of_policies_that_are_known():
    """The ring's policies move on, stay and stay; the last one stays."""
    run, evaluate = compiled(CONFIG)
    state, _ = run(jax.random.key(0))
    stays, moves = (acting(state.learner.params, action) for action in (0, 2))
    snapshots = jax.tree.map(lambda *leaves: jnp.stack(leaves), moves, stays, stays)
    state = state._replace(learner=state.learner._replace(params=stays), snapshots=snapshots)
    alone = evaluate(state._replace(num_snapshots=jnp.int32(1)), jax.random.key(1))
    np.testing.assert_allclose(alone["kl"], 0, atol=1e-3)
    np.testing.assert_allclose(alone["entropy"], math.log(8), atol=1e-3)
    # One pseudo-count a cell, in 1,024 steps.
    np.testing.assert_allclose(alone["last_entropy"], 0, atol=0.01)
    np.testing.assert_allclose(alone["last_kl"], math.log(8), atol=0.01)
    # A third of 64 environments move on, give or take; the others stay in state 0.
    average = evaluate(state._replace(num_snapshots=jnp.int32(3)), jax.random.key(2))
    shares = np.clip(np.array([1 / 3 - 0.2, 1 / 3 + 0.2]), 0, 1)
    others = 7 / 8 * shares
    low, high = -others * np.log(shares / 8) - (1 - others) * np.log(1 - others)
    assert low < average["entropy"] < high
    np.testing.assert_allclose(average["kl"] + average["entropy"], math.log(8), atol=1e-4)


@pytest.mark.slow
def test_skills_are_seen_and_told_apart():
    """Densities of two skills, each of which counts its own steps; together they count all."""
    config = dataclasses.replace(CONFIG, num_skills=2)
    run, evaluate = compiled(config, num_updates=3)
    state, _ = run(jax.random.key(0))
    counts = np.asarray(state.learner.reward_states["matching"])
    assert counts.shape == (2, 8) and counts.sum() == 3 * 4 * 6 and (counts.sum(1) > 0).all()
    assert state.learner.params["actor"]["layers_0"]["kernel"].shape == (10, 6)
    # The policy that moves on is everywhere, with whatever skill.
    moves = acting(state.learner.params, 2)
    state = state._replace(learner=state.learner._replace(params=moves))
    np.testing.assert_allclose(evaluate(state, jax.random.key(1))["last_kl"], 0, atol=1e-3)


def test_bad_fields_are_refused():
    for field, value, takes in (
        ("num_snapshots", 0, "an integer of at least 1"),
        ("snapshot_period", 0, "an integer of at least 1"),
        ("num_skills", 0, "an integer of at least 1"),
        ("matching_discount", 1.0, r"a number in \[0, 1\), for a stream that no episode ends"),
    ):
        with pytest.raises(ValueError, match=f"^{field}: got {value}, takes {takes}$"):
            smm_ppo(dataclasses.replace(CONFIG, **{field: value}), RING, RING.default_params)
    normalised = dataclasses.replace(CONFIG.learner, normalize_observations=True)
    with pytest.raises(ValueError, match=r"^normalize_observations: got True, takes False: a snapshot would"):
        smm_ppo(dataclasses.replace(CONFIG, learner=normalised), RING, RING.default_params)
