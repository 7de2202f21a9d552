"""Reinforcement learning by density ratios: Bellman errors reweighted by where policies would be.

GLOW explores with them online, HyGLOW adds offline data, and DICE estimates them from data alone.
"""

from jaxrl_sparse.density_ratio.algae_dice import AlgaeDiceConfig, algae_dice
from jaxrl_sparse.density_ratio.classes import (
    FunctionClass,
    ModelClass,
    function_class,
    model_class,
    residuals,
    value_misfits,
)
from jaxrl_sparse.density_ratio.dice import DualDiceConfig, GenDiceConfig, density_weighted, dual_dice, gen_dice
from jaxrl_sparse.density_ratio.dice_losses import (
    algae_dice_loss,
    algae_dice_saddle,
    dual_dice_loss,
    dual_dice_saddle,
    gen_dice_saddle,
)
from jaxrl_sparse.density_ratio.fitted_q import HyQConfig, fitted_q_planner, hy_q
from jaxrl_sparse.density_ratio.glow import GlowConfig, GlowMemory, glow
from jaxrl_sparse.density_ratio.h2o import h2o, hybrid_learning, offline_policy
from jaxrl_sparse.density_ratio.hyglow import HyGlowConfig, hyglow
from jaxrl_sparse.density_ratio.linear_glow import LinearClass, LinearGlowConfig, linear_class, linear_glow
from jaxrl_sparse.density_ratio.linear_weights import Supremum, ball_supremum, box_supremum, log_linear_supremum
from jaxrl_sparse.density_ratio.mabo_cr import mabo_cr_planner
from jaxrl_sparse.density_ratio.maximum_likelihood import maximum_likelihood_planner
from jaxrl_sparse.density_ratio.offline_data import (
    OfflineData,
    covering_distribution,
    estimated_offline_data,
    sample_offline_data,
)
from jaxrl_sparse.density_ratio.transition_data import (
    EvaluationProblem,
    TransitionData,
    evaluation_problem,
    population_data,
    sampled_data,
    transition_data,
)
from jaxrl_sparse.density_ratio.version_space import (
    bounded_bellman_errors,
    least_violation,
    version_space,
    weighted_bellman_errors,
)
from jaxrl_sparse.density_ratio.weights import (
    ExplicitClass,
    PairClass,
    explicit_class,
    pair_class,
    pairs_of_models,
    strong_weights,
    weak_weights,
)

__all__ = [
    "AlgaeDiceConfig",
    "DualDiceConfig",
    "EvaluationProblem",
    "ExplicitClass",
    "FunctionClass",
    "GenDiceConfig",
    "GlowConfig",
    "GlowMemory",
    "HyGlowConfig",
    "HyQConfig",
    "LinearClass",
    "LinearGlowConfig",
    "ModelClass",
    "OfflineData",
    "PairClass",
    "Supremum",
    "TransitionData",
    "algae_dice",
    "algae_dice_loss",
    "algae_dice_saddle",
    "ball_supremum",
    "bounded_bellman_errors",
    "box_supremum",
    "covering_distribution",
    "density_weighted",
    "dual_dice",
    "dual_dice_loss",
    "dual_dice_saddle",
    "estimated_offline_data",
    "evaluation_problem",
    "explicit_class",
    "fitted_q_planner",
    "function_class",
    "gen_dice",
    "gen_dice_saddle",
    "glow",
    "h2o",
    "hy_q",
    "hybrid_learning",
    "hyglow",
    "least_violation",
    "linear_class",
    "linear_glow",
    "log_linear_supremum",
    "mabo_cr_planner",
    "maximum_likelihood_planner",
    "model_class",
    "offline_policy",
    "pair_class",
    "pairs_of_models",
    "population_data",
    "residuals",
    "sample_offline_data",
    "sampled_data",
    "strong_weights",
    "transition_data",
    "value_misfits",
    "version_space",
    "weak_weights",
    "weighted_bellman_errors",
]
