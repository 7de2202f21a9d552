import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.environments import spaces


def test_discrete_samples_every_integer_and_no_other():
    space = spaces.Discrete(3)
    samples = jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 512))
    assert samples.dtype == jnp.int32
    counts = np.bincount(np.asarray(samples), minlength=3)
    assert counts.sum() == 512 and counts.size == 3 and counts.min() > 120


@pytest.mark.parametrize(("value", "inside"), [(-1, False), (0, True), (2, True), (3, False)])
def test_discrete_contains(value, inside):
    assert bool(spaces.Discrete(3).contains(value)) is inside


def test_box_samples_fill_the_box():
    low, high = np.array([-1.0, 2.0]), np.array([1.0, 2.5])
    samples = np.asarray(jax.vmap(spaces.Box(low, high, (2,)).sample)(jax.random.split(jax.random.key(0), 512)))
    assert samples.dtype == np.float32
    assert (samples >= low).all() and (samples <= high).all()
    np.testing.assert_allclose(samples.mean(0), (low + high) / 2, atol=0.1)
    np.testing.assert_allclose(samples.min(0), low, atol=0.05)
    np.testing.assert_allclose(samples.max(0), high, atol=0.05)


@pytest.mark.parametrize(("value", "inside"), [((0, 0), True), ((1, -1), True), ((0, 1.1), False), ((-1.1, 0), False)])
def test_box_contains(value, inside):
    assert bool(spaces.Box(-1.0, 1.0, (2,)).contains(jnp.array(value))) is inside


def test_size_of():
    assert spaces.size_of(spaces.Discrete(5)) == 5
    assert spaces.size_of(spaces.Box(0.0, 1.0, (3, 4))) == 12


def test_native_is_gymnax_own_class_once_gymnax_is_imported():
    from gymnax.environments import spaces as gymnax_spaces

    discrete, box = spaces.native(spaces.Discrete(4)), spaces.native(spaces.Box(-2.0, 3.0, (2,)))
    assert isinstance(discrete, gymnax_spaces.Discrete) and discrete.n == 4
    assert isinstance(box, gymnax_spaces.Box)
    assert (box.low, box.high, box.shape, box.dtype) == (-2.0, 3.0, (2,), jnp.float32)


def test_native_imports_nothing():
    program = (
        "import sys; from jaxrl_sparse.environments import spaces; space = spaces.Discrete(4);"
        "assert spaces.native(space) is space; assert 'gymnax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
