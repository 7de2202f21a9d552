"""HF-UCRL-RFE++: exploration without rewards that takes no more episodes where they are longer.

In episode k an oracle chooses the policy, the model in the confidence set and the reward of the class R (at least 0, at
most 1 in total) whose value is most uncertain. The policy is run, and the powers `V^(2^m)` of two value functions are
regressed on their features at every step: those of the uncertainty Vhat ("hat") and those of the plain value Vtilde of
the chosen reward ("tilde"). Every observation is weighed by its variance, which the next higher moment tells (HOME).
Then the confidence set is cut by the ellipsoids of all 2 M regressions. Any reward is planned for afterwards by plain
dynamic programming in the estimated model.

With total reward 1 the sub-optimality after K episodes is `O~(d^2 / K + d / sqrt(K))`, whatever H is.

Source: HF-UCRL-RFE++, algorithms 4 and 5. For weighted regression of high-order moments see Zhou and Gu,
"Computationally Efficient Horizon-Free Reinforcement Learning for Linear Mixture MDPs" (2022).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import ENVIRONMENT_STEPS, Algorithm, Metrics, config, require
from jaxrl_sparse.exploration.reward_free.confidence import ConfidenceSet, contains, everything, intersect
from jaxrl_sparse.exploration.reward_free.constants import (
    horizon_free_radius,
    horizon_free_ridge,
    number_of_moments,
)
from jaxrl_sparse.exploration.reward_free.home import home, moments
from jaxrl_sparse.exploration.reward_free.optimistic_values import Uncertain
from jaxrl_sparse.exploration.reward_free.oracles import (
    MOST_POLICIES,
    Exploration,
    Oracle,
    enumerating_oracle,
    gradient_oracle,
    greedy_oracle,
    number_of_policies,
    uniform_oracle,
)
from jaxrl_sparse.exploration.reward_free.planning import (
    evaluation_metrics,
    plan,
    random_rewards,
    reward_free_evaluate,
)
from jaxrl_sparse.exploration.reward_free.regression import Regression, observe, ridge_regression
from jaxrl_sparse.finite.episodes import sample_episodes
from jaxrl_sparse.finite.generators import require_sizes
from jaxrl_sparse.finite.linear_mixtures import LinearMixture, episodic_mixture

ORACLES = ("greedy", "enumerate", "gradient", "uniform")


@config
class HFUCRLRFEConfig:
    """Configuration of `hf_ucrl_rfe`.

    Attributes:
      horizon: H, steps of an episode.
      num_episodes: K, the episodes that the radius is made for.
      beta_scale: multiplies the radius; 1 is the paper's, with which every optimistic value is at its bound in any
        experiment, so that exploration tells no policies apart; plans do not use the radius, and still learn. Below
        `sqrt(lambda) ||theta*|| / beta`, about .001 for d = 4, theta* is outside from the start: the moments that have
        seen nothing estimate zero.
      delta: probability with which the confidence set may fail, in (0, 1).
      num_moments: M; None for the paper's `log2(7 K H)`.
      remembered_episodes: how many episodes' ellipsoids the confidence set is the intersection of: `num_episodes` is
        the paper's set, which never grows, at K times the memory and K times the time of the oracle's checks; 1 is that
        of the last alone, which holds theta* whenever the paper's does.
      oracle: "greedy", "enumerate" or "gradient", see `oracles`; or "uniform", the control: the same regressions on
        episodes of uniform actions.
      num_samples: models that an oracle tries, or its starts; at least 2.
      gradient_steps: of the oracle "gradient".
      learning_rate: of the oracle "gradient".
      num_rewards: random rewards that an evaluation plans for.
    """

    horizon: int = 10
    num_episodes: int = 100
    beta_scale: float = 0.001
    delta: float = 0.1
    num_moments: int | None = None
    remembered_episodes: int = 1
    oracle: str = "greedy"
    num_samples: int = 32
    gradient_steps: int = 20
    learning_rate: float = 0.1
    num_rewards: int = 32


class HFUCRLRFEState(NamedTuple):
    """State of `hf_ucrl_rfe`.

    Attributes:
      key: for oracle and episodes.
      regression: `[2, M, ...]`, of the moments of Vhat and of Vtilde.
      confidence: U_k, of 2 M families.
      theta: `[d]`, the model theta_k that the oracle chose for the last episode.
    """

    key: PRNGKeyArray
    regression: Regression
    confidence: ConfidenceSet
    theta: Float[Array, "d"]


def hf_ucrl_rfe(config: HFUCRLRFEConfig, mixture: LinearMixture) -> Algorithm:
    """HF-UCRL-RFE++; one update is one episode.

    The metrics of an update: `environment_steps` (H); `episode_return`, the chosen reward along the episode;
    `uncertainty`, Vhat at s_1, at most 1; `is_plausible`, whether the chosen model is in U_k, 0 where the oracle found
    none, as of an empty set; and, computed from the true theta and never shown to the learner, `theta_error`, its
    distance from thetaTilde, the estimate of the first moment of Vtilde, and `is_covered`, whether it is in `U_{k+1}`,
    0 or 1.

    `evaluate` plans for random rewards of the class R and measures the sub-optimality in the true mixture, exactly:
    `suboptimality_mean` and `suboptimality_max` of plans with thetaTilde, whose ellipsoid is the one that bounds errors
    of plain values; `optimist_suboptimality_mean` and `optimist_suboptimality_max` of those with theta_K, the oracle's
    model of the last episode. The theory names theta_K, and holds for every member of the set; the oracle seeks members
    that are far from the truth.

    Args:
      config: see `HFUCRLRFEConfig`.
      mixture: that the episodes are of; the learner sees its features, s_1 and B.

    Raises:
      ValueError: naming the field that is out of range.
    """
    _check(config, mixture)
    features, horizon, dimension = mixture.features, config.horizon, mixture.dimension
    num_moments = config.num_moments or number_of_moments(horizon, config.num_episodes)
    sizes = (horizon, mixture.num_states, mixture.num_actions)
    dynamics = episodic_mixture(mixture, jnp.zeros(sizes, features.dtype))
    oracle = _oracle(config)
    alpha, gamma = horizon**-0.5, dimension**-0.25

    def radius(episode: int | Array) -> Array:
        paper = horizon_free_radius(dimension, horizon, episode, mixture.norm_bound, config.delta)
        return (config.beta_scale * paper).astype(features.dtype)

    final_radius = radius(config.num_episodes)

    def init(key: PRNGKeyArray) -> HFUCRLRFEState:
        ridge = horizon_free_ridge(dimension, mixture.norm_bound).astype(features.dtype)
        return HFUCRLRFEState(
            key,
            ridge_regression((2, num_moments), dimension, ridge),
            everything(config.remembered_episodes, 2 * num_moments, dimension, features.dtype),
            jnp.zeros(dimension, features.dtype),
        )

    def update(state: HFUCRLRFEState, step: Int[Array, ""]) -> tuple[HFUCRLRFEState, Metrics]:
        key, oracle_key, episode_key = jax.random.split(state.key, 3)
        before = state.regression
        uncertain = Uncertain(features, before.root[0, 0], before.root[1, 0], final_radius)
        choice = oracle(oracle_key, Exploration(uncertain, state.confidence, before.theta[:, 0], mixture.initial_state))
        episode = sample_episodes(episode_key, dynamics, choice.values.policy, 1)
        states, actions, following = episode.states[:, 0], episode.actions[:, 0], episode.next_states[:, 0]

        # [H, 2, M, S]
        powers = moments(jnp.stack([choice.values.uncertainty[1:], choice.values.plain[1:]], axis=1), num_moments)
        visited = features[states, actions]
        means = jnp.einsum("hti,hfmt->hfmi", visited, powers, precision=jax.lax.Precision.HIGHEST)
        targets = jnp.take_along_axis(powers, following[:, None, None, None], axis=-1)[..., 0]
        radius_now = radius(step + 1)
        weigh = jax.vmap(lambda mean, root, settled: home(mean, root, settled, radius_now, alpha, gamma).weights)

        def learn(running, observation):
            mean, target = observation
            return observe(running, mean, target, weigh(mean, running.root, before)), None

        regression, _ = jax.lax.scan(learn, before, (means, targets))
        confidence = intersect(state.confidence, regression, radius_now, step)
        metrics = {
            ENVIRONMENT_STEPS: jnp.int32(horizon),
            "episode_return": jnp.sum(choice.rewards[jnp.arange(horizon), states, actions]),
            "uncertainty": choice.values.uncertainty[0, mixture.initial_state],
            "is_plausible": choice.is_plausible.astype(jnp.float32),
            "theta_error": jnp.linalg.norm(regression.theta[1, 0] - mixture.theta),
            "is_covered": contains(confidence, mixture.theta).astype(jnp.float32),
        }
        return HFUCRLRFEState(key, regression, confidence, choice.theta), metrics

    def evaluate(state: HFUCRLRFEState, key: PRNGKeyArray) -> Metrics:
        rewards = random_rewards(key, config.num_rewards, *sizes)

        def measured(theta):
            planner = lambda paid: plan(features, theta, paid, largest_value=1.0).actions  # noqa: E731
            return reward_free_evaluate(mixture, planner, rewards)

        both = jax.vmap(measured)(jnp.stack([state.regression.theta[1, 0], state.theta]))
        of_estimate, of_optimist = (jax.tree.map(lambda leaf, i=i: leaf[i], both) for i in range(2))
        return {**evaluation_metrics(of_estimate), **evaluation_metrics(of_optimist, "optimist_")}

    return Algorithm(init, update, evaluate)


def _oracle(config: HFUCRLRFEConfig) -> Oracle:
    if config.oracle == "greedy":
        return greedy_oracle(config.horizon, config.num_samples)
    if config.oracle == "enumerate":
        return enumerating_oracle(config.horizon, config.num_samples)
    if config.oracle == "gradient":
        return gradient_oracle(config.horizon, config.num_samples, config.gradient_steps, config.learning_rate)
    return uniform_oracle(config.horizon)


def _check(config: HFUCRLRFEConfig, mixture: LinearMixture) -> None:
    require_sizes(
        horizon=config.horizon,
        num_episodes=config.num_episodes,
        remembered_episodes=config.remembered_episodes,
        gradient_steps=config.gradient_steps,
        num_rewards=config.num_rewards,
    )
    if config.num_moments is not None:
        require_sizes(num_moments=config.num_moments)
    require("num_samples", config.num_samples, lambda n: n >= 2, "an integer of at least 2")
    require("beta_scale", config.beta_scale, lambda c: c > 0, "a number above 0")
    require("delta", config.delta, lambda p: 0 < p < 1, "a number in (0, 1)")
    require("learning_rate", config.learning_rate, lambda rate: rate > 0, "a number above 0")
    require("oracle", config.oracle, lambda name: name in ORACLES, f"one of {', '.join(ORACLES)}")
    if config.oracle == "enumerate":
        count = number_of_policies(config.horizon, mixture.num_states, mixture.num_actions)
        require("oracle=enumerate: A^(S H) policies", count, lambda n: n <= MOST_POLICIES, f"at most {MOST_POLICIES}")
