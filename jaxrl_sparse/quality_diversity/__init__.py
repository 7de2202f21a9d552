"""Quality-diversity: searches that look for many different behaviours instead of one good one."""

from jaxrl_sparse.quality_diversity.exploration import NoveltySearchConfig
from jaxrl_sparse.quality_diversity.kinematic_arm import arm_problem
from jaxrl_sparse.quality_diversity.map_elites import MapElitesConfig, map_elites
from jaxrl_sparse.quality_diversity.novelty import novelty_scores
from jaxrl_sparse.quality_diversity.novelty_search import novelty_search
from jaxrl_sparse.quality_diversity.problems import Discoveries, Evaluation, Individuals, Problem, controller_problem
from jaxrl_sparse.quality_diversity.random_search import RandomSearchConfig, random_search

__all__ = [
    "Discoveries",
    "Evaluation",
    "Individuals",
    "MapElitesConfig",
    "NoveltySearchConfig",
    "Problem",
    "RandomSearchConfig",
    "arm_problem",
    "controller_problem",
    "map_elites",
    "novelty_scores",
    "novelty_search",
    "random_search",
]
