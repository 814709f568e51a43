"""What can go wrong on a cluster, told apart: the user's error, lost data, a hopeless task."""

from collections.abc import Sequence
from typing import Any

from distributed import Future
from distributed.scheduler import KilledWorker


class WorkerMismatchError(RuntimeError):
    """A worker lacks this package or runs another version of it or of Dask."""


class LostPartitionError(RuntimeError):
    """Data that a user placed on the cluster died with its worker and has no recipe."""


def lost_partitions(futures: Sequence[Future[Any]]) -> list[int]:
    """Return the indices of the partitions that the cluster no longer has and cannot rebuild."""
    return [i for i, future in enumerate(futures) if future.status in ("lost", "cancelled")]


def lost_partition_error(indices: Sequence[int]) -> LostPartitionError:
    """Name the lost partitions and say how to keep them next time."""
    which = "partition" if len(indices) == 1 else "partitions"
    names = ", ".join(map(str, indices))
    return LostPartitionError(
        f"{which} {names} of the data went down with a worker and cannot be rebuilt: the data was "
        "given as futures without a recipe (scattered data, or futures released elsewhere). Pass "
        "the arrays themselves, or Dask collections, which are recomputed from their graph"
    )


def killed_worker_error(error: KilledWorker, name: str) -> RuntimeError:
    """Explain a task that was present at the death of several workers."""
    return RuntimeError(
        f"{name}: the task {error.task!r} was running on {error.allowed_failures + 1} workers as "
        "they died, and is not tried again. The usual cause is memory: a partition, or what is "
        "computed on it, does not fit in the worker's limit. Cut the data into smaller partitions "
        "or give the workers more memory; the workers' logs name the signal"
    )
