"""Starting a run by names, going on with one, drawing one: what the command line and a notebook call."""

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxrl_sparse.base import PyTree, require, strong_types
from jaxrl_sparse.runner import binding, catalogue, checkpoints, run_directory
from jaxrl_sparse.runner.loggers import Log, jsonl_logger, tensorboard_logger
from jaxrl_sparse.runner.loop import COUNTED, START, Make, Position, Row, finite, initialize, require_pace, run_loop
from jaxrl_sparse.runner.progress import duration, progress

# Held out: what is folded into the seed's key for the evaluation; no split makes as many keys.
EVALUATION_KEY = 2**31 - 1


class Result(NamedTuple):
    """What a run leaves behind.

    Attributes:
      state: the algorithm's.
      position: where it stopped.
      interrupted: the signal that stopped it, None where the budget is spent.
      rows: the metrics of every update since the run began, as mappings of Python numbers.
      task: the algorithm bound to its environment.
      evaluation: the metrics of `evaluate` at the end of the budget; None before, and of systems that do without.
    """

    state: PyTree
    position: Position
    interrupted: signal.Signals | None
    rows: list[Row]
    task: binding.Task
    evaluation: Row | None = None


class Session(NamedTuple):
    """A run that has been checked.

    Attributes:
      system: what is run.
      task: bound to its environment.
      config: of the algorithm.
      description: of all this, for JSON.
      directory: where to write, None for nowhere.
    """

    system: binding.System
    task: binding.Task
    config: Any
    description: dict[str, Any]
    directory: Path | None

    @property
    def title(self) -> str:
        """What is run, in words."""
        return "{algorithm} on {environment}, seed {seed}".format(**self.description)


def run(
    algorithm: str,
    environment: str,
    config: Any = None,
    *,
    seed: int = 0,
    budget: int | None = None,
    directory: str | Path | None = None,
    environment_options: Mapping[str, Any] | None = None,
    hidden_sizes: tuple[int, ...] | None = None,
    problem_options: Mapping[str, Any] | None = None,
    stream: Any = None,
    **pace: Any,
) -> Result:
    """Runs an algorithm of the catalogue on a named environment.

        result = run("novelty-search", "hard-maze", NoveltySearchConfig(population_size=50), budget=10_000)

    Everything is checked before anything is written or compiled. The same arguments give the same bits.

    Args:
      algorithm: a name of `jaxrl_sparse.runner.catalogue.ALGORITHMS`.
      environment: a name that `jaxrl_sparse.environments.make` takes.
      config: of the algorithm's configuration class; None for the defaults.
      seed: at least 0.
      budget: the run ends with the first update at which this many evaluations (or environment steps, whichever the
        algorithm's budget counts) are reached; None for the algorithm's default.
      directory: where config, metrics, events and checkpoints go; new or empty. None: nothing is written.
      environment_options: keyword arguments of `make`.
      hidden_sizes: widths of the policy's hidden layers; None for those that the environment is published with.
      problem_options: what the algorithm sees of the environment, where that is a choice: see
        `binding.PROBLEM_OPTIONS`.
      stream: a text stream that progress is shown on; None for standard error.
      **pace: `save_seconds`, `chunk_seconds` and `max_updates` of `run_loop`.

    Returns:
      The state, the metrics, where and why it stopped, and of a learner that reached its budget the metrics of one
      `evaluate` with a held-out key. An interrupt returns, a second one raises `KeyboardInterrupt`.

    Raises:
      ValueError: if an argument is bad; one line that names it, what it got and what it takes.
    """
    require_pace(**pace)
    options = tuple(sorted((environment_options or {}).items()))
    default_sizes = catalogue.entry(algorithm).load().hidden_sizes_for
    takes = "None: a field of the algorithm's configuration"
    require("hidden_sizes", hidden_sizes, lambda given: given is None or default_sizes is not None, takes)
    if hidden_sizes is None:
        hidden_sizes = () if default_sizes is None else default_sizes(environment)
    sizes = tuple(hidden_sizes)
    seen = tuple(sorted((problem_options or {}).items()))
    system, task = catalogue.bind(algorithm, environment, options, sizes, seen)
    config = system.config() if config is None else config
    budget = system.budget if budget is None else budget
    require("config", config, lambda c: isinstance(c, system.config), f"a {system.config.__name__}")
    require("seed", seed, lambda s: 0 <= s < 2**63, "an integer of at least 0")
    task.make(config, task.inputs)
    check_budget(system, task, config, budget)
    description = {
        "algorithm": algorithm,
        "environment": environment,
        "environment_options": dict(options),
        "hidden_sizes": list(sizes),
        "problem_options": dict(seen),
        "config": run_directory.describe_config(config),
        "seed": seed,
    }
    session = Session(system, task, config, description, None if directory is None else Path(directory))
    if session.directory is not None:
        run_directory.require_new(session.directory)

    def begin(stack: contextlib.ExitStack) -> PyTree:
        state = initialize(task.make, strong_types(config), strong_types(task.inputs), jax.random.key(seed))
        # Only now, so that hardly a moment passes in which the directory exists and holds no checkpoint yet.
        if session.directory is not None:
            run_directory.create(session.directory, description, budget)
            stack.enter_context(run_directory.held(session.directory))
        return state

    return _advance(session, begin, START, [], budget, stream, pace)


