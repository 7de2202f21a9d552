"""The host loop: jitted chunks of updates until a budget is spent or a signal arrives.

Everything that is counted or written happens between two chunks; inside them only `train_up_to` runs. The number of
updates of a chunk is an argument, not a shape, so that chunks of any length, the last one included, are one executable
and the bits of a run do not depend on how long its chunks were.
"""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_sparse.base import ENVIRONMENT_STEPS, EVALUATIONS, Algorithm, PyTree, is_count, require, strong_types
from jaxrl_sparse.training import train_up_to

Make = Callable[[Any, PyTree], Algorithm]
Row = dict[str, Any]

COUNTED = (EVALUATIONS, ENVIRONMENT_STEPS)
LARGEST_INT32 = np.iinfo(np.int32).max


class Position(NamedTuple):
    """Where a run stands.

    Attributes:
      updates: how many have been done; also the number of the next one.
      evaluations: spent so far, a Python integer that does not overflow.
      environment_steps: likewise.
    """

    updates: int = 0
    evaluations: int = 0
    environment_steps: int = 0

    def spent(self, word: str) -> int:
        """The total of `"evaluations"` or `"environment_steps"`."""
        return getattr(self, word)


START = Position()


class Chunk(NamedTuple):
    """What one chunk did.

    Attributes:
      rows: a mapping for each update, from the words of the metrics to Python numbers; `step` is the number of the
        update, and `evaluations` and `environment_steps` are totals since the run began.
      position: after the chunk.
      seconds: wall time of the chunk.
    """

    rows: list[Row]
    position: Position
    seconds: float


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
      state: the algorithm's.
      position: where it stopped.
      interrupted: the signal that stopped it, None where the budget is spent.
    """

    state: PyTree
    position: Position
    interrupted: signal.Signals | None


@partial(jax.jit, static_argnames=("make",))
def initialize(make: Make, config: Any, inputs: PyTree, key: jax.Array) -> PyTree:
    """The state of `make(config, inputs)` before its first update, with strong dtypes."""
    return strong_types(make(config, inputs).init(key))


@partial(jax.jit, static_argnames=("make", "max_updates", "word"), donate_argnames=("state",))
def run_chunk(
    make: Make,
    config: Any,
    inputs: PyTree,
    state: PyTree,
    step: jax.Array,
    num_updates: jax.Array,
    amount: jax.Array,
    *,
    max_updates: int,
    word: str,
) -> tuple[PyTree, dict[str, jax.Array]]:
    """Updates until `num_updates` are done or `amount` of `word` is spent; the state's memory is reused."""
    return train_up_to(make(config, inputs), state, num_updates, step, max_updates, budget=(word, amount))


