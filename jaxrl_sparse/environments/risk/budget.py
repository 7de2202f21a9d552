"""Budget: a reward and a cost that are to be held apart; the more is earned, the more may be spent."""

import numpy as np

from jaxrl_sparse.base import is_count, require
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.mdp import finite_mdp


class Budget(TabularEnvironment):
    """A number of steps, each slow (reward 1, cost 0) or fast (reward 2, cost 1 by an even chance); gamma is 1.

    Rewards are vectors (reward, cost), and the state is the step. The best E[G_1 - penalty max(G_2 - 2, 0)] of eight
    steps is 16, 14.980469, 13.960938 and 11.921875 at the penalties 0, .5, 1 and 2; from 2 on the best policy is fast
    until two costs are paid and then slow, so that it never overspends. Only the stock of the cost matters.

    Args:
      num_steps: at least 1.

    Raises:
      ValueError: if `num_steps` is less than 1.
    """

    def __init__(self, num_steps: int = 8):
        require("num_steps", num_steps, is_count, "an integer of at least 1")
        steps = np.arange(num_steps + 1)
        shape = (num_steps + 1, 2, 2)
        # [A, B] and [A, B, m]; the actions are slow and fast.
        probabilities = np.broadcast_to([[1, 0], [0.5, 0.5]], shape)
        rewards = np.broadcast_to([[(1, 0), (1, 0)], [(2, 0), (2, 1)]], (*shape, 2))
        successors = np.broadcast_to(np.minimum(steps + 1, num_steps)[:, None, None], shape)
        mdp = finite_mdp(probabilities, rewards, 1.0, terminal=steps == num_steps, successors=successors)
        super().__init__(
            mdp,
            max_steps_in_episode=num_steps,
            state_names=(*(f"step {n + 1}" for n in range(num_steps)), "end"),
            action_names=("slow", "fast"),
        )
