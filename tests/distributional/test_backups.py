"""One sweep in both forms against its definition in numpy, and what a sweep of any size may take and may not change."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.distributional.backups import categorical_backup, greedy, integrated_backup
from jaxrl_sparse.distributional.grids import Grids
from jaxrl_sparse.distributional.objectives import cvar, piecewise_linear, probability, signed_power
from jaxrl_sparse.distributional.return_distributions import integrated_cdf_to_probs
from jaxrl_sparse.finite.mdp import FiniteMDP, finite_mdp, successor_table, transition_matrix

quick = partial(jax.jit, compiler_options=QUICK_TO_COMPILE)
NUM_STATES, NUM_ACTIONS, NUM_OUTCOMES, NUM_SWEEPS = 5, 3, 2, 4
LEFT, RIGHT = 2.0, 0.5


def process(kind, seed=0):
    """Dense or sparse, with rewards of the action or of the outcome; state 3 ends."""
    rng = np.random.default_rng(seed)
    width = NUM_OUTCOMES if "sparse" in kind else NUM_STATES
    shape = (NUM_STATES, NUM_ACTIONS, width)
    rewards = rng.uniform(-1, 1, size=shape if "outcome" in kind else shape[:2])
    successors = rng.integers(NUM_STATES, size=shape) if "sparse" in kind else None
    terminal = np.arange(NUM_STATES) == 3
    return finite_mdp(
        rng.dirichlet(np.ones(width), size=shape[:2]), rewards, 0.8, terminal=terminal, successors=successors
    )


def aligned(num_stocks=25, num_atoms=49):
    """Returns are in [-5, 5]; every other atom is the negative of a stock."""
    dtype = jnp.result_type(float)
    return Grids(jnp.linspace(-6, 6, num_stocks, dtype=dtype), jnp.linspace(-6, 6, num_atoms, dtype=dtype))


def interpolation(positions, grid, rounding="linear"):
    """Weights `[..., size]` of a grid's points for clipped positions."""
    cells = np.clip((positions - grid[0]) / (grid[1] - grid[0]), 0, len(grid) - 1)
    cells = np.ceil(cells - 0.5 - 1e-9) if rounding == "nearest" else cells
    return np.clip(1 - np.abs(cells[..., None] - np.arange(len(grid))), 0, 1)


def probs_of(backup, laws):
    return laws if backup.spacing is None else integrated_cdf_to_probs(laws, backup.spacing)


def sweep_in_numpy(mdp, grids, f, laws, rounding="linear", actions=None):
    """The definition, one (s, a) at a time: successors' laws mixed, moved and projected; Q by a sum over atoms."""
    probabilities, gamma = np.asarray(mdp.probabilities, float), float(mdp.discount)
    rewards = np.broadcast_to(np.asarray(mdp.rewards, float), probabilities.shape)
    successors = np.asarray(successor_table(mdp))
    stocks, atoms = (np.asarray(grid, float) for grid in grids)
    utilities = np.asarray(f(jnp.asarray(stocks[:, None] + atoms)), float)
    new, values = np.zeros_like(laws), np.zeros(laws.shape[:2])
    chosen = np.zeros(laws.shape[:2], int)
    for s in range(len(laws)):
        if mdp.terminal[s]:
            new[s], values[s] = interpolation(np.zeros(1), atoms), f(jnp.asarray(stocks))
            continue
        backed_up = []
        for a in range(probabilities.shape[1]):
            total = np.zeros(laws.shape[1:])
            for p, r, s_next in zip(probabilities[s, a], rewards[s, a], successors[s, a], strict=True):
                mixed = interpolation((stocks + r) / gamma, stocks, rounding) @ laws[s_next]
                total += p * mixed @ interpolation(r + gamma * atoms, atoms)
            backed_up.append(total)
        action_values = np.array([(law * utilities).sum(-1) for law in backed_up])
        chosen[s] = action_values.argmax(0) if actions is None else actions[s]
        new[s] = np.take_along_axis(np.array(backed_up), chosen[s][None, :, None], 0)[0]
        values[s] = np.take_along_axis(action_values, chosen[s][None], 0)[0]
    return new, values, chosen


