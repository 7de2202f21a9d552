import jax
import jax.numpy as jnp
import numpy as np
from quality_diversity.planes import individuals_of

from jaxrl_sparse.quality_diversity.behavior_spaces import (
    BehaviorSpace,
    Stored,
    described,
    is_triangular,
    learn_where_due,
)


def test_the_published_schedule():
    due = np.flatnonzero(np.asarray(jax.jit(jax.vmap(is_triangular))(jnp.arange(3000))))
    np.testing.assert_array_equal(due, [n * (n + 1) // 2 for n in range(1, 77)])


def test_everything_is_described_in_its_place():
    rng = np.random.default_rng(0)
    sizes = (3, 1, 4)
    parts = [individuals_of(rng.normal(size=(size, 2))).evaluation for size in sizes]
    masks = [jnp.asarray(rng.random(size) < 0.6) for size in sizes]
    space = BehaviorSpace(
        init=lambda key: jnp.float32(0.0),
        describe=lambda state, evaluation, mask: evaluation._replace(
            descriptors=jnp.where(mask[:, None], state * evaluation.render_states[:, 0], -1.0),
            surprises=jnp.cumsum(evaluation.rewards),
        ),
        learn=lambda key, state, render_states, mask: (state, {}),
        is_due=is_triangular,
    )
    stored = [Stored(part, mask) for part, mask in zip(parts, masks, strict=True)]
    found = jax.jit(lambda stored: described(space, jnp.float32(3.0), stored))(stored)
    surprises = np.cumsum(np.concatenate([part.rewards for part in parts]))
    start = 0
    for part, mask, evaluation in zip(parts, masks, found, strict=True):
        expected = np.where(np.asarray(mask)[:, None], 3.0 * np.asarray(part.render_states)[:, 0], -1.0)
        np.testing.assert_allclose(evaluation.descriptors, expected, rtol=1e-6)
        np.testing.assert_allclose(evaluation.surprises, surprises[start : start + len(mask)], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(evaluation.rewards, part.rewards)
        start += len(mask)


def test_only_those_learn_whose_time_has_come():
    def learn(state):
        return state * 2.0, {"loss": state.sum()}

    step = jax.jit(lambda due, state: learn_where_due(due, learn, state))
    states = jnp.arange(6.0).reshape(3, 2) + 1.0
    for due in ([True, False, True], [False, False, False]):
        learned, metrics = jax.jit(jax.vmap(lambda d, s: learn_where_due(d, learn, s)))(jnp.array(due), states)
        factors = np.where(due, 2.0, 1.0)
        np.testing.assert_array_equal(learned, np.asarray(states) * factors[:, None])
        np.testing.assert_array_equal(metrics["loss"], np.where(due, np.asarray(states).sum(axis=1), 0.0))
        for row in range(3):
            one, of_one = step(jnp.array(due[row]), states[row])
            np.testing.assert_array_equal(one, learned[row])
            np.testing.assert_array_equal(of_one["loss"], metrics["loss"][row])
