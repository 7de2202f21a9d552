"""brax's environments on this library's base class: typed keys, a new first state in every episode, both flags
apart."""

import contextlib
import functools
import io
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrl_sparse.base import is_count, require, require_known, strong_types
from jaxrl_sparse.environments import spaces
from jaxrl_sparse.environments.base import Environment, EnvironmentParams, EnvironmentState
from jaxrl_sparse.environments.options import parameter_names, require_options

BACKENDS = ("generalized", "mjx", "positional", "spring")

# What brax says at import, at construction and while its physics is traced; none of it can be acted upon here.
EXPECTED_WARNINGS = (
    ("JAXopt is no longer maintained", DeprecationWarning),
    ("Brax System, piplines and environments are not actively being maintained", UserWarning),
    ("Accessing `(contact|ncon)` directly from `Data` is deprecated", DeprecationWarning),
)


@contextlib.contextmanager
def without_expected_warnings() -> Iterator[None]:
    """Silences the warnings above and no others."""
    with warnings.catch_warnings():
        for message, category in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        yield


# mujoco prints to stdout that the optional warp, of which brax uses nothing, is missing.
with without_expected_warnings(), contextlib.redirect_stdout(io.StringIO()):
    from brax import envs


@struct.dataclass
class BraxState(EnvironmentState):
    """State of a brax environment.

    Attributes:
      physics: brax's own state: pipeline, observation, reward, metrics.
    """

    physics: envs.State


class BraxEnvironment(Environment[BraxState, EnvironmentParams]):
    """A brax environment without brax's wrappers.

    Those restore the first state at every reset, so that a goal never changes, lose the last observation of an episode,
    merge the time limit into `done` and refuse typed keys. Here an episode starts from a state of its own, `terminated`
    is the physics' `done` alone, and `info` holds brax's metrics.

    Args:
      environment_id: such as `ant`.
      backend: one of `BACKENDS`; by default the environment's own.
      max_steps_in_episode: the time limit, at least 1.
      **options: of brax's constructor.

    Raises:
      ValueError: if the id, the backend or an option is unknown, or the time limit is less than 1.
    """

    def __init__(
        self, environment_id: str, backend: str | None = None, max_steps_in_episode: int = 1000, **options: Any
    ):
        require_known("brax environment", environment_id, envs._envs, envs._envs)
        require(
            "brax environment",
            environment_id,
            lambda name: name != "swimmer",
            "one that runs on the jax of today, which brax's swimmer does not",
        )
        require("backend", backend, lambda b: b is None or b in BACKENDS, f"one of {', '.join(BACKENDS)}")
        require("max_steps_in_episode", max_steps_in_episode, is_count, "an integer of at least 1")
        known = {*parameter_names(envs._envs[environment_id]), "n_frames", "debug"} - {"backend", "sys"}
        require_options(options, ["max_steps_in_episode", *sorted(known)])
        chosen = {} if backend is None else {"backend": backend}
        self.max_steps_in_episode = max_steps_in_episode
        self._name = "/".join(["brax", environment_id, *chosen.values()])
        self._rebuild = functools.partial(BraxEnvironment, environment_id, backend, max_steps_in_episode, **options)
        with without_expected_warnings():
            self.environment = envs.get_environment(environment_id, **chosen, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        # brax's environments hold a module, which neither copy nor pickle takes.
        return self._rebuild, ()

    @property
    def name(self) -> str:
        """`brax/<id>`, with the backend where one was chosen."""
        return self._name

    @property
    def default_params(self) -> EnvironmentParams:
        """The time limit; brax's physics is part of the environment."""
        return EnvironmentParams(max_steps_in_episode=self.max_steps_in_episode)

    def reset_env(self, key: PRNGKeyArray, params: EnvironmentParams) -> tuple[Any, BraxState]:
        """Starts an episode from a state drawn anew."""
        with without_expected_warnings():
            physics = strong_types(self.environment.reset(jax.random.key_data(key)))
        return physics.obs, BraxState(time=jnp.zeros((), jnp.int32), physics=physics)

    def step_env(
        self, key: PRNGKeyArray, state: BraxState, action: Float[Array, "A"], params: EnvironmentParams
    ) -> tuple[Any, BraxState, Float[Array, ""], Bool[Array, ""], dict[str, Any]]:
        """One step, without reset; `info` holds the discount and brax's metrics. The key is not used: brax draws at
        resets."""
        with without_expected_warnings():
            # A tree of its own: brax's steps write into the dictionaries of the state that they are given.
            physics = self.environment.step(jax.tree.map(lambda leaf: leaf, state.physics), action)
        # brax returns Python floats and weakly typed arrays where its first state has strong ones.
        physics = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), physics, state.physics)
        terminated = physics.done > 0
        info = {**physics.metrics, "discount": 1.0 - terminated.astype(jnp.float32)}
        state = BraxState(time=state.time + 1, physics=physics)
        return physics.obs, state, physics.reward.astype(jnp.float32), terminated, info

    def observation_space(self, params: EnvironmentParams) -> Any:
        """An unbounded box."""
        observation, _ = jax.eval_shape(self.reset_env, jax.random.key(0), params)
        return spaces.native(spaces.Box(-jnp.inf, jnp.inf, observation.shape, observation.dtype))

    def action_space(self, params: EnvironmentParams) -> Any:
        """The box [-1, 1]^A, which brax scales to the actuators' limits."""
        return spaces.native(spaces.Box(-1.0, 1.0, (self.environment.action_size,)))


def make_brax(path: str, **options: Any) -> BraxEnvironment:
    """An environment that is registered with brax.

    Args:
      path: `<id>` or `<id>/<backend>`.
      **options: of `BraxEnvironment`.

    Raises:
      ValueError: as `BraxEnvironment` does.
    """
    environment_id, _, backend = path.partition("/")
    return BraxEnvironment(environment_id, backend or None, **options)
