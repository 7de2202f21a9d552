"""What a policy is worth, from the data of others: DualDICE and GenDICE as algorithms, on tables and networks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, PyTree, RewardTransformation, Trajectory, config, require, require_known
from jaxrl_sparse.density_ratio.dice_losses import (
    discounts,
    dual_dice_loss,
    dual_dice_saddle,
    gen_dice_saddle,
    occupied_mass,
    power_pair,
)
from jaxrl_sparse.density_ratio.saddle_points import (
    Game,
    Players,
    Policy,
    SaddlePointConfig,
    as_policy,
    chosen,
    saddle_point,
    table,
    time_indexed_values,
)
from jaxrl_sparse.density_ratio.transition_data import TransitionData
from jaxrl_sparse.finite import FiniteMDP
from jaxrl_sparse.networks.feedforward import Network
from jaxrl_sparse.rewards.algebra import stateless

FORMS = ("saddle", "primal")
POSITIVE = ("softplus", "square")


@config
class DualDiceConfig:
    """Configuration of `dual_dice`.

    Attributes:
      solver: see `SaddlePointConfig`; its discount below 1.
      exponent: p of `f(x) = |x|^p / p`. With 2 the game is strongly concave in the ratio everywhere, and is solved
        the soonest; with 1.5 its curvature vanishes where the ratio does.
      form: "saddle", or "primal", which has no second player, and is biased where next states are random.
    """

    solver: SaddlePointConfig = SaddlePointConfig()
    exponent: float = 2.0
    form: str = "saddle"


@config
class GenDiceConfig:
    """Configuration of `gen_dice`.

    Attributes:
      solver: see `SaddlePointConfig`; its discount may be 1.
      normalization: lambda, above 0, of the ratios' mean being 1.
      positive: what makes a network's outputs ratios: "softplus", `log(1 + (e - 1) exp(x))`, or "square", `(1 + x)^2`.
    """

    solver: SaddlePointConfig = SaddlePointConfig()
    normalization: float = 1.0
    positive: str = "softplus"


def dual_dice(
    config: DualDiceConfig,
    data: TransitionData,
    mdp: FiniteMDP | None,
    policy: Array | Policy,
    network: Network | None = None,
) -> Algorithm:
    """DualDICE as an algorithm: density ratios of a policy, and its value, from anybody's transitions.

    One update does gradient steps on `dual_dice_saddle`, or `dual_dice_loss`; metrics are those of `saddle_point`. The
    ratio is 1 at first, and not kept from being negative.

    Args:
      config: see `DualDiceConfig`.
      data: what was collected.
      mdp: see `saddle_point`.
      policy: the target: `[S, A]`, or `policy(observations[B, ...]) -> [B, A]`, probabilities of actions.
      network: from observations to `[B, A]`, for nu, and with other parameters for the ratio; None for tables.

    Raises:
      ValueError: naming the field, if a number is out of range; if a table is asked for without a policy's table; if
        there is no discount, or it is not below 1.

    Source: Nachum, Chow, Dai and Li, "DualDICE: Behavior-Agnostic Estimation of Discounted Stationary Distribution
    Corrections" (NeurIPS 2019).
    """
    require_known("form", config.form, FORMS, FORMS)
    pair = power_pair(config.exponent)
    discount = discount_for(config.solver, mdp)
    require_below_one(discount)
    network = network_for(network, policy)
    act = as_policy(policy)
    is_primal = config.form == "primal"

    def init(key: PRNGKeyArray) -> Players:
        nu_key, ratio_key = jax.random.split(key)
        nu = network.init(nu_key, data.observations)
        return Players(nu, () if is_primal else network.init(ratio_key, data.observations))

    def ratios(players: Players, data: TransitionData) -> Float[Array, "N"]:
        if not is_primal:
            return chosen(signed_ratio(network, players.ascending, data.observations), data.actions)
        nu_tm1, nu_t, _ = time_indexed_values(network, players.descending, act, data)
        return pair.derivative(nu_tm1 - discounts(data.terminated, discount) * nu_t)

    def objective(players: Players, data: TransitionData) -> Float[Array, ""]:
        nu_tm1, nu_t, nu_0 = time_indexed_values(network, players.descending, act, data)
        known = discounts(data.terminated, discount), nu_0, discount, pair, data.weights, data.initial_weights
        if is_primal:
            return dual_dice_loss(nu_tm1, nu_t, *known)
        return dual_dice_saddle(ratios(players, data), nu_tm1, nu_t, *known)

    rates = Players(config.solver.descent_rate, config.solver.ascent_rate)
    if is_primal:
        rates = rates._replace(ascending=())
    return saddle_point(config.solver, Game(init, objective, ratios, lambda _: act, rates), data, mdp, discount)


def gen_dice(
    config: GenDiceConfig,
    data: TransitionData,
    mdp: FiniteMDP | None,
    policy: Array | Policy,
    network: Network | None = None,
) -> Algorithm:
    """GenDICE as an algorithm: as `dual_dice`, with ratios that are not negative, and also for the discount 1.

    There the ratio is that of the stationary distribution, which must be one, and the value the mean reward per step.
    One update does gradient steps on `gen_dice_saddle`; metrics are those of `saddle_point`. The ratio is 1 at first.

    Args:
      config: see `GenDiceConfig`.
      data: what was collected.
      mdp: see `saddle_point`.
      policy: the target: `[S, A]`, or `policy(observations[B, ...]) -> [B, A]`, probabilities of actions.
      network: from observations to `[B, A]`, for the ratio, and with other parameters for f; None for tables.

    Raises:
      ValueError: naming the field, if a number is out of range; if a table is asked for without a policy's table; if
        there is no discount; if it is 1 and a transition ended its episode.

    Source: Zhang, Dai, Li and Schuurmans, "GenDICE: Generalized Offline Estimation of Stationary Values" (ICLR 2020).
    """
    require_known("positive", config.positive, POSITIVE, POSITIVE)
    require("normalization", config.normalization, lambda factor: factor > 0, "a number above 0")
    discount = discount_for(config.solver, mdp)
    require("discount", discount, lambda gamma: 0 <= float(gamma) <= 1, "a number in [0, 1]")
    takes = "a number below 1, where episodes end"
    require(
        "discount", (discount, data.terminated), lambda pair: float(pair[0]) < 1 or not np.asarray(pair[1]).any(), takes
    )
    network = network_for(network, policy)
    act = as_policy(policy)

    def init(key: PRNGKeyArray) -> Players:
        ratio_key, test_key = jax.random.split(key)
        test = {"f": network.init(test_key, data.observations), "u": jnp.zeros((), data.weights.dtype)}
        return Players(network.init(ratio_key, data.observations), test)

    def ratios(players: Players, data: TransitionData) -> Float[Array, "N"]:
        return chosen(positive_ratio(network, players.descending, data.observations, config.positive), data.actions)

    def objective(players: Players, data: TransitionData) -> Float[Array, ""]:
        f_tm1, f_t, f_0 = time_indexed_values(network, players.ascending["f"], act, data)
        return gen_dice_saddle(
            ratios(players, data),
            f_tm1,
            f_t,
            discounts(data.terminated, discount),
            f_0,
            players.ascending["u"],
            discount,
            config.normalization,
            occupied_mass(data.terminated, discount),
            data.weights,
            data.initial_weights,
        )

    rates = Players(config.solver.descent_rate, config.solver.ascent_rate)
    return saddle_point(config.solver, Game(init, objective, ratios, lambda _: act, rates), data, mdp, discount)


def signed_ratio(network: Network, params: PyTree, observations: PyTree) -> Float[Array, "B A"]:
    """The ratio of `dual_dice` and `algae_dice` from a network's outputs x: `1 + x`.

    Args:
      network: that of the algorithm; `table(S, A)` where it was given none.
      params: `state.average.ascending` of `dual_dice`, in it `["zeta"]` of `algae_dice`.
      observations: `[B, ...]`.
    """
    return 1 + network.apply(params, observations)


def positive_ratio(
    network: Network, params: PyTree, observations: PyTree, positive: str = "softplus"
) -> Float[Array, "B A"]:
    """The ratio of `gen_dice` from a network's outputs; see `GenDiceConfig.positive`.

    Args:
      network: that of the algorithm; `table(S, A)` where it was given none.
      params: `state.average.descending`.
      observations: `[B, ...]`.
      positive: "softplus" or "square".
    """
    outputs = network.apply(params, observations)
    if positive == "square":
        return jnp.square(1 + outputs)
    return jax.nn.softplus(outputs + math.log(math.e - 1))


def density_weighted(ratio: Array) -> RewardTransformation:
    """`w(s, a) r`: rewards of somebody else's experience whose mean over it is the policy's value, `E_D[w r]`.

    Args:
      ratio: `[S, A]`, w, such as `signed_ratio` of all states; of trajectories whose observations are their numbers.
    """

    def weigh(trajectory: Trajectory) -> Float[Array, "T B"]:
        return ratio[trajectory.observations, trajectory.actions] * trajectory.rewards

    return stateless(weigh)


def discount_for(solver: SaddlePointConfig, mdp: FiniteMDP | None) -> float | Array:
    """The configuration's discount, or the MDP's.

    Raises:
      ValueError: if there is neither.
    """
    if solver.discount is not None:
        return solver.discount
    require("discount", None, lambda _: mdp is not None, "a number, where no MDP is given")
    assert mdp is not None
    return mdp.discount


def require_below_one(discount: float | Array) -> None:
    """Refuses a discount that leaves no occupancy to estimate."""
    require("discount", discount, lambda gamma: 0 <= float(gamma) < 1, "a number in [0, 1); gen_dice takes 1")


def network_for(network: Network | None, policy: Array | Policy) -> Network:
    """The network, or a table of the policy's shape.

    Raises:
      ValueError: if there is neither.
    """
    if network is not None:
        return network
    takes = "a network, where the policy is no table [S, A]"
    require("network", None, lambda _: not callable(policy) and policy.ndim == 2, takes)
    assert not callable(policy)
    return table(*policy.shape)
