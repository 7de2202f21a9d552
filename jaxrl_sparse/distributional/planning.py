"""Exact planning for distributions of returns: value iteration, policy evaluation and policy iteration with a stock.

    (T_* eta)(s, c) = law of R + gamma G',  G' ~ eta(S', (c + R) / gamma),  of an action that maximises E f(c + .)

n sweeps from `eta_0 = delta_0` are optimal for n steps, and within `L gamma^n r_max / (1 - gamma)` of the optimum for
ever;
atoms of spacing zeta add at most `L zeta / (2 (1 - gamma))`, stocks of spacing Delta at most `L gamma Delta / (1 -
gamma)`.
With gamma = 1 and integer rewards, stocks and atoms there is no error at all.

Source: Avila Pires et al., "Optimizing Return Distributions with Distributional Dynamic Programming" (JMLR 2025),
sections
3
and 4.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.distributional.backups import Backup, categorical_backup, integrated_backup
from jaxrl_sparse.distributional.grids import Grids, require_grids
from jaxrl_sparse.distributional.objectives import Utility, require_admissible
from jaxrl_sparse.distributional.return_distributions import integrated_cdf_to_probs
from jaxrl_sparse.finite.mdp import FiniteMDP

FORMS = {"integrated": integrated_backup, "categorical": categorical_backup}
# Numbers that an int32 can count.
MOST_NUMBERS = 2**31 - 1
# Sweeps between two looks at the values, where a tolerance ends the iteration.
SWEEPS_PER_LOOK = 10


class Plan(NamedTuple):
    """What a planner found for every state and stock.

    Attributes:
      values: `[S, C]`, `E f(c + G)` of the law below (before its last projection, where -c is no atom).
      actions: `[S, C]` int32, greedy; `[T, S, C]` of `finite_horizon`, for the steps 0 to T - 1 of an episode.
      laws: `[S, C, N]`, the law of the return G, not of c + G, in the planner's form; read `probs`. Where actions tie
        (above -g_min with `min(x, 0)`, nearly everywhere with an indicator) it is that of the first of them.
      residual: the largest change of a value in the last sweep.
      num_sweeps: int32, how many there were.
      spacing: zeta where `laws` are integrated CDFs; None where they are probabilities.
    """

    values: Float[Array, "S C"]
    actions: Int[Array, "... S C"]
    laws: Float[Array, "S C N"]
    residual: Float[Array, ""]
    num_sweeps: Int[Array, ""]
    spacing: Float[Array, ""] | None = None

    @property
    def probs(self) -> Float[Array, "... S C N"]:
        """The probabilities of the atoms; made when they are asked for, so that planning holds no second array."""
        if self.spacing is None:
            return self.laws
        return integrated_cdf_to_probs(self.laws, self.spacing[..., None, None, None])


def value_iteration(
    mdp: FiniteMDP,
    grids: Grids,
    utility: Utility,
    num_sweeps: int,
    *,
    tolerance: float | None = None,
    form: str | None = None,
    stock_rounding: str = "linear",
    memory_limit: int | None = None,
) -> Plan:
    """`eta_{n+1} = T_* eta_n` from `eta_0 = delta_0`.

    Args:
      mdp: with scalar rewards; batches of them, and of utilities, by vmap.
      grids: that hold the returns, see `return_grids`.
      utility: of an `Objective`.
      num_sweeps: static; the most sweeps, at least 1.
      tolerance: ends the iteration once no value changes by more in a sweep, looked at every 10 sweeps. Values
        converge, laws need not: those of equal value may take turns. None: all sweeps are done.
      form: "integrated" (piecewise linear utilities, fast) or "categorical" (all); None for the first that fits.
      stock_rounding: "linear" or "nearest", see `backups`.
      memory_limit: bytes that the iteration may take, inputs left out: states are backed up in blocks that fit. None:
        in float32 4 (S C N + S A C N) bytes and less than a tenth more, the plan included.

    Returns:
      The plan.

    Raises:
      ValueError: if the discount is out of range for the utility, if a grid cannot hold the returns, if memory does not
        suffice for a single state (naming the number of atoms that would fit), or if another argument is unknown.
    """
    require("tolerance", tolerance, lambda t: t is None or t >= 0, "a number of at least 0, or None")
    backup = make_backup(mdp, grids, utility, num_sweeps, form, stock_rounding, memory_limit)
    laws, values = backup.start()

    def sweep(carry, _):
        laws, values, _, _ = carry
        laws, new_values, actions = backup.sweep(laws)
        return (laws, new_values, actions, jnp.max(jnp.abs(new_values - values))), None

    def sweeps(carry, number):
        return jax.lax.scan(sweep, carry, length=number)[0]

    carry = (laws, values, jnp.zeros(values.shape, jnp.int32), jnp.asarray(jnp.inf, values.dtype))
    done = jnp.int32(num_sweeps)
    if tolerance is None:
        carry = sweeps(carry, num_sweeps)
    else:
        # A remainder first, so that there are never more sweeps than asked for.
        carry = sweeps(carry, num_sweeps % SWEEPS_PER_LOOK)
        start = jnp.int32(num_sweeps % SWEEPS_PER_LOOK)
        done, carry = jax.lax.while_loop(
            lambda state: (state[0] < num_sweeps) & (state[1][3] > tolerance),
            lambda state: (state[0] + SWEEPS_PER_LOOK, sweeps(state[1], SWEEPS_PER_LOOK)),
            (start, carry),
        )
    laws, values, actions, residual = carry
    return Plan(values, actions, laws, residual, done, backup.spacing)


def finite_horizon(
    mdp: FiniteMDP,
    grids: Grids,
    utility: Utility,
    num_steps: int,
    *,
    form: str | None = None,
    stock_rounding: str = "linear",
    memory_limit: int | None = None,
) -> Plan:
    """Value iteration that keeps the actions of every sweep: the policy for an episode of `num_steps` steps.

    Args:
      mdp: with scalar rewards.
      grids: that hold the returns of `num_steps` steps.
      utility: of an `Objective`.
      num_steps: T, static, at least 1.
      form: as of `value_iteration`.
      stock_rounding: as of `value_iteration`.
      memory_limit: as of `value_iteration`; the actions, 4 T S C bytes, come in addition.

    Returns:
      The plan, with actions `[T, S, C]` by the number of the step.

    Raises:
      ValueError: as `value_iteration`.
    """
    backup = make_backup(mdp, grids, utility, num_steps, form, stock_rounding, memory_limit)

    def sweep(carry, _):
        laws, values, _ = carry
        laws, new_values, actions = backup.sweep(laws)
        return (laws, new_values, jnp.max(jnp.abs(new_values - values))), actions

    laws, values = backup.start()
    (laws, values, residual), actions = jax.lax.scan(
        sweep, (laws, values, jnp.zeros((), values.dtype)), length=num_steps
    )
    return Plan(values, actions[::-1], laws, residual, jnp.int32(num_steps), backup.spacing)


def policy_evaluation(
    mdp: FiniteMDP,
    grids: Grids,
    utility: Utility,
    actions: Int[Array, "S C"],
    num_sweeps: int,
    *,
    form: str | None = None,
    stock_rounding: str = "linear",
    memory_limit: int | None = None,
) -> Plan:
    """The law of the return of a stationary policy: `eta_{n+1} = T_pi eta_n` from `delta_0`, a gamma-contraction in
    w_1.

    Args:
      mdp: with scalar rewards.
      grids: that hold the returns.
      utility: what the plan's values are of; it does not change the law.
      actions: `[S, C]`, from 0 to A - 1.
      num_sweeps: static, at least 1.
      form: as of `value_iteration`.
      stock_rounding: as of `value_iteration`.
      memory_limit: as of `value_iteration`.

    Returns:
      The plan, with these actions.

    Raises:
      ValueError: as `value_iteration`.
    """
    shape = (mdp.num_states, grids.stocks.shape[0])
    require("actions", actions.shape, lambda given: given == shape, f"the shape {shape}")
    takes = f"integers from 0 to {mdp.num_actions - 1}"
    require("actions", actions, lambda a: np.asarray(a).min() >= 0 and np.asarray(a).max() < mdp.num_actions, takes)
    backup = make_backup(mdp, grids, utility, num_sweeps, form, stock_rounding, memory_limit)
    laws, values, residual = _followed(backup, actions, *backup.start(), num_sweeps)
    return Plan(values, actions, laws, residual, jnp.int32(num_sweeps), backup.spacing)


def policy_iteration(
    mdp: FiniteMDP,
    grids: Grids,
    utility: Utility,
    num_iterations: int,
    num_sweeps: int,
    *,
    form: str | None = None,
    stock_rounding: str = "linear",
    memory_limit: int | None = None,
) -> Plan:
    """`pi_{k+1} = greedy(eta^{pi_k})`, each evaluated with `num_sweeps` sweeps from the law before; ends once it
    stands.

    The first policy is greedy for `delta_0`. Values never fall where evaluation is exact.

    Args:
      mdp: with scalar rewards.
      grids: that hold the returns.
      utility: of an `Objective`.
      num_iterations: static; the most policies, at least 1.
      num_sweeps: static; of each evaluation, at least 1.
      form: as of `value_iteration`.
      stock_rounding: as of `value_iteration`.
      memory_limit: as of `value_iteration`.

    Returns:
      The plan of the last policy; its `residual` is the largest gain of the last improvement, its `num_sweeps` counts
      improvements and evaluations.

    Raises:
      ValueError: as `value_iteration`.
    """
    require("num_iterations", num_iterations, is_count, "an integer of at least 1")
    require("num_sweeps", num_sweeps, is_count, "an integer of at least 1")
    total = num_iterations * (num_sweeps + 1)
    backup = make_backup(mdp, grids, utility, total, form, stock_rounding, memory_limit)
    laws, values = backup.start()

    def goes_on(carry):
        iteration, changed, *_ = carry
        return (iteration < num_iterations) & changed

    def improve(carry):
        iteration, _, laws, values, actions, _ = carry
        laws, improved, better = backup.sweep(laws)
        gain = jnp.max(improved - values)
        laws, values, _ = _followed(backup, better, laws, improved, num_sweeps)
        return iteration + 1, jnp.any(better != actions), laws, values, better, gain

    none = jnp.full(values.shape, -1, jnp.int32)
    start = (jnp.int32(0), jnp.asarray(True), laws, values, none, jnp.zeros((), values.dtype))
    iterations, _, laws, values, actions, gain = jax.lax.while_loop(goes_on, improve, start)
    return Plan(values, actions, laws, gain, iterations * (num_sweeps + 1), backup.spacing)


def distributional_bellman(
    mdp: FiniteMDP,
    grids: Grids,
    utility: Utility,
    probs: Float[Array, "S C N"],
    actions: Int[Array, "S C"] | None = None,
    *,
    stock_rounding: str = "linear",
) -> tuple[Float[Array, "S C N"], Float[Array, "S C"], Int[Array, "S C"]]:
    """One sweep on probabilities, `T_* eta`, or `T_pi eta` of given actions.

    Args:
      mdp: with scalar rewards.
      grids: C stocks and N atoms.
      utility: of an `Objective`.
      probs: eta, `[S, C, N]`; that of terminal states is taken to be delta_0.
      actions: pi, `[S, C]`; None for the greedy ones.
      stock_rounding: as of `value_iteration`.

    Returns:
      `(eta, F, actions)`: the laws after it `[S, C, N]`, their values and the actions `[S, C]`.
    """
    return categorical_backup(mdp, grids, utility, stock_rounding).sweep(probs, actions)


def make_backup(
    mdp: FiniteMDP,
    grids: Grids,
    utility: Utility,
    num_sweeps: int,
    form: str | None = None,
    stock_rounding: str = "linear",
    memory_limit: int | None = None,
) -> Backup:
    """The sweep that the arguments of `value_iteration` describe, once they are checked.

    Raises:
      ValueError: as `value_iteration`.
    """
    check_plan(mdp, grids, utility, num_sweeps)
    form = choose_form(form, utility)
    block = _block(mdp, grids, form, memory_limit)
    return FORMS[form](mdp, grids, utility, stock_rounding, block)


def check_plan(mdp: FiniteMDP, grids: Grids, utility: Utility, num_sweeps: int) -> None:
    """Refuses what cannot be planned for.

    Raises:
      ValueError: as `value_iteration`.
    """
    require("num_sweeps", num_sweeps, is_count, "an integer of at least 1")
    require("mdp", mdp.num_rewards, lambda m: m is None, "scalar rewards; vectors have stock_value_iteration")
    require(
        "utility",
        utility.num_components,
        lambda m: m is None,
        "a utility of scalars; vectors have stock_value_iteration",
    )
    require_admissible(utility, mdp.discount)
    require_grids(mdp, grids, num_sweeps)
    # Eager also inside jit, as far as grids and utility are concrete.
    with jax.ensure_compile_time_eval():
        ends = jnp.stack([grids.stocks[0] + grids.atoms[0], grids.stocks[-1] + grids.atoms[-1]])
        is_finite = jnp.isfinite(utility.f(ends)).all()
    if not isinstance(is_finite, Tracer):
        takes = f"one that is finite on the grids' outcomes {ends.tolist()}: smaller numbers in it, or in the rewards"
        require("utility", utility.name, lambda _: bool(is_finite), takes)


def choose_form(form: str | None, utility: Utility) -> str:
    """The name of the form that is asked for, or of the first that fits the utility.

    Raises:
      ValueError: if the name is unknown.
    """
    require("form", form, lambda name: name is None or name in FORMS, f"one of {', '.join(FORMS)}, or None")
    return ("categorical" if utility.slopes is None else "integrated") if form is None else form


def _followed(backup, actions, laws, values, num_sweeps):
    """Laws, values and the last change after sweeps with fixed actions."""

    def sweep(carry, _):
        laws, values, _ = carry
        laws, new_values, _ = backup.sweep(laws, actions)
        return (laws, new_values, jnp.max(jnp.abs(new_values - values))), None

    return jax.lax.scan(sweep, (laws, values, jnp.zeros((), values.dtype)), length=num_sweeps)[0]


def _block(mdp: FiniteMDP, grids: Grids, form: str, memory_limit: int | None) -> int | None:
    """How many states may be backed up at a time, None for all; refuses what not even one fits in."""
    itemsize, atoms = mdp.rewards.dtype.itemsize, grids.atoms.shape[0]
    law = grids.stocks.shape[0] * atoms
    laws = itemsize * mdp.num_states * law
    # Look-ups count in int32.
    takes = f"fewer than 2^31 numbers in [S, C, N]; {MOST_NUMBERS // (law // atoms * mdp.num_states)} atoms would fit"
    require("grids", mdp.num_states * law, lambda numbers: numbers <= MOST_NUMBERS, takes)
    countable = max(1, MOST_NUMBERS // (mdp.num_actions * law))
    one_state = itemsize * law * (mdp.num_actions if form == "integrated" else 4)
    if memory_limit is None:
        if form == "integrated":
            return None if mdp.num_states <= countable else countable
        memory_limit = laws * (1 + mdp.num_actions)
        return max(1, min((memory_limit - 2 * laws) // (2 * one_state), mdp.num_states))
    # Beside what all actions lead to: the loop's laws, before and after a sweep, and what they are gathered from.
    if memory_limit >= 4 * laws + mdp.num_states * one_state and mdp.num_states <= countable:
        return None
    # In blocks the old laws and the new ones stand side by side.
    least = 2 * laws + 2 * one_state
    fitting = memory_limit * atoms // least
    require(
        "memory_limit",
        memory_limit,
        lambda limit: limit >= least,
        f"at least {least} bytes for {atoms} atoms; {fitting} atoms would fit",
    )
    return min((memory_limit - 2 * laws) // (2 * one_state), countable)