def resume(directory: str | Path, *, budget: int | None = None, stream: Any = None, **pace: Any) -> Result:
    """Goes on with the run of a directory from its last checkpoint, bit for bit as if it had never stopped.

    Args:
      directory: of a run.
      budget: a new one, larger or smaller; None for the run's own.
      stream: as in `run`.
      **pace: as in `run`.

    Raises:
      ValueError: if the directory holds no run, if another process is at it, or if its checkpoint is absent, damaged
        or of another configuration.
    """
    require_pace(**pace)
    path = Path(directory)
    description, stored_budget = run_directory.read_description(path)
    session = _bind_description(path, description)
    budget = stored_budget if budget is None else budget
    check_budget(session.system, session.task, session.config, budget)
    with run_directory.held(path):
        state, position = _restore(session, path)
        run_directory.cut_metrics(path, position.updates)
        run_directory.write_description(path, description, budget)
        rows = run_directory.read_rows(path / run_directory.METRICS)
        return _advance(session, lambda stack: state, position, rows, budget, stream, pace)


def plot(directory: str | Path) -> list[Path]:
    """Draws the run of a directory as it stands at its last checkpoint.

    Returns:
      The PNG files, in the directory's `plots`.

    Raises:
      ValueError: as `resume`.
    """
    path = Path(directory)
    description, _ = run_directory.read_description(path)
    session = _bind_description(path, description)
    state, position = _restore(session, path)
    rows = run_directory.read_rows(path / run_directory.METRICS)[: position.updates]
    return draw(path, description, Result(state, position, None, rows, session.task))


def draw(directory: Path, description: dict[str, Any], result: Result) -> list[Path]:
    """Writes the plots of a result into a run's directory; returns the files."""
    # Matplotlib takes half a second that a run which draws nothing is spared.
    from jaxrl_sparse.runner import plots

    folder = directory / run_directory.PLOTS
    folder.mkdir(exist_ok=True)
    system = catalogue.entry(description["algorithm"]).load()
    title = "{algorithm} on {environment}, seed {seed}".format(**description)
    curves = plots.metric_curves(result.rows, system.budget_word, title, system.headline)
    files = [plots.save(curves, folder / "metrics.png")]
    if result.task.discoveries is not None and result.rows:
        found = jax.device_get(result.task.discoveries(result.state))
        figure = plots.discovery_map(result.task.environment, found, title, result.rows[-1])
        files.append(plots.save(figure, folder / "discoveries.png"))
    return files


@partial(jax.jit, static_argnames=("make",))
def evaluate(make: Make, config: Any, inputs: PyTree, state: PyTree, key: jax.Array) -> dict[str, jax.Array]:
    """The metrics of `make(config, inputs).evaluate(state, key)`."""
    return make(config, inputs).evaluate(state, key)


