"""The network of a policy learner, made of an environment's spaces and a configuration."""

from typing import Any

from jaxrl_sparse.base import PyTree, config, require
from jaxrl_sparse.learners.torsos import render_of, torso_for
from jaxrl_sparse.networks.actor_critic import ActorCritic, feedforward_actor_critic, observing, recurrent_actor_critic
from jaxrl_sparse.networks.distributions import policy_head
from jaxrl_sparse.networks.feedforward import feedforward


@config
class PolicyNetworkConfig:
    """Configuration of `policy_network`.

    Attributes:
      hidden_sizes: of each tower where observations are flat; of the encoder before a memory.
      activation: of the hidden layers.
      image_features: of each tower where observations are images.
      memory_size: of the gated recurrent units; 0 for no memory.
      memory_layers: of them, one above the other.
      action_bound: how real actions are kept in their box, "tanh" or "clip", see `gaussian_head`.
      initial_log_std: the first log deviation of real actions, before the bound.
    """

    hidden_sizes: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    image_features: int = 512
    memory_size: int = 0
    memory_layers: int = 1
    action_bound: str = "tanh"
    initial_log_std: float = 0.0


def policy_network(config: PolicyNetworkConfig, environment: Any, params: PyTree, num_values: int = 1) -> ActorCritic:
    """Two towers, or an encoder and a memory, with the head that fits the environment's actions.

    Args:
      config: see `PolicyNetworkConfig`.
      environment: with flat observations or images `[H, W, C]`; or with `features(observations)`, what a network is to
        be shown of observations that are neither, see `GridWalk`.
      params: of the environment.
      num_values: K, one for each stream of rewards.

    Raises:
      ValueError: naming the field that is out of range, or if the spaces do not fit.
    """
    require("memory_size", config.memory_size, lambda size: size >= 0, "a width, or 0 for no memory")
    head = policy_head(environment.action_space(params), config.action_bound, config.initial_log_std)
    view = getattr(environment, "features", None)
    if view is None:
        torso = torso_for(
            environment.observation_space(params),
            config.hidden_sizes,
            config.image_features,
            render_of(environment),
            config.activation,
        )
    else:
        torso = feedforward(config.hidden_sizes, activation=config.activation)
    if config.memory_size == 0:
        network = feedforward_actor_critic(torso, torso, head, num_values)
    else:
        network = recurrent_actor_critic(torso, head, num_values, config.memory_size, config.memory_layers)
    return network if view is None else observing(network, view)
