import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.base import Algorithm
from jaxrl_sparse.training import train, train_up_to


def counting(width=4):
    """Adds noise, and at every third step a thousand; tells the step."""

    def update(state, step):
        key, noise_key = jax.random.split(state["key"])
        total = state["total"] + jax.random.normal(noise_key, (width,))
        total = jax.lax.cond(step % 3 == 0, lambda x: x + 1000.0, lambda x: x, total)
        return {"key": key, "total": total}, {"step": step, "mean": jnp.mean(total)}

    return Algorithm(lambda key: {"key": key, "total": jnp.zeros(width)}, update, lambda state, key: {})


def test_train_is_a_loop_over_numbered_updates():
    algorithm = counting()
    expected, means = algorithm.init(jax.random.key(0)), []
    for step in range(5, 9):
        expected, metrics = algorithm.update(expected, step)
        means.append(metrics["mean"])
    state, metrics = train(algorithm, algorithm.init(jax.random.key(0)), 4, step=5)
    np.testing.assert_array_equal(metrics["step"], [5, 6, 7, 8])
    np.testing.assert_allclose(metrics["mean"], means, rtol=1e-6)
    np.testing.assert_allclose(state["total"], expected["total"], rtol=1e-6)


def test_going_on_is_the_same_call():
    algorithm = counting()
    whole, _ = train(algorithm, algorithm.init(jax.random.key(0)), 7)
    part, _ = train(algorithm, algorithm.init(jax.random.key(0)), 3)
    part, _ = train(algorithm, part, 4, step=3)
    np.testing.assert_allclose(part["total"], whole["total"], rtol=1e-6)


def test_train_up_to_runs_any_number_in_one_compilation():
    traces = []

    @jax.jit
    def chunk(state, step, num_updates):
        traces.append(1)
        return train_up_to(counting(), state, num_updates, step, max_updates=5)

    start = counting().init(jax.random.key(0))
    whole, rows = chunk(start, 0, 5)
    part, first = chunk(start, 0, 2)
    part, last = chunk(part, 2, 3)
    np.testing.assert_array_equal(part["total"], whole["total"])
    np.testing.assert_array_equal(jnp.concatenate([first["mean"][:2], last["mean"][:3]]), rows["mean"])
    np.testing.assert_array_equal(first["step"], [0, 1, 0, 0, 0])
    untouched, _ = chunk(start, 0, 0)
    np.testing.assert_array_equal(untouched["total"], start["total"])
    assert len(traces) == 1


def test_a_weakly_typed_state_does_not_compile_twice():
    traces = []

    @jax.jit
    def chunk(state):
        traces.append(1)
        algorithm = Algorithm(
            lambda key: 0.0, lambda state, step: (state * 2.0, {"state": state}), lambda state, key: {}
        )
        return train(algorithm, state, 2)[0]

    assert chunk(chunk(jnp.float32(1.5))) == 24.0
    assert len(traces) == 1


def test_memory_does_not_grow_with_the_number_of_updates():
    def peak(num_updates):
        lowered = jax.jit(lambda state: train(counting(1000), state, num_updates)).lower(
            counting(1000).init(jax.random.key(0))
        )
        return lowered.compile().memory_analysis().temp_size_in_bytes

    # The metrics of an update, two words, are all that a longer run may add.
    assert peak(2000) - peak(20) <= 2 * 4 * 2000


@pytest.mark.parametrize("call", [lambda a, s: train(a, s, 0), lambda a, s: train_up_to(a, s, 1, 0, max_updates=0)])
def test_bad_numbers_are_refused(call):
    algorithm = counting()
    with pytest.raises(ValueError, match=r"^(num|max)_updates: got 0, takes an integer of at least 1$"):
        call(algorithm, algorithm.init(jax.random.key(0)))
