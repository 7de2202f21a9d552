"""UCRL-RFE and UCRL-RFE+: exploration of a linear mixture without rewards, by the bonus itself as the reward.

    bonus:     r_{k,h}(s, a) = min(1, (2 beta / H) max over f: S -> [0, H-1-h] of ||phi_f(s, a)||_{Sigma_k^-1})
    policy:    pi_k = PLAN(theta_k, Sigma_k, r_k, beta)
    learning:  at each (s, a) of the episode, u is the f of the bonus, and u(s') is regressed on phi_u(s, a)

Afterwards any reward is planned for by PLAN with the same estimate. UCRL-RFE+ weighs the regression by the estimated
variance of u(s') (Bernstein in place of Hoeffding). Steps are counted from 0.

Source: Zhang, Zhou and Gu, "Reward-Free Model-Based Reinforcement Learning with Linear Function Approximation" (2021),
algorithms 1 to 3.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import ENVIRONMENT_STEPS, Algorithm, Metrics, config, require
from jaxrl_sparse.exploration.reward_free.constants import BernsteinRadii, ucrl_rfe_plus_radii, ucrl_rfe_radius
from jaxrl_sparse.exploration.reward_free.planning import (
    evaluation_metrics,
    plan,
    random_rewards,
    reward_free_evaluate,
)
from jaxrl_sparse.exploration.reward_free.pseudo_values import largest_uncertainty
from jaxrl_sparse.exploration.reward_free.regression import (
    Regression,
    distance,
    observe,
    ridge_regression,
    uncertainty,
)
from jaxrl_sparse.finite.episodes import sample_episodes
from jaxrl_sparse.finite.generators import require_sizes
from jaxrl_sparse.finite.linear_mixtures import LinearMixture, episodic_mixture

EXPLORATIONS = ("optimistic", "uniform")
_PRECISE = jax.lax.Precision.HIGHEST


@config
class UCRLRFEConfig:
    """Configuration of `ucrl_rfe` and `ucrl_rfe_plus`.

    Attributes:
      horizon: H, steps of an episode.
      num_episodes: K, the episodes that the radii are made for.
      beta_scale: multiplies every radius; 1 is the papers', with which every optimistic value is at its bound in any
        experiment, so that exploration tells no policies apart, and plans hardly improve.
      delta: probability with which the confidence set may fail, in (0, 1).
      inner_maximum: "vertices", exact for up to 12 states, or "signs", for up to 12 features; see `pseudo_values`.
      exploration: "optimistic", or "uniform", the control: the same regression on episodes of uniform actions.
      num_rewards: random rewards that an evaluation plans for.
    """

    horizon: int = 10
    num_episodes: int = 100
    beta_scale: float = 0.01
    delta: float = 0.1
    inner_maximum: str = "vertices"
    exploration: str = "optimistic"
    num_rewards: int = 32


class UCRLRFEState(NamedTuple):
    """State of `ucrl_rfe` and `ucrl_rfe_plus`.

    Attributes:
      key: for the episodes.
      regression: of u, `[1, ...]`; of UCRL-RFE+ `[2, ...]`, the second of u^2.
    """

    key: PRNGKeyArray
    regression: Regression


# From the regressions, the features `[H, F, d]` and the radii of an episode to the variances `[H, F]`.
Weigh = Callable[[Regression, Array], Array]


def ucrl_rfe(config: UCRLRFEConfig, mixture: LinearMixture) -> Algorithm:
    """UCRL-RFE, with Hoeffding's bonus; one update is one episode.

    The metrics of an update: `environment_steps` (H); `exploration_value`, the planner's value of the bonuses from s_1,
    at most H; `episode_return`, the bonuses along the episode; `uncertainty`, the mean of `||phi_u||_{Sigma_k^-1}` of
    the episode; and, computed from the true theta and never shown to the learner, `theta_error`, its distance from the
    estimate, and `is_covered`, whether `||theta - theta*||_Sigma <= beta`, 0 or 1. The estimate is the one after the
    episode. `evaluate` plans for random rewards of the class R and measures `suboptimality_mean` and
    `suboptimality_max` in the true mixture, exactly.

    Args:
      config: see `UCRLRFEConfig`.
      mixture: that the episodes are of; the learner sees its features, s_1 and B.

    Raises:
      ValueError: naming the field that is out of range.
    """
    _check(config)
    beta = config.beta_scale * ucrl_rfe_radius(*_constants(config, mixture))
    return _explore(config, mixture, beta, 1, lambda regression, mean: jnp.ones_like(mean[..., 0]))


def ucrl_rfe_plus(config: UCRLRFEConfig, mixture: LinearMixture) -> Algorithm:
    """UCRL-RFE+, with Bernstein's bonus; one update is one episode; see `ucrl_rfe` for the metrics.

    Args:
      config: see `UCRLRFEConfig`.
      mixture: that the episodes are of; the learner sees its features, s_1 and B.

    Raises:
      ValueError: naming the field that is out of range.
    """
    _check(config)
    radii = ucrl_rfe_plus_radii(*_constants(config, mixture))
    scaled = BernsteinRadii(*(config.beta_scale * radius for radius in radii))

    def weigh(regression: Regression, mean: Array) -> Array:
        variances = bernstein_variances(regression, mean, scaled, config.horizon)
        return jnp.stack([variances, jnp.ones_like(variances)], axis=-1)

    return _explore(config, mixture, scaled.hat, 2, weigh)


def exploration_bonus(largest: Float[Array, "S A"], beta: float | Array, horizon: int) -> Float[Array, "H S A"]:
    """`min(1, (2 beta / H) (H - 1 - h) max over f: S -> [0, 1] of ||phi_f(s, a)||_{Sigma^-1})`.

    Args:
      largest: the maximum, `[S, A]`; see `largest_uncertainty`.
      beta: the radius.
      horizon: H, static. The bonus of the last step is 0, as nothing follows it.
    """
    remaining = jnp.arange(horizon - 1, -1, -1).astype(largest.dtype)[:, None, None]
    return jnp.minimum(1, 2 * beta / horizon * remaining * largest)


def bernstein_variances(
    regression: Regression, mean: Float[Array, "H 2 d"], radii: BernsteinRadii, horizon: int
) -> Float[Array, "H"]:
    """The weights of UCRL-RFE+: an upper bound of the variance of u(s'), and at least `H^2 / d`.

        nu = max(H^2 / d, Vbar + E)
        Vbar = [<phi_{u^2}, theta~>] in [0, H^2]  -  ([<phi_u, theta^>] in [0, H])^2
        E = min(H^2, 2 H check ||phi_u||_{Sigma^^-1}) + min(H^2, tilde ||phi_{u^2}||_{Sigma~^-1})

    Args:
      regression: `[2, ...]`, of u and of u^2, those at the end of the last episode.
      mean: `[H, 2, d]`, phi_u and phi_{u^2}.
      radii: of the three confidence sets.
      horizon: H, static.

    Source: algorithm 3.
    """
    most = horizon**2
    estimates = jnp.einsum("hfi,fi->hf", mean, regression.theta, precision=_PRECISE)
    variance = jnp.clip(estimates[:, 1], 0, most) - jnp.clip(estimates[:, 0], 0, horizon) ** 2
    widths = jax.vmap(uncertainty, in_axes=(0, 1), out_axes=1)(regression.root, mean)
    error = jnp.minimum(most, 2 * horizon * radii.check * widths[:, 0]) + jnp.minimum(most, radii.tilde * widths[:, 1])
    return jnp.maximum(most / mean.shape[-1], variance + error)


def _explore(config: UCRLRFEConfig, mixture: LinearMixture, beta: Array, num_powers: int, weigh: Weigh) -> Algorithm:
    """The common loop; the powers u^1 to u^F are regressed on their features."""
    features, horizon = mixture.features, config.horizon
    sizes = (horizon, mixture.num_states, mixture.num_actions)
    dynamics = episodic_mixture(mixture, jnp.zeros(sizes, features.dtype))
    uniform = jnp.full(sizes, 1 / mixture.num_actions, features.dtype)
    exponents = jnp.arange(1, num_powers + 1)
    # The functions of the bonus are indicators, scaled to what may follow.
    scales = jnp.arange(horizon - 1, -1, -1).astype(features.dtype)[:, None] ** exponents

    def init(key: PRNGKeyArray) -> UCRLRFEState:
        return UCRLRFEState(key, ridge_regression((num_powers,), mixture.dimension, mixture.norm_bound**-2))

    def update(state: UCRLRFEState, step: Int[Array, ""]) -> tuple[UCRLRFEState, Metrics]:
        del step
        key, episode_key = jax.random.split(state.key)
        before = state.regression
        largest, indicators = largest_uncertainty(features, before.root[0], config.inner_maximum)
        bonuses = exploration_bonus(largest, beta, horizon)
        planned = plan(features, before.theta[0], bonuses, root=before.root[0], beta=beta)
        policy = planned.actions if config.exploration == "optimistic" else uniform
        episode = sample_episodes(episode_key, dynamics, policy, 1)
        states, actions, following = episode.states[:, 0], episode.actions[:, 0], episode.next_states[:, 0]

        functions = indicators[states, actions]
        mean = jnp.einsum("hti,ht->hi", features[states, actions], functions, precision=_PRECISE)
        mean = scales[..., None] * mean[:, None]
        targets = scales * functions[jnp.arange(horizon), following][:, None]
        variances = weigh(before, mean)

        def learn(regression, observation):
            return observe(regression, *observation), None

        regression, _ = jax.lax.scan(learn, before, (mean, targets, variances))
        difference = regression.theta[0] - mixture.theta
        metrics = {
            ENVIRONMENT_STEPS: jnp.int32(horizon),
            "exploration_value": planned.values[0, mixture.initial_state],
            "episode_return": jnp.sum(bonuses[jnp.arange(horizon), states, actions]),
            "uncertainty": jnp.mean(uncertainty(before.root[0], mean[:, 0])),
            "theta_error": jnp.linalg.norm(difference),
            "is_covered": (distance(regression.precision[0], difference) <= beta).astype(jnp.float32),
        }
        return UCRLRFEState(key, regression), metrics

    def evaluate(state: UCRLRFEState, key: PRNGKeyArray) -> Metrics:
        theta, root = state.regression.theta[0], state.regression.root[0]
        rewards = random_rewards(key, config.num_rewards, *sizes)

        def planner(paid):
            return plan(features, theta, paid, root=root, beta=beta).actions

        return evaluation_metrics(reward_free_evaluate(mixture, planner, rewards))

    return Algorithm(init, update, evaluate)


def _constants(config: UCRLRFEConfig, mixture: LinearMixture) -> tuple:
    return mixture.dimension, config.horizon, config.num_episodes, mixture.norm_bound, config.delta


def _check(config: UCRLRFEConfig) -> None:
    require_sizes(horizon=config.horizon, num_episodes=config.num_episodes, num_rewards=config.num_rewards)
    require("beta_scale", config.beta_scale, lambda c: c >= 0, "a number of at least 0")
    require("delta", config.delta, lambda p: 0 < p < 1, "a number in (0, 1)")
    require("exploration", config.exploration, lambda name: name in EXPLORATIONS, f"one of {', '.join(EXPLORATIONS)}")
