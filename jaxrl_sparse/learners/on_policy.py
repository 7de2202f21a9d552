"""The frame of every on-policy learner: collect, label, value, learn; what is learnt from a batch is a slot."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import (
    ENVIRONMENT_STEPS,
    Algorithm,
    Metrics,
    PyTree,
    RewardTransformation,
    config,
    is_count,
    require,
    trajectory_spec,
)
from jaxrl_sparse.environments.rollouts import RolloutState, start_rollout
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.learners.discounting import discount_of
from jaxrl_sparse.learners.episode_accounts import episode_returns, mean_episodes
from jaxrl_sparse.learners.experience import batch_of, collect
from jaxrl_sparse.learners.policy_networks import PolicyNetworkConfig, policy_network
from jaxrl_sparse.learners.reward_streams import Streams, as_streams, init_streams, update_streams
from jaxrl_sparse.learners.schedules import linear_schedule
from jaxrl_sparse.networks.actor_critic import ActorCritic, observing, of_vector
from jaxrl_sparse.numerics.running_moments import Moments, initial_moments, standardize, update_moments

# Deviations beyond which a normalised observation is cut.
_OBSERVATION_BOUND = 10.0


@config
class OnPolicyConfig:
    """Configuration of the frame; `num_environments * num_steps` environment steps make an update.

    Attributes:
      num_environments: B, stepped together.
      num_steps: T, steps of each environment in an update.
      discount: gamma in [0, 1], per step; None for the environment's own, see `discount_of`. Streams have their own.
      trace_decay: lambda in [0, 1] of the advantages.
      normalize_observations: whether the network sees observations by the mean and deviation of all before the update.
      learning_rate: Adam's, at the start.
      learning_rate_end: Adam's from `learning_rate_steps` on; None for a constant rate.
      learning_rate_steps: environment steps in which it changes linearly.
      adam_epsilon: Adam's, outside of the square root.
      max_gradient_norm: gradients are scaled down to this global norm; None for no limit.
      num_evaluation_episodes: greedy episodes of `evaluate`.
      max_evaluation_steps: most steps of such an episode; it ends before where the environment ends it.
    """

    num_environments: int = 16
    num_steps: int = 128
    discount: float | None = None
    trace_decay: float = 0.95
    normalize_observations: bool = False
    learning_rate: float = 3e-4
    learning_rate_end: float | None = None
    learning_rate_steps: int = 500_000
    adam_epsilon: float = 1e-5
    max_gradient_norm: float | None = 0.5
    num_evaluation_episodes: int = 32
    max_evaluation_steps: int = 1000


# `learn(key, network, params, optimizer_state, batch, apply_gradients) -> (params, optimizer_state, metrics)`, where
# params is one vector and the network takes it.
Learn = Callable[..., tuple[PyTree, PyTree, Metrics]]


class OnPolicyState(NamedTuple):
    """What changes in an on-policy learner.

    Attributes:
      key: for the updates to come.
      rollout: where the B environments stand, with the network's memory.
      params: of the network.
      optimizer_state: Adam's.
      reward_states: of the streams' transformations, by name.
      moments: of observations; None where they are not normalised.
      returns: `[B]`, of the episodes that are under way, undiscounted, of the environment's rewards.
      episode_return: mean return of the episodes that ended last; 0 before the first.
    """

    key: PRNGKeyArray
    rollout: RolloutState
    params: PyTree
    optimizer_state: PyTree
    reward_states: dict[str, PyTree]
    moments: Moments | None
    returns: Float[Array, "B"]
    episode_return: Float[Array, ""]


def on_policy_learner(
    config: OnPolicyConfig,
    environment: Any,
    params: PyTree,
    network: ActorCritic | PolicyNetworkConfig,
    learn: Learn,
    reward: RewardTransformation | Streams | None = None,
) -> Algorithm:
    """A learner from the current policy's experience as an algorithm.

    One update steps B environments T times, has every stream label the steps in time order, makes generalised
    advantages, bootstrapped where a time limit cut, and hands the batch to `learn`.

    The metrics of an update: `environment_steps`; `reward(stream)`, the mean reward of each where there are several;
    `episodes`, that ended in it; `episode_return`, their mean undiscounted return of the environment's own rewards, or
    that of the last update in which any ended; and those of `learn`. `evaluate` runs episodes with the policy's modes:
    `return`, `discounted_return`, `episode_length` and `terminated`, the share that no time limit cut, means.

    Args:
      config: see `OnPolicyConfig`.
      environment: an `Environment`.
      params: of the environment.
      network: with a value for each of the K streams; or of what to make one that fits the environment.
      learn: `learn(key, network, params, optimizer_state, batch, apply_gradients)`, which returns `(params,
        optimizer_state, metrics)`, see `ppo` and `policy_gradient`. Its params are one vector `[P]`, which the network
        it is given takes; `apply_gradients(gradient, params, optimizer_state) -> (params, optimizer_state)` is a step
        of Adam.
      reward: a transformation, streams by name, or None for the environment's rewards.

    Raises:
      ValueError: naming the field, if a number is out of range; if observations are to be normalised of an
        environment that says itself what a network is shown of them.
    """
    check(config)
    takes = "False: this environment makes a network's features of its observations itself"
    fits = not (config.normalize_observations and hasattr(environment, "features"))
    require("normalize_observations", config.normalize_observations, lambda _: fits, takes)
    discount = discount_of(config.discount, environment, params)
    streams = as_streams(reward, discount)
    if isinstance(network, PolicyNetworkConfig):
        network = policy_network(network, environment, params, len(streams))
    vectorized = vectorize(environment, config.num_environments)
    optimizer = _optimizer(config)
    steps_per_update = config.num_environments * config.num_steps

    def seen_by(moments: Moments | None) -> ActorCritic:
        if moments is None:
            return network
        return observing(network, lambda observations: standardize(moments, observations, _OBSERVATION_BOUND))

    def init(key: PRNGKeyArray) -> OnPolicyState:
        key, rollout_key, network_key, reward_key = jax.random.split(key, 4)
        start = start_rollout(vectorized, rollout_key, params)
        start = start._replace(memory=network.start(config.num_environments))
        moments = None
        if config.normalize_observations:
            # The first observations count, so that they are not the only ones that are never normalised.
            like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), start.observations)
            moments = update_moments(initial_moments(like), start.observations)
        seen = seen_by(moments)
        network_params = seen.init(network_key, start.observations)
        experience, _ = jax.eval_shape(
            lambda network_params, start: collect(vectorized, seen, network_params, config.num_steps, start, params),
            network_params,
            start,
        )
        return OnPolicyState(
            key=key,
            rollout=start,
            params=network_params,
            optimizer_state=optimizer.init(ravel_pytree(network_params)[0]),
            reward_states=init_streams(streams, reward_key, trajectory_spec(experience.trajectory)),
            moments=moments,
            returns=jnp.zeros(config.num_environments),
            episode_return=jnp.zeros(()),
        )

    def update(state: OnPolicyState, step: Int[Array, ""]) -> tuple[OnPolicyState, Metrics]:
        key, learn_key = jax.random.split(state.key)
        seen = seen_by(state.moments)
        experience, rollout_state = collect(vectorized, seen, state.params, config.num_steps, state.rollout, params)
        trajectory = experience.trajectory
        rewards, reward_states = update_streams(streams, trajectory, state.reward_states)
        batch = batch_of(experience, rewards, streams, config.trace_decay)
        rate = learning_rate(config, step)

        def apply_gradients(
            gradient: Float[Array, "P"], vector: Float[Array, "P"], optimizer_state: PyTree
        ) -> tuple[Float[Array, "P"], PyTree]:
            direction, optimizer_state = optimizer.update(gradient, optimizer_state, vector)
            return optax.apply_updates(vector, jax.tree.map(lambda leaf: -rate * leaf, direction)), optimizer_state  # pyright: ignore[reportReturnType]

        # One vector of all parameters: a dozen small arrays take longer to visit than to change.
        vector, unravel = ravel_pytree(state.params)
        vector, optimizer_state, learnt = learn(
            learn_key, of_vector(seen, unravel), vector, state.optimizer_state, batch, apply_gradients
        )
        moments = state.moments
        if moments is not None:
            moments = update_moments(moments, trajectory.observations)
        returns, episode_return, episodes = episode_returns(state.returns, state.episode_return, trajectory)
        by_stream = {f"reward({name})": jnp.mean(rewards[..., k]) for k, name in enumerate(streams)}
        metrics = {
            ENVIRONMENT_STEPS: jnp.int32(steps_per_update),
            "episodes": episodes,
            "episode_return": episode_return,
            **(by_stream if len(streams) > 1 else {}),
            **learnt,
        }
        state = OnPolicyState(
            key=key,
            rollout=rollout_state,
            params=unravel(vector),
            optimizer_state=optimizer_state,
            reward_states=reward_states,
            moments=moments,
            returns=returns,
            episode_return=episode_return,
        )
        return state, metrics

    def evaluate(state: OnPolicyState, key: PRNGKeyArray) -> Metrics:
        seen = seen_by(state.moments)

        def act(observations: PyTree, memory: PyTree) -> tuple[PyTree, PyTree]:
            distribution, _, memory = seen.step(state.params, memory, observations)
            return seen.to_action(distribution.mode()), memory

        memory = seen.start(config.num_evaluation_episodes)
        return mean_episodes(
            environment,
            act,
            key,
            params,
            discount,
            config.num_evaluation_episodes,
            config.max_evaluation_steps,
            memory,
        )

    return Algorithm(init, update, evaluate)


def learning_rate(config: OnPolicyConfig, step: Int[Array, ""]) -> Float[Array, ""]:
    """Adam's rate in an update: linear in the environment steps before it, then constant."""
    end = config.learning_rate if config.learning_rate_end is None else config.learning_rate_end
    updates = config.learning_rate_steps // (config.num_environments * config.num_steps)
    return linear_schedule(step, config.learning_rate, end, updates)


def check(config: OnPolicyConfig) -> None:
    """Refuses fields that are out of range.

    Raises:
      ValueError: naming the field.
    """
    for field in ("num_environments", "num_steps", "num_evaluation_episodes", "max_evaluation_steps"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    takes = "an integer of at least 0"
    require("learning_rate_steps", config.learning_rate_steps, lambda number: number >= 0, takes)
    require("trace_decay", config.trace_decay, lambda number: 0 <= number <= 1, "a number in [0, 1]")
    for field in ("learning_rate", "adam_epsilon"):
        require(field, getattr(config, field), lambda number: number > 0, "a number above 0")
    for field in ("max_gradient_norm", "learning_rate_end"):
        takes = "a number above 0, or None"
        require(field, getattr(config, field), lambda number: number is None or number > 0, takes)


def _optimizer(config: OnPolicyConfig) -> optax.GradientTransformation:
    adam = optax.scale_by_adam(eps=config.adam_epsilon)
    if config.max_gradient_norm is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), adam)  # pyright: ignore[reportArgumentType]