def check_budget(system: binding.System, task: binding.Task, config: Any, budget: int) -> None:
    """Refuses a budget that ends before the first update does, or that the configuration has no room for."""
    smallest = task.smallest_budget(config)
    word = system.budget_word.replace("_", " ")
    require("budget", budget, lambda b: b >= smallest, f"at least {smallest} {word}: the start and one update")
    task.check_budget(config, budget)


def _bind_description(directory: Path, description: dict[str, Any]) -> Session:
    options = tuple(sorted(description["environment_options"].items()))
    sizes = tuple(description["hidden_sizes"])
    seen = tuple(sorted(description["problem_options"].items()))
    system, task = catalogue.bind(description["algorithm"], description["environment"], options, sizes, seen)
    config = run_directory.parse_config(system.config, description["config"])
    task.make(config, task.inputs)
    return Session(system, task, config, description, directory)


def _restore(session: Session, directory: Path) -> tuple[PyTree, Position]:
    arguments = strong_types(session.config), strong_types(session.task.inputs)
    # The key is an argument, so that its shape alone is looked at.
    spec = jax.eval_shape(lambda key: initialize(session.task.make, *arguments, key), jax.random.key(0))
    state, manifest = checkpoints.restore(directory / run_directory.CHECKPOINTS, spec, session.description)
    return state, Position(manifest.updates, **manifest.totals)


def _advance(
    session: Session,
    begin: Callable[[contextlib.ExitStack], PyTree],
    position: Position,
    rows: list[Row],
    budget: int,
    stream: Any,
    pace: dict[str, Any],
) -> Result:
    system, directory, evaluation = session.system, session.directory, None
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        shown = progress(
            sys.stderr if stream is None else stream,
            budget=budget,
            budget_word=system.budget_word,
            headline=system.headline,
            start=position,
        )
        say, report = stack.enter_context(shown)
        say(f"compiling {session.title} ...")
        state = begin(stack)
        logs: list[Log] = [rows.extend]
        log_times: list[Log] = []
        if directory is not None:
            # Of the run before it went on.
            (directory / run_directory.EVALUATION).unlink(missing_ok=True)
            run_directory.record_versions(directory, position.updates)
            spent = position.spent(system.budget_word)
            events = tensorboard_logger(directory / run_directory.TENSORBOARD, system.budget_word, spent)
            logs += [stack.enter_context(jsonl_logger(directory / run_directory.METRICS)), stack.enter_context(events)]
            log_times.append(stack.enter_context(jsonl_logger(directory / run_directory.TIMINGS)))

        def on_chunk(chunk):
            for log in logs:
                log(chunk.rows)
            for log in log_times:
                log([{"updates": chunk.position.updates, "seconds": round(chunk.seconds, 6)}])
            report(chunk)

        def save(state, position):
            if directory is not None:
                totals = {word: position.spent(word) for word in COUNTED}
                folder = directory / run_directory.CHECKPOINTS
                checkpoints.save(folder, state, position.updates, totals, session.description)

        outcome = run_loop(
            session.task.make,
            session.config,
            session.task.inputs,
            state,
            budget=budget,
            budget_word=system.budget_word,
            position=position,
            on_chunk=on_chunk,
            on_compiled=lambda: say(f"compiled in {duration(time.monotonic() - started)}"),
            save=save,
            **pace,
        )
        if system.evaluates and outcome.interrupted is None:
            say("evaluating ...")
            evaluation = _evaluation(session, outcome.state)
            if directory is not None:
                text = json.dumps(evaluation, indent=2, allow_nan=False) + "\n"
                checkpoints.write_atomically(directory / run_directory.EVALUATION, text)
    return Result(outcome.state, outcome.position, outcome.interrupted, rows, session.task, evaluation)


def _evaluation(session: Session, state: PyTree) -> Row:
    key = jax.random.fold_in(jax.random.key(session.description["seed"]), EVALUATION_KEY)
    arguments = strong_types(session.config), strong_types(session.task.inputs)
    metrics = jax.device_get(evaluate(session.task.make, *arguments, state, key))
    return {word: finite(value.tolist()) for word, value in metrics.items()}
