import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.networks.actor_critic import feedforward_actor_critic, observing, recurrent_actor_critic
from jaxrl_sparse.networks.distributions import categorical_head
from jaxrl_sparse.networks.feedforward import feedforward

T, B, K = 5, 3, 2
OBSERVATIONS = jax.random.normal(jax.random.key(0), (T + 1, B, 4))
NEXT = jax.random.normal(jax.random.key(1), (T, B, 4))
DONES = jnp.zeros((T, B), bool).at[1, 0].set(True).at[3, 2].set(True)
HEAD, TOWER = categorical_head(3, final_scale=1.0), feedforward((6,), activation="tanh")
NETWORKS = {
    "feed-forward": feedforward_actor_critic(TOWER, TOWER, HEAD, K),
    "recurrent": recurrent_actor_critic(TOWER, HEAD, K, memory_size=5),
    "two layers": recurrent_actor_critic(TOWER, HEAD, K, memory_size=5, num_layers=2),
}


def zero_where(done, memory):
    return jax.tree.map(lambda leaf: jnp.where(done[:, None, None], 0.0, leaf), memory)


@pytest.mark.parametrize("name", NETWORKS)
def test_unrolling_is_stepping_and_an_end_is_forgotten(name):
    network = NETWORKS[name]
    params, memory = network.init(jax.random.key(2), OBSERVATIONS[0]), network.start(B)
    logits, values, followed = [], [], []
    for t in range(T):
        distribution, value, memory = network.step(params, memory, OBSERVATIONS[t])
        followed.append(network.step(params, memory, NEXT[t])[1])
        logits.append(distribution.logits)
        values.append(value)
        memory = zero_where(DONES[t], memory)
    start = network.start(B)
    distribution, unrolled = network.unroll(params, start, OBSERVATIONS[:T], DONES)
    np.testing.assert_allclose(distribution.logits, jnp.stack(logits), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(unrolled, jnp.stack(values), rtol=1e-4, atol=1e-5)
    following = network.following(params, start, OBSERVATIONS[:T], NEXT, DONES)
    np.testing.assert_allclose(following, jnp.stack(followed), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["recurrent", "two layers"])
def test_a_memory_remembers_its_own_episode_alone(name):
    network = NETWORKS[name]
    params = network.init(jax.random.key(2), OBSERVATIONS[0])
    changed = OBSERVATIONS[:T].at[0].add(1.0)
    before, after = (network.unroll(params, network.start(B), o, DONES)[1] for o in (OBSERVATIONS[:T], changed))
    moved = np.abs(np.asarray(before - after)).max(-1) > 1e-6
    # Row 0 ends after step 1, row 2 after step 3.
    np.testing.assert_array_equal(moved[:, 0], [True, True, False, False, False])
    np.testing.assert_array_equal(moved[:, 1], [True] * 5)
    np.testing.assert_array_equal(moved[:, 2], [True, True, True, True, False])


def test_what_is_shown_is_what_is_seen():
    plain = NETWORKS["recurrent"]
    network = observing(plain, lambda observations: 2 * observations + 1)
    params = network.init(jax.random.key(2), OBSERVATIONS[0])
    shown = 2 * OBSERVATIONS + 1
    for name, arguments, seen in (
        ("step", (OBSERVATIONS[0],), (shown[0],)),
        ("unroll", (OBSERVATIONS[:T], DONES), (shown[:T], DONES)),
        ("following", (OBSERVATIONS[:T], NEXT, DONES), (shown[:T], 2 * NEXT + 1, DONES)),
    ):
        ours, theirs = (getattr(n, name)(params, plain.start(B), *a) for n, a in ((network, arguments), (plain, seen)))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, theirs)


def test_refusals():
    with pytest.raises(ValueError, match=r"num_values: got 0"):
        feedforward_actor_critic(TOWER, TOWER, HEAD, 0)
    with pytest.raises(ValueError, match=r"memory_size: got 0"):
        recurrent_actor_critic(TOWER, HEAD, memory_size=0)