def run_loop(
    make: Make,
    config: Any,
    inputs: PyTree,
    state: PyTree,
    *,
    budget: int,
    budget_word: str = EVALUATIONS,
    position: Position = START,
    on_chunk: Callable[[Chunk], None] = lambda chunk: None,
    on_compiled: Callable[[], None] = lambda: None,
    save: Callable[[PyTree, Position], None] = lambda state, position: None,
    save_seconds: float = 30.0,
    chunk_seconds: float = 1.0,
    max_updates: int = 1024,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Updates an algorithm until its budget is spent.

    The length of the chunks follows the clock; results do not depend on it. SIGINT (Ctrl-C) and SIGTERM end the run
    after the chunk that is under way, with a save; a second Ctrl-C raises `KeyboardInterrupt`. Outside the main thread,
    where Python takes no signals, the loop goes without.

    Args:
      make: `make(config, inputs) -> Algorithm`, called inside the traced function. The same function again (by
        identity) does not compile again.
      config: a dataclass made by `jaxrl_sparse.base.config`; its floats are arguments of the compiled chunk.
      inputs: a pytree of arrays: environment parameters, datasets.
      state: from `initialize`, or from a checkpoint. Its memory is donated: use the outcome's instead.
      budget: the run ends with the first update at which the total of `budget_word` reaches it.
      budget_word: `"evaluations"` or `"environment_steps"`, a metric of the algorithm.
      position: where the state stands.
      on_chunk: called after every chunk.
      on_compiled: called once before the first chunk.
      save: called with the state at the start, every `save_seconds` and at the end; it must not keep the state.
      save_seconds: between two saves, 0 for one after every chunk.
      chunk_seconds: the wall time of a chunk to aim at.
      max_updates: the longest chunk.
      clock: seconds.

    Returns:
      The state and where the run stands.

    Raises:
      ValueError: if the budget word is no metric of the algorithm, or if a number of seconds is negative or not finite.
    """
    require("budget_word", budget_word, lambda word: word in COUNTED, f"one of {', '.join(COUNTED)}")
    require_pace(save_seconds=save_seconds, chunk_seconds=chunk_seconds, max_updates=max_updates)
    config, inputs = strong_types(config), strong_types(inputs)
    # A copy: what is donated must not be shared with anything that the caller holds, nor two leaves be one array.
    state = jax.tree.map(lambda leaf: leaf.copy(), strong_types(state))
    advance = partial(run_chunk, make, config, inputs, max_updates=max_updates, word=budget_word)
    with caught_signals() as received:
        save(state, position)
        # No update: this compiles.
        state, _ = jax.block_until_ready(advance(state, *map(jnp.int32, (position.updates, 0, 0))))
        on_compiled()
        saved, saved_at, num_updates = position, clock(), 1
        while position.spent(budget_word) < budget and not received:
            started = clock()
            amount = min(budget - position.spent(budget_word), LARGEST_INT32)
            state, metrics = advance(state, *map(jnp.int32, (position.updates, num_updates, amount)))
            rows, position = read_metrics(jax.device_get(metrics), position, num_updates, budget_word, budget)
            seconds = clock() - started
            on_chunk(Chunk(rows, position, seconds))
            num_updates = next_length(num_updates, seconds, chunk_seconds, max_updates)
            if clock() - saved_at >= save_seconds:
                save(state, position)
                saved, saved_at = position, clock()
        if saved != position:
            save(state, position)
    return Outcome(state, position, received[0] if received else None)


def require_pace(save_seconds: float = 30.0, chunk_seconds: float = 1.0, max_updates: int = 1024) -> None:
    """Refuses a pace that `run_loop` would; for those who have to know before they write anything.

    Raises:
      ValueError: if a number of seconds is negative or not finite, or `max_updates` is below 1.
    """
    for name, seconds in (("save_seconds", save_seconds), ("chunk_seconds", chunk_seconds)):
        require(name, seconds, lambda number: 0 <= number < math.inf, "a finite number of at least 0")
    require("max_updates", max_updates, is_count, "an integer of at least 1")


def read_metrics(
    metrics: dict[str, np.ndarray], position: Position, num_updates: int, budget_word: str, budget: int
) -> tuple[list[Row], Position]:
    """Rows of Python numbers from the arrays of a chunk, and the position after it.

    The rows end where the budget is reached or after `num_updates`; the arrays go on with zeros. Counts become totals,
    numbers that are not finite become None, since JSON has no word for them.
    """
    rows = []
    for i in range(num_updates):
        if position.spent(budget_word) >= budget:
            break
        row = {word: finite(values[i].tolist()) for word, values in metrics.items()}
        counts = {word: position.spent(word) + int(row.get(word, 0)) for word in COUNTED}
        rows.append({"step": position.updates, **row, **{word: counts[word] for word in COUNTED if word in row}})
        position = Position(position.updates + 1, **counts)
    return rows, position


def finite(value: Any) -> Any:
    """A number, or nested lists of numbers, with None for those that are not finite."""
    if isinstance(value, list):
        return [finite(element) for element in value]
    return value if np.isfinite(value) else None


def next_length(num_updates: int, seconds: float, chunk_seconds: float, max_updates: int) -> int:
    """The number of updates that would have taken `chunk_seconds`, at most four times the last number."""
    fitting = num_updates * chunk_seconds / max(seconds, 1e-6)
    return int(np.clip(fitting, 1, min(4 * num_updates, max_updates)))


@contextlib.contextmanager
def caught_signals() -> Iterator[list[signal.Signals]]:
    """Collects SIGINT and SIGTERM in the list that it yields, and restores the handlers afterwards.

    A SIGINT after a first signal raises `KeyboardInterrupt`.
    """
    received: list[signal.Signals] = []

    def handle(number, frame):
        if received and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        received.append(signal.Signals(number))

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    # A handler that was not installed from Python reads as None and could not be restored.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = [number for number, handler in before.items() if handler is not None]
    for number in ours:
        signal.signal(number, handle)
    try:
        yield received
    finally:
        for number in ours:
            signal.signal(number, before[number])
