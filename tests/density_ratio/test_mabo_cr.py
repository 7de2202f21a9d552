"""Losses against all members of the weight class and all transitions one by one; what minimises them."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.classes import function_class, model_class, residuals
from jaxrl_sparse.density_ratio.mabo_cr import (
    bounded_losses,
    hybrid_weights,
    mabo_cr_planner,
    single_layer_losses,
    smooth_losses,
)
from jaxrl_sparse.density_ratio.weights import explicit_class
from jaxrl_sparse.finite import (
    backward_induction,
    combination_locks,
    count_transitions,
    density_ratio,
    expected_counts,
    no_transitions,
    occupancy,
    random_episodic_mdp,
    sample_episodes,
)

MDP = random_episodic_mdp(jax.random.key(0), 3, 2, 2)
UNIFORM = jnp.full((3, 2, 2), 0.5)
FUNCTIONS = function_class(jax.random.uniform(jax.random.key(1), (5, 3, 2, 2)))
# Some far above every bound, some zero, and one that is infinite where it counts.
WEIGHTS = jnp.exp(2 * jax.random.normal(jax.random.key(2), (4, 3, 2, 2))).at[0, 0].set(0).at[1, :, 0, 0].set(jnp.inf)
NUM_SAMPLES = 7


@functools.cache
def sampled():
    """Episodes, their counts, and what the losses are made of."""

    def sample(key):
        episodes = sample_episodes(key, MDP, UNIFORM, NUM_SAMPLES)
        counts = count_transitions(no_transitions(MDP), episodes)
        return episodes, counts, residuals(counts, FUNCTIONS) / NUM_SAMPLES, counts.visits / NUM_SAMPLES

    return jax.jit(sample, compiler_options=QUICK_TO_COMPILE)(jax.random.key(3))


def enumerated_losses(episodes, values, weights, clip_rate, scale):
    """MABO.CR as it is written: every member of Wbar with all its layers, every transition, in float64."""
    leaves = [np.asarray(leaf, np.float64) for leaf in episodes]
    horizon, number = leaves[0].shape
    bound = clip_rate * number
    alpha = 8 * scale / (clip_rate * number)
    members = []
    for w, h, sign in itertools.product(np.asarray(weights, np.float64), range(horizon), (1, -1)):
        member = np.zeros_like(w)
        member[h] = sign * np.minimum(w[h], bound)
        members.append(member)
    losses = []
    for f in np.asarray(values, np.float64):
        following = np.vstack([f.max(axis=2)[1:], np.zeros(f.shape[1])])
        of_members = []
        for member in members:
            total = 0.0
            for h in range(horizon):
                first = second = 0.0
                for s, a, r, t in zip(*(leaf[h] for leaf in leaves), strict=True):
                    s, a, t = int(s), int(a), int(t)
                    first += member[h, s, a] * (f[h, s, a] - r - following[h, t]) / number
                    second += member[h, s, a] ** 2 / number
                total += abs(first) - alpha * second
            of_members.append(total)
        losses.append(max(of_members))
    return np.array(losses)


@pytest.mark.parametrize(("clip_rate", "scale"), [(0.2, 0.05), (1.0, 0.1)])
def test_the_planner_minimises_the_loss_of_the_paper(clip_rate, scale):
    """The maximum over layers and weights is that over Wbar; the clip is gamma n, the penalty 8 c / gamma n."""
    episodes, counts, _, _ = sampled()
    expected = enumerated_losses(episodes, FUNCTIONS.values, WEIGHTS, clip_rate, scale)
    planner = mabo_cr_planner(explicit_class(FUNCTIONS, WEIGHTS), clip_rate, scale, "explicit")
    plan = jax.jit(
        lambda counts: planner.plan(counts, planner.init(MDP), jnp.int32(0)), compiler_options=QUICK_TO_COMPILE
    )
    policy, memory, metrics = plan(counts)
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(metrics["loss"], expected.min(), atol=1e-5)
    np.testing.assert_array_equal(memory.plays, np.eye(5)[expected.argmin()])
    np.testing.assert_array_equal(policy, FUNCTIONS.actions[expected.argmin()])


def test_losses_by_function_and_in_pieces():
    episodes, _, means, frequencies = sampled()
    clipped = jnp.minimum(WEIGHTS, 0.3 * NUM_SAMPLES)
    expected = enumerated_losses(episodes, FUNCTIONS.values, WEIGHTS, 0.3, 0.1)
    alpha = 8 * 0.1 / (0.3 * NUM_SAMPLES)
    whole = single_layer_losses(means, frequencies, clipped, alpha)
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    # One weight in a piece.
    np.testing.assert_allclose(single_layer_losses(means, frequencies, clipped, alpha, 1), whole, atol=1e-6)


def test_the_smooth_form_is_the_same_over_signed_members_of_one_layer():
    _, _, means, frequencies = sampled()
    clipped = jnp.minimum(WEIGHTS, 2.0)
    of_one_layer = clipped[:, None] * jnp.eye(3)[:, :, None, None]
    members = jnp.concatenate([of_one_layer, -of_one_layer]).reshape(-1, 3, 2, 2)
    expected = single_layer_losses(means, frequencies, clipped, 0.4)
    np.testing.assert_allclose(smooth_losses(means, frequencies, members, 0.4), expected, atol=1e-6)
    # More members, and some of several layers, only add to the maximum.
    more = jnp.concatenate([members, clipped * jnp.array([1.0, -1, 1])[:, None, None]])
    assert bool(jnp.all(smooth_losses(means, frequencies, more, 0.4) >= expected - 1e-6))


@pytest.mark.parametrize("bound", [0.3, 5.0])
def test_bounded_losses_are_the_smooth_ones_of_all_bounded_weights(bound):
    _, _, means, frequencies = sampled()
    alpha = 0.4
    losses = bounded_losses(means, frequencies, bound, alpha)
    anything = jax.random.uniform(jax.random.key(5), (300, 3, 2, 2), minval=-bound, maxval=bound)
    assert bool(jnp.all(smooth_losses(means, frequencies, anything, alpha) <= losses + 1e-6))
    # The maximiser of the concave quadratic of each state and action.
    best = jnp.clip(means / (2 * alpha * jnp.maximum(frequencies, 1e-9)), -bound, bound)
    attained = jnp.sum(best * means - alpha * best**2 * frequencies, axis=(1, 2, 3))
    np.testing.assert_allclose(losses, attained, rtol=1e-5)


def test_hybrid_weights_are_ratios_to_the_mixture_of_both_sources():
    models = model_class(combination_locks(3))
    nu = jnp.full((3, 2, 2), 0.25)
    plays = jnp.zeros(8).at[jnp.array([1, 6])].set(jnp.array([3.0, 1.0]))
    got = hybrid_weights(models, plays, 10.0, nu).reshape(8, 8, 3, 2, 2)
    tables = np.asarray(models.occupancies, np.float64)
    for m, n in [(0, 0), (2, 6), (7, 3)]:
        mixture = (6 * 0.25 + 3 * tables[m, 1] + tables[m, 6]) / 10
        np.testing.assert_allclose(got[m, n], tables[m, n] / mixture, rtol=1e-5)
    # What neither source visits is not covered; what a policy never visits needs no cover.
    nothing = hybrid_weights(models, plays * 0, 0.0, nu)
    np.testing.assert_array_equal(nothing, jnp.where(models.occupancies.reshape(64, 3, 2, 2) > 0, jnp.inf, 0))
    only_online = hybrid_weights(models, plays, 4.0, nu * 0).reshape(8, 8, 3, 2, 2)
    mixture = (3 * models.occupancies[5, 1] + models.occupancies[5, 6]) / 4
    np.testing.assert_allclose(only_online[5, 2], density_ratio(models.occupancies[5, 2], mixture), rtol=1e-5)


@pytest.mark.parametrize("weights", ["strong", "bounded-signed"])
def test_population_statistics_of_the_optimal_policy_give_it_back(weights):
    """Of every lock: nu is where its optimal policy is, and nothing is known of the rest."""
    with jax.enable_x64(True):
        locks = combination_locks(5)
        models = model_class(locks)

        def chosen(lock):
            nu = occupancy(lock, backward_induction(lock).actions)
            planner = mabo_cr_planner(models, 0.05, 0.01, weights, nu)
            policy, _, metrics = planner.plan(expected_counts(lock, nu, 400.0), planner.init(lock), jnp.int32(0))
            return policy, metrics["loss"]

        policies, losses = jax.jit(lambda: jax.lax.map(chosen, locks), compiler_options=QUICK_TO_COMPILE)()
    np.testing.assert_array_equal(policies, models.functions.actions)
    # The optimum has no residual at all: no weight makes its loss more than zero.
    assert losses.dtype == jnp.float64 and np.asarray(losses).max() <= 1e-12


def test_population_statistics_of_covering_data_give_the_optimum_of_any_model():

    def chosen(key):
        stacked = jax.vmap(lambda key: random_episodic_mdp(key, 3, 3, 2))(jax.random.split(key, 6))
        models = model_class(stacked)

        def of_one(index):
            mdp = jax.tree.map(lambda leaf: leaf[index], stacked)
            nu = jnp.mean(models.occupancies[index], axis=0)
            planner = mabo_cr_planner(models, 0.05, 1e-4, "strong", nu)
            return planner.plan(expected_counts(mdp, nu, 1000.0), planner.init(mdp), jnp.int32(0))[1].plays

        return jax.lax.map(of_one, jnp.arange(6))

    plays = jax.jit(chosen, compiler_options=QUICK_TO_COMPILE)(jax.random.key(6))
    np.testing.assert_array_equal(plays, np.eye(6))


def test_equal_losses_are_taken_in_turn():
    planner = mabo_cr_planner(FUNCTIONS, 0.1, 1.0, "bounded-signed")

    def turns():
        memory, seen = planner.init(MDP), []
        for step in range(7):
            policy, memory, metrics = planner.plan(no_transitions(MDP), memory, jnp.int32(step))
            seen.append((policy, metrics["loss"]))
        return seen, memory

    seen, memory = jax.jit(turns, compiler_options=QUICK_TO_COMPILE)()
    for step, (policy, loss) in enumerate(seen):
        np.testing.assert_array_equal(policy, FUNCTIONS.actions[step % 5])
        assert float(loss) == 0
    np.testing.assert_array_equal(memory.plays, [2, 2, 1, 1, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip_rate": 0.0}, r"clip_rate: got 0\.0, takes a number above 0"),
        ({"scale": -1.0}, r"scale: got -1\.0, takes a number above 0"),
        ({"weights": "weak"}, "weights: got 'weak', takes one of"),
        ({"weights": "strong"}, "classes: got 'FunctionClass', takes what weights=strong are made of"),
        ({"weights": "explicit"}, "classes: got 'FunctionClass', takes what weights=explicit are made of"),
        ({"distribution": jnp.ones((2, 2, 2))}, "distribution: got"),
    ],
)
def test_refuses_bad_arguments(change, message):
    arguments = {"classes": FUNCTIONS, "clip_rate": 0.1, "weights": "bounded-signed", **change}
    with pytest.raises(ValueError, match=message):
        mabo_cr_planner(**arguments)


def test_refuses_classes_of_another_shape():
    planner = mabo_cr_planner(FUNCTIONS, 0.1, 1.0, "bounded-signed")
    with pytest.raises(ValueError, match=r"mdp\.rewards: got"):
        planner.init(random_episodic_mdp(jax.random.key(0), 2, 2, 2))
