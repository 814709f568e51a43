"""What runs on each member of a run at the same time."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distributed import get_worker

from daskml_exec.executor._blas import single_threaded_blas
from daskml_exec.executor._heap import heap_kept
from daskml_exec.executor.peers._errors import GenerationEndedError
from daskml_exec.executor.peers._peer import Peer, fetch_on
from daskml_exec.executor.peers._runs import Run
from daskml_exec.executor.peers._worker_plugin import plugin_here


@dataclass(frozen=True)
class Answer:
    """What one member's task returned, and what it took."""

    value: Any
    worker: str
    seconds: float
    bytes_sent: int


@dataclass(frozen=True)
class Stopped:
    """What a member's task returns that its generation's end has stopped: no error of its own."""


def member_task(
    function: Callable[..., Any],
    run: Run,
    index: int,
    members: tuple[str, ...],
    ids: tuple[str, ...],
    timeout: float,
    start_timeout: float,
    share_memory: bool,
    arguments: tuple[Any, ...],
) -> Answer | Stopped:
    """Run a member's part in its own thread, when all members have come."""
    plugin = plugin_here()
    try:
        peer = Peer(
            run=run,
            index=index,
            members=members,
            ids=ids,
            timeout=timeout,
            mailbox=plugin.mailbox,
            outbox=plugin.outbox,
            residents=plugin.residents,
            files=plugin.files,
            fetch=fetch_on(plugin.worker),
            slots=plugin.slots_of(run.id) if share_memory else None,
            start_timeout=start_timeout,
            token=plugin.begin(run).token,
        )
        # Without a limit of its own: the driver looks who does not come, or does not hear, and why.
        peer.meet(("start",), timeout=math.inf)
        plugin.met(run)
        started = time.perf_counter()
        with single_threaded_blas(), heap_kept():
            value = function(peer, *arguments)
    except GenerationEndedError:
        return Stopped()
    finally:
        plugin.finish(run)
    return Answer(value, get_worker().address, time.perf_counter() - started, peer.bytes_sent)
