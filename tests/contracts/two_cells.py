"""Two cells of a sweep in two executables, and the oracles that hold for every algorithm, taken from these alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.base import strong_types
from jaxrl_sparse.training import train, train_up_to

MAX_UPDATES = 4


class TwoCells:
    """`init` and a chunk (with `evaluate` at its end) of two cells of `make(config, inputs)`, each compiled once.

    Args:
      make: `(config, inputs) -> Algorithm`, as sweeps take it.
      configs: two configurations of one static group.
      inputs: arrays; with a leading axis of two cells unless `same_inputs`.
    """

    def __init__(self, make, configs, inputs, same_inputs=True):
        self.traces = 0
        self.inputs, self.same_inputs = inputs, same_inputs
        self.configs = jax.tree.map(lambda *floats: np.asarray(floats, np.float32), *configs)
        axis = None if same_inputs else 0

        def init(config, inputs, key):
            return strong_types(make(config, inputs).init(key))

        def chunk(config, inputs, state, step, num_updates, key):
            self.traces += 1
            algorithm = make(config, inputs)
            state, metrics = train_up_to(algorithm, state, num_updates, step, MAX_UPDATES)
            return state, metrics, strong_types(algorithm.evaluate(state, key))

        self.init = jax.jit(jax.vmap(init, in_axes=(0, axis, 0)))
        self.chunk = jax.jit(jax.vmap(chunk, in_axes=(0, axis, 0, None, None, 0)))

    def start(self, keys, configs=None, inputs=None):
        configs = self.configs if configs is None else configs
        return self.init(configs, self.inputs if inputs is None else inputs, fresh_keys(keys))

    def go_on(self, state, step, num_updates, configs=None, inputs=None, evaluation_keys=None):
        configs = self.configs if configs is None else configs
        inputs = self.inputs if inputs is None else inputs
        keys = seeds(99) if evaluation_keys is None else evaluation_keys
        return self.chunk(configs, inputs, again(state), jnp.int32(step), jnp.int32(num_updates), fresh_keys(keys))

    def run(self, keys, num_updates, configs=None, inputs=None):
        """`(state, metrics of every update, last evaluation)` after chunks from the start."""
        state, rows, evaluation = self.start(keys, configs, inputs), [], None
        for step in range(0, num_updates, MAX_UPDATES):
            count = min(MAX_UPDATES, num_updates - step)
            state, metrics, evaluation = self.go_on(state, step, count, configs, inputs)
            rows.append(first_rows(metrics, count))
        return state, joined(rows), evaluation


def first_rows(metrics, count):
    """The metrics of the first updates of a chunk. In numpy, as all below: what is not jitted compiles leaf by leaf."""
    return jax.tree.map(lambda leaf: leaf[:, :count], plain(metrics))


def joined(rows):
    """Metrics of chunks in a row as those of one."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *rows)


def seeds(seed):
    """The data of two keys, as numpy: the oracles take these, to start twice from what nobody else may use twice."""
    return np.array([[seed, 0], [seed, 1]], np.uint32)


def fresh_keys(data):
    return jax.random.wrap_key_data(jnp.asarray(data))


def again(tree):
    """The tree with its keys cloned."""
    return jax.tree.map(lambda leaf: jax.random.clone(leaf) if _is_key(leaf) else leaf, tree)


@functools.partial(jax.jit, static_argnames=("make",))
def single_run(make, config, inputs, key):
    """The state after one chunk of a run that nobody vmapped."""
    algorithm = make(config, inputs)
    state, _ = train(algorithm, algorithm.init(fresh_keys(key)), MAX_UPDATES)
    return state


def plain(tree):
    """The tree as numpy arrays, keys as their data."""
    return jax.tree.map(lambda leaf: jax.device_get(jax.random.key_data(leaf) if _is_key(leaf) else leaf), tree)


def unplain(leaves, like):
    """The tree like another one whose leaves `plain` had made numpy arrays."""
    wrapped = [
        jax.random.wrap_key_data(jnp.asarray(leaf)) if _is_key(model) else jnp.asarray(leaf)
        for leaf, model in zip(leaves, jax.tree.leaves(like), strict=True)
    ]
    return jax.tree.unflatten(jax.tree.structure(like), wrapped)


def _is_key(leaf):
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def assert_identical(first, second):
    """Bit for bit; NaN equals NaN."""
    jax.tree.map(np.testing.assert_array_equal, plain(first), plain(second))


