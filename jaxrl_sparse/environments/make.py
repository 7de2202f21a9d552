"""Environments by name: this library's, gymnax's and brax's, each imported when it is asked for."""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxrl_sparse.base import require, require_known
from jaxrl_sparse.environments.options import parameter_names, require_options

if TYPE_CHECKING:
    from jaxrl_sparse.environments.base import Environment


class Entry(NamedTuple):
    """Where an environment is found, and what it is, in one line."""

    module: str
    class_name: str
    summary: str


ENVIRONMENTS: dict[str, Entry] = {
    "agv-complex-dynamic": Entry(
        "jaxrl_sparse.environments.warehouse",
        "AgvComplexDynamic",
        "agv-complex-static, but the target is drawn at random and moves, 4,000 steps",
    ),
    "agv-complex-static": Entry(
        "jaxrl_sparse.environments.warehouse",
        "AgvComplexStatic",
        "a vehicle with lasers, 12 shelves and a wall with one gap, and a target, 3,000 steps",
    ),
    "agv-simple-dynamic": Entry(
        "jaxrl_sparse.environments.warehouse",
        "AgvSimpleDynamic",
        "agv-simple-static, but the target is drawn at random and moves, 2,000 steps",
    ),
    "agv-simple-static": Entry(
        "jaxrl_sparse.environments.warehouse",
        "AgvSimpleStatic",
        "a vehicle with lasers that has to find a target among 4 shelves, 2,000 steps",
    ),
    "ant-coverage": Entry(
        "jaxrl_sparse.environments.ant_coverage",
        "AntCoverage",
        "brax's ant (the `brax` extra), which is to cover an arena of 40 x 40 m, 400 steps",
    ),
    "ant-maze": Entry(
        "jaxrl_sparse.environments.ant_maze.ant_maze",
        "AntMaze",
        "a four-legged ant in PointMaze's arena, 3,000 steps: MuJoCo MJX (the `brax` extra), for a GPU",
    ),
    "bimodal-grid": Entry(
        "jaxrl_sparse.environments.grids.problems",
        "BimodalGrid",
        "a walk of 40 states that covers two hills in opposite corners of 30 x 30 cells",
    ),
    "biodiversity-grid": Entry(
        "jaxrl_sparse.environments.grids.problems",
        "BiodiversityGrid",
        "a walk of 40 states that covers nests, a random density on 30 x 30 cells",
    ),
    "budget": Entry(
        "jaxrl_sparse.environments.risk.budget",
        "Budget",
        "rewards and costs, 8 steps: fast earns more and spends by chance; vector rewards",
    ),
    "car-racing": Entry(
        "jaxrl_sparse.environments.racing.car_racing",
        "CarRacing",
        "a miniature car with slipping tyres, one lap of 16.4 m, 700 steps",
    ),
    "collect-ball": Entry(
        "jaxrl_sparse.environments.planar.collect_ball",
        "CollectBall",
        "a two-wheeled robot that carries balls to a nest, 2,000 steps, one reward area",
    ),
    "combination-lock": Entry(
        "jaxrl_sparse.environments.decision_processes",
        "CombinationLock",
        "a lock of 5 digits that no wrong digit can be taken back of; knows all codes, for theory",
    ),
    "coverage-grid": Entry(
        "jaxrl_sparse.environments.grids.problems",
        "CoverageGrid",
        "a walk of 80 states that is to cover as many of 30 x 30 cells as it can",
    ),
    "curling": Entry(
        "jaxrl_sparse.environments.curling.curling",
        "Curling",
        "an arm of two links that strikes a ball over a table, 500 steps, two reward areas",
    ),
    "density-grid": Entry(
        "jaxrl_sparse.environments.grids.problems",
        "DensityGrid",
        "a walk of 40 states that covers a draw of a Gaussian process on 30 x 30 cells",
    ),
    "entropy-grid": Entry(
        "jaxrl_sparse.environments.grids.problems",
        "EntropyGrid",
        "a walk of 40 states that measures a Gaussian process on 30 x 30 cells",
    ),
    "gamble": Entry(
        "jaxrl_sparse.environments.risk.gamble",
        "Gamble",
        "10 rounds of a safe gain or a losing bet, for returns out of safe reach",
    ),
    "garnet": Entry(
        "jaxrl_sparse.environments.decision_processes",
        "Garnet",
        "a random process of 20 states without structure or end, for theory",
    ),
    "hard-maze": Entry(
        "jaxrl_sparse.environments.planar.hard_maze",
        "HardMaze",
        "a two-wheeled robot with bumpers and lasers in a deceptive maze, 2,000 steps, two reward areas",
    ),
    "homeostat": Entry(
        "jaxrl_sparse.environments.risk.homeostat",
        "Homeostat",
        "two needs that drain and are fed in different cells of a ring; vector rewards",
    ),
    "item-collection": Entry(
        "jaxrl_sparse.environments.grids.problems",
        "ItemCollection",
        "a walk of 40 states that collects a few of each of six items on 7 x 15 cells",
    ),
    "linear-mixture": Entry(
        "jaxrl_sparse.environments.decision_processes",
        "LinearMixtureProcess",
        "a random mixture of 3 known kernels on 5 states, 10 steps, for exploration without rewards",
    ),
    "point-2d": Entry(
        "jaxrl_sparse.environments.planar.point_2d",
        "Point2D",
        "a point that walks in a square, 50 steps, four small reward areas: the cheapest",
    ),
    "point-maze": Entry(
        "jaxrl_sparse.environments.planar.point_maze",
        "PointMaze",
        "a point in AntMaze's walls, with its two reward areas: the cheap stand-in",
    ),
    "pong-score": Entry(
        "jaxrl_sparse.environments.pong_score",
        "PongScore",
        "Pong on 30 x 40 cells against a beatable opponent, images, first to 5 points, 1,000 steps",
    ),
    "redundant-arm": Entry(
        "jaxrl_sparse.environments.planar.redundant_arm",
        "RedundantArm",
        "an arm of 20 joints in a plane that must not collide, 100 steps, three reward areas",
    ),
    "ring": Entry(
        "jaxrl_sparse.environments.decision_processes",
        "Ring",
        "10 states in a ring, all within reach, and no reward: for exploration without one",
    ),
    "risky-corridor": Entry(
        "jaxrl_sparse.environments.risk.risky_corridor",
        "RiskyCorridor",
        "a short way with accidents or a safe detour, 4 x 6 cells: aversion to risk shows at once",
    ),
    "target-grid": Entry(
        "jaxrl_sparse.environments.risk.target_grid",
        "TargetGrid3",
        "nine cells, one that pays and one that charges: any discounted return can be generated",
    ),
    "two-rooms": Entry(
        "jaxrl_sparse.environments.grids.problems",
        "TwoRooms",
        "a walk of 40 states that covers two rooms and the corridor between them",
    ),
    "two-stage": Entry(
        "jaxrl_sparse.environments.risk.two_stage",
        "TwoStage",
        "a windfall that only the stock remembers, then safe or risky: solved by hand",
    ),
}

