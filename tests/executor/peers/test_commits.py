"""Blocks written to disks come back bit for bit, wherever they are to go, piece by piece."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec.executor.peers import Commit, Entry, restore, write_to_next
from daskml_exec.executor.peers import _files as files_module
from daskml_exec.executor.peers._commits import _WINDOW
from daskml_exec.executor.peers._files import BlockFiles, chunks_of, entries, n_chunks
from tests.executor.peers.threads import Members, at_once

SHAPES = {
    "weights": ((7, 5), np.float64),
    "moments": ((2, 50), np.float32),
    "none": ((0, 4), np.float64),
    "scales": ((2,), np.float64),
}


def units_of(indices):
    return {
        unit: {
            name: np.random.default_rng((unit, at)).standard_normal(shape).astype(dtype)
            for at, (name, (shape, dtype)) in enumerate(SHAPES.items())
        }
        for unit in indices
    }


def flat(units):
    return {(u, n): (a.dtype, a.shape, a.tobytes()) for u in units for n, a in units[u].items()}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(files_module, "CHUNK_BYTES", 64)


@given(st.lists(st.integers(0, 9), max_size=3).map(tuple), st.sampled_from(["<f4", "<f8", "<i8"]))
def test_pieces_make_up_the_array(shape, dtype):
    array = np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape)
    (entry,) = entries({3: {"name": array}})
    assert entry == Entry(3, "name", dtype, shape)
    pieces = chunks_of(array)
    assert len(pieces) == n_chunks(entry)
    assert b"".join(piece.tobytes() for piece in pieces) == array.tobytes()
    assert all(np.shares_memory(piece, array) for piece in pieces)
    assert entry.empty().shape == shape and entry.empty().dtype == dtype


def write(files, version, unit, array):
    (entry,) = entries({unit: {"name": array}})
    for piece in chunks_of(array):
        files.append("run", version, entry, piece)
    return entry


def test_versions_on_disk(tmp_path):
    files, array = BlockFiles(tmp_path / "folder"), np.arange(40.0).reshape(8, 5)
    old, new = (write(files, version, 0, array * version) for version in (1, 2))
    assert files.versions("run") == [1, 2]
    files.commit("run", 2)
    assert files.versions("run") == [2], "older ones go when a version counts"
    np.testing.assert_array_equal(files.read("run", 2, new), array * 2)
    staged = write(files, 5, 0, array)
    files.clear("run", 5)
    assert files.versions("run") == [2]
    write(files, 5, 0, array + 1)
    np.testing.assert_array_equal(files.read("run", 5, staged), array + 1)
    np.testing.assert_array_equal(files.mapped("run", 2, old), array * 2)
    files.drop("run")
    assert files.versions("run") == [] and not list((tmp_path / "folder").iterdir())
    files.drop("run")
    files.drop("never was")


def committed(members, owners, version=4):
    """Write all units from where they live; return the commit that the driver makes of it."""

    def stage(peer):
        mine = units_of(unit for unit, owner in enumerate(owners) if owner == peer.index)
        return write_to_next(peer, version, mine)

    holders, found = {}, {}
    for where, written in at_once(members.peers(), stage):
        holders |= dict.fromkeys(written, where)
        found |= written
    return Commit(version, holders, found)


@pytest.mark.parametrize("owners", [(0, 1), (0, 0, 1), (0, 1, 1, 2), (0, 1, 2)])
def test_each_unit_survives_any_one_worker(tmp_path, owners):
    everything = flat(units_of(range(len(owners))))
    addresses = [f"w{index}" for index in range(max(owners) + 1)]
    for number, lost in enumerate([None, *addresses]):
        members = Members(addresses, tmp_path / str(number))
        commit = committed(members, owners)
        living = [address for address in addresses if address != lost]
        assert commit.is_whole_on(living)
        new_owners = [unit * len(living) // len(owners) for unit in range(len(owners))]
        peers = members.peers(living, generation=3)
        back = at_once(peers, restore, [commit] * len(peers), [new_owners] * len(peers))
        for index, units in enumerate(back):
            assert sorted(units) == [u for u, owner in enumerate(new_owners) if owner == index]
        assert flat({unit: arrays for units in back for unit, arrays in units.items()}) == (
            everything
        )
        assert members.left() == 0
        assert 0 < members.post.most_under_way <= _WINDOW + 1


def test_any_layout_gets_its_units_back(tmp_path):
    members = Members(["w0", "w1", "w2"], tmp_path)
    commit = committed(members, (0, 1, 2))
    for generation, owners in enumerate(itertools.product(range(3), repeat=3), 2):
        peers = members.peers(generation=generation)
        back = at_once(peers, restore, [commit] * 3, [owners] * 3)
        found = {unit: arrays for units in back for unit, arrays in units.items()}
        assert flat(found) == flat(units_of(range(3)))


def test_what_comes_back_is_memory_of_its_own(tmp_path):
    members = Members(["w0", "w1"], tmp_path)
    commit = committed(members, (0, 1))
    peers = members.peers(generation=2)
    for _ in range(2):
        for units in at_once(peers, restore, [commit] * 2, [(0, 1)] * 2):
            for arrays in units.values():
                for array in arrays.values():
                    array[...] = 7
    back = at_once(peers, restore, [commit] * 2, [(1, 0)] * 2)
    assert flat(back[0] | back[1]) == flat(units_of(range(2)))


def test_two_lost_workers_side_by_side_take_a_commit_with_them(tmp_path):
    commit = committed(Members(["w0", "w1", "w2"], tmp_path), (0, 1, 2))
    assert not commit.is_whole_on(["w0"])
    assert not commit.is_whole_on([])


def test_an_attempt_that_came_to_no_end_does_not_spoil_the_next(tmp_path):
    members = Members(["w0", "w1"], tmp_path)
    for address, unit in (("w0", 0), ("w1", 1)):
        (entry, *_) = entries(units_of([unit]))
        members.files[address].append("run", 4, entry, np.ones(3))
    commit = committed(members, (0, 1))
    peers = members.peers(generation=2)
    back = at_once(peers, restore, [commit] * 2, [(0, 1)] * 2)
    assert flat(back[0] | back[1]) == flat(units_of(range(2)))


def test_members_without_units_keep_those_of_others(tmp_path):
    members = Members(["w0", "w1", "w2"], tmp_path)
    commit = committed(members, (0, 0))
    assert commit.holders == {0: ("w0", "w1"), 1: ("w0", "w1")}
    assert members.left() == 0
