"""The algorithms that the shell knows by name; each is imported when it is asked for.

An algorithm enters by one line of `ALGORITHMS`: a summary, and a function that imports it and returns a `System`, which
says how to bind it to an environment (see `binding`). Nothing else in the shell knows any algorithm.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxrl_sparse.base import require, require_known
from jaxrl_sparse.runner.binding import (
    System,
    Task,
    learner,
    learning,
    quality_diversity,
    stock_agent,
    submodular,
)
from jaxrl_sparse.runner.exact_binding import (
    EVALUATION_OPTIONS,
    OFFLINE_OPTIONS,
    evaluation_problem,
    exact,
    horizon_steps,
    mdp,
    mixture,
    mixture_steps,
    models_and_offline_data,
    models_and_process,
    offline_data,
    offline_problem,
    process,
    round_steps,
    transition_steps,
)


class Entry(NamedTuple):
    """A line of the catalogue: what `list` prints, and what imports the rest."""

    summary: str
    load: Callable[[], System]


ALGORITHMS = {
    "stax": Entry(
        "finds rewards with neither a gradient nor a hand-made behaviour space: learned codes, emitters (Paolo, 2024)",
        quality_diversity("stax", "stax", "StaxConfig", 30_000),
    ),
    "serene": Entry(
        "explores by novelty and exploits every reward found, with emitters, in turn (Paolo et al., 2021)",
        quality_diversity("serene", "serene", "SereneConfig", 30_000),
    ),
    "taxons": Entry(
        "novelty search in a behaviour space learned from images (Paolo et al., 2020)",
        quality_diversity("taxons", "taxons", "TaxonsConfig", 30_000),
    ),
    "taxons-2020": Entry(
        "TAXONS as first published: one population, batch normalisation, training every 30 generations",
        quality_diversity("taxons_2020", "taxons_2020", "Taxons2020Config", 30_000),
    ),
    "novelty-search": Entry(
        "evolves controllers towards behaviours never seen before; no reward needed (Lehman and Stanley, 2011)",
        quality_diversity("novelty_search", "novelty_search", "NoveltySearchConfig", 30_000),
    ),
    "map-elites": Entry(
        "fills a grid of behaviours with the best controller for each cell (Mouret and Clune, 2015)",
        quality_diversity("map_elites", "map_elites", "MapElitesConfig", 30_000),
    ),
    "cma-me": Entry(
        "MAP-Elites whose offspring come from CMA-ES emitters (Fontaine et al., 2020)",
        quality_diversity("cma_me", "cma_me", "CmaMeConfig", 30_000),
    ),
    "nslc": Entry(
        "novelty search with local competition for reward (Lehman and Stanley, 2011)",
        quality_diversity("multi_objective", "nslc", "NoveltySearchConfig", 30_000),
    ),
    "nsga-ii": Entry(
        "evolution by Pareto fronts of novelty and reward (Deb et al., 2002)",
        quality_diversity("multi_objective", "nsga_ii", "NoveltySearchConfig", 30_000),
    ),
    "random-search": Entry(
        "draws controllers at random: the baseline that exploration has to beat",
        quality_diversity("random_search", "random_search", "RandomSearchConfig", 30_000),
    ),
    "d-eta-n": Entry(
        "one network for every target or level of risk: DQN with a stock (Avila Pires et al., 2025)",
        learning(stock_agent, 200_000, objective="target(0)"),
    ),
    "subpo": Entry(
        "policy gradient for set functions of the visited states, a policy of the state (Prajapat et al., 2024)",
        submodular("SubPOConfig", 2_000_000),
    ),
    "subpo-nm": Entry(
        "SubPO with a policy of all states of the episode so far",
        submodular("SubPONMConfig", 2_000_000),
    ),
    "modpo": Entry(
        "SubPO's baseline: the same for the modular surrogate, which pays a state at every visit",
        submodular("ModPOConfig", 2_000_000),
    ),
    "ppo": Entry(
        "proximal policy optimisation, discrete and continuous, with or without a memory (Schulman et al., 2017)",
        learning(learner("ppo", "PPOConfig", "learners.ppo"), 500_000),
    ),
    "rnd-ppo": Entry(
        "PPO with a second stream of rewards for what is new: random network distillation (Burda et al., 2019)",
        learning(learner("rnd_ppo", "RNDPPOConfig", "exploration.rnd_ppo"), 500_000),
    ),
    "smm-ppo": Entry(
        "PPO that visits states as often as a target says: state-marginal matching, with skills (Lee et al., 2019)",
        learning(learner("smm_ppo", "SMMPPOConfig", "exploration.smm_ppo"), 500_000),
    ),
    "smm": Entry(
        "the mixture of policies nearest to a distribution of states, exact, on a finite process (Lee et al., 2019)",
        exact(learner("smm", "SMMConfig", "exploration.state_marginal_matching"), 10_000, mdp, mixture_steps, "kl"),
    ),
    "max-entropy": Entry(
        "the mixture of policies of the largest entropy of states, by Frank-Wolfe (Hazan et al., 2019)",
        exact(
            learner("max_entropy", "MaxEntropyConfig", "exploration.max_entropy"), 10_000, mdp, mixture_steps, "entropy"
        ),
    ),
    "ucrl-rfe": Entry(
        "explores a linear mixture without rewards, then plans for any (Zhang, Zhou and Gu, 2021)",
        exact(
            learner("ucrl_rfe", "UCRLRFEConfig", "exploration.reward_free"),
            2_000,
            mixture,
            horizon_steps,
            "exploration_value",
        ),
    ),
    "ucrl-rfe-plus": Entry(
        "UCRL-RFE with variances: weighted regression and Bernstein's bonus",
        exact(
            learner("ucrl_rfe_plus", "UCRLRFEConfig", "exploration.reward_free"),
            2_000,
            mixture,
            horizon_steps,
            "exploration_value",
        ),
    ),
    "hf-ucrl-rfe": Entry(
        "horizon-free exploration of a linear mixture without rewards, by high-order moments: HF-UCRL-RFE++",
        exact(
            learner("hf_ucrl_rfe", "HFUCRLRFEConfig", "exploration.reward_free"),
            1_000,
            mixture,
            horizon_steps,
            "uncertainty",
        ),
    ),
    "ucb-vi": Entry(
        "optimism by bonuses on counts, in a finite process (Azar et al., 2017)",
        exact(learner("ucb_vi", "UCBVIConfig", "exploration.ucb_vi"), 5_000, process, round_steps),
    ),
    "epsilon-greedy": Entry(
        "plans on what it counted and dithers: the control of provable exploration",
        exact(
            learner("epsilon_greedy", "EpsilonGreedyConfig", "exploration.epsilon_greedy"),
            5_000,
            process,
            round_steps,
        ),
    ),
    "glow": Entry(
        "optimism among value functions whose reweighted Bellman errors are small (Amortila et al., 2024)",
        exact(learner("glow", "GlowConfig", "density_ratio.glow"), 2_000, models_and_process, round_steps),
    ),
    "hyglow": Entry(
        "the same idea with offline data beside its own episodes: H2O with MABO.CR (Amortila et al., 2024)",
        exact(
            learner("hyglow", "HyGlowConfig", "density_ratio.hyglow"),
            2_000,
            models_and_offline_data,
            round_steps,
            **OFFLINE_OPTIONS,
        ),
    ),
    "hy-q": Entry(
        "H2O with fitted Q iteration: offline data beside its own episodes, in a finite process (Song et al., 2023)",
        exact(
            learner("hy_q", "HyQConfig", "density_ratio.fitted_q"), 2_000, offline_data, round_steps, **OFFLINE_OPTIONS
        ),
    ),
    "dual-dice": Entry(
        "density ratios and the value of a policy from anybody's transitions (Nachum et al., 2019)",
        exact(
            learner("dual_dice", "DualDiceConfig", "density_ratio.dice"),
            10_000_000,
            evaluation_problem,
            transition_steps,
            "value_estimate",
            **EVALUATION_OPTIONS,
        ),
    ),
    "gen-dice": Entry(
        "the same by a chi-square divergence, also without a discount (Zhang et al., 2020)",
        exact(
            learner("gen_dice", "GenDiceConfig", "density_ratio.dice"),
            10_000_000,
            evaluation_problem,
            transition_steps,
            "value_estimate",
            **EVALUATION_OPTIONS,
        ),
    ),
    "algae-dice": Entry(
        "the best policy that transitions support, from these alone (Nachum et al., 2019)",
        exact(
            learner("algae_dice", "AlgaeDiceConfig", "density_ratio.algae_dice"),
            10_000_000,
            offline_problem,
            transition_steps,
            "value_estimate",
            **EVALUATION_OPTIONS,
        ),
    ),
    "actor-critic": Entry(
        "policy gradient with generalised advantages, REINFORCE by configuration (Williams, 1992; Mnih et al., 2016)",
        learning(learner("policy_gradient", "PolicyGradientConfig", "learners.policy_gradient"), 500_000),
    ),
    "dqn": Entry(
        "deep Q-learning, Double DQN by configuration (Mnih et al., 2015)",
        learning(learner("dqn", "DQNConfig"), 500_000),
    ),
    "qr-dqn": Entry(
        "deep Q-learning of the return's quantiles (Dabney et al., 2018)",
        learning(learner("qr_dqn", "QRDQNConfig"), 500_000),
    ),
    "c51": Entry(
        "deep Q-learning of the return's probabilities on a grid (Bellemare et al., 2017)",
        learning(learner("c51", "C51Config"), 500_000),
    ),
    "iqn": Entry(
        "deep Q-learning of the return's quantile function (Dabney et al., 2018)",
        learning(learner("iqn", "IQNConfig"), 500_000),
    ),
}


def entry(name: str) -> Entry:
    """The line of an algorithm.

    Raises:
      ValueError: if there is none of that name; lists those there are, the closest first.
    """
    require_known("algorithm", name, ALGORITHMS, ALGORITHMS)
    return ALGORITHMS[name]


@functools.cache
def bind(
    algorithm: str,
    environment: str,
    environment_options: tuple[tuple[str, Any], ...],
    hidden_sizes: tuple[int, ...],
    problem_options: tuple[tuple[str, Any], ...] = (),
) -> tuple[System, Task]:
    """The system of a name and its task on an environment; the same objects for the same names, so that nothing
    compiles twice.

    Raises:
      ValueError: if the algorithm, the environment or one of its options is unknown, or they do not fit together.
    """
    system = entry(algorithm).load()
    require("hidden_sizes", hidden_sizes, lambda sizes: all(size >= 1 for size in sizes), "integers of at least 1")
    return system, system.bind(environment, dict(environment_options), hidden_sizes, dict(problem_options))
