"""SubPO, SubPO-NM and ModPO on the published grid worlds: an instance's set function, and the algorithm on its walk."""

from typing import Any

from jaxtyping import Array, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, PyTree, config, require
from jaxrl_sparse.environments.grids.instances import GridInstance
from jaxrl_sparse.environments.grids.problems import SubmodularGrid
from jaxrl_sparse.submodular.coverage import capped_groups, coverage
from jaxrl_sparse.submodular.gaussian_information import information_gain
from jaxrl_sparse.submodular.set_functions import SetFunction
from jaxrl_sparse.submodular.subpo import SubPOConfig, SubPOState, policy_of, subpo, walks_of


@config
class SubPONMConfig(SubPOConfig):
    """Configuration of SubPO-NM: that of `SubPOConfig` with a policy that sees the history."""

    sees_history: bool = True


@config
class ModPOConfig(SubPOConfig):
    """Configuration of ModPO: that of `SubPOConfig` with the modular objective."""

    objective: str = "modular"


def grid_subpo(config: SubPOConfig, environment: Any, params: PyTree) -> Algorithm:
    """SubPO on a grid world, which says what its visited cells are worth; see `subpo`.

    Args:
      config: see `SubPOConfig`.
      environment: a `SubmodularGrid`; what its policy is shown is its own `shown`.
      params: of the environment.

    Raises:
      ValueError: if the environment is another, if its instance's arrays are not for the cells of `params`, or naming
        the field that is out of range.
    """
    takes = "a grid world with a set function, such as coverage-grid; for others give `subpo` the set function"
    require("environment", environment.name, lambda _: isinstance(environment, SubmodularGrid), takes)
    return subpo(
        config,
        environment,
        params,
        grid_set_function(environment.instance),
        lambda observation: observation.cell,
        environment.features,
        environment.horizon,
        params.next_cells.shape[0],
    )


def grid_walks(
    config: SubPOConfig, environment: SubmodularGrid, params: PyTree, state: SubPOState, key: PRNGKeyArray, number: int
) -> Int[Array, "H N"]:
    """Cells of walks that a trained policy draws.

        state, _ = train(grid_subpo(config, environment, params), state, num_updates)
        cells = grid_walks(config, environment, params, state, key, 8)

    Args:
      config: that it was trained with.
      environment: that it was trained on.
      params: of the environment.
      state: of the algorithm.
      key: for the actions.
      number: N of walks, static.
    """
    policy = policy_of(config, environment, params, environment.horizon)
    walks = walks_of(
        policy,
        state.params,
        environment,
        params,
        key,
        number,
        lambda observation: observation.cell,
        environment.features,
        environment.horizon,
    )
    return walks.elements


def grid_set_function(instance: GridInstance) -> SetFunction:
    """The set function of an instance's visited cells.

    Args:
      instance: see `GridInstance`.
    """
    if instance.objective == "coverage":
        return coverage(instance.weights, instance.footprint)  # pyright: ignore[reportArgumentType]
    if instance.objective == "items":
        return capped_groups(instance.group_of_cell, instance.caps)  # pyright: ignore[reportArgumentType]
    return information_gain(instance.covariance, instance.noise_variance, instance.horizon)  # pyright: ignore[reportArgumentType]
