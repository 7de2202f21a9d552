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
    "ant-maze": Entry(
        "jaxrl_sparse.environments.ant_maze.ant_maze",
        "AntMaze",
        "a four-legged ant in PointMaze's arena, 3,000 steps: MuJoCo MJX (the `brax` extra), for a GPU",
    ),
    "budget": Entry(
        "jaxrl_sparse.environments.risk.budget",
        "Budget",
        "rewards and costs, 8 steps: fast earns more and spends by chance; vector rewards",
    ),
    "collect-ball": Entry(
        "jaxrl_sparse.environments.planar.collect_ball",
        "CollectBall",
        "a two-wheeled robot that carries balls to a nest, 2,000 steps, one reward area",
    ),
    "curling": Entry(
        "jaxrl_sparse.environments.curling.curling",
        "Curling",
        "an arm of two links that strikes a ball over a table, 500 steps, two reward areas",
    ),
    "gamble": Entry(
        "jaxrl_sparse.environments.risk.gamble",
        "Gamble",
        "10 rounds of a safe gain or a losing bet, for returns out of safe reach",
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
