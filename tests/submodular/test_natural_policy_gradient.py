import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.submodular.natural_policy_gradient import fisher_product, natural_gradient, trust_region_step

S, A, N = 3, 4, 200
LOGITS = jax.random.normal(jax.random.key(0), (S, A))
STATES = jax.random.randint(jax.random.key(1), (N,), 0, S)
ACTIONS = jax.random.categorical(jax.random.key(2), LOGITS[STATES])
GRADIENT = jax.random.normal(jax.random.key(3), (S, A))
GRADIENT = GRADIENT - GRADIENT.mean(axis=1, keepdims=True)


def log_probs(logits):
    return jax.nn.log_softmax(logits)[STATES, ACTIONS]


def explicit(damping):
    scores = np.asarray(jax.jacobian(log_probs)(LOGITS)).reshape(N, -1).astype(np.float64)
    return scores.T @ scores / N + damping * np.eye(S * A)


def test_it_is_the_solution_with_the_matrix_written_out():
    vector = jax.random.normal(jax.random.key(4), (S, A))
    product = fisher_product(log_probs, LOGITS, vector)
    np.testing.assert_allclose(
        product.reshape(-1), explicit(0.0) @ np.asarray(vector).reshape(-1), rtol=1e-4, atol=1e-6
    )
    found = natural_gradient(GRADIENT, log_probs, LOGITS, num_iterations=30, damping=1e-2)
    expected = np.linalg.solve(explicit(1e-2), np.asarray(GRADIENT).reshape(-1))
    np.testing.assert_allclose(np.reshape(found, -1), expected, rtol=1e-3, atol=1e-3)


def test_it_does_not_depend_on_the_parameters_of_the_policy():
    """theta = M phi: the direction in theta is the same, while an ordinary gradient's is not."""
    matrix = jnp.eye(S * A) + 0.3 * jax.random.normal(jax.random.key(5), (S * A, S * A))

    def logits_of(phi):
        return (matrix @ phi).reshape(S, A)

    phi = jnp.linalg.solve(matrix, LOGITS.reshape(-1))
    # A gradient of theta pulled back to phi. Without damping, which is no part of the geometry; G is singular along
    # shifts of all logits of a state, and conjugate gradients stay out of there.
    pulled = matrix.T @ GRADIENT.reshape(-1)
    in_theta = natural_gradient(GRADIENT, log_probs, LOGITS, num_iterations=40, damping=1e-5)
    in_phi = natural_gradient(pulled, lambda phi: log_probs(logits_of(phi)), phi, num_iterations=60, damping=1e-5)
    moved = jax.nn.log_softmax(LOGITS + 1e-3 * in_theta) - jax.nn.log_softmax(LOGITS)
    moved_by_phi = jax.nn.log_softmax(logits_of(phi + 1e-3 * in_phi)) - jax.nn.log_softmax(LOGITS)
    scale = np.abs(moved).max()
    np.testing.assert_allclose(moved_by_phi, moved, atol=0.05 * scale)
    plain = jax.nn.log_softmax(logits_of(phi + 1e-3 * pulled)) - jax.nn.log_softmax(LOGITS)
    assert np.abs(plain / np.abs(plain).max() - moved / scale).max() > 0.2


def test_a_step_moves_the_policy_by_the_divergence():
    direction = natural_gradient(GRADIENT, log_probs, LOGITS, num_iterations=30, damping=1e-2)
    length = trust_region_step(direction, log_probs, LOGITS, 1e-3)
    before, after = (jax.nn.log_softmax(logits)[STATES] for logits in (LOGITS, LOGITS + length * direction))
    divergence = jnp.mean(jnp.sum(jnp.exp(before) * (before - after), axis=-1))
    # Of drawn actions, and to second order.
    np.testing.assert_allclose(divergence, 1e-3, rtol=0.35)
    assert float(trust_region_step(jnp.zeros((S, A)), log_probs, LOGITS, 1e-3)) == 0.0


def test_refusals():
    with pytest.raises(ValueError, match=r"num_iterations: got 0"):
        natural_gradient(GRADIENT, log_probs, LOGITS, 0)
    with pytest.raises(ValueError, match=r"damping: got -1\.0"):
        natural_gradient(GRADIENT, log_probs, LOGITS, damping=-1.0)
