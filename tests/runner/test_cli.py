import json
import shutil

import pytest
from runner import toy

from jaxrl_sparse.runner import catalogue, cli, launch, run_directory


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.setitem(catalogue.ALGORITHMS, "toy", toy.ENTRY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of 80 evaluations, to be copied before it is damaged."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalogue.ALGORITHMS, "toy", toy.ENTRY)
        assert cli.main(["run", "toy", "--env", "hill", "--budget", "80", "--out", str(directory)]) == 0
    return directory


def listing(directory):
    return {path: path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


def refuse(here, capfd, *arguments):
    """The one line on standard error; exit status 2, nothing on standard output, nothing written."""
    before = listing(here)
    capfd.readouterr()
    assert cli.main([str(argument) for argument in arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("jaxrl-sparse: ") and err.endswith("\n") and err.count("\n") == 1
    assert listing(here) == before
    return err


@pytest.mark.parametrize("algorithm", catalogue.ALGORITHMS)
def test_every_algorithm_shows_its_options_and_takes_its_defaults(algorithm, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["run", algorithm, "--help"])
    assert "--env NAME" in capsys.readouterr().out
    system = catalogue.entry(algorithm).load()
    parsed = cli.parse(cli.run_arguments(algorithm, system), ["--env", "point-2d"], "run")
    assert parsed.config == system.config() and parsed.budget == system.budget


def test_options_of_configurations_inside_others_stand_behind_their_names():
    system = catalogue.entry("stax").load()
    words = ["--env", "point-2d", "--criterion", "novelty", "--autoencoder.code-size", "3"]
    words += ["--search.exploration.population-size", "20", "--search.emitters.population-size", "5"]
    config = cli.parse(cli.run_arguments("stax", system), words, "run").config
    assert (config.criterion, config.autoencoder.code_size) == ("novelty", 3)
    assert config.search.exploration.population_size == 20 and config.search.emitters.population_size == 5


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("walk",), "command: got 'walk', takes one of list, run, resume, plot"),
        (("run", "novelty-serch"), "algorithm: got 'novelty-serch', takes one of novelty-search"),
        (("run", "novelty-search", "--env", "hard-mase"), "environment: got 'hard-mase', takes one of hard-maze"),
        (("run", "toy"), "--env"),
        (("run", "toy", "--env", "hill", "--populaton-size", "3"), "--populaton-size"),
        (("run", "toy", "--env", "hill", "--population-size", "x"), "--population-size"),
        (("run", "toy", "--env", "hill", "--population-size", "1.5"), "takes --population-size INT"),
        (("run", "toy", "--env", "hill", "--sigma", "wide"), "takes --sigma FLOAT"),
        (("run", "toy", "--env", "hill", "--seed"), "--seed"),
        (("run", "toy", "--env", "hill", "--seed", "-1"), "seed: got -1, takes"),
        (("run", "toy", "--env", "hill", "stray"), "stray"),
        (("run", "toy", "--env", "hill", "--population-size", "0"), "population_size: got 0, takes"),
        (("run", "toy", "--env", "hill", "--num-neighbors", "9"), "num_neighbors: got 9, takes 1 to population_size"),
        (("run", "toy", "--env", "hill", "--budget", "15"), "budget: got 15, takes at least 16 evaluations"),
        (("run", "toy", "--env", "hill", "--budget", "0"), "budget: got 0"),
        (("run", "toy", "--env", "hill", "--save-seconds", "nan"), "save_seconds: got nan, takes a finite number"),
        (("run", "toy", "--env", "hill", "--env-options", "walls"), "env_options: got 'walls', takes NAME=VALUE"),
        (("run", "toy", "--env", "hill", "--hidden-sizes", "0"), "hidden_sizes: got (0,)"),
        (("run", "toy", "--env", "hill", "--budget", "1000000000001"), "hill: got 1000000000001, takes at most"),
        (("run", "toy", "--env", "hill", "--problem-options", "x"), "problem_options: got 'x', takes NAME=VALUE"),
        (
            ("run", "novelty-search", "--env", "point-2d", "--problem-options", "frames=2"),
            "problem option: got 'frames', takes one of num_frames, descriptor",
        ),
        (
            ("run", "novelty-search", "--env", "point-2d", "--problem-options", "descriptor=path"),
            "descriptor: got 'path', takes final, samples-N, signature-N",
        ),
        (
            ("run", "novelty-search", "--env", "point-2d", "--archive-capacity", "100"),
            "archive_capacity: got 100, takes at least 750, which 30000 evaluations can fill: raise it",
        ),
        (
            ("run", "taxons", "--env", "point-2d", "--problem-options", "num_frames=51"),
            "num_frames: got 51, takes at most the 50 steps of an episode",
        ),
        (
            ("run", "dqn", "--env", "two-stage", "--budget", "5000"),
            "budget: got 5000, takes more environment steps than learner.learning_starts, 10000",
        ),
        (
            ("run", "d-eta-n", "--env", "two-stage", "--problem-options", "objective=5"),
            "objective: got '5', takes NAME or NAME(NUMBER, ...)",
        ),
        (("run", "d-eta-n", "--env", "budget"), "environment: got 'Budget', takes one with scalar rewards"),
        (("resume",), "DIRECTORY"),
        (("resume", "absent"), "directory: got 'absent', takes the directory of a run; this one does not exist"),
        (("plot", "absent"), "directory: got 'absent', takes the directory of a run; this one does not exist"),
        (("resume", "absent", "--budget", "many"), "--budget"),
        (("list", "everything"), "list: got ['everything'], takes no arguments"),
    ],
)
def test_bad_input_is_one_line_that_names_the_argument(here, capfd, arguments, named):
    assert named in refuse(here, capfd, *arguments)


def test_a_directory_that_holds_another_run_is_refused(here, capfd, finished):
    shutil.copytree(finished, here / "run")
    assert "another run" in refuse(here, capfd, "run", "toy", "--env", "hill", "--out", "run")
    (here / "file").write_text("")
    assert "out: got 'file'" in refuse(here, capfd, "run", "toy", "--env", "hill", "--out", "file")


@pytest.mark.parametrize("command", ["resume", "plot"])
def test_empty_foreign_and_truncated_directories_are_refused(here, capfd, finished, command):
    (here / "empty").mkdir()
    assert "directory: got 'empty'" in refuse(here, capfd, command, "empty")
    (here / "foreign").mkdir()
    (here / "foreign" / "notes.txt").write_text("")
    assert "directory: got 'foreign'" in refuse(here, capfd, command, "foreign")
    for lost, named in (
        ("config.json", "directory: got 'run'"),
        ("checkpoints", "takes a directory with a complete checkpoint"),
        ("checkpoints/9/manifest.json", "manifest"),
        ("checkpoints/9/default", "is truncated"),
        ("checkpoints/9/default/manifest.ocdbt", "is truncated"),
        ("metrics.jsonl", "metrics.jsonl' is truncated"),
    ):
        shutil.copytree(finished, here / "run")
        path = here / "run" / lost
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if lost.endswith("manifest.json"):
            # Of a single checkpoint without manifest nothing is left; of two, the earlier one is taken.
            shutil.rmtree(here / "run" / "checkpoints" / "0")
            named = "takes a directory with a complete checkpoint"
        if not (command == "plot" and lost == "metrics.jsonl"):
            assert named in refuse(here, capfd, command, "run")
        shutil.rmtree(here / "run")


def test_a_checkpoint_of_another_configuration_is_refused(here, capfd, finished):
    shutil.copytree(finished, here / "run")
    described = json.loads((here / "run" / "config.json").read_text())
    for change, named in (
        ({"seed": 1}, "seed is 0 there, 1 here"),
        ({"config": {**described["config"], "population_size": 9}}, "config.population_size is 8 there, 9 here"),
        ({"config": {**described["config"], "population_size": 0}}, "population_size: got 0"),
        ({"config": {**described["config"], "epochs": 9}}, "epochs"),
        ({"algorithm": "elsewhere"}, "algorithm: got 'elsewhere'"),
    ):
        (here / "run" / "config.json").write_text(json.dumps({**described, **change}))
        assert named in refuse(here, capfd, "resume", "run")


def test_run_writes_where_it_says_and_tells_what_it_found(here, capfd):
    arguments = ["run", "toy", "--env", "hill", "--seed", "3", "--budget", "80", "--population-size", "4"]
    assert cli.main([*arguments, "--num-neighbors", "2", "--learning-rate", "0.25", "--hidden-sizes", "7"]) == 0
    out, err = capfd.readouterr()
    directory = here / "runs" / "toy-hill-3"
    described, budget = run_directory.read_description(directory)
    assert budget == 80
    assert described == {
        "algorithm": "toy",
        "environment": "hill",
        "environment_options": {},
        "hidden_sizes": [7],
        "problem_options": {},
        "config": {"population_size": 4, "num_neighbors": 2, "sigma": 0.1, "learning_rate": 0.25},
        "seed": 3,
    }
    rows = run_directory.read_rows(directory / "metrics.jsonl")
    assert rows[-1]["evaluations"] == 80 and len(rows) == 19
    assert f"max_reward               {rows[-1]['max_reward']:,.6g}" in out
    reward = json.loads((directory / "evaluation.json").read_text())["reward"]
    assert f"evaluation\n  reward                   {reward:,.6g}\ndrawn: " in out
    for name in ("metrics.png", "discoveries.png"):
        assert f"drawn: runs/toy-hill-3/plots/{name}" in out
        assert (directory / "plots" / name).read_bytes().startswith(b"\x89PNG")
    assert "100% | update 19 | 80 of 80 evaluations" in err


def test_stopped_before_the_first_checkpoint_nothing_is_left(here, capfd, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "initialize", interrupted)
    assert cli.main(["run", "toy", "--env", "hill"]) == 130
    assert "stopped" in capfd.readouterr().err
    assert listing(here) == {}


def test_resume_and_plot_of_a_finished_run(here, capfd, finished):
    shutil.copytree(finished, here / "run")
    shutil.rmtree(here / "run" / "plots")
    assert cli.main(["plot", "run"]) == 0
    assert capfd.readouterr().out == "drawn: run/plots/metrics.png\ndrawn: run/plots/discoveries.png\n"
    assert cli.main(["resume", "run", "--budget", "96"]) == 0
    assert len(run_directory.read_rows(here / "run" / "metrics.jsonl")) == 11


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["jaxrl-sparse run novelty-search --env hard-maze", "resume DIR", "plot DIR", "130"]),
        (["list"], ["novelty-search", "map-elites", "random-search", "hard-maze", "gymnax/<id>"]),
        (["run", "--help"], ["novelty-search", "--env NAME"]),
        (
            ["run", "toy", "--help"],
            ["--population-size INT", "candidates of one update. (default: 8)", "--out", "--seed"],
        ),
        (["resume", "--help"], ["of the run", "--budget"]),
        (["plot", "--help"], ["of the run"]),
    ],
)
def test_help_tells_what_there_is(capfd, monkeypatch, arguments, words):
    monkeypatch.setenv("COLUMNS", "140")
    try:
        status = cli.main(arguments)
    except SystemExit as leaving:
        status = leaving.code or 0
    assert status == 0
    out, err = capfd.readouterr()
    assert err == ""
    for word in words:
        assert word in out


def test_options_of_environments_are_read_by_their_looks():
    words = ["a-b=True", "c=3", "d=.5", "e=mjx", "f=x=y"]
    assert cli.named_options("env_options", words) == {"a_b": True, "c": 3, "d": 0.5, "e": "mjx", "f": "x=y"}


@pytest.mark.parametrize(
    ("version", "flags", "expected"),
    [
        ((0, 10, 1), "", "--xla_cpu_experimental_ynn_fusion_type=-reduce"),
        ((0, 10, 0), "--xla_a=1", "--xla_a=1 --xla_cpu_experimental_ynn_fusion_type=-reduce"),
        ((0, 10, 1), "--xla_cpu_experimental_ynn_fusion_type=", "--xla_cpu_experimental_ynn_fusion_type="),
        ((0, 11, 2), "--xla_a=1", "--xla_a=1"),
    ],
)
def test_wrong_reductions_are_switched_off_where_jax_has_them(version, flags, expected):
    assert cli.safe_xla_flags(version, flags) == expected
