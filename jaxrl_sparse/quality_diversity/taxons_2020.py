"""TAXONS as it was first published: one population that is evaluated, copied and mutated in place.

The form that came with STAX, `taxons`, has separate offspring, another auto-encoder and another schedule.

Source: Paolo et al., "Unsupervised Learning and Exploration of Reachable Outcome Space" (ICRA 2020), in the authors'
published code.
"""

from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, config, is_count, require
from jaxrl_sparse.networks.autoencoder_training import AutoencoderState, describe_rows, fit, init_state
from jaxrl_sparse.networks.autoencoders import taxons_2020_autoencoder
from jaxrl_sparse.quality_diversity.archives import (
    Archive,
    archive_append,
    archive_init,
    archive_mask,
    finite_rows,
    require_capacity,
)
from jaxrl_sparse.quality_diversity.metrics import (
    History,
    champions_and,
    cost_metrics,
    coverage_of,
    evaluation_metrics,
    history_init,
    history_metrics,
    history_update,
)
from jaxrl_sparse.quality_diversity.novelty import novelty_scores
from jaxrl_sparse.quality_diversity.problems import Discoveries, Individuals, Problem, genome_box, random_genomes


@config
class Taxons2020Config:
    """Configuration of `taxons_2020`.

    Attributes:
      population_size: M.
      num_best: individuals that enter the archive in a generation and take the places of as many of the worst.
      num_neighbors: k of the novelty, below the population size.
      archive_capacity: most individuals that the archive holds; what finds no place is counted and lost.
      training_interval: generations between two trainings, and before surprise is first asked for.
      num_epochs: of a training.
      batch_size: images in a minibatch.
      image_size: pixels a side, a multiple of 16.
      code_size: descriptors that one image gives.
      mutation_probability: of an individual.
      gene_mutation_probability: of each gene of an individual that mutates.
      mutation_sigma: standard deviation of the mutation of a gene.
      genome_bound: genes are clipped to +- this value, where the problem sets no bounds of its own.
      learning_rate: of Adam.
    """

    population_size: int = 100
    num_best: int = 5
    num_neighbors: int = 15
    archive_capacity: int = 16_384
    training_interval: int = 30
    num_epochs: int = 5
    batch_size: int = 128
    image_size: int = 64
    code_size: int = 10
    mutation_probability: float = 0.9
    gene_mutation_probability: float = 0.2
    mutation_sigma: float = 0.05
    genome_bound: float = 5.0
    learning_rate: float = 1e-3


class Taxons2020State(NamedTuple):
    """What changes in a search.

    Attributes:
      key: for the generations to come.
      population: M individuals, evaluated in the last generation.
      genomes: `[M, P]`, those of the next generation.
      is_archived: `[M]` bool, which of them are in the archive as they are.
      archive: of `Individuals`.
      recent: `[interval, M, F, S]`, render states of the last generations, generation g in row g mod interval.
      recent_mask: `[interval, M]` bool.
      autoencoder: with its optimiser.
      history: of all evaluated individuals.
    """

    key: PRNGKeyArray
    population: Individuals
    genomes: Float[Array, "M P"]
    is_archived: Bool[Array, "M"]
    archive: Archive
    recent: Float[Array, "interval M F S"]
    recent_mask: Bool[Array, "interval M"]
    autoencoder: AutoencoderState
    history: History


