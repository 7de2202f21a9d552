from functools import partial, reduce
from math import factorial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrl_sparse.numerics.signatures import (
    flatten_levels,
    log_signature,
    lyndon_coordinates,
    signature,
    signature_init,
    signature_product,
    signature_update,
    tensor_exp,
    tensor_log,
    time_augmented,
)

DEPTH, POINTS = 5, 7
deep = jax.jit(partial(signature, depth=DEPTH))
deep_log = jax.jit(partial(log_signature, depth=DEPTH))
areas_of = jax.jit(partial(log_signature, depth=2))
square = jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])


def random_path(seed, dimension=2, points=POINTS):
    return np.random.default_rng(seed).normal(size=(points, dimension)).astype(np.float32)


def split(flat, dimension=2):
    """The levels of a flat signature, as tensors."""
    sizes = np.cumsum([dimension**level for level in range(1, 12)])
    pieces = np.split(np.asarray(flat, np.float64), [size for size in sizes if size < len(flat)])
    return [piece.reshape([dimension] * level) for level, piece in enumerate(pieces, start=1)]


def power(vector, exponent):
    return reduce(np.multiply.outer, [vector] * exponent, np.float64(1.0))


def product_by_definition(first, second):
    first, second = [np.float64(1.0), *first], [np.float64(1.0), *second]
    return [
        sum(np.multiply.outer(first[k], second[level - k]) for k in range(level + 1)) for level in range(1, len(first))
    ]


def signature_by_definition(path, depth):
    """Segment after segment, with all the powers of every increment."""
    levels = [np.zeros([path.shape[1]] * level) for level in range(1, depth + 1)]
    for increment in np.diff(path.astype(np.float64), axis=0):
        levels = product_by_definition(levels, [power(increment, k) / factorial(k) for k in range(1, depth + 1)])
    return np.concatenate([level.ravel() for level in levels])


@pytest.mark.parametrize(("dimension", "depth", "size"), [(2, 5, 62), (3, 3, 39), (1, 2, 2)])
def test_equals_the_definition(dimension, depth, size):
    compute = deep if depth == DEPTH else jax.jit(partial(signature, depth=depth))
    for seed in range(3):
        path = random_path(seed, dimension)
        ours = compute(path)
        assert ours.shape == (size,)
        np.testing.assert_allclose(ours, signature_by_definition(path, depth), rtol=1e-4, atol=1e-4)


def test_a_straight_line():
    velocity = np.array([2.0, -0.5])
    line = jnp.asarray(np.linspace(0.0, 1.0, POINTS)[:, None] * velocity, jnp.float32)
    for level, tensor in enumerate(split(deep(line)), start=1):
        np.testing.assert_allclose(tensor, power(velocity, level) / factorial(level), rtol=1e-5)
    expected = np.concatenate([velocity, np.zeros(12)])
    np.testing.assert_allclose(deep_log(line), expected, atol=1e-5)


