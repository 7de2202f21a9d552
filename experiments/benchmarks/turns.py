"""Benchmarks against another library that lives in an environment of its own: two processes that take turns.

Both sides run the same module, each by its own interpreter, from this project's root: they compile first, then they
measure what they are asked for, a line in and a line out, so that whatever else the machine does meets both.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from experiments import record

OURS = "ours"
ROOT = record.RESULTS.parents[1]


class Side(NamedTuple):
    """One of the two libraries, in its own process.

    Attributes:
      header: what is written down of it, above all its versions.
      measure: `measure(task, seed) -> figures` of one round.
    """

    header: dict[str, Any]
    measure: Callable[[str, int], dict[str, float]]


class Timed(NamedTuple):
    """A call's result and its time, in seconds; that of the processor is summed over all threads."""

    result: Any
    cpu_seconds: float
    wall_seconds: float


def timed(function: Callable[..., Any], *arguments: Any) -> Timed:
    """Calls a compiled function of jax and waits for its result."""
    import jax

    wall, cpu = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(function(*arguments))
    return Timed(result, time.process_time() - cpu, time.perf_counter() - wall)


def compare(
    module: str,
    peer: str,
    tasks: Sequence[str],
    side_of: Callable[[str], Side],
    report: Callable[[dict[str, dict[str, list[dict[str, float]]]]], dict[str, Any]],
):
    """The command line of such a benchmark; writes `experiments/results/MODULE.json`, by the module's last word.

    Args:
      module: that is run, the caller's `__spec__.name`.
      peer: the other library, as one word.
      tasks: that are measured in every round.
      side_of: from "ours" or the peer's name to what measures it; called in that side's process.
      report: from measurements by task and side, a list over rounds, to the figures that are written.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__.splitlines()[0])
    parser.add_argument(f"--{peer}-python", dest="peer_python", help=f"the interpreter of an environment with {peer}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with another seed")
    parser.add_argument("--worker", choices=(OURS, peer), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _serve(side_of(options.worker))
        return
    if options.peer_python is None:
        parser.error(f"--{peer}-python: the interpreter of an environment with {peer} is needed")
    sides = {
        side: subprocess.Popen(
            [python, "-m", module, "--worker", side],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for side, python in ((OURS, sys.executable), (peer, options.peer_python))
    }
    versions = {side: json.loads(process.stdout.readline()) for side, process in sides.items()}
    measured = {task: {side: [] for side in sides} for task in tasks}
    for seed in range(1, options.rounds + 1):
        for task, by_side in measured.items():
            for side, process in sides.items():
                print(json.dumps([task, seed]), file=process.stdin, flush=True)
                by_side[side].append(json.loads(process.stdout.readline()))
    for process in sides.values():
        process.stdin.close()
        process.wait()
    print(f"{versions}; {options.rounds} rounds")
    command = f"python -m {module} --{peer}-python {peer}-environment/bin/python"
    record.write(module.rpartition(".")[2], command, {"versions": versions, **report(measured), "measured": measured})


def _serve(side: Side):
    print(json.dumps(side.header), flush=True)
    for line in sys.stdin:
        print(json.dumps(side.measure(*json.loads(line))), flush=True)


def verdicts(claims: Sequence[tuple[str, bool]]) -> list[str]:
    """A line for each claim: whether it holds."""
    return [f"{'holds' if holds else 'DOES NOT HOLD'}: {claim}" for claim, holds in claims]
