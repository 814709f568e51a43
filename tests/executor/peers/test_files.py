"""Versions on a disk: which count, what is found wrong with them, and who may read them."""

import os
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec.executor import tuned
from daskml_exec.executor.peers._errors import BadCopyError
from daskml_exec.executor.peers._files import (
    BlockFiles,
    Entry,
    chunks_of,
    digest_of,
    entries,
    n_chunks,
)
from tests.executor.open_files import open_files

RUN, OTHER = "a" * 32, "b" * 32


@pytest.fixture(autouse=True)
def small_chunks():
    with tuned(file_chunk_bytes=64):
        yield


@pytest.fixture
def files(tmp_path):
    return BlockFiles(tmp_path / "disk")


def write(files, version, array, run=RUN, name="name"):
    (entry,) = entries({3: {name: array}})
    with files.copy(run, version) as copy:
        for piece in chunks_of(array):
            copy.add(entry, piece)
    assert not copy.trouble
    return entry, copy.digest(entry)


def read(files, version, entry, run=RUN):
    found = b"".join(piece.tobytes() for piece in files.pieces(run, version, entry))
    return np.frombuffer(found, entry.dtype).reshape(entry.shape)


def on_disk(tmp_path):
    return sorted(path for path in tmp_path.rglob("*") if not path.is_dir())


@given(st.lists(st.integers(0, 9), max_size=3).map(tuple), st.sampled_from(["<f4", "<f8", "<i8"]))
def test_pieces_make_up_the_array(shape, dtype):
    array = np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape)
    (entry,) = entries({3: {"name": array}})
    assert entry == Entry(3, "name", dtype, shape) and entry.nbytes == array.nbytes
    pieces = chunks_of(array)
    assert len(pieces) == n_chunks(entry)
    assert b"".join(piece.tobytes() for piece in pieces) == array.tobytes()
    assert all(np.shares_memory(piece, array) for piece in pieces)
    assert entry.empty().shape == shape and entry.empty().dtype == dtype


@pytest.mark.parametrize("shape", [(8, 5), (1,), (0, 4)])
def test_what_is_written_is_read(files, shape):
    array = np.arange(np.prod(shape), dtype=float).reshape(shape)
    entry, digest = write(files, 1, array)
    assert files.holds(RUN, 1, entry)
    np.testing.assert_array_equal(read(files, 1, entry), array)
    files.check(RUN, 1, entry, digest)
    assert digest == digest_of(chunks_of(array))


def test_versions(files, tmp_path):
    array = np.arange(40.0)
    for version in (1, 2, 5):
        write(files, version, array * version)
    write(files, 1, array, run=OTHER)
    assert files.versions(RUN) == [1, 2, 5]
    files.keep(RUN, [1, 2])
    assert files.versions(RUN) == [1, 2], "one that was staged and never counted goes"
    files.keep(RUN, [2])
    entry, _ = write(files, 5, array + 1)
    files.clear(RUN, 5)
    assert files.versions(RUN) == [2] and not files.holds(RUN, 5, entry)
    entry, digest = write(files, 5, array - 1)
    files.check(RUN, 5, entry, digest)
    files.drop(RUN)
    assert files.versions(RUN) == [] and files.versions(OTHER) == [1]
    assert len(on_disk(tmp_path)) == 1
    files.drop(OTHER)
    assert on_disk(tmp_path) == []
    files.drop("never was")


def test_only_this_user_may_look(files, tmp_path):
    write(files, 1, np.ones(3), name="../../../x")
    (file,) = on_disk(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.parent.parent == tmp_path / "disk"


@pytest.mark.parametrize("run_id", ["../../../x", "", "A" * 32, "a" * 31, "a" * 32 + "\n", 7])
def test_an_id_that_is_none_is_refused(files, tmp_path, run_id):
    (tmp_path / "x").write_text("of somebody else")
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        files.copy(run_id, 1)
    files.drop(run_id)
    files.keep(run_id, [])
    assert on_disk(tmp_path) == [tmp_path / "x"]


def test_a_copy_that_is_broken_off_leaves_nothing(files, tmp_path):
    (entry,) = entries({0: {"name": np.ones(20)}})
    with pytest.raises(LookupError), files.copy(RUN, 1) as copy:
        copy.add(entry, np.ones(8))
        raise LookupError
    assert on_disk(tmp_path) == [] and files.versions(RUN) == []
    assert open_files(str(tmp_path)) == []


def test_an_array_that_was_never_written_is_named(files):
    with pytest.raises(BadCopyError, match=r"'weights' of block 3, version 7 was never written"):
        list(files.pieces(RUN, 7, Entry(3, "weights", "<f8", (2,))))


@pytest.mark.parametrize("fails_at", ["write", "close"])
def test_a_disk_that_fails_late(files, tmp_path, monkeypatch, fails_at):
    function = getattr(os, fails_at)
    (entry,) = entries({3: {"name": (array := np.arange(24.0))}})

    def full(descriptor, *more):
        if fails_at == "close":
            function(descriptor)
        raise OSError(28, "No space left on device")

    with files.copy(RUN, 1) as copy, monkeypatch.context() as patch:
        copy.add(entry, chunks_of(array)[0])
        patch.setattr(os, fails_at, full)
        for piece in chunks_of(array)[1:]:
            copy.add(entry, piece)
        copy.close()
    assert "No space left" in copy.trouble
    assert copy.digest(entry) == digest_of(chunks_of(array)), "the other copy is not spoilt by it"
    assert not files.holds(RUN, 1, entry) and on_disk(tmp_path) == []