def cell(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], plain(tree))


def swapped(tree):
    return jax.tree.map(lambda leaf: leaf[::-1], plain(tree))


def twice(tree, index):
    return jax.tree.map(lambda leaf: np.stack([leaf[index]] * 2), plain(tree))


def assert_close(first, second):
    """Equal up to the rounding of another order of operations."""
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), plain(first), plain(second))


def differing_leaves(tree):
    """Paths of the leaves on which the two cells differ."""
    leaves = jax.tree_util.tree_leaves_with_path(plain(tree))
    return {jax.tree_util.keystr(path) for path, leaf in leaves if not _same(leaf[0], leaf[1])}


def _same(first, second):
    return np.array_equal(first, second, equal_nan=np.issubdtype(first.dtype, np.floating))


def assert_state_can_be_saved(state):
    """No leaf of size zero, none weakly typed, every leaf an array: what checkpoints ask of a state."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        name = jax.tree_util.keystr(path)
        assert isinstance(leaf, jax.Array) and leaf.size > 0, name
        assert _is_key(leaf) or not leaf.weak_type, name


def assert_equal_keys_make_equal_cells(cells, num_updates):
    """Two cells of one key, one configuration and the same inputs do not differ in a single bit."""
    inputs = cells.inputs if cells.same_inputs else twice(cells.inputs, 0)
    keys = twice(seeds(0), 0)
    state, metrics, _ = cells.run(keys, num_updates, twice(cells.configs, 0), inputs)
    assert not differing_leaves((state, metrics))


def assert_keys_reach_every_random_part(cells, random_parts):
    """Two keys make two initial states that differ in each of the parts that are drawn.

    Args:
      random_parts: paths of leaves, as `jax.tree_util.keystr` writes them.
    """
    inputs = cells.inputs if cells.same_inputs else twice(cells.inputs, 0)
    state = cells.start(seeds(1), twice(cells.configs, 0), inputs)
    assert set(random_parts) <= differing_leaves(state), set(random_parts) - differing_leaves(state)


def assert_swapped_cells_swap_results(cells, keys, num_updates):
    """Swapping keys, configurations and inputs swaps states and metrics, to the last bit."""
    straight = cells.run(keys, num_updates)[:2]
    inputs = cells.inputs if cells.same_inputs else swapped(cells.inputs)
    assert_identical(swapped(straight), cells.run(keys[::-1], num_updates, swapped(cells.configs), inputs)[:2])
    return straight


def assert_swept_floats_matter(cells, num_updates):
    """Two cells of one key that differ in a swept float alone end apart."""
    inputs = cells.inputs if cells.same_inputs else twice(cells.inputs, 0)
    state, _, _ = cells.run(twice(seeds(0), 0), num_updates, inputs=inputs)
    assert differing_leaves(state)


def assert_resumed_equals_uninterrupted(cells, keys, num_updates, save, load):
    """A run that was saved and loaded after an uneven number of updates goes on bit for bit, metrics and all."""
    state, metrics, evaluation = cells.run(keys, num_updates)
    middle, first, _ = cells.run(keys, num_updates - MAX_UPDATES + 1)
    save(middle)
    resumed, last, resumed_evaluation = cells.go_on(load(middle), num_updates - MAX_UPDATES + 1, MAX_UPDATES - 1)
    assert_identical(resumed, state)
    assert_identical(resumed_evaluation, evaluation)
    assert_identical(joined([first, first_rows(last, MAX_UPDATES - 1)]), metrics)


def assert_evaluation_is_held_out(cells, state):
    """`evaluate` depends on the caller's key alone: no update runs, the state stays, equal keys give equal figures."""
    keys = seeds(7)
    same, _, first = cells.go_on(state, 0, 0, evaluation_keys=keys)
    _, _, repeated = cells.go_on(state, 5, 0, evaluation_keys=keys)
    assert_identical(same, state)
    assert_identical(first, repeated)
    # The state's own keys play no part in it.
    rekeyed = jax.tree.map(lambda leaf: fresh_keys(seeds(123)) if _is_key(leaf) else leaf, state)
    _, _, of_other_state_keys = cells.go_on(rekeyed, 0, 0, evaluation_keys=keys)
    assert_identical(first, of_other_state_keys)
    return first


def assert_never_retraced(cells):
    """Chunks, lengths, steps, keys and swept floats were all arguments: the chunk was traced once."""
    assert cells.traces == 1
