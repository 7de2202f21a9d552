"""Pure JAX functions for rewards that are sparse, non-additive, risk-aware, preference-based or designed.

The families are imported by their own names, one function at a time:

    from jaxrl_sparse.quality_diversity import novelty_search
    from jaxrl_sparse import environments, rewards, train
"""

from jaxrl_sparse.base import Algorithm, RewardStream, RewardTransformation, Trajectory, trajectory_spec
from jaxrl_sparse.training import train, train_up_to

__version__ = "0.1.0"

__all__ = [
    "Algorithm",
    "RewardStream",
    "RewardTransformation",
    "Trajectory",
    "train",
    "train_up_to",
    "trajectory_spec",
]
