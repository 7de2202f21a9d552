"""The command `jaxrl-sparse`: list, run, resume, plot, plan.

Bad input is answered by one line on standard error and exit status 2, before anything is written or compiled. A run
that SIGINT or SIGTERM ended, after its save, exits with 130 or 143, as shells and schedulers expect of an interrupt.
"""

import contextlib
import dataclasses
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro

from jaxrl_sparse.base import require
from jaxrl_sparse.runner import binding, catalogue

FUSION_FLAG = "xla_cpu_experimental_ynn_fusion_type"

HELP = """\
usage: jaxrl-sparse COMMAND ...

  list                              the algorithms and environments, a line each
  run ALGORITHM --env NAME [...]    start a run; `run ALGORITHM --help` lists every option
  resume DIR [--budget N]           go on with an interrupted run, bit for bit
  plot DIR                          draw a run: metrics, and what was discovered
  plan --env NAME --objective TEXT  the best policy of a small problem for a CVaR, a target, a probability, ...

Start here (two minutes on a laptop):

  jaxrl-sparse run novelty-search --env hard-maze

Ctrl-C or SIGTERM ends a run cleanly: it saves, says how to go on, and exits with 130 or 143 (a second Ctrl-C stops at
once). Bad input exits with 2.
"""

RUN_HELP = """\
usage: jaxrl-sparse run ALGORITHM --env NAME [--seed N] [--budget N] [--out DIR] [...]

algorithms (`jaxrl-sparse run ALGORITHM --help` lists the options of one):
{algorithms}
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunArguments:
    """Arguments of a run that every algorithm takes.

    Attributes:
      env: the environment, a name that `jaxrl-sparse list` shows.
      seed: the same seed gives the same bits.
      budget: the run ends with the first update that reaches it: evaluations, or environment steps where an algorithm
        counts these.
      out: a new directory for metrics, checkpoints and plots; None is runs/ALGORITHM-ENV-SEED.
      env_options: options of the environment, as NAME=VALUE.
      hidden_sizes: widths of the policy's hidden layers; None is those that the environment is published with.
      problem_options: what the algorithm sees of an episode, as NAME=VALUE: descriptor=final, descriptor=signature-2
        and others, num_frames=5 images for those that look at images; of d-eta-n, objective="cvar(0.1)" and others.
      save_seconds: between two checkpoints; there is always one at the start and at the end.
    """

    env: Annotated[str, tyro.conf.arg(metavar="NAME")]
    seed: int = 0
    budget: int
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIRECTORY")] = None
    env_options: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    problem_options: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    save_seconds: float = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResumeArguments:
    """Goes on with an interrupted run from its last checkpoint, bit for bit.

    Attributes:
      directory: of the run.
      budget: a new budget; None is the run's own.
      save_seconds: between two checkpoints.
    """

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIRECTORY")]
    budget: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    save_seconds: float = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlotArguments:
    """Draws a run as it stands at its last checkpoint.

    Attributes:
      directory: of the run.
    """

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIRECTORY")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanArguments:
    """Finds the optimal policy of a small problem for an objective of its return, exactly, and draws what it achieves.

    Attributes:
      env: an environment with finitely many states: two-stage, gamble, target-grid, risky-corridor, budget, homeostat.
      objective: mean, target(5), cvar(0.1), optimistic-cvar(0.1), mean-cvar(0.1, 0.5), probability(12), signed-power,
        exponential(0.1), reward-constraint(2, 10), homeostasis(1, -2).
      steps: the horizon; None is the environment's own, or for ever where there is a discount.
      spacing: of the grids of stocks and returns; None is one that fits the rewards.
      memory_limit: bytes that planning may take; None is 8 GiB.
      episodes: of the policy, to confirm the value.
      seed: of the episodes.
      out: where the plots go; None is runs/plan-ENV-OBJECTIVE.
      env_options: options of the environment, as NAME=VALUE.
    """

    env: Annotated[str, tyro.conf.arg(metavar="NAME")]
    objective: Annotated[str, tyro.conf.arg(metavar="TEXT")]
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    spacing: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    memory_limit: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    episodes: int = 10_000
    seed: int = 0
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIRECTORY")] = None
    env_options: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Read when jax makes its first array, which is later.
    os.environ["XLA_FLAGS"] = safe_xla_flags(jax.__version_info__, os.environ.get("XLA_FLAGS", ""))
    try:
        return dispatch(arguments)
    except ValueError as error:
        print(f"jaxrl-sparse: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jaxrl-sparse: stopped at once; what has been saved stands", file=sys.stderr)
        return 130


def safe_xla_flags(jax_version: tuple[int, ...], flags: str) -> str:
    """The XLA flags, with a fusion switched off that computes wrong rows on CPUs in jax before 0.11.

    `vmap` of a reduction of a small matrix-vector product is wrong there from row 32,768 on. A setting of one's own for
    this fusion stays.
    """
    if jax_version >= (0, 11) or FUSION_FLAG in flags:
        return flags
    return f"{flags} --{FUSION_FLAG}=-reduce".strip()


def dispatch(arguments: list[str]) -> int:
    """Hands the arguments to their command; raises `ValueError` on bad ones."""
    commands: dict[str, Callable[[list[str]], int]] = {
        "list": list_command,
        "run": run_command,
        "resume": resume_command,
        "plot": plot_command,
        "plan": plan_command,
    }
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0 if arguments else 2
    require("command", arguments[0], lambda name: name in commands, f"one of {', '.join(commands)}")
    return commands[arguments[0]](arguments[1:])


def list_command(arguments: list[str]) -> int:
    """`jaxrl-sparse list`."""
    require("list", arguments, lambda rest: not rest or rest == ["--help"], "no arguments")
    from jaxrl_sparse import environments

    print("algorithms\n" + algorithm_lines())
    print(
        "\nenvironments\n" + "\n".join(f"  {name:<24} {summary}" for name, summary in environments.summaries().items())
    )
    return 0


def algorithm_lines() -> str:
    """The algorithms of the catalogue, a line each."""
    return "\n".join(f"  {name:<24} {entry.summary}" for name, entry in catalogue.ALGORITHMS.items())


def run_command(arguments: list[str]) -> int:
    """`jaxrl-sparse run ALGORITHM --env NAME ...`."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(RUN_HELP.format(algorithms=algorithm_lines()), end="")
        return 0 if arguments else 2
    algorithm, rest = arguments[0], arguments[1:]
    system = catalogue.entry(algorithm).load()
    parsed = parse(run_arguments(algorithm, system), rest, f"jaxrl-sparse run {algorithm}")
    from jaxrl_sparse.runner import launch

    directory = parsed.out or Path("runs") / f"{algorithm}-{parsed.env.replace('/', '-')}-{parsed.seed}"
    result = launch.run(
        algorithm,
        parsed.env,
        parsed.config,
        seed=parsed.seed,
        budget=parsed.budget,
        directory=directory,
        environment_options=named_options("env_options", parsed.env_options),
        # Where the configuration has a field of this name, it is that one's.
        hidden_sizes=None if system.hidden_sizes_for is None else parsed.hidden_sizes,
        problem_options=named_options("problem_options", parsed.problem_options),
        save_seconds=parsed.save_seconds,
    )
    return conclude(directory, result)


