"""The model of greatest likelihood as an offline method: a base of hybrid learning that needs no density ratios."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import Metrics, require
from jaxrl_sparse.density_ratio.classes import model_class, require_layers
from jaxrl_sparse.density_ratio.version_space import optimistic_member
from jaxrl_sparse.finite.episodes import TransitionCounts
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.learners.episodic_planning import Planner


def maximum_likelihood_planner(models: EpisodicMDP, reward_deviation: float | Array = 1.0) -> Planner:
    """The optimal policy of the model that makes the data likeliest; with `hybrid_learning` a hybrid method.

    Of equally likely models that is taken which was chosen least often before, and of those that of the lowest number.
    Its metric is `log_likelihood`, that of the chosen one, see `log_likelihoods`.

    Args:
      models: stacked, every leaf with a leading axis `[M]`.
      reward_deviation: see `log_likelihoods`.

    Raises:
      ValueError: if the models are none, see `model_class`, or the deviation is not above 0.

    Source: Amortila et al., "Harnessing Density Ratios for Online Reinforcement Learning" (ICLR 2024), which names it
    among the methods that its reduction can be given.
    """
    require("reward_deviation", reward_deviation, lambda sigma: float(sigma) > 0, "a number above 0")
    functions = model_class(models).functions

    def init(mdp: EpisodicMDP) -> Float[Array, "M"]:
        require_layers("mdp.rewards", mdp.rewards.shape, functions)
        return jnp.zeros(functions.size, mdp.rewards.dtype)

    def plan(
        counts: TransitionCounts, plays: Float[Array, "M"], step: Int[Array, ""]
    ) -> tuple[Array, Float[Array, "M"], Metrics]:
        del step
        likelihoods = log_likelihoods(counts, models, reward_deviation)
        chosen = optimistic_member(jnp.ones(functions.size, bool), likelihoods, plays)
        return functions.actions[chosen], plays.at[chosen].add(1), {"log_likelihood": likelihoods[chosen]}

    return Planner(init, plan)


def log_likelihoods(
    counts: TransitionCounts, models: EpisodicMDP, reward_deviation: float | Array = 1.0
) -> Float[Array, "M"]:
    """The log-likelihood of the counted transitions in each model, up to a constant of the data:

        sum over h, s, a of  sum over s' of N_h(s, a, s') log P_h(s' | s, a)
                             - N_h(s, a) (rbar_h(s, a) - r_h(s, a))^2 / (2 sigma^2)

    with rbar the mean of the rewards that were paid. Minus infinity where the data hold what a model rules out.

    Args:
      counts: of H layers.
      models: stacked `[M]`.
      reward_deviation: sigma, the standard deviation of a reward about its expectation, in the unit of rewards. Where
        rewards are certain any number tells them apart in time, small ones at once.
    """

    def of_one(model: EpisodicMDP) -> Float[Array, ""]:
        seen = counts.transitions > 0
        # Nothing times the logarithm of zero is nothing, not NaN.
        logs = jnp.where(seen, counts.transitions * jnp.log(jnp.where(seen, model.transitions, 1)), 0)
        visits = counts.visits
        means = counts.rewards / jnp.maximum(visits, 1)
        misfits = visits * (means - model.rewards) ** 2 / (2 * reward_deviation**2)
        return jnp.sum(logs) - jnp.sum(misfits)

    return jax.vmap(of_one)(models)
