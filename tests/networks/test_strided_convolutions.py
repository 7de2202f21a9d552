import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.networks.strided_convolutions import doubling_convolution, halving_convolution

RNG = np.random.default_rng(0)
# Two members of a batch with a kernel each; sides differ, so that a swap of axes shows.
IMAGES = RNG.normal(size=(2, 3, 6, 8, 3)).astype(np.float32)
SMALL_IMAGES = RNG.normal(size=(2, 3, 3, 4, 5)).astype(np.float32)
KERNELS = RNG.normal(size=(2, 4, 4, 3, 5)).astype(np.float32)


def loop_halving(images, kernel):
    number, height, width, _ = images.shape
    result = np.zeros((number, height // 2, width // 2, kernel.shape[-1]))
    for y, x, i, j in np.ndindex(height // 2, width // 2, 4, 4):
        row, column = 2 * y - 1 + i, 2 * x - 1 + j
        if 0 <= row < height and 0 <= column < width:
            result[:, y, x] += images[:, row, column].astype(np.float64) @ kernel[i, j]
    return result


def loop_doubling(images, kernel):
    number, height, width, _ = images.shape
    result = np.zeros((number, 2 * height, 2 * width, kernel.shape[-1]))
    for y, x, i, j in np.ndindex(height, width, 4, 4):
        row, column = 2 * y - 1 + i, 2 * x - 1 + j
        if 0 <= row < 2 * height and 0 <= column < 2 * width:
            result[:, row, column] += images[:, y, x].astype(np.float64) @ kernel[i, j]
    return result


@pytest.mark.parametrize(
    ("convolution", "loop", "images", "kernels"),
    [
        (halving_convolution, loop_halving, IMAGES, KERNELS),
        (doubling_convolution, loop_doubling, SMALL_IMAGES, KERNELS.swapaxes(-1, -2)),
    ],
    ids=["halving", "doubling"],
)
def test_equals_a_loop_over_the_pixels_with_a_kernel_for_each_member(convolution, loop, images, kernels):
    expected = [loop(image, kernel) for image, kernel in zip(images, kernels, strict=True)]
    np.testing.assert_allclose(jax.jit(jax.vmap(convolution))(images, kernels), expected, atol=1e-5)


def test_each_is_the_transpose_of_the_other():
    """`<halve(x), y> = <x, double(y)>` with the kernel's channels swapped, and the gradient is that transpose."""

    @jax.jit
    def products(images, small_images, kernel):
        halved, pull_back = jax.vjp(lambda images: halving_convolution(images, kernel), images)
        doubled = doubling_convolution(small_images, kernel.swapaxes(-1, -2))
        return jnp.vdot(halved, small_images), jnp.vdot(images, doubled), doubled, pull_back(small_images)[0]

    forward, backward, doubled, gradient = products(IMAGES[0], SMALL_IMAGES[0], KERNELS[0])
    np.testing.assert_allclose(forward, backward, rtol=1e-4)
    np.testing.assert_allclose(doubled, gradient, atol=1e-5)
