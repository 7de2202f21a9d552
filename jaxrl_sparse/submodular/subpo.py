"""SubPO: the policy gradient for returns that are set functions of the states of an episode.

With marginal gains F(s | A) = F(A u {s}) - F(A) and trajectories s_0, a_0, ..., s_T,

    grad J = E sum_i grad log pi(a_i | s_i) (sum_{j >= i} F(s_{j+1} | s_0..s_j) - b_i)

for every baseline b_i of what came before a_i. SubPO-M's policy sees the state (and the time), SubPO-NM's the history;
ModPO is the same with the modular rewards F({s}), paid again at every visit.

Source: Prajapat et al., "Submodular Reinforcement Learning" (ICLR 2024), theorem 2 and algorithm 1, and the published
code for its forms of credit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import ENVIRONMENT_STEPS, Algorithm, Metrics, PyTree, config, is_count, require, require_known
from jaxrl_sparse.environments.rollouts import rollout, start_rollout
from jaxrl_sparse.environments.vectorized import vectorize
from jaxrl_sparse.networks.distributions import policy_head
from jaxrl_sparse.submodular.marginal_gains import num_negative_gains
from jaxrl_sparse.submodular.natural_policy_gradient import natural_gradient, trust_region_step
from jaxrl_sparse.submodular.policies import EpisodePolicy, history_policy, markov_policy
from jaxrl_sparse.submodular.set_functions import SetFunction, modular_surrogate, require_ground_set

CREDITS = ("reward_to_go", "immediate", "prefix_value", "trajectory_value")
BASELINES = ("batch_mean", "leave_one_out", "none")
OBJECTIVES = ("submodular", "modular")
OPTIMIZERS = ("adam", "natural")
# As published, and as the default of its framework.
_ADAM_EPSILON = 1e-8


@config
class SubPOConfig:
    """Configuration of `subpo`.

    Attributes:
      num_trajectories: B of an update.
      objective: "submodular", or "modular" for ModPO; what is reported is F either way.
      credit: what an action's log-probability is weighted with, see `credit`. "prefix_value" is what the published
        code computes, in expectation the greedy gradient of "immediate" with more variance.
      baseline: what is taken off it, see `less_baseline`.
      sees_history: whether the policy sees all states of the episode so far (SubPO-NM) or the last one (SubPO-M).
      hidden_sizes: of the policy.
      optimizer: "adam", or "natural" for the natural policy gradient.
      learning_rate: of Adam; not used by the natural gradient.
      divergence: kappa of a natural step, in nats.
      damping: of the Fisher matrix of a natural step.
      num_iterations: of conjugate gradients of a natural step.
      entropy_coefficient: alpha; the policy's mean entropy is added to the objective with alpha / (update + 1).
      return_scale: what credit is divided by; with Adam it matters beside `entropy_coefficient` alone.
      num_evaluation_episodes: of `evaluate`.
    """

    num_trajectories: int = 500
    objective: str = "submodular"
    credit: str = "reward_to_go"
    baseline: str = "batch_mean"
    sees_history: bool = False
    hidden_sizes: tuple[int, ...] = (64, 32)
    optimizer: str = "adam"
    learning_rate: float = 1e-2
    divergence: float = 1e-2
    damping: float = 1e-3
    num_iterations: int = 20
    entropy_coefficient: float = 0.0
    return_scale: float = 1.0
    num_evaluation_episodes: int = 500


class SubPOState(NamedTuple):
    """What changes in `subpo`.

    Attributes:
      key: for the updates to come.
      params: of the policy.
      optimizer_state: Adam's.
    """

    key: PRNGKeyArray
    params: PyTree
    optimizer_state: PyTree


class Walks(NamedTuple):
    """Trajectories of one policy, each from the first state of an episode.

    Attributes:
      features: `[T, B, F]`, what the policy saw.
      raw_actions: `[T, B, ...]`, what it drew: intended, whatever the environment made of it.
      elements: `[T + 1, B, ...]`, of the set function, the first state's included.
      active: `[T, B]`, whether the step belongs to the episode.
    """

    features: Float[Array, "T B F"]
    raw_actions: Array
    elements: Array
    active: Bool[Array, "T B"]


def subpo(
    config: SubPOConfig,
    environment: Any,
    params: PyTree,
    set_function: SetFunction,
    element_of: Callable[[PyTree], Array],
    features_of: Callable[[PyTree], Array],
    horizon: int,
    num_elements: int | None = None,
) -> Algorithm:
    """SubPO-M, SubPO-NM and ModPO as an algorithm: one update is B whole episodes and one step of the gradient.

    The metrics of an update: `environment_steps`; `episode_return`, the mean of F over its trajectories, and
    `largest_return`; `loss`; `entropy`; `negative_gains`, how many there were: F is then not monotone, and the theory
    does not hold. `evaluate` draws fresh episodes: `return`, the mean of F by its definition and not by gains, and
    `largest_return`.

    Args:
      config: see `SubPOConfig`.
      environment: an `Environment`; its own rewards are not looked at.
      params: of the environment.
      set_function: F.
      element_of: from one observation to its element.
      features_of: from observations `[..., ]` to the policy's inputs `[..., F]`.
      horizon: H, the states of an episode with the first one; at least 2.
      num_elements: N that the environment visits; required where F is one of numbers, such as cells.

    Raises:
      ValueError: naming the field that is out of range, or if F's ground set is finite and not of N elements.
    """
    _check(config, horizon)
    _check_elements(set_function, num_elements)
    policy = policy_of(config, environment, params, horizon)
    paid = set_function if config.objective == "submodular" else modular_surrogate(set_function)
    adam = optax.adam(config.learning_rate, eps=_ADAM_EPSILON)

    def walk(policy_params: PyTree, key: PRNGKeyArray, num_trajectories: int) -> Walks:
        return walks_of(
            policy, policy_params, environment, params, key, num_trajectories, element_of, features_of, horizon
        )

    def init(key: PRNGKeyArray) -> SubPOState:
        key, reset_key, policy_key = jax.random.split(key, 3)
        observation, _ = environment.reset_env(reset_key, params)
        policy_params = policy.init(policy_key, features_of(observation)[None])
        return SubPOState(key, policy_params, adam.init(policy_params))

    def update(state: SubPOState, step: Int[Array, ""]) -> tuple[SubPOState, Metrics]:
        key, walk_key = jax.random.split(state.key)
        walks = walk(state.params, walk_key, config.num_trajectories)
        first_values, gains = episode_gains(set_function, walks.elements, walks.active)
        values = first_values + jnp.sum(gains, axis=0)
        if config.objective == "modular":
            first_values, gains = episode_gains(paid, walks.elements, walks.active)
        weights = less_baseline(credit(gains, first_values, config.credit), walks.active, config.baseline)
        alpha = config.entropy_coefficient / (step + 1)

        def loss(policy_params: PyTree) -> tuple[Float[Array, ""], Float[Array, ""]]:
            distribution = policy.unroll(policy_params, walks.features)
            log_probs, entropies = distribution.log_prob(walks.raw_actions), distribution.entropy()
            count = jnp.sum(walks.active)
            entropy = jnp.sum(entropies, where=walks.active) / count
            score = jnp.sum(weights / config.return_scale * log_probs, where=walks.active) / count
            return -(score + alpha * entropy), entropy

        (value, entropy), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        optimizer_state = state.optimizer_state
        if config.optimizer == "adam":
            updates, optimizer_state = adam.update(gradient, optimizer_state)
        else:
            updates = _natural_step(config, policy, walks, gradient, state.params)
        metrics = {
            ENVIRONMENT_STEPS: jnp.sum(walks.active, dtype=jnp.int32),
            "episode_return": jnp.mean(values),
            "largest_return": jnp.max(values),
            "loss": value,
            "entropy": entropy,
            "negative_gains": num_negative_gains(gains),
        }
        return SubPOState(key, optax.apply_updates(state.params, updates), optimizer_state), metrics

    def evaluate(state: SubPOState, key: PRNGKeyArray) -> Metrics:
        walks = walk(state.params, key, config.num_evaluation_episodes)
        present = jnp.concatenate([jnp.ones_like(walks.active[:1]), walks.active])
        values = jax.vmap(set_function.value, in_axes=1)(walks.elements, present)
        return {"return": jnp.mean(values), "largest_return": jnp.max(values)}

    return Algorithm(init, update, evaluate)


def policy_of(config: SubPOConfig, environment: Any, params: PyTree, horizon: int) -> EpisodePolicy:
    """The policy of a configuration, for the environment's actions and episodes of H states."""
    head = policy_head(environment.action_space(params))
    if config.sees_history:
        return history_policy(head, horizon - 1, config.hidden_sizes)
    return markov_policy(head, config.hidden_sizes)


