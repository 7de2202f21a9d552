"""What a distribution of returns is worth: utilities, the objectives made of them, and those that cannot be planned
for.

A stock-augmented decision process carries a stock c beside the state, `c' = (c + r) / gamma`, so that at any time t
`c_0 + G_0 = gamma^t (c_t + G_t)`. Dynamic programming then maximises `E f(c + G)` for every initial stock at once, if f
is indifferent to gamma: `f(gamma x) = a f(x) + b` with `a >= 0`. Where the objective leaves the initial stock free, as
CVaR does, one search over it ends the work.

Source: Avila Pires et al., "Optimizing Return Distributions with Distributional Dynamic Programming" (JMLR 2025),
sections 3 to 5; Rockafellar and Uryasev (2000) for CVaR.
"""

import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrl_sparse.base import require, require_known

# What a sum of rewards may lose to rounding, in the return's unit.
ROUNDING = 1e-5


class Utility(NamedTuple):
    """A utility f of the final outcome c + G, and what is known of it.

    Attributes:
      name: of the objective it belongs to.
      f: from outcomes `[...]` to utilities `[...]`; from `[..., m]` to `[...]` where outcomes are vectors.
      degree: p of `f(k x) = k^p f(x)` for all k > 0; None where f is not homogeneous, and then gamma must be 1.
      lipschitz: L of `|f(x) - f(y)| <= L |x - y|` (Euclidean norm); inf where there is none: guarantees then hold for
        finite horizons alone.
      slopes: `(left, right)` where `f(x) = left min(x, 0) + right max(x, 0)`, so that an expectation is a look-up in an
        integrated CDF; None for all others.
      num_components: m of vector outcomes, None for scalars.
    """

    name: str
    f: Callable[[Array], Array]
    degree: float | None
    lipschitz: Any
    slopes: tuple[Any, Any] | None = None
    num_components: int | None = None

    @property
    def is_gamma_indifferent(self) -> bool:
        """Whether a preference between two outcomes survives that both are scaled by any discount."""
        return self.degree is not None


class Objective(NamedTuple):
    """A utility, and how its value follows from those of initial stocks.

    The value at state s is `F(s, c_0)` for a fixed initial stock, else `extreme over b of b + F(s, -b) / level`.

    Attributes:
      name: such as `cvar(0.1)`.
      utility: what is planned for.
      initial_stock: a scalar or `[m]`; None where it is searched.
      level: tau of that search.
      minimizes: whether the extreme is a minimum, as of the optimistic CVaR.
    """

    name: str
    utility: Utility
    initial_stock: Any = 0.0
    level: Any = 1.0
    minimizes: bool = False


def mean() -> Objective:
    """The expected return, `f(x) = x`: the ordinary objective, from any initial stock."""
    return Objective("mean", piecewise_linear("mean", 1.0, 1.0))


def target(x: float | Array, power: float = 1.0) -> Objective:
    """A desired return: `-E |G - x|^power`, from the initial stock -x.

    Args:
      x: the return that is asked for, in its unit.
      power: above 0; static.

    Raises:
      ValueError: if `power` is not above 0.
    """
    require("power", power, lambda p: p > 0, "a number above 0")
    if power == 1:
        return Objective(f"target({x})", piecewise_linear("target", 1.0, -1.0), initial_stock=-x)
    utility = Utility("target", lambda outcome: -(jnp.abs(outcome) ** power), float(power), math.inf)
    return Objective(f"target({x}, {power})", utility, initial_stock=-x)


def cvar(tau: float | Array) -> Objective:
    """The mean of the worst share tau of returns: `max_b b + E min(G - b, 0) / tau`.

    Args:
      tau: in (0, 1]; 1 is the mean.

    Raises:
      ValueError: if `tau` is outside (0, 1].
    """
    _require_level(tau)
    return Objective(f"cvar({tau})", piecewise_linear("cvar", 1.0, 0.0), None, tau)


def optimistic_cvar(tau: float | Array) -> Objective:
    """The mean of the best share tau of returns: `min_b b + E max(G - b, 0) / tau`.

    The value is an upper bound of what a deterministic policy reaches: it is the supremum over policies of a minimum,
    and the two may be exchanged only where policies may be randomised at the start.

    Args:
      tau: in (0, 1]; 1 is the mean.

    Raises:
      ValueError: if `tau` is outside (0, 1].
    """
    _require_level(tau)
    return Objective(
        f"optimistic-cvar({tau})", piecewise_linear("optimistic-cvar", 0.0, 1.0), None, tau, minimizes=True
    )


