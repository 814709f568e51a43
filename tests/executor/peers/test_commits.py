"""Blocks written to disks come back bit for bit, wherever they are to go, piece by piece."""

import itertools

import numpy as np
import pytest

from daskml_exec.executor import tuned
from daskml_exec.executor.peers import (
    Commit,
    commit_of,
    restore,
    survey,
    worth_keeping,
    write_to_next,
)
from daskml_exec.executor.peers._commits import _WINDOW
from daskml_exec.executor.peers._errors import BadCopyError, PeersInterrupted
from daskml_exec.executor.peers._files import entries
from tests.executor.peers.threads import RUN_ID, Members, at_once

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
def small_chunks():
    with tuned(file_chunk_bytes=64):
        yield


def id_of(address):
    return f"start of {address}"


def staged_by(members, owners, version=4):
    """Write all units from where they live; return what each member says."""

    def stage(peer):
        mine = units_of(unit for unit, owner in enumerate(owners) if owner == peer.index)
        return write_to_next(peer, version, mine)

    peers = members.peers()
    return dict(zip(peers[0].ids, at_once(peers, stage), strict=True))


def committed(members, owners, version=4):
    return commit_of(version, staged_by(members, owners, version), len(owners))


def brought_back(members, commit, owners, generation=2, addresses=None):
    peers = members.peers(addresses, generation=generation)
    found = at_once(peers, restore, [commit] * len(peers), [owners] * len(peers))
    for index, units in enumerate(found):
        assert sorted(units) == [unit for unit, owner in enumerate(owners) if owner == index]
    return flat({unit: arrays for units in found for unit, arrays in units.items()})


