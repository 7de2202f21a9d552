"""Finite decision processes by name, for theory: each also knows itself as arrays, which exact methods take."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.episodic import EpisodicMDP, layered
from jaxrl_sparse.finite.episodic_generators import combination_lock, combination_locks
from jaxrl_sparse.finite.generators import garnet
from jaxrl_sparse.finite.linear_mixtures import episodic_mixture, random_linear_mixture
from jaxrl_sparse.finite.mdp import finite_mdp

# Codes that a lock's class of models may have.
MOST_CODES = 2**14


class EpisodicEnvironment(TabularEnvironment):
    """An episodic MDP that is stepped: the state is layer and state, the episode terminates after the last layer.

    Observations are one-hot vectors `[H S + 1]` of `layered(process)`.

    Args:
      process: that is stepped.
      models: candidates `[M]` of which one is the process, for methods that choose among models; None where there are
        none.
    """

    def __init__(self, process: EpisodicMDP, models: EpisodicMDP | None = None):
        self.process = process
        self.models = models
        # One program instead of many small ones: this is what making the environment costs.
        super().__init__(jax.jit(layered)(process), process.horizon)


class CombinationLock(EpisodicEnvironment):
    """A lock of H digits: only the whole code in a row, and luck, opens it, and no wrong digit can be taken back.

    The right action of a layer keeps the state good with probability `success`; anything else makes it bad for the rest
    of the episode. The right action in the good state of the last layer pays 1. The best return is
    `success^(H - 1)`; a random policy's is A^-H of it. Its models are the locks of all `A^H` codes.

    Args:
      horizon: H.
      num_actions: A.
      success: in (0, 1].
      code_seed: draws the code.

    Raises:
      ValueError: if an argument is out of range, or if there are more than 2^14 codes.
    """

    def __init__(self, horizon: int = 5, num_actions: int = 2, success: float = 0.9, code_seed: int = 0):
        require("horizon", horizon, is_count, "an integer of at least 1")
        require("num_actions", num_actions, is_count, "an integer of at least 1")
        takes = f"at most {MOST_CODES} codes: fewer layers or actions"
        require("horizon, num_actions", (horizon, num_actions), lambda _: num_actions**horizon <= MOST_CODES, takes)
        require("success", success, lambda p: 0 < p <= 1, "a number in (0, 1]")
        require("code_seed", code_seed, lambda seed: seed >= 0, "an integer of at least 0")
        super().__init__(*_lock_and_models(jax.random.key(code_seed), success, horizon, num_actions))


class Garnet(TabularEnvironment):
    """A random process without structure or end: see `finite.garnet`; rewards are uniform in [0, 1].

    Args:
      num_states: S.
      num_actions: A.
      num_successors: of each action.
      discount: gamma in (0, 1), per step.
      max_steps_in_episode: the time limit; it truncates.
      process_seed: draws the process.

    Raises:
      ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        num_states: int = 20,
        num_actions: int = 3,
        num_successors: int = 3,
        discount: float = 0.95,
        max_steps_in_episode: int = 100,
        process_seed: int = 0,
    ):
        require("process_seed", process_seed, lambda seed: seed >= 0, "an integer of at least 0")
        key = jax.random.key(process_seed)
        super().__init__(
            garnet(key, num_states, num_actions, num_successors, discount, "uniform"), max_steps_in_episode
        )


class LinearMixtureProcess(EpisodicEnvironment):
    """A random mixture of d known kernels with unknown weights; reaching the last state at the end pays 1.

    `mixture` is the process without its reward, as reward-free exploration takes it; see
    `finite.random_linear_mixture`.

    Args:
      num_states: S.
      num_actions: A.
      dimension: d.
      horizon: H.
      num_successors: of an action in each kernel.
      process_seed: draws the process.

    Raises:
      ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        num_states: int = 5,
        num_actions: int = 3,
        dimension: int = 3,
        horizon: int = 10,
        num_successors: int = 2,
        process_seed: int = 0,
    ):
        require("horizon", horizon, is_count, "an integer of at least 1")
        require("process_seed", process_seed, lambda seed: seed >= 0, "an integer of at least 0")
        draw = jax.jit(random_linear_mixture, static_argnums=(1, 2, 3, 4))
        self.mixture = draw(jax.random.key(process_seed), num_states, num_actions, dimension, num_successors)
        rewards = np.zeros((horizon, num_states, num_actions), np.float32)
        rewards[-1, -1] = 1
        super().__init__(jax.jit(episodic_mixture)(self.mixture, jnp.asarray(rewards)))


class Ring(TabularEnvironment):
    """S states in a ring, and the actions stay, left and right, which do what they say: every state can be held.

    Nothing pays. Being everywhere equally often is possible, which makes the largest entropy of states log S.

    Args:
      num_states: S.
      discount: gamma in (0, 1), per step.
      max_steps_in_episode: the time limit; it truncates.

    Raises:
      ValueError: if an argument is out of range.
    """

    def __init__(self, num_states: int = 10, discount: float = 0.95, max_steps_in_episode: int = 100):
        require("num_states", num_states, is_count, "an integer of at least 1")
        places = np.arange(num_states)[:, None]
        successors = (places + np.array([0, -1, 1])) % num_states
        ones = np.ones((num_states, 3, 1))
        mdp = finite_mdp(ones, np.zeros((num_states, 3)), discount, successors=successors[..., None])
        super().__init__(mdp, max_steps_in_episode, action_names=("stay", "left", "right"))


@functools.partial(jax.jit, static_argnums=(2, 3))
def _lock_and_models(
    key: PRNGKeyArray, success: float | Array, horizon: int, num_actions: int
) -> tuple[EpisodicMDP, EpisodicMDP]:
    code = jax.random.randint(key, (horizon,), 0, num_actions)
    return combination_lock(code, num_actions, success), combination_locks(horizon, num_actions, success)
