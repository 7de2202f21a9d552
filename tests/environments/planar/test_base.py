import jax.numpy as jnp
import pytest

from jaxrl_sparse.environments.planar.base import PlanarEnvironment, RewardArea, proximity_reward

AREAS = (RewardArea((0.0, 0.0), radius=2.0), RewardArea((3.0, 0.0), radius=4.0))


@pytest.mark.parametrize(
    ("position", "reward", "area"),
    [
        ((0.0, 0.0), 1.0, 0),
        ((0.0, -1.0), 0.5, 0),
        # In both discs, (2 - 1.5) / 2 against (4 - 1.5) / 4.
        ((1.5, 0.0), 0.625, 1),
        ((7.0, 0.0), 0.0, -1),
        ((0.0, 2.7), 0.0, -1),
    ],
)
def test_proximity_reward_by_hand(position, reward, area):
    got_reward, got_area = proximity_reward(jnp.array(position), AREAS)
    assert got_reward == pytest.approx(reward, abs=1e-6) and got_area == area


def test_an_environment_that_lacks_a_method_is_refused():
    class Blank(PlanarEnvironment):
        default_params = None

    with pytest.raises(TypeError, match=r"abstract methods? .*descriptor.*render.*reset_env.*step_env"):
        Blank()
