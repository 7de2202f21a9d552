import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.base import RewardStream
from jaxrl_sparse.environments.risk import Gamble
from jaxrl_sparse.exploration.rnd import RNDConfig
from jaxrl_sparse.exploration.rnd_ppo import RNDPPOConfig, rnd_ppo
from jaxrl_sparse.learners.on_policy import OnPolicyConfig
from jaxrl_sparse.learners.policy_networks import PolicyNetworkConfig
from jaxrl_sparse.learners.ppo import ppo
from jaxrl_sparse.rewards import identity

# One step on the whole batch, and no norm over all parameters: the policy's depends on its own gradient alone.
CONFIG = RNDPPOConfig(
    learner=OnPolicyConfig(num_environments=4, num_steps=6, discount=0.9, max_gradient_norm=None),
    network=PolicyNetworkConfig(hidden_sizes=(8,)),
    num_epochs=1,
    num_minibatches=1,
    bonus=RNDConfig(target_sizes=(8,), predictor_sizes=(8,), num_features=4),
    bonus_coefficient=0.0,
)
ENVIRONMENT = Gamble()


def after_one_update(algorithm):
    def run(key):
        return algorithm.update(algorithm.init(key), jnp.int32(0))

    return jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))


@pytest.mark.slow
def test_a_bonus_without_weight_changes_nothing_of_the_policy():
    params = ENVIRONMENT.default_params
    streams = {
        "another": RewardStream(identity(), 0.5, coefficient=0.0),
        "task": RewardStream(identity(), 0.9, coefficient=2.0),
    }
    plain, _ = after_one_update(ppo(CONFIG, ENVIRONMENT, params, streams))
    bonus, metrics = after_one_update(rnd_ppo(CONFIG, ENVIRONMENT, params))
    for tower in ("actor", "head"):
        jax.tree.map(np.testing.assert_array_equal, bonus.params[tower], plain.params[tower])
    weighted, _ = after_one_update(rnd_ppo(dataclasses.replace(CONFIG, bonus_coefficient=1.0), ENVIRONMENT, params))
    assert not np.array_equal(weighted.params["head"]["params"]["kernel"], plain.params["head"]["params"]["kernel"])
    assert float(metrics["reward(bonus)"]) > 0


@pytest.mark.slow
def test_novelty_is_of_the_part_that_is_viewed():
    params = ENVIRONMENT.default_params
    seen, _ = after_one_update(rnd_ppo(CONFIG, ENVIRONMENT, params, view=lambda observations: observations[..., :3]))
    moments = seen.reward_states["bonus"][0].moments
    assert moments.mean.shape == (3,)