def run_arguments(algorithm: str, system: binding.System) -> type:
    """The dataclass of all arguments of `run ALGORITHM`: those of every run, and the fields of its configuration."""
    # Fields stand by their names, those of a configuration inside of it behind its name: two may be alike.
    config = Annotated[system.config, tyro.conf.arg(name="")]
    fields: list[Any] = [
        ("budget", int, system.budget),
        ("config", config, dataclasses.field(default_factory=system.config)),
    ]
    if system.hidden_sizes_for is not None:
        widths = Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="INT ...")]
        fields.append(("hidden_sizes", widths, None))
    arguments = dataclasses.make_dataclass(
        "Arguments",
        fields,
        bases=(RunArguments,),
        frozen=True,
        kw_only=True,
    )
    summary = catalogue.entry(algorithm).summary
    attributes = (RunArguments.__doc__ or "").partition("\n")[2]
    arguments.__doc__ = f"{algorithm}: {summary}.\n{attributes}"
    return arguments


def named_options(argument: str, words: Sequence[str]) -> dict[str, Any]:
    """Options from `NAME=VALUE`; a value is a bool, an int or a float if it reads as one, else a string."""
    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        require(argument, word, lambda _, given=equals: given, "NAME=VALUE")
        options[name.replace("-", "_")] = literal(value)
    return options


