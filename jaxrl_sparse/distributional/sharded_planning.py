"""Value iteration whose stock axis lies on several devices, each with a halo of its neighbours' stocks.

A step moves a stock by at most `|c| (1 / gamma - 1) + |r| / gamma`, so that a device needs of its neighbours only as
many
columns of laws as that takes up. In every sweep the halos are exchanged, 2 h S N numbers a device, and the rest is
local:
the transition matrix is on every device.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from jaxrl_sparse.base import require
from jaxrl_sparse.distributional.backups import Shard
from jaxrl_sparse.distributional.grids import Grids, rounding, spacing
from jaxrl_sparse.distributional.objectives import Utility
from jaxrl_sparse.distributional.planning import FORMS, Plan, check_plan, choose_form
from jaxrl_sparse.finite.mdp import FiniteMDP


def sharded_value_iteration(
    mdp: FiniteMDP,
    grids: Grids,
    utility: Utility,
    num_sweeps: int,
    mesh: Mesh,
    *,
    form: str | None = None,
    stock_rounding: str = "linear",
    halo: int | None = None,
) -> Plan:
    """`value_iteration` over the devices of a mesh with one axis; the same numbers but for rounding.

    Args:
      mdp: with scalar rewards, concrete.
      grids: concrete; the number of stocks is a multiple of the number of devices.
      utility: of an `Objective`.
      num_sweeps: static, at least 1.
      mesh: with one axis, of type Auto: `jax.make_mesh((D,), ("stocks",), axis_types=(jax.sharding.AxisType.Auto,))`.
      form: as of `value_iteration`.
      stock_rounding: as of `value_iteration`.
      halo: h, stocks taken of each neighbour; None for `halo_size(mdp, grids)`, and fewer give wrong numbers.

    Returns:
      The plan; values, actions and laws lie on the devices by their stock axis.

    Raises:
      ValueError: as `value_iteration`, if the stocks cannot be split evenly, or if a halo is longer than a device's
        part.
    """
    check_plan(mdp, grids, utility, num_sweeps)
    make = FORMS[choose_form(form, utility)]
    require("mesh", mesh.axis_names, lambda names: len(names) == 1, "a mesh with one axis")
    (axis,) = mesh.axis_names
    devices, size = mesh.shape[axis], grids.stocks.shape[0]
    more = math.ceil(size / devices) * devices
    require(
        "grids.stocks", size, lambda n: n % devices == 0, f"a multiple of the {devices} devices, such as {more} stocks"
    )
    columns = size // devices
    halo = halo_size(mdp, grids) if halo is None else halo
    most = max(size // max(halo, 1), 1)
    require(
        "halo",
        halo,
        lambda h: 0 <= h <= columns,
        f"at most the {columns} stocks of a device; use {most} devices or fewer",
    )

    columns_of = PartitionSpec(None, axis)

    @partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(), PartitionSpec(axis)),
        out_specs=Plan(columns_of, columns_of, columns_of, PartitionSpec(), PartitionSpec(), PartitionSpec()),  # pyright: ignore
        check_vma=False,
    )
    def iterate(mdp: FiniteMDP, grids: Grids, stocks: Float[Array, "C_local"]) -> Plan:
        first = jax.lax.axis_index(axis) * columns - halo
        backup = make(mdp, grids, utility, stock_rounding, shard=Shard(stocks, first))

        def sweep(carry, _):
            laws, values, _, _ = carry
            laws, new_values, actions = backup.sweep(with_halo(laws, halo, axis, devices))
            return (laws, new_values, actions, jnp.max(jnp.abs(new_values - values))), None

        laws, values = backup.start()
        start = (laws, values, jnp.zeros(values.shape, jnp.int32), jnp.zeros((), values.dtype))
        (laws, values, actions, residual), _ = jax.lax.scan(sweep, start, length=num_sweeps)
        return Plan(values, actions, laws, jax.lax.pmax(residual, axis), jnp.int32(num_sweeps), backup.spacing)

    return jax.jit(iterate)(mdp, grids, grids.stocks)


def halo_size(mdp: FiniteMDP, grids: Grids) -> int:
    """The most grid cells between a stock and one that follows it: `max over c, r of |clip((c + r) / gamma) - c| /
    Delta`.

    Rounded up, which holds both neighbours of a stock between two.
    """
    stocks = np.asarray(grids.stocks, np.float64)
    possible = np.broadcast_to(np.asarray(mdp.probabilities) > 0, mdp.probabilities.shape)
    paid = np.broadcast_to(np.asarray(mdp.rewards), mdp.probabilities.shape)[possible]
    extremes = np.array([[paid.min()], [paid.max()]])
    following = np.clip((stocks + extremes) / float(mdp.discount), stocks[0], stocks[-1])
    return math.ceil(np.abs(following - stocks).max() / float(spacing(grids.stocks)) - rounding(grids.stocks))


def with_halo(laws: Float[Array, "S C_local N"], halo: int, axis: str, devices: int) -> Float[Array, "S C_wide N"]:
    """The laws of a device's stocks between `halo` columns of either neighbour; zeros where there is none.

    One more column of zeros at the end is there to be read with weight zero, by a stock that falls on the last one.
    """
    last = jnp.zeros_like(laws[:, :1])
    if halo == 0:
        return jnp.concatenate([laws, last], axis=1)
    up = [(i, i + 1) for i in range(devices - 1)]
    down = [(i + 1, i) for i in range(devices - 1)]
    below = jax.lax.ppermute(laws[:, -halo:], axis, up)
    above = jax.lax.ppermute(laws[:, :halo], axis, down)
    return jnp.concatenate([below, laws, above, last], axis=1)
