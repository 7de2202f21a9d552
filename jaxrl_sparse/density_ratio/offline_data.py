"""Transitions that somebody else collected, layer by layer, and the distribution that they came from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.finite.episodes import Episodes, TransitionCounts, count_transitions, no_transitions
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.episodic_solvers import backward_induction, occupancy


class OfflineData(NamedTuple):
    """N transitions of each layer, and what is known of where they came from. Make it with one of the functions below.

    Attributes:
      transitions: `[H, N]`; only the order within a layer means anything, column n need not be one episode.
      distribution: `[H, S, A]`, nu_h, that states and actions of layer h are drawn from.
    """

    transitions: Episodes
    distribution: Float[Array, "H S A"]

    @property
    def num_samples(self) -> int:
        """N, of each layer."""
        return self.transitions.states.shape[-1]


def sample_offline_data(
    key: PRNGKeyArray, mdp: EpisodicMDP, distribution: Float[Array, "H S A"], num_samples: int
) -> OfflineData:
    """N independent transitions of each layer: `(s, a) ~ nu_h`, the reward of the action, `s' ~ P_h(. | s, a)`.

    Args:
      key: for everything.
      mdp: of H layers.
      distribution: `[H, S, A]`, nu, each layer summing to one: of a policy its `occupancy`, of several a mixture of
        theirs, see `covering_distribution`, or any other.
      num_samples: N, static.

    Raises:
      ValueError: if the distribution has another shape than the rewards of the MDP, or a layer of it is none, or N is
        less than 1.

    Source: the protocol of Amortila, Foster, Jiang, Sekhari and Xie, "Harnessing Density Ratios for Online
    Reinforcement Learning" (ICLR 2024), section 4.
    """
    require("num_samples", num_samples, is_count, "an integer of at least 1")
    _require_distribution(distribution, mdp.rewards.shape)
    horizon, num_states, num_actions = mdp.rewards.shape
    pair_key, next_key = jax.random.split(key)
    logits = jnp.log(distribution.reshape(horizon, 1, num_states * num_actions))
    pairs = jax.random.categorical(pair_key, logits, axis=-1, shape=(horizon, num_samples)).astype(jnp.int32)
    states, actions = pairs // num_actions, pairs % num_actions
    at = (jnp.arange(horizon)[:, None], states, actions)
    next_states = jax.random.categorical(next_key, jnp.log(mdp.transitions[at]), axis=-1).astype(jnp.int32)
    transitions = Episodes(states, actions, mdp.rewards[at], next_states)
    return OfflineData(transitions, jnp.asarray(distribution, mdp.rewards.dtype))


def estimated_offline_data(transitions: Episodes, num_states: int, num_actions: int) -> OfflineData:
    """Transitions whose distribution nobody wrote down: nu is taken to be their frequencies.

    Args:
      transitions: `[H, N]`, such as episodes of a policy.
      num_states: S.
      num_actions: A.

    Raises:
      ValueError: if there are no transitions, or a state or an action is out of range.
    """
    require(
        "transitions",
        transitions.states.shape,
        lambda shape: len(shape) == 2 and min(shape) >= 1,
        "arrays [H, N] of at least one transition",
    )
    _require_numbers("states", transitions.states, num_states)
    _require_numbers("next_states", transitions.next_states, num_states)
    _require_numbers("actions", transitions.actions, num_actions)
    horizon, num_samples = transitions.states.shape
    at = (jnp.arange(horizon)[:, None], transitions.states, transitions.actions)
    zeros = jnp.zeros((horizon, num_states, num_actions), transitions.rewards.dtype)
    return OfflineData(transitions, zeros.at[at].add(1) / num_samples)


def covering_distribution(mdp: EpisodicMDP, quality: float | Array, other_policy: Array) -> Float[Array, "H S A"]:
    """`quality d^{pi*} + (1 - quality) d^other`: offline data that cover the optimal policy so well, or so badly.

    Its single-policy concentrability C_* is at most `1 / quality`, and that where the other policy goes elsewhere.

    Args:
      mdp: of H layers; pi* is its greedy policy of lowest action numbers.
      quality: in [0, 1], the share of the optimal policy.
      other_policy: `[H, S]` integers, or `[H, S, A]`, probabilities of actions.

    Raises:
      ValueError: if the quality is no share or the policy is neither.
    """
    require("quality", quality, lambda share: 0 <= float(share) <= 1, "a number in [0, 1]")
    optimal = occupancy(mdp, backward_induction(mdp).actions)
    return quality * optimal + (1 - quality) * occupancy(mdp, other_policy)


def all_counts(mdp: EpisodicMDP, data: OfflineData) -> TransitionCounts:
    """The counts of all N transitions of each layer: what an offline method has that nobody adds data to."""
    return count_transitions(no_transitions(mdp), data.transitions)


def _require_distribution(distribution: Array, shape: tuple[int, ...]) -> None:
    require("distribution", distribution.shape, lambda got: got == shape, f"the shape {shape} of the MDP's rewards")
    require("distribution", distribution, lambda d: bool((np.asarray(d) >= 0).all()), "probabilities")
    # Rounding of a sum in float32.
    require(
        "distribution",
        jnp.sum(distribution, axis=(1, 2)),
        lambda sums: bool(np.allclose(np.asarray(sums), 1, atol=1e-4)),
        "layers that sum to one",
    )


def _require_numbers(argument: str, numbers: Array, size: int) -> None:
    require(
        argument, numbers, lambda n: bool(((np.asarray(n) >= 0) & (np.asarray(n) < size)).all()), f"0 to {size - 1}"
    )
