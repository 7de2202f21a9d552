import json
import subprocess
import sys

import jax.numpy as jnp
import pytest

from jaxrl_sparse.base import config
from jaxrl_sparse.runner import run_directory
from jaxrl_sparse.runner.checkpoints import CheckpointError

DESCRIPTION = {
    "algorithm": "toy",
    "environment": "maze",
    "environment_options": {"walls": True},
    "hidden_sizes": [5, 5],
    "problem_options": {},
    "config": {},
    "seed": 0,
}


@config
class Inner:
    sizes: tuple[int, ...] = (5, 5)
    rate: float = 0.5


@config
class Outer:
    name: str = "gaussian"
    inner: Inner = Inner()
    count: int = 3
    flag: bool = True


def test_description_and_budget_come_back(tmp_path):
    run_directory.create(tmp_path / "a" / "b", DESCRIPTION, 300)
    assert run_directory.read_description(tmp_path / "a" / "b") == (DESCRIPTION, 300)


def test_a_directory_that_holds_anything_is_refused(tmp_path):
    run_directory.create(tmp_path / "run", DESCRIPTION, 300)
    with pytest.raises(ValueError, match=r"out: .*this one holds another run; `jaxrl-sparse resume .*run` goes on"):
        run_directory.create(tmp_path / "run", DESCRIPTION, 300)
    (tmp_path / "file").write_text("")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(ValueError, match=r"out: .*this one holds other files"):
            run_directory.create(taken, DESCRIPTION, 300)
    with pytest.raises(ValueError, match=r"out: .*can be written"):
        run_directory.create(tmp_path / "file" / "run", DESCRIPTION, 300)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "{}", json.dumps({"budget": 3, "algorithm": "toy"})])
def test_a_damaged_or_foreign_config_is_refused_in_one_line(tmp_path, content):
    (tmp_path / run_directory.CONFIG).write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json") as error:
        run_directory.read_description(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"environment_options": 3}, "environment_options is a dict, got int"),
        ({"config": "x"}, "config is a dict, got str"),
        ({"seed": None}, "seed is a int, got NoneType"),
        ({"hidden_sizes": ["5"]}, "hidden_sizes and budget are integers"),
        ({"budget": "300"}, "hidden_sizes and budget are integers"),
    ],
)
def test_a_config_with_a_field_of_another_type_is_refused(tmp_path, change, named):
    (tmp_path / run_directory.CONFIG).write_text(json.dumps({**DESCRIPTION, "budget": 300, **change}))
    with pytest.raises(CheckpointError, match=rf"config\.json' is damaged, {named}$"):
        run_directory.read_description(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"count": 3.5}, {"count": True}, {"name": 1}, {"flag": 0}, {"inner": 3}, {"inner": {"sizes": 5, "rate": 1}}],
)
def test_configurations_with_values_of_another_type_are_refused(change):
    described = {**run_directory.describe_config(Outer()), **change}
    with pytest.raises(CheckpointError, match=r"^config: \w+ of config\.json is .*, no "):
        run_directory.parse_config(Outer, described)


def test_a_number_without_a_point_is_a_float_too():
    described = run_directory.describe_config(Outer())
    described["inner"]["rate"] = 1
    assert run_directory.parse_config(Outer, described).inner.rate == 1


def test_configurations_survive_json():
    described = run_directory.describe_config(Outer(inner=Inner(sizes=(7,), rate=jnp.float32(0.25)), count=4))
    assert json.loads(json.dumps(described)) == described
    assert run_directory.parse_config(Outer, described) == Outer(inner=Inner(sizes=(7,), rate=0.25), count=4)


@pytest.mark.parametrize("change", [{"count": None}, {"more": 1}])
def test_configurations_of_other_fields_are_refused(change):
    described = run_directory.describe_config(Outer())
    described = {name: value for name, value in {**described, **change}.items() if value is not None}
    with pytest.raises(CheckpointError, match=rf"config: .*{next(iter(change))!r}"):
        run_directory.parse_config(Outer, described)


def test_metrics_are_cut_after_the_checkpoint(tmp_path):
    path = tmp_path / run_directory.METRICS
    path.write_text('{"step": 0}\n{"step": 1}\n{"step": 2}\n{"st')
    assert run_directory.read_rows(path) == [{"step": 0}, {"step": 1}, {"step": 2}]
    with pytest.raises(CheckpointError, match="truncated"):
        run_directory.cut_metrics(tmp_path, 4)
    run_directory.cut_metrics(tmp_path, 2)
    assert path.read_text() == '{"step": 0}\n{"step": 1}\n'
    run_directory.cut_metrics(tmp_path, 0)
    assert path.read_text() == ""


def test_every_session_leaves_its_versions(tmp_path):
    run_directory.record_versions(tmp_path, 0)
    run_directory.record_versions(tmp_path, 7)
    sessions = json.loads((tmp_path / run_directory.VERSIONS).read_text())
    assert [session["updates"] for session in sessions] == [0, 7]
    assert {"python", "device", "jax", "jaxrl_sparse"} <= sessions[1].keys()


def test_a_run_is_held_by_one_at_a_time(tmp_path):
    with (
        run_directory.held(tmp_path),
        pytest.raises(CheckpointError, match="takes a run that no other process is at"),
        run_directory.held(tmp_path),
    ):
        pass
    with run_directory.held(tmp_path):
        pass


def test_a_process_that_is_killed_lets_go(tmp_path):
    code = "import sys, time; from pathlib import Path; from jaxrl_sparse.runner import run_directory as r\n"
    code += "with r.held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(CheckpointError, match="still under way"), run_directory.held(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with run_directory.held(tmp_path):
        pass


def test_damaged_rows_and_versions_are_named(tmp_path):
    for name, read in (
        (run_directory.METRICS, run_directory.read_rows),
        (run_directory.VERSIONS, lambda path: run_directory.record_versions(path.parent, 0)),
    ):
        (tmp_path / name).write_text("{\n")
        with pytest.raises(CheckpointError, match=rf"^directory: .*{name}' is damaged$"):
            read(tmp_path / name)
