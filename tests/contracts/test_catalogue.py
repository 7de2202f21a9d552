"""Every algorithm of the catalogue keeps the contract: each is compiled once at toy size, and all is asked of that."""

import dataclasses
from typing import Any, NamedTuple

import jax
import pytest
from contracts import two_cells

from jaxrl_sparse.base import ENVIRONMENT_STEPS, EVALUATIONS
from jaxrl_sparse.density_ratio.saddle_points import SaddlePointConfig
from jaxrl_sparse.exploration.rnd import RNDConfig
from jaxrl_sparse.learners.on_policy import OnPolicyConfig
from jaxrl_sparse.learners.policy_networks import PolicyNetworkConfig
from jaxrl_sparse.learners.q_learning import QLearningConfig
from jaxrl_sparse.quality_diversity import AutoencoderConfig, EmitterConfig, NoveltySearchConfig, SereneConfig
from jaxrl_sparse.runner import catalogue, checkpoints

SEARCH = NoveltySearchConfig(population_size=16, num_neighbors=2, archive_additions=2, archive_capacity=64)
BOLD = dataclasses.replace(SEARCH, mutation_sigma=0.5)
AUTOENCODER = AutoencoderConfig(image_size=8, channels=(4,), code_size=2, batch_size=16, max_epochs=2)
LEARNER = QLearningConfig(
    num_environments=8,
    num_steps=2,
    batch_size=12,
    replay_capacity=64,
    learning_starts=32,
    discount=1.0,
    epsilon_steps=64,
    target_period=2,
    max_evaluation_steps=10,
)
ON_POLICY = OnPolicyConfig(
    num_environments=8, num_steps=3, discount=1.0, normalize_observations=True, max_evaluation_steps=10
)
SERENE = SereneConfig(
    exploration=SEARCH,
    emitters=EmitterConfig(population_size=4, num_novel=8, archive_additions=2),
    chunk_evaluations=96,
    reward_archive_capacity=64,
    max_candidates=16,
    max_emitters=8,
)
POPULATION = (".key", ".population.genomes", ".population.evaluation.ground_truth")
SEARCHED = tuple(f".search{part}" for part in POPULATION)


class Toy(NamedTuple):
    """The fields of a toy size, those of another cell, the leaves that its key draws, and whether it compiles long."""

    fields: dict[str, Any]
    swept: dict[str, Any]
    random_parts: tuple[str, ...]
    marks: tuple[Any, ...] = ()
    environment: str = "point-2d"
    hidden_sizes: tuple[int, ...] = (4,)


SLOW = (pytest.mark.slow,)


def learner_toy(marks=(), **fields):
    """A learner of Gamble, all of whose updates after the second learn; the other cell learns faster."""
    fields = {"hidden_sizes": (6, 6), "learner": LEARNER, **fields}
    parts = (".key", ".rollout.key", ".params.torso['layers_0']['kernel']")
    faster = {"learner": dataclasses.replace(LEARNER, learning_rate=0.1)}
    return Toy(fields, faster, parts, marks, "gamble", ())


def policy_toy(memory_size=0, learner=ON_POLICY, within="", **fields):
    """A learner from its own policy's experience of Gamble, in pieces that cut episodes; `within` a larger state."""
    network = PolicyNetworkConfig(hidden_sizes=(6,), memory_size=memory_size)
    parts = tuple(within + part for part in (".key", ".rollout.key", ".params['head']['params']['kernel']"))
    faster = {"learner": dataclasses.replace(learner, learning_rate=0.1)}
    return Toy({"network": network, "learner": learner, **fields}, faster, parts, SLOW, "gamble", ())


def walk_toy(marks=(), **fields):
    """SubPO on the smallest of the published maps; the other cell learns faster."""
    fields = {"num_trajectories": 8, "hidden_sizes": (4,), "num_evaluation_episodes": 4, **fields}
    parts = (".key", ".params['torso']['layers_0']['kernel']")
    return Toy(fields, {"learning_rate": 0.1}, parts, marks, "two-rooms", ())


