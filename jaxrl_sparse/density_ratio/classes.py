"""Finite classes of value functions and of models, and what data says of every function at once.

The residual of a function on a transition is its Bellman error, unbiased but noisy:

    Dhat_h f (s, a, r, s') = f_h(s, a) - r - max over a' of f_{h+1}(s', a'),   f_H = 0

Sums of it over data are linear in counts, so that the counts are all that is kept of the data.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from jaxrl_sparse.base import require
from jaxrl_sparse.finite.episodes import TransitionCounts
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.episodic_solvers import backward_induction, greedy_actions, occupancy
from jaxrl_sparse.finite.mdp import require_distributions

_PRECISE = jax.lax.Precision.HIGHEST


class FunctionClass(NamedTuple):
    """N candidates for Q*. Make it with `function_class`.

    Attributes:
      values: `[N, H, S, A]`, f; the constants of theory are made for values in [0, 1].
      actions: `[N, H, S]` int32, the greedy policy pi_f of each: of equally good actions that of the lowest number.
    """

    values: Float[Array, "N H S A"]
    actions: Int[Array, "N H S"]

    @property
    def size(self) -> int:
        """N."""
        return self.values.shape[0]


class ModelClass(NamedTuple):
    """M candidates for the MDP: their optima as functions, and where those functions' policies are in each of them.

    Make it with `model_class`.

    Attributes:
      functions: Q*_m of every model; N = M.
      occupancies: `[M, N, H, S, A]`, that of policy pi_{f_n} in model m.
    """

    functions: FunctionClass
    occupancies: Float[Array, "M N H S A"]


def function_class(values: ArrayLike) -> FunctionClass:
    """A class of functions with their greedy policies.

    Args:
      values: `[N, H, S, A]`, in units of the return.

    Raises:
      ValueError: if it has another number of axes, an axis of length zero, or numbers that are not finite.
    """
    table = jnp.asarray(values, jnp.result_type(float))
    require(
        "values",
        table.shape,
        lambda shape: len(shape) == 4 and min(shape) >= 1,
        "the shape [N, H, S, A], none of them 0",
    )
    require_entries("values", table, np.isfinite, "a finite number")
    return FunctionClass(table, greedy_actions(table))


def model_class(models: EpisodicMDP) -> ModelClass:
    """The class of the optima of models, with all occupancies; `M^2 H` steps of dynamics, once.

    Args:
      models: stacked, every leaf with a leading axis `[M]`.

    Raises:
      ValueError: if leaves have other shapes, or probabilities do not sum to one.
    """
    shape = models.rewards.shape
    require("models.rewards", shape, lambda s: len(s) == 4 and min(s) >= 1, "the shape [M, H, S, A], none of them 0")
    require(
        "models.transitions",
        models.transitions.shape,
        lambda s: s == (*shape, shape[2]),
        f"the shape {(*shape, shape[2])}",
    )
    require(
        "models.initial", models.initial.shape, lambda s: s == (shape[0], shape[2]), f"the shape {(shape[0], shape[2])}"
    )
    require_distributions("models.transitions", models.transitions)
    require_distributions("models.initial", models.initial)
    functions = function_class(jax.vmap(lambda model: backward_induction(model).q_values)(models))
    in_every_model = jax.vmap(jax.vmap(occupancy, in_axes=(None, 0)), in_axes=(0, None))
    return ModelClass(functions, in_every_model(models, functions.actions))


def residuals(counts: TransitionCounts, functions: FunctionClass) -> Float[Array, "N H S A"]:
    """The sum of residuals over all counted transitions, by function, layer, state and action.

        res[n, h, s, a] = N_h(s, a) f_h(s, a) - R_h(s, a) - sum over s' of N_h(s, a, s') max over a' of f_{h+1}(s', a')

    Divided by the number of episodes n it is the mass of the empirical mean `Ehat[Dhat_h f 1{s, a}]`.

    Args:
      counts: N and R, of `[H, S, A, S]` and `[H, S, A]`.
      functions: f.

    Raises:
      ValueError: if counts and functions are of different H, S or A.
    """
    require_layers("counts.rewards", counts.rewards.shape, functions)
    following = jnp.max(functions.values, axis=-1)[:, 1:]
    # Nothing follows the last layer.
    expected = jnp.einsum("hsat,nht->nhsa", counts.transitions[:-1], following, precision=_PRECISE)
    expected = jnp.pad(expected, ((0, 0), (0, 1), (0, 0), (0, 0)))
    return counts.visits * functions.values - counts.rewards - expected


def value_misfits(functions: FunctionClass, mdp: EpisodicMDP) -> Float[Array, "N"]:
    """`max over h, s, a of |f - Q*|` of each function; the class realises Q* where the smallest is 0.

    Args:
      functions: f.
      mdp: the true one.

    Raises:
      ValueError: if they are of different H, S or A.
    """
    require_layers("mdp.rewards", mdp.rewards.shape, functions)
    return jnp.max(jnp.abs(functions.values - backward_induction(mdp).q_values), axis=(1, 2, 3))


def require_layers(argument: str, shape: tuple[int, ...], functions: FunctionClass) -> None:
    """Refuses what is not of the class's `[H, S, A]`.

    Args:
      argument: its name.
      shape: its shape, whose last three axes must be those of the functions.
      functions: the class.

    Raises:
      ValueError: naming both shapes.
    """
    layers = functions.values.shape[1:]
    require(argument, shape, lambda s: tuple(s[-3:]) == layers, f"the class's [H, S, A], {layers}")


def require_entries(argument: str, table: Array, is_good: Callable[[np.ndarray], np.ndarray], takes: str) -> None:
    """Refuses an array for its first bad entry, which is named; a tracer passes.

    Args:
      argument: the array's name.
      table: the array.
      is_good: of each entry.
      takes: what an entry should be.

    Raises:
      ValueError: naming the entry.
    """
    if isinstance(table, Tracer):
        return
    entries = np.asarray(table)
    bad = np.argwhere(~is_good(entries))
    if bad.size:
        index = tuple(map(int, bad[0]))
        require(f"{argument}[{', '.join(map(str, index))}]", float(entries[index]), lambda _: False, takes)
