"""The inner maximum against brute force, and both methods against each other."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.exploration.reward_free.pseudo_values import largest_uncertainty

STATES, ACTIONS, FEATURES = 4, 2, 3


def problem(seed):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(STATES, ACTIONS, STATES, FEATURES))
    return jnp.asarray(table), jnp.asarray(rng.normal(size=(FEATURES, FEATURES)))


def maximise(table, root, method):
    run = jax.jit(largest_uncertainty, static_argnums=2, compiler_options=QUICK_TO_COMPILE)
    return jax.tree.map(np.asarray, run(table, root, method))


def l2(table, root, functions):
    return np.linalg.norm(np.einsum("sati,sat->sai", table, functions) @ root, axis=-1)


@pytest.mark.parametrize("seed", range(3))
def test_vertices_are_exact(seed):
    with jax.enable_x64(True):
        table, root = problem(seed)
        largest, functions = maximise(table, root, "vertices")
        corners = np.array(list(itertools.product([0.0, 1.0], repeat=STATES)))
        every = [l2(table, root, np.broadcast_to(f, (STATES, ACTIONS, STATES))) for f in corners]
        np.testing.assert_allclose(largest, np.max(every, axis=0), rtol=1e-12)
        np.testing.assert_allclose(l2(table, root, functions), largest, rtol=1e-12)
        inside = np.random.default_rng(9).random((200, STATES, ACTIONS, STATES))
        assert max((l2(table, root, f) / largest).max() for f in inside) <= 1


@pytest.mark.parametrize("seed", range(3))
def test_signs_are_exact_in_l1_and_within_sqrt_d_in_l2(seed):
    with jax.enable_x64(True):
        table, root = problem(seed)
        exact, _ = maximise(table, root, "vertices")
        bound, functions = maximise(table, root, "signs")
        corners = np.array(list(itertools.product([0.0, 1.0], repeat=STATES)))
        l1 = np.abs(np.einsum("sati,nt->nsai", table, corners) @ root).sum(-1).max(0)
        np.testing.assert_allclose(bound, l1, rtol=1e-12)
        found = l2(table, root, functions)
        assert (found <= exact + 1e-12).all()
        assert (exact <= FEATURES**0.5 * found + 1e-12).all()
        assert (bound >= exact - 1e-12).all()


def test_too_many_patterns_are_refused():
    with pytest.raises(ValueError, match="inner_maximum=vertices: number of states: got 13, takes at most 12"):
        largest_uncertainty(jnp.zeros((13, 1, 13, 2)), jnp.eye(2), "vertices")
    with pytest.raises(ValueError, match="inner_maximum: got 'lp', takes one of vertices, signs"):
        largest_uncertainty(jnp.zeros((2, 1, 2, 2)), jnp.eye(2), "lp")
