"""Variables and images by a rule that any program can follow: what the frozen numbers of PyTorch were made from."""

import jax
import numpy as np


def sine_variables(autoencoder):
    """Leaf l holds `scale sin(1.7 i + l)` at place i of its flat array; 1 is added to scales and variances."""
    paths, structure = jax.tree.flatten_with_path(jax.eval_shape(autoencoder.init, jax.random.key(0)))
    made = []
    for number, (path, leaf) in enumerate(paths):
        sines = np.sin(1.7 * np.arange(leaf.size) + number).reshape(leaf.shape)
        if leaf.ndim > 1:
            values = np.sqrt(6.0 / np.prod(leaf.shape[:-1])) * sines
        else:
            values = (path[-1].name in ("scale", "variance")) + 0.1 * sines
        made.append(np.asarray(values, np.float32))
    return jax.tree.unflatten(structure, made)


def sine_images(number, size):
    phases = 0.9 * np.arange(number * size * size * 3) ** 1.1
    return np.asarray(0.5 + 0.5 * np.sin(phases).reshape(number, size, size, 3), np.float32)
