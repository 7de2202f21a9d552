"""Mixtures of policies, and the conditional gradient that makes them: concave functions of where a policy is.

What a mixture is like, which draws one of its policies at the start of an episode and keeps it, is an average,

    d(s) = sum over i of w_i d_i(s)

so that anything concave in d is maximised over all mixtures by one policy at a time: the one that is best for the
gradient as a reward of states is mixed in. No single policy need be good.

Source: Hazan et al., "Provably Efficient Maximum Entropy Exploration" (ICML 2019), algorithm 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import ENVIRONMENT_STEPS, Algorithm, Metrics, config, is_count, require
from jaxrl_sparse.finite.episodes import sample_episodes
from jaxrl_sparse.finite.episodic import EpisodicMDP, episodic
from jaxrl_sparse.finite.episodic_solvers import backward_induction, occupancy
from jaxrl_sparse.finite.mdp import FiniteMDP
from jaxrl_sparse.finite.occupancy import discounted_occupancy
from jaxrl_sparse.finite.solvers import policy_iteration

_PRECISE = jax.lax.Precision.HIGHEST
# Policy iteration seldom takes ten.
_MOST_IMPROVEMENTS = 100


@config
class MixtureConfig:
    """What `max_entropy` and `smm` have in common.

    Attributes:
      num_policies: N, that the mixture holds; after as many updates each new one takes the place of the oldest, whose
        weight the others share.
      num_episodes: K, that estimate where the mixture is; 0 for its exact distribution.
      num_steps: H, of each of these episodes; not used with an `EpisodicMDP`, which has its own horizon.
    """

    num_policies: int = 256
    num_episodes: int = 0
    num_steps: int = 100


class PolicyMixture(NamedTuple):
    """N policies, of which an episode draws one.

    Attributes:
      policies: `[N, S]` int32, an action for each state; `[N, H, S]` of episodic MDPs.
      weights: `[N]`, probabilities; 0 where there is no policy yet.
      distributions: `[N, S]`, where each policy is, exact; see `state_distribution`.
    """

    policies: Int[Array, "N *H S"]
    weights: Float[Array, "N"]
    distributions: Float[Array, "N S"]


class MixtureState(NamedTuple):
    """State of a `conditional_gradient`.

    Attributes:
      key: for the episodes.
      mixture: of the policies so far.
      last: number of the policy that came last, int32.
    """

    key: PRNGKeyArray
    mixture: PolicyMixture
    last: Int[Array, ""]


def conditional_gradient(
    config: MixtureConfig,
    mdp: FiniteMDP | EpisodicMDP,
    gradient: Callable[[Float[Array, "S"]], Float[Array, "S"]],
    step_size: Callable[[Int[Array, ""]], Float[Array, ""]],
    measure: Callable[[Float[Array, "S"], Float[Array, "S"]], Metrics],
) -> Algorithm:
    """Maximises a concave function of the mixture's state distribution; one update mixes in one policy.

    It starts from one policy whose actions are drawn at random. An update's `environment_steps` are those of its K
    episodes, K H; with exact distributions no step is taken, and it counts one sweep over the MDP instead, S A, or
    H S A of an episodic one, so that a budget ends a run. The other metrics are `measure`'s of the new mixture, and
    `gap`, see `frank_wolfe_step`, of the one before. `evaluate` is exact, draws nothing and is `measure` again.

    Args:
      config: see `MixtureConfig`.
      mdp: with its discount below 1, or episodic. Its rewards play no part.
      gradient: from d `[S]` to the reward of each state.
      step_size: from the number of the update to eta in [0, 1].
      measure: `measure(distribution, last)`, metrics of where the mixture is and where its last policy is.

    Raises:
      ValueError: naming the field, if a number is out of range, or the discount is 1.
    """
    require("num_policies", config.num_policies, is_count, "an integer of at least 1")
    require("num_episodes", config.num_episodes, lambda k: k == 0 or is_count(k), "an integer of at least 0")
    require("num_steps", config.num_steps, is_count, "an integer of at least 1")
    shape = (mdp.num_states,)
    if isinstance(mdp, EpisodicMDP):
        shape = (mdp.horizon, *shape)
    else:
        require("mdp.discount", mdp.discount, lambda gamma: float(gamma) < 1, "a number below 1")
    cost = steps_per_update(config, mdp)

    def init(key: PRNGKeyArray) -> MixtureState:
        key, first_key = jax.random.split(key)
        first = jax.random.randint(first_key, shape, 0, mdp.num_actions, dtype=jnp.int32)
        return MixtureState(key, start_mixture(mdp, first, config.num_policies), jnp.int32(0))

    def update(state: MixtureState, step: Int[Array, ""]) -> tuple[MixtureState, Metrics]:
        key, mixture = state.key, state.mixture
        distribution = mixture_distribution(mixture)
        if config.num_episodes:
            key, episode_key = jax.random.split(key)
            distribution = sampled_distribution(episode_key, mdp, mixture, config.num_episodes, config.num_steps)
        slot = (step + 1) % config.num_policies
        mixture, gap = frank_wolfe_step(mdp, mixture, gradient(distribution), step_size(step), slot)
        state = MixtureState(key, mixture, slot)
        return state, {ENVIRONMENT_STEPS: jnp.int32(cost), **measured(state), "gap": gap}

    def measured(state: MixtureState) -> Metrics:
        return measure(mixture_distribution(state.mixture), state.mixture.distributions[state.last])

    def evaluate(state: MixtureState, key: PRNGKeyArray) -> Metrics:
        del key
        return measured(state)

    return Algorithm(init, update, evaluate)


def steps_per_update(config: MixtureConfig, mdp: FiniteMDP | EpisodicMDP) -> int:
    """What an update counts, and the smallest budget of a run: see `conditional_gradient`."""
    is_episodic = isinstance(mdp, EpisodicMDP)
    sweep = mdp.num_actions * mdp.num_states * (mdp.horizon if is_episodic else 1)
    return config.num_episodes * (mdp.horizon if is_episodic else config.num_steps) or sweep


def frank_wolfe_step(
    mdp: FiniteMDP | EpisodicMDP,
    mixture: PolicyMixture,
    rewards: Float[Array, "S"],
    step_size: float | Array,
    slot: int | Array,
) -> tuple[PolicyMixture, Float[Array, ""]]:
    """Mixes in the policy that is best for the gradient: `w <- (1 - eta) w + eta e_slot`, with the optimal plan there.

    Args:
      mdp: as the mixture's policies are of.
      mixture: so far. What stood in the slot goes, and the weights are brought back to sum one.
      rewards: `[S]`, the gradient of the concave function at the mixture's distribution d.
      step_size: eta in [0, 1].
      slot: where the policy goes, from 0 to N - 1.

    Returns:
      The mixture, and the gap `max over d' of <rewards, d' - d>` of the one before: no distribution of any policy
      makes the function larger by more than this.

    Source: Frank and Wolfe (1956); Hazan et al. (ICML 2019), algorithm 1; Jaggi (ICML 2013) for the gap.
    """
    policy = best_policy(mdp, rewards)
    distribution = state_distribution(mdp, policy)
    gap = jnp.dot(rewards, distribution - mixture_distribution(mixture), precision=_PRECISE)
    weights = ((1 - step_size) * mixture.weights).at[slot].set(step_size)
    mixed = PolicyMixture(
        mixture.policies.at[slot].set(policy),
        weights / jnp.sum(weights),
        mixture.distributions.at[slot].set(distribution),
    )
    return mixed, gap


def start_mixture(mdp: FiniteMDP | EpisodicMDP, policy: Int[Array, "*H S"], num_policies: int) -> PolicyMixture:
    """The mixture of one policy, with room for N.

    Args:
      mdp: that the policy is of.
      policy: an action for each state, of each layer where the MDP is episodic.
      num_policies: N, static.
    """
    return PolicyMixture(
        jnp.zeros((num_policies, *policy.shape), jnp.int32).at[0].set(policy),
        jnp.zeros(num_policies, mdp.initial.dtype).at[0].set(1),
        jnp.zeros((num_policies, mdp.num_states), mdp.initial.dtype).at[0].set(state_distribution(mdp, policy)),
    )


def mixture_distribution(mixture: PolicyMixture) -> Float[Array, "S"]:
    """`d(s) = sum over i of w_i d_i(s)`, exact."""
    return jnp.matmul(mixture.weights, mixture.distributions, precision=_PRECISE)


def state_distribution(mdp: FiniteMDP | EpisodicMDP, policy: Array) -> Float[Array, "S"]:
    """Where a policy is: `d(s) = (1 - gamma) sum over t of gamma^t P(s_t = s)`, or `1/H sum over h of P(s_h = s)`.

    It sums to one. Terminal states lead to themselves: what enters one stays there.

    Args:
      mdp: the discount below 1, for the first; or episodic, for the second.
      policy: integers or probabilities, `[S]` or `[S, A]`, with H in front for an episodic MDP.
    """
    if isinstance(mdp, EpisodicMDP):
        return jnp.mean(jnp.sum(occupancy(mdp, policy), axis=-1), axis=0)
    return jnp.sum(discounted_occupancy(mdp, policy), axis=-1)


def best_policy(mdp: FiniteMDP | EpisodicMDP, rewards: Float[Array, "S"]) -> Int[Array, "*H S"]:
    """The policy that maximises `sum over s of d(s) r(s)`, by policy iteration or backward induction.

    Args:
      mdp: as for `state_distribution`; a terminal state pays its reward for ever, as d counts it.
      rewards: r, of states.
    """
    if isinstance(mdp, EpisodicMDP):
        return backward_induction(mdp._replace(rewards=jnp.broadcast_to(rewards[:, None], mdp.rewards.shape))).actions
    paid = jnp.broadcast_to(rewards[:, None, None], (mdp.num_states, mdp.num_actions, 1))
    return policy_iteration(_endless(mdp)._replace(rewards=paid), _MOST_IMPROVEMENTS).actions


def sampled_distribution(
    key: PRNGKeyArray, mdp: FiniteMDP | EpisodicMDP, mixture: PolicyMixture, num_episodes: int, num_steps: int
) -> Float[Array, "S"]:
    """An estimate of `mixture_distribution` from K episodes, whose policies are drawn from the mixture.

    Visits at time t weigh `gamma^t`, divided by the sum of these over the H steps; so it estimates the distribution of
    the first H steps, whose L1 distance to the endless one's is at most `2 gamma^H`. Of an episodic MDP all steps weigh
    the same, and there is no bias.

    Args:
      key: for everything.
      mdp: that is stepped.
      mixture: to be estimated.
      num_episodes: K, static.
      num_steps: H, static; an episodic MDP has its own.

    Source: Hazan et al. (ICML 2019), section 4.3 (DensityEst).
    """
    is_episodic = isinstance(mdp, EpisodicMDP)
    process = mdp if is_episodic else episodic(mdp, num_steps)
    policy_key, episode_key = jax.random.split(key)
    drawn = jax.random.categorical(policy_key, jnp.log(mixture.weights), shape=(num_episodes,))
    policies = mixture.policies[drawn]
    shape = (num_episodes, process.horizon, process.num_states)
    policies = policies if is_episodic else jnp.broadcast_to(policies[:, None], shape)
    keys = jax.random.split(episode_key, num_episodes)
    episodes = jax.vmap(lambda key, policy: sample_episodes(key, process, policy, 1))(keys, policies)
    times = jnp.arange(process.horizon)
    weights = jnp.ones(process.horizon) if is_episodic else mdp.discount**times
    weights = jnp.broadcast_to(weights / (num_episodes * jnp.sum(weights)), episodes.states[..., 0].shape)
    return jnp.zeros(process.num_states, mdp.initial.dtype).at[episodes.states[..., 0]].add(weights)


def _endless(mdp: FiniteMDP) -> FiniteMDP:
    """The same process, whose terminal states are ordinary ones that lead to themselves."""
    states = jnp.arange(mdp.num_states, dtype=jnp.int32)
    ends = mdp.terminal[:, None, None]
    if mdp.successors is None:
        stays = jnp.eye(mdp.num_states, dtype=mdp.probabilities.dtype)[:, None, :]
        mdp = mdp._replace(probabilities=jnp.where(ends, stays, mdp.probabilities))
    else:
        mdp = mdp._replace(successors=jnp.where(ends, states[:, None, None], mdp.successors))
    return mdp._replace(terminal=jnp.zeros_like(mdp.terminal))
