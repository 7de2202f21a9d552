"""State-marginal matching: going where the target density is larger than that of everywhere one has been.

    min over policies of KL(d || p*),   by the reward  r(s) = log p*(s) - log q(s)

with q the density of *all* past policies' states: two players of a game, of which only the historical averages
converge. With a uniform target it is maximum-entropy exploration.

Source: Lee et al., "Efficient Exploration via State Marginal Matching" (2019).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxrl_sparse.base import Algorithm, Metrics, PyTree, RewardTransformation, Trajectory, config, require
from jaxrl_sparse.exploration.densities import DensityModel
from jaxrl_sparse.exploration.max_entropy import entropy
from jaxrl_sparse.exploration.policy_mixtures import MixtureConfig, conditional_gradient
from jaxrl_sparse.finite.episodic import EpisodicMDP
from jaxrl_sparse.finite.mdp import FiniteMDP, require_distributions


@config
class SMMConfig(MixtureConfig):
    """Configuration of `smm`.

    Attributes:
      sigma: added to the probabilities of states in the reward, above 0: it stays finite where nobody has been, and
        what is matched is wrong by as much.
    """

    sigma: float = 1e-6


def smm(config: SMMConfig, mdp: FiniteMDP | EpisodicMDP, target: Float[Array, "S"] | None = None) -> Algorithm:
    """Fictitious play on a known process: best responses to `log p* - log q`, and q is the average of all of them.

    One update is one policy more, in a mixture where all weigh the same: `1 / (t + 2)` is the step size of Frank-Wolfe
    on `-KL(d || p*)`. See `conditional_gradient` for its metrics; its own are of the exact distributions, in nats:
    `kl`, KL(d || p*) of the historical average, `last_kl` of the last policy alone, `entropy` of the average. Its `gap`
    bounds how far `kl` is from the least that any policy has, where `sigma` is small and nothing is estimated.

    Args:
      config: see `SMMConfig`.
      mdp: with its discount below 1, or episodic.
      target: p*, `[S]`, all above 0; uniform where None.

    Raises:
      ValueError: naming the field that is out of range, or if the target is no distribution of the states.

    Source: Lee et al. (2019), algorithm 1.
    """
    require("sigma", config.sigma, lambda number: number > 0, "a number above 0")
    if target is None:
        target = jnp.full(mdp.num_states, 1 / mdp.num_states, mdp.initial.dtype)
    goal = target
    require("target", goal.shape, lambda shape: shape == (mdp.num_states,), f"the shape ({mdp.num_states},)")
    require("target", goal, lambda p: bool(jnp.all(p > 0)), "probabilities above 0")
    require_distributions("target", goal)

    def gradient(distribution: Float[Array, "S"]) -> Float[Array, "S"]:
        return jnp.log(goal) - jnp.log(distribution + config.sigma)

    def measure(distribution: Float[Array, "S"], last: Float[Array, "S"]) -> Metrics:
        return {
            "kl": divergence(distribution, goal),
            "last_kl": divergence(last, goal),
            "entropy": entropy(distribution),
        }

    return conditional_gradient(config, mdp, gradient, lambda step: jnp.asarray(1 / (step + 2)), measure)


def divergence(distribution: Float[Array, "*batch S"], target: Float[Array, "S"]) -> Float[Array, "*batch"]:
    """`KL(d || p*) = sum over s of d(s) log(d(s) / p*(s))`, in nats.

    Args:
      distribution: d.
      target: p*, above 0.
    """
    return -entropy(distribution) - jnp.sum(distribution * jnp.log(target), axis=-1)


def smm_reward(
    density: DensityModel,
    target: Callable[[PyTree], Array] | None = None,
    view: Callable[[PyTree], PyTree] | None = None,
) -> RewardTransformation:
    """`r_t = log p*(s_{t+1}) - log q(s_{t+1})`, and nothing else.

    q learns the whole trajectory first, and labels it then. The state is that of what followed the step *before* any
    reset. `relabel` labels by what q is now, and learns nothing: `update` returns what its state relabels.

    Args:
      density: q, such as `histogram` or `gaussian_mixture`.
      target: `log p*` of states `[N, ...]`, such as `cell_density` or `box_density`; the uniform density of all that q
        covers where None.
      view: from observations to the states that are to be matched, `[..., D]`; all by default.

    Source: Lee et al. (2019), section 3.
    """
    seen = _seen(view)

    def init(key: PRNGKeyArray, spec: Trajectory) -> PyTree:
        return density.init(key, _one(seen, spec))

    def update(trajectory: Trajectory, state: PyTree) -> tuple[Float[Array, "T B"], PyTree]:
        points = _rows(seen(trajectory.next_observations))
        state = density.update(points, jnp.ones(trajectory.rewards.size, bool), state)
        return relabel(trajectory, state), state

    def relabel(trajectory: Trajectory, state: PyTree) -> Float[Array, "T B"]:
        points = _rows(seen(trajectory.next_observations))
        rewards = _target(density, target, points) - density.log_prob(points, state)
        return rewards.reshape(trajectory.rewards.shape)

    return RewardTransformation(init, update, relabel)


def skill_rewards(
    density: DensityModel,
    num_skills: int,
    split: Callable[[PyTree], tuple[PyTree, Array]],
    target: Callable[[PyTree], Array] | None = None,
    skill_coefficient: float | Array = 1.0,
) -> RewardTransformation:
    """Matching by Z skills, each with a density of its own, that are to be told from where they are:

        r_z(s) = log p*(s) - log q_z(s) + c (log p(z | s) - log p(z)),   p(z | s) = q_z(s) / sum over y of q_y(s)

    with `p(z) = 1 / Z`, as episodes draw their skill. Over all skills the means are `H(s | z)` and, times c, the mutual
    information `I(s; z)`, which together are the entropy of the mixture. p(z | s) is Bayes' rule of the same densities,
    so that with c = 1 every skill's reward is `log p*(s) - log mean_z q_z(s)`, that of the mixture, exactly; a larger c
    drives the skills apart. Each q learns its steps of the whole trajectory before it labels them, as in `smm_reward`.

    Args:
      density: q, one for each skill.
      num_skills: Z, at least 2.
      split: from observations `[..., *observation]` to states and skills, `(states, [...] int32)`, such as
        `split_skill(Z)`.
      target: see `smm_reward`.
      skill_coefficient: c, at least 0.

    Raises:
      ValueError: if a number is out of range.

    Source: Lee et al. (2019), section 4 (SM4); their discriminator p(z | s) is a network apart, and their published
    code has coefficients.
    """
    require("num_skills", num_skills, lambda z: z >= 2, "an integer of at least 2")
    require("skill_coefficient", skill_coefficient, lambda c: c >= 0, "a number of at least 0")

    def init(key: PRNGKeyArray, spec: Trajectory) -> PyTree:
        like = _one(lambda observations: split(observations)[0], spec)
        return jax.vmap(lambda key: density.init(key, like))(jax.random.split(key, num_skills))

    def steps_of(trajectory: Trajectory) -> tuple[PyTree, Int[Array, "N"]]:
        points, skills = split(trajectory.next_observations)
        return _rows(points), skills.reshape(-1)

    def update(trajectory: Trajectory, state: PyTree) -> tuple[Float[Array, "T B"], PyTree]:
        points, skills = steps_of(trajectory)
        counted = skills == jnp.arange(num_skills, dtype=jnp.int32)[:, None]
        state = jax.vmap(density.update, in_axes=(None, 0, 0))(points, counted, state)
        return relabel(trajectory, state), state

    def relabel(trajectory: Trajectory, state: PyTree) -> Float[Array, "T B"]:
        points, skills = steps_of(trajectory)
        log_probs = jax.vmap(density.log_prob, in_axes=(None, 0))(points, state)
        log_density = jnp.take_along_axis(log_probs, skills[None], axis=0)[0]
        log_posterior = log_density - jax.nn.logsumexp(log_probs, axis=0)
        information = log_posterior + jnp.log(jnp.float32(num_skills))
        rewards = _target(density, target, points) - log_density + skill_coefficient * information
        return rewards.reshape(trajectory.rewards.shape)

    return RewardTransformation(init, update, relabel)


def fitted_divergence(
    key: PRNGKeyArray,
    trajectory: Trajectory,
    density: DensityModel,
    target: Callable[[PyTree], Array] | None = None,
    view: Callable[[PyTree], PyTree] | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How well a trajectory matches, by a density that starts anew and learns its states, q:

        mean of log q - log p*,   -mean of log q

    estimates of the divergence `KL(d || p*)` and of the entropy, in nats.

    Args:
      key: of the density.
      trajectory: what followed its steps is what counts.
      density: see `smm_reward`, as the two others.
      target: `log p*`.
      view: from observations to states.
    """
    seen = _seen(view)
    points = _rows(seen(trajectory.next_observations))
    known = density.init(key, _one(seen, trajectory))
    known = density.update(points, jnp.ones(trajectory.rewards.size, bool), known)
    log_probs = density.log_prob(points, known)
    return jnp.mean(log_probs - _target(density, target, points)), -jnp.mean(log_probs)


def _target(density: DensityModel, target: Callable[[PyTree], Array] | None, points: PyTree) -> Array:
    return jnp.float32(density.log_uniform) if target is None else target(points)


def _seen(view: Callable[[PyTree], PyTree] | None) -> Callable[[PyTree], PyTree]:
    return (lambda observations: observations) if view is None else view


def _one(seen: Callable[[PyTree], PyTree], spec: Trajectory) -> PyTree:
    """One state's shapes and dtypes."""
    shapes = jax.eval_shape(seen, spec.next_observations)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[2:], leaf.dtype), shapes)


def _rows(points: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), points)
