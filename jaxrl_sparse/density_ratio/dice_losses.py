"""Stationary distribution corrections as saddle points: the losses of DualDICE, GenDICE and AlgaeDICE, on arrays.

All of them find `w = d / d^D`, how much more often a policy is at a state and an action than the data is, and never ask
with what probability the data's policy acted. They rest on one fact: w d^D is the occupancy of the policy exactly where

    F(w, v) = (1 - gamma) E_0[v(s_0, a_0)] + E_D[w(s, a) (gamma v(s', a') - v(s, a))] = 0     for every function v

(`flow_gap`), with a_0 and a' drawn by the policy. The functions here take the values of v and w, not the functions:

- `*_tm1`: `[N]`, at the state and the action of a transition of the data;
- `*_t`: `[N]`, at the state that followed, an action drawn by the policy, or, better, in the mean over its actions;
- `*_0`: `[M]`, at a first state of an episode, in the same way;
- `discount_t`: `[N]`, gamma, and 0 where the transition ended its episode; see `discounts`. A time limit ends nothing.

`E_D` is the mean over transitions, or the sum under `weights` `[N]`, which sum to one; `E_0` likewise with
`initial_weights` `[M]`. Differentiate them and step: nothing in here stops a gradient.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrl_sparse.base import require


class ConvexPair(NamedTuple):
    """A convex function f and its conjugate `f*(y) = max over x of x y - f(x)`, elementwise, with their derivatives.

    Each derivative is the inverse of the other, and names the x, or the y, of the maximum.

    Attributes:
      function: f.
      derivative: f'.
      conjugate: f*.
      conjugate_derivative: f*'.
    """

    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    conjugate: Callable[[Array], Array]
    conjugate_derivative: Callable[[Array], Array]


def power_pair(exponent: float | Array) -> ConvexPair:
    """`f(x) = |x|^p / p` and `f*(y) = |y|^q / q`, with `1 / p + 1 / q = 1`.

    p = 2 is half a square, which is its own conjugate; p = 1.5 has `f*(y) = |y|^3 / 3`.

    Args:
      exponent: p, above 1.

    Raises:
      ValueError: if it is not above 1.
    """
    require("exponent", exponent, lambda p: float(p) > 1, "a number above 1")
    conjugate_exponent = exponent / (exponent - 1)

    def power(x: Array, p: float | Array) -> Array:
        return jnp.abs(x) ** p / p

    def power_derivative(x: Array, p: float | Array) -> Array:
        return jnp.sign(x) * jnp.abs(x) ** (p - 1)

    return ConvexPair(
        lambda x: power(x, exponent),
        lambda x: power_derivative(x, exponent),
        lambda y: power(y, conjugate_exponent),
        lambda y: power_derivative(y, conjugate_exponent),
    )


def discounts(terminated: Bool[Array, "N"], discount: float | Array) -> Float[Array, "N"]:
    """`discount_t` of all losses: gamma, and 0 where the task ended by itself, after which nothing has any value.

    Args:
      terminated: `[N]`; false where a time limit cut the episode.
      discount: gamma in [0, 1].
    """
    return jnp.where(terminated, 0.0, discount)


def occupied_mass(terminated: Bool[Array, "N"], discount: float | Array) -> Float[Array, "N"]:
    """`m` with `E_D[w m] = 1`: 1, and `1 / (1 - gamma)` where the episode ended.

    The occupancy of a policy sums to one over all states, of which the data holds none that is terminal. Whatever
    enters these stays there: `gamma / (1 - gamma)` times what entered them. With gamma 1 a policy that ends has no
    stationary distribution but that, and m is infinite.

    Args:
      terminated: `[N]`.
      discount: gamma in [0, 1].
    """
    return jnp.where(terminated, 1 / (1 - jnp.asarray(discount)), 1.0)


def flow_gap(
    ratio_tm1: Float[Array, "N"],
    value_tm1: Float[Array, "N"],
    value_t: Float[Array, "N"],
    discount_t: Float[Array, "N"],
    value_0: Float[Array, "M"],
    discount: float | Array,
    weights: Float[Array, "N"] | None = None,
    initial_weights: Float[Array, "M"] | None = None,
) -> Float[Array, ""]:
    """`(1 - gamma) E_0[v_0] + E_D[w (gamma v' - v)]`: what the test function v sees of w's not being the right ratio.

    It is zero for every v exactly if `w d^D` is the normalised discounted occupancy of the policy, on all states that
    are not terminal.

    Args:
      ratio_tm1: `[N]`, w.
      value_tm1: `[N]`, v.
      value_t: `[N]`.
      discount_t: `[N]`.
      value_0: `[M]`.
      discount: gamma in [0, 1].
      weights: `[N]`, of transitions, summing to one; None for equal ones.
      initial_weights: `[M]`, of first states; None for equal ones.
    """
    first = (1 - discount) * _mean(value_0, initial_weights)
    return first + _mean(ratio_tm1 * (discount_t * value_t - value_tm1), weights)


def dual_dice_loss(
    nu_tm1: Float[Array, "N"],
    nu_t: Float[Array, "N"],
    discount_t: Float[Array, "N"],
    nu_0: Float[Array, "M"],
    discount: float | Array,
    pair: ConvexPair,
    weights: Float[Array, "N"] | None = None,
    initial_weights: Float[Array, "M"] | None = None,
) -> Float[Array, ""]:
    """DualDICE without its dual: `E_D[f(nu - gamma nu')] - (1 - gamma) E_0[nu_0]`, which nu minimises.

    At the minimum `w = f'(nu - gamma nu')`. Where the next state is random the expectation of nu' belongs inside of f:
    with a single draw of it the loss is another one, and the ratio biased; `dual_dice_saddle` is not.

    Args:
      nu_tm1: `[N]`.
      nu_t: `[N]`.
      discount_t: `[N]`.
      nu_0: `[M]`.
      discount: gamma in [0, 1).
      pair: f and f*.
      weights: `[N]`, of transitions, summing to one; None for equal ones.
      initial_weights: `[M]`, of first states; None for equal ones.

    Source: Nachum, Chow, Dai and Li, "DualDICE: Behavior-Agnostic Estimation of Discounted Stationary Distribution
    Corrections" (NeurIPS 2019).
    """
    residual = nu_tm1 - discount_t * nu_t
    return _mean(pair.function(residual), weights) - (1 - discount) * _mean(nu_0, initial_weights)


def dual_dice_saddle(
    zeta_tm1: Float[Array, "N"],
    nu_tm1: Float[Array, "N"],
    nu_t: Float[Array, "N"],
    discount_t: Float[Array, "N"],
    nu_0: Float[Array, "M"],
    discount: float | Array,
    pair: ConvexPair,
    weights: Float[Array, "N"] | None = None,
    initial_weights: Float[Array, "M"] | None = None,
) -> Float[Array, ""]:
    """DualDICE: `E_D[(nu - gamma nu') zeta - f*(zeta)] - (1 - gamma) E_0[nu_0]`, min over nu and max over zeta.

    It is `-F(zeta, nu) - E_D[f*(zeta)]`; at the saddle point zeta is the ratio w, for any f, and any law of nu'.

    Args:
      zeta_tm1: `[N]`.
      nu_tm1: `[N]`.
      nu_t: `[N]`.
      discount_t: `[N]`.
      nu_0: `[M]`.
      discount: gamma in [0, 1).
      pair: f and f*.
      weights: `[N]`, of transitions, summing to one; None for equal ones.
      initial_weights: `[M]`, of first states; None for equal ones.

    Source: Nachum, Chow, Dai and Li (NeurIPS 2019).
    """
    gap = flow_gap(zeta_tm1, nu_tm1, nu_t, discount_t, nu_0, discount, weights, initial_weights)
    return -gap - _mean(pair.conjugate(zeta_tm1), weights)


def gen_dice_saddle(
    w_tm1: Float[Array, "N"],
    f_tm1: Float[Array, "N"],
    f_t: Float[Array, "N"],
    discount_t: Float[Array, "N"],
    f_0: Float[Array, "M"],
    u: Float[Array, ""],
    discount: float | Array,
    normalization: float | Array = 1.0,
    mass_tm1: Float[Array, "N"] | float = 1.0,
    weights: Float[Array, "N"] | None = None,
    initial_weights: Float[Array, "M"] | None = None,
) -> Float[Array, ""]:
    """GenDICE: `F(w, f) - E_D[w f^2 / 4] + lambda (E_D[w m] u - u - u^2 / 2)`, min over w >= 0 and max over f and u.

    The maximum over f is the chi-square divergence of the two sides of the flow of w d^D, that over u is
    `(E_D[w m] - 1)^2 / 2`; without it w = 0 would do where gamma is 1. There `w d^D` is the stationary distribution.

    Args:
      w_tm1: `[N]`, not negative.
      f_tm1: `[N]`.
      f_t: `[N]`.
      discount_t: `[N]`.
      f_0: `[M]`.
      u: a scalar.
      discount: gamma in [0, 1].
      normalization: lambda, above 0.
      mass_tm1: `[N]`, m, see `occupied_mass`; 1 where no episode ends.
      weights: `[N]`, of transitions, summing to one; None for equal ones.
      initial_weights: `[M]`, of first states; None for equal ones.

    Source: Zhang, Dai, Li and Schuurmans, "GenDICE: Generalized Offline Estimation of Stationary Values" (ICLR 2020);
    m, for episodes that end, is ours.
    """
    gap = flow_gap(w_tm1, f_tm1, f_t, discount_t, f_0, discount, weights, initial_weights)
    curvature = _mean(w_tm1 * f_tm1**2, weights) / 4
    mass = _mean(w_tm1 * mass_tm1, weights)
    return gap - curvature + normalization * (u * (mass - 1) - u**2 / 2)


def algae_dice_loss(
    nu_tm1: Float[Array, "N"],
    nu_t: Float[Array, "N"],
    rewards: Float[Array, "N"],
    discount_t: Float[Array, "N"],
    nu_0: Float[Array, "M"],
    discount: float | Array,
    alpha: float | Array,
    pair: ConvexPair,
    weights: Float[Array, "N"] | None = None,
    initial_weights: Float[Array, "M"] | None = None,
) -> Float[Array, ""]:
    """AlgaeDICE: `(1 - gamma) E_0[nu_0] + alpha E_D[f*((r + gamma nu' - nu) / alpha)]`, min over nu, max over policies.

    For a policy the minimum is `E_d[r] - alpha E_D[f(w)]`, its value less how far it leaves the data; there
    `w = f*'((r + gamma nu' - nu) / alpha)`. It depends on the policy by nu' and nu_0, means over the policy's actions,
    which are to be differentiated. As in `dual_dice_loss`, a single draw of a random next state makes another loss.

    Args:
      nu_tm1: `[N]`, in the unit of returns.
      nu_t: `[N]`.
      rewards: `[N]`.
      discount_t: `[N]`.
      nu_0: `[M]`.
      discount: gamma in [0, 1).
      alpha: above 0, in the reward's unit.
      pair: f and f*.
      weights: `[N]`, of transitions, summing to one; None for equal ones.
      initial_weights: `[M]`, of first states; None for equal ones.

    Source: Nachum, Dai, Kostrikov, Chow, Li and Schuurmans, "AlgaeDICE: Policy Gradient from Arbitrary Experience"
    (2019).
    """
    residual = (rewards + discount_t * nu_t - nu_tm1) / alpha
    first = (1 - discount) * _mean(nu_0, initial_weights)
    return first + alpha * _mean(pair.conjugate(residual), weights)


def algae_dice_saddle(
    zeta_tm1: Float[Array, "N"],
    nu_tm1: Float[Array, "N"],
    nu_t: Float[Array, "N"],
    rewards: Float[Array, "N"],
    discount_t: Float[Array, "N"],
    nu_0: Float[Array, "M"],
    discount: float | Array,
    alpha: float | Array,
    pair: ConvexPair,
    weights: Float[Array, "N"] | None = None,
    initial_weights: Float[Array, "M"] | None = None,
) -> Float[Array, ""]:
    """AlgaeDICE with the dual of f*: `E_D[zeta r] + F(zeta, nu) - alpha E_D[f(zeta)]`, min over nu, max over the rest.

    At the saddle point zeta is the ratio w of the policy, for any law of nu'. The policy maximises the same number, by
    nu' and nu_0.

    Args:
      zeta_tm1: `[N]`.
      nu_tm1: `[N]`, in the unit of returns.
      nu_t: `[N]`.
      rewards: `[N]`.
      discount_t: `[N]`.
      nu_0: `[M]`.
      discount: gamma in [0, 1).
      alpha: above 0, in the reward's unit.
      pair: f and f*.
      weights: `[N]`, of transitions, summing to one; None for equal ones.
      initial_weights: `[M]`, of first states; None for equal ones.

    Source: Nachum, Dai, Kostrikov, Chow, Li and Schuurmans (2019).
    """
    gap = flow_gap(zeta_tm1, nu_tm1, nu_t, discount_t, nu_0, discount, weights, initial_weights)
    return gap + _mean(zeta_tm1 * rewards - alpha * pair.function(zeta_tm1), weights)


def _mean(values: Float[Array, "N"], weights: Float[Array, "N"] | None) -> Float[Array, ""]:
    return jnp.mean(values) if weights is None else jnp.sum(weights * values)
