"""Partitions come one after the other, the next one while the last is in use."""

from concurrent.futures import Future

import pytest

from daskml_exec.executor.peers import PeersInterrupted, PeerTimeoutError, Source
from tests.executor.peers.threads import Members

SOURCES = [Source(key, (f"tcp://{key}",)) for key in "abc"]


def peer_with(fetch, timeout=30):
    (peer, *_) = Members(["w0"]).peers(timeout=timeout)
    peer.fetch = fetch
    return peer


def answered(value=None, error=None):
    future = Future()
    future.set_exception(error) if error else future.set_result(value)
    return future


def test_one_is_under_way_while_another_one_is_in_use():
    asked = []

    def fetch(source):
        asked.append(source.key)
        return answered(source.key.upper())

    seen = []
    for partition in peer_with(fetch).partitions(SOURCES):
        seen.append((partition, "".join(asked)))
    assert seen == [("A", "ab"), ("B", "abc"), ("C", "abc")]
    assert list(peer_with(fetch).partitions([])) == []


def test_one_that_is_not_to_be_had():
    gone = PeersInterrupted("not to be had")
    with pytest.raises(PeersInterrupted, match="not to be had"):
        list(peer_with(lambda source: answered(error=gone)).partitions(SOURCES))


def test_one_that_does_not_come_is_named_with_who_has_it():
    fetches = {"a": answered("A"), "b": Future(), "c": Future()}
    peer = peer_with(lambda source: fetches[source.key], timeout=0.1)
    with pytest.raises(PeerTimeoutError, match=r"tcp://b within 0\.1 s") as caught:
        list(peer.partitions(SOURCES))
    assert caught.value.missed == ("tcp://b",)