def mean_cvar(tau: float | Array, weight: float | Array) -> Objective:
    """`weight mean + (1 - weight) CVaR_tau`, as `max_b b + E[left min(G - b, 0) + right max(G - b, 0)]`.

    Args:
      tau: in (0, 1].
      weight: of the mean, in [0, 1].

    Raises:
      ValueError: if an argument is out of range.
    """
    _require_level(tau)
    require("weight", weight, lambda w: 0 <= w <= 1, "a number in [0, 1]")
    left = (1 - weight) / tau + weight
    return Objective(f"mean-cvar({tau}, {weight})", piecewise_linear("mean-cvar", left, weight), None)


def probability(x: float | Array, tolerance: float = ROUNDING) -> Objective:
    """`P(G >= x)`, `f = 1{outcome >= 0}` from the initial stock -x. Guaranteed for finite horizons alone.

    Args:
      x: the return to be reached, in its unit.
      tolerance: how far below x counts as reached: by default what a sum of rewards may lose to rounding. A learned law
        whose atoms lie a little beside x needs more, such as half of the smallest difference of two returns; gamma must
        be 1 then, since a discount shrinks what is missing.

    Raises:
      ValueError: if `tolerance` is below 0.
    """
    require("tolerance", tolerance, lambda value: value >= 0, "a number of at least 0")

    def reached(outcome: Float[Array, "..."]) -> Float[Array, "..."]:
        return (outcome >= -tolerance).astype(outcome.dtype)

    degree = 0.0 if tolerance <= ROUNDING else None
    shown = f"probability({x})" if tolerance == ROUNDING else f"probability({x}, {tolerance})"
    return Objective(shown, Utility("probability", reached, degree, math.inf), -x)


def signed_power(power: float = 0.5, x: float | Array = 0.0) -> Objective:
    """`E sign(G - x) |G - x|^power`: an S-shaped utility around the reference x, as of prospect theory.

    Args:
      power: above 0; static.
      x: the reference return.

    Raises:
      ValueError: if `power` is not above 0.
    """
    require("power", power, lambda p: p > 0, "a number above 0")
    utility = Utility(
        "signed-power",
        lambda outcome: jnp.sign(outcome) * jnp.abs(outcome) ** power,
        float(power),
        1.0 if power == 1 else math.inf,
    )
    return Objective(f"signed-power({power}, {x})", utility, -x)


def exponential(b: float | Array) -> Objective:
    """The exponential utility `-E exp(-b G)`, whose certainty equivalent is the entropic risk. gamma must be 1.

    Args:
      b: aversion to risk, not 0; below 0 risk is sought, and the utility is `E exp(-b G)`.

    Raises:
      ValueError: if `b` is 0.
    """
    require("b", b, lambda value: value != 0, "a number other than 0")
    utility = Utility("exponential", lambda outcome: -jnp.sign(b) * jnp.exp(-b * outcome), None, math.inf)
    return Objective(f"exponential({b})", utility)


def reward_constraint(limit: float | Array, penalty: float | Array) -> Objective:
    """`E[G_1 - penalty max(G_2 - limit, 0)]` of vector rewards (reward, cost): a budget of the second return.

    Args:
      limit: of the cost's return.
      penalty: per unit above it, at least 0; the constraint binds where it is large.

    Raises:
      ValueError: if `penalty` is below 0.
    """
    require("penalty", penalty, lambda value: value >= 0, "a number of at least 0")

    def f(outcome: Float[Array, "... 2"]) -> Float[Array, "..."]:
        return outcome[..., 0] - penalty * jnp.maximum(outcome[..., 1], 0)

    utility = Utility("reward-constraint", f, 1.0, jnp.sqrt(1.0 + penalty**2), num_components=2)
    return Objective(f"reward-constraint({limit}, {penalty})", utility, (0.0, -limit))


def homeostasis(*deficits: float | Array, power: float = 1.0) -> Objective:
    """`-E sum_i |c_i + G_i|^power`: needs (vector rewards) are to be kept at their set points.

    Args:
      *deficits: the initial levels minus the set points, one for each need.
      power: above 0; static.

    Raises:
      ValueError: if there is no deficit, or `power` is not above 0.
    """
    require("deficits", deficits, lambda values: len(values) >= 1, "one number for each need")
    require("power", power, lambda p: p > 0, "a number above 0")
    m = len(deficits)
    utility = Utility(
        "homeostasis",
        lambda outcome: -jnp.sum(jnp.abs(outcome) ** power, axis=-1),
        float(power),
        math.sqrt(m) if power == 1 else math.inf,
        num_components=m,
    )
    return Objective(f"homeostasis({', '.join(map(str, deficits))})", utility, deficits)


