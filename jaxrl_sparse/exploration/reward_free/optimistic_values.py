"""How uncertain the value of a policy is, for a model and a reward: the objective of HF-UCRL-RFE++.

    V_h(s) = r_h(s, pi) + <phi_{V_{h+1}}(s, pi), theta>                                          the plain value
    u_h(s, a) = min(1, beta ||phi_{V_{h+1}}(s, a)||_{SigmaTilde^-1})
    Vhat_h(s) = min(1, u_h(s, pi) + 2 beta ||phi_{Vhat_{h+1}}(s, pi)||_{SigmaHat^-1} + <phi_{Vhat_{h+1}}(s, pi), theta>)

and both are 0 behind the last step. Theta need not make probabilities; as values are in [0, 1] for theta*, both are
clipped to it. A policy may be random, and mixes what its actions are worth.

Source: HF-UCRL-RFE++, algorithm 4.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.exploration.reward_free.regression import uncertainty
from jaxrl_sparse.finite.linear_mixtures import value_features


class Uncertain(NamedTuple):
    """What the uncertainty of a value is made of, the same for all models, rewards and policies.

    Attributes:
      features: `[S, A, S, d]`.
      hat_root: `[d, d]`, of SigmaHat of the first moment at the end of the last episode, `Sigma^-1 = R R^T`.
      tilde_root: `[d, d]`, of SigmaTilde.
      beta: the radius.
    """

    features: Float[Array, "S A S d"]
    hat_root: Float[Array, "d d"]
    tilde_root: Float[Array, "d d"]
    beta: Float[Array, ""]


class OptimisticValues(NamedTuple):
    """Values by layer and state, and the policy.

    Attributes:
      uncertainty: `[H + 1, S]`, Vhat; the last row is zero.
      plain: `[H + 1, S]`, V; the last row is zero.
      policy: `[H, S, A]`, probabilities of actions.
      unclipped: `[S]`, Vhat of the first step before it, u and V are clipped: it still tells policies apart where all
        are uncertain beyond 1.
    """

    uncertainty: Float[Array, "H_plus_1 S"]
    plain: Float[Array, "H_plus_1 S"]
    policy: Float[Array, "H S A"]
    unclipped: Float[Array, "S"]


def optimistic_values(
    uncertain: Uncertain,
    theta: Float[Array, "d"],
    rewards: Float[Array, "H S A"],
    policy: Float[Array, "H S A"],
) -> OptimisticValues:
    """V and Vhat of a policy.

    Args:
      uncertain: the estimates' uncertainty.
      theta: `[d]`, the model.
      rewards: `[H, S, A]`, of the class R.
      policy: `[H, S, A]`, probabilities of actions.
    """
    return _backward(uncertain, theta, rewards, policy, lambda scores, q_plain, probs: probs)


def greedy_values(uncertain: Uncertain, theta: Float[Array, "d"], rewards: Float[Array, "H S A"]) -> OptimisticValues:
    """V and Vhat of the policy that maximises Vhat step by step, from the last one on.

    It is no maximum over policies, as u depends on V of the policy to come. Among actions that are uncertain beyond 1
    the one with the largest unclipped Vhat is taken, and among those of equal Vhat, as in the last step, that with the
    largest plain value: nothing is uncertain about a V of zero.

    Args:
      uncertain: the estimates' uncertainty.
      theta: `[d]`, the model.
      rewards: `[H, S, A]`, of the class R.
    """

    def choose(scores, q_plain, paid):
        is_largest = scores >= jnp.max(scores, axis=-1, keepdims=True)
        best = jnp.argmax(jnp.where(is_largest, q_plain, -jnp.inf), axis=-1)
        return jax.nn.one_hot(best, paid.shape[-1], dtype=paid.dtype)

    return _backward(uncertain, theta, rewards, rewards, choose)


def _backward(
    uncertain: Uncertain, theta: Array, rewards: Array, slots: Array, choose: Callable[..., Array]
) -> OptimisticValues:
    """The backward pass; `choose(unclipped [S, A], plain Q [S, A], slot of the layer) -> probabilities [S, A]`."""
    features, hat_root, tilde_root, beta = uncertain

    def backup(carry, layer):
        optimistic, plain, _ = carry
        paid, slot = layer
        mean, optimistic_mean = value_features(features, plain), value_features(features, optimistic)
        width = beta * uncertainty(tilde_root, mean)
        follows = 2 * beta * uncertainty(hat_root, optimistic_mean) + _expectation(optimistic_mean, theta)
        q_optimistic = jnp.clip(jnp.minimum(width, 1) + follows, 0, 1)
        q_plain = jnp.clip(paid + _expectation(mean, theta), 0, 1)
        probs = choose(width + follows, q_plain, slot)
        mix = lambda q_values: jnp.sum(probs * q_values, axis=-1)  # noqa: E731
        carry = (mix(q_optimistic), mix(q_plain), mix(width + follows))
        return carry, (carry[0], carry[1], probs)

    end = jnp.zeros_like(rewards[0, :, 0])
    (_, _, unclipped), (optimistic, plain, policy) = jax.lax.scan(
        backup, (end, end, end), (rewards, slots), reverse=True
    )
    behind = lambda values: jnp.concatenate([values, end[None]])  # noqa: E731
    return OptimisticValues(behind(optimistic), behind(plain), policy, unclipped)


def _expectation(mean: Float[Array, "S A d"], theta: Float[Array, "d"]) -> Float[Array, "S A"]:
    return jnp.matmul(mean, theta, precision=jax.lax.Precision.HIGHEST)
