"""Emitters: small populations that start at a rewarded individual and climb from there.

Everything here is of one emitter; `exploitation` runs many of them with vmap.

Source: Paolo et al., "Sparse Reward Exploration via Novelty Search and Emitters" (GECCO 2021), section 3, with what the
published code says where the paper does not.
"""

from collections.abc import Callable
from math import inf
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import config, is_count, require
from jaxrl_sparse.evolution.cma_es import cma_es_ask, cma_es_init, cma_es_stop, cma_es_tell
from jaxrl_sparse.evolution.variation import gaussian_mutation
from jaxrl_sparse.quality_diversity.archives import finite_rows
from jaxrl_sparse.quality_diversity.problems import Individuals

# Generations at either end of the history that an improvement is measured between.
NUM_COMPARED = 3
# Generations at either end of the window that the stop rules compare, of the custom rule in number and of the original
# one as a share.
STAGNATION_ENDS = 20
STAGNATION_SHARE = 0.3
# Generations that the window of either stop rule has at least.
SMALLEST_WINDOW = 120


@config
class EmitterConfig:
    """Configuration of the emitters.

    Attributes:
      kind: what an emitter selects by: its members' fitness, their novelty, or CMA-ES on the fitness.
      population_size: n, members of an emitter.
      offspring_per_parent: mutants that each member makes in a generation; CMA-ES draws n and does not use it.
      bootstrap_generations: generations after the first population, before it is decided whether an emitter improves.
      archive_additions: members of an emitter's novel ones that enter the novelty archive when it stops.
      num_novel: how many novel members an emitter remembers; what finds no place is counted and lost.
      stop_rule: "custom", the published one, or "original", that of CMA-ES: see `stagnated`.
      max_generations: an emitter stops after so many; None for no limit.
      local_improvement: whether the improvement of an emitter is measured from where it was last estimated instead of
        from its first generations.
      separable: whether CMA-ES adapts a diagonal covariance only. A full one is decomposed in every generation and
        takes 8 P^2 bytes an emitter, 2.6 MB for P = 574.
    """

    kind: Literal["fitness", "novelty", "cma_es"] = "fitness"
    population_size: int = 6
    offspring_per_parent: int = 2
    bootstrap_generations: int = 5
    archive_additions: int = 5
    num_novel: int = 64
    stop_rule: Literal["custom", "original"] = "custom"
    max_generations: int | None = None
    local_improvement: bool = False
    separable: bool = False


class Members(NamedTuple):
    """The population of an emitter.

    Attributes:
      individuals: n of them.
      scores: `[n]`, what they were selected by; -inf where there is none yet.
    """

    individuals: Individuals
    scores: Float[Array, "n"]


class Emitter(NamedTuple):
    """One emitter.

    Attributes:
      ancestor: the rewarded individual that it started from; leaves without a leading axis.
      sigma: of its mutations, or the first one of CMA-ES.
      strategy: what makes its next genomes: `Members`, or a `CmaEsState`.
      generations: recorded so far, its first population included; int32.
      rewards: `[W, n]`, rewards of its members in the last W recorded generations, generation g in row g mod W.
      baseline: mean reward of its first generations, once that was estimated; NaN before.
      improvement: as it was last estimated.
      best_archived: the best reward that it has put into the reward archive; -inf where none.
      novel: the members that were more novel than all of the generations before them, leaves `[num_novel, ...]`; the
        last of them is the most novel one so far, also where others have found no place.
      num_novel: how many of them there are, int32.
      novel_overflow: how many found no place, int32.
    """

    ancestor: Individuals
    sigma: Float[Array, ""]
    strategy: Any
    generations: Int[Array, ""]
    rewards: Float[Array, "W n"]
    baseline: Float[Array, ""]
    improvement: Float[Array, ""]
    best_archived: Float[Array, ""]
    novel: Individuals
    num_novel: Int[Array, ""]
    novel_overflow: Int[Array, ""]


