"""Methods for finite processes find their arrays in an environment, or say what they miss in it."""

import numpy as np
import pytest

from jaxrl_sparse.environments import make
from jaxrl_sparse.runner import catalogue, exact_binding


def bound(algorithm, environment, problem_options=(), **environment_options):
    return catalogue.bind(algorithm, environment, tuple(environment_options.items()), (), problem_options)


def test_a_finite_process_is_cut_at_its_time_limit():
    grid = make("target-grid", max_steps_in_episode=7)
    (process,) = exact_binding.process(grid)
    assert process.rewards.shape == (7, 9, 5)
    lock = make("combination-lock")
    assert exact_binding.process(lock) == (lock.process,) == exact_binding.mdp(lock)
    assert exact_binding.mdp(grid) == (grid.mdp,)


def test_offline_data_are_as_good_as_they_are_asked_to_be():
    """The optimal policy is in the good state of the last layer with `.9^4`, a uniform one with `.45^4`."""
    lock = make("combination-lock")
    for quality in (0.0, 0.5, 1.0):
        process, data = exact_binding.offline_data(lock, quality, 300, 1)
        assert process is lock.process and data.num_samples == 300
        good = float(data.distribution[-1, 0].sum())
        assert good == pytest.approx(quality * 0.9**4 + (1 - quality) * 0.45**4, rel=1e-5)
    again = exact_binding.offline_data(lock, 1.0, 300, 1)[1].transitions.states
    np.testing.assert_array_equal(again, data.transitions.states)
    assert (
        exact_binding.offline_data(lock, 1.0, 300, 2)[1].transitions.next_states != data.transitions.next_states
    ).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("glow", "garnet"), "environment: got 'Garnet', takes one with models: combination-lock"),
        (("hyglow", "garnet"), "environment: got 'Garnet', takes one with models: combination-lock"),
        (("hyglow", "combination-lock", (("quality", 2),)), r"quality: got 2, takes a number in \[0, 1\]"),
        (("hy-q", "combination-lock", (("size", 2),)), "problem option: got 'size', takes one of quality, num_samples"),
        (("ucb-vi", "point-2d"), "environment: got 'Point2D', takes one with finitely many states and scalar rewards"),
        (("smm", "budget"), "environment: got 'Budget', takes one with finitely many states and scalar rewards"),
        (("max-entropy", "ring", (("sigma", 1),)), "problem option: got 'sigma', takes none for this algorithm"),
        (("dual-dice", "combination-lock"), "discount: got 1.0, takes an environment with a discount below 1"),
        (("hf-ucrl-rfe", "combination-lock"), "environment: got 'CombinationLock', takes one with a mixture"),
    ],
)
def test_what_an_environment_does_not_have_is_said(arguments, message):
    with pytest.raises(ValueError, match=message):
        bound(*arguments)


def test_an_explorer_s_horizon_is_the_environment_s():
    system, task = bound("ucrl-rfe", "linear-mixture", horizon=4)
    takes = "horizon: got 10, takes that of the environment, 4; or give it another: env_options horizon=N"
    with pytest.raises(ValueError, match=takes):
        task.make(system.config(), task.inputs)
    task.make(system.config(horizon=4), task.inputs)
    assert task.smallest_budget(system.config(horizon=4)) == 4
