import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.base import Trajectory, config, is_count, require, require_known, strong_types, trajectory_spec


@config
class Inner:
    rate: float = 0.1
    size: int = 2


@config
class Config:
    width: int = 4
    name: str = "a"
    shape: tuple[int, ...] = (1, 2)
    flag: bool = True
    sigma: float = 0.5
    limit: float | None = None
    inner: Inner = Inner()


def test_floats_are_leaves_and_the_rest_is_structure():
    assert jax.tree.leaves(Config()) == [0.5, 0.1]
    assert jax.tree.leaves(Config(limit=2.0)) == [0.5, 2.0, 0.1]
    same = jax.tree.structure(Config(sigma=3.0, inner=Inner(rate=9.0)))
    assert same == jax.tree.structure(Config())
    for other in (
        Config(width=5),
        Config(name="b"),
        Config(shape=(1,)),
        Config(flag=False),
        Config(inner=Inner(size=3)),
    ):
        assert jax.tree.structure(other) != same
    assert hash(same) == hash(jax.tree.structure(Config()))


def test_configurations_are_frozen_and_swept():
    with pytest.raises(AttributeError):
        Config().sigma = 1.0
    sigmas = jnp.arange(3.0)
    swept = jax.tree.map(lambda leaf: jnp.full(3, leaf), Config())
    areas = jax.vmap(lambda c: c.width * c.sigma * c.inner.rate)(jax.tree.map(lambda x: x * sigmas, swept))
    np.testing.assert_allclose(areas, 4 * 0.5 * 0.1 * np.arange(3.0) ** 2, rtol=1e-6)


@pytest.mark.parametrize("got", [0, np.int32(0), jnp.int32(0)])
def test_require_says_what_it_got_and_what_it_takes(got):
    with pytest.raises(ValueError, match=r"^population_size: got .*0.*, takes an integer of at least 1$"):
        require("population_size", got, lambda size: size >= 1, "an integer of at least 1")
    require("population_size", 1, lambda size: size >= 1, "an integer of at least 1")


def test_require_lets_tracers_through():
    def double(sigma):
        require("sigma", sigma, lambda s: s > 0, "a float above 0")
        return 2 * sigma

    assert jax.jit(double)(-1.0) == -2.0
    with pytest.raises(ValueError, match=r"^sigma: got -1.0, takes a float above 0$"):
        double(-1.0)


def test_strong_types():
    tree = {
        "float": 1.0,
        "int": 2,
        "bool": True,
        "weak": jnp.asarray(1.0),
        "half": jnp.float16(1),
        "key": jax.random.key(0),
    }
    strong = strong_types(tree)
    dtypes = {name: leaf.dtype for name, leaf in strong.items() if name != "key"}
    assert dtypes == {
        "float": jnp.float32,
        "int": jnp.int32,
        "bool": jnp.bool_,
        "weak": jnp.float32,
        "half": jnp.float16,
    }
    assert not any(leaf.weak_type for name, leaf in strong.items() if name != "key")
    assert (jax.random.key_data(strong["key"]) == jax.random.key_data(tree["key"])).all()


def test_trajectory_words():
    flags = jnp.array([[False, True], [True, True]])
    rewards = jnp.zeros((2, 2))
    trajectory = Trajectory(rewards, rewards, rewards, flags, ~flags.T, rewards, {"log_probs": rewards})
    np.testing.assert_array_equal(trajectory.dones, flags | ~flags.T)
    spec = trajectory_spec(trajectory)
    assert spec.extras["log_probs"] == jax.ShapeDtypeStruct((2, 2), jnp.float32)
    assert spec.terminated == jax.ShapeDtypeStruct((2, 2), jnp.bool_)


@pytest.mark.parametrize(
    ("value", "counts"),
    [(1, True), (np.int64(3), True), (0, False), (-1, False), (2.0, False), (True, False), ("3", False)],
)
def test_counts_are_integers_of_at_least_one(value, counts):
    assert is_count(value) == counts


def test_unknown_names_are_refused_with_the_closest_first():
    with pytest.raises(ValueError, match=r"^color: got 'bleu', takes one of blue, red$"):
        require_known("color", "bleu", ("red", "blue"), ("red", "blue"))
    require_known("color", "red", ("red", "blue"), ())


def test_leaves_are_told_by_their_annotation():
    @config
    class Many:
        fixed: tuple[float, float] = (0.1, 0.2)
        inner: Inner | None = Inner()

    assert jax.tree.leaves(Many()) == [0.1]
    assert jax.tree.leaves(Many(inner=None)) == []


def test_python_floats_are_float32_where_64_bit_types_are_enabled():
    with jax.enable_x64(True):
        assert strong_types({"rate": 0.5})["rate"].dtype == jnp.float32