class EmitterRules(NamedTuple):
    """What an emitter does, as functions of one emitter.

    Attributes:
      batch_size: b, genomes of a generation.
      first_batch_size: those of them that the first population takes; the others are not to be counted there.
      init: `init(ancestor, sigma) -> emitter`.
      ask: `ask(key, emitter) -> genomes[b, P]`.
      tell: `tell(emitter, batch, novelties[b], record, counted[b]) -> (emitter, harvest)`, where the record is the
        novelty of the emitter's most novel member so far.
      stops: `stops(emitter) -> bool`.
    """

    batch_size: int
    first_batch_size: int
    init: Callable[[Individuals, Array], Emitter]
    ask: Callable[[PRNGKeyArray, Emitter], Float[Array, "b P"]]
    tell: Callable[[Emitter, Individuals, Array, Array, Array], tuple[Emitter, "Harvest"]]
    stops: Callable[[Emitter], Bool[Array, ""]]


class Harvest(NamedTuple):
    """What a generation yields to the reward archive.

    Attributes:
      members: of the emitter, leaves `[n, ...]`.
      archived: `[n]` bool, those that enter.
    """

    members: Individuals
    archived: Bool[Array, "n"]


def emitter_rules(config: EmitterConfig, genome_size: int, low: float | Array, high: float | Array) -> EmitterRules:
    """The rules of a kind of emitter.

    A fitness or novelty emitter keeps the n best of its members and their mutants `clip(x + sigma N(0, I))`, by reward
    or by novelty; of equals the older and the lower-numbered ones. Its first population are n mutants of the ancestor.
    A CMA-ES emitter starts at the ancestor with step size sigma, and its members are the genomes of a generation.

    After each generation the emitter yields members to the reward archive: the best one, if it is rewarded, while the
    emitter has archived nothing; later all whose reward is above all that it has archived. Members whose novelty is
    above that of all earlier generations, the ancestor's first, are remembered as novel. An emitter stops by its stop
    rule, one of CMA-ES also where `cma_es_stop` says so.

    Args:
      config: see `EmitterConfig`.
      genome_size: P.
      low: smallest value of a gene.
      high: largest value of a gene.
    """
    size = config.population_size
    window = stagnation_window(config.stop_rule, genome_size, size)
    is_cma_es = config.kind == "cma_es"
    first_batch_size, batch_size = _batch_sizes(config)

    def init(ancestor: Individuals, sigma: Float[Array, ""]) -> Emitter:
        copies = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (size, *leaf.shape)), ancestor)
        dtype = ancestor.evaluation.rewards.dtype
        if is_cma_es:
            strategy = cma_es_init(ancestor.genomes, sigma, size, separable=config.separable)
        else:
            strategy = Members(copies, jnp.full(size, -jnp.inf, dtype))
        return Emitter(
            ancestor=ancestor,
            sigma=sigma,
            strategy=strategy,
            generations=jnp.zeros((), jnp.int32),
            rewards=jnp.zeros((window, size), dtype),
            baseline=jnp.full((), jnp.nan, dtype),
            improvement=jnp.zeros((), dtype),
            best_archived=jnp.full((), -jnp.inf, dtype),
            novel=jax.tree.map(lambda leaf: jnp.zeros((config.num_novel, *leaf.shape), leaf.dtype), ancestor),
            num_novel=jnp.zeros((), jnp.int32),
            novel_overflow=jnp.zeros((), jnp.int32),
        )

    def ask(key: PRNGKeyArray, emitter: Emitter) -> Float[Array, "b P"]:
        if is_cma_es:
            return cma_es_ask(key, emitter.strategy, size, low, high)
        parents = jnp.repeat(emitter.strategy.individuals.genomes, config.offspring_per_parent, axis=0)
        return gaussian_mutation(key, parents, emitter.sigma, low, high)

    def select(
        emitter: Emitter, batch: Individuals, novelties: Float[Array, "b"], counted: Bool[Array, "b"]
    ) -> tuple[Any, Members, Float[Array, "n"]]:
        valid = jnp.logical_and(counted, finite_rows(batch))
        rewards = batch.evaluation.rewards
        if is_cma_es:
            fitnesses = jnp.where(valid, rewards, -jnp.inf)
            return cma_es_tell(emitter.strategy, batch.genomes, fitnesses), Members(batch, fitnesses), novelties
        scores = jnp.where(valid, rewards if config.kind == "fitness" else novelties, -jnp.inf)
        old = emitter.strategy
        everybody = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), old, Members(batch, scores))
        _, best = jax.lax.top_k(everybody.scores, size)
        members = jax.tree.map(lambda leaf: leaf[best], everybody)
        # Only newcomers can be more novel than all before them.
        of_newcomers = jnp.concatenate([jnp.full(size, -jnp.inf), novelties])[best]
        return members, members, of_newcomers

    def tell(
        emitter: Emitter,
        batch: Individuals,
        novelties: Float[Array, "b"],
        record: Float[Array, ""],
        counted: Bool[Array, "b"],
    ) -> tuple[Emitter, Harvest]:
        strategy, (members, scores), novelties = select(emitter, batch, novelties, counted)
        present = jnp.isfinite(scores)
        rewards = jnp.where(present, members.evaluation.rewards, 0.0)
        first = jnp.logical_not(jnp.isfinite(emitter.best_archived))
        is_best = jnp.arange(size) == jnp.argmax(jnp.where(present, rewards, -jnp.inf))
        archived = present & jnp.where(first, is_best & (rewards > 0), rewards > emitter.best_archived)
        best_archived = jnp.max(rewards, initial=emitter.best_archived, where=archived)
        emitter = emitter._replace(
            strategy=strategy,
            generations=emitter.generations + 1,
            rewards=emitter.rewards.at[emitter.generations % window].set(rewards),
            best_archived=best_archived,
        )
        emitter = _remember_novel(emitter, members, jnp.where(present, novelties, -jnp.inf), record)
        return emitter, Harvest(members, archived)

    def stops(emitter: Emitter) -> Bool[Array, ""]:
        stopped = stagnated(emitter.rewards, emitter.generations, config.stop_rule)
        if is_cma_es:
            stopped = stopped | cma_es_stop(emitter.strategy)
        if config.max_generations is None:
            return stopped
        return stopped | (emitter.generations > config.max_generations)

    return EmitterRules(batch_size, first_batch_size, init, ask, tell, stops)