def round_toy(fields, swept, environment="combination-lock", marks=SLOW):
    """A learner of a finite process, two episodes a round; only its key is drawn."""
    return Toy({"episodes_per_round": 2, **fields}, swept, (".key",), marks, environment, ())


def dice_toy(swept):
    """An estimator on transitions of a Garnet; only its key, which draws minibatches, is drawn."""
    return Toy({"solver": SaddlePointConfig(num_gradient_steps=2, batch_size=8)}, swept, (".key",), SLOW, "garnet", ())


def mixture_toy(**fields):
    """Reward-free exploration of a mixture; the other cell hardly is optimistic."""
    fields = {"num_episodes": 8, "num_rewards": 4, "beta_scale": 0.1, **fields}
    return Toy(fields, {"beta_scale": 1e-4}, (".key",), SLOW, "linear-mixture", ())


SEARCH_FIELDS = {field.name: getattr(SEARCH, field.name) for field in dataclasses.fields(SEARCH)}
# Not too small: loops of a few iterations are unrolled, which compiles for longer than it saves.
TOYS = {
    "novelty-search": Toy(SEARCH_FIELDS, {"mutation_sigma": 0.5}, POPULATION),
    "nslc": Toy(SEARCH_FIELDS, {"mutation_sigma": 0.5}, POPULATION, SLOW),
    "nsga-ii": Toy(SEARCH_FIELDS, {"mutation_sigma": 0.5}, POPULATION, SLOW),
    "map-elites": Toy(
        {"population_size": 16, "batch_size": 16, "grid_shape": (8, 8)},
        {"mutation_sigma": 0.5},
        (".key", ".archive.entries.genomes", ".archive.entries.evaluation.ground_truth"),
    ),
    "cma-me": Toy(
        {"population_size": 16, "num_emitters": 16, "grid_shape": (8, 8)},
        {"initial_sigma": 0.1},
        (".search.key", ".search.archive.entries.genomes", ".search.archive.entries.evaluation.ground_truth"),
        SLOW,
    ),
    "random-search": Toy(
        {"population_size": 16, "archive_additions": 2, "archive_capacity": 64}, {"genome_bound": 0.5}, POPULATION
    ),
    "serene": Toy(
        {field.name: getattr(SERENE, field.name) for field in dataclasses.fields(SERENE)},
        {"exploration": BOLD},
        (".key", *SEARCHED),
        SLOW,
    ),
    "taxons": Toy(
        {"exploration": SEARCH, "autoencoder": AUTOENCODER, "chunk_evaluations": 96},
        {"exploration": BOLD},
        (".key", *SEARCHED),
        SLOW,
    ),
    "taxons-2020": Toy(
        {"population_size": 16, "num_neighbors": 2, "training_interval": 3, "num_epochs": 2, "image_size": 16},
        {"mutation_sigma": 0.5},
        (".key", ".genomes"),
        SLOW,
    ),
    "stax": Toy(
        {"search": SERENE, "autoencoder": AUTOENCODER},
        {"search": dataclasses.replace(SERENE, exploration=BOLD)},
        (".key", *SEARCHED),
        SLOW,
    ),
    "subpo": walk_toy(SLOW),
    "subpo-nm": walk_toy(SLOW)._replace(random_parts=(".key", ".params['places']")),
    "modpo": walk_toy(SLOW, optimizer="natural")._replace(swept={"divergence": 0.1}),
    "ppo": policy_toy(memory_size=4, num_minibatches=2),
    "rnd-ppo": policy_toy(
        num_minibatches=2, bonus=RNDConfig(target_sizes=(4,), predictor_sizes=(4,), num_features=3, num_minibatches=2)
    ),
    "actor-critic": policy_toy(),
    "smm-ppo": policy_toy(
        learner=dataclasses.replace(ON_POLICY, normalize_observations=False),
        within=".learner",
        num_minibatches=2,
        num_snapshots=3,
        snapshot_period=2,
    ),
    "smm": Toy({"num_policies": 6}, {"sigma": 0.1}, (".key", ".mixture.policies"), SLOW, "ring", ()),
    "max-entropy": Toy(
        {"num_policies": 6, "num_episodes": 8}, {"sigma": 0.1}, (".key", ".mixture.policies"), (), "ring", ()
    ),
    "ucb-vi": round_toy({"num_rounds": 6}, {"scale": 0.001}),
    "epsilon-greedy": round_toy({}, {"epsilon": 0.9}),
    "glow": round_toy({"num_rounds": 6}, {"scale": 1e-4}),
    "hyglow": Toy({"num_rounds": 6}, {"scale": 10.0}, (".key",), SLOW, "combination-lock", ()),
    "hy-q": Toy({}, {"unvisited_value": 1.0}, (".key",), SLOW, "combination-lock", ()),
    "dual-dice": dice_toy({"exponent": 1.5}),
    "gen-dice": dice_toy({"normalization": 3.0}),
    "algae-dice": dice_toy({"alpha": 1.0}),
    "ucrl-rfe": mixture_toy(),
    "ucrl-rfe-plus": mixture_toy(),
    "hf-ucrl-rfe": mixture_toy(num_moments=2, num_samples=4),
    "dqn": learner_toy(marks=SLOW),
    "qr-dqn": learner_toy(num_quantiles=5, marks=SLOW),
    "c51": learner_toy(num_atoms=11, high=5.0, marks=SLOW),
    "iqn": learner_toy(hidden_sizes=(6,), output_sizes=(6,), embedding_size=4, marks=SLOW),
    "d-eta-n": learner_toy(num_atoms=5, num_knots=9, marks=SLOW),
}
KEYS = two_cells.seeds(3)


