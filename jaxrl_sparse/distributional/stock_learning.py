"""The pieces that let Q-learning see a stock: its features, its worth, its own rewards, and transitions with any stock.

Source: Avila Pires et al., "Optimizing Return Distributions with Distributional Dynamic Programming" (JMLR 2025),
section 6; Bauerle and Ott (2011) for the recursion without laws.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import PyTree, RewardTransformation, Trajectory
from jaxrl_sparse.distributional.objectives import Utility, require_admissible
from jaxrl_sparse.environments.stock import StockObservation, stock_update
from jaxrl_sparse.learners.q_learning import Edit
from jaxrl_sparse.learners.replay import Transitions
from jaxrl_sparse.learners.torsos import torso_for
from jaxrl_sparse.learners.value_heads import Score
from jaxrl_sparse.networks.convolutional import Render
from jaxrl_sparse.networks.feedforward import Network, feedforward, flat_features
from jaxrl_sparse.rewards.algebra import stateless

# Utilities that bend everywhere tell stocks apart a hundred bounds away, where float32 still tells returns apart.
_FAR = 100


def stock_reward(utility: Utility, discount: float | Array, bound: float | Array = math.inf) -> RewardTransformation:
    """Rewards whose best return is what the best policy adds to the utility of the stock, without any law.

        r' = gamma^p f(c') - f(c),    discounted by gamma^p,    p the degree of f

    The optimal value V(s, c) = E f(c + G) obeys `V(s, c) = max_a gamma^p E V(s', c')`, because
    `f(c + G) = f(gamma (c' + G')) = gamma^p f(c' + G')`, and `V(s, c) = f(c)` where s is terminal. Its advantage over
    the stock, D = V - f, therefore obeys

        D(s, c) = max_a E[gamma^p f(c') - f(c) + gamma^p D(s', c')],    D = 0 where s is terminal:

    the Bellman equation of an ordinary process with these rewards. Their sum telescopes to
    `gamma^{pT} f(c_T) - f(c_0) = f(c_0 + G_0) - f(c_0)`. It starts where V would have to be initialised at f, since
    zero is a second fixed point of V's equation.

    A stock beyond the bound counts as one at the bound, and c' is what follows from that: so a network that tells no
    stocks apart there sees one process, and stocks that a discount has blown up to infinity pay finite rewards. Of
    utilities with slopes nothing changes there, `r' = slope r`.

    Args:
      utility: f of degree p; of no degree if gamma is 1.
      discount: gamma in (0, 1].
      bound: of stocks, in the return's unit; at least the largest absolute return.

    Returns:
      A transformation of trajectories whose observations are `StockObservation`; it relabels.

    Raises:
      ValueError: if the utility is not indifferent to this discount.

    Source: Bauerle and Ott (2011), theorem 3.2, for the recursion.
    """
    factor = utility_discount(utility, discount)

    def rewards(trajectory: Trajectory) -> Float[Array, "T B"]:
        stock = jnp.clip(trajectory.observations.stock, -bound, bound)
        return factor * utility.f(stock_update(stock, trajectory.rewards, discount)) - utility.f(stock)

    return stateless(rewards)


def utility_discount(utility: Utility, discount: float | Array) -> float | Array:
    """`gamma^p`: what one step takes off a utility of degree p.

    Raises:
      ValueError: if the utility is not indifferent to this discount.
    """
    require_admissible(utility, discount)
    return discount if utility.degree is None else discount**utility.degree


def stock_edit(bound: float | Array, discount: float | Array) -> Edit:
    """An edit for `q_learning` that gives each transition another stock: c uniform in +-bound, `c' = (c + r) / gamma`.

    The environment does not depend on the stock, so that what it did is as likely with any stock: the edited
    transitions are as true as the others, and the fixed point is the same at every stock that both visit.

    Args:
      bound: in the return's unit, above 0.
      discount: gamma in (0, 1].
    """

    def edit(key: PRNGKeyArray, batch: Transitions) -> Transitions:
        stock = jax.random.uniform(key, batch.rewards.shape, jnp.float32, -bound, bound)
        following = stock_update(stock, batch.rewards, discount)
        return batch._replace(
            observations=batch.observations._replace(stock=stock),
            next_observations=batch.next_observations._replace(stock=following),
        )

    return edit


def utility_score(utility: Utility, bound: float | Array = math.inf) -> Score:
    """`sum_n p_n f(c + z_n)` with the stock c of the observation: the worth of each action's law.

    A discount blows stocks up, by gamma^-t, until float32 loses z in c + z. A utility with slopes is linear in z where
    c is beyond all returns, so that its best action is the same from there on: its stocks are clipped to the bound,
    those of other utilities to a hundred times it.

    Args:
      utility: f.
      bound: in the return's unit, at least the largest absolute return.
    """
    reach = bound if utility.slopes is not None else _FAR * bound

    def score(atoms: Array, probabilities: Array, observations: StockObservation) -> Float[Array, "B A"]:
        stock = jnp.clip(observations.stock, -reach, reach)[:, None, None]
        return jnp.sum(probabilities * utility.f(stock + atoms), axis=-1)

    return score


def stock_torso(
    observation_space: Any,
    embed: Callable[[Array], Array],
    scale: float | Array,
    hidden_sizes: tuple[int, ...],
    image_features: int,
    render: Render | None = None,
) -> Network:
    """Features of a `StockObservation`.

    A flat observation and the embedding of c / scale stand side by side before the hidden layers; the features of an
    image are multiplied by those of the stock, `relu(W embed(c / scale) + b)`, as IQN does with levels.

    Args:
      observation_space: of the environment without its stock.
      embed: a `scalar_embedding`.
      scale: of the stock, in the return's unit.
      hidden_sizes: of the perceptron for flat observations.
      image_features: F, of the torso for images.
      render: from an observation to the image to be seen, see `render_of`.
    """
    torso = torso_for(observation_space, hidden_sizes, image_features, render)
    stock_layer = feedforward((image_features,))
    of_images = render is not None or len(observation_space.shape) == 3

    def joined(inputs: StockObservation) -> Float[Array, "B features"]:
        return jnp.concatenate([flat_features(inputs.observation), embed(inputs.stock / scale)], axis=-1)

    def init(key: PRNGKeyArray, inputs: StockObservation) -> PyTree:
        if not of_images:
            return torso.init(key, joined(inputs))
        torso_key, stock_key = jax.random.split(key)
        return {
            "observation": torso.init(torso_key, inputs.observation),
            "stock": stock_layer.init(stock_key, embed(inputs.stock / scale)),
        }

    def apply(params: PyTree, inputs: StockObservation) -> Float[Array, "B F"]:
        if not of_images:
            return torso.apply(params, joined(inputs))
        features = stock_layer.apply(params["stock"], embed(inputs.stock / scale))
        return torso.apply(params["observation"], inputs.observation) * features

    return Network(init, apply)
