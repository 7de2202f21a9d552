import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments.grids import GridWalk
from jaxrl_sparse.environments.grids.grid_walk import GridObservation
from jaxrl_sparse.learners.on_policy import OnPolicyConfig
from jaxrl_sparse.learners.policy_gradient import PolicyGradientConfig, policy_gradient
from jaxrl_sparse.learners.policy_networks import PolicyNetworkConfig, policy_network

WALK = GridWalk(np.ones((3, 4), bool), start=0, horizon=5, shown="position_and_time")


@pytest.mark.parametrize("memory_size", [0, 3])
def test_an_environment_says_what_a_network_is_shown_of_its_observations(memory_size):
    """A cell is no number: the network sees the walk's features, in every one of its functions."""
    network = policy_network(PolicyNetworkConfig(hidden_sizes=(4,), memory_size=memory_size), WALK, WALK.default_params)
    observations = GridObservation(jnp.array([[0, 7]]), jnp.array([[0, 3]]))
    first = jax.tree.map(lambda leaf: leaf[0], observations)

    def run(key):
        params, memory = network.init(key, first), network.start(2)
        _, values, _ = network.step(params, memory, first)
        _, unrolled = network.unroll(params, memory, observations, jnp.zeros((1, 2), bool))
        return params, values, unrolled[0]

    params, values, unrolled = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    assert any(leaf.ndim == 2 and leaf.shape[0] == WALK.num_features for leaf in jax.tree.leaves(params))
    np.testing.assert_allclose(unrolled, values, rtol=1e-5)
    assert values[0, 0] != values[1, 0]


def test_refuses_to_normalise_what_is_no_number():
    config = PolicyGradientConfig(learner=OnPolicyConfig(normalize_observations=True))
    with pytest.raises(ValueError, match="normalize_observations: got True, takes False"):
        policy_gradient(config, WALK, WALK.default_params)
