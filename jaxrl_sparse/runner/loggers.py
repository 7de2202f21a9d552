"""Where rows of metrics go: a logger is a function `log(rows)`, and opens and closes as a context."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Log = Callable[[list[dict[str, Any]]], None]


@contextlib.contextmanager
def jsonl_logger(path: Path) -> Iterator[Log]:
    """Appends each row to a file as a line of JSON, and hands it to the operating system before it returns."""
    with path.open("a", encoding="utf-8") as file:

        def log(rows):
            file.writelines(json.dumps(row, allow_nan=False) + "\n" for row in rows)
            file.flush()

        yield log


@contextlib.contextmanager
def tensorboard_logger(directory: Path, step_word: str, last_step: int = 0) -> Iterator[Log]:
    """Writes every number of the rows as a scalar event, named by its word, at the step `row[step_word]`.

    Args:
      directory: of the event files; each session adds one.
      step_word: the word of the rows to draw the curves against.
      last_step: where the session goes on from; of earlier sessions TensorBoard drops what came after it.
    """
    # Protocol buffers take a while to import, which whoever writes no events is spared.
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(directory), purge_step=last_step + 1 if last_step else None) as writer:

        def log(rows):
            for row in rows:
                for word, value in row.items():
                    if isinstance(value, int | float) and word != step_word:
                        writer.add_scalar(word, value, row[step_word])
            writer.flush()

        yield log
