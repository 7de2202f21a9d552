"""Variation of real-valued genomes: from parents to offspring, clipped to a box."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def gaussian_mutation(
    key: PRNGKeyArray,
    parents: Float[Array, "B P"],
    sigma: float | Float[Array, ""],
    lower: float | Float[Array, ""],
    upper: float | Float[Array, ""],
) -> Float[Array, "B P"]:
    """Isotropic noise on every gene: `clip(x + sigma N(0, I), lower, upper)`.

    Args:
      key: for one draw.
      parents: genomes, one for each offspring.
      sigma: standard deviation, in the genes' unit, at least 0.
      lower: smallest value of a gene.
      upper: largest value of a gene.

    Returns:
      Offspring i of parent i.
    """
    noise = jax.random.normal(key, parents.shape, parents.dtype)
    return jnp.clip(parents + sigma * noise, lower, upper)


def iso_line_variation(
    key: PRNGKeyArray,
    parents: Float[Array, "B P"],
    others: Float[Array, "B P"],
    iso_sigma: float | Float[Array, ""],
    line_sigma: float | Float[Array, ""],
    lower: float | Float[Array, ""],
    upper: float | Float[Array, ""],
) -> Float[Array, "B P"]:
    """Isotropic noise, and noise along the line to another parent: `clip(x + s1 N(0, I) + s2 N(0, 1) (y - x))`.

    Args:
      key: for two draws.
      parents: genomes x, one for each offspring.
      others: genomes y.
      iso_sigma: s1, in the genes' unit, at least 0.
      line_sigma: s2, a share of the distance between the parents, at least 0.
      lower: smallest value of a gene.
      upper: largest value of a gene.

    Returns:
      Offspring i of parents i.

    Source: Vassiliades and Mouret, "Discovering the Elite Hypervolume by Leveraging Interspecies Correlation" (2018).
    """
    iso_key, line_key = jax.random.split(key)
    iso_noise = jax.random.normal(iso_key, parents.shape, parents.dtype)
    line_noise = jax.random.normal(line_key, (parents.shape[0], 1), parents.dtype)
    offspring = parents + iso_sigma * iso_noise + line_sigma * line_noise * (others - parents)
    return jnp.clip(offspring, lower, upper)
