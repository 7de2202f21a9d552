"""The best policy, or the value of a given one, from the data of others: AlgaeDICE, on tables and networks."""

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, PyTree, config, require, require_known
from jaxrl_sparse.density_ratio.dice import FORMS, discount_for, network_for, require_below_one, signed_ratio
from jaxrl_sparse.density_ratio.dice_losses import algae_dice_loss, algae_dice_saddle, discounts, power_pair
from jaxrl_sparse.density_ratio.saddle_points import (
    DiceState,
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
from jaxrl_sparse.networks.distributions import categorical_of
from jaxrl_sparse.networks.feedforward import Network


@config
class AlgaeDiceConfig:
    """Configuration of `algae_dice`.

    Attributes:
      solver: see `SaddlePointConfig`; its discount below 1.
      alpha: above 0, in the reward's unit: what the policy pays for leaving the data, `alpha E_D[f(w)]`.
      exponent: p of `f(x) = |x|^p / p`.
      form: "saddle", or "primal", which has no ratio of its own, and is biased where next states are random.
      policy_rate: Adam's, of the policy, where it is learnt.
    """

    solver: SaddlePointConfig = SaddlePointConfig(descent_rate=1e-2, ascent_rate=1e-2)
    alpha: float = 0.1
    exponent: float = 2.0
    form: str = "saddle"
    policy_rate: float = 3e-3


def algae_dice(
    config: AlgaeDiceConfig,
    data: TransitionData,
    mdp: FiniteMDP | None,
    policy: Array | Policy | None = None,
    network: Network | None = None,
) -> Algorithm:
    """AlgaeDICE as an algorithm: a policy that is learnt from anybody's transitions, or its evaluation.

        max over policies of  E_{d^pi}[r] - alpha E_D[f(d^pi / d^D)]

    One update does gradient steps on `algae_dice_saddle`, or `algae_dice_loss`; the gradient of the policy goes through
    its means of nu, and no action is drawn. The metrics are those of `saddle_point`, of the policy as it then is:
    `value_estimate` is its `E_D[w r]`, `value` in `evaluate` what it is truly worth. The ratio is 1 at first, and all
    actions equally likely.

    Args:
      config: see `AlgaeDiceConfig`.
      data: what was collected.
      mdp: see `saddle_point`.
      policy: None to learn one, a softmax; else the target: `[S, A]`, or `policy(observations[B, ...]) -> [B, A]`.
      network: from observations to `[B, A]`, for nu, and with other parameters for the ratio and the policy's logits;
        None for tables.

    Raises:
      ValueError: naming the field, if a number is out of range; if a table is asked for and neither a policy's table
        nor an MDP is there to say how large; if there is no discount, or it is not below 1.

    Source: Nachum, Dai, Kostrikov, Chow, Li and Schuurmans, "AlgaeDICE: Policy Gradient from Arbitrary Experience"
    (2019).
    """
    require_known("form", config.form, FORMS, FORMS)
    require("alpha", config.alpha, lambda alpha: alpha > 0, "a number above 0")
    require("policy_rate", config.policy_rate, lambda rate: rate > 0, "a number above 0")
    pair = power_pair(config.exponent)
    discount = discount_for(config.solver, mdp)
    require_below_one(discount)
    network = _network(network, policy, mdp)
    is_primal, learns = config.form == "primal", policy is None

    def init(key: PRNGKeyArray) -> Players:
        keys = jax.random.split(key, 3)
        nu, ratio, logits = (network.init(network_key, data.observations) for network_key in keys)
        ascending = {} if is_primal else {"zeta": ratio}
        return Players(nu, {**ascending, "policy": logits} if learns else ascending)

    def policy_of(players: Players) -> Policy:
        if policy is not None:
            return as_policy(policy)
        return softmax_policy(network, players.ascending["policy"])

    def ratios(players: Players, data: TransitionData) -> Float[Array, "N"]:
        if not is_primal:
            return chosen(signed_ratio(network, players.ascending["zeta"], data.observations), data.actions)
        nu_tm1, nu_t, _ = time_indexed_values(network, players.descending, policy_of(players), data)
        following = discounts(data.terminated, discount) * nu_t
        return pair.conjugate_derivative((data.rewards + following - nu_tm1) / config.alpha)

    def objective(players: Players, data: TransitionData) -> Float[Array, ""]:
        nu_tm1, nu_t, nu_0 = time_indexed_values(network, players.descending, policy_of(players), data)
        values = nu_tm1, nu_t, data.rewards, discounts(data.terminated, discount), nu_0
        known = discount, config.alpha, pair, data.weights, data.initial_weights
        if is_primal:
            return algae_dice_loss(*values, *known)
        return algae_dice_saddle(ratios(players, data), *values, *known)

    ascending = {} if is_primal else {"zeta": config.solver.ascent_rate}
    rates = Players(config.solver.descent_rate, {**ascending, "policy": config.policy_rate} if learns else ascending)
    return saddle_point(config.solver, Game(init, objective, ratios, policy_of, rates), data, mdp, discount)


def softmax_policy(network: Network, params: PyTree) -> Policy:
    """Probabilities of actions in proportion to the exponentials of a network's outputs.

    Args:
      network: from observations to logits `[B, A]`.
      params: its own.
    """
    return lambda observations: categorical_of(network.apply(params, observations)).probs


def learnt_policy(state: DiceState, network: Network) -> Policy:
    """The policy that `algae_dice` has learnt, of the averaged parameters, as a function of observations.

    Args:
      state: of `algae_dice` without a policy.
      network: that of the algorithm; `table(S, A)` where it was given none.
    """
    return softmax_policy(network, state.average.ascending["policy"])


def _network(network: Network | None, policy: Array | Policy | None, mdp: FiniteMDP | None) -> Network:
    if network is not None:
        return network
    if policy is not None:
        return network_for(None, policy)
    require("network", None, lambda _: mdp is not None, "a network, where there is neither a policy nor an MDP")
    assert mdp is not None
    return table(mdp.num_states, mdp.num_actions)
