"""Quality-diversity: searches that look for many different behaviours instead of one good one."""

from jaxrl_sparse.quality_diversity.cma_me import CmaMeConfig, cma_me
from jaxrl_sparse.quality_diversity.emitters import EmitterConfig
from jaxrl_sparse.quality_diversity.exploration import NoveltySearchConfig
from jaxrl_sparse.quality_diversity.kinematic_arm import arm_problem
from jaxrl_sparse.quality_diversity.learned_space import AutoencoderConfig
from jaxrl_sparse.quality_diversity.map_elites import MapElitesConfig, map_elites
from jaxrl_sparse.quality_diversity.multi_objective import nsga_ii, nslc
from jaxrl_sparse.quality_diversity.novelty import novelty_scores
from jaxrl_sparse.quality_diversity.novelty_search import novelty_search
from jaxrl_sparse.quality_diversity.path_descriptors import path_descriptor, sampled_positions, signature_descriptor
from jaxrl_sparse.quality_diversity.problems import (
    Discoveries,
    Evaluation,
    Individuals,
    PathDescriptor,
    Problem,
    controller_problem,
)
from jaxrl_sparse.quality_diversity.random_search import RandomSearchConfig, random_search
from jaxrl_sparse.quality_diversity.serene import SereneConfig, serene
from jaxrl_sparse.quality_diversity.stax import StaxConfig, stax
from jaxrl_sparse.quality_diversity.taxons import TaxonsConfig, taxons
from jaxrl_sparse.quality_diversity.taxons_2020 import Taxons2020Config, taxons_2020

__all__ = [
    "AutoencoderConfig",
    "CmaMeConfig",
    "Discoveries",
    "EmitterConfig",
    "Evaluation",
    "Individuals",
    "MapElitesConfig",
    "NoveltySearchConfig",
    "PathDescriptor",
    "Problem",
    "RandomSearchConfig",
    "SereneConfig",
    "StaxConfig",
    "Taxons2020Config",
    "TaxonsConfig",
    "arm_problem",
    "cma_me",
    "controller_problem",
    "map_elites",
    "novelty_scores",
    "novelty_search",
    "nsga_ii",
    "nslc",
    "path_descriptor",
    "random_search",
    "sampled_positions",
    "serene",
    "signature_descriptor",
    "stax",
    "taxons",
    "taxons_2020",
]
