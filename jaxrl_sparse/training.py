"""Running an `Algorithm`: a scan of its updates, pure, resumable by calling it again."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxrl_sparse.base import Algorithm, Metrics, PyTree, is_count, require, strong_types


def train(algorithm: Algorithm, state: PyTree, num_updates: int, step: int | Array = 0) -> tuple[PyTree, Metrics]:
    """Applies `num_updates` updates in one scan: `state, metrics[i] = update(state, step + i)`.

    Going on is the same call with `step` raised by `num_updates`. To sweep, make the algorithm inside the traced
    function and batch everything but `step`:

        def chunk(config, inputs, state, step):
            return train(make(config, inputs), state, 10, step)

        jax.jit(jax.vmap(chunk, in_axes=(0, None, 0, None)))

    Args:
      algorithm: what to run.
      state: from `algorithm.init`, or from an earlier call.
      num_updates: static, at least 1.
      step: number of the first update, an int32 scalar that is never batched.

    Returns:
      The state after the last update, and the metrics of every update with a leading axis `[num_updates]`.

    Raises:
      ValueError: if `num_updates` is less than 1.
    """
    require("num_updates", num_updates, is_count, "an integer of at least 1")
    steps = jnp.asarray(step, jnp.int32) + jnp.arange(num_updates, dtype=jnp.int32)
    state, metrics = jax.lax.scan(algorithm.update, strong_types(state), steps)
    return strong_types(state), metrics


def train_up_to(
    algorithm: Algorithm,
    state: PyTree,
    num_updates: int | Array,
    step: int | Array,
    max_updates: int,
    budget: tuple[str, int | Array] | None = None,
) -> tuple[PyTree, Metrics]:
    """Like `train`, with a number of updates that is known only at run time: one executable for every chunk of a run.

    A last chunk that is shorter, or a chunk cut to hold a time, must not compile again, nor may it compute other bits
    than the long one: XLA unrolls loops of known short length, this one it cannot. For the same reason a budget ends
    the loop inside: where a run stops must not depend on how it was cut into chunks.

    Args:
      algorithm: what to run.
      state: from `algorithm.init`, or from an earlier call.
      num_updates: int32 scalar, never batched, in [0, max_updates].
      step: number of the first update, an int32 scalar that is never batched.
      max_updates: static; the metrics are of this length.
      budget: `(word, amount)`: no update begins once `sum(metrics[word])` of this call has reached the amount, an int32
        scalar that is never batched. None: all updates are done. Not for a vmapped chunk, whose cells may spend
        differently: the loop's condition, and with it the step, would become batched.

    Returns:
      The state after the last update, and the metrics with a leading axis `[max_updates]` whose rows are zero from the
      first update on that was not done.

    Raises:
      ValueError: if `max_updates` is less than 1, or if the algorithm has no metric of the budget's word.
    """
    require("max_updates", max_updates, is_count, "an integer of at least 1")
    state = strong_types(state)
    step = jnp.asarray(step, jnp.int32)
    row = jax.eval_shape(lambda s: strong_types(algorithm.update(s, step)[1]), state)
    rows = jax.tree.map(lambda leaf: jnp.zeros((max_updates, *leaf.shape), leaf.dtype), row)

    word, amount = (None, 0) if budget is None else budget
    require("budget", word, lambda w: w is None or w in rows, f"one of the metrics {sorted(rows)}, and an amount")

    def goes_on(carry):
        i, left, _ = carry
        return (i < num_updates) & ((left > 0) | (word is None))

    def body(carry):
        i, left, (state, rows) = carry
        state, metrics = algorithm.update(state, step + i)
        metrics = strong_types(metrics)
        rows = jax.tree.map(lambda all_rows, new: all_rows.at[i].set(new), rows, metrics)
        # Counted down: a sum of what was spent could overflow, this cannot.
        left = left if word is None else left - metrics[word].astype(jnp.int32)
        return i + 1, left, (strong_types(state), rows)

    start = (jnp.zeros((), jnp.int32), jnp.asarray(amount, jnp.int32), (state, rows))
    _, _, (state, rows) = jax.lax.while_loop(goes_on, body, start)
    return state, rows
