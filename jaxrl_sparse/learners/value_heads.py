"""Heads of Q-learning: what a network says of the return of each action, and the loss that teaches it.

A head turns features into a law of the return of every action: atoms with probabilities. One atom is DQN, N equal ones
QR-DQN, N fixed ones C51, and as many as are asked for IQN. Actions are compared by a score of their laws, the
expectation unless another is given, so that one learner serves every preference over laws.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import PyTree, is_count, require
from jaxrl_sparse.learners.quantile_regression import quantile_levels, quantile_regression_loss
from jaxrl_sparse.networks.feedforward import feedforward
from jaxrl_sparse.numerics.categorical_projection import triangular_kernel

# Scores this close, relative to the best or absolutely, are tied.
_TIE_TOLERANCE = 1e-8

Score = Callable[[Float[Array, "B A N"], Float[Array, "B A N"], PyTree], Float[Array, "B A"]]


class Law(NamedTuple):
    """Discrete laws of returns.

    Attributes:
      atoms: `[B, A, N]`, or anything that broadcasts to it, in the return's unit; `[B, N]` of a single action.
      probabilities: the same, each row sums to one.
    """

    atoms: Float[Array, "... N"]
    probabilities: Float[Array, "... N"]


class ValueHead(NamedTuple):
    """The functions of a head that a learner needs.

    Attributes:
      init: `init(key, features[B, F], num_actions) -> params`.
      law: `law(params, key, features[B, F]) -> Law[B, A, N]`, by which actions are compared. Only sampling heads use
        the key; without one (None) their levels are the middles of N equal shares.
      loss: `loss(params, key, features[B, F], actions[B], targets: Law[B, M]) -> (losses[B], values[B])`; the values
        are the expectations of the laws of the actions taken.
      score: `score(atoms, probabilities, observations) -> [B, A]`, the worth of each law.
      target_law: as `law`, but what targets are made of; None where it is the same.
      samples_levels: whether laws are drawn from the key, which otherwise is free for another use.
    """

    init: Callable[[PRNGKeyArray, Array, int], PyTree]
    law: Callable[[PyTree, PRNGKeyArray | None, Array], Law]
    loss: Callable[[PyTree, PRNGKeyArray, Array, Array, Law], tuple[Array, Array]]
    score: Score
    target_law: Callable[[PyTree, PRNGKeyArray | None, Array], Law] | None = None
    samples_levels: bool = False


def expectation(atoms: Array, probabilities: Array, observations: PyTree) -> Float[Array, "B A"]:
    """`sum_n p_n z_n`, the score of those who are indifferent to risk."""
    del observations
    return jnp.sum(atoms * probabilities, axis=-1)


def expected_value(
    huber_delta: float | None = None,
    *,
    score: Score = expectation,
    final_scale: float = 1.0,
    output_scale: float | Array = 1.0,
) -> ValueHead:
    """DQN: one atom for each action, the expected return.

    Args:
      huber_delta: where the loss turns from the square to the absolute value, above 0; None for the square everywhere.
      score: worth of the laws, whose one atom is Q.
      final_scale: factor of the last layer's first weights.
      output_scale: factor of the outputs, in the return's unit.

    Raises:
      ValueError: if `huber_delta` is not above 0.

    Source: Mnih et al. (Nature 2015).
    """
    require("huber_delta", huber_delta, lambda delta: delta is None or delta > 0, "a number above 0, or None")

    def init(key: PRNGKeyArray, features: Array, num_actions: int) -> PyTree:
        return feedforward((), num_actions, final_scale=final_scale).init(key, features)

    def q_values(params: PyTree, features: Array) -> Float[Array, "B A"]:
        return output_scale * _linear(params, features)

    def law(params: PyTree, key: PRNGKeyArray | None, features: Array) -> Law:
        del key
        return Law(q_values(params, features)[..., None], jnp.ones((1, 1, 1)))

    def loss(params: PyTree, key: PRNGKeyArray, features: Array, actions: Array, targets: Law) -> tuple[Array, Array]:
        del key
        values = of_actions(q_values(params, features), actions)
        return value_loss(values, jnp.sum(targets.atoms * targets.probabilities, axis=-1), huber_delta), values

    return ValueHead(init, law, loss, score)


def quantile(
    num_quantiles: int = 200,
    kappa: float | Array = 1.0,
    *,
    score: Score = expectation,
    final_scale: float = 1.0,
    output_scale: float | Array = 1.0,
) -> ValueHead:
    """QR-DQN: N equally likely atoms, the quantiles at the levels `(i + 1/2) / N`.

    Args:
      num_quantiles: N.
      kappa: of `quantile_regression_loss`.
      score: worth of the laws.
      final_scale: factor of the last layer's first weights.
      output_scale: factor of the outputs, in the return's unit.

    Raises:
      ValueError: if `num_quantiles` is below 1 or `kappa` below 0.

    Source: Dabney et al., "Distributional Reinforcement Learning with Quantile Regression" (AAAI 2018), section 4.
    """
    require("num_quantiles", num_quantiles, is_count, "an integer of at least 1")
    require("kappa", kappa, lambda width: width >= 0, "a number of at least 0")
    taus = quantile_levels(num_quantiles)

    def init(key: PRNGKeyArray, features: Array, num_actions: int) -> PyTree:
        return feedforward((), num_actions * num_quantiles, final_scale=final_scale).init(key, features)

    def quantiles(params: PyTree, features: Array) -> Float[Array, "B A N"]:
        return output_scale * _linear(params, features).reshape(features.shape[0], -1, num_quantiles)

    def law(params: PyTree, key: PRNGKeyArray | None, features: Array) -> Law:
        del key
        return Law(quantiles(params, features), jnp.full((1, 1, 1), 1 / num_quantiles))

    def loss(params: PyTree, key: PRNGKeyArray, features: Array, actions: Array, targets: Law) -> tuple[Array, Array]:
        del key
        chosen = of_actions(quantiles(params, features), actions)
        return quantile_regression_loss(chosen, targets.atoms, jnp.asarray(taus), kappa), jnp.mean(chosen, axis=-1)

    return ValueHead(init, law, loss, score)


def categorical(
    low: float | Array,
    high: float | Array,
    num_atoms: int = 51,
    *,
    score: Score = expectation,
    final_scale: float = 1.0,
) -> ValueHead:
    """C51: probabilities of N fixed atoms, `z_k = low + k (high - low) / (N - 1)`, taught by cross-entropy.

    Args:
      low: the least atom, in the return's unit.
      high: the largest one.
      num_atoms: N, at least 2.
      score: worth of the laws.
      final_scale: factor of the last layer's first weights, of the logits.

    Raises:
      ValueError: if there are fewer than two atoms, or the bounds are not in ascending order.

    Source: Bellemare et al., "A Distributional Perspective on Reinforcement Learning" (ICML 2017), section 4.
    """
    require("num_atoms", num_atoms, lambda n: is_count(n) and n >= 2, "an integer of at least 2")
    require("low, high", (low, high), lambda bounds: bounds[0] < bounds[1], "two bounds in ascending order")

    def init(key: PRNGKeyArray, features: Array, num_actions: int) -> PyTree:
        return feedforward((), num_actions * num_atoms, final_scale=final_scale).init(key, features)

    def logits(params: PyTree, features: Array) -> Float[Array, "B A N"]:
        return _linear(params, features).reshape(features.shape[0], -1, num_atoms)

    def law(params: PyTree, key: PRNGKeyArray | None, features: Array) -> Law:
        del key
        return Law(jnp.linspace(low, high, num_atoms)[None, None], jax.nn.softmax(logits(params, features)))

    def loss(params: PyTree, key: PRNGKeyArray, features: Array, actions: Array, targets: Law) -> tuple[Array, Array]:
        del key
        chosen = of_actions(logits(params, features), actions)
        atoms = jnp.linspace(low, high, num_atoms)
        # A sum rather than a product of matrices, which accelerators round: it is fused, the kernels are never written.
        projected = jnp.sum(targets.probabilities[..., None] * triangular_kernel(targets.atoms, atoms), axis=-2)
        values = jax.nn.softmax(chosen) @ atoms
        return categorical_loss(chosen, projected), values

    return ValueHead(init, law, loss, score)


def implicit_quantile(
    num_samples: int = 64,
    num_target_samples: int = 64,
    num_policy_samples: int = 32,
    embedding_size: int = 64,
    kappa: float | Array = 1.0,
    hidden_sizes: tuple[int, ...] = (512,),
    *,
    score: Score = expectation,
    final_scale: float = 1.0,
    output_scale: float | Array = 1.0,
) -> ValueHead:
    """IQN: quantiles at levels that are drawn anew in every pass.

        phi(tau) = relu(W [cos(pi i tau)]_{i=0..n-1} + b)        q(tau) = mlp(features * phi(tau))

    Args:
      num_samples: levels of the online law in the loss, for each row.
      num_target_samples: levels of the target law.
      num_policy_samples: levels by which actions are compared.
      embedding_size: n, cosines.
      kappa: of `quantile_regression_loss`; the paper divides by it, which is the same at its value, 1.
      hidden_sizes: layers between the product and the outputs; may be empty.
      score: worth of the laws.
      final_scale: factor of the last layer's first weights.
      output_scale: factor of the outputs, in the return's unit.

    Raises:
      ValueError: if a number is below 1 or `kappa` below 0.

    Source: Dabney et al., "Implicit Quantile Networks for Distributional Reinforcement Learning" (ICML 2018),
    section 3.
    """
    sizes = (num_samples, num_target_samples, num_policy_samples, embedding_size)
    words = "num_samples, num_target_samples, num_policy_samples, embedding_size"
    require(words, sizes, lambda numbers: all(map(is_count, numbers)), "integers of at least 1")
    require("kappa", kappa, lambda width: width >= 0, "a number of at least 0")

    def init(key: PRNGKeyArray, features: Array, num_actions: int) -> PyTree:
        embedding_key, outputs_key = jax.random.split(key)
        return {
            "embedding": feedforward((features.shape[-1],)).init(embedding_key, jnp.zeros((1, embedding_size))),
            "outputs": feedforward(hidden_sizes, num_actions, final_scale=final_scale).init(outputs_key, features),
        }

    def quantiles(params: PyTree, features: Float[Array, "B F"], taus: Float[Array, "B N"]) -> Float[Array, "B A N"]:
        rows, count = taus.shape
        cosines = jnp.cos(jnp.pi * jnp.arange(embedding_size) * taus.reshape(-1, 1))
        width = features.shape[-1]
        phi = feedforward((width,)).apply(params["embedding"], cosines).reshape(rows, count, width)
        mixed = (features[:, None] * phi).reshape(rows * count, width)
        num_actions = jax.tree.leaves(params["outputs"])[-1].shape[-1]
        outputs = feedforward(hidden_sizes, num_actions).apply(params["outputs"], mixed)
        return output_scale * jnp.moveaxis(outputs.reshape(rows, count, num_actions), 1, 2)

    def sampled(count: int) -> Callable[[PyTree, PRNGKeyArray | None, Array], Law]:
        def law(params: PyTree, key: PRNGKeyArray | None, features: Array) -> Law:
            shape = features.shape[0], count
            middles = jnp.broadcast_to(quantile_levels(count), shape)
            taus = middles if key is None else jax.random.uniform(key, shape)
            return Law(quantiles(params, features, taus), jnp.full((1, 1, 1), 1 / count))

        return law

    def loss(params: PyTree, key: PRNGKeyArray, features: Array, actions: Array, targets: Law) -> tuple[Array, Array]:
        taus = jax.random.uniform(key, (features.shape[0], num_samples))
        chosen = of_actions(quantiles(params, features, taus), actions)
        return quantile_regression_loss(chosen, targets.atoms, taus, kappa), jnp.mean(chosen, axis=-1)

    return ValueHead(init, sampled(num_policy_samples), loss, score, sampled(num_target_samples), True)


def value_loss(
    values: Float[Array, "B"], targets: Float[Array, "B"], huber_delta: float | None = None
) -> Float[Array, "B"]:
    """`d^2 / 2` of `d = target - value`; beyond `huber_delta`, `delta (|d| - delta / 2)`."""
    errors = targets - values
    if huber_delta is None:
        return errors**2 / 2
    near = jnp.clip(errors, -huber_delta, huber_delta)
    return near * (errors - near / 2)


def categorical_loss(logits: Float[Array, "B N"], targets: Float[Array, "B N"]) -> Float[Array, "B"]:
    """The cross-entropy `-sum_k P_k log softmax(logits)_k` of each row, in nats."""
    return -jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1)


def greedy_weights(scores: Float[Array, "B A"], average_ties: bool = False) -> Float[Array, "B A"]:
    """The greedy policy as weights that sum to one: the best action, the first of equals, or all of them alike.

    Args:
      scores: worth of each action.
      average_ties: static; whether all actions within 1e-8 of the best, relative or absolute, share the weight.
    """
    if not average_ties:
        return jax.nn.one_hot(jnp.argmax(scores, axis=-1), scores.shape[-1])
    best = jnp.max(scores, axis=-1, keepdims=True)
    tied = (scores >= best - _TIE_TOLERANCE * jnp.maximum(1.0, jnp.abs(best))).astype(scores.dtype)
    return tied / jnp.sum(tied, axis=-1, keepdims=True)


def averaged_law(law: Law, weights: Float[Array, "B A"]) -> Law:
    """The laws of the actions, averaged atom by atom: of one-hot weights, the law of the chosen action.

    Atoms at the same place of the order are averaged where atoms move (quantiles), probabilities where these do.
    """
    return Law(*(jnp.sum(weights[..., None] * part, axis=1) for part in law))


def of_actions(outputs: Float[Array, "B A ..."], actions: Int[Array, "B"]) -> Float[Array, "B ..."]:
    """The outputs of the actions taken, `outputs[b, actions[b]]`."""
    # A sum with a mask: the gradient of a gather is a scatter, which is far slower for a handful of actions.
    mask = jax.nn.one_hot(actions, outputs.shape[1]).reshape(*outputs.shape[:2], *(1,) * (outputs.ndim - 2))
    return jnp.sum(mask * outputs, axis=1)


def _linear(params: PyTree, features: Array) -> Array:
    width = jax.tree.leaves(params)[0].shape[-1]
    return feedforward((), width).apply(params, features)