def _remember_novel(
    emitter: Emitter, members: Individuals, novelties: Float[Array, "n"], record: Float[Array, ""]
) -> Emitter:
    is_record = novelties > record
    capacity = emitter.novel.genomes.shape[0]
    # The most novel one of the generation comes last.
    order = jnp.argsort(jnp.where(is_record, novelties, jnp.inf), stable=True)
    ranks = emitter.num_novel + jnp.argsort(order).astype(jnp.int32)
    wanted = emitter.num_novel + jnp.sum(is_record, dtype=jnp.int32)
    # The last place is for the most novel one.
    fits = is_record & ((ranks < capacity - 1) | (ranks == wanted - 1))
    places = jnp.where(fits, jnp.minimum(ranks, capacity - 1), capacity)
    return emitter._replace(
        novel=jax.tree.map(lambda old, new: old.at[places].set(new, mode="drop"), emitter.novel, members),
        num_novel=jnp.minimum(wanted, capacity),
        novel_overflow=emitter.novel_overflow + jnp.maximum(wanted - capacity, 0),
    )


def most_novel_descriptor(emitter: Emitter) -> Float[Array, "D"]:
    """That of the most novel member of an emitter so far; of its ancestor, where none was more novel."""
    latest = emitter.novel.evaluation.descriptors[jnp.maximum(emitter.num_novel - 1, 0)]
    return jnp.where(emitter.num_novel > 0, latest, emitter.ancestor.evaluation.descriptors)


def with_improvement(emitter: Emitter, local: bool) -> Emitter:
    """Estimates the improvement of an emitter: `max(mean of its last 3 generations - baseline, 0)`.

    The baseline is the mean reward of the members of the first 3 generations, set at the first estimate; with `local`
    it is, at every estimate but the first, the mean of the last 3 generations at the estimate before.

    Args:
      emitter: with at least one recorded generation.
      local: static.
    """
    window = emitter.rewards.shape[0]
    num_compared = jnp.minimum(emitter.generations, NUM_COMPARED)
    rows = jnp.arange(window)
    age = (emitter.generations - 1 - rows) % window

    def mean_over(chosen: Bool[Array, "W"]) -> Float[Array, ""]:
        return jnp.sum(jnp.mean(emitter.rewards, axis=-1), where=chosen) / jnp.maximum(num_compared, 1)

    last = mean_over(age < num_compared)
    # The first estimate comes while all generations are still in the window.
    baseline = jnp.where(jnp.isnan(emitter.baseline), mean_over(rows < num_compared), emitter.baseline)
    improvement = jnp.maximum(last - baseline, 0.0)
    return emitter._replace(baseline=last if local else baseline, improvement=improvement)


