"""What somebody sees while a run goes on: a bar on a terminal, elsewhere a line every few seconds."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jaxrl_sparse.runner.loop import START, Chunk, Position


class Rate(NamedTuple):
    """A running mean of speed.

    Attributes:
      seconds: of the chunks so far, each chunk's weight being 0.8 of the next one's.
      spent: budget that they spent, with the same weights.
      steps: environment steps, with the same weights.
    """

    seconds: float = 0.0
    spent: float = 0.0
    steps: float = 0.0


def updated_rate(rate: Rate, seconds: float, before: Position, after: Position, budget_word: str) -> Rate:
    """The rate after a chunk that took `seconds`."""
    latest = (
        seconds,
        after.spent(budget_word) - before.spent(budget_word),
        after.environment_steps - before.environment_steps,
    )
    return Rate(*(0.8 * old + new for old, new in zip(rate, latest, strict=True)))


def status(chunk: Chunk, rate: Rate, budget: int, budget_word: str, headline: str) -> dict[str, str]:
    """The words of a progress line: `share`, `updates`, `spent`, `speed`, `time_left`, `headline`."""
    spent = chunk.position.spent(budget_word)
    left = max(budget - spent, 0) * rate.seconds / rate.spent if rate.spent else float("inf")
    value = chunk.rows[-1].get(headline) if chunk.rows else None
    speed = rate.steps or rate.spent
    unit = "steps" if rate.steps else budget_word.replace("_", " ")
    return {
        "share": f"{min(spent / budget, 1.0):4.0%}",
        "updates": f"update {chunk.position.updates:,}",
        "spent": f"{spent:,} of {budget:,} {budget_word.replace('_', ' ')}",
        "speed": f"{metric_number(speed / max(rate.seconds, 1e-9))} {unit}/s",
        "time_left": f"{duration(left)} left",
        "headline": f"{headline} {'nan' if value is None else format(value, '.4g')}",
    }


def metric_number(value: float) -> str:
    """Three digits and a decimal prefix: `metric_number(3_812_345) == "3.81 M"`."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """`m:ss` below an hour, `h:mm:ss` from there, `?` where nothing is known."""
    if not seconds < 1e9:
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@contextlib.contextmanager
def progress(
    stream: Any,
    *,
    budget: int,
    budget_word: str,
    headline: str,
    start: Position = START,
    every: float = 5.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Callable[[str], None], Callable[[Chunk], None]]]:
    """Shows a run on a stream.

    Args:
      stream: a text stream to write to.
      budget: where the run ends, in `budget_word`.
      budget_word: `"evaluations"` or `"environment_steps"`.
      headline: the metric to show; where it is first not finite, a line says so.
      start: where the run begins.
      every: seconds between two lines where the stream is no terminal.
      clock: seconds.

    Yields:
      `say(line)` and `report(chunk)`.
    """
    from rich.console import Console

    console = Console(file=stream, highlight=False, soft_wrap=True)
    view = _bar if console.is_terminal or console.is_jupyter else _lines
    rate, before, seen_nan = Rate(), start, False
    with view(console, budget, every, clock) as show:

        def say(line):
            console.print(line, markup=False)

        def report(chunk):
            nonlocal rate, before, seen_nan
            rate = updated_rate(rate, chunk.seconds, before, chunk.position, budget_word)
            before = chunk.position
            show(chunk.position.spent(budget_word), status(chunk, rate, budget, budget_word, headline))
            lost = next((row["step"] for row in chunk.rows if headline in row and row[headline] is None), None)
            if lost is not None and not seen_nan:
                seen_nan = True
                say(f"warning: {headline} is not a finite number at update {lost}")

        yield say, report


@contextlib.contextmanager
def _lines(console, budget, every, clock):
    shown_at = None

    def show(spent, words):
        nonlocal shown_at
        if shown_at is None or clock() - shown_at >= every or spent >= budget:
            shown_at = clock()
            console.print(" | ".join(words.values()), markup=False)

    yield show


@contextlib.contextmanager
def _bar(console, budget, every, clock):
    from rich.progress import BarColumn, Progress, TextColumn

    names = ("updates", "speed", "time_left", "headline")
    columns = [TextColumn("{task.fields[" + name + "]}") for name in names]
    with Progress(TextColumn("{task.fields[share]}"), BarColumn(), *columns, console=console) as bar:
        task = bar.add_task("", total=budget, share="  0%", **dict.fromkeys(names, ""))

        def show(spent, words):
            bar.update(task, completed=min(spent, budget), **words)

        yield show
