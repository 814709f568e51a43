"""What can go wrong on a cluster, told apart: the user's error, lost data, a hopeless task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from daskml_exec.executor._connection import scheduler_address


class WorkerMismatchError(RuntimeError):
    """A worker lacks this package or runs another version of it or of Dask."""


class LostPartitionError(RuntimeError):
    """Data on the cluster is gone, and the cluster cannot rebuild it."""


@contextmanager
def explained_losses(work: str, data: Mapping[str, Sequence[Future[Any]]]) -> Iterator[None]:
    """Say what was lost when results of this block do not come; other exceptions pass unchanged.

    Parameters
    ----------
    work : str
        What the block does, such as "loading the data".
    data : mapping of name to sequence of distributed.Future
        The partitions that the results are computed from, under the names that the user knows.

    Raises
    ------
    LostPartitionError
        The work was cancelled because partitions are gone.
    RuntimeError
        A task of the work was present at the death of several workers.
    """
    try:
        yield
    except KilledWorker as error:
        raise _killed_worker_error(error, work) from error
    except CancelledError as error:
        lost = {
            name: [i for i, future in enumerate(futures) if future.status in ("lost", "cancelled")]
            for name, futures in data.items()
        }
        if not any(lost.values()):
            raise
        raise _lost_partition_error(lost) from error


def no_worker_error(client: Client, limit: float) -> TimeoutError:
    """Name the scheduler that has no worker, and the limit of the wait for one."""
    return TimeoutError(
        f"the cluster at {scheduler_address(client)} has no worker, and none came within "
        f"{limit:g} s (the limit is dask config 'daskml-exec.workers-timeout')"
    )


def _lost_partition_error(lost: Mapping[str, Sequence[int]]) -> LostPartitionError:
    which = " and ".join(
        f"{'partition' if len(indices) == 1 else 'partitions'} "
        f"{', '.join(map(str, indices))} of {name}"
        for name, indices in lost.items()
        if indices
    )
    many = sum(map(len, lost.values())) > 1
    return LostPartitionError(
        f"{which} {'were' if many else 'was'} lost and cannot be rebuilt: the futures were "
        "cancelled or released (restarting the cluster cancels all), or a worker went down with "
        "scattered data, which has no recipe. Pass the data again; arrays and Dask collections, "
        "unlike scattered data, are rebuilt when a worker is lost"
    )


def _killed_worker_error(error: KilledWorker, work: str) -> RuntimeError:
    """Explain a task that was present at the death of several workers."""
    return RuntimeError(
        f"{work}: the task {error.task!r} was running {error.allowed_failures + 1} times as its "
        "worker died, and is not tried again. The usual cause is memory: a partition, or what is "
        "computed on it, does not fit in the worker's limit. Cut the data into smaller partitions, "
        "let a query's answer be smaller if it is that which is large, or give the workers more "
        "memory; the workers' logs name the signal"
    )
