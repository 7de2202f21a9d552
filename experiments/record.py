"""Where the figures of the experiments go: `experiments/results/NAME.json`, with the machine that made them.

And how time is taken: CPU seconds are added over all threads, so that a figure hardly depends on what else the machine
does.
"""

import json
import os
import pathlib
import platform
import time
from importlib.metadata import version

RESULTS = pathlib.Path(__file__).parent / "results"


def write(name, command, figures):
    """Writes the figures of a command, a mapping, with machine and versions beside them, and says where."""
    path = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
    record = {"command": command, "machine": machine(), **figures}
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"written: {path.relative_to(RESULTS.parents[1])}")


def conclude(name, command, heading, claims, figures):
    """Prints the table of claims, each with `claim`, `measured` and `holds`, and writes it with all figures."""
    # numpy's booleans are none of JSON's.
    claims = [{**claim, "holds": bool(claim["holds"])} for claim in claims]
    print(f"\n{heading}: {command}\n\n| claim | measured | holds |\n|---|---|---|")
    for claim in claims:
        print(f"| {claim['claim']} | {claim['measured']} | {'yes' if claim['holds'] else 'NO'} |")
    write(name, command, {"claims": claims, **figures})


def conclude_tasks(name, command, options, ran):
    """`conclude` of an experiment of several tasks; those that are not run again stay as they were, and are named.

    Args:
      name: of the experiment.
      command: that runs it.
      options: of this run, a mapping with `seeds`.
      ran: by task, a mapping with its `claims` and its figures.
    """
    path = RESULTS / f"{name}.json"
    earlier = json.loads(path.read_text())["tasks"] if path.exists() else {}
    tasks = earlier | {task: {"machine": machine(), "options": options, **found} for task, found in ran.items()}
    for found in tasks.values():
        found["claims"] = [{**claim, "holds": bool(claim["holds"])} for claim in found["claims"]]
    kept = [task for task in tasks if task not in ran]
    heading = f"seeds {options['seeds']}" + (f"; of an earlier run: {', '.join(kept)}" if kept else "")
    claims = [claim for found in tasks.values() for claim in found["claims"]]
    conclude(name, command, heading, claims, {"of_an_earlier_run": kept, "tasks": tasks})


def save_drawing(figure, name):
    """Saves a matplotlib figure as `experiments/results/NAME.png`, and says so."""
    # Imported here, as in `machine`.
    from jaxrl_sparse.runner import plots

    path = plots.save(figure, RESULTS / f"{name}.png")
    print(f"drawn: {path.relative_to(RESULTS.parents[1])}")


def machine():
    """Processor, number of cores, jax's device, and versions, in one line."""
    # Imported here: a benchmark's controlling process leaves the processor to those it measures.
    import jax

    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    device = jax.devices()[0]
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{package} {version(package)}" for package in ("jax", "jaxlib", "jaxrl_sparse")]
    return f"{processor}, {os.cpu_count()} cores, {device.platform} {device.device_kind}; {', '.join(versions)}"


def cpu_seconds(function, *arguments):
    """CPU seconds of a call of a jax function to the end of its work, and its result.

    The first call with arguments of some shapes compiles as well.
    """
    # Imported here as well, and before time is taken.
    import jax

    start = time.process_time()
    result = jax.block_until_ready(function(*arguments))
    return time.process_time() - start, result
