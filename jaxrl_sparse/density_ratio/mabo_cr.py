"""MABO.CR: offline reinforcement learning by minimax average Bellman errors under clipped, penalised density ratios.

    fhat = argmin over f in F of  max over w in Wbar of
             sum over h of { |Ehat_{D_h}[wc_h Dhat_h f]| - alpha_n Ehat_{D_h}[wc_h^2] }
    wc = min(w, gamma n),   alpha_n = 8 c / (gamma n),   Wbar = W u -W, each member restricted to one layer

n is the number of transitions of each layer. The two signs are what the absolute value is; members of one layer leave
the others zero, so that the maximum of sums is a maximum over layers and weights. Nothing is asked of F but that it
holds Q*, and of W but that it holds the ratio of each policy of F to the data.

Source: Amortila, Foster, Jiang, Sekhari and Xie, "Harnessing Density Ratios for Online Reinforcement Learning" (ICLR
2024), section 4 (MABO.CR), after Xie and Jiang, "Q* Approximation Schemes for Batch Reinforcement Learning: A
Theoretical Comparison" (UAI 2020), whose MABO neither clips nor penalises.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import Metrics, require, require_known
from jaxrl_sparse.density_ratio.classes import ModelClass, require_layers, residuals
from jaxrl_sparse.density_ratio.constants import penalty
from jaxrl_sparse.density_ratio.version_space import (
    bounded_bellman_errors,
    optimistic_member,
    weighted_bellman_errors,
)
from jaxrl_sparse.density_ratio.weights import Classes, functions_of, require_weights, weights_of
from jaxrl_sparse.finite.coverage import clip_weights, density_ratio
from jaxrl_sparse.finite.episodes import TransitionCounts
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.learners.episodic_planning import Planner

_PRECISE = jax.lax.Precision.HIGHEST
# Of the names of `weights.WEIGHTS` those whose members of both signs MABO.CR can take.
WEIGHTS = ("strong", "explicit", "bounded-signed")


class MaboMemory(NamedTuple):
    """Memory of `mabo_cr_planner`.

    Attributes:
      plays: `[N]`, how often each function was returned.
    """

    plays: Float[Array, "N"]


def mabo_cr_planner(
    classes: Classes,
    clip_rate: float | Array,
    scale: float | Array = 1.0,
    weights: str = "strong",
    distribution: Float[Array, "H S A"] | None = None,
    memory_limit: int = 0,
) -> Planner:
    """MABO.CR as an offline method: counts to the greedy policy of fhat, and how often each function was returned.

    Of functions of equal loss that is taken which was returned least often before, and of those that of the lowest
    number. Its metric is `loss`, that of fhat.

    Args:
      classes: F, and what W is made of: a `ModelClass` for "strong", an `ExplicitClass` for "explicit", any for
        "bounded-signed".
      clip_rate: gamma, above 0.
      scale: c, multiplies the penalty; 1 is the paper's.
      weights: "strong": the ratio of every policy to the data in every model, see `hybrid_weights`; "explicit": those
        of the class; "bounded-signed": all with `|w| <= gamma n`, in the smooth form, see `bounded_losses`.
      distribution: `[H, S, A]`, nu, of the transitions that no returned policy collected; None if there are none. Only
        "strong" weights look at it.
      memory_limit: bytes, see `weighted_bellman_errors`; 0 for no limit.

    Raises:
      ValueError: naming an unknown `weights`, a class that does not fit it, shapes that disagree, or a number that is
        not above 0.
    """
    require_known("weights", weights, WEIGHTS, WEIGHTS)
    require_weights(weights, classes)
    require("clip_rate", clip_rate, lambda gamma: float(gamma) > 0, "a number above 0")
    require("scale", scale, lambda c: float(c) > 0, "a number above 0")
    require("memory_limit", memory_limit, lambda b: isinstance(b, int) and b >= 0, "bytes, 0 for no limit")
    functions = functions_of(classes)
    nu = jnp.zeros_like(functions.values[0]) if distribution is None else distribution
    require_layers("distribution", nu.shape, functions)

    def losses(counts: TransitionCounts, plays: Float[Array, "N"]) -> Float[Array, "N"]:
        num_samples = jnp.sum(counts.visits[0])
        # Without data all residuals are zero, whatever they are divided by.
        divisor = jnp.maximum(num_samples, 1)
        means, frequencies = residuals(counts, functions) / divisor, counts.visits / divisor
        bound = clip_rate * divisor
        alpha = penalty(scale, bound)
        if weights == "bounded-signed":
            return bounded_losses(means, frequencies, bound, alpha)
        if isinstance(classes, ModelClass):
            table = hybrid_weights(classes, plays, num_samples, nu)
        else:
            table = weights_of(weights, classes, plays)
        return single_layer_losses(means, frequencies, clip_weights(table, bound), alpha, memory_limit)

    def init(mdp: EpisodicMDP) -> MaboMemory:
        require_layers("mdp.rewards", mdp.rewards.shape, functions)
        return MaboMemory(jnp.zeros(functions.size, mdp.rewards.dtype))

    def plan(counts: TransitionCounts, memory: MaboMemory, step: Int[Array, ""]) -> tuple[Array, MaboMemory, Metrics]:
        del step
        of_each = losses(counts, memory.plays)
        chosen = optimistic_member(jnp.ones(functions.size, bool), -of_each, memory.plays)
        return functions.actions[chosen], MaboMemory(memory.plays.at[chosen].add(1)), {"loss": of_each[chosen]}

    return Planner(init, plan)


def single_layer_losses(
    residual_means: Float[Array, "N H S A"],
    frequencies: Float[Array, "H S A"],
    weights: Float[Array, "W H S A"],
    alpha: float | Array,
    memory_limit: int = 0,
) -> Float[Array, "N"]:
    """`max over w, h of |Ehat_{D_h}[w_h Dhat_h f]| - alpha Ehat_{D_h}[w_h^2]`, of each function.

    The maximum over all members of `Wbar` of the sum over layers: a member is a weight, or its negative, in one layer,
    and zero in the others, which then add nothing. The negative is that of the *clipped* weight.

    Args:
      residual_means: `residuals(counts, functions) / n`.
      frequencies: visits / n.
      weights: already clipped.
      alpha: the penalty, in units of the return.
      memory_limit: bytes, see `weighted_bellman_errors`; 0 for no limit.

    Raises:
      ValueError: if shapes disagree.
    """
    signed = jnp.concatenate([residual_means, -residual_means])
    errors = weighted_bellman_errors(signed, frequencies, weights, alpha, memory_limit)
    return jnp.max(errors.reshape(2, residual_means.shape[0], -1), axis=(0, 2))


def smooth_losses(
    residual_means: Float[Array, "N H S A"],
    frequencies: Float[Array, "H S A"],
    weights: Float[Array, "W H S A"],
    alpha: float | Array,
) -> Float[Array, "N"]:
    """The re-parametrised form, without clip and absolute value, smooth and concave in the weight:

        max over w of  sum over h of  Ehat_{D_h}[w_h Dhat_h f] - alpha Ehat_{D_h}[w_h^2]

    It has the guarantee of MABO.CR for any class that holds the clipped weights and their negatives in each single
    layer, and no weight above gamma n; for the class of just these it is `single_layer_losses`.

    Args:
      residual_means: `residuals(counts, functions) / n`.
      frequencies: visits / n.
      weights: `[W, H, S, A]`, of any sign; a member is taken as a whole, over all layers.
      alpha: the penalty, in units of the return.
    """
    linear = jnp.einsum("whsa,nhsa->nw", weights, residual_means, precision=_PRECISE)
    squares = jnp.einsum("whsa,hsa->w", weights**2, frequencies, precision=_PRECISE)
    return jnp.max(linear - alpha * squares, axis=1)


def bounded_losses(
    residual_means: Float[Array, "N H S A"],
    frequencies: Float[Array, "H S A"],
    bound: float | Array,
    alpha: float | Array,
) -> Float[Array, "N"]:
    """`smooth_losses` over *all* weights with `|w| <= bound`: the sum over layers of Huber functions of the residuals.

    Args:
      residual_means: `residuals(counts, functions) / n`.
      frequencies: visits / n.
      bound: gamma n, above 0.
      alpha: above 0.

    Raises:
      ValueError: if shapes disagree.
    """
    return jnp.sum(bounded_bellman_errors(residual_means, frequencies, bound, alpha), axis=1)


def hybrid_weights(
    models: ModelClass,
    plays: Float[Array, "N"],
    num_samples: float | Array,
    distribution: Float[Array, "H S A"],
) -> Float[Array, "W H S A"]:
    """`W = { D[m, f] / mu[m] : m, f }`, the ratio of each policy to the hybrid data in each model:

        mu[m] = ((n - n_on) nu + sum over past rounds i of D[m, f_i]) / n,   n_on the number of past rounds

    Not clipped: infinite where a policy of the class is and the data are not. The true ratio is a member if the true
    model is, up to what is not known of nu.

    Args:
      models: D.
      plays: how often each policy was run, once each time; n_on is the sum.
      num_samples: n, transitions of each layer, from both sources.
      distribution: nu.

    Returns:
      `[M N, H, S, A]`, the policies of the first model first.
    """
    online = jnp.einsum("n,mnhsa->mhsa", plays, models.occupancies, precision=_PRECISE)
    # Never below zero by rounding; and without data there is nothing to divide.
    num_offline = jnp.maximum(num_samples - jnp.sum(plays), 0)
    mixtures = (num_offline * distribution + online) / jnp.maximum(num_samples, 1)
    weights = density_ratio(models.occupancies, jnp.broadcast_to(mixtures[:, None], models.occupancies.shape))
    return weights.reshape(-1, *weights.shape[2:])