def walks_of(
    policy: EpisodePolicy,
    policy_params: PyTree,
    environment: Any,
    params: PyTree,
    key: PRNGKeyArray,
    num_trajectories: int,
    element_of: Callable[[PyTree], Array],
    features_of: Callable[[PyTree], Array],
    horizon: int,
) -> Walks:
    """Draws B whole episodes of a policy.

    Args:
      policy: see `policy_of`.
      policy_params: its parameters.
      environment: as in `subpo`.
      params: of the environment.
      key: for starts, actions and steps.
      num_trajectories: B, static.
      element_of: as in `subpo`.
      features_of: as in `subpo`.
      horizon: H, static.
    """
    batch = vectorize(environment, num_trajectories, reset_mode="none")
    elements_of = jax.vmap(jax.vmap(element_of))

    def act(key, observations, memory):
        features = features_of(observations)
        distribution, memory = policy.step(policy_params, memory, features)
        raw = distribution.sample(seed=key)
        return policy.to_action(raw), {"features": features, "raw_actions": raw}, memory

    start = start_rollout(batch, key, params)._replace(memory=policy.start(num_trajectories))
    trajectory, _ = rollout(batch, act, horizon - 1, start, params)
    # Time limits included: what comes after an end is no part of the episode.
    ended = jnp.cumsum(trajectory.dones, axis=0)
    active = jnp.concatenate([jnp.ones_like(ended[:1], bool), ended[:-1] == 0])
    first = jax.tree.map(lambda leaf: leaf[:1], trajectory.observations)
    elements = jnp.concatenate([elements_of(first), elements_of(trajectory.next_observations)])
    return Walks(trajectory.extras["features"], trajectory.extras["raw_actions"], elements, active)


