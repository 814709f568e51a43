"""Compare every worker with the driver before work starts: versions, BLAS and CPU."""

import platform
import re
import threading
import time
import warnings
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from distributed import Client
from distributed.utils import in_async_call

from daskml_exec.executor import _config
from daskml_exec.executor._blas import blas_controller
from daskml_exec.executor._connection import is_embedded, scheduler_address
from daskml_exec.executor._environment import (
    PROBE,
    compare_environments,
    environment,
    installed,
    missing_package_error,
    scheduler_environment,
)
from daskml_exec.executor._failures import WorkerMismatchError, no_worker_error
from daskml_exec.executor._workers_now import workers_now

_IMPORT_ERROR = re.compile("ModuleNotFoundError|ImportError")
# How often the workers are asked, when some go away instead of answering.
_MAX_ASKS = 5
# Seconds between two looks for workers that have joined, where many small calls are submitted.
_LOOK_EVERY = 1.0


@cache
def fingerprint() -> str:
    """Return what the last bits of this process's results depend on.

    BLAS builds with the kernels they chose, Numba if it is there, and the CPU.
    """
    blas = sorted(
        f"{lib['internal_api']} {lib['version']} ({lib.get('architecture', 'unknown kernel')})"
        for lib in blas_controller().info()
    )
    numba = installed("numba")
    compiler = [f"numba {numba}"] if numba else []
    return ", ".join([*blas, *compiler, _cpu_model()])


@dataclass
class _Known:
    """The workers of a Client's cluster that have passed, and when it was last looked for more."""

    passed: set[tuple[str, str]] = field(default_factory=set)
    """Address and folder: a worker that comes back at its old address has another folder."""
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    """Those that came during a fit and are not like the driver, and in what they differ."""
    fingerprints: set[str] = field(default_factory=set)
    scheduler: bool = False
    looked: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)


_known: "weakref.WeakKeyDictionary[Client, _Known]" = weakref.WeakKeyDictionary()


def check_newcomers(client: Client, *, every: float = _LOOK_EVERY) -> None:
    """Check the scheduler, once, and workers that have joined, in a way that cannot harm them.

    A task that waits on the scheduler as a worker joins may come to it before it is checked, and so
    may one that is sent less than `every` seconds after a look.

    Parameters
    ----------
    client : Client
    every : float
        If the last look is less than this many seconds ago, do nothing.

    Raises
    ------
    WorkerMismatchError
        One of them lacks the package, or has another version of it, of Dask, of Python or of what
        the package builds on.
    """
    if not _can_differ(client):
        return
    known = _known.setdefault(client, _Known())
    with known.lock:
        if time.monotonic() - known.looked < every:
            return
        if not known.scheduler:
            who = f"the scheduler {scheduler_address(client)}"
            compare_environments(environment(), {who: scheduler_environment(client)})
            known.scheduler = True
        workers = workers_now(client)
        found = _starts(workers)
        new = sorted(found - known.passed)
        if new:
            addresses = [address for address, _ in new]
            answers = client.run(eval, PROBE, workers=addresses, on_error="return")
            # Who cannot be reached is on its way out, or is asked again.
            reached = {who: what for who, what in answers.items() if not isinstance(what, OSError)}
            compare_environments(
                environment(), {f"worker {who}": what for who, what in reached.items()}
            )
            known.passed |= {worker for worker in new if worker[0] in reached}
        known.passed &= found
        known.looked = time.monotonic()