def test_no_algorithm_is_left_out():
    assert set(TOYS) == set(catalogue.ALGORITHMS)


@pytest.fixture(scope="module", params=[pytest.param(name, marks=toy.marks) for name, toy in TOYS.items()])
def toy(request):
    fields, swept, random_parts, _, environment, hidden_sizes = TOYS[request.param]
    system, task = catalogue.bind(request.param, environment, (), hidden_sizes)
    config = system.config(**fields)
    configs = (config, dataclasses.replace(config, **swept))
    return two_cells.TwoCells(task.make, configs, task.inputs), config, system, task, random_parts


def test_contract(toy, tmp_path):
    cells, config, system, task, random_parts = toy
    two_cells.assert_keys_reach_every_random_part(cells, random_parts)
    two_cells.assert_equal_keys_make_equal_cells(cells, 6)
    two_cells.assert_swept_floats_matter(cells, 6)
    state, metrics = two_cells.assert_swapped_cells_swap_results(cells, KEYS, 6)
    two_cells.assert_state_can_be_saved(state)
    two_cells.assert_evaluation_is_held_out(cells, state)

    def save(state):
        checkpoints.save(tmp_path, state, 5, {EVALUATIONS: 1}, {"toy": True})

    def load(like):
        restored, _ = checkpoints.restore(tmp_path, jax.eval_shape(lambda: like), {"toy": True})
        # Restored arrays are committed to their device, for which the chunk would be compiled again.
        return two_cells.unplain(jax.tree.leaves(two_cells.plain(restored)), like)

    two_cells.assert_resumed_equals_uninterrupted(cells, KEYS, 8, save, load)
    # Ten chunks and more, other lengths, steps, keys and floats: still the one executable.
    two_cells.assert_never_retraced(cells)

    # The words that the shell acts upon: the headline, and counts of one update that agree with what the budget check
    # says.
    assert system.headline in metrics
    spent = metrics[system.budget_word][0].tolist()
    assert spent[0] == task.smallest_budget(config) and min(spent) >= 0
    steps = spent if system.budget_word == ENVIRONMENT_STEPS else [50 * evaluations for evaluations in spent]
    assert metrics[ENVIRONMENT_STEPS][0].tolist() == steps
