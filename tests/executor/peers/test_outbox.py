"""Messages go out in the event loop, in order, and one that does not get there is no error here."""

import asyncio
import gc
import logging

import numpy as np
from distributed.protocol import Serialize

from daskml_exec.executor.peers._outbox import Outbox
from daskml_exec.executor.peers._runs import DELIVER, Run

RUN = Run("a", 3)


class FakeLoop:
    """Keeps what a thread wants to be called until the test lets it."""

    def __init__(self):
        self.calls = []

    def call_soon_threadsafe(self, callback, *args):
        self.calls.append((callback, args))

    async def go_on(self):
        for callback, args in self.calls:
            callback(*args)
        self.calls.clear()
        for _ in range(10):
            await asyncio.sleep(0)


class FakePool:
    """Connections to workers: those whose address is in `broken` do not answer."""

    def __init__(self, broken=()):
        self.delivered, self.broken = [], broken

    def __call__(self, address):
        pool = self

        class Connection:
            def __getattr__(self, handler):
                assert handler == DELIVER

                async def call(**message):
                    if address in pool.broken:
                        raise OSError(f"no connection to {address}")
                    pool.delivered.append((address, message))

                return call

        return Connection()


def test_a_message_as_the_handler_gets_it():
    pool, loop = FakePool(), FakeLoop()
    outbox, array = Outbox(pool, loop), np.arange(3.0)

    async def run():
        outbox.send("tcp://x", RUN, ("tag", 0), [array], {"nodes": 1}, token="secret")
        assert pool.delivered == []
        await loop.go_on()

    asyncio.run(run())
    ((address, message),) = pool.delivered
    (sent,) = message.pop("arrays")
    assert isinstance(sent, Serialize) and sent.data is array, "not copied"
    assert address == "tcp://x"
    assert message == {
        "run_id": "a",
        "generation": 3,
        "tag": ("tag", 0),
        "about": {"nodes": 1},
        "token": "secret",
        "reply": False,
    }


def test_messages_keep_their_order():
    pool, loop = FakePool(), FakeLoop()
    outbox = Outbox(pool, loop)

    async def run():
        for tag in range(20):
            outbox.send("tcp://x", RUN, (tag,), [])
        await loop.go_on()

    asyncio.run(run())
    assert [message["tag"] for _, message in pool.delivered] == [(tag,) for tag in range(20)]


def test_one_that_is_not_delivered_is_only_noted(caplog):
    pool, loop = FakePool(broken={"tcp://gone"}), FakeLoop()
    outbox = Outbox(pool, loop)

    async def run():
        outbox.send("tcp://gone", RUN, (0,), [])
        outbox.send("tcp://x", RUN, (1,), [])
        await loop.go_on()

    with caplog.at_level(logging.INFO, logger="daskml_exec"):
        asyncio.run(run())
    gc.collect()  # an exception that nobody looked at would be complained of now
    assert [address for address, _ in pool.delivered] == ["tcp://x"]
    assert "no connection to tcp://gone" in caplog.text


def test_nothing_is_kept_of_what_was_sent():
    pool, loop = FakePool(broken={"tcp://gone"}), FakeLoop()
    outbox = Outbox(pool, loop)

    async def run():
        for address in ("tcp://gone", "tcp://x"):
            outbox.send(address, RUN, (0,), [np.zeros(3)])
        await loop.go_on()
        assert not outbox._under_way

    asyncio.run(run())