def swept_in_numpy(mdp, grids, f, rounding="linear"):
    laws = np.broadcast_to(
        interpolation(np.zeros(1), np.asarray(grids.atoms, float)), (mdp.num_states, *map(len, grids))
    )
    for _ in range(NUM_SWEEPS):
        laws, values, actions = sweep_in_numpy(mdp, grids, f, laws, rounding)
    return laws, values, actions


def swept(make, mdp, grids, utility, rounding="linear", block=None):
    """Probabilities, values and actions after some sweeps."""

    def sweeps(mdp, grids):
        backup = make(mdp, grids, utility, rounding, block)
        laws, values = backup.start()
        start = (laws, values, jnp.zeros(values.shape, jnp.int32))
        laws, values, actions = jax.lax.fori_loop(0, NUM_SWEEPS, lambda _, carry: backup.sweep(carry[0]), start)
        return probs_of(backup, laws), values, actions

    return quick(sweeps)(mdp, grids)


# Every kind of process and rounding, in blocks that leave a remainder and without.
CASES = [
    ("dense", "linear", 2),
    ("sparse", "nearest", 2),
    ("dense outcome", "nearest", None),
    ("sparse outcome", "linear", 2),
]


@pytest.mark.parametrize("make", [integrated_backup, categorical_backup])
@pytest.mark.parametrize(("kind", "rounding", "block"), CASES)
def test_both_forms_are_the_definition(make, kind, rounding, block):
    """And so they equal each other, on aligned grids, where a projection keeps piecewise linear utilities."""
    mdp, utility = process(kind), piecewise_linear("two slopes", LEFT, RIGHT)
    laws, values, actions = swept_in_numpy(mdp, aligned(), utility.f, rounding)
    ours = swept(make, mdp, aligned(), utility, rounding, block)
    np.testing.assert_allclose(ours[0], laws, atol=1e-4)
    np.testing.assert_allclose(ours[1], values, atol=1e-4)
    np.testing.assert_array_equal(ours[2], actions)


@pytest.mark.parametrize("make", [integrated_backup, categorical_backup])
def test_both_forms_are_the_definition_to_ten_digits_in_double_precision(make):
    with jax.enable_x64(True):
        mdp, utility = process("sparse outcome", seed=3), piecewise_linear("two slopes", LEFT, RIGHT)
        expected = swept_in_numpy(mdp, aligned(), utility.f)
        ours = swept(make, mdp, aligned(), utility)
        assert ours[0].dtype == ours[1].dtype == jnp.float64
        for one, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-10)


def test_utilities_without_slopes_have_the_categorical_form():
    mdp, utility = process("sparse outcome"), signed_power(0.5).utility
    laws, values, actions = swept_in_numpy(mdp, aligned(), utility.f)
    ours = swept(categorical_backup, mdp, aligned(), utility)
    np.testing.assert_allclose(ours[0], laws, atol=1e-4)
    np.testing.assert_allclose(ours[1], values, atol=1e-4)
    np.testing.assert_array_equal(ours[2], actions)
    with pytest.raises(ValueError, match="utility: got 'probability', takes a piecewise linear one for this form"):
        integrated_backup(mdp, aligned(), probability(1.0).utility)