def episode_gains(
    set_function: SetFunction, elements: Array, active: Bool[Array, "T B"]
) -> tuple[Float[Array, "B"], Float[Array, "T B"]]:
    """`F({s_0})`, and the marginal gains `F(s_{t+1} | s_0..s_t)`; zero where a step is no part of its episode.

    Args:
      set_function: F.
      elements: `[T + 1, B, ...]`.
      active: `[T, B]`.
    """
    gain, add = jax.vmap(set_function.gain), jax.vmap(set_function.add)
    empty = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (elements.shape[1], *jnp.shape(leaf))), set_function.init()
    )

    def one(memory: PyTree, element: Array) -> tuple[PyTree, Float[Array, "B"]]:
        return add(memory, element), gain(memory, element)

    memory, first = one(empty, elements[0])
    _, gains = jax.lax.scan(one, memory, elements[1:])
    return first, jnp.where(active, gains, 0.0)


def credit(gains: Float[Array, "T B"], first_values: Float[Array, "B"], form: str) -> Float[Array, "T B"]:
    """What each action is given credit for, before a baseline.

        reward_to_go      sum_{j >= i} gain_j            immediate         gain_i
        prefix_value      F(s_0) + sum_{j <= i} gain_j   trajectory_value  F(s_0) + sum_j gain_j

    In expectation the first and the last make the gradient of J, the other two that of the next gain alone.

    Args:
      gains: `F(s_{i+1} | s_0..s_i)`.
      first_values: `F({s_0})`.
      form: one of the four.
    """
    if form == "reward_to_go":
        return jnp.cumsum(gains[::-1], axis=0)[::-1]
    if form == "immediate":
        return gains
    if form == "prefix_value":
        return first_values + jnp.cumsum(gains, axis=0)
    return jnp.broadcast_to(first_values + jnp.sum(gains, axis=0), gains.shape)


def less_baseline(weights: Float[Array, "T B"], active: Bool[Array, "T B"], baseline: str) -> Float[Array, "T B"]:
    """Credit less the mean over the trajectories at each step: of all, "batch_mean", or of the others, "leave_one_out".

    The mean of all holds each trajectory's own credit, so that the gradient is biased, by the factor `1 - 1 / B`; that
    of the others is independent of it.

    Args:
      weights: credit.
      active: trajectories that have ended are no part of a mean.
      baseline: one of the two, or "none".
    """
    if baseline == "none":
        return weights
    total, count = jnp.sum(weights, axis=1, where=active, keepdims=True), jnp.sum(active, axis=1, keepdims=True)
    if baseline == "batch_mean":
        return weights - total / jnp.maximum(count, 1)
    return weights - (total - weights) / jnp.maximum(count - 1, 1)


def _natural_step(config: SubPOConfig, policy: EpisodePolicy, walks: Walks, gradient: PyTree, params: PyTree) -> PyTree:
    def log_probs(policy_params: PyTree) -> Float[Array, "T B"]:
        drawn = policy.unroll(policy_params, walks.features).log_prob(walks.raw_actions)
        return jnp.where(walks.active, drawn, 0.0)

    direction = natural_gradient(gradient, log_probs, params, config.num_iterations, config.damping)
    length = trust_region_step(direction, log_probs, params, config.divergence)
    return jax.tree.map(lambda leaf: -length * leaf, direction)


def _check_elements(set_function: SetFunction, num_elements: int | None) -> None:
    size = set_function.ground_set_size
    takes = f"how many elements the environment visits, to be compared with the {size} of the set function"
    require("num_elements", num_elements, lambda number: size is None or number is not None, takes)
    if num_elements is not None:
        require_ground_set(set_function, num_elements)


def _check(config: SubPOConfig, horizon: int) -> None:
    takes = "an integer of at least 2: it counts states, and an episode without an action has nothing to learn"
    require("horizon", horizon, lambda number: is_count(number) and number >= 2, takes)
    for field in ("num_trajectories", "num_iterations", "num_evaluation_episodes"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    for field, known in (
        ("objective", OBJECTIVES),
        ("credit", CREDITS),
        ("baseline", BASELINES),
        ("optimizer", OPTIMIZERS),
    ):
        require_known(field, getattr(config, field), known, known)
    for field in ("learning_rate", "divergence", "return_scale"):
        require(field, getattr(config, field), lambda number: number > 0, "a number above 0")
    for field in ("damping", "entropy_coefficient"):
        require(field, getattr(config, field), lambda number: number >= 0, "a number of at least 0")
    takes = "at least 2 trajectories where each is compared to the others"
    alone = config.baseline == "leave_one_out" and config.num_trajectories == 1
    require("num_trajectories", config.num_trajectories, lambda _: not alone, takes)