ADAPTERS = {
    "gymnax/<id>": "any environment registered with gymnax, such as gymnax/CartPole-v1",
    "brax/<id>[/<backend>]": "any environment registered with brax (the `brax` extra), such as brax/ant/spring",
}


def make(name: str, **options: Any) -> "Environment[Any, Any]":
    """Makes an environment.

    Args:
      name: a name of `names()`, `gymnax/<id>` or `brax/<id>[/<backend>]`.
      **options: of the environment's constructor; `brax/` also takes `max_steps_in_episode`.

    Returns:
      The environment; its published constants are `environment.default_params`.

    Raises:
      ValueError: if the name or an option is unknown, or if brax is not installed.
    """
    prefix, _, rest = name.partition("/")
    if prefix == "gymnax" and rest:
        from jaxrl_sparse.environments.adapters.gymnax import make_gymnax

        return make_gymnax(rest, **options)
    if prefix == "brax" and rest:
        require(
            "environment",
            name,
            lambda _: importlib.util.find_spec("brax") is not None,
            "an installation with the `brax` extra: pip install -c constraints.txt '.[brax]'",
        )
        from jaxrl_sparse.environments.adapters.brax import make_brax

        return make_brax(rest, **options)
    require_known("environment", name, ENVIRONMENTS, [*ENVIRONMENTS, *ADAPTERS])
    entry = ENVIRONMENTS[name]
    factory = getattr(importlib.import_module(entry.module), entry.class_name)
    require_options(options, parameter_names(factory))
    return factory(**options)


def names() -> tuple[str, ...]:
    """The names of this library's own environments."""
    return tuple(ENVIRONMENTS)


def summaries() -> dict[str, str]:
    """A line for every name, and for every form of name, that `make` takes; imports none of them."""
    return {name: entry.summary for name, entry in ENVIRONMENTS.items()} | ADAPTERS
