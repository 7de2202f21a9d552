import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.base import Trajectory
from jaxrl_sparse.learners.replay import Transitions, replay, rounded_capacity, trajectory_of, transitions_of


def test_the_ring_is_a_python_deque():
    ring = replay(6, 4)
    state = ring.init({"a": jax.ShapeDtypeStruct((), jnp.int32), "b": jax.ShapeDtypeStruct((2,), jnp.float32)})
    add = jax.jit(ring.add)
    held = []
    for step in range(5):
        numbers = jnp.arange(2, dtype=jnp.int32) + 2 * step
        state = add(state, {"a": numbers, "b": jnp.stack([numbers, -numbers], 1).astype(jnp.float32)})
        held = [*held, *numbers.tolist()][-6:]
        assert int(state.size) == len(held) and int(state.next_row) == 2 * (step + 1) % 6
        assert sorted(state.rows["a"].tolist()[: len(held)]) == sorted(held)
    batch = ring.sample(state, jax.random.key(0), 3)
    assert batch["a"].shape == (12,) and set(batch["a"].tolist()) <= set(held)
    np.testing.assert_array_equal(batch["b"][:, 0], -batch["b"][:, 1])
    np.testing.assert_array_equal(batch["b"][:, 0], batch["a"])


def test_only_what_was_written_is_sampled_and_all_of_it_equally():
    ring = replay(1000, 1000)
    state = ring.add(ring.init(jax.ShapeDtypeStruct((), jnp.int32)), jnp.arange(1, 6, dtype=jnp.int32))
    counts = np.bincount(ring.sample(state, jax.random.key(1), 10), minlength=6)
    assert counts[0] == 0 and len(counts) == 6
    # Five standard deviations of a multinomial count.
    assert np.abs(counts[1:] - 2000).max() < 5 * np.sqrt(2000 * 0.8)


def test_trajectories_become_transitions_and_batches_trajectories():
    numbers = jnp.arange(6.0).reshape(2, 3)
    flags = numbers > 3
    trajectory = Trajectory(numbers[..., None], numbers.astype(jnp.int32), numbers, flags, ~flags, -numbers[..., None])
    transitions = transitions_of(trajectory)
    np.testing.assert_array_equal(transitions.rewards, np.arange(6))
    np.testing.assert_array_equal(transitions.next_observations, -np.arange(6.0)[:, None])
    np.testing.assert_array_equal(transitions.terminated, np.arange(6) > 3)
    lifted = trajectory_of(transitions)
    assert lifted.observations.shape == (1, 6, 1) and not lifted.truncated.any()
    assert isinstance(transitions, Transitions)


def test_capacities_are_rounded_up():
    assert [rounded_capacity(n, 4) for n in (1, 4, 5)] == [4, 4, 8]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 1), "capacity: got 0"), ((4, 0), "batch_size: got 0"), ((4, 5), "batch_size: got 5, takes at most")],
)
def test_refuses_bad_sizes(arguments, message):
    with pytest.raises(ValueError, match=message):
        replay(*arguments)


def test_refuses_rows_that_do_not_divide_the_ring():
    ring = replay(5, 1)
    with pytest.raises(ValueError, match="a multiple of the 2 rows added at a time, such as 6"):
        ring.add(ring.init(jax.ShapeDtypeStruct((), jnp.float32)), jnp.zeros(2))
