"""Deep agents that see their stock: one network for every initial stock, and so for every target or level of risk.

D-eta-N is Q-learning on the stock-augmented environment, `c' = (c + r) / gamma`, with a network that says the law of
the return G of each action, taught by the distributional Bellman equation, and with the greedy choice

    a* = argmax_a E f(c + G(s, c, a)).

Source: Avila Pires et al., "Optimizing Return Distributions with Distributional Dynamic Programming" (JMLR 2025),
section 6. The paper's sizes and rates are not published; those here are chosen on the environments of
`jaxrl_sparse.environments.risk`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import (
    Algorithm,
    Metrics,
    PyTree,
    RewardTransformation,
    Trajectory,
    config,
    is_count,
    require,
    require_known,
)
from jaxrl_sparse.distributional.objectives import Utility, require_admissible
from jaxrl_sparse.environments.rollouts import run_episodes
from jaxrl_sparse.environments.stock import StockAugmented, StockObservation, StockParams, stock_update
from jaxrl_sparse.finite.mdp import return_bounds
from jaxrl_sparse.learners.deep_q_networks import render_of, torso_for
from jaxrl_sparse.learners.q_learning import Edit, QLearningConfig, QLearningState, action_scores, q_learning
from jaxrl_sparse.learners.replay import Transitions
from jaxrl_sparse.learners.value_heads import (
    Score,
    ValueHead,
    categorical,
    expected_value,
    implicit_quantile,
    quantile,
)
from jaxrl_sparse.networks.convolutional import Render
from jaxrl_sparse.networks.feedforward import Network, feedforward, flat_features
from jaxrl_sparse.networks.scalar_embeddings import BOUND, scalar_embedding
from jaxrl_sparse.rewards.algebra import stateless

HEADS = ("quantile", "categorical", "implicit", "expected")
# Outputs of one are a quarter of the largest return, and start at a tenth of what a linear layer would give.
_OUTPUT_SHARE, _FINAL_SCALE = 0.25, 0.1


@config
class StockAgentConfig:
    """Configuration of `d_eta_n`.

    Attributes:
      learner: of Q-learning; its discount is gamma of returns and stocks, except where the environment's parameters
        hold a finite MDP, which has its own.
      head: "quantile", "categorical", "implicit" or "expected" (no law at all: see `stock_reward`).
      num_atoms: quantiles, atoms, or sampled levels of the law of each action.
      kappa: width of Huber's rounding of the quantile loss, in the return's unit; 0 for none.
      hidden_sizes: of the network where observations are flat.
      image_features: of the torso where observations are images.
      embedding: of the stock: "raw", "hat" or "fourier".
      num_knots: of the embedding "hat".
      return_scale: the largest absolute return worth telling apart: stocks beyond 1.2 times it look alike. None takes
        it from the finite MDP of the environment, where there is one.
      stock_low: the least first stock of training episodes; None for -return_scale.
      stock_high: the largest; None for return_scale.
      edit_stocks: whether each sampled transition gets a stock of its own, uniform in 1.2 times the return's scale.
      evaluation_stocks: first stocks of `evaluate`.
      num_evaluation_episodes: of each of these stocks.
    """

    learner: QLearningConfig = QLearningConfig(
        num_environments=64,
        num_gradient_steps=4,
        batch_size=256,
        replay_capacity=100_000,
        learning_starts=2_000,
        discount=1.0,
        learning_rate=1e-3,
        learning_rate_end=2e-5,
        learning_rate_steps=200_000,
        epsilon_start=1.0,
        epsilon_end=0.5,
        epsilon_steps=100_000,
        target_period=1,
        target_step_size=0.02,
        average_ties=True,
    )
    head: str = "quantile"
    num_atoms: int = 64
    kappa: float = 0.1
    hidden_sizes: tuple[int, ...] = (128, 128)
    image_features: int = 512
    embedding: str = "hat"
    num_knots: int = 81
    return_scale: float | None = None
    stock_low: float | None = None
    stock_high: float | None = None
    edit_stocks: bool = True
    evaluation_stocks: tuple[float, ...] = (0.0,)
    num_evaluation_episodes: int = 32


def d_eta_n(config: StockAgentConfig, environment: Any, utility: Utility, params: PyTree = None) -> Algorithm:
    """DQN with a stock input and a head for laws of returns, as an algorithm.

    The state, the update and its metrics are those of `q_learning` on the stock-augmented environment; first stocks of
    episodes are uniform between the bounds. `evaluate` runs greedy episodes from each of the evaluation stocks: the
    metric `utility` is the mean of f(c_0 + G) over all of them, `utility(c_0)` that from one stock.

    Args:
      config: see `StockAgentConfig`.
      environment: without a stock, with discrete actions, scalar rewards, and flat observations or images.
      utility: f, of an `Objective`.
      params: of the environment; None for its defaults.

    Raises:
      ValueError: naming the field that is out of range; if the utility cannot be planned for with this discount or
        takes vectors; if the return's scale is neither given nor known.
    """
    parts = _parts(config, environment, utility, params)
    algorithm = q_learning(
        parts.learner,
        parts.environment,
        parts.params,
        parts.torso,
        parts.head,
        reward=parts.reward,
        edit=stock_edit(BOUND * parts.scale, parts.params.discount) if config.edit_stocks else None,
    )

    def evaluate(state: QLearningState, key: PRNGKeyArray) -> Metrics:
        law_key, episodes_key = jax.random.split(key)
        outcomes = evaluate_stocks(
            lambda observations: jnp.argmax(
                action_scores(state.params, jax.random.clone(law_key), observations, parts.torso, parts.head), axis=-1
            ),
            parts.environment,
            parts.params,
            episodes_key,
            jnp.asarray(config.evaluation_stocks, jnp.float32),
            config.num_evaluation_episodes,
            config.learner.max_evaluation_steps,
        )
        utilities = jnp.mean(utility.f(outcomes), axis=1)
        by_stock = {f"utility({stock:g})": utilities[i] for i, stock in enumerate(config.evaluation_stocks)}
        return {"utility": jnp.mean(utilities), **by_stock}

    return Algorithm(algorithm.init, algorithm.update, evaluate)


def evaluate_stocks(
    act: Callable[[StockObservation], Array],
    environment: StockAugmented,
    params: StockParams,
    key: PRNGKeyArray,
    initial_stocks: Float[Array, "K"],
    num_episodes: int,
    num_steps: int,
) -> Float[Array, "K E"]:
    """Outcomes `c_0 + G_0 = gamma^T c_T` of episodes from given first stocks.

    Args:
      act: `act(observations[E]) -> actions[E]`.
      environment: the stock-augmented one.
      params: its parameters; the bounds of the first stock are replaced.
      key: for the episodes.
      initial_stocks: c_0, in the return's unit.
      num_episodes: E, from each stock; static.
      num_steps: most steps of an episode; static. One that is cut leaves up to gamma^T of the largest return open.

    Returns:
      `[K, E]`, in the return's unit.
    """

    def from_stock(key: PRNGKeyArray, stock: Float[Array, ""]) -> Float[Array, "E"]:
        episodes = run_episodes(
            environment,
            lambda _, observations: act(observations),
            None,
            key,
            params.replace(low=stock, high=stock),
            num_steps,
            num_episodes,
        )
        return params.discount**episodes.lengths * episodes.states.stock

    return jax.vmap(from_stock)(jax.random.split(key, initial_stocks.shape[0]), initial_stocks)


def stock_reward(utility: Utility, discount: float | Array) -> RewardTransformation:
    """Rewards whose best return is what the best policy adds to the utility of the stock, without any law.

        r' = gamma^p f(c') - f(c),    discounted by gamma^p,    p the degree of f

    The optimal value V(s, c) = E f(c + G) obeys `V(s, c) = max_a gamma^p E V(s', c')`, because
    `f(c + G) = f(gamma (c' + G')) = gamma^p f(c' + G')`, and `V(s, c) = f(c)` where s is terminal. Its advantage over
    the stock, D = V - f, therefore obeys

        D(s, c) = max_a E[gamma^p f(c') - f(c) + gamma^p D(s', c')],    D = 0 where s is terminal:

    the Bellman equation of an ordinary process with these rewards. Their sum telescopes to
    `gamma^{pT} f(c_T) - f(c_0) = f(c_0 + G_0) - f(c_0)`. It starts where V would have to be initialised at f, since
    zero is a second fixed point of V's equation.

    Args:
      utility: f of degree p; of no degree if gamma is 1.
      discount: gamma in (0, 1].

    Returns:
      A transformation of trajectories whose observations are `StockObservation`; it relabels.

    Raises:
      ValueError: if the utility is not indifferent to this discount.

    Source: Bauerle and Ott (2011), theorem 3.2, for the recursion.
    """
    factor = utility_discount(utility, discount)

    def rewards(trajectory: Trajectory) -> Float[Array, "T B"]:
        return factor * utility.f(trajectory.next_observations.stock) - utility.f(trajectory.observations.stock)

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


def utility_score(utility: Utility) -> Score:
    """`sum_n p_n f(c + z_n)` with the stock c of the observation: the worth of each action's law."""

    def score(atoms: Array, probabilities: Array, observations: StockObservation) -> Float[Array, "B A"]:
        return jnp.sum(probabilities * utility.f(observations.stock[:, None, None] + atoms), axis=-1)

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


class _Parts(NamedTuple):
    """What `q_learning` is given, and the scale of returns."""

    learner: QLearningConfig
    environment: StockAugmented
    params: StockParams
    torso: Network
    head: ValueHead
    reward: RewardTransformation | None
    scale: float | Array


def _parts(config: StockAgentConfig, environment: Any, utility: Utility, params: PyTree) -> _Parts:
    _check(config, utility)
    params = environment.default_params if params is None else params
    discount = params.mdp.discount if hasattr(params, "mdp") else config.learner.discount
    factor = utility_discount(utility, discount)
    scale = _scale(config, environment, params)
    low = -scale if config.stock_low is None else config.stock_low
    high = scale if config.stock_high is None else config.stock_high
    augmented = StockAugmented(environment, discount, low, high)
    embed = scalar_embedding(config.embedding, config.num_knots)
    space = environment.observation_space(params)
    torso = stock_torso(space, embed, scale, config.hidden_sizes, config.image_features, render_of(environment))
    law_free = config.head == "expected"
    learner = dataclasses.replace(config.learner, discount=factor if law_free else discount)
    return _Parts(
        learner,
        augmented,
        StockParams(params, discount, low, high),
        torso,
        _head(config, utility, scale),
        stock_reward(utility, discount) if law_free else None,
        scale,
    )


def _head(config: StockAgentConfig, utility: Utility, scale: float | Array) -> ValueHead:
    score, output_scale = utility_score(utility), _OUTPUT_SHARE * scale
    if config.head == "categorical":
        return categorical(-scale, scale, config.num_atoms, score=score, final_scale=_FINAL_SCALE)
    if config.head == "implicit":
        return implicit_quantile(
            *(config.num_atoms,) * 3,
            kappa=config.kappa,
            hidden_sizes=(),
            score=score,
            final_scale=_FINAL_SCALE,
            output_scale=output_scale,
        )
    if config.head == "expected":
        return expected_value(final_scale=_FINAL_SCALE, output_scale=output_scale)
    return quantile(config.num_atoms, config.kappa, score=score, final_scale=_FINAL_SCALE, output_scale=output_scale)


def _scale(config: StockAgentConfig, environment: Any, params: Any) -> float | Array:
    scale = config.return_scale
    if scale is not None:
        return scale
    takes = "a number above 0; only an environment with a finite MDP in its parameters tells its own"
    require("return_scale", scale, lambda _: hasattr(params, "mdp"), takes)
    low, high = return_bounds(params.mdp, int(environment.default_params.max_steps_in_episode))
    largest = jnp.maximum(jnp.abs(low), jnp.abs(high)).astype(jnp.float32)
    return largest if isinstance(largest, Tracer) else float(largest)


def _check(config: StockAgentConfig, utility: Utility) -> None:
    require_known("head", config.head, HEADS, HEADS)
    takes = "one of scalar outcomes: quantiles are those of a number; plan for vectors of rewards instead"
    require("utility", utility.name, lambda _: utility.num_components is None, takes)
    require("num_atoms", config.num_atoms, lambda n: is_count(n) and n >= 2, "an integer of at least 2")
    require("return_scale", config.return_scale, lambda scale: scale is None or scale > 0, "a number above 0, or None")
    require("evaluation_stocks", config.evaluation_stocks, lambda stocks: len(stocks) >= 1, "at least one stock")
    require("num_evaluation_episodes", config.num_evaluation_episodes, is_count, "an integer of at least 1")
