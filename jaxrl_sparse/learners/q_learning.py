"""Deep Q-learning with a replay, for any head: DQN, QR-DQN, C51, IQN, and preferences over laws of returns."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import (
    ENVIRONMENT_STEPS,
    Algorithm,
    Metrics,
    PyTree,
    RewardTransformation,
    Trajectory,
    config,
    is_count,
    require,
    trajectory_spec,
)
from jaxrl_sparse.environments.rollouts import RolloutState, rollout, start_rollout
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.learners.discounting import discount_of
from jaxrl_sparse.learners.episode_accounts import episode_returns, mean_episodes
from jaxrl_sparse.learners.replay import (
    ReplayState,
    Transitions,
    replay,
    rounded_capacity,
    trajectory_of,
    transitions_of,
)
from jaxrl_sparse.learners.schedules import linear_schedule
from jaxrl_sparse.learners.temporal_difference import QNetworkParams, action_scores, temporal_difference_loss
from jaxrl_sparse.learners.value_heads import ValueHead
from jaxrl_sparse.networks.feedforward import Network
from jaxrl_sparse.rewards.algebra import identity

Edit = Callable[[PRNGKeyArray, Transitions], Transitions]


@config
class QLearningConfig:
    """Configuration of `q_learning`.

    Attributes:
      num_environments: B, stepped together.
      num_steps: T, steps of each environment in an update.
      num_gradient_steps: gradient steps of an update, each on a batch of its own.
      batch_size: transitions of a batch.
      replay_capacity: transitions that are kept; rounded up to a multiple of B T.
      learning_starts: transitions that are collected before the first gradient step.
      discount: gamma in [0, 1], per step; None for the environment's own, see `discount_of`.
      learning_rate: Adam's, at the start.
      learning_rate_end: Adam's from `learning_rate_steps` on; None for a constant rate.
      learning_rate_steps: environment steps in which it falls linearly.
      adam_epsilon: Adam's, outside of the square root.
      max_gradient_norm: gradients are scaled down to this global norm; None for no limit.
      epsilon_start: share of random actions at the start.
      epsilon_end: share of random actions from `epsilon_steps` on.
      epsilon_steps: environment steps in which the share falls linearly.
      target_period: updates between two moves of the target network.
      target_step_size: how far the target network moves to the online one: 1 copies it.
      double_q: whether the online network chooses the action that the target network values.
      average_ties: whether a target is made of all actions that are equally good, rather than of the first.
      num_evaluation_episodes: greedy episodes of `evaluate`.
      max_evaluation_steps: most steps of such an episode; it ends before where the environment ends it.
    """

    num_environments: int = 10
    num_steps: int = 1
    num_gradient_steps: int = 1
    batch_size: int = 128
    replay_capacity: int = 10_000
    learning_starts: int = 10_000
    discount: float | None = None
    learning_rate: float = 2.5e-4
    learning_rate_end: float | None = None
    learning_rate_steps: int = 500_000
    adam_epsilon: float = 1e-8
    max_gradient_norm: float | None = None
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_steps: int = 250_000
    target_period: int = 50
    target_step_size: float = 1.0
    double_q: bool = False
    average_ties: bool = False
    num_evaluation_episodes: int = 32
    max_evaluation_steps: int = 1000


class QLearningState(NamedTuple):
    """What changes in `q_learning`.

    Attributes:
      key: for the updates to come.
      rollout: where the B environments stand.
      replay: `Transitions`, with the environment's own rewards.
      params: of the online network.
      target_params: of the target network.
      optimizer_state: Adam's.
      reward_state: of the reward transformation.
      returns: `[B]`, of the episodes that are under way, undiscounted, of the environment's rewards.
      episode_return: mean return of the episodes that ended last; 0 before the first.
    """

    key: PRNGKeyArray
    rollout: RolloutState
    replay: ReplayState
    params: QNetworkParams
    target_params: QNetworkParams
    optimizer_state: PyTree
    reward_state: PyTree
    returns: Float[Array, "B"]
    episode_return: Float[Array, ""]


def q_learning(
    config: QLearningConfig,
    environment: Any,
    params: PyTree,
    torso: Network,
    head: ValueHead,
    *,
    reward: RewardTransformation | None = None,
    edit: Edit | None = None,
) -> Algorithm:
    """Q-learning with a replay and a target network as an algorithm.

    One update steps B environments T times with the epsilon-greedy policy, stores the B T transitions with the
    environment's rewards, and then does the gradient steps, each on a uniform batch that is edited and labelled when it
    is sampled; the reward transformation learns from the fresh transitions. Episodes that a time limit cut are
    bootstrapped from what followed; only `terminated` ends a return.

    The metrics of an update: `environment_steps`; `loss` and `value` (means over its batches, 0 before learning
    starts); `epsilon`; `episodes`, that ended in it; `episode_return`, their mean undiscounted return, or that of the
    last update in which any ended. `evaluate` runs greedy episodes: `return`, `discounted_return`, `episode_length`
    and `terminated`, the share that no time limit cut, means.

    Args:
      config: see `QLearningConfig`.
      environment: with discrete actions.
      params: of the environment.
      torso: from observations `[B, ...]` to features `[B, F]`.
      head: from features to laws of returns.
      reward: what the network learns to predict the return of; the environment's rewards by default.
      edit: `edit(key, transitions) -> transitions`, applied to each batch: for components of observations that the
        environment does not depend on, so that any value of theirs makes a true transition.

    Raises:
      ValueError: naming the field, if a number is out of range; if actions are not discrete; if `reward` cannot
        relabel.
    """
    _check(config)
    discount = discount_of(config.discount, environment, params)
    reward = identity() if reward is None else reward
    relabel = _relabel_of(reward)
    num_actions = _num_actions(environment, params)
    vectorized = vectorize(environment, config.num_environments)
    steps_per_update = config.num_environments * config.num_steps
    memory = replay(rounded_capacity(config.replay_capacity, steps_per_update), config.batch_size)
    optimizer = _optimizer(config)
    first_learning_update = max(0, -(-config.learning_starts // steps_per_update) - 1)

    def behave(network: QNetworkParams, epsilon: Array, start: RolloutState) -> tuple[Trajectory, RolloutState]:
        def policy(key: PRNGKeyArray, observations: PyTree) -> tuple[Array, dict[str, Array]]:
            law_key, explore_key = jax.random.split(key) if head.samples_levels else (key, key)
            scores = action_scores(network, law_key, observations, torso, head)
            return epsilon_greedy(explore_key, scores, epsilon), {}

        return rollout(vectorized, policy, config.num_steps, start, params)

    def init(key: PRNGKeyArray) -> QLearningState:
        key, rollout_key, torso_key, head_key, reward_key = jax.random.split(key, 5)
        start = start_rollout(vectorized, rollout_key, params)
        torso_params = torso.init(torso_key, start.observations)
        features = torso.apply(torso_params, start.observations)
        network = QNetworkParams(torso_params, head.init(head_key, features, num_actions))
        trajectory, _ = jax.eval_shape(behave, network, jnp.float32(0), start)
        row = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), jax.eval_shape(transitions_of, trajectory)
        )
        return QLearningState(
            key=key,
            rollout=start,
            replay=memory.init(row),
            params=network,
            # Arrays of their own: a state whose leaves share buffers cannot be donated.
            target_params=jax.tree.map(jnp.copy, network),
            optimizer_state=optimizer.init(network),
            reward_state=reward.init(reward_key, trajectory_spec(trajectory)),
            returns=jnp.zeros(config.num_environments),
            episode_return=jnp.zeros(()),
        )

    def update(state: QLearningState, step: Int[Array, ""]) -> tuple[QLearningState, Metrics]:
        key, sample_key, learn_key = jax.random.split(state.key, 3)
        epsilon = exploration_rate(config, step)
        trajectory, rollout_state = behave(state.params, epsilon, state.rollout)
        _, reward_state = reward.update(trajectory, state.reward_state)
        replay_state = memory.add(state.replay, transitions_of(trajectory))
        returns, episode_return, episodes = episode_returns(state.returns, state.episode_return, trajectory)

        learning, rate = step >= first_learning_update, learning_rate(config, step)
        batches = memory.sample(replay_state, sample_key, config.num_gradient_steps)

        def gradient_step(i, carry):
            network, optimizer_state, sums = carry
            edit_key, loss_key = jax.random.split(jax.random.fold_in(learn_key, i))
            batch = jax.tree.map(
                lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, i * config.batch_size, config.batch_size), batches
            )
            batch = batch if edit is None else edit(edit_key, batch)
            rewards = relabel(trajectory_of(batch), reward_state)[0]
            (loss, metrics), gradients = jax.value_and_grad(temporal_difference_loss, has_aux=True)(
                network,
                state.target_params,
                loss_key,
                batch,
                rewards,
                discount,
                torso=torso,
                head=head,
                double_q=config.double_q,
                average_ties=config.average_ties,
            )
            directions, optimizer_state = optimizer.update(gradients, optimizer_state, network)
            updates = jax.tree.map(lambda direction: -rate * direction, directions)
            sums = jax.tree.map(jnp.add, sums, {"loss": loss, **metrics})
            return optax.apply_updates(network, updates), optimizer_state, sums

        # Loops of no round are cheaper than a `cond`, which copies its operands: the carry is changed in place.
        network, optimizer_state, sums = jax.lax.fori_loop(
            0,
            jnp.where(learning, config.num_gradient_steps, 0),
            gradient_step,
            (state.params, state.optimizer_state, {"loss": jnp.zeros(()), "value": jnp.zeros(())}),
        )
        moves = learning & ((step + 1) % config.target_period == 0)
        target = jax.lax.fori_loop(
            0,
            jnp.where(moves, 1, 0),
            lambda _, target: optax.incremental_update(network, target, config.target_step_size),
            state.target_params,
        )
        metrics = {
            ENVIRONMENT_STEPS: jnp.int32(steps_per_update),
            "epsilon": epsilon,
            "episodes": episodes,
            "episode_return": episode_return,
            **jax.tree.map(lambda total: total / config.num_gradient_steps, sums),
        }
        state = QLearningState(
            key=key,
            rollout=rollout_state,
            replay=replay_state,
            params=network,
            target_params=target,
            optimizer_state=optimizer_state,
            reward_state=reward_state,
            returns=returns,
            episode_return=episode_return,
        )
        return state, metrics

    def evaluate(state: QLearningState, key: PRNGKeyArray) -> Metrics:
        def act(observations: PyTree) -> Array:
            return jnp.argmax(action_scores(state.params, None, observations, torso, head), axis=-1)

        return mean_episodes(
            environment, act, key, params, discount, config.num_evaluation_episodes, config.max_evaluation_steps
        )

    return Algorithm(init, update, evaluate)


def epsilon_greedy(key: PRNGKeyArray, scores: Float[Array, "B A"], epsilon: float | Array) -> Int[Array, "B"]:
    """The best action of each row, or with probability epsilon any of the A actions; one number is drawn for each row.

    A number that fell below epsilon is uniform below epsilon, and so says which action.
    """
    drawn = jax.random.uniform(key, scores.shape[:1])
    num_actions = scores.shape[1]
    explored = jnp.floor(drawn / jnp.maximum(epsilon, 1e-30) * num_actions).astype(jnp.int32)
    return jnp.where(drawn < epsilon, jnp.minimum(explored, num_actions - 1), jnp.argmax(scores, axis=1))


def exploration_rate(config: QLearningConfig, step: Int[Array, ""]) -> Float[Array, ""]:
    """The share of random actions of an update: linear in the environment steps before it, then constant."""
    return linear_schedule(step, config.epsilon_start, config.epsilon_end, _updates(config, config.epsilon_steps))


def learning_rate(config: QLearningConfig, step: Int[Array, ""]) -> Float[Array, ""]:
    """Adam's rate in an update: linear in the environment steps before it, then constant."""
    end = config.learning_rate if config.learning_rate_end is None else config.learning_rate_end
    return linear_schedule(step, config.learning_rate, end, _updates(config, config.learning_rate_steps))


