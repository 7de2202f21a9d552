import itertools
import os
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from runner.toy import INPUTS, ToyConfig, make

from jaxrl_sparse.base import Algorithm, strong_types
from jaxrl_sparse.runner import loop
from jaxrl_sparse.runner.loop import Position

TRACES = []


def counted_make(config, inputs):
    TRACES.append(config)
    return make(config, inputs)


def run(budget, config=ToyConfig(), seed=0, **options):  # noqa: B008
    chunks = []
    state = loop.initialize(make, strong_types(config), INPUTS, jax.random.key(seed))
    options = {"on_chunk": chunks.append, "max_updates": 16, **options}
    outcome = loop.run_loop(counted_make, config, INPUTS, state, budget=budget, **options)
    return outcome, chunks


def ticking(*seconds):
    """A clock that moves on by the given seconds, over and over, whenever it is read."""
    return itertools.accumulate(itertools.cycle(seconds)).__next__


def bits(outcome):
    key, mean, visited = outcome.state
    return [np.asarray(leaf).tobytes() for leaf in (jax.random.key_data(key), mean, *visited.values())]


def rows_of(chunks):
    return [row for chunk in chunks for row in chunk.rows]


def test_stops_with_the_first_update_that_reaches_the_budget():
    # 16 evaluations in the first update, 8 in each that follows.
    for budget, updates, spent in ((1, 1, 16), (16, 1, 16), (17, 2, 24), (80, 9, 80), (81, 10, 88)):
        outcome, chunks = run(budget, clock=ticking(1e-6))
        assert outcome.position == Position(updates, spent, 50 * spent)
        assert [row["step"] for row in rows_of(chunks)] == list(range(updates))
        assert rows_of(chunks)[-1]["evaluations"] == spent
    assert outcome.interrupted is None


def test_a_budget_may_count_environment_steps():
    outcome, _ = run(1601, budget_word="environment_steps")
    assert outcome.position == Position(4, 40, 2000)


def test_the_length_of_chunks_changes_no_bit_and_nothing_is_traced_again():
    del TRACES[:]
    one_by_one, single = run(80, config=ToyConfig(num_neighbors=2), clock=ticking(10.0))
    grown, few = run(80, config=ToyConfig(num_neighbors=2), clock=ticking(1e-6))
    assert [len(chunk.rows) for chunk in single] == [1] * 9
    assert [len(chunk.rows) for chunk in few] == [1, 4, 4]
    assert bits(one_by_one) == bits(grown)
    assert rows_of(single) == rows_of(few)
    run(80, config=ToyConfig(num_neighbors=2, sigma=0.2), seed=3)
    assert len(TRACES) == 1


def test_going_on_from_a_position_equals_never_stopping():
    whole, chunks = run(160)
    first, before = run(80)
    config = ToyConfig()
    rest = []
    second = loop.run_loop(
        counted_make,
        config,
        INPUTS,
        first.state,
        budget=160,
        position=first.position,
        on_chunk=rest.append,
        max_updates=16,
    )
    assert bits(second) == bits(whole) and second.position == whole.position
    assert rows_of(before) + rows_of(rest) == rows_of(chunks)


def test_totals_do_not_overflow():
    arrays = {"evaluations": np.full(3, 2**30, np.int32), "loss": np.array([1.0, np.nan, -np.inf], np.float32)}
    rows, position = loop.read_metrics(arrays, Position(7, 2**33, 5), 3, "evaluations", 2**60)
    assert position == Position(10, 2**33 + 3 * 2**30, 5)
    assert rows[2] == {"step": 9, "evaluations": 2**33 + 3 * 2**30, "loss": None}
    assert rows[0]["loss"] == 1.0 and rows[1]["loss"] is None


def test_saves_by_the_clock_and_at_the_end():
    saves = []
    outcome, _ = run(80, clock=ticking(10.0), save=lambda state, at: saves.append(at.updates), save_seconds=65.0)
    # A chunk of one update reads the clock three times, a save once more.
    assert saves == [0, 3, 6, 9] and outcome.position.updates == 9
    saves.clear()
    run(80, clock=ticking(0.001), save=lambda state, at: saves.append(at.updates))
    assert saves == [0, 9]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_chunk_with_a_save(number):
    before = signal.getsignal(number)
    saves = []
    outcome, _ = run(
        10**6,
        on_chunk=lambda chunk: os.kill(os.getpid(), number) if chunk.position.updates >= 5 else None,
        save=lambda state, at: saves.append(at),
        max_updates=4,
    )
    assert outcome.interrupted == number
    assert saves[-1] == outcome.position
    assert outcome.position.updates < 20
    assert signal.getsignal(number) is before


def test_a_second_interrupt_stops_at_once():
    # A job in the background may have been started deaf to SIGINT.
    saves, handler = [], signal.getsignal(signal.SIGINT)

    def interrupt(chunk):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(10**6, on_chunk=interrupt, save=lambda state, at: saves.append(at))
    assert saves == [Position()]
    assert signal.getsignal(signal.SIGINT) is handler


def test_runs_outside_the_main_thread():
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(run(80)[0]))
    thread.start()
    thread.join()
    assert bits(outcomes[0]) == bits(run(80)[0])


def test_a_word_that_is_no_metric_is_refused():
    with pytest.raises(ValueError, match="budget_word: got 'epochs', takes one of evaluations, environment_steps"):
        run(80, budget_word="epochs")

    def silent(config, inputs):
        return Algorithm(lambda key: jnp.zeros(2), lambda state, step: (state, {"loss": step}), lambda state, key: {})

    with pytest.raises(ValueError, match=r"budget: got 'evaluations', takes one of the metrics \['loss'\]"):
        loop.run_loop(silent, ToyConfig(), INPUTS, jnp.zeros(2), budget=3)


def test_chunks_aim_at_their_seconds():
    assert loop.next_length(10, 0.5, 1.0, 1024) == 20
    assert loop.next_length(10, 0.0, 1.0, 1024) == 40
    assert loop.next_length(10, 40.0, 1.0, 1024) == 1
    assert loop.next_length(1000, 0.1, 1.0, 1024) == 1024
