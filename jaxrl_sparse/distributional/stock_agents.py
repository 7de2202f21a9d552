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
    config,
    is_count,
    require,
    require_known,
)
from jaxrl_sparse.distributional.initial_stocks import optimize_initial_stock
from jaxrl_sparse.distributional.objectives import Objective, Utility
from jaxrl_sparse.distributional.stock_learning import (
    stock_edit,
    stock_reward,
    stock_torso,
    utility_discount,
    utility_score,
)
from jaxrl_sparse.environments.rollouts import run_episodes
from jaxrl_sparse.environments.stock import StockAugmented, StockObservation, StockParams
from jaxrl_sparse.finite.mdp import return_bounds
from jaxrl_sparse.learners.discounting import discount_of, discounted_sum
from jaxrl_sparse.learners.q_learning import QLearningConfig, QLearningState, action_scores, q_learning
from jaxrl_sparse.learners.torsos import render_of
from jaxrl_sparse.learners.value_heads import (
    ValueHead,
    categorical,
    expected_value,
    implicit_quantile,
    quantile,
)
from jaxrl_sparse.networks.feedforward import Network
from jaxrl_sparse.networks.scalar_embeddings import BOUND, scalar_embedding

HEADS = ("quantile", "categorical", "implicit", "expected")
# First stocks among which `evaluate` searches.
NUM_SEARCHED_STOCKS = 41
# Outputs of one are a quarter of the largest return, and start at a tenth of what a linear layer would give.
_OUTPUT_SHARE, _FINAL_SCALE = 0.25, 0.1