def _updates(config: QLearningConfig, environment_steps: int) -> int:
    return environment_steps // (config.num_environments * config.num_steps)


def _optimizer(config: QLearningConfig) -> optax.GradientTransformation:
    adam = optax.scale_by_adam(eps=config.adam_epsilon)
    if config.max_gradient_norm is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), adam)  # pyright: ignore[reportArgumentType]


def _relabel_of(reward: RewardTransformation) -> Callable[[Trajectory, PyTree], Array]:
    takes = "a transformation that can relabel: a replay forgets the history that this one needs"
    require("reward", reward.relabel, lambda relabel: relabel is not None, takes)
    assert reward.relabel is not None
    return reward.relabel


def _num_actions(environment: Any, params: PyTree) -> int:
    space = environment.action_space(params)
    takes = "an environment with discrete actions; wrap it in DiscreteActions"
    require("environment", environment.name, lambda _: hasattr(space, "n"), takes)
    return int(space.n)


def _check(config: QLearningConfig) -> None:
    counts = (
        "num_environments",
        "num_steps",
        "num_gradient_steps",
        "batch_size",
        "replay_capacity",
        "target_period",
        "num_evaluation_episodes",
        "max_evaluation_steps",
    )
    for field in counts:
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    for field in ("learning_starts", "epsilon_steps", "learning_rate_steps"):
        require(field, getattr(config, field), lambda number: number >= 0, "an integer of at least 0")
    for field in ("epsilon_start", "epsilon_end", "target_step_size"):
        require(field, getattr(config, field), lambda number: 0 <= number <= 1, "a number in [0, 1]")
    for field in ("learning_rate", "adam_epsilon"):
        require(field, getattr(config, field), lambda number: number > 0, "a number above 0")
    for field in ("max_gradient_norm", "learning_rate_end"):
        takes = "a number above 0, or None"
        require(field, getattr(config, field), lambda number: number is None or number > 0, takes)
