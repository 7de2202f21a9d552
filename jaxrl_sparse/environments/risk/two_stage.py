"""TwoStage: a windfall that only the stock remembers, then a safe or a risky step. Solved by hand."""

import numpy as np

from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.mdp import finite_mdp


class TwoStage(TabularEnvironment):
    """Two steps: 0 or 2 by chance whatever is done, then 1 for sure or 0 or 3 by chance; chances are even, gamma is 1.

    The state after the first step is the same after 0 and after 2, so that a policy of the state alone cannot tell
    them apart, and a policy of the stock can. Of the return G:

    | objective | best | best without the stock |
    |---|---|---|
    | mean | 2.5 | 2.5 |
    | CVaR at .5, .75 | 1.5, 2 | 1, 5/3 |
    | P(G >= 3) | .75, risky after 0 and safe after 2 | .5 |
    | -E abs(G - 3) | -.75 | -1 |

    The observation is one of "first", "second" and "end", one-hot.
    """

    def __init__(self):
        # [S, A, B]; the actions are safe and risky.
        probabilities = np.full((3, 2, 2), 0.5)
        rewards = np.zeros((3, 2, 2))
        rewards[0] = (0, 2)
        rewards[1] = ((1, 1), (0, 3))
        successors = np.broadcast_to(np.array([1, 2, 2])[:, None, None], (3, 2, 2))
        mdp = finite_mdp(probabilities, rewards, 1.0, terminal=[False, False, True], successors=successors)
        super().__init__(
            mdp, max_steps_in_episode=2, state_names=("first", "second", "end"), action_names=("safe", "risky")
        )
