"""Episodes of an episodic MDP, many at a time, and counts of what they held."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.occupancy import action_probabilities
from jaxrl_sparse.numerics.inverse_cdf import cumulative_weights, index_below


class Episodes(NamedTuple):
    """K episodes of H steps, time-major.

    Attributes:
      states: `[H, K]` int32.
      actions: `[H, K]` int32.
      rewards: `[H, K]`.
      next_states: `[H, K]` int32; those of the last layer are drawn too, and nothing follows them.
    """

    states: Int[Array, "H K"]
    actions: Int[Array, "H K"]
    rewards: Float[Array, "H K"]
    next_states: Int[Array, "H K"]


class TransitionCounts(NamedTuple):
    """Sufficient statistics of transitions, by layer.

    Attributes:
      transitions: `[H, S, A, S]`, how often each was seen; floats, exact up to 2^24 in float32.
      rewards: `[H, S, A]`, the sum of the rewards that were paid.
    """

    transitions: Float[Array, "H S A S"]
    rewards: Float[Array, "H S A"]

    @property
    def visits(self) -> Float[Array, "H S A"]:
        """How often each action was taken in each state of each layer."""
        return jnp.sum(self.transitions, axis=-1)


def sample_episodes(key: PRNGKeyArray, mdp: EpisodicMDP, policy: Array, num_episodes: int) -> Episodes:
    """K independent episodes of a policy; one draw for all of them.

    Args:
      key: for everything.
      mdp: of H layers.
      policy: `[H, S]` integers, or `[H, S, A]`, probabilities of actions.
      num_episodes: K, static.

    Raises:
      ValueError: if the policy is neither, or K is less than 1.
    """
    require("num_episodes", num_episodes, is_count, "an integer of at least 1")
    probs = action_probabilities(policy, mdp.num_actions, (mdp.horizon, mdp.num_states))
    is_deterministic = probs is not policy
    uniforms = jax.random.uniform(key, (2 * mdp.horizon + 1, num_episodes), dtype=mdp.initial.dtype)
    first = _draw(jnp.broadcast_to(mdp.initial, (num_episodes, mdp.num_states)), uniforms[0])

    def step(states, layer):
        transitions, rewards, weights, action_uniforms, state_uniforms = layer
        if is_deterministic:
            actions = jnp.argmax(weights, axis=-1).astype(jnp.int32)[states]
        else:
            actions = _draw(weights[states], action_uniforms)
        following = _draw(transitions[states, actions], state_uniforms)
        return following, Episodes(states, actions, rewards[states, actions], following)

    layers = (mdp.transitions, mdp.rewards, probs, uniforms[1::2], uniforms[2::2])
    return jax.lax.scan(step, first, layers)[1]


def no_transitions(mdp: EpisodicMDP) -> TransitionCounts:
    """Counts of nothing, of an MDP's shape."""
    return TransitionCounts(jnp.zeros_like(mdp.transitions), jnp.zeros_like(mdp.rewards))


def count_transitions(counts: TransitionCounts, episodes: Episodes) -> TransitionCounts:
    """The counts, with those of the episodes added."""
    layers = jnp.arange(counts.rewards.shape[0])[:, None]
    at = (layers, episodes.states, episodes.actions)
    return TransitionCounts(
        counts.transitions.at[(*at, episodes.next_states)].add(1),
        counts.rewards.at[at].add(episodes.rewards.astype(counts.rewards.dtype)),
    )


def expected_counts(
    mdp: EpisodicMDP, distribution: Float[Array, "H S A"], num_samples: int | float | Array
) -> TransitionCounts:
    """What `num_samples` transitions of each layer would count in expectation, drawn from a distribution `[H, S, A]`.

    With the occupancy of a policy it is the population's statistics, of which a method must find the optimum exactly.
    """
    visits = num_samples * distribution
    return TransitionCounts(visits[..., None] * mdp.transitions, visits * mdp.rewards)


def empirical_mdp(counts: TransitionCounts, initial: Float[Array, "S"]) -> EpisodicMDP:
    """The model of greatest likelihood: frequencies of transitions, means of rewards.

    What was never tried is taken to lead anywhere with equal probability and to pay nothing.

    Args:
      counts: of H layers.
      initial: `[S]`, the distribution of the first state.
    """
    visits = counts.visits
    seen = visits > 0
    divisor = jnp.where(seen, visits, 1)
    uniform = 1 / counts.transitions.shape[-1]
    transitions = jnp.where(seen[..., None], counts.transitions / divisor[..., None], uniform)
    return EpisodicMDP(transitions, jnp.where(seen, counts.rewards / divisor, 0), initial)


def _draw(weights: Float[Array, "K N"], uniforms: Float[Array, "K"]) -> Int[Array, "K"]:
    return index_below(uniforms, cumulative_weights(weights))