def unfit_newcomers(client: Client, workers: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the addresses of workers that have joined and are not like the driver.

    For a fit that is under way: it goes on without them.

    Parameters
    ----------
    client : Client
    workers : mapping of str to mapping
        What the scheduler says of each worker, by address.

    Warns
    -----
    RuntimeWarning
        For each of them, once; and where another BLAS, Numba or CPU joins.
    """
    if not _can_differ(client):
        return set()
    known = _known.setdefault(client, _Known())
    with known.lock:
        found = _starts(workers)
        known.refused = {who: why for who, why in known.refused.items() if who in found}
        if new := found - known.passed - known.refused.keys():
            _sort_out(client, known, new)
        return {address for address, _ in found - known.passed}


def no_fit_worker_error(client: Client, limit: float) -> Exception:
    """Say why no worker may have work: one that was refused, all that are silent, or none at all.

    Parameters
    ----------
    client : Client
    limit : float
        Seconds that were waited for one.
    """
    workers = workers_now(client)
    if not workers:
        return no_worker_error(client, limit)
    found = _starts(workers)
    refused = {
        who: why for who, why in _known.get(client, _Known()).refused.items() if who in found
    }
    if refused:
        return WorkerMismatchError(refused[min(refused)])
    return TimeoutError(
        f"none of the workers {', '.join(sorted(workers))} answered the version check within "
        f"{limit:g} s (the limit is dask config 'daskml-exec.workers-timeout'); see their logs"
    )


def _sort_out(client: Client, known: _Known, new: set[tuple[str, str]]) -> None:
    """Ask workers what they have, and note which may have tasks; the silent may not yet."""
    answers = client.run(eval, PROBE, workers=[address for address, _ in new], on_error="return")
    passed = []
    for worker in sorted(new):
        address = worker[0]
        answer = answers.get(address, OSError("it has gone"))
        if isinstance(answer, OSError):
            continue
        try:
            compare_environments(environment(), {f"worker {address}": answer})
        except WorkerMismatchError as error:
            known.refused[worker] = str(error)
            warnings.warn(
                f"{error}. What runs now goes on without it", RuntimeWarning, stacklevel=2
            )
        else:
            known.passed.add(worker)
            passed.append(address)
    if not passed:
        return
    prints = client.run(fingerprint, workers=passed, on_error="return")
    other = {who: what for who, what in prints.items() if isinstance(what, str)}
    other = {who: what for who, what in other.items() if what not in known.fingerprints}
    if other and known.fingerprints:
        warnings.warn(
            "workers have joined that differ in BLAS, Numba or CPU, so results may differ in the "
            f"last bits: {'; '.join(f'{who}: {what}' for who, what in other.items())}",
            RuntimeWarning,
            stacklevel=2,
        )
    known.fingerprints.update(other.values())


def _can_differ(client: Client) -> bool:
    """Return whether workers may have other packages than this process, and may be asked."""
    if is_embedded(client) or scheduler_address(client).startswith("inproc://"):
        return False
    return not in_async_call(client.loop)  # else nobody may wait here


def _starts(workers: Mapping[str, Mapping[str, Any]]) -> set[tuple[str, str]]:
    return {(address, info.get("local_directory", "")) for address, info in workers.items()}


def check_workers(client: Client) -> tuple[str, ...]:
    """Ask all workers for their fingerprints and return the workers' addresses.

    Raises
    ------
    WorkerMismatchError
        A worker lacks the package, or has another version of it, of Dask, of Python or of what
        the package builds on.
    TimeoutError
        The cluster has no worker, and none came in time.
    ConnectionError
        A worker cannot be reached, and does not leave either.

    Warns
    -----
    RuntimeWarning
        Workers differ in BLAS, Numba or CPU, so that results may differ in the last bits.
    """
    answers = _ask(client)
    compare(answers)
    found = {each for each in answers.values() if isinstance(each, str)}
    _known.setdefault(client, _Known()).fingerprints.update(found)
    return tuple(answers)


def _ask(client: Client) -> dict[str, str | Exception]:
    """Return the answers of all workers, once none of them is on its way out."""
    unreachable: dict[str, OSError] = {}
    for _ in range(_MAX_ASKS):
        check_newcomers(client, every=0)
        answers: dict[str, str | Exception] = client.run(fingerprint, on_error="return")
        unreachable = {who: what for who, what in answers.items() if isinstance(what, OSError)}
        if not answers:
            _wait_for_a_worker(client)
        elif not unreachable:
            return answers
    if not unreachable:
        raise ConnectionError(f"workers leave before they answer, {_MAX_ASKS} times in a row")
    address, error = next(iter(unreachable.items()))
    raise ConnectionError(
        f"worker {address} did not answer the version check: {error!r}. It was asked {_MAX_ASKS} "
        "times; see its log"
    ) from error


def compare(answers: Mapping[str, str | Exception]) -> None:
    """Raise for workers that cannot run our functions; warn for those that may round otherwise."""
    by_fingerprint: dict[str, list[str]] = {}
    for address, answer in answers.items():
        # A worker that cannot unpickle our function sends the error back as text.
        if isinstance(answer, Exception) and _IMPORT_ERROR.search(repr(answer)):
            raise missing_package_error(f"worker {address}", answer) from answer
        if isinstance(answer, Exception):
            raise WorkerMismatchError(
                f"worker {address} did not answer the version check: {answer!r}. Its daskml_exec "
                "is probably another version than the driver's"
            ) from answer
        by_fingerprint.setdefault(answer, []).append(address)
    if len(by_fingerprint) > 1:
        groups = "; ".join(f"{', '.join(who)}: {what}" for what, who in by_fingerprint.items())
        warnings.warn(
            "workers differ in BLAS, Numba or CPU, so results may differ in the last bits: "
            + groups,
            RuntimeWarning,
            stacklevel=2,
        )


def _wait_for_a_worker(client: Client) -> None:
    """Wait for the first worker, asking for one by work: adaptive clusters start at none."""
    limit = _config.seconds("workers-timeout")
    try:
        client.submit(int, pure=False).result(timeout=limit)
    except TimeoutError as error:
        raise no_worker_error(client, limit) from error


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
