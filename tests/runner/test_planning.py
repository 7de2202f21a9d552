import numpy as np
import pytest

from jaxrl_sparse.runner import planning
from jaxrl_sparse.runner.cli import main


@pytest.fixture(scope="module")
def two_stage():
    return planning.plan("two-stage", "cvar(0.5)", num_episodes=4000)


def test_plans_two_stage_for_a_cvar(two_stage):
    # Safe after 0 and risky after 2: 1 with an even chance, else 2 or 5; or risky after 2 alone: worst half is 1 and 2.
    assert float(two_stage.solution.value) == 1.5
    assert abs(two_stage.achieved - 1.5) < 0.1
    assert float(two_stage.solution.probs.sum()) == pytest.approx(1)
    lines = dict(line.split(maxsplit=2)[1:] for line in planning.report(two_stage) if line.startswith("optimal"))
    assert lines == {"value": "1.5"}


def test_achieved_value_is_that_of_the_episodes(two_stage):
    returns = np.sort(np.asarray(two_stage.episodes.returns))
    # b + E min(G - b, 0) / tau at b = 3, which is the mean of the worst half but for sampling.
    b = -float(two_stage.solution.initial_stock)
    assert two_stage.achieved == pytest.approx(b + np.minimum(returns - b, 0).mean() / 0.5, abs=1e-5)


@pytest.mark.slow
def test_plans_for_vectors_and_tells_the_likely_episode():
    planned = planning.plan("budget", "reward-constraint(2, 10)", num_episodes=2000)
    assert float(planned.solution.value) == pytest.approx(11.921875)
    report = "\n".join(planning.report(planned))
    # The cost comes with an even chance, of which the first outcome is the likeliest: nothing is ever paid.
    assert "step 1 [0, -2] fast, step 2 [2, -2] fast" in report
    assert np.asarray(planned.episodes.returns)[:, 1].max() <= 2


def test_the_command_prints_the_optimum_and_draws_it(tmp_path, capsys):
    out = tmp_path / "plan"
    assert main(["plan", "--env", "two-stage", "--objective", "cvar(0.5)", "--out", str(out), "--episodes", "500"]) == 0
    printed = capsys.readouterr().out
    assert "optimal value            1.5\n" in printed
    for name in ("returns.png", "policy.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
        assert str(out / name) in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "hard-maze", "--objective", "mean"], "environment: got 'hard-maze', takes one with finitely many"),
        (["--env", "gamble", "--objective", "median"], "median it cannot: it is not indifferent to mixtures"),
        (["--env", "gamble", "--objective", "cvar(2)"], "tau: got 2.0, takes a number in (0, 1]"),
        (["--env", "gamble", "--objective", "cvar"], "objective: got 'cvar', takes cvar(tau) with finite numbers"),
        (["--env", "gamble", "--objective", "cvr(.1)"], "objective: got 'cvr', takes one of cvar(tau), "),
        (["--env", "budget", "--objective", "mean"], "objective: got 'mean', takes an objective of 2 returns"),
        (["--env", "target-grid", "--objective", "exponential(1)"], "takes 1: exponential is not indifferent to gamma"),
        (
            ["--env", "gamble", "--objective", "mean", "--episodes", "0"],
            "episodes: got 0, takes an integer of at least 1",
        ),
        (
            ["--env", "gamble", "--objective", "mean", "--spacing", "0"],
            "spacing: got 0.0, takes a finite number above 0, or None",
        ),
        (
            ["--env", "gamble", "--objective", "mean", "--steps", "0"],
            "num_steps: got 0, takes an integer of at least 1",
        ),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
