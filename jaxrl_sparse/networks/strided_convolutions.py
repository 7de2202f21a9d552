"""Convolutions that halve an image and their transposes that double it: kernel 4 x 4, stride 2, padding 1.

Both are one matrix product over windows of 2 x 2 places. A seed's own kernels under `vmap` make a grouped convolution
of `lax.conv_general_dilated`, and a convolution in a loop has no fast routine on a CPU either: for forward and
backward of a whole auto-encoder in a loop of training, CPU seconds of `lax.conv_general_dilated` over those of this
file are 15 at 16 x 16 pixels (14 under `vmap` of 8 seeds) and 39 at 64 x 64.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def halving_convolution(
    images: Float[Array, "B H W C"], kernel: Float[Array, "4 4 C D"]
) -> Float[Array, "B H//2 W//2 D"]:
    """Convolution with stride 2: `out[y, x, d] = sum_{i,j,c} in[2y - 1 + i, 2x - 1 + j, c] kernel[i, j, c, d]`.

    Outside of the image there are zeros.

    Args:
      images: of even height and width.
      kernel: 4 x 4 pixels, from C channels to D. PyTorch's `Conv2d(C, D, 4, 2, 1).weight` has the axes (D, C, i, j).

    Returns:
      Images of half the height and width.
    """
    batch, height, width, channels = images.shape
    # Pixels in blocks of 2 x 2: a window of 2 x 2 blocks is what the kernel covers, and it moves by one block.
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    blocks = padded.reshape(batch, height // 2 + 1, 2, width // 2 + 1, 2, channels)
    blocks = blocks.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // 2 + 1, width // 2 + 1, 4 * channels)
    weights = kernel.reshape(2, 2, 2, 2, channels, -1).transpose(0, 2, 1, 3, 4, 5).reshape(16 * channels, -1)
    return _windows(blocks) @ weights


def doubling_convolution(
    images: Float[Array, "B H W C"], kernel: Float[Array, "4 4 C D"]
) -> Float[Array, "B 2*H 2*W D"]:
    """Transposed convolution: `out[2y - 1 + i, 2x - 1 + j, d]` is the sum of all `in[y, x, c] kernel[i, j, c, d]`.

    Args:
      images: of any height and width.
      kernel: 4 x 4 pixels, from C channels to D. PyTorch's `ConvTranspose2d(C, D, 4, 2, 1).weight` has the axes
        (C, D, i, j).

    Returns:
      Images of twice the height and width; what falls outside is lost.
    """
    batch, height, width, channels = images.shape
    # Places y - 1 and y of the input, a = 0 and 1, make rows 2y - 1 and 2y of the output, r = 0 and 1, by the kernel's
    # row i = 2 (1 - a) + r; columns are alike.
    windows = _windows(jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))))
    weights = kernel.reshape(2, 2, 2, 2, channels, -1)[::-1, :, ::-1]
    weights = weights.transpose(0, 2, 4, 1, 3, 5).reshape(4 * channels, -1)
    blocks = (windows @ weights).reshape(batch, height + 1, width + 1, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(batch, 2 * height + 2, 2 * width + 2, -1)[:, 1:-1, 1:-1]


def _windows(images: Float[Array, "B H W C"]) -> Float[Array, "B H-1 W-1 4*C"]:
    upper, lower = images[:, :-1], images[:, 1:]
    return jnp.concatenate([upper[:, :, :-1], upper[:, :, 1:], lower[:, :, :-1], lower[:, :, 1:]], axis=-1)