@pytest.mark.parametrize("make", [integrated_backup, categorical_backup])
def test_given_actions_are_backed_up_and_valued(make):
    mdp, grids, utility = process("dense"), aligned(), cvar(0.5).utility
    rng = np.random.default_rng(4)
    actions = rng.integers(NUM_ACTIONS, size=(NUM_STATES, 25)) * ~np.asarray(mdp.terminal)[:, None]
    before = rng.dirichlet(np.ones(9), size=(NUM_STATES, 25)).astype(np.float32)
    # Laws in the middle of the atoms, so that none is moved beyond them.
    before = np.pad(before, ((0, 0), (0, 0), (20, 20)))

    def sweep(mdp, actions, before):
        backup = make(mdp, grids, utility)
        laws = before
        if make is integrated_backup:
            laws = jnp.einsum("scn,kn->sck", before, jnp.maximum(grids.atoms[:, None] - grids.atoms, 0))
        laws, values, followed = backup.sweep(laws, actions)
        return probs_of(backup, laws), values, followed

    ours = quick(sweep)(mdp, jnp.asarray(actions, jnp.int32), jnp.asarray(before))
    expected = sweep_in_numpy(mdp, grids, utility.f, before, actions=actions)
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_sweep_of_forty_thousand_rows_is_that_of_numpy():
    """S A C = 40,400 rows of [N]: XLA has been seen to compile products with more than 32,768 of them wrongly."""
    num_states, num_actions, num_stocks, num_atoms = 100, 4, 101, 51
    rng = np.random.default_rng(5)
    probabilities = rng.dirichlet(np.ones(num_states), size=(num_states, num_actions))
    rewards = rng.uniform(-0.5, 0.5, size=(num_states, num_actions))
    mdp = finite_mdp(probabilities, rewards, 0.9)
    # Returns are in [-5, 5], and every stock there is the negative of an atom.
    grids = Grids(jnp.linspace(-10, 10, num_stocks), jnp.linspace(-5, 5, num_atoms))
    stocks, atoms = (np.asarray(grid, float) for grid in grids)
    # Batched products with banded matrices: [S, A, C, C] and [S, A, N, N].
    to_stock = interpolation((stocks + rewards[..., None]) / 0.9, stocks)
    to_atoms = interpolation(rewards[..., None] + 0.9 * atoms, atoms)
    utilities = np.minimum(stocks[:, None] + atoms, 0)
    laws = np.broadcast_to(interpolation(np.zeros(1), atoms), (num_states, num_stocks, num_atoms))
    for _ in range(NUM_SWEEPS):
        mixed = (probabilities.reshape(-1, num_states) @ laws.reshape(num_states, -1)).reshape(
            num_states, num_actions, num_stocks, num_atoms
        )
        moved = to_stock @ mixed @ to_atoms
        action_values = (moved * utilities).sum(-1)
        # The first of equal actions, but for float32's rounding: their laws differ, and the next sweep with them.
        chosen = (action_values >= action_values.max(1, keepdims=True) - 1e-5).argmax(1)
        laws = np.take_along_axis(moved, chosen[:, None, :, None], 1)[:, 0]
    values = action_values.max(1)

    def sweeps(make, mdp, grids):
        backup = make(mdp, grids, cvar(0.1).utility)
        step = lambda _, carry: backup.sweep(carry[0])[:2]  # noqa: E731
        laws, values = jax.lax.fori_loop(0, NUM_SWEEPS, step, backup.start())
        return probs_of(backup, laws), values

    # As users compile it.
    for make in (integrated_backup, categorical_backup):
        ours = jax.jit(partial(sweeps, make))(mdp, grids)
        np.testing.assert_allclose(ours[1], values, atol=2e-4)
        # Where two actions are equally good but for rounding, either law is right.
        gaps = np.diff(np.sort(action_values, axis=1)[:, -2:], axis=1)[:, 0]
        np.testing.assert_allclose(np.asarray(ours[0])[gaps > 1e-3], laws[gaps > 1e-3], atol=3e-3)


