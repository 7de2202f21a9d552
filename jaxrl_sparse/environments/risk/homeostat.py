"""Homeostat: two needs that drain and are fed in different places; what is best depends on both levels."""

import numpy as np

from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.mdp import finite_mdp

NUM_CELLS = 5
DRAIN = -0.5


class Homeostat(TabularEnvironment):
    """A ring of five cells that never ends; rewards are vectors (change of need 1, change of need 2).

    Every step drains both needs by 0.5. A step that ends in cell 0 feeds need 1 by 2 with an even chance, one that
    ends in cell 2 feeds need 2 by 1 for sure. Moves are left (to the cell before), stay and right; episodes start in
    cell 0. With the stock as the needs' distances from their set points, homeostasis is to maximise -E sum_i
    abs(c_i + G_i), from stocks in [-4, 4]^2 for instance. The optimum has no closed form: planning by the stock on a
    fine grid tells it.

    Args:
      discount: gamma in (0, 1], per step.
      max_steps_in_episode: the time limit, at least 1; it truncates.

    Raises:
      ValueError: if an argument is out of range.
    """

    def __init__(self, discount: float = 0.9, max_steps_in_episode: int = 100):
        cells = np.arange(NUM_CELLS)
        following = (cells[:, None] + [-1, 0, 1]) % NUM_CELLS
        feeds_first, feeds_second = following == 0, following == 2
        # [S, A, B, m]: outcome 0 is the one in which cell 0 feeds.
        rewards = np.full((NUM_CELLS, 3, 2, 2), DRAIN)
        rewards[:, :, 0, 0] += 2 * feeds_first
        rewards[:, :, :, 1] += feeds_second[:, :, None]
        mdp = finite_mdp(
            np.full((NUM_CELLS, 3, 2), 0.5), rewards, discount, successors=np.repeat(following[:, :, None], 2, axis=-1)
        )
        super().__init__(
            mdp,
            max_steps_in_episode,
            state_names=tuple(f"cell {cell}" for cell in cells),
            action_names=("left", "stay", "right"),
        )
