import importlib.util

import pytest

from jaxrl_sparse import environments
from jaxrl_sparse.environments import make as make_function
from jaxrl_sparse.environments.base import Environment
from jaxrl_sparse.environments.make import ENVIRONMENTS, make, names, summaries


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_name_makes_its_environment(name):
    environment = make(name)
    assert isinstance(environment, Environment)
    assert type(environment).__name__ == ENVIRONMENTS[name].class_name


def test_make_is_a_function_of_the_package():
    """Importing the module of the same name must not put the module in the function's place."""
    importlib.import_module("jaxrl_sparse.environments.make")
    assert environments.make is make_function is make


def test_names_and_summaries():
    assert names() == (
        "agv-complex-dynamic",
        "agv-complex-static",
        "agv-simple-dynamic",
        "agv-simple-static",
        "ant-coverage",
        "ant-maze",
        "bimodal-grid",
        "biodiversity-grid",
        "budget",
        "car-racing",
        "collect-ball",
        "combination-lock",
        "coverage-grid",
        "curling",
        "density-grid",
        "entropy-grid",
        "gamble",
        "garnet",
        "hard-maze",
        "homeostat",
        "item-collection",
        "linear-mixture",
        "point-2d",
        "point-maze",
        "pong-score",
        "redundant-arm",
        "ring",
        "risky-corridor",
        "target-grid",
        "two-rooms",
        "two-stage",
    )
    lines = summaries()
    assert list(lines) == [*names(), "gymnax/<id>", "brax/<id>[/<backend>]"]
    assert all(line and "\n" not in line and len(line) < 100 for line in lines.values())


@pytest.mark.parametrize("name", ["pont-2d", "Hard-Maze", "", "gymnax", "brax/", "mujoco/ant"])
def test_unknown_names_are_refused_in_one_line(name):
    with pytest.raises(ValueError, match=r"^environment: got .*, takes one of ") as refusal:
        make(name)
    assert "\n" not in str(refusal.value)
    assert all(known in str(refusal.value) for known in [*names(), "gymnax/<id>", "brax/<id>[/<backend>]"])


def test_the_closest_name_comes_first():
    with pytest.raises(ValueError, match="takes one of redundant-arm, "):
        make("redundent-arm")
    with pytest.raises(ValueError, match="gymnax environment: got 'CartPole-v0', takes one of CartPole-v1, "):
        make("gymnax/CartPole-v0")


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="option: got 'speed', takes "):
        make("point-2d", speed=2)
    with pytest.raises(ValueError, match="option: got 'sise', takes one of size, action_mapping_key"):
        make("gymnax/DeepSea-bsuite", sise=4)


def test_options_reach_the_environment():
    environment = make("gymnax/DeepSea-bsuite", size=5)
    assert environment.name == "gymnax/DeepSea-bsuite"
    assert environment.observation_space(environment.default_params).shape == (5, 5)


def test_brax_that_is_not_installed_is_one_clear_line(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "brax" else find_spec(name))
    with pytest.raises(
        ValueError, match=r"environment: got 'brax/ant', takes an installation with the `brax` extra: pip"
    ):
        make("brax/ant")
