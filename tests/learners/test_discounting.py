import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.environments import make
from jaxrl_sparse.environments.risk import TargetGrid3
from jaxrl_sparse.environments.rollouts import run_episodes
from jaxrl_sparse.environments.tabular import TabularEnvironment
from jaxrl_sparse.finite.mdp import finite_mdp
from jaxrl_sparse.learners.discounting import discount_of, discounted_sum


def test_a_given_discount_is_taken_and_else_the_one_of_the_environment():
    grid = TargetGrid3(discount=0.9)
    params = grid.default_params
    assert discount_of(0.3, grid, params) == 0.3
    assert float(discount_of(None, grid, params)) == np.float32(0.9)
    # The process of the parameters is the one that is stepped.
    swept = params.replace(mdp=params.mdp._replace(discount=jnp.float32(0.7)))
    assert float(discount_of(None, grid, swept)) == np.float32(0.7)
    pong, cart_pole = make("pong-score"), make("gymnax/CartPole-v1")
    assert discount_of(None, pong, pong.default_params) == 0.997
    assert discount_of(None, cart_pole, cart_pole.default_params) == 0.99


@pytest.mark.parametrize("given", [-0.1, 1.1])
def test_refuses_what_is_no_discount(given):
    grid = TargetGrid3()
    with pytest.raises(ValueError, match=rf"discount: got {given}, takes a number in \[0, 1\], or None"):
        discount_of(given, grid, grid.default_params)


def test_sums_of_episodes_are_discounted_step_by_step():
    # A chain of three states that pay 1, 2 and 4 for moving on; the third time ends it.
    successors = np.array([1, 2, 3, 3])[:, None, None]
    mdp = finite_mdp(
        np.ones((4, 1, 1)),
        np.array([[1.0], [2.0], [4.0], [8.0]]),
        1.0,
        terminal=np.arange(4) == 3,
        successors=successors,
    )
    environment = TabularEnvironment(mdp, 10)

    def run(key):
        return run_episodes(
            environment,
            lambda _, observations: jnp.zeros(observations.shape[0], jnp.int32),
            None,
            key,
            environment.default_params,
            10,
            2,
            discounted_sum(0.5),
            jnp.zeros(2),
        )

    episodes = jax.jit(run, compiler_options=QUICK_TO_COMPILE)(jax.random.key(0))
    np.testing.assert_allclose(episodes.accumulated, [1 + 2 / 2 + 4 / 4] * 2)
