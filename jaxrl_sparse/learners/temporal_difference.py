"""The loss of Q-learning as a free function, for any torso and head."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import Metrics, PyTree
from jaxrl_sparse.learners.replay import Transitions
from jaxrl_sparse.learners.value_heads import ValueHead, averaged_law, greedy_weights
from jaxrl_sparse.networks.feedforward import Network


class QNetworkParams(NamedTuple):
    """Parameters of a torso and of the head on it."""

    torso: PyTree
    head: PyTree


def temporal_difference_loss(
    params: QNetworkParams,
    target_params: QNetworkParams,
    key: PRNGKeyArray,
    batch: Transitions,
    rewards: Float[Array, "B"],
    discount: float | Array,
    *,
    torso: Network,
    head: ValueHead,
    double_q: bool = False,
    average_ties: bool = False,
) -> tuple[Float[Array, ""], Metrics]:
    """The loss of Q-learning: the head's, of the law of each action taken against its target.

        target = law of r + gamma (1 - terminated) G',   G' ~ law of the target network at (s', a*),
        a* = argmax_a score(law(s', a), s')

    Args:
      params: of the online network, to be differentiated.
      target_params: of the target network.
      key: for heads that sample levels.
      batch: B transitions; their own rewards are not looked at.
      rewards: r, `[B]`.
      discount: gamma, per step.
      torso: features of observations.
      head: laws of features.
      double_q: static; whether a* is the online network's choice, else the target network's.
      average_ties: static; whether G' is averaged over all best actions.

    Returns:
      The mean over the batch, and the metric `value`, the mean expectation of the laws of the actions taken.
    """
    loss_key, target_key, choice_key = jax.random.split(key, 3)
    next_features = torso.apply(target_params.torso, batch.next_observations)
    law = (head.target_law or head.law)(target_params.head, target_key, next_features)
    if double_q:
        compared = head.law(params.head, choice_key, torso.apply(params.torso, batch.next_observations))
    elif head.target_law is None:
        compared = law
    else:
        compared = head.law(target_params.head, choice_key, next_features)
    scores = head.score(compared.atoms, compared.probabilities, batch.next_observations)
    following = averaged_law(law, greedy_weights(scores, average_ties))
    continues = discount * (1.0 - batch.terminated.astype(jnp.float32))
    atoms = rewards[:, None] + continues[:, None] * following.atoms
    targets = jax.lax.stop_gradient(following._replace(atoms=atoms))
    losses, values = head.loss(
        params.head, loss_key, torso.apply(params.torso, batch.observations), batch.actions, targets
    )
    return jnp.mean(losses), {"value": jnp.mean(values)}


def action_scores(
    params: QNetworkParams, key: PRNGKeyArray | None, observations: PyTree, torso: Network, head: ValueHead
) -> Float[Array, "B A"]:
    """The worth of each action in the eyes of a network, by which the greedy policy takes the largest.

    Args:
      params: of the network.
      key: for heads that sample levels; None for levels that are always the same.
      observations: `[B, ...]`.
      torso: features of observations.
      head: laws of features.
    """
    law = head.law(params.head, key, torso.apply(params.torso, observations))
    return head.score(law.atoms, law.probabilities, observations)
