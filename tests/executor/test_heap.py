"""Memory is kept while steps run where Dask has workers give it back, and only there."""

import threading

import pytest

from daskml_exec.executor import _heap


@pytest.fixture
def thresholds(monkeypatch):
    """Return what is set, in order, in a process that began with a threshold of 65536."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(_heap, "_trim_threshold", lambda: 65536)
    monkeypatch.setattr(_heap, "_giving_back", None)
    monkeypatch.setattr(_heap, "_is_kept", False)
    monkeypatch.setattr(_heap, "_LINGERS", 0.0)
    monkeypatch.setattr(_heap, "_set", lambda trim, mmap: told.append((trim, mmap)))
    return told


def until_given_back():
    timer = _heap._giving_back
    if timer is not None:
        timer.join(20)


def test_the_last_to_leave_sets_what_was_before(thresholds):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with _heap.heap_kept():
            inside.set()
            assert leave.wait(20)

    thread = threading.Thread(target=other)
    with _heap.heap_kept():
        thread.start()
        assert inside.wait(20)
    kept = (_heap._KEPT, _heap._MMAP_LARGEST)
    assert thresholds == [kept]
    leave.set()
    thread.join()
    until_given_back()
    assert thresholds == [kept, (65536, _heap._MMAP_DEFAULT)]


def test_what_the_next_round_needs_again_is_kept_until_it_comes(thresholds, monkeypatch):
    monkeypatch.setattr(_heap, "_LINGERS", 60.0)
    for _ in range(3):
        with _heap.heap_kept():
            pass
    assert thresholds == [(_heap._KEPT, _heap._MMAP_LARGEST)]
    only = _heap._giving_back
    only.cancel()
    _heap._give_back(65536)  # as it would have, too early
    assert thresholds[1:] == []
    later = _heap._giving_back
    later.cancel()
    monkeypatch.setattr(_heap, "_LINGERS", 0.0)
    with _heap.heap_kept():
        assert _heap._giving_back is later  # a round starts no thread
        _heap._give_back(65536)
    assert thresholds[1:] == []
    until_given_back()
    assert thresholds[1:] == [(65536, _heap._MMAP_DEFAULT)]


def test_where_glibc_chooses_nothing_is_set(thresholds, monkeypatch):
    monkeypatch.setattr(_heap, "_trim_threshold", lambda: None)
    with _heap.heap_kept():
        pass
    assert thresholds == []


@pytest.mark.parametrize(
    ("variable", "begun_with"), [("", None), ("65536", 65536), ("no number", None)]
)
def test_what_the_environment_says(monkeypatch, variable, begun_with):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", variable)
    _heap._trim_threshold.cache_clear()
    try:
        assert _heap._trim_threshold() in (begun_with, None)  # other systems have no such call
    finally:
        _heap._trim_threshold.cache_clear()