def test_memory_is_that_of_the_laws_and_of_all_actions_laws():
    """4 (S C N + S A C N) bytes, and a tenth more, for what goes in and what is needed between."""
    num_states, num_actions, num_stocks, num_atoms = 100, 4, 101, 51

    def shape(*sizes):
        return jax.ShapeDtypeStruct(sizes, jnp.float32)

    table = shape(num_states, num_actions, num_states)
    ends = jax.ShapeDtypeStruct((num_states,), jnp.bool_)
    mdp = FiniteMDP(table, shape(num_states, num_actions, 1), shape(), ends, shape(num_states))
    laws = shape(num_states, num_stocks, num_atoms)

    def sweep(laws, mdp, grids):
        return integrated_backup(mdp, grids, cvar(0.1).utility).sweep(laws)

    compiled = jax.jit(sweep, donate_argnums=0).lower(laws, mdp, Grids(shape(num_stocks), shape(num_atoms))).compile()
    analysis = compiled.memory_analysis()
    assert analysis is not None
    size_of_laws = 4 * num_states * num_stocks * num_atoms
    taken = analysis.temp_size_in_bytes + size_of_laws
    assert taken <= 1.1 * size_of_laws * (1 + num_actions), taken / size_of_laws


def test_of_equal_actions_the_first_is_taken_and_rounding_makes_none_better():
    values = np.zeros((1, 3, 4), np.float32)
    values[0, :, 1] = (1.0, 1.0 + 1e-6, 1.0)
    values[0, :, 2] = (1.0, 1.1, 1.1)
    values[0, :, 3] = (-1e6, -1e6 * (1 + 1e-6), -2e6)
    np.testing.assert_array_equal(greedy(jnp.asarray(values)), [[0, 0, 1, 0]])
    # Three actions that differ in name alone.
    mdp = finite_mdp(np.ones((1, 3, 1)), [[0.3, 0.3, 0.3]], 0.9)
    for make in (integrated_backup, categorical_backup):
        np.testing.assert_array_equal(swept(make, mdp, aligned(), cvar(0.5).utility)[2], 0)


def test_a_batch_of_processes_and_slopes_is_swept_as_each():
    kind, count = "sparse outcome", 3
    mdps = [process(kind, seed) for seed in range(count)]
    slopes = jnp.array([[1.0, 0.0], [1.0, -1.0], [2.0, 0.5]])

    def sweep(mdp, slopes):
        backup = integrated_backup(mdp, aligned(), piecewise_linear("swept", slopes[0], slopes[1]))
        laws, _, _ = backup.sweep(backup.start()[0])
        return backup.sweep(laws)

    together = quick(jax.vmap(sweep))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *mdps), slopes)
    alone = quick(sweep)
    for i in range(count):
        for one, other in zip(together, alone(mdps[i], slopes[i]), strict=True):
            np.testing.assert_allclose(one[i], other, atol=1e-5)


@pytest.mark.parametrize("make", [integrated_backup, categorical_backup])
def test_unknown_roundings_are_refused(make):
    with pytest.raises(ValueError, match="stock_rounding: got 'up', takes one of linear, nearest"):
        make(process("dense"), aligned(), cvar(0.5).utility, "up")


def test_dense_and_sparse_forms_of_one_process_have_one_sweep():
    sparse = process("sparse", seed=7)
    dense = sparse._replace(probabilities=transition_matrix(sparse), successors=None)
    for one, other in zip(
        *(swept(integrated_backup, mdp, aligned(), cvar(0.5).utility) for mdp in (sparse, dense)), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_the_start_is_a_return_of_zero():
    mdp, grids = process("dense"), aligned()
    laws, values = categorical_backup(mdp, grids, cvar(0.5).utility).start()
    integrated, _ = integrated_backup(mdp, grids, cvar(0.5).utility).start()
    np.testing.assert_allclose(integrated_cdf_to_probs(integrated, 0.25), laws, atol=1e-5)
    np.testing.assert_array_equal(laws.sum(-1), 1)
    np.testing.assert_array_equal(np.asarray(laws)[..., 24], 1)
    np.testing.assert_array_equal(values, np.broadcast_to(np.minimum(grids.stocks, 0), (NUM_STATES, 25)))
