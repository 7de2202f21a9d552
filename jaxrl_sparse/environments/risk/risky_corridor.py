"""RiskyCorridor: the short way is dangerous, the long way is safe; how averse to risk a policy is shows at once."""

import numpy as np

from jaxrl_sparse.base import require
from jaxrl_sparse.environments.risk.grid_moves import cell_names, grid_successors
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.mdp import finite_mdp

HEIGHT, WIDTH = 4, 6
START, GOAL = 18, 23
CORRIDOR = (19, 20, 21, 22)
STEP_REWARD, GOAL_REWARD, ACCIDENT_REWARD = -2, 30, -10


class RiskyCorridor(TabularEnvironment):
    """A 4 x 6 grid, from the bottom left to the bottom right; gamma is 1, and 20 steps truncate.

    Every step costs 2, and the step into the goal pays 30 as well, which ends the episode. A step that ends in the
    bottom row between them, be it a move against the wall, costs 10 more with the probability `hazard`. Moves are up,
    right, down and left; walls hold.

    Straight along the bottom the return has mean 18 and the law {20: .8145, 10: .1715, 0: .0135, ...} by default; the
    detour through the row above returns 16 for sure. The best CVaR is that of the detour at levels up to .5, and
    17.1429 at .7, 17.7778 at .9, 18 at 1. From a hazard of .1 on, the detour is best at every level.

    Args:
      hazard: probability of an accident in a step, in [0, 1].

    Raises:
      ValueError: if `hazard` is outside [0, 1].
    """

    def __init__(self, hazard: float = 0.05):
        require("hazard", hazard, lambda p: 0 <= p <= 1, "a number in [0, 1]")
        moves = ("up", "right", "down", "left")
        following = grid_successors(HEIGHT, WIDTH, moves)
        accident = np.where(np.isin(following, CORRIDOR), hazard, 0.0)
        usual = STEP_REWARD + GOAL_REWARD * (following == GOAL)
        cells = np.arange(HEIGHT * WIDTH)
        mdp = finite_mdp(
            np.concatenate([1 - accident, accident], axis=-1),
            np.concatenate([usual, usual + ACCIDENT_REWARD], axis=-1),
            1.0,
            terminal=cells == GOAL,
            initial=cells == START,
            successors=np.repeat(following, 2, axis=-1),
        )
        super().__init__(mdp, max_steps_in_episode=20, state_names=cell_names(HEIGHT, WIDTH), action_names=moves)
