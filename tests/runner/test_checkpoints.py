import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_sparse.runner import checkpoints
from jaxrl_sparse.runner.checkpoints import CheckpointError

DESCRIPTION = {"algorithm": "toy", "config": {"sigma": 0.1, "sizes": [5, 5]}, "seed": 0}


class State(NamedTuple):
    key: jax.Array
    genomes: jax.Array
    archive: dict[str, jax.Array]


def state_of(seed, **changes):
    values = np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float32)
    values[0, 0] = np.nan
    archive = {"mask": jnp.array([True, False]), "size": jnp.int32(seed), "half": jnp.asarray(values, jnp.bfloat16)}
    return State(jax.random.key(seed), jnp.asarray(values), archive)._replace(**changes)


def spec_of(state):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)


def assert_same_bits(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert one.dtype == other.dtype
        if jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.fixture
def saved(tmp_path):
    """Checkpoints of updates 3, 5 and 8, the first of which has been pruned."""
    for updates in (3, 5, 8):
        checkpoints.save(tmp_path, state_of(updates), updates, {"evaluations": 10**10 + updates}, DESCRIPTION)
    return tmp_path


def refused(directory, capfd, spec=None, description=None):
    """The one line with which `restore` refuses; nothing may have been written to either stream."""
    with pytest.raises(CheckpointError) as error:
        checkpoints.restore(directory, spec_of(state_of(0)) if spec is None else spec, description or DESCRIPTION)
    assert capfd.readouterr() == ("", "")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_round_trip_is_bit_for_bit_and_two_are_kept(saved):
    state, manifest = checkpoints.restore(saved, spec_of(state_of(0)), DESCRIPTION)
    assert_same_bits(state, state_of(8))
    assert (manifest.updates, manifest.totals) == (8, {"evaluations": 10**10 + 8})
    assert checkpoints.complete_checkpoints(saved) == [5, 8]


def test_checkpoint_without_manifest_counts_as_absent_and_is_written_anew(saved):
    (saved / "8" / checkpoints.MANIFEST).unlink()
    (saved / "9.orbax-checkpoint-tmp").mkdir()
    state, _ = checkpoints.restore(saved, spec_of(state_of(0)), DESCRIPTION)
    assert_same_bits(state, state_of(5))
    checkpoints.save(saved, state_of(9), 8, {"evaluations": 1}, DESCRIPTION)
    state, _ = checkpoints.restore(saved, spec_of(state_of(0)), DESCRIPTION)
    assert_same_bits(state, state_of(9))
    assert {entry.name for entry in saved.iterdir()} == {"5", "8"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"genomes": jnp.zeros((3, 4), jnp.float16)}, ".genomes"),
        ({"genomes": jnp.zeros((3, 5))}, ".genomes"),
        ({"genomes": jnp.zeros((4, 3))}, ".genomes"),
        ({"key": jax.eval_shape(lambda: jax.random.key(0, impl="rbg"))}, "rbg"),
        ({"archive": {"mask": jnp.zeros(2, bool), "size": jnp.int32(0)}}, "half"),
        ({"archive": {**state_of(0).archive, "more": jnp.int32(0)}}, "more"),
        ({"archive": {**state_of(0).archive, "size": jnp.float32(0)}}, "size"),
    ],
)
def test_another_structure_is_refused_before_orbax_reads(saved, capfd, changes, named):
    message = refused(saved, capfd, spec_of(state_of(0, **changes)))
    assert "another state" in message and named in message


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed is 0 there, 1 here"),
        ({"config": {"sigma": 0.2, "sizes": [5, 5]}}, "config.sigma is 0.1 there, 0.2 here"),
        ({"config": {"sigma": 0.1, "sizes": [5]}}, "config.sizes is [5, 5] there, [5] here"),
        ({"config": {"sigma": 0.1}}, "config.sizes"),
        ({"environment": "maze"}, 'environment is "absent" there, "maze" here'),
    ],
)
def test_another_configuration_is_refused_by_the_field_that_differs(saved, capfd, change, named):
    message = refused(saved, capfd, description={**DESCRIPTION, **change})
    assert "another configuration" in message and named in message


def test_every_file_that_is_missing_cut_or_altered_is_noticed(saved, capfd):
    files = [path for path in (saved / "8").rglob("*") if path.is_file() and path.name != checkpoints.MANIFEST]
    assert len(files) > 5
    for path in files:
        content = path.read_bytes()
        path.unlink()
        assert "is missing" in refused(saved, capfd)
        if content:
            path.write_bytes(content[:-1])
            assert "is damaged" in refused(saved, capfd)
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
            message = refused(saved, capfd)
            assert "is damaged" in message and str(path.relative_to(saved / "8")) in message
            assert "to go on from update 5, remove" in message
        path.write_bytes(content)
    assert_same_bits(checkpoints.restore(saved, spec_of(state_of(0)), DESCRIPTION)[0], state_of(8))


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"updates": 8})])
def test_a_damaged_manifest_is_refused(saved, capfd, content):
    (saved / "8" / checkpoints.MANIFEST).write_text(content)
    assert "manifest.json" in refused(saved, capfd)


def test_absent_empty_and_foreign_directories_are_refused(tmp_path, capfd):
    assert "takes a directory with a complete checkpoint" in refused(tmp_path / "absent", capfd)
    assert "takes a directory with a complete checkpoint" in refused(tmp_path, capfd)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / checkpoints.MANIFEST).write_text("{}")
    assert "takes a directory with a complete checkpoint" in refused(tmp_path, capfd)


def test_saving_leaves_foreign_folders_alone(tmp_path):
    (tmp_path / "notes").mkdir()
    checkpoints.save(tmp_path, state_of(1), 1, {}, DESCRIPTION)
    assert (tmp_path / "notes").is_dir()