def taxons_2020(config: Taxons2020Config, problem: Problem) -> Algorithm:
    """The first TAXONS as an algorithm; one update is one generation.

    All M individuals are evaluated and described by the auto-encoder. In the first 30 generations the criterion is
    novelty, the mean distance of codes to the k nearest others of population and archive; afterwards a coin decides
    between novelty and surprise. The 5 best enter the archive, unless they are there, and are copied over the 5 worst;
    then each individual mutates with probability .9, each of its genes with probability .2. After every 30 generations
    the auto-encoder is trained for 5 epochs on the images of these generations and of the archive, which is described
    anew.

    The metrics of an update: `evaluations` and `environment_steps` of this update, what `metrics.history_metrics` says
    of the search so far, `mean_novelty` and `mean_surprise` of the population, `archive_size`, `archive_overflow`,
    `archive_coverage` (of the archived alone, which is the coverage that was published),
    `autoencoder_training_loss` and `autoencoder_images` (0 where there was no training). `evaluate` evaluates the
    population again and measures it alone.

    Args:
      config: see `Taxons2020Config`.
      problem: what is searched; it must have images. Its descriptors are not used. The published controllers mutate
        their biases without a bound, and evolve after which share of the episode they stand still; here a gene is a
        gene.

    Raises:
      ValueError: naming the field, if the problem has no images, a number is below 1, `num_best` is above half of the
        population, `num_neighbors` not below the population size, a probability is out of [0, 1], or another float
        negative or not finite.
    """
    _check(config, problem)
    autoencoder = taxons_2020_autoencoder(config.image_size, config.code_size)
    low, high = genome_box(problem, config.genome_bound)
    size = config.population_size
    render = problem.render
    assert render is not None

    def draw(render_state: Float[Array, "S"]) -> Float[Array, "H H 3"]:
        return render(render_state, config.image_size)

    def described(learned: AutoencoderState, individuals: Individuals, mask: Bool[Array, "B"]) -> Individuals:
        evaluation = individuals.evaluation
        codes, surprises = describe_rows(autoencoder, draw, learned.variables, evaluation.render_states, mask)
        return individuals._replace(evaluation=evaluation._replace(descriptors=codes, surprises=surprises))

    def init(key: PRNGKeyArray) -> Taxons2020State:
        key, genomes_key, autoencoder_key = jax.random.split(key, 3)
        genomes = random_genomes(genomes_key, problem, size, config.genome_bound)
        learned = init_state(autoencoder, autoencoder_key)

        def first(genomes: Float[Array, "M P"]) -> Individuals:
            individuals = Individuals(genomes, problem.evaluate_genomes(jax.random.key(0), genomes))
            return described(learned, individuals, jnp.ones(size, bool))

        empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(first, genomes))
        frames = empty.evaluation.render_states
        return Taxons2020State(
            key=key,
            population=empty,
            genomes=genomes,
            is_archived=jnp.zeros(size, bool),
            archive=archive_init(empty, config.archive_capacity),
            recent=jnp.zeros((config.training_interval, *frames.shape), frames.dtype),
            recent_mask=jnp.zeros((config.training_interval, size), bool),
            autoencoder=learned,
            history=history_init(empty, problem.num_areas),
        )

    def mutated(key: PRNGKeyArray, genomes: Float[Array, "M P"]) -> tuple[Float[Array, "M P"], Bool[Array, "M"]]:
        mutates_key, genes_key, noise_key = jax.random.split(key, 3)
        mutates = jax.random.bernoulli(mutates_key, config.mutation_probability, (size,))
        genes = jax.random.bernoulli(genes_key, config.gene_mutation_probability, genomes.shape)
        noise = config.mutation_sigma * jax.random.normal(noise_key, genomes.shape)
        changed = jnp.clip(genomes + noise, low, high)
        return jnp.where(mutates[:, None] & genes, changed, genomes), mutates

    def train(key: PRNGKeyArray, state: Taxons2020State) -> tuple[Taxons2020State, Metrics]:
        archived = state.archive.entries.evaluation.render_states
        frames = state.recent.shape[2:]
        seen = jnp.concatenate([state.recent.reshape(-1, *frames), archived])
        mask = jnp.concatenate([state.recent_mask.reshape(-1), archive_mask(state.archive)])
        learned, info = fit(
            autoencoder,
            draw,
            key,
            state.autoencoder,
            seen.reshape(-1, frames[-1]),
            jnp.repeat(mask, frames[0]),
            learning_rate=config.learning_rate,
            batch_size=config.batch_size,
            max_epochs=config.num_epochs,
            validation_share=0.0,
        )
        entries = described(learned, state.archive.entries, archive_mask(state.archive))
        state = state._replace(autoencoder=learned, archive=state.archive._replace(entries=entries))
        metrics = {"autoencoder_training_loss": info.training_loss, "autoencoder_images": info.num_training_rows}
        return state, metrics

    def update(state: Taxons2020State, step: Int[Array, ""]) -> tuple[Taxons2020State, Metrics]:
        key, evaluate_key, coin_key, mutation_key, train_key = jax.random.split(state.key, 5)
        evaluated = Individuals(state.genomes, problem.evaluate_genomes(evaluate_key, state.genomes))
        population = described(state.autoencoder, evaluated, jnp.ones(size, bool))
        valid = finite_rows(population)
        surprises = population.evaluation.surprises
        assert surprises is not None
        novelties = _novelties(population, valid, state.archive, config.num_neighbors)
        by_novelty = (step < config.training_interval) | jax.random.bernoulli(coin_key)
        scores = jnp.where(valid, jnp.where(by_novelty, novelties, surprises), -jnp.inf)
        order = jnp.argsort(-scores, stable=True)
        best, worst = order[: config.num_best], order[size - config.num_best :]

        chosen = jax.tree.map(lambda leaf: leaf[best], population)
        archive = archive_append(state.archive, chosen, ~state.is_archived[best])
        is_archived = state.is_archived.at[best].set(valid[best])
        copied = jnp.arange(size).at[worst].set(best)
        genomes, mutates = mutated(mutation_key, state.genomes[copied])
        row = step % config.training_interval
        state = state._replace(
            key=key,
            population=population,
            genomes=genomes,
            is_archived=is_archived[copied] & ~mutates,
            archive=archive,
            recent=state.recent.at[row].set(population.evaluation.render_states),
            recent_mask=state.recent_mask.at[row].set(valid),
            history=history_update(state.history, population, problem.ground_truth_bounds),
        )
        untrained = {"autoencoder_training_loss": jnp.zeros(()), "autoencoder_images": jnp.int32(0)}
        state, learned = jax.lax.cond(
            row == config.training_interval - 1,
            lambda state: train(train_key, state),
            lambda state: (state, untrained),
            state,
        )
        num_valid = jnp.maximum(jnp.sum(valid), 1)
        metrics = {
            **cost_metrics(population.evaluation.environment_steps, step, 0, jnp.int32(0)),
            **history_metrics(state.history),
            "mean_novelty": jnp.sum(novelties, where=valid) / num_valid,
            "mean_surprise": jnp.sum(surprises, where=valid) / num_valid,
            "archive_size": state.archive.size,
            "archive_overflow": state.archive.overflow,
            "archive_coverage": coverage_of(
                state.archive.entries.evaluation.ground_truth, archive_mask(state.archive), problem.ground_truth_bounds
            ),
            **learned,
        }
        return state, metrics

    def evaluate(state: Taxons2020State, key: PRNGKeyArray) -> Metrics:
        return evaluation_metrics(problem, Individuals(state.genomes, problem.evaluate_genomes(key, state.genomes)))

    return Algorithm(init, update, evaluate)


