"""Saddle points by stochastic gradient descent and ascent, as an algorithm: what all of DICE have in common."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import ENVIRONMENT_STEPS, Algorithm, Metrics, PyTree, config, is_count, require
from jaxrl_sparse.density_ratio.dice_losses import occupied_mass
from jaxrl_sparse.density_ratio.transition_data import TransitionData, draw, policy_occupancy
from jaxrl_sparse.finite import FiniteMDP, effective_sample_size, expected_rewards
from jaxrl_sparse.networks.feedforward import Network

Policy = Callable[[PyTree], Float[Array, "B A"]]


@config
class SaddlePointConfig:
    """How a saddle point is approached.

    Attributes:
      num_gradient_steps: of an update; each moves both players at once.
      batch_size: transitions, and first states, that are drawn for a gradient step, in proportion to their weights;
        None for all of them, with their weights, in every step.
      descent_rate: Adam's, of what minimises; for tables as it is, for networks some 1e-3.
      ascent_rate: Adam's, of what maximises; likewise.
      momentum: Adam's decay of first moments, in [0, 1). Two players with momentum circle for longer.
      averaging: in (0, 1], the share of a step's players in the running average that estimates are made of. The
        players circle around a saddle point, and follow the noise of batches; 1 for the last players themselves.
      discount: gamma; None for that of the MDP.
    """

    num_gradient_steps: int = 100
    batch_size: int | None = 256
    descent_rate: float = 3e-2
    ascent_rate: float = 3e-2
    momentum: float = 0.0
    averaging: float = 1e-2
    discount: float | None = None


class Players(NamedTuple):
    """Parameters of the two sides of a game.

    Attributes:
      descending: of what minimises.
      ascending: of what maximises; may be empty.
    """

    descending: PyTree
    ascending: PyTree


class Game(NamedTuple):
    """What is approached: a saddle point, and what it says of the policy.

    Attributes:
      init: `init(key) -> Players`.
      objective: `objective(players, data) -> scalar`, the expectation over the data's weights.
      ratios: `ratios(players, data) -> [N]`, w of each transition.
      policy: `policy(players) -> (observations [B, ...] -> [B, A])`, probabilities of actions.
      rates: `Players` of learning rates, a tree prefix of those of `init`.
    """

    init: Callable[[PRNGKeyArray], Players]
    objective: Callable[[Players, TransitionData], Float[Array, ""]]
    ratios: Callable[[Players, TransitionData], Float[Array, "N"]]
    policy: Callable[[Players], Policy]
    rates: Players


class DiceState(NamedTuple):
    """What changes in `dual_dice`, `gen_dice` and `algae_dice`.

    Attributes:
      key: for the batches to come.
      players: after the last gradient step.
      optimizer_state: Adam's.
      average: the running average of the players.
    """

    key: PRNGKeyArray
    players: Players
    optimizer_state: PyTree
    average: Players


def saddle_point(
    config: SaddlePointConfig, game: Game, data: TransitionData, mdp: FiniteMDP | None, discount: float | Array
) -> Algorithm:
    """Gradient descent and ascent on a game over data, as an algorithm.

    The metrics of an update: `environment_steps`, transitions taken from the data, `num_gradient_steps` times
    `batch_size`, or times all of them: nothing is stepped, and none is new; `objective`, its mean over the gradient
    steps; and of the averaged players, over all of the data, `value_estimate`, `E_D[w r]`, which is
    `(1 - gamma) V^pi` or, with gamma 1, the mean reward per step; `mean_weight`, `E_D[w m]`, 1 at the solution, see
    `occupied_mass`; `effective_sample_size`, how many transitions of equal weight the weights are worth, of N.

    `evaluate` is exact, and gives these again, without costs and objective; with an MDP also `value`, what
    `value_estimate` should be; `value_error`, their distance; and `weight_error`, the sum over s and a of
    `|d^D w - d^pi|`, d^D the data's own shares: from 0 to 2 for weights of mean 1, and never 0 where the data misses
    what the policy does.

    Where the data misses a state and an action that the policy gets to from what the data holds, a table's game has no
    saddle point: the test function grows there without end, and the ratios of all that leads there shrink. A
    `mean_weight` well below 1 tells of it; small samples are such data.

    Args:
      config: see `SaddlePointConfig`.
      game: what is approached.
      data: with an MDP, observations are numbers of states.
      mdp: what the data was drawn from, for `evaluate` alone; None where nobody knows.
      discount: gamma.

    Raises:
      ValueError: naming the field, if a number is out of range.
    """
    _check(config)
    adam = optax.scale_by_adam(b1=config.momentum)

    def init(key: PRNGKeyArray) -> DiceState:
        key, players_key = jax.random.split(key)
        players = game.init(players_key)
        # Arrays of their own: a state whose leaves share buffers cannot be donated.
        return DiceState(key, players, adam.init(players), jax.tree.map(jnp.copy, players))

    def gradient_step(carry, batch):
        players, optimizer_state, average = carry
        objective, (down, up) = jax.value_and_grad(game.objective)(players, _rows(data, batch))
        gradients = Players(down, jax.tree.map(jnp.negative, up))
        directions, optimizer_state = adam.update(gradients, optimizer_state)
        steps = jax.tree.map(
            lambda rate, player: jax.tree.map(lambda leaf: -rate * leaf, player), game.rates, directions
        )
        players: Players = optax.apply_updates(players, steps)  # pyright: ignore[reportAssignmentType]
        average: Players = optax.incremental_update(players, average, config.averaging)  # pyright: ignore
        return (players, optimizer_state, average), objective

    def update(state: DiceState, step: Int[Array, ""]) -> tuple[DiceState, Metrics]:
        del step
        key, batches = state.key, None
        if config.batch_size is not None:
            key, rows_key, first_key = jax.random.split(key, 3)
            shape = (config.num_gradient_steps, config.batch_size)
            batches = draw(rows_key, data.weights, shape), draw(first_key, data.initial_weights, shape)
        start = state.players, state.optimizer_state, state.average
        end, objectives = jax.lax.scan(gradient_step, start, batches, length=config.num_gradient_steps)
        metrics = {
            ENVIRONMENT_STEPS: jnp.int32(transitions_per_update(config, data)),
            "objective": jnp.mean(objectives),
            **estimates(game.ratios(end[2], data), data, discount),
        }
        return DiceState(key, *end), metrics

    def evaluate(state: DiceState, key: PRNGKeyArray) -> Metrics:
        del key
        weights = game.ratios(state.average, data)
        estimated = estimates(weights, data, discount)
        if mdp is None:
            return estimated
        policy = game.policy(state.average)(jnp.arange(mdp.num_states, dtype=jnp.int32))
        return {**estimated, **exact_errors(weights, data, mdp, policy, discount)}

    return Algorithm(init, update, evaluate)


def transitions_per_update(config: SaddlePointConfig, data: TransitionData) -> int:
    """What an update takes from the data: its metric `environment_steps`, and the smallest budget of a run."""
    size = data.actions.shape[0] if config.batch_size is None else config.batch_size
    return config.num_gradient_steps * size


def estimates(weights: Float[Array, "N"], data: TransitionData, discount: float | Array) -> Metrics:
    """What ratios say of the policy; see `saddle_point`.

    Args:
      weights: `[N]`, w of each transition.
      data: of N.
      discount: gamma.
    """
    mass = occupied_mass(data.terminated, discount)
    return {
        "value_estimate": jnp.sum(data.weights * weights * data.rewards),
        "mean_weight": jnp.sum(data.weights * weights * mass),
        "effective_sample_size": effective_sample_size(data.weights * weights),
    }


def exact_errors(
    weights: Float[Array, "N"],
    data: TransitionData,
    mdp: FiniteMDP,
    policy: Float[Array, "S A"],
    discount: float | Array,
) -> Metrics:
    """How wrong ratios are; see `saddle_point`.

    Args:
      weights: `[N]`, w of each transition.
      data: of N, of a finite MDP.
      mdp: what it was drawn from.
      policy: `[S, A]`, whose ratios they should be.
      discount: gamma.
    """
    occupancy = policy_occupancy(mdp, policy, discount)
    # A terminal state pays nothing, whatever its own rows say; it has no occupancy here.
    value = jnp.sum(occupancy * expected_rewards(mdp))
    estimated = jnp.zeros_like(occupancy).at[data.observations, data.actions].add(data.weights * weights)
    estimate = jnp.sum(data.weights * weights * data.rewards)
    return {
        "value": value,
        "value_error": jnp.abs(estimate - value),
        "weight_error": jnp.sum(jnp.abs(estimated - occupancy)),
    }


def table(num_states: int, num_actions: int) -> Network:
    """A number for each state and action, zero at first, as a network whose inputs are numbers of states.

    Args:
      num_states: S.
      num_actions: A.
    """

    def init(key: PRNGKeyArray, inputs: PyTree) -> Float[Array, "S A"]:
        del key, inputs
        return jnp.zeros((num_states, num_actions))

    return Network(init, lambda params, states: params[states])


def on_features(network: Network, features: Float[Array, "S F"]) -> Network:
    """A network that is shown the features of states, as one whose inputs are their numbers.

    Args:
      network: from features `[B, F]`.
      features: `[S, F]`, such as one-hot rows, `jnp.eye(S)`.
    """
    return Network(
        lambda key, states: network.init(key, features[states]),
        lambda params, states: network.apply(params, features[states]),
    )


def as_policy(policy: Array | Policy) -> Policy:
    """A policy as a function of observations; a table `[S, A]` is one of numbers of states."""
    return policy if callable(policy) else lambda states: policy[states]


def chosen(values: Float[Array, "B A"], actions: Int[Array, "B"]) -> Float[Array, "B"]:
    """The values of the actions that were taken."""
    return jnp.take_along_axis(values, actions[:, None], axis=1)[:, 0]


def time_indexed_values(
    network: Network, params: PyTree, policy: Policy, data: TransitionData
) -> tuple[Float[Array, "N"], Float[Array, "N"], Float[Array, "M"]]:
    """`v_tm1`, `v_t` and `v_0` of a function of observations and actions, for the losses of DICE.

    The last two are means over the policy's actions, so that nothing needs to be drawn.
    """

    def mean(observations: PyTree) -> Array:
        return jnp.sum(policy(observations) * network.apply(params, observations), axis=-1)

    taken = chosen(network.apply(params, data.observations), data.actions)
    return taken, mean(data.next_observations), mean(data.initial_observations)


def _rows(data: TransitionData, batch: tuple[Array, Array] | None) -> TransitionData:
    """The data itself, or a batch of it, which was drawn in proportion to the weights and has equal ones."""
    if batch is None:
        return data
    rows, first_rows = batch
    taken = jax.tree.map(lambda leaf: leaf[rows], data._replace(initial_observations=(), initial_weights=()))
    return taken._replace(
        weights=jnp.full_like(taken.weights, 1 / rows.shape[0]),
        initial_observations=jax.tree.map(lambda leaf: leaf[first_rows], data.initial_observations),
        initial_weights=jnp.full_like(data.initial_weights[first_rows], 1 / first_rows.shape[0]),
    )


def _check(config: SaddlePointConfig) -> None:
    require("num_gradient_steps", config.num_gradient_steps, is_count, "an integer of at least 1")
    takes = "an integer of at least 1, or None for all transitions"
    require("batch_size", config.batch_size, lambda size: size is None or is_count(size), takes)
    for field in ("descent_rate", "ascent_rate"):
        require(field, getattr(config, field), lambda rate: rate > 0, "a number above 0")
    require("momentum", config.momentum, lambda decay: 0 <= decay < 1, "a number in [0, 1)")
    require("averaging", config.averaging, lambda share: 0 < share <= 1, "a number in (0, 1]")
