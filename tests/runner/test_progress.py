import io

import pytest

from jaxrl_sparse.runner.loop import Chunk, Position
from jaxrl_sparse.runner.progress import Rate, duration, metric_number, progress, status, updated_rate


def chunk(updates, evaluations, steps, seconds, coverage):
    return Chunk([{"step": updates - 1, "coverage": coverage}], Position(updates, evaluations, steps), seconds)


def shown(chunks, times, **options):
    stream, clock = io.StringIO(), iter(times).__next__
    options = {"budget": 1000, "budget_word": "evaluations", "headline": "coverage", "clock": clock, **options}
    with progress(stream, **options) as (say, report):
        say("starting [x]")
        for one in chunks:
            report(one)
    return stream.getvalue().splitlines()


def test_lines_every_few_seconds_where_there_is_no_terminal():
    chunks = [
        chunk(1, 100, 200_000, 0.5, 0.125),
        chunk(2, 200, 400_000, 0.5, 0.25),
        chunk(4, 400, 800_000, 1.0, 0.5),
        chunk(10, 1000, 2_000_000, 3.0, 0.61234),
    ]
    lines = shown(chunks, [0.0, 4.9, 5.0, 5.0, 6.0, 6.0])
    assert lines == [
        "starting [x]",
        " 10% | update 1 | 100 of 1,000 evaluations | 400 k steps/s | 0:04 left | coverage 0.125",
        " 40% | update 4 | 400 of 1,000 evaluations | 400 k steps/s | 0:03 left | coverage 0.5",
        "100% | update 10 | 1,000 of 1,000 evaluations | 400 k steps/s | 0:00 left | coverage 0.6123",
    ]


def test_a_headline_that_is_not_finite_is_reported_once():
    lines = shown([chunk(1, 100, 0, 1.0, None), chunk(2, 200, 0, 1.0, None)], [0.0, 0.0, 1.0, 1.0])
    assert lines[1].endswith("coverage nan")
    assert lines[2:] == ["warning: coverage is not a finite number at update 0"]


def test_speed_is_of_the_budget_where_no_steps_are_counted_and_from_where_the_run_was_resumed():
    rate = updated_rate(Rate(), 2.0, Position(3, 500, 0), Position(5, 700, 0), "evaluations")
    words = status(chunk(5, 700, 0, 2.0, 1.0), rate, 1000, "evaluations", "coverage")
    assert words["speed"] == "100 evaluations/s" and words["time_left"] == "0:03 left"


def test_rate_forgets_a_fifth_with_every_chunk():
    rate = updated_rate(Rate(1.0, 10.0, 100.0), 2.0, Position(0, 0, 0), Position(1, 5, 50), "evaluations")
    assert rate == pytest.approx((2.8, 13.0, 130.0))


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "0"), (999.4, "999"), (999.6, "1 k"), (3_812_345.0, "3.81 M"), (2.5e9, "2.5 G")]
)
def test_metric_number(value, words):
    assert metric_number(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0:00"), (59.6, "1:00"), (3599.0, "59:59"), (3661.0, "1:01:01"), (float("inf"), "?")]
)
def test_duration(seconds, words):
    assert duration(seconds) == words


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    stream.isatty = lambda: True
    with progress(stream, budget=1000, budget_word="evaluations", headline="coverage") as (say, report):
        report(chunk(4, 400, 800_000, 1.0, 0.5))
        say("a line above the bar")
    text = stream.getvalue()
    for words in ("40%", "update 4", "800 k steps/s", "coverage 0.5", "a line above the bar", "━"):
        assert words in text
