"""Proximal policy optimisation, for any rewards, discrete and continuous actions, with or without a memory."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import (
    Algorithm,
    Metrics,
    PyTree,
    RewardTransformation,
    config,
    is_count,
    require,
    require_known,
)
from jaxrl_sparse.learners.experience import Batch, of_rewards
from jaxrl_sparse.learners.on_policy import OnPolicyConfig, on_policy_learner
from jaxrl_sparse.learners.policy_networks import PolicyNetworkConfig
from jaxrl_sparse.learners.reward_streams import Streams
from jaxrl_sparse.networks.actor_critic import ActorCritic
from jaxrl_sparse.numerics.random_order import random_order

SHUFFLES = ("auto", "steps", "rows")
# Environments from which on "auto" shuffles whole rows: there are enough of them for every minibatch to be mixed.
_MANY_ROWS = 256
_EPSILON = 1e-8


@config
class PPOConfig:
    """Configuration of `ppo`.

    Attributes:
      learner: see `OnPolicyConfig`.
      network: see `PolicyNetworkConfig`.
      num_epochs: passes over the batch of an update.
      num_minibatches: gradient steps of a pass; divides what is shuffled.
      clip: epsilon of the clipped ratio.
      value_clip: how far values may move in an update before their loss stops pulling; None for any distance.
      value_coefficient: of the values' loss.
      entropy_coefficient: of the policy's entropy.
      normalize_advantages: whether a minibatch's advantages are brought to mean 0 and deviation 1.
      shuffle: "steps", a permutation of all T B steps; "rows", of the B environments, whose T steps stay together (a
        thirtieth of the sorting; and the only one for a network with a memory); "auto": rows where the network has a
        memory or there are 256 environments and more, else steps.
    """

    learner: OnPolicyConfig = OnPolicyConfig()
    network: PolicyNetworkConfig = PolicyNetworkConfig()
    num_epochs: int = 4
    num_minibatches: int = 4
    clip: float = 0.2
    value_clip: float | None = None
    value_coefficient: float = 0.5
    entropy_coefficient: float = 0.01
    normalize_advantages: bool = True
    shuffle: str = "auto"


def ppo(
    config: PPOConfig,
    environment: Any,
    params: PyTree,
    reward: RewardTransformation | Streams | None = None,
    network: ActorCritic | None = None,
) -> Algorithm:
    """PPO as an algorithm, see `on_policy_learner` for its update and metrics; those of its own are means over all
    gradient steps of an update: `loss`, `policy_loss`, `value_loss`, `entropy`, `approximate_kl`, `clip_fraction`.

    Args:
      config: see `PPOConfig`.
      environment: with discrete actions or a bounded box of them.
      params: of the environment.
      reward: a transformation, streams by name (a value head each), or None for the environment's rewards.
      network: in place of that of the configuration; its number of values is that of the streams.

    Raises:
      ValueError: naming the field that is out of range, if minibatches do not divide, or if steps are to be shuffled
        under a network with a memory.

    Source: Schulman et al., "Proximal Policy Optimization Algorithms" (2017).
    """
    shuffle = _check(config)
    rows, steps = config.learner.num_environments, config.learner.num_steps

    def learn(
        key: PRNGKeyArray,
        network: ActorCritic,
        params: PyTree,
        optimizer_state: PyTree,
        batch: Batch,
        apply_gradients: Any,
    ) -> tuple[PyTree, PyTree, Metrics]:
        samples = batch if shuffle == "rows" else _flat(batch)
        count = rows if shuffle == "rows" else rows * steps

        def gradient_step(carry, minibatch):
            params, optimizer_state = carry
            (loss, metrics), gradients = jax.value_and_grad(clipped_loss, has_aux=True)(
                params,
                minibatch,
                network=network,
                clip=config.clip,
                value_clip=config.value_clip,
                value_coefficient=config.value_coefficient,
                entropy_coefficient=config.entropy_coefficient,
                normalize_advantages=config.normalize_advantages,
            )
            return apply_gradients(gradients, params, optimizer_state), {"loss": loss, **metrics}

        def epoch(carry, key):
            batches = _minibatches(samples, random_order(key, count), config.num_minibatches)
            return jax.lax.scan(gradient_step, carry, batches)

        carry, metrics = jax.lax.scan(epoch, (params, optimizer_state), jax.random.split(key, config.num_epochs))
        return *carry, jax.tree.map(jnp.mean, metrics)

    used = config.network if network is None else network
    return on_policy_learner(config.learner, environment, params, used, learn, reward)


def clipped_loss(
    params: PyTree,
    batch: Batch,
    *,
    network: ActorCritic,
    clip: float | Array = 0.2,
    value_clip: float | Array | None = None,
    value_coefficient: float | Array = 0.5,
    entropy_coefficient: float | Array = 0.0,
    normalize_advantages: bool = True,
) -> tuple[Float[Array, ""], Metrics]:
    """The clipped surrogate, with r the ratio of the policy to the one that acted,

        -mean min(r A, clip(r, 1 - eps, 1 + eps) A) + c_V mean sum_k (V_k - R_k)^2 / 2 - c_H mean H

    Where values are clipped, their loss is the larger of that and of the same with `V` no further than `value_clip`
    from what it was.

    Args:
      params: of the network.
      batch: `[T, B]`, or `[N, 1]` of single steps where the network has no memory.
      network: a policy with K values.
      clip: eps.
      value_clip: see above; None for none.
      value_coefficient: c_V.
      entropy_coefficient: c_H.
      normalize_advantages: whether A is brought to mean 0 and deviation 1 over the batch.

    Returns:
      The loss, and `policy_loss`, `value_loss`, `entropy`, `approximate_kl` (mean of r - 1 - log r) and
      `clip_fraction`.
    """
    distribution, values = network.unroll(params, batch.memory, batch.observations, batch.dones)
    advantages = batch.advantages
    if normalize_advantages:
        advantages = (advantages - jnp.mean(advantages)) / (jnp.std(advantages) + _EPSILON)
    log_ratio = distribution.log_prob(batch.raw_actions) - batch.log_probs
    ratio = jnp.exp(log_ratio)
    policy_loss = -jnp.mean(jnp.minimum(ratio * advantages, jnp.clip(ratio, 1 - clip, 1 + clip) * advantages))
    errors = (values - batch.targets) ** 2
    if value_clip is not None:
        near = batch.values + jnp.clip(values - batch.values, -value_clip, value_clip)
        errors = jnp.maximum(errors, (near - batch.targets) ** 2)
    value_loss = jnp.mean(jnp.sum(errors, axis=-1)) / 2
    entropy = jnp.mean(distribution.entropy())
    loss = policy_loss + value_coefficient * value_loss - entropy_coefficient * entropy
    metrics = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approximate_kl": jnp.mean(ratio - 1 - log_ratio),
        "clip_fraction": jnp.mean((jnp.abs(ratio - 1) > clip).astype(jnp.float32)),
    }
    return loss, metrics


# `clipped_loss` of experience by any rewards, see `of_rewards`.
ppo_loss = of_rewards(clipped_loss)


def _flat(batch: Batch) -> Batch:
    """All steps as rows of one step each: `[1, T B, ...]`."""
    return jax.tree.map(lambda leaf: leaf.reshape(1, -1, *leaf.shape[2:]), batch)


def _minibatches(batch: Batch, order: Array, number: int) -> Batch:
    """The rows of a batch in another order, cut into minibatches: leaves `[M, T, B / M, ...]`."""

    def cut(leaf: Array, axis: int) -> Array:
        leaf = jnp.take(leaf, order, axis=axis)
        leaf = leaf.reshape(*leaf.shape[:axis], number, -1, *leaf.shape[axis + 1 :])
        return jnp.moveaxis(leaf, axis, 0)

    memory = jax.tree.map(lambda leaf: cut(leaf, 0), batch.memory)
    rest = jax.tree.map(lambda leaf: cut(leaf, 1), batch._replace(memory=()))
    return rest._replace(memory=memory)


def _check(config: PPOConfig) -> str:
    for field in ("num_epochs", "num_minibatches"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    require("clip", config.clip, lambda number: number > 0, "a number above 0")
    takes = "a number above 0, or None"
    require("value_clip", config.value_clip, lambda number: number is None or number > 0, takes)
    require_known("shuffle", config.shuffle, SHUFFLES, SHUFFLES)
    remembers = config.network.memory_size > 0
    takes = "'rows' or 'auto' where the network has a memory: single steps have no past"
    require("shuffle", config.shuffle, lambda shuffle: not (remembers and shuffle == "steps"), takes)
    rows, steps = config.learner.num_environments, config.learner.num_steps
    shuffle = config.shuffle
    if shuffle == "auto":
        shuffle = "rows" if remembers or rows >= _MANY_ROWS else "steps"
    count = rows if shuffle == "rows" else rows * steps
    takes = f"a divisor of the {count} {'environments' if shuffle == 'rows' else 'steps'} that are shuffled"
    require("num_minibatches", config.num_minibatches, lambda number: count % number == 0, takes)
    return shuffle
