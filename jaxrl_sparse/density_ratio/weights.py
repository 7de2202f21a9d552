"""Classes of density ratios, as arrays of weights on states and actions of each layer.

What GLOW needs of its class is the ratio of each policy's occupancy to the data's. The data are those of past policies,
so that the ratio moves with the histogram of what was played:

    dbar_t(s, a) = mean over past rounds i of d^{pi_i}(s, a),   w(s, a) = d^pi(s, a) / dbar_t(s, a)

0/0 is 0 and x/0 is infinite, to be clipped.

Source: Amortila, Foster, Jiang, Sekhari and Xie, "Harnessing Density Ratios for Online Reinforcement Learning" (ICLR
2024): strong and weak density-ratio realisability.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from jaxrl_sparse.base import require, require_known
from jaxrl_sparse.density_ratio.classes import FunctionClass, ModelClass, require_entries, require_layers
from jaxrl_sparse.finite.coverage import clip_weights, coverability_of, density_ratio
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.episodic_solvers import occupancy

_PRECISE = jax.lax.Precision.HIGHEST
WEIGHTS = ("strong", "weak", "explicit", "bounded", "bounded-signed")


class ExplicitClass(NamedTuple):
    """Functions, and weights that stay what they are. Make it with `explicit_class`.

    Attributes:
      functions: F.
      weights: `[W, H, S, A]`, at least 0, infinite allowed.
    """

    functions: FunctionClass
    weights: Float[Array, "W H S A"]


class PairClass(NamedTuple):
    """Functions, and candidates for the ratios of pairs of their policies. Make it with `pair_class`.

    Attributes:
      functions: F.
      ratios: `[P, N, N, H, S, A]`: entry `[p, i, j]` is the candidate p for `d^{pi_i} / d^{pi_j}`; infinite allowed.
    """

    functions: FunctionClass
    ratios: Float[Array, "P N N H S A"]


Classes = ModelClass | PairClass | ExplicitClass | FunctionClass


def explicit_class(functions: FunctionClass, weights: ArrayLike) -> ExplicitClass:
    """Functions with a fixed class of weights.

    Args:
      functions: F.
      weights: `[W, H, S, A]`.

    Raises:
      ValueError: if shapes disagree, or a weight is negative or not a number.
    """
    table = jnp.asarray(weights, functions.values.dtype)
    require("weights", table.shape, lambda s: len(s) == 4 and s[0] >= 1, "the shape [W, H, S, A] with W at least 1")
    require_layers("weights", table.shape, functions)
    require_entries("weights", table, lambda w: w >= 0, "a number of at least 0")
    return ExplicitClass(functions, table)


def pair_class(functions: FunctionClass, ratios: ArrayLike) -> PairClass:
    """Functions with candidates for the ratios of pairs of their policies.

    Args:
      functions: F.
      ratios: `[P, N, N, H, S, A]`; infinite where `d^{pi_j}` is zero.

    Raises:
      ValueError: if shapes disagree, or a ratio is negative or not a number.
    """
    table, size = jnp.asarray(ratios, functions.values.dtype), functions.size
    require(
        "ratios",
        table.shape,
        lambda s: len(s) == 6 and s[0] >= 1 and s[1:3] == (size, size),
        f"the shape [P, {size}, {size}, H, S, A] with P at least 1",
    )
    require_layers("ratios", table.shape, functions)
    require_entries("ratios", table, lambda w: w >= 0, "a number of at least 0")
    return PairClass(functions, table)


def pairs_of_models(models: ModelClass) -> PairClass:
    """The ratios of pairs of policies in every model, P = M; `M N^2 H S A` numbers.

    Infinite wherever `d^{pi_j}` is zero, also where `d^{pi_i}` is: the weights that are made of them, their inverses,
    are then zero where the policy that is asked for never is.
    """
    above, below = models.occupancies[:, :, None], models.occupancies[:, None]
    return PairClass(models.functions, jnp.where(below > 0, density_ratio(above, below), jnp.inf))


def strong_weights(models: ModelClass, plays: Float[Array, "N"]) -> Float[Array, "W H S A"]:
    """`W_t = { D[m, f] / dbar_t[m] : m, f }`, the ratio of each policy to the past's mixture in each model.

    Not clipped: infinite where a policy of the class is and no past one was. Before the first round every weight is
    infinite or zero.

    Args:
      models: D.
      plays: how often each policy was run.

    Returns:
      W = M N weights, those of model 0 first.
    """
    mixtures = jnp.einsum("n,mnhsa->mhsa", _frequencies(plays), models.occupancies, precision=_PRECISE)
    weights = density_ratio(models.occupancies, mixtures[:, None])
    return weights.reshape(-1, *weights.shape[2:])


def weak_weights(pairs: PairClass, plays: Float[Array, "N"]) -> Float[Array, "W H S A"]:
    """`Wbar = { 1 / mean over past rounds i of w_i }`, with `w_i` the candidate for `d^{pi_i} / d^pi`, by p and pi.

    The paper's class takes any member of W for any past round; these are those that belong together, one to each
    candidate p and policy pi, and the true ratio is among them where the true pairs are in W. Before the first round
    all are infinite.

    Args:
      pairs: candidates for `d^{pi_i} / d^pi`.
      plays: how often each policy was run.

    Returns:
      W = P N weights, those of candidate 0 first.
    """
    # Policies that were never played have weight zero, and zero times infinity is no number.
    shares = _frequencies(plays)[:, None, None, None, None]
    means = jnp.sum(jnp.where(shares > 0, shares * pairs.ratios, 0), axis=1)
    weights = density_ratio(jnp.ones_like(means), means)
    return weights.reshape(-1, *weights.shape[2:])


def functions_of(classes: Classes) -> FunctionClass:
    """F of any of the classes."""
    return classes if isinstance(classes, FunctionClass) else classes.functions


def weights_of(name: str, classes: Classes, plays: Float[Array, "N"]) -> Float[Array, "W H S A"]:
    """The weights of a finite class, not clipped; see `require_weights` for what goes with what.

    Args:
      name: "strong", "weak" or "explicit".
      classes: a `ModelClass`, a `PairClass` or an `ExplicitClass`.
      plays: how often each policy was run; an explicit class does not depend on it.

    Raises:
      ValueError: if name and classes do not go together, or all bounded weights are asked for.
    """
    if name == "strong" and isinstance(classes, ModelClass):
        return strong_weights(classes, plays)
    if name == "weak" and isinstance(classes, PairClass):
        return weak_weights(classes, plays)
    require("weights", name, lambda n: n == "explicit" and isinstance(classes, ExplicitClass), "a finite class")
    return classes.weights  # pyright: ignore[reportAttributeAccessIssue]


def log_weights(name: str, classes: Classes, num_rounds: int) -> float:
    """log |W| of theory's constants.

    "strong" counts models times policies, "weak" the ratios of pairs; a class that moves with the history is counted as
    it is in one round. All bounded weights are no finite class: `S A log T` stands in, a grid of T values for each pair
    of state and action (ours).

    Args:
      name: of `WEIGHTS`.
      classes: that go with it.
      num_rounds: T.
    """
    _, _, num_states, num_actions = functions_of(classes).values.shape
    if isinstance(classes, ModelClass) and name == "strong":
        return math.log(math.prod(classes.occupancies.shape[:2]))
    if isinstance(classes, PairClass) and name == "weak":
        return math.log(math.prod(classes.ratios.shape[:3]))
    if isinstance(classes, ExplicitClass) and name == "explicit":
        return math.log(classes.weights.shape[0])
    return num_states * num_actions * math.log(num_rounds)


def coverability_bound(classes: Classes) -> Float[Array, ""]:
    """A bound of C_cov that needs no knowledge of the true MDP.

    Of a `ModelClass`, the largest coverability of the class's policies in any of its models; without models `S A`.
    """
    if isinstance(classes, ModelClass):
        return jnp.max(jax.vmap(coverability_of)(classes.occupancies))
    _, _, num_states, num_actions = functions_of(classes).values.shape
    return jnp.asarray(num_states * num_actions, functions_of(classes).values.dtype)


def weight_misfit(
    weights: Float[Array, "W H S A"],
    functions: FunctionClass,
    mdp: EpisodicMDP,
    plays: Float[Array, "N"],
    clip: float | Array,
) -> Float[Array, ""]:
    """By how much a class misses the true density ratios; 0 where it realises them.

        max over pi, h of min over w of max over s, a of | min(w, g) - min(d^pi / dbar, g) |

    Args:
      weights: the class of this round, not clipped.
      functions: whose policies pi are.
      mdp: the true one.
      plays: how often each policy was run, of which dbar is.
      clip: g, above 0.
    """
    true = jax.vmap(occupancy, in_axes=(None, 0))(mdp, functions.actions)
    ratios = clip_weights(strong_weights(ModelClass(functions, true[None]), plays), clip)
    clipped = clip_weights(weights, clip)
    distance = lambda ratio: jnp.min(jnp.max(jnp.abs(clipped - ratio), axis=(-2, -1)), axis=0)  # noqa: E731
    return jnp.max(jax.lax.map(distance, ratios))


def require_weights(name: str, classes: Classes) -> None:
    """Refuses a name of weights that the library does not know, or that these classes cannot make.

    Raises:
      ValueError: naming what would have been good.
    """
    require_known("weights", name, WEIGHTS, WEIGHTS)
    takes = {"strong": ModelClass, "weak": ModelClass | PairClass, "explicit": ExplicitClass}
    expected = takes.get(name, Classes)
    require(
        "classes",
        type(classes).__name__,
        lambda _: isinstance(classes, expected),
        f"what weights={name} are made of: {getattr(expected, '__name__', expected)}",
    )


def _frequencies(plays: Float[Array, "N"]) -> Float[Array, "N"]:
    return plays / jnp.maximum(jnp.sum(plays), 1)
