"""TargetGrid3: nine cells, one that pays and one that charges, for policies that are asked for a return."""

import numpy as np

from jaxrl_sparse.environments.risk.grid_moves import cell_names, grid_successors
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.mdp import finite_mdp

SIZE = 3


class TargetGrid3(TabularEnvironment):
    """A 3 x 3 grid that never ends; a step into, or a stay in, cell (0,0) pays 1, in cell (2,2) -1, elsewhere nothing.

    Moves are stay, up, right, down and left; walls hold; nothing is random; episodes start in the centre. From there
    every discounted return between -gamma / (1 - gamma) and gamma / (1 - gamma) can be generated exactly, 9 at gamma
    0.9: the optimum of -abs(c_0 + G) is 0 for abs(c_0) up to 9, and 9 - abs(c_0) beyond. A time limit of n steps
    leaves a rest of up to gamma^n / (1 - gamma).

    Args:
      discount: gamma in (0, 1], per step.
      max_steps_in_episode: the time limit, at least 1; it truncates.

    Raises:
      ValueError: if an argument is out of range.
    """

    def __init__(self, discount: float = 0.9, max_steps_in_episode: int = 80):
        moves = ("stay", "up", "right", "down", "left")
        successors = grid_successors(SIZE, SIZE, moves)
        paid = np.zeros(SIZE * SIZE)
        paid[0], paid[-1] = 1, -1
        initial = np.eye(SIZE * SIZE)[SIZE * SIZE // 2]
        mdp = finite_mdp(np.ones(successors.shape), paid[successors], discount, initial=initial, successors=successors)
        super().__init__(mdp, max_steps_in_episode, state_names=cell_names(SIZE, SIZE), action_names=moves)
