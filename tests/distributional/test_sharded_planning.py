"""The stock axis on four devices against one device, in a process that is given four."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.distributional.grids import Grids
from jaxrl_sparse.distributional.objectives import cvar, probability
from jaxrl_sparse.distributional.planning import value_iteration
from jaxrl_sparse.distributional.sharded_planning import halo_size, sharded_value_iteration
from jaxrl_sparse.finite.mdp import finite_mdp

NUM_SWEEPS = 6
# Rewards up to three cells: a halo of three.
REWARDS = np.random.default_rng(0).integers(-3, 4, size=(6, 2))
GRIDS = Grids(jnp.arange(-20.0, 20.0), jnp.arange(-18.0, 19.0))


def small_mdp(discount=1.0):
    probabilities = np.random.default_rng(1).dirichlet(np.ones(6), size=(6, 2))
    return finite_mdp(probabilities, REWARDS, discount)


def make_mesh(devices):
    return jax.make_mesh((devices,), ("stocks",), axis_types=(jax.sharding.AxisType.Auto,))


def test_halo_is_the_longest_move_of_a_clipped_stock():
    assert halo_size(small_mdp(), GRIDS) == np.abs(REWARDS).max()
    # From 17 the stock goes to (17 + 3) / .9, clipped to 19; from -14 to (-14 - 3) / .9 = -18.9, five cells rounded up.
    assert halo_size(small_mdp(0.9), GRIDS) == 5


def test_one_device_is_enough():
    mdp, utility = small_mdp(), cvar(0.5).utility
    alone = value_iteration(mdp, GRIDS, utility, NUM_SWEEPS)
    sharded = sharded_value_iteration(mdp, GRIDS, utility, NUM_SWEEPS, make_mesh(1))
    for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(sharded), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_refuses_what_cannot_be_split():
    mdp, utility, mesh = small_mdp(), cvar(0.5).utility, make_mesh(1)
    with pytest.raises(ValueError, match="halo: got 41, takes at most the 40 stocks of a device; use 1 devices"):
        sharded_value_iteration(mdp, GRIDS, utility, NUM_SWEEPS, mesh, halo=41)
    both = jax.make_mesh((1, 1), ("a", "b"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    with pytest.raises(ValueError, match="mesh"):
        sharded_value_iteration(mdp, GRIDS, utility, NUM_SWEEPS, both)


@pytest.mark.slow
def test_four_devices():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["compared", "4"]


def compare():
    """Four devices agree with one, and a halo one cell short does not."""
    mdp, mesh = small_mdp(), make_mesh(4)
    halo = halo_size(mdp, GRIDS)
    for utility in (cvar(0.5).utility, probability(3.0).utility):
        alone = value_iteration(mdp, GRIDS, utility, NUM_SWEEPS)
        sharded = sharded_value_iteration(mdp, GRIDS, utility, NUM_SWEEPS, mesh)
        assert len(sharded.values.sharding.device_set) == 4
        for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(sharded), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
        short = sharded_value_iteration(mdp, GRIDS, utility, NUM_SWEEPS, mesh, halo=halo - 1)
        assert np.abs(np.asarray(short.values) - np.asarray(alone.values)).max() > 0.1
    uneven = Grids(jnp.arange(-19.0, 20.0), GRIDS.atoms)
    try:
        sharded_value_iteration(mdp, uneven, utility, NUM_SWEEPS, mesh)
    except ValueError as error:
        assert "a multiple of the 4 devices, such as 40 stocks" in str(error)
    else:
        raise AssertionError("39 stocks on 4 devices")
    print("compared", len(jax.devices()))


if __name__ == "__main__":
    compare()
