import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxrl_sparse.environments import spaces
from jaxrl_sparse.networks.distributions import categorical_head, categorical_of, gaussian_head, policy_head

FEATURES = jnp.array([[1.0, -2.0], [0.5, 0.25]])
BOX = spaces.native(spaces.Box(jnp.array([-1.0, 0.0]), jnp.array([3.0, 1.0]), (2,)))


def test_categorical_probabilities_are_the_softmax():
    head = categorical_head(3, final_scale=1.0)
    params = head.init(jax.random.key(0), FEATURES)
    logits = np.asarray(FEATURES @ params["params"]["kernel"])
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    distribution = head.distribution(params, FEATURES)
    np.testing.assert_allclose(
        distribution.log_prob(jnp.array([2, 0])), np.log(probabilities[[0, 1], [2, 0]]), rtol=1e-5
    )
    np.testing.assert_allclose(distribution.entropy(), -(probabilities * np.log(probabilities)).sum(-1), rtol=1e-5)
    np.testing.assert_array_equal(head.to_action(distribution.mode()), probabilities.argmax(-1))


def test_draws_and_entropies_are_distrax_own():
    import distrax

    logits = jnp.array([[0.1, -2.0, 1.0], [3.0, -jnp.inf, 0.0]])
    ours, theirs = categorical_of(logits), distrax.Categorical(logits=logits)
    drawn, expected = (law.sample(seed=jax.random.key(3), sample_shape=(50,)) for law in (ours, theirs))
    np.testing.assert_array_equal(drawn, expected)
    entropy, gradient = jax.vjp(lambda logits: categorical_of(logits).entropy(), logits)
    np.testing.assert_allclose(entropy, theirs.entropy(), rtol=1e-5)
    assert np.isfinite(gradient(jnp.ones(2))[0][0]).all()


def test_gaussians_are_scipys_before_the_bound_and_in_the_box_after_it():
    head = gaussian_head(BOX, initial_log_std=-0.5, final_scale=1.0)
    params = head.init(jax.random.key(0), FEATURES)
    means = np.asarray(FEATURES @ params["mean"]["params"]["kernel"])
    distribution = head.distribution(params, FEATURES)
    raw = jnp.array([[0.3, -0.2], [40.0, -40.0]])
    expected = stats.norm(means, np.exp(-0.5)).logpdf(np.asarray(raw)).sum(-1)
    np.testing.assert_allclose(distribution.log_prob(raw), expected, rtol=1e-4)
    np.testing.assert_allclose(distribution.entropy(), 2 * stats.norm(0, np.exp(-0.5)).entropy(), rtol=1e-5)
    np.testing.assert_allclose(head.to_action(raw)[0], [1 + 2 * np.tanh(0.3), 0.5 + 0.5 * np.tanh(-0.2)], rtol=1e-5)
    # At the bound itself the action is the bound, and its probability and gradient are numbers.
    np.testing.assert_array_equal(head.to_action(raw)[1], [3, 0])
    gradient = jax.grad(lambda params: head.distribution(params, FEATURES).log_prob(raw).sum())(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_clipped_actions_are_linear_inside_and_at_the_ends_outside():
    head = gaussian_head(BOX, bound="clip")
    np.testing.assert_allclose(head.to_action(jnp.array([[0.5, -7.0]])), [[2.0, 0.0]])


def test_the_head_fits_the_space():
    discrete = policy_head(spaces.native(spaces.Discrete(4)))
    assert discrete.distribution(discrete.init(jax.random.key(0), FEATURES), FEATURES).num_categories == 4
    scalar = policy_head(spaces.native(spaces.Box(-2.0, 2.0, ())))
    drawn = scalar.distribution(scalar.init(jax.random.key(0), FEATURES), FEATURES).sample(seed=jax.random.key(1))
    assert scalar.to_action(drawn).shape == (2,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussian_head(spaces.native(spaces.Discrete(2))), "action_space: .* use categorical_head"),
        (lambda: gaussian_head(spaces.native(spaces.Box(-jnp.inf, 1.0, (2,)))), "action_space: .* finite bounds"),
        (lambda: gaussian_head(spaces.native(spaces.Box(0.0, 1.0, (2, 2)))), "action_space: .* one axis or none"),
        (lambda: gaussian_head(BOX, bound="fold"), "bound: got 'fold'"),
        (lambda: categorical_head(0), "num_actions: got 0"),
        (lambda: policy_head(object()), "action_space: .* discrete actions, or a box"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
