"""Sets of small integers as bits, 32 to a word: an eighth of the memory of a mask, united and compared word by word."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt32

WORD = 32


def num_words(size: int) -> int:
    """Words that hold the bits of the integers below `size`."""
    return -(-size // WORD)


def pack(mask: Bool[Array, "*batch M"]) -> UInt32[Array, "*batch W"]:
    """A mask's bits: bit `m % 32` of word `m // 32` is element m.

    Args:
      mask: `[..., M]`.

    Returns:
      `[..., W]` with W the least number of words that hold M bits; those beyond M are 0.
    """
    size = mask.shape[-1]
    padding = [(0, 0)] * (mask.ndim - 1) + [(0, num_words(size) * WORD - size)]
    bits = jnp.pad(mask, padding).reshape(*mask.shape[:-1], num_words(size), WORD)
    return jnp.sum(bits.astype(jnp.uint32) << jnp.arange(WORD, dtype=jnp.uint32), axis=-1, dtype=jnp.uint32)


def contains(words: UInt32[Array, "W"], elements: Int[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """Whether each element is in the set; of a negative one the answer means nothing.

    Args:
      words: `[W]`, from `pack`.
      elements: of any shape, below 32 W.
    """
    shifts = (elements % WORD).astype(jnp.uint32)
    return (words[elements // WORD] >> shifts) & 1 == 1


def cardinality(words: UInt32[Array, "*shape"]) -> Int[Array, ""]:
    """The number of elements of a set, or of several disjoint ones together."""
    return jnp.sum(jax.lax.population_count(words), dtype=jnp.int32)