@config
class StockAgentConfig:
    """Configuration of `d_eta_n`.

    Attributes:
      learner: of Q-learning; its discount is gamma of returns and of stocks, see `discount_of`, and its
        `num_evaluation_episodes` are those from each stock of `evaluate`.
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
      evaluation_stocks: first stocks of `evaluate`; None for the objective's own, see `d_eta_n`.
    """

    learner: QLearningConfig = QLearningConfig(
        num_environments=64,
        num_gradient_steps=4,
        batch_size=256,
        replay_capacity=100_000,
        learning_starts=2_000,
        learning_rate=1e-3,
        learning_rate_end=2e-5,
        learning_rate_steps=200_000,
        epsilon_start=1.0,
        epsilon_end=0.5,
        epsilon_steps=100_000,
        target_period=1,
        target_step_size=0.02,
        average_ties=True,
        num_evaluation_episodes=512,
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
    evaluation_stocks: tuple[float, ...] | None = None


def d_eta_n(
    config: StockAgentConfig, environment: Any, objective: Objective | Utility, params: PyTree = None
) -> Algorithm:
    """DQN with a stock input and a head for laws of returns, as an algorithm.

    The state, the update and its metrics are those of `q_learning` on the stock-augmented environment; first stocks of
    episodes are uniform between the bounds, whatever the objective's own.

    `evaluate` runs greedy episodes. Its metrics are the objective's `value`, the `initial_stock` c_0 from which it is
    reached, and `utility`, the mean of f(c_0 + G). Where the initial stock is to be searched, it is the best of 41 over
    the return's scale, and as many fresh episodes say what it is worth: the best of noisy values is larger than what it
    stands for. Where the configuration has evaluation stocks of its own, the metrics are
    instead `utility(c_0)` from each of them, and `utility`, the mean over all.

    Args:
      config: see `StockAgentConfig`.
      environment: without a stock, with discrete actions, scalar rewards, and flat observations or images.
      objective: what is worth how much; a utility alone is an objective from the initial stock 0.
      params: of the environment; None for its defaults.

    Raises:
      ValueError: naming the field that is out of range; if the utility cannot be planned for with this discount; if it
        or the environment's rewards are of vectors; if the return's scale is neither given nor known.
    """
    objective = _as_objective(objective)
    parts = _parts(config, environment, objective, params)
    algorithm = q_learning(
        parts.learner,
        parts.environment,
        parts.params,
        parts.torso,
        parts.head,
        reward=parts.reward,
        edit=stock_edit(BOUND * parts.scale, parts.params.discount) if config.edit_stocks else None,
    )

    num_episodes = config.learner.num_evaluation_episodes

    def mean_utilities(
        state: QLearningState, key: PRNGKeyArray, stocks: Float[Array, "K"], num_episodes: int = num_episodes
    ) -> Float[Array, "K"]:
        return jnp.mean(objective.utility.f(_outcomes(parts, state, key, stocks, num_episodes)), axis=1)

    def evaluate(state: QLearningState, key: PRNGKeyArray) -> Metrics:
        if config.evaluation_stocks is not None:
            utilities = mean_utilities(state, key, jnp.asarray(config.evaluation_stocks, jnp.float32))
            by_stock = {f"utility({stock:g})": utilities[i] for i, stock in enumerate(config.evaluation_stocks)}
            return {"utility": jnp.mean(utilities), **by_stock}
        if objective.initial_stock is not None:
            stocks = jnp.asarray(objective.initial_stock, jnp.float32)[None]
            (utility,) = mean_utilities(state, key, stocks)
            return {"value": utility, "initial_stock": stocks[0], "utility": utility}
        search_key, value_key = jax.random.split(key)
        stocks = jnp.linspace(-parts.scale, parts.scale, NUM_SEARCHED_STOCKS)
        best = optimize_initial_stock(mean_utilities(state, search_key, stocks), stocks, objective).stock
        (utility,) = mean_utilities(state, value_key, best[None], NUM_SEARCHED_STOCKS * num_episodes)
        value = optimize_initial_stock(utility[None], best[None], objective).value
        return {"value": value, "initial_stock": best, "utility": utility}

    return Algorithm(algorithm.init, algorithm.update, evaluate)


def greedy_outcomes(
    config: StockAgentConfig,
    environment: Any,
    objective: Objective | Utility,
    state: QLearningState,
    key: PRNGKeyArray,
    initial_stocks: Float[Array, "K"],
    params: PyTree = None,
) -> Float[Array, "K E"]:
    """What a trained agent achieves when it is asked: outcomes `c_0 + G` of greedy episodes from any first stocks.

        state, _ = train(d_eta_n(config, environment, objective), state, num_updates)
        returns = greedy_outcomes(config, environment, objective, state, key, stocks) - stocks[:, None]

    Args:
      config: that it was made with; E is its learner's `num_evaluation_episodes`.
      environment: that it was made with.
      objective: that it was made with, or its utility.
      state: of the algorithm.
      key: for the episodes.
      initial_stocks: c_0, in the return's unit; minus the target, or minus the quantile of a CVaR.
      params: of the environment; None for its defaults.

    Returns:
      `[K, E]`, in the return's unit.

    Raises:
      ValueError: as `d_eta_n`.
    """
    parts = _parts(config, environment, objective, params)
    return _outcomes(parts, state, key, initial_stocks, config.learner.num_evaluation_episodes)


def evaluate_stocks(
    act: Callable[[StockObservation], Array],
    environment: StockAugmented,
    params: StockParams,
    key: PRNGKeyArray,
    initial_stocks: Float[Array, "K"],
    num_episodes: int,
    num_steps: int,
) -> Float[Array, "K E"]:
    """Outcomes `c_0 + G_0` of episodes from given first stocks.

    They are added up from rewards: `gamma^T c_T` is the same, but in a long episode c_T is beyond float32. All stocks
    get the same draws, so that less noise is between them.

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

    def from_stock(stock: Float[Array, ""]) -> Float[Array, "E"]:
        episodes = run_episodes(
            environment,
            lambda _, observations: act(observations),
            None,
            key,
            params.replace(low=stock, high=stock),
            num_steps,
            num_episodes,
            discounted_sum(params.discount),
            jnp.zeros(num_episodes),
        )
        return stock + episodes.accumulated

    return jax.vmap(from_stock)(initial_stocks)


def _outcomes(
    parts: "_Parts", state: QLearningState, key: PRNGKeyArray, stocks: Float[Array, "K"], num_episodes: int
) -> Float[Array, "K E"]:
    def act(observations: StockObservation) -> Array:
        return jnp.argmax(action_scores(state.params, None, observations, parts.torso, parts.head), axis=-1)

    return evaluate_stocks(
        act,
        parts.environment,
        parts.params,
        key,
        stocks,
        num_episodes,
        parts.learner.max_evaluation_steps,
    )


class _Parts(NamedTuple):
    """What `q_learning` is given, and the scale of returns."""

    learner: QLearningConfig
    environment: StockAugmented
    params: StockParams
    torso: Network
    head: ValueHead
    reward: RewardTransformation | None
    scale: float | Array


def _as_objective(objective: Objective | Utility) -> Objective:
    return objective if isinstance(objective, Objective) else Objective(objective.name, objective)


def _parts(config: StockAgentConfig, environment: Any, objective: Objective | Utility, params: PyTree) -> _Parts:
    utility = _as_objective(objective).utility
    _check(config, environment, utility)
    params = environment.default_params if params is None else params
    discount = discount_of(config.learner.discount, environment, params)
    factor = utility_discount(utility, discount)
    scale = _scale(config, environment, params, discount)
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
        stock_reward(utility, discount, BOUND * scale) if law_free else None,
        scale,
    )


def _head(config: StockAgentConfig, utility: Utility, scale: float | Array) -> ValueHead:
    score, output_scale = utility_score(utility, BOUND * scale), _OUTPUT_SHARE * scale
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


def _scale(config: StockAgentConfig, environment: Any, params: Any, discount: float | Array) -> float | Array:
    scale = config.return_scale
    if scale is not None:
        return scale
    takes = "a number above 0; only an environment with a finite MDP in its parameters tells its own"
    require("return_scale", scale, lambda _: hasattr(params, "mdp"), takes)
    mdp = params.mdp._replace(discount=jnp.asarray(discount, params.mdp.rewards.dtype))
    low, high = return_bounds(mdp, int(environment.default_params.max_steps_in_episode))
    largest = jnp.maximum(jnp.abs(low), jnp.abs(high)).astype(jnp.float32)
    return largest if isinstance(largest, Tracer) else float(largest)


def _check(config: StockAgentConfig, environment: Any, utility: Utility) -> None:
    require_known("head", config.head, HEADS, HEADS)
    takes = "one of scalar outcomes: quantiles are those of a number; plan for vectors of rewards instead"
    require("utility", utility.name, lambda _: utility.num_components is None, takes)
    takes = "one with scalar rewards: quantiles are those of a number; `plan` for vectors of rewards instead"
    require("environment", environment.name, lambda _: getattr(environment, "num_rewards", None) is None, takes)
    require("num_atoms", config.num_atoms, lambda n: is_count(n) and n >= 2, "an integer of at least 2")
    require("return_scale", config.return_scale, lambda scale: scale is None or scale > 0, "a number above 0, or None")
    takes = "at least one stock, or None"
    require("evaluation_stocks", config.evaluation_stocks, lambda stocks: stocks is None or len(stocks) >= 1, takes)
