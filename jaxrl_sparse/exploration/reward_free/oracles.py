"""What to explore next: the policy, model and reward of which the value is most uncertain.

    argmax over pi, theta in U_k, r in R of Vhat_0(s_1; theta, pi, r)

is intractable in general, and the theory takes an oracle for it. Here are three that are not exact. All draw models
where rays from the estimates leave the confidence set, and rewards of the class R:

    enumerate   every deterministic policy, with all models and all rewards, of which the indicators of one step, state
                and action are some: exact up to these draws, for A^(S H) up to 10^5
    greedy      pairs of a model and a reward, each with the policy that maximises Vhat from the last step on
    gradient    softmax policies, models and rewards that Adam improves through Vhat, from several starts

and a control, `uniform`, that chooses nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.lax import Precision
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxrl_sparse.exploration.reward_free.confidence import ConfidenceSet, contains, exit_fraction
from jaxrl_sparse.exploration.reward_free.optimistic_values import (
    OptimisticValues,
    Uncertain,
    greedy_values,
    optimistic_values,
)
from jaxrl_sparse.exploration.reward_free.planning import random_rewards

MOST_POLICIES = 100_000


class Exploration(NamedTuple):
    """What the oracle looks at.

    Attributes:
      uncertain: what Vhat is made of.
      confidence: U_k.
      estimates: `[2, d]`, thetaHat and thetaTilde of the first moment.
      initial_state: s_1.
    """

    uncertain: Uncertain
    confidence: ConfidenceSet
    estimates: Float[Array, "2 d"]
    initial_state: Int[Array, ""]


class Choice(NamedTuple):
    """What is explored, or many candidates for it with a leading axis.

    Attributes:
      theta: `[d]`.
      rewards: `[H, S, A]`.
      values: Vhat, V and the policy.
      is_plausible: whether theta is in the confidence set; where no candidate is, the set may be empty, and the best of
        all is taken.
    """

    theta: Float[Array, "*n d"]
    rewards: Float[Array, "*n H S A"]
    values: OptimisticValues
    is_plausible: Bool[Array, "*n"]


Oracle = Callable[[PRNGKeyArray, Exploration], Choice]


def number_of_policies(horizon: int, num_states: int, num_actions: int) -> int:
    """`A^(S H)`, that "enumerate" goes through."""
    return num_actions ** (num_states * horizon)


def greedy_oracle(horizon: int, num_samples: int) -> Oracle:
    """The best of n pairs of a model and a reward, with a greedy policy for each.

    Args:
      horizon: H, static.
      num_samples: n, static.
    """

    def maximise(key: PRNGKeyArray, problem: Exploration) -> Choice:
        model_key, reward_key = jax.random.split(key)
        thetas = sample_models(model_key, problem, num_samples)
        rewards = _rewards(reward_key, problem, num_samples, horizon)
        values = jax.vmap(greedy_values, in_axes=(None, 0, 0))(problem.uncertain, thetas, rewards)
        return _best(problem, thetas, rewards, values)

    return maximise


def enumerating_oracle(horizon: int, num_samples: int) -> Oracle:
    """The best of all deterministic policies, n models, and `H S A` + n rewards.

    Args:
      horizon: H, static.
      num_samples: n, static.
    """

    def maximise(key: PRNGKeyArray, problem: Exploration) -> Choice:
        num_states, num_actions = problem.uncertain.features.shape[:2]
        shape = (horizon, num_states, num_actions)
        model_key, reward_key = jax.random.split(key)
        thetas = sample_models(model_key, problem, num_samples)
        drawn = _rewards(reward_key, problem, num_samples, horizon)
        indicators = jnp.eye(drawn[0].size, dtype=drawn.dtype).reshape(-1, *shape)
        rewards = jnp.concatenate([indicators, drawn])
        models, paid = jnp.repeat(thetas, len(rewards), axis=0), jnp.tile(rewards, (num_samples, 1, 1, 1))
        powers = num_actions ** jnp.arange(horizon * num_states)

        def best_of(number):
            actions = (number // powers % num_actions).reshape(horizon, num_states)
            policy = jax.nn.one_hot(actions, num_actions, dtype=paid.dtype)
            values = jax.vmap(optimistic_values, in_axes=(None, 0, 0, None))(problem.uncertain, models, paid, policy)
            return _best(problem, models, paid, values)

        numbers = jnp.arange(number_of_policies(*shape))

        def improve(best, number):
            found = best_of(number)
            pair = jax.tree.map(lambda *leaves: jnp.stack(leaves), best, found)
            return _best(problem, pair.theta, pair.rewards, pair.values), None

        return jax.lax.scan(improve, best_of(numbers[0]), numbers[1:])[0]

    return maximise


def gradient_oracle(horizon: int, num_samples: int, num_steps: int, learning_rate: float | Array) -> Oracle:
    """The best of n local maxima, by Adam.

        pi = softmax,   theta = estimate + beta R u with ||u|| <= 1, cut at U_k,   r_h = softmax(b)_h sigmoid(m)

    Args:
      horizon: H, static.
      num_samples: n, the starts, static.
      num_steps: of Adam, static.
      learning_rate: of Adam, in logits and in u.
    """
    optimizer = optax.adam(learning_rate)

    def maximise(key: PRNGKeyArray, problem: Exploration) -> Choice:
        features = problem.uncertain.features
        num_states, num_actions, _, dimension = features.shape
        keys = jax.random.split(key, 4)
        normal = lambda key, *shape: jax.random.normal(key, (num_samples, *shape), features.dtype)  # noqa: E731
        start = {
            "policy": normal(keys[0], horizon, num_states, num_actions),
            "model": normal(keys[1], dimension) / dimension**0.5,
            "budget": normal(keys[2], horizon),
            "payment": normal(keys[3], num_states, num_actions),
        }
        families = jnp.arange(num_samples) % 2

        def choose(parameters, family):
            u = parameters["model"]
            direction = _scaled(problem, family, u / jnp.maximum(1, optax.safe_norm(u, 1e-6)))
            fraction = exit_fraction(problem.confidence, problem.estimates[family], direction)
            theta = problem.estimates[family] + jax.lax.stop_gradient(fraction) * direction
            budget = jax.nn.softmax(parameters["budget"])
            rewards = budget[:, None, None] * jax.nn.sigmoid(parameters["payment"])
            policy = jax.nn.softmax(parameters["policy"])
            return theta, rewards, optimistic_values(problem.uncertain, theta, rewards, policy)

        def loss(parameters):
            _, _, values = jax.vmap(choose)(parameters, families)
            return -jnp.sum(values.uncertainty[:, 0, problem.initial_state])

        def improve(carry, _):
            parameters, moments = carry
            updates, moments = optimizer.update(jax.grad(loss)(parameters), moments)
            return (optax.apply_updates(parameters, updates), moments), None

        (parameters, _), _ = jax.lax.scan(improve, (start, optimizer.init(start)), length=num_steps)
        return _best(problem, *jax.vmap(choose)(parameters, families))

    return maximise


def uniform_oracle(horizon: int) -> Oracle:
    """The control: uniform actions, the estimate itself as the model, and a random reward.

    Args:
      horizon: H, static.
    """

    def maximise(key: PRNGKeyArray, problem: Exploration) -> Choice:
        # Of two rewards one is dense and one is sparse.
        reward_key, kind_key = jax.random.split(key)
        rewards = _rewards(reward_key, problem, 2, horizon)[jax.random.randint(kind_key, (), 0, 2)]
        policy = jnp.full_like(rewards, 1 / rewards.shape[-1])
        theta = problem.estimates[0]
        values = optimistic_values(problem.uncertain, theta, rewards, policy)
        return Choice(theta, rewards, values, contains(problem.confidence, theta))

    return maximise


def sample_models(key: PRNGKeyArray, problem: Exploration, num_samples: int) -> Float[Array, "n d"]:
    """Models of the confidence set: the two estimates, and points where rays from them leave it.

    The rays go towards points that are uniform on the boundary of the estimate's own ellipsoid, in its metric. An
    estimate that is not in the set sends out no rays.

    Args:
      key: for everything.
      problem: with the set.
      num_samples: n, static; at least 2 for both estimates to be among them.
    """
    numbers = jnp.arange(num_samples)
    u = jax.random.normal(key, (num_samples, problem.estimates.shape[-1]), problem.estimates.dtype)
    u = u / jnp.linalg.norm(u, axis=-1, keepdims=True) * (numbers >= 2)[:, None]

    def one(family, u):
        start, direction = problem.estimates[family], _scaled(problem, family, u)
        return start + exit_fraction(problem.confidence, start, direction) * direction

    return jax.vmap(one)(numbers % 2, u)


def _scaled(problem: Exploration, family: Int[Array, ""], u: Float[Array, "d"]) -> Float[Array, "d"]:
    """`beta R u`, of the norm `beta ||u||` in the metric of the family's Sigma."""
    roots = jnp.stack([problem.uncertain.hat_root, problem.uncertain.tilde_root])
    return problem.uncertain.beta * jnp.matmul(roots[family], u, precision=Precision.HIGHEST)


def _rewards(key: PRNGKeyArray, problem: Exploration, num_samples: int, horizon: int) -> Float[Array, "n H S A"]:
    features = problem.uncertain.features
    return random_rewards(key, num_samples, horizon, *features.shape[:2]).astype(features.dtype)


def _best(problem: Exploration, thetas: Array, rewards: Array, values: OptimisticValues) -> Choice:
    """The candidate of the largest Vhat among plausible ones; among equals that of the largest unclipped one."""
    is_plausible = jax.vmap(contains, in_axes=(None, 0))(problem.confidence, thetas)
    is_eligible = is_plausible | ~jnp.any(is_plausible)
    scores = jnp.where(is_eligible, values.uncertainty[:, 0, problem.initial_state], -jnp.inf)
    is_largest = scores >= jnp.max(scores)
    best = jnp.argmax(jnp.where(is_largest, values.unclipped[:, problem.initial_state], -jnp.inf))
    return jax.tree.map(lambda leaf: leaf[best], Choice(thetas, rewards, values, is_plausible))
