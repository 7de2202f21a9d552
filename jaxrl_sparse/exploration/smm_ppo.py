"""SMM-PPO: state-marginal matching with PPO, whose historical average is a ring of snapshots of its policy."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, PyTree, RewardStream, config, is_count, require
from jaxrl_sparse.environments.rollouts import rollout, start_rollout
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.exploration.densities import DensityModel, gaussian_mixture, histogram
from jaxrl_sparse.exploration.skills import SkillEnvironment, split_skill
from jaxrl_sparse.exploration.state_marginal_matching import fitted_divergence, skill_rewards, smm_reward
from jaxrl_sparse.learners.discounting import discount_of
from jaxrl_sparse.learners.episode_accounts import episode_returns
from jaxrl_sparse.learners.on_policy import OnPolicyState
from jaxrl_sparse.learners.policy_networks import policy_network
from jaxrl_sparse.learners.ppo import PPOConfig, ppo
from jaxrl_sparse.networks.actor_critic import ActorCritic
from jaxrl_sparse.rewards.algebra import identity


@config
class SMMPPOConfig(PPOConfig):
    """Configuration of `smm_ppo`: that of `PPOConfig`, whose discount is the task's, and of the matching.

    Attributes:
      matching_discount: gamma in [0, 1), per step, of the stream that matches, which no episode ends.
      matching_coefficient: of its advantages.
      task_coefficient: of the task's; 0 is exploration alone.
      num_components: of the mixture of Gaussians where states are not counted.
      pseudo_count: of each cell where they are.
      num_skills: Z; 1 for no skills.
      skill_coefficient: c, see `skill_rewards`.
      num_snapshots: K, of the ring.
      snapshot_period: updates between two of them.
    """

    matching_discount: float = 0.99
    matching_coefficient: float = 1.0
    task_coefficient: float = 0.0
    num_components: int = 8
    pseudo_count: float = 1.0
    num_skills: int = 1
    skill_coefficient: float = 1.0
    num_snapshots: int = 32
    snapshot_period: int = 4


class SMMPPOState(NamedTuple):
    """State of `smm_ppo`.

    Attributes:
      learner: PPO's, whose `reward_states["matching"]` is what the densities know.
      snapshots: parameters of K policies, leaves `[K, ...]`.
      num_snapshots: how many of them were taken, at least 1: before the first, all are the policy of the start.
    """

    learner: OnPolicyState
    snapshots: PyTree
    num_snapshots: Int[Array, ""]


def smm_ppo(
    config: SMMPPOConfig,
    environment: Any,
    params: PyTree,
    density: DensityModel | None = None,
    target: Callable[[PyTree], Array] | None = None,
    view: Callable[[PyTree], PyTree] | None = None,
) -> Algorithm:
    """PPO on `log p* - log q`, and on the task where it has a coefficient; see `ppo` for its metrics of an update.

    `reward(matching)`, the mean of `log p* - log q`, is among them. `evaluate` runs the historical average: each of
    `num_evaluation_episodes` environments draws a snapshot, uniformly, and acts by it for `max_evaluation_steps`, with
    actions drawn as in training. A density model that starts anew learns these states, and tells `entropy`, minus the
    mean of its log q, and `kl`, of it to the target. `last_entropy` and `last_kl` are those of the last policy alone.
    `return` is of the historical average's episodes that ended, undiscounted.

    Args:
      config: see `SMMPPOConfig`.
      environment: with flat observations where there are skills.
      params: of the environment.
      density: q; where None, a `histogram` of the states of a `TabularEnvironment`, else a `gaussian_mixture`.
      target: `log p*` of states, see `smm_reward`; uniform where None, which for a mixture of Gaussians is the largest
        differential entropy.
      view: from observations to the states that are matched; the environment's own `novelty_view` where it has one, or
        its `features`, or all.

    Raises:
      ValueError: naming the field that is out of range.

    Source: Lee et al., "Efficient Exploration via State Marginal Matching" (2019), which learns by SAC.
    """
    for field in ("num_snapshots", "snapshot_period", "num_skills"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    takes = "a number in [0, 1), for a stream that no episode ends"
    require("matching_discount", config.matching_discount, lambda gamma: 0 <= gamma < 1, takes)
    takes = "False: a snapshot would be shown other numbers than it has learnt from"
    require("normalize_observations", config.learner.normalize_observations, lambda flag: not flag, takes)
    if view is None:
        view = getattr(environment, "novelty_view", getattr(environment, "features", None))
    if density is None:
        density = _density_for(config, environment)
    if config.num_skills == 1:
        stepped, matching = environment, smm_reward(density, target, view)
    else:
        takes = "an environment whose observations the network is shown as they are"
        require("environment", hasattr(environment, "features"), lambda has: not has, takes)
        stepped = SkillEnvironment(environment, config.num_skills)
        split = _viewed(split_skill(config.num_skills), view)
        matching = skill_rewards(density, config.num_skills, split, target, config.skill_coefficient)
        view = lambda observations: split(observations)[0]  # noqa: E731
    discount = discount_of(config.learner.discount, environment, params)
    streams = {
        "matching": RewardStream(matching, config.matching_discount, config.matching_coefficient, episodic=False),
        "task": RewardStream(identity(), discount, config.task_coefficient, episodic=True),
    }
    network = policy_network(config.network, stepped, params, len(streams))
    learner = ppo(config, stepped, params, streams, network)

    def init(key: PRNGKeyArray) -> SMMPPOState:
        state = learner.init(key)
        repeat = lambda leaf: jnp.broadcast_to(leaf, (config.num_snapshots, *leaf.shape))  # noqa: E731
        return SMMPPOState(state, jax.tree.map(repeat, state.params), jnp.int32(1))

    def update(state: SMMPPOState, step: Int[Array, ""]) -> tuple[SMMPPOState, Metrics]:
        after, metrics = learner.update(state.learner, step)
        number = step // config.snapshot_period
        slot, is_due = number % config.num_snapshots, step % config.snapshot_period == 0
        snapshots = jax.tree.map(
            lambda ring, leaf: ring.at[slot].set(jnp.where(is_due, leaf, ring[slot])), state.snapshots, after.params
        )
        return SMMPPOState(after, snapshots, jnp.minimum(number + 1, config.num_snapshots)), metrics

    def evaluate(state: SMMPPOState, key: PRNGKeyArray) -> Metrics:
        average_key, last_key, drawn_key = jax.random.split(key, 3)
        size = config.learner.num_evaluation_episodes
        drawn = jax.random.randint(drawn_key, (size,), 0, state.num_snapshots)
        average = jax.tree.map(lambda ring: ring[drawn], state.snapshots)
        last = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (size, *leaf.shape)), state.learner.params)
        metrics = measured(average_key, average)
        return {**metrics, **{f"last_{name}": value for name, value in measured(last_key, last).items()}}

    def measured(key: PRNGKeyArray, policies: PyTree) -> Metrics:
        """Of environments that act by policies of their own, leaves `[B, ...]`."""
        rollout_key, density_key = jax.random.split(key)
        vectorized = vectorize(stepped, config.learner.num_evaluation_episodes)
        start = start_rollout(vectorized, rollout_key, params)
        start = start._replace(memory=network.start(vectorized.num_environments))
        act = _acting(network, policies)
        trajectory, _ = rollout(vectorized, act, config.learner.max_evaluation_steps, start, params)
        divergence, entropy = fitted_divergence(density_key, trajectory, density, target, view)
        _, returned, _ = episode_returns(jnp.zeros(vectorized.num_environments), jnp.zeros(()), trajectory)
        return {"kl": divergence, "entropy": entropy, "return": returned}

    return Algorithm(init, update, evaluate)


def _density_for(config: SMMPPOConfig, environment: Any) -> DensityModel:
    if isinstance(environment, TabularEnvironment):
        cell_of = lambda observations: jnp.argmax(observations, axis=-1).astype(jnp.int32)  # noqa: E731
        return histogram(cell_of, environment.mdp.num_states, config.pseudo_count)
    return gaussian_mixture(config.num_components)


def _viewed(split: Callable[[Array], tuple[Array, Array]], view: Callable[[PyTree], PyTree] | None) -> Any:
    """The split whose states are those of a view."""

    def viewed(observations: Array) -> tuple[PyTree, Array]:
        states, skills = split(observations)
        return states if view is None else view(states), skills

    return viewed


def _acting(network: ActorCritic, policies: PyTree) -> Any:
    """The policy whose environment i acts by parameters i, leaves `[B, ...]`."""
    single = lambda tree: jax.tree.map(lambda leaf: leaf[None], tree)  # noqa: E731

    def act(key: PRNGKeyArray, observations: PyTree, memory: PyTree) -> tuple[PyTree, dict[str, Array], PyTree]:
        def one(key, params, observation, memory):
            distribution, _, memory = network.step(params, single(memory), single(observation))
            action = network.to_action(distribution.sample(seed=key))[0]
            return action, jax.tree.map(lambda leaf: leaf[0], memory)

        # A distribution cannot leave a vmap where only one of its parameters is the policy's own: a key for each row.
        keys = jax.random.split(key, jax.tree.leaves(policies)[0].shape[0])
        actions, memory = jax.vmap(one)(keys, policies, observations, memory)
        return actions, {}, memory

    return act
