import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_sparse.numerics.pareto import dominates, front_ranks, pareto_front

NUM = 24
rank = jax.jit(front_ranks)
front = jax.jit(pareto_front)


def brute_force_ranks(scores, mask):
    """Fronts by comparing everybody with everybody who is left."""
    ranks = np.full(len(scores), len(scores))
    left = [i for i in range(len(scores)) if mask[i] and np.isfinite(scores[i]).all()]
    number = 0
    while left:
        free = [
            i for i in left if not any((scores[j] >= scores[i]).all() and (scores[j] > scores[i]).any() for j in left)
        ]
        ranks[free] = number
        left = [i for i in left if i not in free]
        number += 1
    return ranks


def draw_scores(seed, num_values, num_objectives):
    """Few values make ties and duplicates the rule; some scores are not finite."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, num_values, (NUM, num_objectives)).astype(np.float32) - 1
    scores[rng.random((NUM, num_objectives)) < 0.03] = rng.choice([np.nan, np.inf, -np.inf])
    return scores, rng.random(NUM) < 0.9


@pytest.mark.parametrize("num_objectives", [1, 2, 3])
@given(seed=st.integers(0, 2**31), num_values=st.sampled_from([1, 2, 3, 5, 1000]))
@settings(max_examples=40, deadline=None)
def test_fronts_are_those_of_brute_force(num_objectives, seed, num_values):
    scores, mask = draw_scores(seed, num_values, num_objectives)
    ranks = brute_force_ranks(scores, mask)
    np.testing.assert_array_equal(rank(scores, mask), ranks)
    np.testing.assert_array_equal(front(scores, mask), ranks == 0)


def test_dominance_by_hand():
    point = jnp.array([1.0, 2.0])
    others = jnp.array([[1.0, 2.0], [1.0, 1.0], [0.0, 1.0], [0.0, 3.0], [2.0, 2.0]])
    np.testing.assert_array_equal(dominates(point, others), [False, True, True, False, False])
    np.testing.assert_array_equal(dominates(others, point), [False, False, False, False, True])


def test_a_chain_has_as_many_fronts_as_points():
    # The rewards are all equal, as sparse rewards are: novelty alone decides.
    novelties = np.random.default_rng(0).permutation(NUM).astype(np.float32)
    scores = np.stack([novelties, np.zeros(NUM, np.float32)], axis=1)
    everywhere = np.ones(NUM, bool)
    np.testing.assert_array_equal(rank(scores, everywhere), NUM - 1 - novelties)
    np.testing.assert_array_equal(rank(scores[:, ::-1], everywhere), NUM - 1 - novelties)


@pytest.mark.parametrize("num_objectives", [2, 3])
def test_vmap_is_a_loop(num_objectives):
    cases = [draw_scores(seed, 4, num_objectives) for seed in range(3)]
    scores, masks = (np.stack(column) for column in zip(*cases, strict=True))
    masks[1] = False
    together = jax.jit(jax.vmap(front_ranks))(scores, masks)
    alone = [brute_force_ranks(scores[i], masks[i]) for i in range(3)]
    np.testing.assert_array_equal(together, alone)
    assert (np.asarray(together[1]) == NUM).all()


def test_refuses_no_objectives():
    with pytest.raises(ValueError, match=r"scores: got \(3, 0\), takes an objective at least"):
        front_ranks(jnp.zeros((3, 0)), jnp.ones(3, bool))