def literal(word: str) -> Any:
    """A bool, an int or a float if the word reads as one, else the word."""
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(word)
    return word


def resume_command(arguments: list[str]) -> int:
    """`jaxrl-sparse resume DIR`."""
    parsed = parse(ResumeArguments, arguments, "jaxrl-sparse resume")
    from jaxrl_sparse.runner import launch

    result = launch.resume(parsed.directory, budget=parsed.budget, save_seconds=parsed.save_seconds)
    return conclude(parsed.directory, result)


def plot_command(arguments: list[str]) -> int:
    """`jaxrl-sparse plot DIR`."""
    parsed = parse(PlotArguments, arguments, "jaxrl-sparse plot")
    from jaxrl_sparse.runner import launch

    print("\n".join(f"drawn: {file}" for file in launch.plot(parsed.directory)))
    return 0


def plan_command(arguments: list[str]) -> int:
    """`jaxrl-sparse plan --env NAME --objective TEXT`."""
    parsed = parse(PlanArguments, arguments, "jaxrl-sparse plan")
    from jaxrl_sparse.runner import planning

    named = re.sub(r"[^a-z0-9.-]+", "-", parsed.objective.lower()).strip("-")
    directory = parsed.out or Path("runs") / f"plan-{parsed.env.replace('/', '-')}-{named}"
    require("out", str(directory), lambda _: directory.is_dir() or not directory.exists(), "a directory, or a new one")
    planned = planning.plan(
        parsed.env,
        parsed.objective,
        num_steps=parsed.steps,
        spacing=parsed.spacing,
        memory_limit=parsed.memory_limit,
        num_episodes=parsed.episodes,
        seed=parsed.seed,
        environment_options=named_options("env_options", parsed.env_options),
    )
    print("\n".join(planning.report(planned)))
    print("\n".join(f"drawn: {file}" for file in planning.draw(planned, directory)))
    return 0


def conclude(directory: Path, result: Any) -> int:
    """Says how a run ended, and draws it if it ended by itself; returns the exit status."""
    if result.interrupted is not None:
        print(
            f"interrupted at update {result.position.updates:,} by {result.interrupted.name}; "
            f"resume with: jaxrl-sparse resume {directory}",
            file=sys.stderr,
        )
        return 128 + result.interrupted
    from jaxrl_sparse.runner import launch, run_directory

    description, _ = run_directory.read_description(directory)
    print("\n".join(metric_lines({word: value for word, value in result.rows[-1].items() if word != "step"})))
    if result.evaluation is not None:
        print("\n".join(["evaluation", *(f"  {line}" for line in metric_lines(result.evaluation))]))
    print("\n".join(f"drawn: {file}" for file in launch.draw(directory, description, result)))
    return 0


def metric_lines(metrics: dict[str, Any]) -> list[str]:
    """A line for each metric that is a number."""
    numbers = {word: value for word, value in metrics.items() if isinstance(value, int | float)}
    shown = {word: f"{value:,}" if isinstance(value, int) else f"{value:,.6g}" for word, value in numbers.items()}
    return [f"{word:<24} {number}" for word, number in shown.items()]


def parse(arguments_class: type, arguments: list[str], program: str) -> Any:
    """Parses with tyro, whose boxes on an error become the message of a `ValueError`."""
    boxes = io.StringIO()
    try:
        with contextlib.redirect_stderr(boxes):
            return tyro.cli(arguments_class, args=arguments, prog=program)
    except SystemExit as leaving:
        if not leaving.code:
            raise
        raise ValueError(f"{one_line(boxes.getvalue())}; see {program} --help") from None


def one_line(boxes: str) -> str:
    """The first paragraph of an error box, and the argument that a second one shows: what was got, what is taken."""
    paragraphs: list[list[str]] = [[]]
    for line in boxes.splitlines():
        text = line.strip().removeprefix("│").removesuffix("│").strip()
        if text and set(text) == {"─"}:
            paragraphs.append([])
        elif text and text[0] not in "╭╰":
            paragraphs[-1].append(text)
    message = " ".join(paragraphs[0])
    shown = [text for text in (paragraphs[1] if len(paragraphs) > 1 else []) if text.startswith("--")]
    return f"{message}, takes {shown[0]}" if shown else message


if __name__ == "__main__":
    sys.exit(main())
