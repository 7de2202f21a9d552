import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.networks.distributions import categorical_head
from jaxrl_sparse.submodular.policies import history_policy, markov_policy

T, B, F = 5, 3, 2
FEATURES = jax.random.normal(jax.random.key(0), (T, B, F))
HEAD = categorical_head(4, final_scale=1.0)
POLICIES = {
    "markov": markov_policy(HEAD, (6, 5)),
    "history": history_policy(HEAD, T, (6, 5)),
    "history, one layer": history_policy(HEAD, T, (6,)),
}


@pytest.mark.parametrize("name", POLICIES)
def test_unrolling_is_stepping(name):
    policy = POLICIES[name]
    params, memory = policy.init(jax.random.key(1), FEATURES[0]), policy.start(B)
    stepped = []
    for features in FEATURES:
        distribution, memory = policy.step(params, memory, features)
        stepped.append(distribution.logits)
    np.testing.assert_allclose(policy.unroll(params, FEATURES).logits, jnp.stack(stepped), rtol=1e-4, atol=1e-5)


def test_a_history_is_a_linear_layer_of_all_states_padded_with_zeros():
    policy = POLICIES["history, one layer"]
    params = policy.init(jax.random.key(1), FEATURES[0])
    weights = np.asarray(params["places"]).reshape(T * F, 6)
    for t in range(T):
        padded = np.zeros((B, T, F))
        padded[:, : t + 1] = np.moveaxis(np.asarray(FEATURES[: t + 1]), 0, 1)
        hidden = np.tanh(padded.reshape(B, -1) @ weights + np.asarray(params["bias"]))
        logits = HEAD.distribution(params["rest"], jnp.asarray(hidden, jnp.float32)).logits
        np.testing.assert_allclose(policy.unroll(params, FEATURES).logits[t], logits, rtol=1e-4, atol=1e-5)


def test_only_a_history_sees_what_was():
    changed = FEATURES.at[0].add(1.0)
    for name, sees in (("markov", False), ("history", True)):
        policy = POLICIES[name]
        params = policy.init(jax.random.key(1), FEATURES[0])
        moved = (
            np.abs(policy.unroll(params, changed).logits - policy.unroll(params, FEATURES).logits).max((1, 2)) > 1e-6
        )
        np.testing.assert_array_equal(moved, [True] + [sees] * (T - 1))


def test_a_history_needs_a_layer():
    with pytest.raises(ValueError, match=r"hidden_sizes: got \(\)"):
        history_policy(HEAD, T, ())
