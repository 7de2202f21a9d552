import jax
import jax.numpy as jnp
import numpy as np
from compilation import QUICK_TO_COMPILE

from jaxrl_sparse.base import Trajectory
from jaxrl_sparse.learners.experience import Experience
from jaxrl_sparse.learners.policy_gradient import policy_gradient_loss
from jaxrl_sparse.learners.ppo import ppo_loss
from jaxrl_sparse.networks.actor_critic import ActorCritic

GAMMA, DECAY, LENGTH = 0.8, 0.5, 4
PROBABILITIES = np.array([0.5, 0.3, 0.2])
ACTIONS, VALUES, REWARDS = np.array([0, 2, 1, 0]), np.array([1.0, -1.0, 2.0, 0.5]), np.array([1.0, 0.0, -2.0, 3.0])
LAST = 4.0


def unroll(params, memory, observations, dones):
    import distrax

    logits = jnp.broadcast_to(params["logits"], (*dones.shape, 3))
    return distrax.Categorical(logits=logits), jnp.broadcast_to(params["value"], (*dones.shape, 1))


NETWORK = ActorCritic(None, None, None, unroll, None, None)  # pyright: ignore[reportArgumentType]
PARAMS = {"logits": jnp.log(PROBABILITIES), "value": jnp.float32(0.25)}


def experience():
    """Four steps of one environment; the task ends after the second."""
    shape = (LENGTH, 1)
    extras = {
        "raw_actions": jnp.array(ACTIONS).reshape(shape),
        "log_probs": jnp.log(jnp.array(PROBABILITIES[ACTIONS])).reshape(shape),
        "values": jnp.array(VALUES).reshape(*shape, 1),
    }
    ended = jnp.array([False, True, False, False]).reshape(shape)
    nowhere = jnp.zeros(shape)
    trajectory = Trajectory(nowhere, nowhere, nowhere, ended, jnp.zeros(shape, bool), nowhere, extras)
    return Experience((), trajectory, jnp.array([[LAST]]), jnp.zeros((*shape, 1)))


def traces():
    """`D[t, l] = d A_t / d r_l`: (gamma lambda)^(l - t) while the episode is the same, else 0."""
    later = np.arange(LENGTH)[None, :] - np.arange(LENGTH)[:, None]
    same = (np.arange(LENGTH) < 2)[None, :] == (np.arange(LENGTH) < 2)[:, None]
    return np.where((later >= 0) & same, (GAMMA * DECAY) ** np.maximum(later, 0), 0.0)


def test_the_loss_and_its_gradient_in_the_rewards_by_hand():
    following = np.array([VALUES[1], 0.0, VALUES[3], LAST])
    advantages = traces() @ (REWARDS + GAMMA * following - VALUES)
    targets, log_probs = advantages + VALUES, np.log(PROBABILITIES[ACTIONS])

    def loss_of(rewards):
        options = {"network": NETWORK, "trace_decay": DECAY, "value_coefficient": 2.0}
        return policy_gradient_loss(PARAMS, experience(), rewards, GAMMA, **options)[0]

    loss, gradient = jax.jit(jax.value_and_grad(loss_of), compiler_options=QUICK_TO_COMPILE)(REWARDS[:, None])
    value_loss = np.mean((0.25 - targets) ** 2) / 2
    np.testing.assert_allclose(loss, -np.mean(advantages * log_probs) + 2 * value_loss, rtol=1e-5)
    by_hand = traces().T @ (-log_probs + 2 * (targets - 0.25)) / LENGTH
    np.testing.assert_allclose(gradient[:, 0], by_hand, rtol=1e-5)


def test_ratios_of_one_have_the_gradient_of_the_policy():
    """Where the policy is still the one that acted, PPO's gradient is the policy gradient, in all that is swept."""

    def gradient(loss, **options):
        options |= {"network": NETWORK, "trace_decay": DECAY, "value_coefficient": 2.0, "entropy_coefficient": 0.1}

        def loss_of(params):
            return loss(params, experience(), jnp.array(REWARDS)[:, None], GAMMA, **options)[0]

        return jax.jit(jax.grad(loss_of), compiler_options=QUICK_TO_COMPILE)(PARAMS)

    expected, found = gradient(policy_gradient_loss), gradient(ppo_loss, normalize_advantages=False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), expected, found)