def test_the_unit_square_has_area_one():
    path = jnp.concatenate([square, jnp.zeros((2, 2))])
    levels = split(deep(path))
    np.testing.assert_allclose(levels[0], 0.0, atol=1e-7)
    np.testing.assert_allclose((levels[1] - levels[1].T) / 2, [[0.0, 1.0], [-1.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(areas_of(path), [0.0, 0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(areas_of(path[::-1]), [0.0, 0.0, -1.0], atol=1e-6)


def test_the_logarithm_of_two_segments_is_the_baker_campbell_hausdorff_series():
    """log(e^a e^b) = a + b + [a, b]/2 + [a, [a, b]]/12 + [b, [b, a]]/12 - [b, [a, [a, b]]]/24 + ..."""
    corner = jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], *[[1.0, 1.0]] * (POINTS - 3)])
    # Words a, b; ab; aab, abb; aaab, aabb, abbb; and the six of length five.
    expected = [1, 1, 1 / 2, 1 / 12, 1 / 12, 0, 1 / 24, 0]
    logarithm = np.asarray(deep_log(corner))
    assert logarithm.shape == (14,)
    np.testing.assert_allclose(logarithm[:8], expected, atol=1e-6)


def test_the_logarithm_of_depth_two_is_displacement_and_areas():
    path = random_path(5, 3)
    logarithm = np.asarray(areas_of(path))
    areas = split(signature_by_definition(path, 2), 3)[1]
    areas = (areas - areas.T) / 2
    expected = [*(path[-1] - path[0]), areas[0, 1], areas[0, 2], areas[1, 2]]
    np.testing.assert_allclose(logarithm, expected, rtol=1e-4, atol=1e-5)


def test_exponential_and_logarithm_are_inverse_and_by_their_series():
    levels = tuple(
        jnp.asarray(level.ravel(), jnp.float32) for level in split(signature_by_definition(random_path(1), 4))
    )
    logarithm = jax.jit(tensor_log)(levels)
    for level, again in zip(levels, jax.jit(tensor_exp)(logarithm), strict=True):
        np.testing.assert_allclose(again, level, rtol=1e-4, atol=1e-3)
    x = [np.zeros(()), *split(flatten_levels(levels))]
    powers, expected = x, [np.zeros_like(level) for level in x]
    for exponent in range(1, 5):
        expected = [total - (-1) ** exponent / exponent * level for total, level in zip(expected, powers, strict=True)]
        powers = [sum(np.multiply.outer(powers[k], x[n - k]) for k in range(n + 1)) for n in range(5)]
    for ours, theirs in zip(logarithm, expected[1:], strict=True):
        np.testing.assert_allclose(ours, theirs.ravel(), rtol=1e-3, atol=1e-3)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_identities(seed):
    path = random_path(seed)
    flat = np.asarray(deep(path))
    levels = split(flat)
    close = partial(np.testing.assert_allclose, rtol=1e-3, atol=2e-3)
    # Moving the path, waiting, and a point amid a segment change nothing.
    close(deep(path + np.float32(3.0)), flat)
    slower = np.insert(path[:-1], 3, (path[2] + path[3]) / 2, axis=0)
    shorter = np.concatenate([path[:-1], path[-2:-1]])
    close(deep(slower), deep(shorter))
    # A path twice as large.
    scales = np.concatenate([np.full(2**level, 2.0**level) for level in range(1, DEPTH + 1)])
    np.testing.assert_allclose(deep(2 * path), scales * flat, rtol=1e-4, atol=1e-4)
    # Chen: one path after another.
    other = random_path(seed + 1)
    stays = np.zeros((POINTS // 2, 2), np.float32)
    first = np.concatenate([path[:4], path[3] + stays])
    second = np.concatenate([path[3:], path[-1] + stays])
    together = product_by_definition(split(deep(first)), split(deep(second)))
    close(np.concatenate([level.ravel() for level in together]), flat)
    ours = signature_product(as_levels(path), as_levels(other))
    for level, expected in zip(ours, product_by_definition(levels, split(deep(other))), strict=True):
        np.testing.assert_allclose(level, expected.ravel(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_shuffle_and_time_reversal_to_the_last_digits(precision, seed):
    with jax.enable_x64(True):
        path = jnp.asarray(random_path(seed), precision)
        there, back = deep(path), deep(path[::-1])
        assert there.dtype == back.dtype == precision
        there, back = split(there), split(back)
    # By the path's length L: level n, and what rounding does to it, is of the order of L^n / n!.
    rounding = np.finfo(precision).eps * np.abs(np.diff(path, axis=0)).sum() ** np.arange(1, DEPTH + 1)
    rounding /= [factorial(level) for level in range(1, DEPTH + 1)]
    # Shuffle: the symmetric part of level 2 is the square of level 1.
    shuffled = np.abs(there[1] + there[1].T - np.outer(there[0], there[0]))
    assert shuffled.max() <= 2 * rounding[1]
    assert precision is np.float32 or shuffled.max() < 1e-13
    # There and back again is nowhere.
    for left, error in zip(product_by_definition(there, back), rounding, strict=True):
        assert np.abs(left).max() <= 2 * error


def as_levels(path):
    return tuple(jnp.asarray(level.ravel(), jnp.float32) for level in split(deep(path)))


def test_time_makes_the_pace_count():
    path = np.stack([np.linspace(0.0, 1.0, POINTS), np.zeros(POINTS)], axis=1).astype(np.float32)
    late = path**3
    np.testing.assert_allclose(deep(late), deep(path), atol=1e-5)
    augmented = time_augmented(jnp.asarray(path), 0.5)
    np.testing.assert_allclose(augmented[:, 2], np.linspace(0.0, 0.5, POINTS), rtol=1e-6)
    np.testing.assert_array_equal(augmented[:, :2], path)
    area, late_area = (float(areas_of(time_augmented(jnp.asarray(p), 0.5))[4]) for p in (path, late))
    # Between the path and its chord in the plane of position and time; under x = t^3 it is 1/4, sampled.
    assert abs(area) < 1e-6 and late_area < -0.1


def test_thousands_of_steps_in_float32_inside_a_rollout():
    """Depth 2 is exact to 1e-5, and the levels that a batched rollout carries are those of the stored paths."""
    rng = np.random.default_rng(0)
    increments = rng.normal(size=(2000, 2, 2)).astype(np.float32) * np.float32(0.01)

    @jax.jit
    def roll_out(increments):
        start = jax.tree.map(lambda level: jnp.zeros((2, *level.shape)), signature_init(2, 2))
        step = jax.vmap(signature_update)
        levels, _ = jax.lax.scan(lambda levels, increment: (step(levels, increment), None), start, increments)
        return jax.vmap(flatten_levels)(levels)

    carried = np.asarray(roll_out(increments), np.float64)
    steps = increments.astype(np.float64)
    sums = np.cumsum(steps, axis=0)
    before = sums - steps
    first = sums[-1]
    second = np.einsum("tbi,tbj->bij", before, steps) + np.einsum("tbi,tbj->bij", steps, steps) / 2
    for row in range(2):
        np.testing.assert_allclose(carried[row, :2], first[row], atol=1e-5 * np.abs(first[row]).max())
        np.testing.assert_allclose(carried[row, 2:], second[row].ravel(), atol=1e-5 * np.abs(second[row]).max())


def test_level_scaling_and_lyndon_words():
    levels = tuple(jnp.arange(2.0**level) for level in range(1, 6))
    scaled = split(flatten_levels(levels, "factorial"))
    for level, (tensor, plain) in enumerate(zip(scaled, levels, strict=True), start=1):
        np.testing.assert_allclose(tensor.ravel(), factorial(level) * np.asarray(plain))
    # The words, read as binary numbers: 0, 1; 01; 001, 011; 0001, 0011, 0111; 00001, 00011, 00101, 00111, 01011, 01111.
    places = [0, 1, 1, 1, 3, 1, 3, 7, 1, 3, 5, 7, 11, 15]
    np.testing.assert_array_equal(lyndon_coordinates(levels), places)
    factors = np.repeat([1, 2, 6, 24, 120], [2, 1, 2, 3, 6])
    np.testing.assert_array_equal(lyndon_coordinates(levels, "factorial"), places * factors)
    of_three = tuple(jnp.arange(3.0**level) for level in range(1, 4))
    assert lyndon_coordinates(of_three).shape == (3 + 3 + 8,)


def test_a_single_point_has_not_moved():
    np.testing.assert_array_equal(signature(jnp.ones((1, 3)), 2), np.zeros(12))


def test_keeps_the_precision_of_the_path():
    with jax.enable_x64(True):
        path = jnp.asarray(random_path(0), jnp.float64)
        assert deep(path).dtype == jnp.float64
        np.testing.assert_allclose(deep(path), signature_by_definition(np.asarray(path), DEPTH), rtol=1e-10, atol=1e-12)
        assert time_augmented(path.astype(jnp.float32), 0.5).dtype == jnp.float32
        assert signature(path.astype(jnp.float32), 2).dtype == jnp.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: signature(square, 0), "depth: got 0, takes an integer from 1 to 5"),
        (lambda: signature(square, 6), "depth: got 6"),
        (lambda: log_signature(square, -1), "depth: got -1"),
        (lambda: signature(jnp.zeros((0, 2)), 2), r"path: got \(0, 2\), takes a point"),
        (lambda: signature(jnp.zeros((3, 0)), 2), r"path: got \(3, 0\)"),
        (lambda: signature_init(0, 2), "dimension: got 0"),
        (lambda: flatten_levels(signature_init(2, 2), "squares"), "level_scaling: got 'squares', takes none or"),
    ],
)
def test_refuses_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
