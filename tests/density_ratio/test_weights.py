"""Density ratios of policies to the mixture of the past, by hand and from single occupancies."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.density_ratio.classes import ModelClass, function_class, model_class
from jaxrl_sparse.density_ratio.weights import (
    coverability_bound,
    explicit_class,
    functions_of,
    log_weights,
    pair_class,
    pairs_of_models,
    require_weights,
    strong_weights,
    weak_weights,
    weight_misfit,
    weights_of,
)
from jaxrl_sparse.finite.episodic_generators import combination_locks

HORIZON = 3
LOCKS = combination_locks(HORIZON)
SIZE = 2**HORIZON
PLAYS = jnp.array([3.0, 0, 1, 0, 0, 4, 0, 0])


def quick(function):
    return jax.jit(function, compiler_options=QUICK_TO_COMPILE)


CLASSES = quick(model_class)(LOCKS)


def member(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def test_strong_weights_by_hand():
    """One model, two policies of one layer: the past played the first three times and the second once."""
    functions = function_class(np.zeros((2, 1, 1, 3)))
    occupancies = jnp.array([[1.0, 0, 0], [0, 0.5, 0.5]]).reshape(1, 2, 1, 1, 3)
    models = ModelClass(functions, occupancies)
    np.testing.assert_allclose(
        strong_weights(models, jnp.array([3.0, 1])).reshape(2, 3), [[4 / 3, 0, 0], [0, 4, 4]], rtol=1e-6
    )
    # What only a policy that was not played reaches is infinite, and what nobody reaches is zero.
    np.testing.assert_array_equal(
        strong_weights(models, jnp.array([3.0, 0])).reshape(2, 3), [[1, 0, 0], [0, np.inf, np.inf]]
    )


def test_strong_weights_turn_the_past_into_each_policy():
    """`dbar w = d` wherever the past was, in every model, for every policy."""
    weights = np.asarray(quick(strong_weights)(CLASSES, PLAYS)).reshape(SIZE, SIZE, HORIZON, 2, 2)
    occupancies = np.asarray(CLASSES.occupancies)
    for m in range(SIZE):
        past = np.tensordot(np.asarray(PLAYS) / 8, occupancies[m], 1)
        seen = past > 0
        for f in range(SIZE):
            np.testing.assert_allclose(weights[m, f][seen] * past[seen], occupancies[m, f][seen], rtol=1e-5)
            np.testing.assert_array_equal(weights[m, f][~seen], np.where(occupancies[m, f][~seen] > 0, np.inf, 0))


@pytest.mark.parametrize("plays", [PLAYS, jnp.ones(SIZE)])
def test_weights_of_true_pairs_are_the_strong_ones(plays):
    """The inverse mean of `d^{pi_i} / d^pi` is `d^pi / dbar`, in every model, zeros and infinities too."""
    weak = quick(lambda plays: weak_weights(pairs_of_models(CLASSES), plays))(plays)
    np.testing.assert_allclose(weak, quick(strong_weights)(CLASSES, plays), rtol=1e-5)


def test_a_class_realises_the_ratios_of_its_models_and_of_no_other():
    misfit = quick(weight_misfit)
    strong = quick(strong_weights)(CLASSES, PLAYS)
    for truth in (0, 5):
        np.testing.assert_allclose(misfit(strong, CLASSES.functions, member(LOCKS, truth), PLAYS, 2.0), 0, atol=1e-5)
    without = ModelClass(CLASSES.functions, CLASSES.occupancies[6:])
    weights = quick(strong_weights)(without, PLAYS)
    assert misfit(weights, CLASSES.functions, member(LOCKS, 0), PLAYS, 2.0) > 0.1


def test_misfit_by_hand():
    """One layer, one state, two actions, clip 3: the ratios are (4/3, 0) and (0, 4 -> 3)."""
    functions = function_class([[[[1.0, 0]]], [[[0, 1.0]]]])
    mdp = member(combination_locks(1), 0)
    mdp = mdp._replace(
        transitions=jnp.ones((1, 1, 2, 1)), rewards=jnp.zeros((1, 1, 2)), initial=jnp.ones(1)
    )  # a bandit
    weights = jnp.array([[1.0, 0], [0, 5], [0.5, 3]]).reshape(3, 1, 1, 2)
    misfit = weight_misfit(weights, functions, mdp, jnp.array([3.0, 1]), 3.0)
    np.testing.assert_allclose(misfit, 1 / 3, rtol=1e-5)


def test_sizes_and_coverability_of_the_lock_of_five():
    classes = quick(model_class)(combination_locks(5))
    np.testing.assert_allclose(coverability_bound(classes), 2.8, atol=0.01)
    assert log_weights("strong", classes, 400) == math.log(1024)
    assert log_weights("bounded", classes, 400) == 4 * math.log(400)
    np.testing.assert_array_equal(coverability_bound(classes.functions), 4)
    assert log_weights("weak", pairs_of_models(CLASSES), 400) == math.log(8**3)
    assert log_weights("explicit", explicit_class(CLASSES.functions, jnp.ones((7, 3, 2, 2))), 400) == math.log(7)


def test_every_name_finds_its_class():
    explicit = explicit_class(CLASSES.functions, jnp.ones((7, 3, 2, 2)))
    assert weights_of("explicit", explicit, PLAYS) is explicit.weights
    assert weights_of("strong", CLASSES, PLAYS).shape == (SIZE * SIZE, 3, 2, 2)
    assert weights_of("weak", pairs_of_models(CLASSES), PLAYS).shape == (SIZE * SIZE, 3, 2, 2)
    assert functions_of(CLASSES.functions) is functions_of(CLASSES) is functions_of(explicit)
    with pytest.raises(ValueError, match=r"^weights: got 'bounded', takes a finite class$"):
        weights_of("bounded", CLASSES, PLAYS)
    with pytest.raises(
        ValueError, match=r"^classes: got 'FunctionClass', takes what weights=strong are made of: ModelC"
    ):
        require_weights("strong", CLASSES.functions)
    with pytest.raises(ValueError, match=r"^weights: got 'stron', takes one of strong, "):
        require_weights("stron", CLASSES)


def test_bad_classes_are_refused():
    functions = CLASSES.functions
    with pytest.raises(ValueError, match=r"^weights: got \(4, 2, 2, 2\), takes the class's \[H, S, A\], \(3, 2, 2\)$"):
        explicit_class(functions, np.ones((4, 2, 2, 2)))
    with pytest.raises(ValueError, match=r"^weights: got \(3, 2, 2\), takes the shape \[W, H, S, A\]"):
        explicit_class(functions, np.ones((3, 2, 2)))
    with pytest.raises(ValueError, match=r"^weights\[0, 0, 0, 0\]: got -1.0, takes a number of at least 0$"):
        explicit_class(functions, -np.ones((1, 3, 2, 2)))
    with pytest.raises(ValueError, match=r"^ratios: got \(1, 8, 7, 3, 2, 2\), takes the shape \[P, 8, 8, H, S, A\]"):
        pair_class(functions, np.ones((1, 8, 7, 3, 2, 2)))
    with pytest.raises(ValueError, match=r"^ratios\[0, 0, 0, 0, 0, 0\]: got nan, takes a number of at least 0$"):
        pair_class(functions, np.full((1, 8, 8, 3, 2, 2), np.nan))
