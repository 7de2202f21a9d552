"""Whole runs of the toy strategy: interrupted, killed and resumed ones equal the one that was left alone."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from runner import toy

from jaxrl_sparse.runner import catalogue, checkpoints, launch, run_directory

BUDGET = 4000


@pytest.fixture(autouse=True)
def catalogued(monkeypatch):
    monkeypatch.setitem(catalogue.ALGORITHMS, "toy", toy.ENTRY)


def run(directory, **options):
    options = {"budget": BUDGET, "stream": io.StringIO(), **options}
    return launch.run("toy", "hill", directory=directory, **options)


def resume(directory, **options):
    return launch.resume(directory, **{"stream": io.StringIO(), **options})


def bits(result):
    state = result.state._replace(key=jax.random.key_data(result.state.key))
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


def metrics(directory):
    return (directory / run_directory.METRICS).read_bytes()


def evaluation(directory):
    return json.loads((directory / run_directory.EVALUATION).read_text())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    directory = tmp_path_factory.mktemp("uninterrupted") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(catalogue.ALGORITHMS, "toy", toy.ENTRY)
        return directory, run(directory)


def assert_equal_to_uninterrupted(directory, result, uninterrupted):
    reference, expected = uninterrupted
    assert bits(result) == bits(expected)
    assert result.position == expected.position and result.rows == expected.rows
    assert metrics(directory) == metrics(reference)
    assert evaluation(directory) == evaluation(reference) == result.evaluation == expected.evaluation


def interrupt_after(updates):
    """A stream that sends SIGTERM once a line says that so many updates are done."""

    class Stream(io.StringIO):
        def write(self, text):
            if f"update {updates}" in text:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().write(text)

    return Stream()


def test_equal_arguments_give_equal_bits_with_and_without_a_directory(uninterrupted):
    result = run(None)
    assert bits(result) == bits(uninterrupted[1]) and result.rows == uninterrupted[1].rows
    assert bits(run(None, seed=1)) != bits(result)


def test_a_run_ends_with_one_evaluation_by_a_key_that_is_held_out(uninterrupted):
    _, result = uninterrupted
    key = jax.random.fold_in(jax.random.key(0), launch.EVALUATION_KEY)
    held_out = toy.INPUTS + 0.01 * np.asarray(jax.random.normal(key, (2,)))
    reward = -np.sum((np.asarray(result.state.mean) - held_out) ** 2)
    assert result.evaluation["undefined"] is None
    np.testing.assert_allclose(result.evaluation["reward"], reward, rtol=1e-5)


def test_searches_that_keep_what_they_find_are_not_evaluated(tmp_path, monkeypatch):
    silent = catalogue.Entry("climbs a hill", lambda: toy.load()._replace(evaluates=False))
    monkeypatch.setitem(catalogue.ALGORITHMS, "toy", silent)
    catalogue.bind.cache_clear()
    assert run(tmp_path / "run", budget=80).evaluation is None
    catalogue.bind.cache_clear()
    assert not (tmp_path / "run" / run_directory.EVALUATION).exists()


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, uninterrupted):
    result = run(tmp_path / "run", stream=interrupt_after(1), max_updates=7)
    assert result.interrupted == signal.SIGTERM and result.position.evaluations < BUDGET
    assert result.evaluation is None and not (tmp_path / "run" / run_directory.EVALUATION).exists()
    saved = checkpoints.complete_checkpoints(tmp_path / "run" / run_directory.CHECKPOINTS)
    assert saved[-1] == result.position.updates
    result = resume(tmp_path / "run", save_seconds=0.0)
    assert result.interrupted is None
    assert_equal_to_uninterrupted(tmp_path / "run", result, uninterrupted)
    again = resume(tmp_path / "run")
    assert_equal_to_uninterrupted(tmp_path / "run", again, uninterrupted)


def test_a_larger_budget_goes_on_as_if_it_had_been_given_at_once(tmp_path, uninterrupted):
    run(tmp_path / "run", budget=800)
    # The evaluation of the smaller budget does not outlive it.
    resume(tmp_path / "run", budget=BUDGET, stream=interrupt_after(100), max_updates=7)
    assert not (tmp_path / "run" / run_directory.EVALUATION).exists()
    result = resume(tmp_path / "run", budget=BUDGET)
    assert_equal_to_uninterrupted(tmp_path / "run", result, uninterrupted)
    assert run_directory.read_description(tmp_path / "run")[1] == BUDGET


def test_metrics_after_the_checkpoint_are_cut(tmp_path, uninterrupted):
    run(tmp_path / "run", budget=800)
    with (tmp_path / "run" / run_directory.METRICS).open("a") as file:
        file.write('{"step": 99, "evaluations": 808}\n{"step": 1')
    result = resume(tmp_path / "run", budget=BUDGET)
    assert_equal_to_uninterrupted(tmp_path / "run", result, uninterrupted)


def test_a_notebook_may_run_in_a_thread(uninterrupted):
    results = []
    thread = threading.Thread(target=lambda: results.append(run(None)))
    thread.start()
    thread.join()
    assert bits(results[0]) == bits(uninterrupted[1])


def test_an_edited_configuration_is_refused(tmp_path):
    run(tmp_path / "run", budget=80)
    config = tmp_path / "run" / run_directory.CONFIG
    described = json.loads(config.read_text())
    described["config"]["sigma"] = 0.2
    config.write_text(json.dumps(described))
    with pytest.raises(checkpoints.CheckpointError, match=r"another configuration: config\.sigma is 0\.1 there, 0\.2"):
        resume(tmp_path / "run")


def test_a_configuration_of_another_algorithm_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="config: got 3, takes a ToyConfig"):
        launch.run("toy", "hill", 3, directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def start(directory, save_seconds):
    environment = {**os.environ, "PYTHONPATH": str(Path(toy.__file__).parents[1])}
    arguments = ["--budget", "400000000", "--out", str(directory), "--save-seconds", str(save_seconds)]
    command = [sys.executable, toy.__file__, "run", "toy", "--env", "hill", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_rows(directory, num_rows):
    deadline = time.monotonic() + 60
    while len(run_directory.read_rows(directory / run_directory.METRICS)) < num_rows:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def assert_goes_on_as_in_one_process(directory, tmp_path):
    """Resumes here to a little beyond the last checkpoint, and compares with a run that never stopped."""
    manifest = checkpoints.latest_manifest(directory / run_directory.CHECKPOINTS)
    budget = manifest.totals["evaluations"] + 800
    result = resume(directory, budget=budget)
    reference = tmp_path / "reference"
    assert bits(result) == bits(run(reference, budget=budget))
    assert metrics(directory) == metrics(reference)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_says_so_and_exits_cleanly(tmp_path, number):
    process = start(tmp_path / "run", save_seconds=30)
    wait_for_rows(tmp_path / "run", 30)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    last = errors.splitlines()[-1]
    assert last.startswith("interrupted at update ")
    assert last.endswith(f"by {number.name}; resume with: jaxrl-sparse resume {tmp_path / 'run'}")
    assert "Traceback" not in errors
    assert_goes_on_as_in_one_process(tmp_path / "run", tmp_path)


@pytest.mark.slow
def test_killed_at_any_moment_the_last_checkpoint_is_readable(tmp_path):
    waits = random.Random(0)
    for trial in range(4):
        directory = tmp_path / f"run{trial}"
        process = start(directory, save_seconds=0)
        wait_for_rows(directory, 3)
        time.sleep(waits.uniform(0.0, 0.4))
        process.kill()
        process.communicate()
        trial_path = tmp_path / f"trial{trial}"
        trial_path.mkdir()
        assert_goes_on_as_in_one_process(directory, trial_path)
