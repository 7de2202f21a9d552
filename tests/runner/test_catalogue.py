import dataclasses

import jax
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments import names
from jaxrl_sparse.quality_diversity import MapElitesConfig, NoveltySearchConfig
from jaxrl_sparse.runner import binding, catalogue


def test_binding_twice_gives_the_same_make_so_that_nothing_compiles_twice():
    first = catalogue.bind("novelty-search", "point-2d", (), (5, 5))
    assert catalogue.bind("novelty-search", "point-2d", (), (5, 5))[1].make is first[1].make
    assert catalogue.bind("novelty-search", "point-2d", (), (4, 4))[1].make is not first[1].make


def test_the_smallest_budget_is_the_start_and_one_update():
    system, task = catalogue.bind("novelty-search", "point-2d", (), (5, 5))
    assert system.config is NoveltySearchConfig
    assert task.smallest_budget(NoveltySearchConfig()) == 100 + 2 * 100
    _, task = catalogue.bind("map-elites", "point-2d", (), (5, 5))
    assert task.smallest_budget(MapElitesConfig(population_size=7, batch_size=30)) == 37


def test_learners_are_evaluated_and_need_more_steps_than_they_learn_nothing_in():
    for name, starts in (("dqn", 10_000), ("d-eta-n", 2_000)):
        system, task = catalogue.bind(name, "two-stage", (), ())
        assert system.evaluates and system.config().learner.learning_starts == starts
        task.check_budget(system.config(), starts + 1)
        with pytest.raises(
            ValueError, match=rf"budget: got {starts}, takes more .* learner.learning_starts, {starts},"
        ):
            task.check_budget(system.config(), starts)
    assert not catalogue.entry("map-elites").load().evaluates


def test_stock_agents_are_given_the_whole_objective():
    system, task = catalogue.bind("d-eta-n", "two-stage", (), (), (("objective", "target(5)"),))
    learner = dataclasses.replace(system.config().learner, num_evaluation_episodes=1, replay_capacity=256)
    algorithm = task.make(dataclasses.replace(system.config(), learner=learner, hidden_sizes=(4,)), task.inputs)

    def run(key):
        init_key, evaluation_key = jax.random.split(key)
        return algorithm.evaluate(algorithm.init(init_key), evaluation_key)

    assert float(jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))["initial_stock"]) == -5


def test_published_widths_of_every_environment_of_ours():
    others = {"curling": (5, 5, 5), "ant-maze": (10, 10, 10)}
    planar = set(binding.DEFAULT_HIDDEN_SIZES)
    assert planar < set(names())
    assert {name: binding.hidden_sizes_for(name) for name in planar} == {**dict.fromkeys(planar, (5, 5)), **others}
    # A learner's widths are a field of its configuration.
    assert catalogue.bind("dqn", "two-stage", (), ())[0].hidden_sizes_for is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("novelty", "point-2d", (), (5,)), r"^algorithm: got 'novelty', takes one of novelty-search, "),
        (
            ("map-elites", "gymnax/CartPole-v1", (), (5,)),
            r"takes one whose behaviours are described and drawn: ",
        ),
        (("map-elites", "point-2d", (("speed", 1),), (5,)), r"^option: got 'speed', takes no option at all$"),
        (("dqn", "two-stage", (), (), (("objective", "mean"),)), r"^problem option: got 'objective', takes none for"),
        (("d-eta-n", "two-stage", (), (), (("frames", 2),)), r"^problem option: got 'frames', takes one of objective$"),
        (("map-elites", "point-2d", (), (5, 0)), r"^hidden_sizes: got \(5, 0\), takes integers of at least 1$"),
    ],
)
def test_what_does_not_fit_together_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        catalogue.bind(*arguments)
