"""Policy gradients with one step an update: REINFORCE, and actor-critic with generalised advantages."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, PyTree, RewardTransformation, config, require_known
from jaxrl_sparse.learners.experience import Batch, of_rewards
from jaxrl_sparse.learners.on_policy import OnPolicyConfig, on_policy_learner
from jaxrl_sparse.learners.policy_networks import PolicyNetworkConfig
from jaxrl_sparse.learners.reward_streams import Streams
from jaxrl_sparse.networks.actor_critic import ActorCritic

BASELINES = ("values", "none")


@config
class PolicyGradientConfig:
    """Configuration of `policy_gradient`.

    Attributes:
      learner: see `OnPolicyConfig`; `trace_decay` 1 makes returns to go of all rewards that were collected.
      network: see `PolicyNetworkConfig`.
      baseline: "values", the network's own (actor-critic), or "none" (REINFORCE; values then stand only for what comes
        after the last step).
      value_coefficient: of the values' loss.
      entropy_coefficient: of the policy's entropy.
    """

    learner: OnPolicyConfig = OnPolicyConfig(num_steps=16, learning_rate=1e-3)
    network: PolicyNetworkConfig = PolicyNetworkConfig()
    baseline: str = "values"
    value_coefficient: float = 0.5
    entropy_coefficient: float = 0.01


def policy_gradient(
    config: PolicyGradientConfig,
    environment: Any,
    params: PyTree,
    reward: RewardTransformation | Streams | None = None,
    network: ActorCritic | None = None,
) -> Algorithm:
    """Actor-critic, or REINFORCE, as an algorithm; see `on_policy_learner` for its update and metrics.

    Its own metrics are `loss`, `policy_loss`, `value_loss` and `entropy`.

    Args:
      config: see `PolicyGradientConfig`.
      environment: with discrete actions or a bounded box of them.
      params: of the environment.
      reward: a transformation, streams by name (a value head each), or None for the environment's rewards.
      network: in place of that of the configuration; its number of values is that of the streams.

    Raises:
      ValueError: naming the field that is out of range.

    Source: Williams (1992); Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning" (ICML 2016), in its
    synchronous form.
    """
    require_known("baseline", config.baseline, BASELINES, BASELINES)

    def learn(
        key: PRNGKeyArray,
        network: ActorCritic,
        params: PyTree,
        optimizer_state: PyTree,
        batch: Batch,
        apply_gradients: Any,
    ) -> tuple[PyTree, PyTree, Metrics]:
        del key
        (loss, metrics), gradients = jax.value_and_grad(actor_critic_loss, has_aux=True)(
            params,
            batch,
            network=network,
            baseline=config.baseline,
            value_coefficient=config.value_coefficient,
            entropy_coefficient=config.entropy_coefficient,
        )
        return *apply_gradients(gradients, params, optimizer_state), {"loss": loss, **metrics}

    used = config.network if network is None else network
    return on_policy_learner(config.learner, environment, params, used, learn, reward)


def actor_critic_loss(
    params: PyTree,
    batch: Batch,
    *,
    network: ActorCritic,
    baseline: str = "values",
    value_coefficient: float | Array = 0.5,
    entropy_coefficient: float | Array = 0.0,
) -> tuple[Float[Array, ""], Metrics]:
    """`-mean A log pi + c_V mean sum_k (V_k - R_k)^2 / 2 - c_H mean H`.

    Args:
      params: of the network.
      batch: `[T, B]`.
      network: a policy with K values.
      baseline: "values", or "none": then A is the return.
      value_coefficient: c_V.
      entropy_coefficient: c_H.

    Returns:
      The loss, and `policy_loss`, `value_loss` and `entropy`.
    """
    distribution, values = network.unroll(params, batch.memory, batch.observations, batch.dones)
    weights = batch.advantages if baseline == "values" else batch.returns
    policy_loss = -jnp.mean(weights * distribution.log_prob(batch.raw_actions))
    value_loss = jnp.mean(jnp.sum((values - batch.targets) ** 2, axis=-1)) / 2
    entropy = jnp.mean(distribution.entropy())
    loss = policy_loss + value_coefficient * value_loss - entropy_coefficient * entropy
    return loss, {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}


# `actor_critic_loss` of experience by any rewards, see `of_rewards`.
policy_gradient_loss = of_rewards(actor_critic_loss)
