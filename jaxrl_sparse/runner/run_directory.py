"""The directory of a run: what was run, with which packages, and what came out.

config.json        algorithm, environment, options, configuration, seed; and the budget
versions.json      the packages and the device of every session, by the update at which it began
metrics.jsonl      a row for every update, equal bit for bit whether or not the run was interrupted
evaluation.json    of a run that is finished, what its policy is worth; learners alone
timings.jsonl      a row for every chunk: seconds and updates
tensorboard/       the metrics as events
checkpoints/       see `checkpoints`
plots/             PNG
"""

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import json
import os
import platform
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from jaxrl_sparse.base import require
from jaxrl_sparse.runner.checkpoints import CheckpointError, write_atomically

CONFIG = "config.json"
VERSIONS = "versions.json"
METRICS = "metrics.jsonl"
EVALUATION = "evaluation.json"
TIMINGS = "timings.jsonl"
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
PLOTS = "plots"

DESCRIPTION = {
    "algorithm": str,
    "environment": str,
    "environment_options": dict,
    "hidden_sizes": list,
    "problem_options": dict,
    "config": dict,
    "seed": int,
}

PACKAGES = ("jaxrl_sparse", "jax", "jaxlib", "flax", "numpy", "orbax-checkpoint", "gymnax", "brax", "optax")


def require_new(directory: Path) -> None:
    """Refuses a directory that holds anything, or that cannot be made.

    Raises:
      ValueError: if `directory` is a file, a directory that is not empty (the message says how to go on with a run that
        it holds), or below something that cannot be written.
    """
    remedy = f"; `jaxrl-sparse resume {directory}` goes on with it" if (directory / CONFIG).is_file() else ""
    holds = "another run" if remedy else "other files"
    taken = directory.exists() and (not directory.is_dir() or any(directory.iterdir()))
    require("out", str(directory), lambda _: not taken, f"a new or empty directory, this one holds {holds}{remedy}")
    above = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    writable = above.is_dir() and os.access(above, os.W_OK)
    require("out", str(directory), lambda _: writable, f"a directory that can be written, {str(above)!r} cannot")


def create(directory: Path, description: dict[str, Any], budget: int) -> None:
    """Makes the directory of a new run.

    Args:
      directory: new or empty.
      description: what determines the run's bits: `algorithm`, `environment`, ..., `config`, `seed`; for JSON.
      budget: where it is to stop, which may be raised later.

    Raises:
      ValueError: as `require_new`, or if the directory cannot be made.
    """
    require_new(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_description(directory, description, budget)
    except OSError as error:
        raise ValueError(
            f"out: got {str(directory)!r}, takes a directory that can be written ({error.strerror})"
        ) from None


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keeps other processes from going on with the run in a directory; the system lets go if this one is killed.

    Raises:
      CheckpointError: if another process holds it.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CheckpointError(
            f"directory: got {str(directory)!r}, takes a run that no other process is at; this one is still under way"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def write_description(directory: Path, description: dict[str, Any], budget: int) -> None:
    """Writes config.json: the description and the budget."""
    write_atomically(directory / CONFIG, json.dumps({**description, "budget": budget}, indent=2) + "\n")


def read_description(directory: Path) -> tuple[dict[str, Any], int]:
    """The description and the budget of the run in a directory.

    Raises:
      CheckpointError: if there is none, or it is damaged.
    """
    path = directory / CONFIG
    if not path.is_file():
        what = "does not exist" if not directory.exists() else f"has no {CONFIG}"
        raise CheckpointError(f"directory: got {str(directory)!r}, takes the directory of a run; this one {what}")
    try:
        description = json.loads(path.read_text())
        budget = description.pop("budget")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"directory: {str(path)!r} is damaged ({type(error).__name__})") from None
    for field, kind in DESCRIPTION.items():
        has = type(description.get(field)).__name__
        if not isinstance(description.get(field), kind):
            raise CheckpointError(f"directory: {str(path)!r} is damaged, {field} is a {kind.__name__}, got {has}")
    numbers = [*description["hidden_sizes"], budget]
    if any(type(number) is not int for number in numbers):
        raise CheckpointError(f"directory: {str(path)!r} is damaged, hidden_sizes and budget are integers")
    return description, budget


def record_versions(directory: Path, updates: int) -> None:
    """Adds a session that begins at update `updates` to versions.json."""
    path = directory / VERSIONS
    sessions = read_json(path, path.read_text()) if path.is_file() else []
    write_atomically(path, json.dumps([*sessions, {"updates": updates, **installed_versions()}], indent=2) + "\n")


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that compute, and the device."""
    versions = {"python": platform.python_version(), "device": jax.devices()[0].device_kind}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file; a last one that a kill cut short is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    return [read_json(path, line) for line in lines if line.endswith("\n")]


def read_json(path: Path, text: str) -> Any:
    """What a file, or a line of it, holds.

    Raises:
      CheckpointError: naming the file, if it is no JSON.
    """
    try:
        return json.loads(text)
    except ValueError:
        raise CheckpointError(f"directory: {str(path)!r} is damaged") from None


def cut_metrics(directory: Path, updates: int) -> None:
    """Keeps the metrics of the first `updates` updates, so that a run that goes on there writes each row once.

    Raises:
      CheckpointError: if the file has fewer rows than that.
    """
    path = directory / METRICS
    lines = path.read_bytes().splitlines(keepends=True)[:updates] if path.is_file() else []
    if len(lines) < updates or not all(line.endswith(b"\n") for line in lines):
        raise CheckpointError(f"directory: {str(path)!r} is truncated, the checkpoint is of update {updates}")
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(b"".join(lines))
    partial.replace(path)


def describe_config(config: Any) -> dict[str, Any]:
    """A configuration as JSON has it: Python numbers, strings, lists and nested mappings."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=lambda leaf: leaf.item()))


def parse_config(config_class: type, described: Mapping[str, Any]) -> Any:
    """The inverse of `describe_config`.

    Raises:
      CheckpointError: if the fields are not those of the class.
    """
    hints = typing.get_type_hints(config_class)
    names = {field.name for field in dataclasses.fields(config_class)}
    for name in names.symmetric_difference(described):
        has = "has" if name in described else "lacks"
        raise CheckpointError(
            f"config: {CONFIG} {has} {name!r}, {config_class.__name__} takes {', '.join(sorted(names))}"
        )

    def parse(name, value):
        if isinstance(value, Mapping):
            return parse_config(hints[name], value)
        value = tuple(value) if isinstance(value, list) else value
        if type(value) not in json_types(hints[name]):
            raise CheckpointError(f"config: {name} of {CONFIG} is {value!r}, no {hints[name]}")
        return value

    return config_class(**{name: parse(name, value) for name, value in described.items()})


def json_types(hint: Any) -> tuple[type, ...]:
    """The Python types that a value of an annotated field has after its way through JSON."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return (tuple,)
    if origin is typing.Literal:
        return tuple({type(option) for option in arguments})
    if arguments:
        return tuple(kind for option in arguments for kind in json_types(option))
    return (float, int) if hint is float else (hint,)
