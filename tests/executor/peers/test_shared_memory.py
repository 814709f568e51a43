"""Arrays that processes of one machine hand to one another in memory."""

import multiprocessing
import os
from dataclasses import replace

import numpy as np
import pytest

from daskml_exec.executor._memory_file import Place, this_place
from daskml_exec.executor.peers._errors import GenerationEndedError
from daskml_exec.executor.peers._shared_memory import SharedSlots
from tests.executor.open_files import memory_files

pytestmark = pytest.mark.skipif(this_place() is None, reason="needs memfd_create and /proc")

HERE = Place("boot", 1, 1000, 7)


@pytest.fixture
def slots():
    slots = SharedSlots()
    yield slots
    slots.close()


@pytest.mark.parametrize("other", ["machine", "processes", "user"])
def test_memory_is_shared_on_one_machine_by_one_user_in_one_namespace(other):
    assert HERE.sees(replace(HERE, process=8))
    changed = {"machine": "another boot", "processes": 2, "user": 0}[other]
    assert not HERE.sees(replace(HERE, process=8, **{other: changed}))


def test_a_process_does_not_share_with_itself():
    assert not HERE.sees(HERE)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_what_is_written_is_read(slots, dtype):
    arrays = [np.arange(6, dtype=dtype).reshape(2, 3), np.zeros((0, 4), dtype), np.ones(5, dtype)]
    shared = slots.write(("to", "sums"), arrays, {"about": 1})
    found = SharedSlots().read(shared)
    assert shared.about == {"about": 1}
    for array, copy in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert copy.dtype == array.dtype and copy.flags.aligned and not copy.flags.writeable


def test_slices_with_gaps_are_written_whole(slots):
    every_other = np.arange(20.0).reshape(4, 5)[:, ::2]
    np.testing.assert_array_equal(
        slots.read(slots.write("key", [every_other], None))[0], every_other
    )


def test_a_slot_is_used_again_and_grows_when_it_must(slots):
    first = slots.write("key", [np.zeros(100)], None)
    again = slots.write("key", [np.ones(100)], None)
    larger = slots.write("key", [np.full(10_000, 2.0)], None)
    assert first.slot == again.slot != larger.slot
    assert slots.read(larger)[0].sum() == 20_000
    assert slots.write("other key", [np.zeros(1)], None).slot != larger.slot


def test_nothing_is_left_after_close(slots):
    before = memory_files()
    shared = [slots.write(key, [np.zeros(1000)], None) for key in range(5)]
    reader = SharedSlots()
    kept = reader.read(shared[0])[0]
    slots.close()
    reader.close()
    assert len(slots) == len(reader) == 0
    assert kept.sum() == 0  # who still reads may go on
    del kept
    assert memory_files() <= before


def test_a_task_that_has_not_heard_of_the_end_allocates_nothing_more(slots):
    shared = SharedSlots().write("key", [np.zeros(1000)], None)
    slots.close()
    before = memory_files()
    with pytest.raises(GenerationEndedError, match="given back"):
        slots.write("key", [np.zeros(1000)], None)
    with pytest.raises(GenerationEndedError, match="given back"):
        slots.read(shared)
    assert len(slots) == 0 and memory_files() <= before


def test_a_slot_that_cannot_grow_leaves_no_descriptor(slots, monkeypatch):
    before = memory_files()
    slots.write("key", [np.zeros(10)], None)

    def full(*arguments):
        raise OSError("no space left")

    with monkeypatch.context() as on_a_full_machine:
        on_a_full_machine.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="no space left"):
            slots.write("key", [np.zeros(10_000)], None)
    assert memory_files() <= before
    slots.close()


def _read_in_child(shared, answers):
    reader = SharedSlots()
    answers.put((os.getpid(), [float(array.sum()) for array in reader.read(shared)]))


def test_another_process_reads_it(slots):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    shared = slots.write("key", [np.full((300, 400), 0.5), np.arange(10.0)], None)
    child = context.Process(target=_read_in_child, args=(shared, answers))
    child.start()
    pid, sums = answers.get(timeout=60)
    child.join()
    assert pid != os.getpid() and sums == [60_000.0, 45.0]
