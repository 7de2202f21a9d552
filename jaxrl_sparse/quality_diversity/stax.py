"""STAX: SERENE in a behaviour space that an auto-encoder learns from images of the outcomes.

Exploration is that of TAXONS, so that neither a reward gradient nor a behaviour space made by hand is needed; emitters
exploit every reward that it finds.

Source: Paolo et al., "Discovering and Exploiting Sparse Rewards in a Learned Behavior Space" (Evolutionary Computation,
2024), with what the published code says where the paper does not.
"""

from jaxrl_sparse.base import Algorithm, config
from jaxrl_sparse.quality_diversity.learned_space import AutoencoderConfig, learned_space
from jaxrl_sparse.quality_diversity.problems import Problem
from jaxrl_sparse.quality_diversity.serene import SereneConfig, emitter_search
from jaxrl_sparse.quality_diversity.serene import check_budget as serene_check_budget
from jaxrl_sparse.quality_diversity.serene import discoveries as discoveries
from jaxrl_sparse.quality_diversity.serene import evaluations_per_update as serene_evaluations_per_update
from jaxrl_sparse.quality_diversity.serene import initial_evaluations as serene_initial_evaluations
from jaxrl_sparse.quality_diversity.taxons import Criterion, survival


@config
class StaxConfig:
    """Configuration of `stax`; the names of the published variants are combinations of its fields.

    | variant | criterion | autoencoder.training |
    |---|---|---|
    | STAX-P, which the paper's figures call STAX | pareto | continue |
    | STAX | alternate | continue |
    | STAX_reset | pareto | reset |
    | STAX-NT | novelty | never |
    | STAX-NT_reset | novelty | redraw |
    | STAX-NT, as the published code runs it | frozen | never |

    "multi" and "single" are the number of frames of an outcome, which is the problem's.

    Attributes:
      search: exploration, emitters and their schedule.
      autoencoder: what is learned, and when.
      criterion: who survives a generation; see `TaxonsConfig`.
    """

    search: SereneConfig = SereneConfig()
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    criterion: Criterion = "pareto"


def stax(config: StaxConfig, problem: Problem) -> Algorithm:
    """STAX as an algorithm; one update is one chunk, of exploration or of exploitation.

    The auto-encoder is trained after 1, 3, 6, 10, ... chunks of exploration, and all that is stored is described anew.
    The metrics are those of `serene`, and what `learned_space` says of the training, 0 where there was none.

    Args:
      config: see `StaxConfig`.
      problem: what is searched; it must have images. Its descriptors are not used.

    Raises:
      ValueError: naming the field, see `serene`, `learned_space.learned_space` and `taxons.survival`.
    """
    select = survival(config.criterion, config.search.exploration.population_size)
    return emitter_search(config.search, problem, select, learned_space(config.autoencoder, problem))


def initial_evaluations(config: StaxConfig) -> int:
    """Evaluations of `init`: the population."""
    return serene_initial_evaluations(config.search)


def evaluations_per_update(config: StaxConfig) -> int:
    """Evaluations of the first update, which explores."""
    return serene_evaluations_per_update(config.search)


def check_budget(config: StaxConfig, evaluations: int) -> None:
    """Refuses a budget that could overflow the archive.

    Raises:
      ValueError: naming `archive_capacity` and the smallest one that suffices.
    """
    serene_check_budget(config.search, evaluations)
