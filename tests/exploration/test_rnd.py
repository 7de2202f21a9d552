"""Random network distillation against closed forms and the definition."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE
from rewards.experience import experience, pieces

from jaxrl_sparse.base import RewardTransformation, trajectory_spec
from jaxrl_sparse.exploration import RNDConfig, distillation_bonus, distillation_loss, rnd, rnd_streams
from jaxrl_sparse.networks.feedforward import Network, feedforward
from jaxrl_sparse.rewards import add, chain, identity, scale

SMALL = RNDConfig(target_sizes=(16,), predictor_sizes=(16,), num_features=8, num_epochs=2, num_minibatches=2)
LINEAR = feedforward((), 4)


def quick(transformation):
    """The same transformation, its functions compiled once each."""
    compiled = [jax.jit(function, compiler_options=QUICK_TO_COMPILE) for function in transformation[1:]]
    return RewardTransformation(transformation.init, *compiled)


def started(transformation, trajectory):
    init = jax.jit(lambda key: transformation.init(key, trajectory_spec(trajectory)), compiler_options=QUICK_TO_COMPILE)
    return init(jax.random.key(0))


def seeing(trajectory, points):
    """The trajectory whose steps led to the points `[T B, D]`."""
    return trajectory._replace(next_observations=points.reshape(*trajectory.rewards.shape, -1))


@pytest.fixture(scope="module")
def learned():
    """A bonus, its experience, and its states before and after."""
    bonus, trajectory = quick(distillation_bonus(SMALL)), experience(0, 12, 4)
    before = started(bonus, trajectory)
    rewards, after = bonus.update(trajectory, before)
    return bonus, trajectory, before, rewards, after


def test_the_target_stays_bit_for_bit_and_the_predictor_moves(learned):
    _, _, before, _, after = learned
    jax.tree.map(np.testing.assert_array_equal, before.target_params, after.target_params)
    assert all(
        np.abs(new - old).max() > 0
        for new, old in zip(jax.tree.leaves(after.params), jax.tree.leaves(before.params), strict=True)
    )


def test_no_gradient_reaches_the_target(learned):
    _, trajectory, _, _, after = learned
    relabel = distillation_bonus(SMALL).relabel

    def total(target_params, params):
        return jnp.sum(relabel(trajectory, after._replace(target_params=target_params, params=params)))

    gradient = jax.jit(jax.grad(total, argnums=(0, 1)), compiler_options=QUICK_TO_COMPILE)
    to_target, to_predictor = gradient(after.target_params, after.params)
    assert all(np.abs(leaf).max() == 0 for leaf in jax.tree.leaves(to_target))
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(to_predictor))


def test_errors_are_positive_and_zero_where_the_networks_agree(learned):
    bonus, trajectory, _, rewards, after = learned
    assert rewards.shape == (12, 4) and np.asarray(rewards).min() > 0
    agreeing = after._replace(params=after.target_params)
    np.testing.assert_array_equal(bonus.relabel(trajectory, agreeing), 0.0)


def test_relabel_tells_current_errors_and_learns_nothing(learned):
    bonus, trajectory, _, rewards, after = learned
    relabelled = bonus.relabel(trajectory, after)
    assert np.mean(relabelled) < np.mean(rewards)
    # What a further update pays, before it learns, is what relabelling tells: the moments it uses are those before.
    np.testing.assert_allclose(bonus.update(trajectory, after)[0], relabelled, rtol=1e-5, atol=1e-7)


def test_observations_are_seen_by_the_moments_of_earlier_trajectories(learned):
    bonus = learned[0]
    first, second = experience(1, 12, 4), experience(2, 12, 4)
    second = second._replace(next_observations=40 * second.next_observations + 3)
    start = started(bonus, first)

    def errors(trajectory, seen_before, params):
        """By hand: standardised, cut, both networks, mean over features."""
        rows = np.asarray(trajectory.next_observations).reshape(-1, 3)
        seen = np.asarray(seen_before.next_observations).reshape(-1, 3)
        inputs = jnp.asarray(np.clip((rows - seen.mean(0)) / seen.std(0), -5, 5))
        network = feedforward((16,), 8)
        differences = network.apply(start.target_params, inputs) - network.apply(params, inputs)
        return np.mean(np.square(differences), axis=-1).reshape(12, 4)

    labels, state = bonus.update(first, start)
    np.testing.assert_allclose(labels, errors(first, first, start.params), rtol=1e-3, atol=1e-5)
    labels, later = bonus.update(second, state)
    np.testing.assert_allclose(labels, errors(second, first, state.params), rtol=1e-3, atol=1e-5)
    both = np.concatenate([np.asarray(part.next_observations).reshape(-1, 3) for part in (first, second)])
    np.testing.assert_allclose(later.moments.mean, both.mean(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(later.moments.variance, both.var(0), rtol=1e-4)


@pytest.mark.slow
def test_what_was_seen_is_less_new_than_what_was_not():
    def waves(points):
        phases = jnp.concatenate([points, 2 * points, 4 * points], axis=-1)
        return jnp.concatenate([jnp.sin(phases), jnp.cos(phases)], axis=-1)

    config = RNDConfig(
        target_sizes=(32,),
        predictor_sizes=(64,),
        num_features=16,
        learning_rate=3e-3,
        num_epochs=600,
        num_minibatches=1,
    )
    bonus, trajectory = quick(distillation_bonus(config, view=waves)), experience(3, 32, 8)
    points = jax.random.uniform(jax.random.key(5), (256, 2), minval=-1.0)
    left, right = (seeing(trajectory, points.at[:, 0].set(side * jnp.abs(points[:, 0]))) for side in (-1, 1))
    start = started(bonus, left)
    labels, state = bonus.update(left, start)
    untrained = start._replace(moments=state.moments)
    known, unknown = (
        np.mean(bonus.relabel(half, untrained)) / np.mean(bonus.relabel(half, state)) for half in (left, right)
    )
    assert known > 10 and unknown < known / 10
    np.testing.assert_allclose(bonus.relabel(left, untrained), labels, rtol=1e-4, atol=1e-6)


def test_a_linear_predictor_leaves_the_residual_of_least_squares():
    def quadratic(params, inputs):
        return jnp.stack([inputs[:, 0] ** 2, inputs[:, 0] * inputs[:, 1], inputs[:, 1], jnp.abs(inputs[:, 0])], axis=1)

    target = Network(lambda key, inputs: jnp.zeros(1), quadratic)
    config = RNDConfig(learning_rate=0.02, num_epochs=2000, num_minibatches=1)
    bonus, trajectory = quick(distillation_bonus(config, target=target, predictor=LINEAR)), experience(4, 10, 6)
    trajectory = trajectory._replace(next_observations=trajectory.next_observations[..., :2])
    _, state = bonus.update(trajectory, started(bonus, trajectory))
    rows = np.asarray(trajectory.next_observations, np.float64).reshape(-1, 2)
    inputs = (rows - rows.mean(0)) / rows.std(0)
    features, design = np.asarray(quadratic(None, jnp.asarray(inputs))), np.column_stack([inputs, np.ones(60)])
    residuals = features - design @ np.linalg.lstsq(design, features, rcond=None)[0]
    expected = np.mean(residuals**2, axis=1).reshape(10, 6)
    np.testing.assert_allclose(bonus.relabel(trajectory, state), expected, rtol=0.01, atol=1e-3)


def test_the_view_hides_the_rest():
    bonus = quick(distillation_bonus(SMALL, view=lambda observations: observations[..., :2]))
    trajectory = experience(5, 12, 4)
    other = trajectory._replace(next_observations=trajectory.next_observations.at[..., 2].add(7.0))
    labels = [bonus.update(part, started(bonus, trajectory))[0] for part in (trajectory, other)]
    np.testing.assert_array_equal(*labels)


def test_only_the_chosen_part_of_the_steps_counts():
    params = LINEAR.init(jax.random.key(0), jnp.zeros((1, 3)))
    inputs, features = jax.random.normal(jax.random.key(1), (6, 3)), jnp.zeros((6, 4))
    weights = jnp.array([1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    chosen = distillation_loss(params, inputs, features, weights, predictor=LINEAR)
    by_hand = np.mean(np.square(LINEAR.apply(params, inputs)[jnp.array([0, 2])]))
    np.testing.assert_allclose(chosen, by_hand, rtol=1e-6)
    assert distillation_loss(params, inputs, features, jnp.zeros(6), predictor=LINEAR) == 0


@pytest.mark.slow
def test_rnd_is_the_bonus_by_the_deviation_of_sums_that_no_end_stops():
    trajectory = experience(7, 12, 4)
    whole, raw = quick(rnd(SMALL)), quick(distillation_bonus(SMALL))
    start, bonus_state = started(whole, trajectory), started(whole, trajectory)[0]
    running, seen = np.zeros(4), []
    for part in pieces(trajectory, 6):
        labels, start = whole.update(part, start)
        errors, bonus_state = raw.update(part, bonus_state)
        for row in np.asarray(errors, np.float64):
            running = 0.99 * running + row
            seen.append(running)
        np.testing.assert_allclose(labels, errors / np.std(seen), rtol=1e-4)
        expected = raw.relabel(trajectory, bonus_state) / np.std(seen)
        np.testing.assert_allclose(whole.relabel(trajectory, start), expected, rtol=1e-4)


def test_a_bonus_of_coefficient_zero_is_no_bonus_bit_for_bit():
    trajectory = experience(8, 12, 4)
    reward = quick(add(identity(), chain(rnd(SMALL), scale(0.0))))
    labels, _ = reward.update(trajectory, started(reward, trajectory))
    np.testing.assert_array_equal(labels, trajectory.rewards)


def test_floats_are_swept_in_one_compilation(learned):
    _, trajectory, before, _, after = learned

    def cell(learning_rate, update_proportion):
        config = dataclasses.replace(SMALL, learning_rate=learning_rate, update_proportion=update_proportion)
        swept = distillation_bonus(config)
        return swept.update(trajectory, swept.init(jax.random.key(0), trajectory_spec(trajectory)))[1].params

    cells = jnp.array([SMALL.learning_rate, 0.1, 0.1]), jnp.array([1.0, 1.0, 1e-9])
    states = jax.jit(jax.vmap(cell), compiler_options=QUICK_TO_COMPILE)(*cells)
    same, faster, silent = (jax.tree.map(lambda leaf, i=i: leaf[i], states) for i in range(3))
    compare = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(compare, same, after.params)
    # Of no step at all nothing is learnt.
    jax.tree.map(compare, silent, before.params)
    assert all(np.abs(a - b).max() > 0.01 for a, b in zip(*map(jax.tree.leaves, (faster, silent)), strict=True))


def test_the_state_is_nothing_but_arrays():
    trajectory = experience(9, 12, 4)
    state = jax.eval_shape(lambda key: rnd(SMALL).init(key, trajectory_spec(trajectory)), jax.random.key(0))
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) and leaf.size > 0 for leaf in jax.tree.leaves(state))


def test_the_published_streams():
    streams = rnd_streams(rnd(SMALL))
    assert {name: (s.discount, s.coefficient, s.episodic) for name, s in streams.items()} == {
        "bonus": (0.99, 1.0, False),
        "task": (0.999, 2.0, True),
    }


@pytest.mark.parametrize(
    ("field", "value", "takes"),
    [
        ("num_features", 0, "an integer of at least 1"),
        ("learning_rate", 0.0, "a number above 0"),
        ("update_proportion", 1.5, r"a number in \(0, 1\]"),
        ("observation_bound", -1.0, "a number above 0"),
        ("discount", 1.0, r"a number in \[0, 1\), for sums that no episode ends"),
    ],
)
def test_bad_fields_are_refused(field, value, takes):
    with pytest.raises(ValueError, match=f"^{field}: got {value}, takes {takes}$"):
        rnd(RNDConfig(**{field: value}))


def test_minibatches_that_do_not_divide_are_refused():
    spec = trajectory_spec(experience(10, 5, 3))
    with pytest.raises(ValueError, match=r"^num_minibatches: got 4, takes a divisor of the 15 steps of a trajectory$"):
        rnd().init(jax.random.key(0), spec)