def from_utility(
    f: Callable[[Array], Array], degree: float | None = None, lipschitz: float = math.inf, initial_stock: Any = 0.0
) -> Objective:
    """`E f(c_0 + G)` of a utility of one's own.

    Args:
      f: from outcomes `[...]` to utilities `[...]`, element by element.
      degree: of its homogeneity; None for none, and then gamma must be 1.
      lipschitz: its constant; inf for none.
      initial_stock: c_0.
    """
    return Objective("from-utility", Utility("from-utility", f, degree, lipschitz), initial_stock)


def piecewise_linear(name: str, left: float | Array, right: float | Array) -> Utility:
    """The utility `f(x) = left min(x, 0) + right max(x, 0)`: of degree 1, Lipschitz with max(|left|, |right|)."""

    def f(outcome: Float[Array, "..."]) -> Float[Array, "..."]:
        return left * jnp.minimum(outcome, 0) + right * jnp.maximum(outcome, 0)

    numbers = isinstance(left, float | int) and isinstance(right, float | int)
    lipschitz = max(abs(left), abs(right)) if numbers else jnp.maximum(jnp.abs(left), jnp.abs(right))
    return Utility(name, f, 1.0, lipschitz, (left, right))


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "mean": mean,
    "target": target,
    "cvar": cvar,
    "optimistic-cvar": optimistic_cvar,
    "mean-cvar": mean_cvar,
    "probability": probability,
    "signed-power": signed_power,
    "exponential": exponential,
    "reward-constraint": reward_constraint,
    "homeostasis": homeostasis,
}

# Functionals of the return's law that dynamic programming cannot optimise directly, and why (section 4's conditions).
_MIXTURES = (
    "it is not indifferent to mixtures: of two laws the better one in every case may be the worse one on average"
)
INADMISSIBLE: dict[str, str] = {
    "median": _MIXTURES,
    "quantile": _MIXTURES,
    "value-at-risk": _MIXTURES,
    "variance": _MIXTURES,
    "mean-variance": _MIXTURES,
    "sharpe-ratio": _MIXTURES,
    "nested-cvar": f"{_MIXTURES}; cvar(tau) searches the initial stock instead",
    "capped": "min(x, 1) is not indifferent to gamma: scaled by a discount it prefers other outcomes; "
    "with gamma = 1 use from_utility",
}


def parse_objective(text: str) -> Objective:
    """The objective of a text such as `cvar(0.1)`, `target(5)` or `mean`.

    Raises:
      ValueError: if the name is unknown, if its numbers do not fit, or if dynamic programming cannot optimise it, with
        the reason.
    """
    matched = re.fullmatch(r"\s*([a-z-]+)\s*(?:\((.*)\))?\s*", text)
    require("objective", text, lambda _: matched is not None, "NAME or NAME(NUMBER, ...), such as cvar(0.1)")
    assert matched is not None
    name, inside = matched.groups()
    require(
        "objective",
        text,
        lambda _: name not in INADMISSIBLE,
        f"what dynamic programming can optimise; {name} it cannot: {INADMISSIBLE.get(name)}",
    )
    require_known("objective", name, OBJECTIVES, [_usage(word) for word in OBJECTIVES])
    try:
        numbers = [float(word) for word in (inside or "").split(",") if word.strip()]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
        inspect.signature(OBJECTIVES[name]).bind(*numbers)
    except (ValueError, TypeError):
        raise ValueError(f"objective: got {text!r}, takes {_usage(name)} with finite numbers") from None
    return OBJECTIVES[name](*numbers)


def require_admissible(utility: Utility, discount: Any) -> None:
    """Refuses a utility that dynamic programming cannot optimise with this discount.

    Raises:
      ValueError: if gamma is below 1 and the utility is not indifferent to it, or if gamma is outside (0, 1].
    """
    require("discount", discount, lambda gamma: 0 < float(gamma) <= 1, "a number in (0, 1]")
    if not utility.is_gamma_indifferent:
        reason = f"1: {utility.name} is not indifferent to gamma, scaled outcomes are preferred in another order"
        require("discount", discount, lambda gamma: float(gamma) == 1, reason)


def _require_level(tau: Any) -> None:
    require("tau", tau, lambda level: 0 < level <= 1, "a number in (0, 1]")


def _usage(name: str) -> str:
    parameters: Sequence[inspect.Parameter] = [
        p for p in inspect.signature(OBJECTIVES[name]).parameters.values() if p.kind != p.KEYWORD_ONLY
    ]
    shown = [f"{p.name}, ..." if p.kind == p.VAR_POSITIONAL else p.name for p in parameters]
    return f"{name}({', '.join(shown)})" if shown else name
