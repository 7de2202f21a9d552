"""Schedulers: whether the next chunk of evaluations explores or exploits.

All but the bandit decide by the number of the update alone, so that under `vmap` the choice stays one branch for all
seeds. The first chunk always explores.

Source: the schedulers of the published code of Paolo et al., "Discovering and Exploiting Sparse Rewards in a Learned
Behavior Space" (STAX).
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Scheduler = Literal["alternate", "fixed_sampling", "time_sampling", "bandit"]
SCHEDULERS = ("alternate", "fixed_sampling", "time_sampling", "bandit")
# Arms of the bandit.
EXPLORE, EXPLOIT = 0, 1
CONFIDENCE = 1.0
# The same draws for all seeds of a sweep: see above.
_DRAWS = 0


class BanditState(NamedTuple):
    """What the bandit has learned of its arms, to explore and to exploit.

    Attributes:
      values: `[2]`, mean rewards.
      pulls: `[2]` int32.
    """

    values: Float[Array, "2"]
    pulls: Int[Array, "2"]


def bandit_init() -> BanditState:
    """A bandit that knows nothing."""
    return BanditState(jnp.zeros(2, jnp.float32), jnp.zeros(2, jnp.int32))


def explores(
    scheduler: Scheduler, bandit: BanditState, step: Int[Array, ""], spent_share: Float[Array, ""]
) -> Bool[Array, ""]:
    """Whether update `step` explores.

    - alternate: even steps do.
    - fixed_sampling: each does with probability 1/2.
    - time_sampling: each does with the probability that is the share of the budget not spent yet. Once the budget is
      spent by the count of steps, all do: what is really left was saved where there was nothing to exploit.
    - bandit: the arm with the largest upper confidence bound `Q + sqrt(ln N / N_arm)`, an arm never pulled first.

    Args:
      scheduler: static.
      bandit: so far; only the bandit looks at it.
      step: number of the update, never batched.
      spent_share: of the budget, in [0, 1], as told by the step; only time_sampling looks at it.
    """
    if scheduler == "alternate":
        return step % 2 == 0
    if scheduler == "bandit":
        total = jnp.sum(bandit.pulls)
        bonus = CONFIDENCE * jnp.sqrt(jnp.log(jnp.maximum(total, 1)) / jnp.maximum(bandit.pulls, 1))
        bounds = jnp.where(bandit.pulls > 0, bandit.values + bonus, jnp.inf)
        return jnp.argmax(bounds) == EXPLORE
    probability = 0.5 if scheduler == "fixed_sampling" else 1.0 - spent_share
    draw = jax.random.uniform(jax.random.fold_in(jax.random.key(_DRAWS), step))
    chosen = (step == 0) | (draw < probability)
    return chosen | (spent_share >= 1) if scheduler == "time_sampling" else chosen


def bandit_update(
    bandit: BanditState,
    explored: Bool[Array, ""],
    emitters_before: Int[Array, ""],
    emitters_after: Int[Array, ""],
) -> BanditState:
    """Learns what an update was worth: `Q_arm += (reward - Q_arm) / N_arm`.

    Exploring pays `-tanh(new emitters)`, exploiting `tanh(change in the number of emitters)`, and -1 where there was
    none to exploit: an arm pays for the work that it leaves to the other.

    Args:
      bandit: so far.
      explored: which arm was pulled.
      emitters_before: candidates and emitters that there were before the update.
      emitters_after: and after it.
    """
    change = jnp.tanh((emitters_after - emitters_before).astype(jnp.float32))
    reward = jnp.where(explored, -change, jnp.where(emitters_before > 0, change, -1.0))
    arm = jnp.where(explored, EXPLORE, EXPLOIT)
    pulls = bandit.pulls.at[arm].add(1)
    return BanditState(bandit.values.at[arm].add((reward - bandit.values[arm]) / pulls[arm]), pulls)