def discoveries(state: Taxons2020State) -> Discoveries:
    """The champions of the reward areas, the population and the archive."""
    shown = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), state.population, state.archive.entries)
    mask = jnp.concatenate([finite_rows(state.population), archive_mask(state.archive)])
    return champions_and(state.history, shown, mask)


def initial_evaluations(config: Taxons2020Config) -> int:
    """Evaluations of `init`: none."""
    del config
    return 0


def evaluations_per_update(config: Taxons2020Config) -> int:
    """Evaluations of one generation: the population."""
    return config.population_size


def check_budget(config: Taxons2020Config, evaluations: int) -> None:
    """Refuses a budget that could overflow the archive.

    Raises:
      ValueError: naming `archive_capacity` and the smallest one that suffices.
    """
    generations = -(-evaluations // config.population_size)
    require_capacity(config.archive_capacity, generations * config.num_best, evaluations)


def _novelties(
    population: Individuals, valid: Bool[Array, "M"], archive: Archive, num_neighbors: int
) -> Float[Array, "M"]:
    descriptors = population.evaluation.descriptors
    references = jnp.concatenate([descriptors, archive.entries.evaluation.descriptors])
    mask = jnp.concatenate([valid, archive_mask(archive)])
    return novelty_scores(descriptors, references, mask, num_neighbors, exclude_nearest=True)


def _check(config: Taxons2020Config, problem: Problem) -> None:
    require(
        "problem.render",
        problem.render,
        lambda render: render is not None,
        "a problem whose outcomes have images: that of a planar environment, or one with a render of its own",
    )
    counts = ("population_size", "num_best", "num_neighbors", "archive_capacity", "training_interval", "num_epochs")
    for field in (*counts, "batch_size", "image_size", "code_size"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    half = config.population_size // 2
    require("num_best", config.num_best, lambda number: number <= half, f"at most half of the population, {half}")
    most = config.population_size - 1
    require("num_neighbors", config.num_neighbors, lambda k: k <= most, f"at most the others, {most}")
    for field in ("mutation_probability", "gene_mutation_probability"):
        require(field, getattr(config, field), lambda p: 0 <= p <= 1, "a number in [0, 1]")
    require("mutation_sigma", config.mutation_sigma, lambda sigma: 0 <= sigma < inf, "a finite number of at least 0")
    for field in ("genome_bound", "learning_rate"):
        require(field, getattr(config, field), lambda number: 0 < number < inf, "a finite number above 0")
