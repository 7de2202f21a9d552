"""Random network distillation: what is new is what a network cannot yet predict of another one that never changes."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import PyTree, RewardStream, RewardTransformation, Trajectory, config, is_count, require
from jaxrl_sparse.networks.feedforward import Network, flat_features
from jaxrl_sparse.numerics.random_order import random_order
from jaxrl_sparse.numerics.running_moments import Moments, initial_moments, standardize, update_moments
from jaxrl_sparse.rewards.algebra import chain, identity
from jaxrl_sparse.rewards.normalization import normalize


@config
class RNDConfig:
    """Configuration of `rnd`.

    Attributes:
      target_sizes: widths of the fixed network's hidden layers.
      predictor_sizes: of the network that learns; as published it has more layers than the other.
      num_features: F, what is predicted.
      learning_rate: Adam's.
      num_epochs: passes over a trajectory.
      num_minibatches: gradient steps of a pass; divides the T B steps.
      update_proportion: in (0, 1], the part of the steps, drawn at random, that a gradient counts: the more
        environments there are, the sooner would everything be known.
      observation_bound: standardised observations are cut there, in deviations.
      discount: gamma in [0, 1), of the sums that the bonus is normalised by; that of its stream.
    """

    target_sizes: tuple[int, ...] = (128, 128)
    predictor_sizes: tuple[int, ...] = (128, 128)
    num_features: int = 64
    learning_rate: float = 1e-4
    num_epochs: int = 4
    num_minibatches: int = 4
    update_proportion: float = 1.0
    observation_bound: float = 5.0
    discount: float = 0.99


class DistillationState(NamedTuple):
    """What changes in `distillation_bonus`, and the network that does not.

    Attributes:
      key: for the order of the steps.
      params: of the predictor.
      target_params: of the fixed network; no optimiser ever sees them.
      optimizer_state: Adam's.
      moments: of all observations that were learnt from.
    """

    key: PRNGKeyArray
    params: PyTree
    target_params: PyTree
    optimizer_state: PyTree
    moments: Moments


def rnd(
    config: RNDConfig | None = None,
    view: Callable[[PyTree], PyTree] | None = None,
    target: Network | None = None,
    predictor: Network | None = None,
) -> RewardTransformation:
    """The bonus of random network distillation, and nothing else: the environment's rewards are not in it.

    `distillation_bonus`, divided by the running deviation of its discounted sums over time. These run on through the
    ends of episodes, no mean is subtracted, and the trajectory that is labelled counts; see `normalize`.
    `add(identity(), chain(rnd(), scale(c)))` is a task with the bonus; `rnd_streams` are the two that were published.

    Args:
      config: see `RNDConfig`; the defaults where None.
      view: from observations `[T, B, ...]` to the part of them that novelty is of; all by default. What moves by itself
        and cannot be predicted stays new for ever: leave it out. A network of few inputs is nearly linear along every
        ray, and known far away once it is known nearby: show a position by sinusoids of several wavelengths.
      target: the fixed network, in place of that of the configuration.
      predictor: the network that learns, likewise; of as many features.

    Raises:
      ValueError: naming the field, if a number is out of range.

    Source: Burda et al., "Exploration by Random Network Distillation" (ICLR 2019), sections 2.2 to 2.4.
    """
    config = RNDConfig() if config is None else config
    return chain(distillation_bonus(config, view, target, predictor), normalize(config.discount, episodic=False))


def rnd_streams(
    bonus: RewardTransformation,
    task_discount: float | Array = 0.999,
    bonus_discount: float | Array = 0.99,
    task_coefficient: float | Array = 2.0,
    bonus_coefficient: float | Array = 1.0,
) -> dict[str, RewardStream]:
    """The two streams of the published agent: the task, which episodes end, and the bonus, which they do not.

    Args:
      bonus: such as `rnd()`.
      task_discount: in [0, 1], per step.
      bonus_discount: in [0, 1), per step, that of the bonus's normalisation.
      task_coefficient: of the task's advantages.
      bonus_coefficient: of the bonus's.

    Source: Burda et al. (ICLR 2019), sections 2.3 and A.3.
    """
    return {
        "bonus": RewardStream(bonus, bonus_discount, bonus_coefficient, episodic=False),  # pyright: ignore[reportArgumentType]
        "task": RewardStream(identity(), task_discount, task_coefficient, episodic=True),  # pyright: ignore[reportArgumentType]
    }


def distillation_bonus(
    config: RNDConfig,
    view: Callable[[PyTree], PyTree] | None = None,
    target: Network | None = None,
    predictor: Network | None = None,
) -> RewardTransformation:
    """The error of the prediction, with f the fixed network and g the one that learns, of F features each,

        r_t = mean over features of (f(o_{t+1}) - g(o_{t+1}))^2,    o = clip((s - mean) / deviation, -bound, bound)

    `s_{t+1}` is what followed the step *before* any reset, at ends of either kind as anywhere else. Errors are those of
    the predictor, and by the moments, of *before* the trajectory; the first trajectory, before which there was nothing,
    is standardised by its own. Then the moments take the trajectory in, and the predictor learns from it by Adam.
    `relabel` tells the errors by what is known now and learns nothing.

    Args:
      config: see `RNDConfig`.
      view: see `rnd`.
      target: see `rnd`.
      predictor: see `rnd`.

    Raises:
      ValueError: naming the field, if a number is out of range; from `init`, if minibatches do not divide the steps.

    Source: Burda et al. (ICLR 2019), sections 2.2 and 2.4, and the order of their published code.
    """
    _check(config)
    shown = (lambda observations: observations) if view is None else view
    if target is None:
        target = distillation_network(config.target_sizes, config.num_features)
    if predictor is None:
        predictor = distillation_network(config.predictor_sizes, config.num_features)
    optimizer = optax.adam(config.learning_rate)

    def init(key: PRNGKeyArray, spec: Trajectory) -> DistillationState:
        _require_divisor(config.num_minibatches, spec.rewards.size)
        key, predictor_key, target_key = jax.random.split(key, 3)
        seen = jax.eval_shape(shown, spec.next_observations)
        one = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape[2:]), jnp.float32), seen)
        params = predictor.init(predictor_key, one)
        like = jax.tree.map(lambda leaf: leaf[0], one)
        target_params = target.init(target_key, one)
        return DistillationState(key, params, target_params, optimizer.init(params), initial_moments(like))

    def inputs_of(rows: PyTree, moments: Moments) -> PyTree:
        return standardize(moments, rows, config.observation_bound)

    def features_of(inputs: PyTree, state: DistillationState) -> Float[Array, "N F"]:
        return jax.lax.stop_gradient(target.apply(state.target_params, inputs))

    def errors(rows: PyTree, state: DistillationState, moments: Moments) -> Float[Array, "N"]:
        inputs = inputs_of(rows, moments)
        return prediction_errors(state.params, inputs, features_of(inputs, state), predictor=predictor)

    def rows_of(trajectory: Trajectory) -> PyTree:
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), shown(trajectory.next_observations))

    def relabel(trajectory: Trajectory, state: DistillationState) -> Float[Array, "T B"]:
        return errors(rows_of(trajectory), state, state.moments).reshape(trajectory.rewards.shape)

    def update(trajectory: Trajectory, state: DistillationState) -> tuple[Float[Array, "T B"], DistillationState]:
        rows = rows_of(trajectory)
        moments = update_moments(state.moments, rows)
        is_first = state.moments.num_samples == 0
        before = jax.tree.map(lambda new, old: jnp.where(is_first, new, old), moments, state.moments)
        rewards = errors(rows, state, before).reshape(trajectory.rewards.shape)
        inputs = inputs_of(rows, moments)
        state = learn((inputs, features_of(inputs, state)), state._replace(moments=moments))
        return rewards, state

    def learn(samples: tuple[PyTree, Array], state: DistillationState) -> DistillationState:
        key, epochs_key = jax.random.split(state.key)
        size = samples[1].shape[0]

        def gradient_step(carry, minibatch):
            params, optimizer_state = carry
            gradients = jax.grad(distillation_loss)(params, *minibatch, predictor=predictor)
            updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
            return (optax.apply_updates(params, updates), optimizer_state), None

        def epoch(carry, key):
            order_key, chosen_key = jax.random.split(key)
            order = random_order(order_key, size)
            chosen = (jax.random.uniform(chosen_key, (size,)) < config.update_proportion).astype(jnp.float32)
            minibatches = jax.tree.map(
                lambda leaf: leaf[order].reshape(config.num_minibatches, -1, *leaf.shape[1:]), (*samples, chosen)
            )
            return jax.lax.scan(gradient_step, carry, minibatches)

        carry = (state.params, state.optimizer_state)
        keys = jax.random.split(epochs_key, config.num_epochs)
        (params, optimizer_state), _ = jax.lax.scan(epoch, carry, keys)
        return state._replace(key=key, params=params, optimizer_state=optimizer_state)

    return RewardTransformation(init, update, relabel)


def distillation_network(hidden_sizes: tuple[int, ...], num_features: int) -> Network:
    """A multilayer perceptron with rectified layers, orthogonal weights of gain sqrt(2) and no biases at first.

    Inputs `[N, ...]` are flattened to `[N, D]`.

    Args:
      hidden_sizes: widths of the hidden layers; none for a linear network.
      num_features: F, of the linear end.

    Raises:
      ValueError: if a width is below 1.

    Source: the published code of Burda et al. (ICLR 2019), whose layers are convolutional before the last.
    """
    require("hidden_sizes", hidden_sizes, lambda sizes: all(map(is_count, sizes)), "widths of at least 1")
    require("num_features", num_features, is_count, "an integer of at least 1")
    weights = nn.initializers.orthogonal(math.sqrt(2))
    layers: list[Any] = []
    for width in hidden_sizes:
        layers += [nn.Dense(width, kernel_init=weights), nn.relu]
    module = nn.Sequential([*layers, nn.Dense(num_features, kernel_init=weights)])

    def init(key: PRNGKeyArray, inputs: PyTree) -> PyTree:
        return module.init(key, flat_features(inputs))["params"]

    def apply(params: PyTree, inputs: PyTree) -> Float[Array, "N F"]:
        return module.apply({"params": params}, flat_features(inputs))  # pyright: ignore[reportReturnType]

    return Network(init, apply)


def prediction_errors(
    params: PyTree, inputs: PyTree, features: Float[Array, "N F"], *, predictor: Network
) -> Float[Array, "N"]:
    """`mean over features of (f - g(o))^2`, row by row.

    Args:
      params: of the predictor.
      inputs: o, `[N, ...]`.
      features: f, of the fixed network.
      predictor: g.
    """
    return jnp.mean((predictor.apply(params, inputs) - features) ** 2, axis=-1)


def distillation_loss(
    params: PyTree, inputs: PyTree, features: Float[Array, "N F"], weights: Float[Array, "N"], *, predictor: Network
) -> Float[Array, ""]:
    """`sum_i w_i e_i / max(sum_i w_i, 1)`, the mean error of the rows that count.

    Args:
      params: of the predictor.
      inputs: `[N, ...]`.
      features: of the fixed network.
      weights: w, 1 for the rows that count and 0 for the others.
      predictor: the network that learns.
    """
    errors = prediction_errors(params, inputs, features, predictor=predictor)
    return jnp.sum(weights * errors) / jnp.maximum(jnp.sum(weights), 1.0)


def _require_divisor(num_minibatches: int, num_steps: int) -> None:
    takes = f"a divisor of the {num_steps} steps of a trajectory"
    require("num_minibatches", num_minibatches, lambda number: num_steps % number == 0, takes)


def _check(config: RNDConfig) -> None:
    for field in ("num_epochs", "num_minibatches"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    for field in ("learning_rate", "observation_bound"):
        require(field, getattr(config, field), lambda number: number > 0, "a number above 0")
    require("update_proportion", config.update_proportion, lambda part: 0 < part <= 1, "a number in (0, 1]")
