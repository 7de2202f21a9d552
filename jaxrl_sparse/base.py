"""The three contracts, and the words that the whole library shares.

An `Algorithm` is what is run for long and resumed, a `RewardTransformation` is what is plugged into a learner, and a
`Trajectory` is what passes between environments, rewards and learners. All of them hold pure functions or arrays only;
everything else in the library is plain functions on arrays.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, PRNGKeyArray

PyTree = Any
Metrics = dict[str, Array]

# Words of the metrics that the host loop acts upon. Both are counts of *one* update (int32 sums over long runs
# overflow): the loop adds them up in Python integers and stops on them.
EVALUATIONS = "evaluations"
ENVIRONMENT_STEPS = "environment_steps"


class Algorithm(NamedTuple):
    """A learning algorithm as three pure functions; composed and swept by plain functions.

    Attributes:
      init: `init(key) -> state`. The state is one pytree of arrays with everything that changes: key, environments,
        replay, archives, reward memory. Saved, it is a checkpoint; loaded, it continues bit for bit. No leaf has size
        zero and none is a string.
      update: `update(state, step) -> (state, metrics)`: one whole iteration over all environments. `step` is the number
        of the update, an int32 scalar that the loop owns and never batches, so that periods and phases are a `cond` on
        it that stays a branch under a sweep.
      evaluate: `evaluate(state, key) -> metrics`. Learns nothing; its key comes from the caller, so that seeds can be
        held out.
    """

    init: Callable[[PRNGKeyArray], PyTree]
    update: Callable[[PyTree, Array], tuple[PyTree, Metrics]]
    evaluate: Callable[[PyTree, PRNGKeyArray], Metrics]


class Trajectory(NamedTuple):
    """A time-major piece of experience: T steps of B environments.

    Attributes:
      observations: `[T, B, ...]`, what the policy saw before it acted.
      actions: `[T, B, ...]`.
      rewards: `[T, B]`, the reward of the action.
      terminated: `[T, B]` bool, the task ended by itself: the value after this step is zero.
      truncated: `[T, B]` bool, a time limit cut the episode: the value after this step is that of
        `next_observations`. Both flags may be true; `terminated` wins.
      next_observations: `[T, B, ...]`, what followed, *before* any reset (gymnax's `final_observation`).
      extras: a mapping from words to arrays `[T, B, ...]`, such as the policy's `log_probs` or the environment's
        `descriptors`; empty by default.
    """

    observations: PyTree
    actions: PyTree
    rewards: Float[Array, "T B"]
    terminated: Bool[Array, "T B"]
    truncated: Bool[Array, "T B"]
    next_observations: PyTree
    extras: PyTree = ()

    @property
    def dones(self) -> Bool[Array, "..."]:
        """Where an episode ended, either way: memories of the episode start anew after it."""
        return jnp.logical_or(self.terminated, self.truncated)


class RewardTransformation(NamedTuple):
    """A rule that makes rewards, as optax's transformations make updates.

    Attributes:
      init: `init(key, spec) -> state`; `spec` is a `Trajectory` of `jax.ShapeDtypeStruct` (see `trajectory_spec`).
      update: `update(trajectory, state) -> (rewards[T, B], state)`: labels fresh experience in time order, and learns.
      relabel: `relabel(trajectory, state) -> rewards[T, B]`: labels any experience with the current parameters and
        neither learns nor remembers. None where a reward depends on the history of its episode (a set function, a
        delayed reward): an off-policy learner refuses such a transformation at construction.
    """

    init: Callable[[PRNGKeyArray, Trajectory], PyTree]
    update: Callable[[Trajectory, PyTree], tuple[Array, PyTree]]
    relabel: Callable[[Trajectory, PyTree], Array] | None = None


class RewardStream(NamedTuple):
    """One of several rewards that a learner follows at a time, each with a value head of its own.

    Attributes:
      transformation: makes this stream's rewards.
      discount: in [0, 1], per step.
      coefficient: weight of this stream's advantages in the policy's loss.
      episodic: whether the end of an episode ends this stream's return too (RND's bonus returns do not).
    """

    transformation: RewardTransformation
    discount: float | Array
    coefficient: float | Array = 1.0
    episodic: bool = True


def trajectory_spec(trajectory: Trajectory) -> Trajectory:
    """Shapes and dtypes of a trajectory, a `Trajectory` of `jax.ShapeDtypeStruct`: what `init` of a reward takes."""
    return jax.eval_shape(lambda t: t, trajectory)


def require(argument: str, got: Any, accepts: Callable[[Any], Any], takes: str) -> None:
    """Refuses a bad argument in one line; the only place where this library does so.

    A tracer is let through: inside jit nothing is checked, the caller of jit has checked the concrete value.

    Args:
      argument: its name, as the caller wrote it.
      got: its value.
      accepts: tells whether the value is good.
      takes: what would have been good, in words.

    Raises:
      ValueError: `argument: got ..., takes ...`.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(got)):
        return
    if not accepts(got):
        shown = got.item() if isinstance(got, jax.Array) and got.ndim == 0 else got
        raise ValueError(f"{argument}: got {shown!r}, takes {takes}")


def is_count(value: Any) -> bool:
    """Whether a value is an integer of at least 1, as sizes and numbers of things are; 2.0 and True are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 1)


def require_known(argument: str, got: str, known: Iterable[str], shown: Iterable[str]) -> None:
    """Refuses a name that is not known, in one line that lists those that are, the closest to `got` first.

    Args:
      argument: what the name is of.
      got: the name.
      known: all good names.
      shown: what the line lists.

    Raises:
      ValueError: if `got` is not in `known`.
    """
    shown = list(shown)
    close = difflib.get_close_matches(got, shown, n=1, cutoff=0.4)
    ordered = [*close, *(name for name in shown if name not in close)]
    require(argument, got, lambda name: name in known, f"one of {', '.join(ordered)}")


def strong_types(tree: PyTree) -> PyTree:
    """Turns every leaf into a strongly typed array: Python floats into float32, weakly typed arrays into their dtype.

    A weakly typed leaf has another abstract value than the strong one that comes out of a compiled chunk, so that the
    second call would compile again. Typed keys pass unchanged.
    """

    def strong(leaf):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        # Also where 64-bit types are enabled.
        return jnp.asarray(leaf, dtype=jnp.float32 if isinstance(leaf, float) else jnp.result_type(leaf))

    return jax.tree.map(strong, tree)


ConfigT = TypeVar("ConfigT")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def config(cls: type[ConfigT]) -> type[ConfigT]:
    """Makes a class a configuration: a frozen dataclass, its floats pytree leaves, its other fields static.

    Fields annotated `float`, or with another configuration, may be tracers and are swept inside one compilation; those
    annotated int, bool, str or a tuple are part of the tree's structure, so that `jax.tree.structure(config)` is the
    key of a static group. A configuration never validates itself (jax rebuilds it with tracers and None): the factory
    that takes it does, with `require`.
    """
    made: Any = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    hints = typing.get_type_hints(made)

    def is_leaf(hint: Any) -> bool:
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            return any(is_leaf(option) for option in typing.get_args(hint))
        return hint is float or dataclasses.is_dataclass(hint)

    names = [field.name for field in dataclasses.fields(made)]
    leaves = [name for name in names if is_leaf(hints[name])]
    static = [name for name in names if name not in leaves]
    return jax.tree_util.register_dataclass(made, data_fields=leaves, meta_fields=static)
