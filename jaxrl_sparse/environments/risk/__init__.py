"""Small decision problems in which risk matters and whose optima are known exactly."""

from jaxrl_sparse.environments.risk.budget import Budget
from jaxrl_sparse.environments.risk.gamble import Gamble
from jaxrl_sparse.environments.risk.homeostat import Homeostat
from jaxrl_sparse.environments.risk.risky_corridor import RiskyCorridor
from jaxrl_sparse.environments.risk.target_grid import TargetGrid3
from jaxrl_sparse.environments.risk.two_stage import TwoStage

__all__ = ["Budget", "Gamble", "Homeostat", "RiskyCorridor", "TargetGrid3", "TwoStage"]
