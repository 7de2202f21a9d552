import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments.risk import Gamble
from jaxrl_sparse.learners.experience import Batch
from jaxrl_sparse.learners.on_policy import OnPolicyConfig
from jaxrl_sparse.learners.policy_networks import PolicyNetworkConfig
from jaxrl_sparse.learners.ppo import PPOConfig, clipped_loss, ppo
from jaxrl_sparse.networks.actor_critic import ActorCritic

# Log probabilities of the three actions and the value are the parameters themselves, whatever is observed.
LOGITS = jnp.log(jnp.array([0.5, 0.3, 0.2]))


def unroll(params, memory, observations, dones):
    import distrax

    logits = jnp.broadcast_to(params["logits"], (*dones.shape, 3))
    return distrax.Categorical(logits=logits), jnp.broadcast_to(params["value"], (*dones.shape, 1))


NETWORK = ActorCritic(None, None, None, unroll, None, None)  # pyright: ignore[reportArgumentType]


def batch_of(actions, old_probabilities, advantages, targets, old_values):
    shape = (1, len(actions))
    return Batch(
        memory=(),
        observations=jnp.zeros(shape),
        raw_actions=jnp.array(actions).reshape(shape),
        log_probs=jnp.log(jnp.array(old_probabilities)).reshape(shape),
        values=jnp.array(old_values).reshape(*shape, 1),
        dones=jnp.zeros(shape, bool),
        advantages=jnp.array(advantages).reshape(shape),
        returns=jnp.zeros(shape),
        targets=jnp.array(targets).reshape(*shape, 1),
    )


def test_the_loss_by_hand():
    """Ratios 1.25, .6 and 1; clip .2: the first is held at 1.2 where it gains, the second at .8 where it loses."""
    params = {"logits": LOGITS, "value": jnp.float32(1.0)}
    batch = batch_of([0, 1, 2], [0.4, 0.5, 0.2], [2.0, -1.0, 3.0], [3.0, 1.0, 0.0], [0.5, 1.0, 2.0])
    keywords = {"network": NETWORK, "clip": 0.2, "value_coefficient": 0.5, "entropy_coefficient": 0.1}
    loss, metrics = clipped_loss(params, batch, **keywords, normalize_advantages=False)
    # min(.6 (-1), .8 (-1)) = -.8.
    policy_loss = -(1.2 * 2 - 0.8 + 3.0) / 3
    value_loss = (4 + 0 + 1) / 3 / 2
    entropy = -(0.5 * np.log(0.5) + 0.3 * np.log(0.3) + 0.2 * np.log(0.2))
    expected = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approximate_kl": (0.25 - np.log(1.25) - 0.4 - np.log(0.6)) / 3,
        "clip_fraction": 2 / 3,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(loss, policy_loss + 0.5 * value_loss - 0.1 * entropy, rtol=1e-5)
    # Values clipped to .2 around .5, 1 and 2 are .7, 1 and 1.8: errors 2.3^2, 0, 1.8^2, each the larger of both.
    _, metrics = clipped_loss(params, batch, **keywords, value_clip=0.2, normalize_advantages=False)
    np.testing.assert_allclose(metrics["value_loss"], (2.3**2 + 0 + 1.8**2) / 6, rtol=1e-5)
    # Mean 4/3, deviation sqrt(26)/3.
    _, metrics = clipped_loss(params, batch, **keywords)
    a = (np.array([2.0, -1.0, 3.0]) - 4 / 3) / (np.sqrt(26) / 3)
    np.testing.assert_allclose(metrics["policy_loss"], -(1.2 * a[0] + 0.8 * a[1] + a[2]) / 3, rtol=1e-5)


def test_no_gradient_beyond_the_clip():
    batch = batch_of([0], [0.4], [2.0], [1.0], [1.0])
    gradient = jax.grad(
        lambda params: clipped_loss(params, batch, network=NETWORK, normalize_advantages=False)[1]["policy_loss"]
    )({"logits": LOGITS, "value": jnp.float32(1.0)})
    np.testing.assert_array_equal(gradient["logits"], np.zeros(3))


CONFIG = PPOConfig(learner=OnPolicyConfig(num_environments=4, num_steps=6), num_minibatches=3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_epochs": 0}, "num_epochs: got 0"),
        ({"num_minibatches": 5}, "num_minibatches: got 5, takes a divisor of the 24 steps"),
        ({"shuffle": "rows"}, "num_minibatches: got 3, takes a divisor of the 4 environments"),
        ({"shuffle": "cells"}, "shuffle: got 'cells', takes one of"),
        ({"clip": 0.0}, "clip: got 0.0"),
        ({"value_clip": 0.0}, "value_clip: got 0.0"),
        ({"shuffle": "steps", "network": PolicyNetworkConfig(memory_size=4)}, "shuffle: got 'steps', takes 'rows'"),
        ({"network": PolicyNetworkConfig(memory_size=-1)}, "memory_size: got -1"),
    ],
)
def test_refuses_bad_configurations(fields, message):
    environment = Gamble()
    with pytest.raises(ValueError, match=message):
        ppo(dataclasses.replace(CONFIG, **fields), environment, environment.default_params)
