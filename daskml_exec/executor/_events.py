"""Hear from the scheduler about lost workers and interrupted tasks, without asking each round.

Lost pure tasks are computed again without telling the driver. The scheduler logs the loss as an
event under the worker's address; events travel in the same ordered stream as task results, so a
result that comes after a loss is counted after it.
"""

import asyncio
import functools
import threading
import weakref
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from distributed import Client, get_worker
from distributed.utils import in_async_call

from daskml_exec.executor._tuning import tuning
from daskml_exec.executor._waiting import wait_for

_TOPIC_RAISED = "daskml-exec"
# How often, and every how many seconds, to look whether a submitted task has come to the scheduler.
_LOOKS = 50
_LOOK_EVERY = 0.1


@dataclass
class ClusterEvents:
    """Counts of what happened on a cluster since the subscription."""

    workers_lost: list[str] = field(default_factory=list)
    interrupted: Counter[str] = field(default_factory=Counter)
    """Per task key: how often its worker died while it ran, or died with its result."""
    raised: Counter[str] = field(default_factory=Counter)
    """Per task key: how often it raised."""
    _placed: dict[str, set[str]] = field(default_factory=dict, repr=False)
    """Per worker: the keys of the tasks that asked for it, if it lives."""
    _departed: dict[str, None] = field(default_factory=dict, repr=False)
    """Addresses at which a watched worker was and none is, the last to go last."""
    _watched: set[str] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(cls, client: Client) -> "ClusterEvents":
        """Return the counts for `client`, which start when they are first asked for."""
        with _creating:
            events = _by_client.get(client)
            if events is None:
                events = _by_client[client] = cls()
                client.subscribe_topic(_TOPIC_RAISED, events._on_task_raised)
        return events

    def watch(self, client: Client, workers: Iterable[str]) -> None:
        """Listen for the loss of these workers.

        The topic "all" would save naming them, but whoever listens to it is sent an event about
        its own departure, which the scheduler then reports as a broken connection.
        """
        with self._lock:
            new = set(workers) - self._watched
            self._watched |= new
        for address in new:
            handler = functools.partial(self._on_worker_event, client, address)
            client.subscribe_topic(address, handler)
        if new and client.status == "running" and not in_async_call(client.loop):
            wait_for(client, _messages_sent, client)

    def place(self, client: Client, key: str, worker: str, owner: object) -> None:
        """Let go of the placement of a task on `worker` when that worker is lost.

        Dask heeds a soft placement on a dead worker in one case: a task that finds no worker at
        all waits for that one, also when others come.

        Parameters
        ----------
        client : Client
        key : str
            Of the task.
        worker : str
        owner : object
            As long as it lives the task may have to run again.
        """
        self.watch(client, [worker])
        with self._lock:
            keys = self._placed.setdefault(worker, set())
            keys.add(key)
            departed = worker in self._departed
        weakref.finalize(owner, keys.discard, key)
        if departed:
            self._soon_let_go(client, worker)

    def interruptions(self, keys: Iterable[str]) -> int:
        """Return how often one of the tasks had to be run again because a worker was lost."""
        with self._lock:
            return sum(self.interrupted[key] for key in keys)

    def failed_attempts(self, key: str) -> int:
        """Return how often the task raised or was interrupted."""
        with self._lock:
            return self.raised[key] + self.interrupted[key]

    async def _on_worker_event(
        self, client: Client, address: str, event: tuple[float, Any]
    ) -> None:
        _, message = event
        action = message.get("action") if isinstance(message, dict) else None
        if action == "add-worker":  # another one, at the same address
            with self._lock:
                self._departed.pop(address, None)
        if action != "remove-worker":
            return
        rerun = {*message["processing-tasks"], *message["lost-computed-tasks"]}
        with self._lock:
            if not message["expected"]:  # else it was retired, and handed over its data
                self.workers_lost.append(address)
            self.interrupted.update(str(key) for key in rerun)
            self._departed[address] = None
            forgotten = list(self._departed)[: -tuning().remembered_addresses]
            for each in forgotten:
                del self._departed[each]
            self._watched.difference_update(forgotten)
        for each in forgotten:
            client.unsubscribe_topic(each)
        # Not awaited here: the client handles what else comes from the scheduler meanwhile.
        self._soon_let_go(client, address)

    def _soon_let_go(self, client: Client, address: str) -> None:
        assert client.loop is not None
        client.loop.add_callback(self._let_go, client, address)

    async def _let_go(self, client: Client, address: str) -> None:
        """Lift the placements on a worker that is gone, also of tasks still on their way."""
        with self._lock:
            placed = self._placed.pop(address, set())
        with suppress(OSError):  # where the scheduler is gone too, nothing waits
            for _ in range(_LOOKS):
                keys = list(placed)
                if not keys or client.status != "running":
                    return
                assert client.scheduler is not None
                status = await client.scheduler.get_task_status(keys=keys)
                known = [key for key in keys if status[key] is not None]
                if known:
                    await client.scheduler.set_restrictions(worker=dict.fromkeys(known))
                placed.difference_update(known)
                await asyncio.sleep(_LOOK_EVERY)

    def _on_task_raised(self, event: tuple[float, Any]) -> None:
        _, message = event
        with self._lock:
            self.raised[message["key"]] += 1


def report_raised(key: str) -> None:
    """Tell the driver, from inside a task, that this attempt of the task raised."""
    get_worker().log_event(_TOPIC_RAISED, {"key": key})


async def _messages_sent(client: Client) -> None:
    """Return when what was said to the scheduler is on its way.

    It is collected for some milliseconds. If the cluster is closed in the meantime, Dask complains
    that it cannot be sent.
    """
    stream = client.scheduler_comm
    while stream is not None and stream.buffer and not stream.closed():
        await asyncio.sleep(0.001)


_by_client: "weakref.WeakKeyDictionary[Client, ClusterEvents]" = weakref.WeakKeyDictionary()
_creating = threading.Lock()
