"""A client of the contract: a pairwise loss on a fixed set of preferences, with no environment and no time."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrl_sparse.base import Algorithm, config

SAME_INPUTS = True
NUM_UPDATES = 150


def preferences(key, num_pairs=32, num_features=3):
    """Features `[N, 2, D]` of pairs, and whether the first was preferred."""
    feature_key, label_key = jax.random.split(key)
    pairs = jax.random.normal(feature_key, (num_pairs, 2, num_features))
    return pairs, jax.random.bernoulli(
        label_key, jax.nn.sigmoid((pairs[:, 0] - pairs[:, 1]) @ jnp.array([2.0, -1.0, 0.0]))
    )


INPUTS = preferences(jax.random.key(3))


@config
class Config:
    learning_rate: float = 0.2
    weight_decay: float = 0.05


SWEPT = (Config(), Config(weight_decay=0.2))


def bradley_terry_loss(weights, pairs, preferred, weight_decay):
    """Mean over pairs of `-log sigmoid(+-(r(first) - r(second)))`, plus half the decay times the squared norm."""
    margins = (pairs[:, 0] - pairs[:, 1]) @ weights
    return jnp.mean(optax.sigmoid_binary_cross_entropy(margins, preferred)) + 0.5 * weight_decay * weights @ weights


def make(config, inputs):
    pairs, preferred = inputs
    optimizer = optax.adam(config.learning_rate)

    def init(key):
        weights = jax.random.normal(key, pairs.shape[-1:])
        return {"weights": weights, "optimizer": optimizer.init(weights)}

    def update(state, step):
        loss, gradient = jax.value_and_grad(bradley_terry_loss)(state["weights"], pairs, preferred, config.weight_decay)
        updates, optimizer_state = optimizer.update(gradient, state["optimizer"])
        weights = optax.apply_updates(state["weights"], updates)
        return {"weights": weights, "optimizer": optimizer_state}, {"loss": loss}

    def evaluate(state, key):
        fresh_pairs, fresh_preferred = preferences(key)
        correct = ((fresh_pairs[:, 0] - fresh_pairs[:, 1]) @ state["weights"] > 0) == fresh_preferred
        return {"accuracy": jnp.mean(correct)}

    return Algorithm(init, update, evaluate)


def check(config, inputs, state, evaluation):
    """The loss is convex: where its gradient vanishes is the one optimum, whatever the start."""
    pairs, preferred = inputs
    gradient = jax.grad(bradley_terry_loss)(state["weights"], pairs, preferred, config.weight_decay)
    np.testing.assert_allclose(gradient, 0, atol=1e-3)
    assert evaluation["accuracy"] > 0.6