@pytest.mark.parametrize("owners", [(0, 1), (0, 0, 1), (0, 1, 1, 2), (0, 1, 2)])
def test_each_unit_survives_any_one_worker(tmp_path, owners):
    everything = flat(units_of(range(len(owners))))
    addresses = [f"w{index}" for index in range(max(owners) + 1)]
    for number, lost in enumerate([None, *addresses]):
        members = Members(addresses, tmp_path / str(number))
        commit = committed(members, owners)
        assert commit.is_doubled
        living = [address for address in addresses if address != lost]
        assert commit.is_whole_on(list(map(id_of, living)))
        new_owners = [unit * len(living) // len(owners) for unit in range(len(owners))]
        assert brought_back(members, commit, new_owners, 3, living) == everything
        assert members.left() == 0
        assert 0 < members.outbox.most_under_way <= _WINDOW + 1


def test_any_layout_gets_its_units_back(tmp_path):
    members = Members(["w0", "w1", "w2"], tmp_path)
    commit = committed(members, (0, 1, 2))
    for generation, owners in enumerate(itertools.product(range(3), repeat=3), 2):
        assert brought_back(members, commit, owners, generation) == flat(units_of(range(3)))


def test_what_comes_back_is_memory_of_its_own(tmp_path):
    members = Members(["w0", "w1"], tmp_path)
    commit = committed(members, (0, 1))
    peers = members.peers(generation=2)
    for _ in range(2):
        for units in at_once(peers, restore, [commit] * 2, [(0, 1)] * 2):
            for arrays in units.values():
                for array in arrays.values():
                    array[...] = 7
    assert brought_back(members, commit, (1, 0)) == flat(units_of(range(2)))


def test_two_lost_workers_side_by_side_take_a_commit_with_them(tmp_path):
    commit = committed(Members(["w0", "w1", "w2"], tmp_path), (0, 1, 2))
    assert not commit.is_whole_on([id_of("w0")])
    assert not commit.is_whole_on([])


def test_a_worker_that_comes_back_to_its_address_holds_nothing(tmp_path):
    commit = committed(Members(["w0", "w1"], tmp_path), (0, 1))
    assert not commit.is_whole_on(["w0", "w1"])
    assert commit.is_whole_on([id_of("w0"), "another start of w1"])


def test_an_attempt_that_came_to_no_end_does_not_spoil_the_next(tmp_path):
    members = Members(["w0", "w1"], tmp_path)
    for address, unit in (("w0", 0), ("w1", 1)):
        (entry, *_) = entries(units_of([unit]))
        with members.files[address].copy(RUN_ID, 4) as copy:
            copy.add(entry, np.ones(3))
    commit = committed(members, (0, 1))
    assert brought_back(members, commit, (0, 1)) == flat(units_of(range(2)))


def test_members_without_units_keep_those_of_others(tmp_path):
    members = Members(["w0", "w1", "w2"], tmp_path)
    commit = committed(members, (0, 0))
    assert commit.holders == {0: (id_of("w0"), id_of("w1")), 1: (id_of("w0"), id_of("w1"))}
    assert members.left() == 0


class FullDisk:
    """A disk that takes so many files; all of its errors are those of `os`."""

    def __init__(self, files, room):
        self.new_file, self.room = files.new_file, room

    def __call__(self):
        if not self.room:
            raise OSError(28, "No space left on device")
        self.room -= 1
        return self.new_file()


@pytest.mark.parametrize("room", [0, 1, 5])
def test_a_full_disk_is_told_of_and_the_other_copy_counts(tmp_path, monkeypatch, room):
    members = Members(["w0", "w1", "w2"], tmp_path)
    files = members.files["w1"]
    monkeypatch.setattr(files, "new_file", FullDisk(files, room))
    staged = staged_by(members, (0, 1, 2))
    assert {who: "No space left" in each.trouble for who, each in staged.items()} == {
        id_of("w0"): False,
        id_of("w1"): True,
        id_of("w2"): False,
    }
    commit = commit_of(4, staged, 3)
    own = (id_of("w1"),) if room == 5 else ()
    assert set(commit.holders[1]) == {id_of("w2"), *own}
    assert commit.holders[0] == (id_of("w0"),)
    assert not commit.is_doubled
    assert brought_back(members, commit, (0, 1, 2)) == flat(units_of(range(3)))
    assert members.left() == 0


def test_a_version_that_is_on_no_disk_does_not_count(tmp_path, monkeypatch):
    members = Members(["w0", "w1"], tmp_path)
    for files in members.files.values():
        monkeypatch.setattr(files, "new_file", FullDisk(files, 0))
    staged = staged_by(members, (0, 1))
    assert all(each.trouble for each in staged.values())
    assert commit_of(4, staged, 2) is None


def test_a_folder_that_cannot_be_made_is_told_of(tmp_path):
    members = Members(["w0", "w1"], tmp_path)
    (tmp_path / "w0").write_text("where a folder is wanted")
    staged = staged_by(members, (0, 1))
    assert staged[id_of("w0")].trouble and not staged[id_of("w1")].trouble
    assert commit_of(4, staged, 2).holders == {0: (id_of("w1"),), 1: (id_of("w1"),)}


def spoil(kind, path):
    content = path.read_bytes()
    if kind == "gone":
        path.unlink()
    elif kind == "short":
        path.write_bytes(content[:-1])
    elif kind == "long":
        path.write_bytes(content + b"\0")
    elif kind == "flipped":
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif kind == "link":
        moved = path.parent.parent / path.name
        path.rename(moved)
        path.symlink_to(moved)


BAD = ["gone", "short", "long", "flipped", "link"]


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_copy_is_found_and_the_other_one_is_used(tmp_path, kind):
    members = Members(["w0", "w1", "w2"], tmp_path)
    commit = committed(members, (0, 1, 2))
    for path in list(tmp_path.glob("w0/*/*")):
        spoil(kind, path)
    wrong = at_once(peers := members.peers(generation=2), survey, [commit] * 3)
    assert [sorted(each) for each in wrong] == [[0, 2], [], []]
    with pytest.raises(BadCopyError):
        peers[1].timeout = peers[2].timeout = peers[1].start_timeout = 0.2
        restore(peers[0], commit, (0, 1, 2))
    for peer, found in zip(peers, wrong, strict=True):
        commit = commit.without(peer.ids[peer.index], found.keys())
    assert commit.holders == {0: (id_of("w1"),), 1: (id_of("w1"), id_of("w2")), 2: (id_of("w2"),)}
    assert brought_back(members, commit, (0, 1, 2), 3) == flat(units_of(range(3)))


def test_bytes_that_change_on_their_way_are_noticed(tmp_path):
    members = Members(["w0", "w1", "w2"], tmp_path)
    commit = committed(members, (0, 0))
    send = members.outbox.send

    def flip(address, run, tag, arrays, about=None, **more):
        arrays = [np.array(array) for array in arrays]
        if "chunk" in tag:
            arrays[0][0] ^= 1
        send(address, run, tag, arrays, about, **more)

    members.outbox.send = flip
    peers = members.peers(generation=2)

    def errors(peer):
        try:
            restore(peer, commit, (0, 2))
        except PeersInterrupted as error:  # the others hear of the end from the scheduler
            for mailbox in members.outbox.mailboxes.values():
                mailbox.end_before(RUN_ID, 3, "a member has stopped")
            return str(error)

    *_, came = at_once(peers, errors)
    assert "does not have the bytes that were written" in came


def versions_of(*doubled):
    holders = {True: ("a", "b"), False: ("a",)}
    return [
        Commit(len(doubled) - at, {0: holders[each]}, {0: ()}, {0: ()})
        for at, each in enumerate(doubled)
    ]


@pytest.mark.parametrize(
    ("doubled", "kept"),
    [
        ([True], [1]),
        ([True, True, True], [3, 2]),
        ([False, True, True], [3, 2]),
        ([True, False, True], [3, 1]),
        ([False, False, False], [3, 2]),
    ],
)
def test_what_is_kept_to_fall_back_on(doubled, kept):
    assert [each.version for each in worth_keeping(versions_of(*doubled))] == kept
