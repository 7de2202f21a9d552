"""Checkpoints that either fit or are refused in one line.

Orbax stores the arrays. On restoring it casts dtypes, ignores what the target lacks and answers a wrong structure with
hundreds of lines, all of which this module forestalls: beside the arrays lies a manifest with the path, shape and dtype
(which names a key's implementation) of every leaf, the description of the run that wrote it, and size and checksum of
every file. It is written last, by one rename. A checkpoint without manifest was cut short, by `kill -9` say, and counts
as absent; the one before it is still there.

    DIRECTORY/<updates done>/manifest.json       ours
    DIRECTORY/<updates done>/default/...         orbax's
"""

import json
import os
import shutil
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from jaxrl_sparse.base import PyTree

MANIFEST = "manifest.json"
NUM_KEPT = 2


class CheckpointError(ValueError):
    """A checkpoint that is absent, damaged, or of another run; its message is one line."""


class Manifest(NamedTuple):
    """What is known of a checkpoint without reading its arrays.

    Attributes:
      updates: number of updates that made the state.
      totals: what these updates spent, by the word of the metric.
      description: of the run that wrote it, as JSON has it: a mapping that is compared, key by key, before restoring.
      leaves: `[shape, dtype]` of every leaf of the state, by its path.
      files: `[bytes, crc32]` of every file, by its path below the checkpoint.
    """

    updates: int
    totals: dict[str, int]
    description: dict[str, Any]
    leaves: dict[str, list]
    files: dict[str, list[int]]


def save(directory: Path, state: PyTree, updates: int, totals: dict[str, int], description: dict[str, Any]) -> None:
    """Writes the checkpoint of a state, then removes all but the last two; returns once it is on the disk.

    What an earlier process left half-written is removed first. A checkpoint of the same number of updates stays as it
    is.

    Args:
      directory: of all checkpoints of a run; made if it does not exist.
      state: a pytree of arrays, typed keys included; no leaf of size zero.
      updates: number of updates that made the state, which is the checkpoint's name.
      totals: what they spent.
      description: of the run, for JSON.
    """
    directory.mkdir(parents=True, exist_ok=True)
    complete = complete_checkpoints(directory)
    if updates in complete:
        return
    for entry in directory.iterdir():
        if entry.is_dir() and entry.name.split(".")[0].isdigit() and entry.name not in map(str, complete):
            shutil.rmtree(entry)
    # Synchronous: the next chunk is given the state's own memory, which a copy in the background may still be reading.
    options = ocp.CheckpointManagerOptions(max_to_keep=NUM_KEPT, enable_async_checkpointing=False)
    with ocp.CheckpointManager(directory.absolute(), options=options) as manager:
        manager.save(updates, args=ocp.args.StandardSave(state))
    checkpoint = directory / str(updates)
    manifest = Manifest(updates, totals, description, leaf_types(state), file_checksums(checkpoint))
    write_atomically(checkpoint / MANIFEST, json.dumps(manifest._asdict(), indent=1))


def complete_checkpoints(directory: Path) -> list[int]:
    """Numbers of updates of the checkpoints that were written to the end, in increasing order."""
    if not directory.is_dir():
        return []
    return sorted(int(entry.parent.name) for entry in directory.glob(f"*/{MANIFEST}") if entry.parent.name.isdigit())


def latest_manifest(directory: Path) -> Manifest:
    """The manifest of the last complete checkpoint.

    Raises:
      CheckpointError: if there is none, or it cannot be read.
    """
    complete = complete_checkpoints(directory)
    if not complete:
        raise CheckpointError(f"checkpoint: got {str(directory)!r}, takes a directory with a complete checkpoint")
    path = directory / str(complete[-1]) / MANIFEST
    try:
        manifest = Manifest(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"checkpoint: {str(path)!r} is damaged ({type(error).__name__}){advice(directory)}"
        ) from None
    return manifest


def restore(directory: Path, spec: PyTree, description: dict[str, Any]) -> tuple[PyTree, Manifest]:
    """Reads the last complete checkpoint, once it is known to fit.

    Args:
      directory: of all checkpoints of a run.
      spec: the state as `jax.ShapeDtypeStruct`s, from `jax.eval_shape` of the algorithm's `init`.
      description: of the run that is to go on; compared with that of the run that wrote the checkpoint.

    Returns:
      The state, on the default device, and the checkpoint's manifest.

    Raises:
      CheckpointError: if there is no complete checkpoint, if it is of another configuration, if a path, shape, dtype or
        key implementation of the state differs, or if a file is missing or damaged; always before orbax reads.
    """
    manifest = latest_manifest(directory)
    checkpoint = directory / str(manifest.updates)
    name = f"checkpoint {str(checkpoint)!r}"
    check_equal(f"{name} is of another configuration", manifest.description, json.loads(json.dumps(description)))
    check_equal(f"{name} holds another state", manifest.leaves, leaf_types(spec))
    files = file_checksums(checkpoint)
    for path, expected in manifest.files.items():
        if files.get(path) != expected:
            problem = "is damaged" if path in files else "is missing"
            raise CheckpointError(f"{name} is truncated: {path} {problem}{advice(directory)}")
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), spec)
    with ocp.CheckpointManager(directory.absolute()) as manager:
        return manager.restore(manifest.updates, args=ocp.args.StandardRestore(target)), manifest


def leaf_types(tree: PyTree) -> dict[str, list]:
    """`[shape, dtype]` of every leaf by its path; the dtype of a typed key names its implementation."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): [list(leaf.shape), str(leaf.dtype)] for path, leaf in leaves}


def check_equal(problem: str, saved: Any, wanted: Any, path: str = "") -> None:
    """Raises `CheckpointError` with the first place where two nested mappings differ."""
    if isinstance(saved, dict) and isinstance(wanted, dict):
        for key in [*saved, *(key for key in wanted if key not in saved)]:
            below = f"{path}.{key}".removeprefix(".") if key.isidentifier() else f"{path}{key}"
            check_equal(problem, saved.get(key, "absent"), wanted.get(key, "absent"), below)
    elif saved != wanted:
        raise CheckpointError(f"{problem}: {path} is {json.dumps(saved)} there, {json.dumps(wanted)} here")


def file_checksums(checkpoint: Path) -> dict[str, list[int]]:
    """`[bytes, crc32]` of every file below a checkpoint but its manifest, by relative path."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST)
    contents = {str(path.relative_to(checkpoint)): path.read_bytes() for path in files}
    return {path: [len(content), zlib.crc32(content)] for path, content in contents.items()}


def advice(directory: Path) -> str:
    """Where an earlier checkpoint is complete, how to go on from it."""
    complete = complete_checkpoints(directory)
    if len(complete) < 2:
        return ""
    return f"; to go on from update {complete[-2]}, remove {str(directory / str(complete[-1]))!r}"


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that at any moment it has either its old content or the new one, whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
