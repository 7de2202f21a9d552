import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.submodular import facility_location, max_progress


def gains_of(set_function, elements):
    def step(memory, element):
        return set_function.add(memory, element), set_function.gain(memory, element)

    gains = lambda visits: jax.lax.scan(step, set_function.init(), visits)[1]  # noqa: E731
    return jax.jit(gains, compiler_options=QUICK_TO_COMPILE)(elements)


def test_progress_pays_what_is_won():
    track = jnp.array([-1.0, 0.5, 0.25, 2.0, 1.0, 2.5])
    np.testing.assert_array_equal(gains_of(max_progress(), track), [0, 0.5, 0, 1.5, 0, 0.5])
    assert max_progress().value(track) == 2.5
    assert max_progress().value(jnp.array([-3.0])) == 0
    assert max_progress().value(track, jnp.array([True, True, True, False, True, False])) == 1


def test_every_client_is_served_by_its_best_facility():
    similarity = np.random.default_rng(0).random((8, 5)).astype(np.float32)
    visits = jnp.array([3, 1, 3, 7])
    best = np.maximum.accumulate(similarity[np.asarray(visits)], axis=0).sum(1)
    set_function = facility_location(similarity)
    np.testing.assert_allclose(np.cumsum(gains_of(set_function, visits)), best, rtol=1e-6)
    # With the identity it counts distinct elements.
    assert facility_location(np.eye(8)).value(visits) == 3


def test_negative_similarities_are_refused():
    with pytest.raises(ValueError, match=r"^similarity: got -1.0, takes numbers of at least 0$"):
        facility_location([[0.0, -1.0]])
