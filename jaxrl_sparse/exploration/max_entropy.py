"""Maximum-entropy exploration: mixtures of policies that are everywhere as equally often as the process allows.

    H_sigma(d) = -sum over s of d(s) log(d(s) + sigma)

is concave, and smooth where the entropy itself (sigma = 0) is not: its gradient is finite where nobody has been.

Source: Hazan, Kakade, Singh and Van Soest, "Provably Efficient Maximum Entropy Exploration" (ICML 2019).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, PyTree, RewardTransformation, Trajectory, config, is_count, require
from jaxrl_sparse.exploration.policy_mixtures import MixtureConfig, conditional_gradient
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.mdp import FiniteMDP


@config
class MaxEntropyConfig(MixtureConfig):
    """Configuration of `max_entropy`.

    Attributes:
      sigma: of the smoothed entropy, above 0.
      step_size: eta in (0, 1], the weight of each new policy; None for `2 / (t + 2)` at update t from 0, which needs no
        accuracy to be chosen. `guarantee` has that of the theorem.
    """

    sigma: float = 1e-3
    step_size: float | None = None


def max_entropy(config: MaxEntropyConfig, mdp: FiniteMDP | EpisodicMDP) -> Algorithm:
    """Maximises the entropy of the mixture's state distribution by Frank-Wolfe; one update is one policy more.

    See `conditional_gradient` for its metrics; its own are `entropy`, of where the mixture is, exact, in nats;
    `smoothed_entropy`; `entropy_bound`, log S, which only a process that can be held anywhere attains; and
    `last_entropy`, of the last policy alone. Its `gap` is of the smoothed entropy. Planning knows the MDP; with
    episodes, where the mixture is does not.

    Args:
      config: see `MaxEntropyConfig`.
      mdp: with its discount below 1, or episodic.

    Raises:
      ValueError: naming the field that is out of range.

    Source: Hazan et al. (ICML 2019), algorithm 1 with the smoothed entropy of section 3.
    """
    require("sigma", config.sigma, lambda number: number > 0, "a number above 0")
    takes = "a number in (0, 1], or None"
    require("step_size", config.step_size, lambda eta: eta is None or 0 < eta <= 1, takes)

    def step_size(step: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.asarray(2 / (step + 2) if config.step_size is None else config.step_size)

    def measure(distribution: Float[Array, "S"], last: Float[Array, "S"]) -> Metrics:
        return {
            "entropy": entropy(distribution),
            "smoothed_entropy": smoothed_entropy(distribution, config.sigma),
            "entropy_bound": jnp.full_like(distribution[0], math.log(mdp.num_states)),
            "last_entropy": entropy(last),
        }

    return conditional_gradient(config, mdp, lambda d: entropy_gradient(d, config.sigma), step_size, measure)


def entropy(distribution: Float[Array, "*batch S"]) -> Float[Array, "*batch"]:
    """`H(d) = -sum over s of d(s) log d(s)`, in nats, with `0 log 0 = 0`."""
    positive = distribution > 0
    return -jnp.sum(jnp.where(positive, distribution * jnp.log(jnp.where(positive, distribution, 1)), 0), axis=-1)


def smoothed_entropy(distribution: Float[Array, "*batch S"], sigma: float | Array) -> Float[Array, "*batch"]:
    """`H_sigma(d) = -sum over s of d(s) log(d(s) + sigma)`, in nats; from `H(d) - S sigma` to `H(d)`.

    Args:
      distribution: d.
      sigma: above 0.
    """
    return -jnp.sum(distribution * jnp.log(distribution + sigma), axis=-1)


def entropy_gradient(distribution: Float[Array, "*batch S"], sigma: float | Array) -> Float[Array, "*batch S"]:
    """The gradient of `smoothed_entropy`, the reward of each state: `-(log(d(s) + sigma) + d(s) / (d(s) + sigma))`.

    Args:
      distribution: d.
      sigma: above 0.
    """
    return -(jnp.log(distribution + sigma) + distribution / (distribution + sigma))


class Guarantee(NamedTuple):
    """With what the theorem gives an entropy within epsilon of the largest.

    Attributes:
      sigma: of the smoothed entropy.
      step_size: eta.
      num_rounds: T, updates.
      density_error: how far, in any state, an estimate of the mixture's distribution may be off.
      planning_error: what a plan may miss of the largest return, normalised as d is.
    """

    sigma: float
    step_size: float
    num_rounds: int
    density_error: float
    planning_error: float


def guarantee(epsilon: float, num_states: int, scale: float = 1.0) -> Guarantee:
    """The constants of the theorem: after T rounds, `H(d) >= max H - epsilon`.

        sigma = .1 epsilon / (2 S),  beta = 2 / sigma,  eta = .1 epsilon / beta = .1 epsilon^2 / (40 S)
        T = 10 beta / epsilon log(log S / (.1 epsilon)),  errors .1 epsilon / beta of d, .1 epsilon of the plan

    beta bounds the second derivative of H_sigma. A round leaves `(1 - eta)` of what is missing, and adds at most `eta`
    times `2 beta e_d + e_p + eta beta`, with the two errors; so that in the end no more is missing than
    `.1 + .2 + .1 + .1` of epsilon, and what smoothing costs, `S sigma`.

    With `scale` 1 they are vacuous wherever one looks: ten states and epsilon .1 take two million rounds.

    Args:
      epsilon: in nats, in (0, log S).
      num_states: S, at least 2.
      scale: c, the knob: eta is c times as large (at most 1) and T is c times smaller. 1 is the theorem's; larger is
        bolder than what is proved.

    Raises:
      ValueError: if a number is out of range.

    Source: Hazan et al. (ICML 2019), the main theorem of section 4 and its corollary for the entropy.
    """
    require("num_states", num_states, lambda n: is_count(n) and n >= 2, "an integer of at least 2")
    require("epsilon", epsilon, lambda e: 0 < e < math.log(num_states), "a number in (0, log num_states)")
    require("scale", scale, lambda c: c > 0, "a number above 0")
    sigma = 0.1 * epsilon / (2 * num_states)
    beta = 2 / sigma
    rounds = 10 * beta / epsilon * math.log(math.log(num_states) / (0.1 * epsilon))
    return Guarantee(
        sigma=sigma,
        step_size=min(scale * 0.1 * epsilon / beta, 1.0),
        num_rounds=math.ceil(rounds / scale),
        density_error=0.1 * epsilon / beta,
        planning_error=0.1 * epsilon,
    )


def entropy_bonus(
    cell_of: Callable[[PyTree], Array], num_cells: int, sigma: float | Array = 1e-3
) -> RewardTransformation:
    """The gradient of the smoothed entropy of all visits so far, as a reward for any learner:

        r_t = -(log(d(c_{t+1}) + sigma) + d(c_{t+1}) / (d(c_{t+1}) + sigma)),   d(c) = n(c) / sum of n

    Visits are counted before they are paid: n includes the trajectory that is labelled, and one distribution pays all
    of its steps, as one policy made them. The cell is that of what followed the step *before* any reset. `relabel` pays
    by the counts so far, and counts nothing; before anything was counted it pays `-log sigma` everywhere.

    Args:
      cell_of: from observations `[..., *observation]` to numbers of cells `[...]` in [0, num_cells), such as
        `box_cells` or `hash_cells`.
      num_cells: N; the state is `[N]` int32.
      sigma: above 0; no reward is above `-log sigma`.

    Raises:
      ValueError: if a number is out of range.

    Source: Hazan et al. (ICML 2019), section 5, where the counts of discretised states make the reward.
    """
    require("num_cells", num_cells, is_count, "an integer of at least 1")
    require("sigma", sigma, lambda number: number > 0, "a number above 0")

    def init(key: PRNGKeyArray, spec: Trajectory) -> Int[Array, "N"]:
        del key, spec
        return jnp.zeros(num_cells, jnp.int32)

    def update(trajectory: Trajectory, state: Int[Array, "N"]) -> tuple[Float[Array, "T B"], Int[Array, "N"]]:
        state = state.at[cell_of(trajectory.next_observations)].add(1)
        return relabel(trajectory, state), state

    def relabel(trajectory: Trajectory, state: Int[Array, "N"]) -> Float[Array, "T B"]:
        counts = state.astype(jnp.float32)
        distribution = counts / jnp.maximum(jnp.sum(counts), 1)
        return entropy_gradient(distribution, sigma)[cell_of(trajectory.next_observations)]

    return RewardTransformation(init, update, relabel)