def stagnation_window(rule: str, genome_size: int, population_size: int) -> int:
    """Generations W that a stop rule looks back on: `int(20 P / n + 120)` (custom) or `int(30 P / n + 120)`."""
    return int((20 if rule == "custom" else 30) * genome_size / population_size + SMALLEST_WINDOW)


def least_evaluations(config: EmitterConfig) -> int:
    """Evaluations that any emitter, whatever its genomes, has made at least when it stops."""
    # The bootstrap, after its first population, and one generation more.
    generations = config.bootstrap_generations + 1
    if config.kind != "cma_es":
        limit = SMALLEST_WINDOW + 1
        limit = limit if config.max_generations is None else min(limit, config.max_generations)
        generations = max(generations, limit)
    first, batch = _batch_sizes(config)
    return first + generations * batch


def _batch_sizes(config: EmitterConfig) -> tuple[int, int]:
    """Genomes of the first population, and of a generation."""
    size = config.population_size
    batch = size if config.kind == "cma_es" else size * config.offspring_per_parent
    return min(size, batch), batch


def stagnated(
    rewards: Float[Array, "W n"], generations: Int[Array, ""], rule: Literal["custom", "original"]
) -> Bool[Array, ""]:
    """Whether the last W generations have led nowhere; false until more than W came after the first one.

    With V the rewards of the last W generations, oldest first: the custom rule stops where
    `median(V[:20]) >= median(V[-20:])` or `max(V[:20]) >= max(V[-20:])`. The original rule takes of each generation its
    best and its median reward, and stops where of neither the median over the newest 30 % of the window is above that
    over the oldest 30 %. Its window does not grow with the generations, as that of the tutorial does once a fifth of
    them is more than W.

    Args:
      rewards: of the members, generation g in row g mod W.
      generations: recorded so far.
      rule: static.

    Source: the published code of SERENE (custom); Hansen, "The CMA Evolution Strategy: A Tutorial", B.3 (original).
    """
    window = rewards.shape[0]
    in_order = (generations + jnp.arange(window)) % window
    if rule == "custom":
        oldest, newest = rewards[in_order[:STAGNATION_ENDS]], rewards[in_order[-STAGNATION_ENDS:]]
        no_better = (jnp.median(oldest) >= jnp.median(newest)) | (jnp.max(oldest) >= jnp.max(newest))
    else:
        num_compared = int(STAGNATION_SHARE * window)
        oldest, newest = rewards[in_order[:num_compared]], rewards[in_order[-num_compared:]]

        def is_no_better(statistic: Callable[..., Array]) -> Bool[Array, ""]:
            return jnp.median(statistic(oldest, axis=-1)) >= jnp.median(statistic(newest, axis=-1))

        no_better = is_no_better(jnp.max) & is_no_better(jnp.median)
    return (generations - 1 > window) & no_better


def check_emitters(config: EmitterConfig) -> None:
    """Refuses a bad configuration.

    Raises:
      ValueError: naming the field, if an option is unknown, a number is below 1, more additions are asked for than
        novel members are remembered, or the bootstrap is so short that its first and last generations are the same, or
        so long that its first ones are forgotten when it is over.
    """
    for field, options in (("kind", ("fitness", "novelty", "cma_es")), ("stop_rule", ("custom", "original"))):
        require(field, getattr(config, field), options.__contains__, " or ".join(options))
    for field in ("population_size", "offspring_per_parent", "archive_additions", "num_novel"):
        require(field, getattr(config, field), is_count, "an integer of at least 1")
    require(
        "bootstrap_generations",
        config.bootstrap_generations,
        lambda number: is_count(number) and NUM_COMPARED <= number < SMALLEST_WINDOW,
        f"an integer from {NUM_COMPARED} to {SMALLEST_WINDOW - 1}",
    )
    require(
        "archive_additions",
        config.archive_additions,
        lambda number: number <= config.num_novel,
        f"at most num_novel, {config.num_novel}",
    )
    require(
        "max_generations",
        config.max_generations,
        lambda number: number is None or (is_count(number) and number < inf),
        "None or an integer of at least 1",
    )
    smallest = 4 if config.kind == "cma_es" else 1
    require("population_size", config.population_size, lambda n: n >= smallest, f"at least {smallest} with this kind")
